# SPDX-License-Identifier: BSL-1.0
"""What was measured, as Markdown."""
import datetime
import pathlib
import platform
import random
import statistics
import subprocess

import plan


class Spread:
    """The median of some numbers, and between what the middle half of them is."""

    def __init__(self, values):
        several = values if len(values) > 1 else 2 * values
        self.low, self.median, self.high = statistics.quantiles(several, method="inclusive")
        self._values = values

    def interval(self):
        """Between what nine out of ten medians are that are drawn from these values (bootstrap):
        what another run might as well say."""
        draw = random.Random(1)
        medians = [statistics.median(draw.choices(self._values, k=len(self._values)))
                   for _ in range(1000)]
        low, *_, high = statistics.quantiles(medians, n=20, method="inclusive")
        return low, high

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def ratios(values, bases):
    """Each round's value is compared with the base's in the same round."""
    return Spread([value / base for value, base in zip(values, bases, strict=True)])


def cpu_and_rate(run, configuration, server):
    """The server's two ratios to the configuration's base; None without the base."""
    bases = run.echo.get((configuration.name, configuration.base))
    values = run.echo.get((configuration.name, server.name))
    if not bases or not values:
        return None
    return [ratios(*columns) for columns in zip(zip(*values), zip(*bases))]


def table(*rows):
    """Markdown; the first row is the head. All columns but the first are numbers."""
    head, *body = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    rule = "|---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *body])


class Verdicts:
    """Which targets are met. The median decides, unless another run might as well say otherwise."""

    def __init__(self):
        self.met, self.missed, self.undecided = [], [], []

    def at_most(self, what, value, bound, base=""):
        low, high = value.interval()
        return self._verdict(what, value, f"≤ {bound:g}{base}", high <= bound, low > bound)

    def at_least(self, what, value, bound):
        low, high = value.interval()
        return self._verdict(what, value, f"≥ {bound:g}", low >= bound, high < bound)

    def _verdict(self, what, value, target, met, missed):
        line = f"{what}: {value}, target {target}"
        if met:
            self.met.append(line)
            return f"{target} met"
        if missed:
            self.missed.append(line)
            return f"{target} **missed**"
        self.undecided.append(line)
        return f"{target} undecided"

    def __str__(self):
        return (f"{len(self.met)} met, {len(self.missed)} missed, "
                f"{len(self.undecided)} undecided")

    def section(self):
        lines = [f"## Targets: {self}"]
        for title, those in (("Missed", self.missed), ("Undecided", self.undecided)):
            if those:
                lines += [f"{title}:", "\n".join(f"- {line}" for line in those)]
        return "\n\n".join(lines)


