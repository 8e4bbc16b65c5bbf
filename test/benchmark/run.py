#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures asyncio beside its peers and writes tables and a plot of the ratios: see README.md."""
import argparse
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
from collections import defaultdict

import plan
import plot
import report
import summary
from measure import HERE, Failure, Machine

ROOT = HERE.parent.parent
QUICK_SECONDS, QUICK_CONNECTIONS, QUICK_OPERATIONS = 0.05, 8, 2000


def arguments():
    names = [*(configuration.name for configuration in plan.CONFIGURATIONS), *plan.WORKLOADS,
             "threads", plan.COMPILE]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often all are measured (15)")
    parser.add_argument("--seconds", type=float, default=0.2,
                        help="of load for each server and configuration in each round (0.2)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME",
                        help="configurations and workloads, of " + ", ".join(names))
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "benchmark",
                        metavar="DIR", help="for report.md, ratios.svg, summary.md, samples.json")
    parser.add_argument("--publish", action="store_true",
                        help="put report and plot beside this program, the summary into README.md")
    parser.add_argument("--quick", action="store_true",
                        help="does it all work? Few operations, worthless numbers")
    parser.add_argument("--no-pin", action="store_true",
                        help="leave it to the kernel on which processors server and load run")
    parser.add_argument("--bin", type=pathlib.Path, metavar="DIR",
                        help="the programs are here; otherwise the release preset is built")
    options = parser.parse_args()
    if options.publish and (options.quick or options.only != names):
        parser.error("--publish wants everything measured, and not --quick")
    return options


def build():
    """The release preset's programs; gives their directory."""
    subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", "--preset", "release", "--target", "benchmarks"], cwd=ROOT,
                   check=True, stdout=sys.stderr)
    return ROOT / "build" / "release" / "bin"


def quick(configuration):
    """The same with few connections."""
    words = list(configuration.load)
    place = words.index("--connections") + 1
    words[place] = min(words[place], QUICK_CONNECTIONS)
    return dataclasses.replace(configuration, load=tuple(words))


def shuffled(programs):
    return random.sample(programs, len(programs))


class Run:
    def __init__(self, options, machine):
        self.machine = machine
        self.seconds = QUICK_SECONDS if options.quick else options.seconds
        self.operations = QUICK_OPERATIONS if options.quick else None
        self.rounds = options.rounds
        self.absent = set()
        self.configurations = [quick(c) if options.quick else c for c in plan.CONFIGURATIONS
                               if c.name in options.only]
        self.workloads = [name for name in plan.WORKLOADS if name in options.only]
        self.echo = defaultdict(list)  # (configuration, server) -> [(CPU, rate) of each round]
        self.with_threads = "threads" in options.only and len(os.sched_getaffinity(0)) > 1
        self.threads = defaultdict(list)  # (program, how many) -> [rate of each round]
        self.loop = defaultdict(list)  # (workload, program) -> [value of each round]
        self.units = {}
        self.compiles = plan.COMPILE in options.only
        self.compiled = defaultdict(list)  # what -> [milliseconds of each round]

    def present(self, programs):
        """Those that are here. Of the peers some may be absent, which is noted."""
        here = []
        for program in programs:
            if self.machine.command(program):
                here.append(program)
            elif program.ours:
                raise Failure(f"{program.command[0]} is not built")
            else:
                self.absent.add(program.name)
        return here

    def measure(self):
        """All, one after the other, and that again in each round, in another order: what the machine
        does meanwhile comes to everybody's share."""
        if not self.machine.tls:
            self.configurations = [c for c in self.configurations if c.base != plan.ASIO_TLS]
        servers = {c.name: self.present(plan.servers_of(c)) for c in self.configurations}
        loops = self.present(plan.LOOPS) if self.workloads else []
        able = {program: self.machine.workloads(program) for program in loops}
        for number in range(1, self.rounds + 1):
            for configuration in self.configurations:
                self.progress(number, configuration.name)
                for server in shuffled(servers[configuration.name]):
                    self.echo[configuration.name, server.name].append(
                        self.machine.load(server, configuration, self.seconds))
            for name in self.workloads:
                self.progress(number, name)
                for program in shuffled(loops):
                    if name in able[program]:
                        value, self.units[name] = self.machine.workload(program, name,
                                                                        self.operations)
                        self.loop[name, program.name].append(value)
            if self.with_threads:
                self.progress(number, "threads")
                for threads in plan.THREADS:
                    for program in plan.THREADED:
                        self.threads[program.name, threads].append(
                            self.machine.threads(program, threads, self.seconds))
            if self.compiles:
                self.progress(number, plan.COMPILE)
                for name, headers in plan.COMPILED.items():
                    self.compiled[name].append(self.machine.compile(headers))

    def progress(self, number, name):
        print(f"round {number} of {self.rounds}: {name}", file=sys.stderr, flush=True)

    def samples(self):
        return {"echo": [[*key, values] for key, values in self.echo.items()],
                "loop": [[*key, values] for key, values in self.loop.items()],
                "threads": [[*key, values] for key, values in self.threads.items()],
                "compile": [[name, values] for name, values in self.compiled.items()]}


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # and no server stays behind
    load = os.getloadavg()[0]
    run = Run(options, Machine(options.bin or build(), not options.no_pin))
    try:
        run.measure()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
    text, verdicts = report.report(run, load)
    short = summary.summary(run, verdicts)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "report.md").write_text(text)
    (options.output / "summary.md").write_text(short)
    (options.output / "samples.json").write_text(json.dumps(run.samples(), indent=1) + "\n")
    if run.configurations:
        (options.output / "ratios.svg").write_text(plot.plot(run))
    if options.publish:
        for name in ("report.md", "ratios.svg"):
            shutil.copy(options.output / name, HERE)
        readme = ROOT / "README.md"
        readme.write_text(summary.published(readme.read_text(), short))
    print(text)
    print(f"written to {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
