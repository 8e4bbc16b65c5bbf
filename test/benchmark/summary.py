# SPDX-License-Identifier: BSL-1.0
"""What was measured, in short: the medians, for the project's README."""
import datetime
import statistics

import plan
from report import cpu_and_rate, ratios, table

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def _echo_table(run):
    configurations = [c for c in run.configurations if c.base == plan.EPOLL]
    rows = [("server", *(configuration.title for configuration in configurations))]
    for server in plan.ECHO_SERVERS:
        compared = [cpu_and_rate(run, configuration, server) for configuration in configurations]
        if any(compared):
            rows.append((f"**{server.name}**" if server.ours else server.name,
                         *(f"{both[0].median:.2f}" if both else "–" for both in compared)))
    return table(*rows)


def _loop_table(run):
    peers = [program.name for program in plan.LOOPS
             if not program.ours and program.name != plan.FLOOR]
    rows = [("workload", "here", f"÷ {plan.FLOOR}", *peers)]
    for name in run.workloads:
        here = statistics.median(run.loop[name, plan.OURS])
        floor = run.loop.get((name, plan.FLOOR))
        theirs = [run.loop.get((name, peer)) for peer in peers]
        rows.append((f"`{name}`", f"{here:.{1 if here < 100 else 0}f} {run.units[name]}",
                     f"{ratios(run.loop[name, plan.OURS], floor).median:.1f}" if floor else "–",
                     *(f"{statistics.median(values):.0f}" if values else "–" for values in theirs)))
    return table(*rows)


def _other_rows(run):
    """What is neither an echo over TCP nor an operation of a loop."""
    for configuration in run.configurations:
        for server in plan.servers_of(configuration):
            if configuration.base == plan.ASIO_TLS and server.ours:
                cpu, _ = cpu_and_rate(run, configuration, server)
                yield f"{configuration.title}, CPU ÷ {configuration.base}", f"{cpu.median:.2f}"
    if run.with_threads:
        for program in plan.THREADED:
            more = ratios(run.threads[program.name, 2], run.threads[program.name, 1])
            yield f"requests/s of two threads ÷ one, {program.name}", f"{more.median:.2f}"
    base, *others = plan.COMPILED
    for name in others if run.compiled else ():
        ratio = ratios(run.compiled[name], run.compiled[base])
        yield f"compile time of `{name}` ÷ {base}", f"{ratio.median:.2f}"


def summary(run, verdicts):
    parts = [f"Medians of {run.rounds} rounds, {datetime.date.today()}. Targets: {verdicts}."]
    if any(configuration.base == plan.EPOLL for configuration in run.configurations):
        parts += [f"CPU time of the server for each request ÷ {plan.EPOLL}:", _echo_table(run)]
    if run.workloads:
        parts += ["An operation in memory, or the memory of a waiting task or an idle connection:",
                  _loop_table(run)]
    if others := list(_other_rows(run)):
        parts.append(table(("besides", "ratio"), *others))
    return "\n\n".join(parts) + "\n"


def published(readme, text):
    """The README with this summary in the place of the former one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no place for it: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