def _processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(compiler):
    """Its own name for itself."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    return version.stdout.splitlines()[0]


def _preamble(run, load):
    machine = run.machine
    pins = ("the server on one processor, the load on another" if machine.pinned
            else "no program is pinned to a processor")
    lines = [
        f"{datetime.date.today()}, {_processor()}, Linux {platform.release()}, compiled by "
        f"{_version(machine.compiler())}; {pins}. {run.rounds} rounds, {run.seconds:g} s of load "
        f"for each server in each. Load average before: {load:.1f}.",
        "Ratios are to the first row, round by round: median (quartiles).",
    ]
    if run.operations:
        lines.append("**A quick run: it shows that everything works, and nothing else.**")
    if run.absent:
        lines.append("Not here, and so not measured: " + ", ".join(sorted(run.absent)) + ".")
    return "\n\n".join(lines)


def _echo_section(run, configuration, verdicts):
    rows = [("server", f"CPU/request ÷ {configuration.base}", "target",
             f"requests/s ÷ {configuration.base}", "target", "CPU/request", "requests/s")]
    for server in plan.servers_of(configuration):
        compared = cpu_and_rate(run, configuration, server)
        if not compared:
            continue
        cpu, rate = compared
        key = server.name, configuration.name
        what = f"{server.name}, {configuration.title}"
        cpu_verdict = rate_verdict = ""
        if key in plan.CPU_AT_MOST:
            cpu_verdict = verdicts.at_most(f"{what}, CPU/request", cpu, plan.CPU_AT_MOST[key])
        if key in plan.RATE_AT_LEAST:
            rate_verdict = verdicts.at_least(f"{what}, requests/s", rate, plan.RATE_AT_LEAST[key])
        values = zip(*run.echo[configuration.name, server.name])
        microseconds, per_second = map(statistics.median, values)
        rows.append((f"**{server.name}**" if server.ours else server.name, cpu, cpu_verdict, rate,
                     rate_verdict, f"{microseconds:.2f} µs", f"{per_second:.0f}"))
    return f"## Echo: {configuration.title}\n\n{table(*rows)}"


def _loop_section(run, verdicts):
    others = [program.name for program in plan.LOOPS if not program.ours]
    rows = [("workload", plan.OURS, f"÷ {plan.FLOOR}", "target", *others)]
    for name in run.workloads:
        values = run.loop[name, plan.OURS]
        base, bound = plan.LOOP_AT_MOST[name]
        floor = run.loop.get((name, plan.FLOOR))
        verdict = ""
        if base is None:
            verdict = verdicts.at_most(name, Spread(values), bound, f" {run.units[name]}")
        elif (name, base) in run.loop:
            verdict = verdicts.at_most(f"{name} ÷ {base}", ratios(values, run.loop[name, base]),
                                       bound, f" × {base}")
        theirs = [f"{statistics.median(run.loop[name, other]):.1f}"
                  if (name, other) in run.loop else "–" for other in others]
        rows.append((f"`{name}`", f"{statistics.median(values):.1f} {run.units[name]}",
                     ratios(values, floor) if floor else "–", verdict, *theirs))
    return f"## In memory\n\n{table(*rows)}"


def _threads_section(run, verdicts):
    """What is measured, and what follows by Amdahl's law from the share of work that two threads
    could not divide."""
    head = ["threads"]
    measured = {threads: [threads] for threads in plan.THREADS}
    computed = {threads: [f"{threads}, computed"] for threads in plan.MORE_THREADS}
    for program in plan.THREADED:
        head += [f"{program.name} ÷ its one thread", "target", "requests/s"]
        one = run.threads[program.name, 1]
        for threads, row in measured.items():
            rates = run.threads[program.name, threads]
            verdict = ""
            if program.ours and threads in plan.THREADS_AT_LEAST:
                verdict = verdicts.at_least(f"{program.name}, {threads} threads, requests/s",
                                            ratios(rates, one), plan.THREADS_AT_LEAST[threads])
            row += [ratios(rates, one), verdict, f"{statistics.median(rates):.0f}"]
        undivided = max(2 / ratios(run.threads[program.name, 2], one).median - 1, 0)
        for threads, row in computed.items():
            row += [f"{threads / (1 + undivided * (threads - 1)):.1f}", "", ""]
    return f"## Threads\n\n{table(head, *measured.values(), *computed.values())}"


def _compile_section(run, verdicts):
    base, *_ = plan.COMPILED
    rows = [("a file that includes", "CPU time of the compiler", f"÷ {base}", "target")]
    for name, values in run.compiled.items():
        ratio = ratios(values, run.compiled[base])
        verdict = ""
        if name != base:
            verdict = verdicts.at_most(f"compiling {name}", ratio, plan.COMPILE_AT_MOST)
        shown = name.replace("<", "&lt;")
        rows.append((shown, f"{statistics.median(values):.0f} ms", ratio, verdict))
    return f"## Compile time\n\n{table(*rows)}"


def report(run, load):
    """The text, and what it says of the targets."""
    verdicts = Verdicts()
    sections = [_echo_section(run, configuration, verdicts)
                for configuration in run.configurations]
    if run.workloads:
        sections.append(_loop_section(run, verdicts))
    if run.with_threads:
        sections.append(_threads_section(run, verdicts))
    if run.compiled:
        sections.append(_compile_section(run, verdicts))
    text = "\n\n".join(["# Benchmark", _preamble(run, load), *sections, verdicts.section()])
    return text + "\n", verdicts
