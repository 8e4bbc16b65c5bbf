# SPDX-License-Identifier: BSL-1.0
"""Runs the programs of the plan and reads what they print."""
import contextlib
import os
import pathlib
import resource
import select
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from ports import free_port  # noqa: E402

PATIENCE = 300  # seconds for anything a program is to do


class Failure(Exception):
    """A program does not do what it should: nothing measured beside it is worth anything."""


def _interpreter_with(module):
    """A Python that has the module, or None. Debian's own has what Debian packages."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run(
                [python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return python
    return None


class Machine:
    """Where the programs are, and on which processors they run."""

    def __init__(self, directory, pinned):
        self.directory = pathlib.Path(directory)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the programs inherit it
        processors = sorted(os.sched_getaffinity(0))
        self.pinned = pinned and len(processors) > 1 and shutil.which("taskset") is not None
        self.server_pin, self.load_pin = (
            (["taskset", "-c", str(processor)] for processor in processors[:2])
            if self.pinned else ([], []))
        self.tls = (self.directory / "bench_echo_tls").exists()  # the build may be without
        self._interpreters = {}

    def command(self, program):
        """How to run the program of the plan; None if it is not here."""
        name, *arguments = program.command
        if not program.module:
            path = self.directory / name
            return [str(path), *arguments] if path.exists() else None
        if program.module not in self._interpreters:
            self._interpreters[program.module] = _interpreter_with(program.module)
        python = self._interpreters[program.module]
        return python and [python, str(HERE / "peers" / name), *arguments]

    def load(self, program, configuration, seconds):
        """CPU microseconds per request, and requests per second."""
        with self._server(program) as (server, port):
            _, _, rate, _, cpu, _ = self._result(
                f"{program.name} under {configuration.name}",
                [*self.load_pin, self.directory / "echo_load", "127.0.0.1", port, "--server",
                 server.pid, "--seconds", seconds, *configuration.load])
            if server.poll() is not None:
                raise Failure(f"{program.name} has ended with status {server.returncode}")
            return float(cpu), float(rate)

    def workloads(self, program):
        """The names of those that it has."""
        return subprocess.run([*self.command(program), "list"], check=True, capture_output=True,
                              text=True).stdout.split()

    def compiler(self):
        """That which the programs were made with."""
        for line in (self.directory.parent / "CMakeCache.txt").read_text().splitlines():
            if line.startswith("CMAKE_CXX_COMPILER:"):
                return line.partition("=")[2]
        raise LookupError("the build does not name its compiler")

    def compile(self, headers):
        """The compiler's CPU milliseconds for a file that includes them, and does nothing else."""
        source = "".join(f"#include <{header}>\n" for header in headers)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            [self.compiler(), "-std=c++20", "-O2", f"-I{HERE.parent.parent / 'include'}",
             "-xc++", "-c", "-", "-o", os.devnull], input=source, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{', '.join(headers)}: not to be compiled\n{done.stderr}".rstrip())
        return 1000 * (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)

    def workload(self, program, name, operations):
        """Its value, and the value's unit."""
        _, _, value, unit = self._result(
            f"{program.name} with {name}",
            [*self.server_pin, *self.command(program), name, *([operations] if operations else [])])
        return float(value), unit

    def threads(self, program, threads, seconds):
        """Requests per second that so many threads answer while they serve."""
        _, _, rate, _ = self._result(f"{program.name} with {threads} threads",
                                     [*self.command(program), threads, seconds])
        return float(rate)

    @contextlib.contextmanager
    def _server(self, program):
        port = free_port()
        command, *arguments = self.command(program)
        where = 1 if program.module else len(arguments)  # the port follows a script's name
        arguments.insert(where, str(port))
        server = subprocess.Popen([*self.server_pin, command, *arguments], stdout=subprocess.PIPE)
        try:
            ready, _, _ = select.select([server.stdout], [], [], PATIENCE)
            if not ready or server.stdout.readline() != b"READY\n":
                raise Failure(f"{program.name} does not begin")
            yield server, port
        finally:
            server.kill()
            server.communicate()

    @staticmethod
    def _result(what, command):
        """The words behind RESULT."""
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                  timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"{what}: no end") from None
        if done.returncode != 0 or not done.stdout.startswith("RESULT "):
            raise Failure(f"{what}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout.split()[1:]
