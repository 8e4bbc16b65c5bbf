#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What was won and does not depend on the machine: allocations, instructions, system calls."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from ports import free_port  # noqa: E402

BIN = pathlib.Path(os.environ["ASYNCIO_BIN"])
PATIENCE = 120

# Per operation; nothing that is not named here.
ALLOCATIONS = {
    "echo_streams": 1,  # the Bytes that read() gives
    "cancel": 3,        # an exception made once and thrown twice
}

# Instructions per operation, as g++ 12 and Boost 1.81 make them; to others half as many again are
# allowed. An operation of echo is the server's and the client's part.
INSTRUCTIONS = {
    "echo_protocol": 2939,
    "echo_buffered": 2989,
    "echo_streams": 4882,
    "call_soon": 134,
    "call_later_cancel": 304,
    "task": 709,
    "await": 167,
    "yield": 142,
    "sleep": 1003,
    "queue": 586,
    "cancel": 21895,
}
SAME = re.match(r"GNU 12\..*, Boost 1\.81\.", os.environ["ASYNCIO_MADE_WITH"])
ALLOWANCE = 1.1 if SAME else 1.5

# System calls per request that comes when the server waits. Of raw epoll: epoll_wait, recv, send.
SYSTEM_CALLS = {
    "peer_echo_epoll": 3,
    "bench_echo_protocol": 4.06,
    "bench_echo_buffered": 4.06,
    "bench_echo_streams": 5.03,
    "bench_echo_guest": 4.06,
}
SYSTEM_CALLS_ALLOWANCE = 0.08


def output(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def works(*command):
    return (shutil.which(command[0]) is not None
            and subprocess.run(command, capture_output=True).returncode == 0)


class Counts(unittest.TestCase):
    program = BIN / "count_allocations"

    @classmethod
    def setUpClass(cls):
        cls.workloads = output(cls.program, "list").split()

    def test_allocations(self):
        operations = 10_000
        for workload in self.workloads:
            with self.subTest(workload):
                words = output(self.program, workload, operations).split()
                self.assertLessEqual(float(words[3]), ALLOCATIONS.get(workload, 0) * operations)

    @unittest.skipUnless(works("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                               "true"), "there is no valgrind that works")
    def test_instructions(self):
        self.assertEqual(sorted(INSTRUCTIONS), sorted(self.workloads))
        for workload in self.workloads:
            with self.subTest(workload):
                few, many = 500, 1500
                more = self.instructions(workload, many) - self.instructions(workload, few)
                each = more / (5 * (many - few))  # it does N, and twice 2 N
                self.assertLessEqual(each, INSTRUCTIONS[workload] * ALLOWANCE)

    def instructions(self, workload, operations):
        report = output("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                        self.program, workload, operations)
        return int(re.search(r"Collected : (\d+)", report)[1])

    @unittest.skipUnless(works("strace", "-o", "/dev/null", "true"),
                         "there is no strace that works")
    def test_system_calls(self):
        for server, limit in SYSTEM_CALLS.items():
            with self.subTest(server):
                few, many = 100, 1100
                more = system_calls(server, many) - system_calls(server, few)
                self.assertLessEqual(more / (many - few), limit + SYSTEM_CALLS_ALLOWANCE)


@contextlib.contextmanager
def traced(server, port, report):
    """The process that serves; when it has ended, the report is there."""
    with subprocess.Popen(["strace", "-f", "-c", "-o", report, BIN / server, str(port)],
                          stdout=subprocess.PIPE) as strace:
        if strace.stdout.readline() != b"READY\n":
            raise AssertionError(f"{server} does not begin")
        children = pathlib.Path(f"/proc/{strace.pid}/task/{strace.pid}/children")
        process, = map(int, children.read_text().split())
        try:
            yield process
        finally:
            os.kill(process, signal.SIGKILL)


def wait_until_it_waits(process):
    """It sleeps: in epoll_wait, for it has no other call that waits."""
    stat = pathlib.Path(f"/proc/{process}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "S":
        pass


def system_calls(server, requests):
    """How many the server makes in its life. Each request comes when it waits for one: otherwise
    chance would decide how many it finds when it looks."""
    port = free_port()
    with tempfile.NamedTemporaryFile("r") as report:
        with traced(server, port, report.name) as process:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                for _ in range(requests):
                    wait_until_it_waits(process)
                    client.sendall(b"x" * 64)
                    received = 0
                    while received < 64:
                        received += len(client.recv(64 - received))
        total, = (line for line in report if line.endswith(" total\n"))
        return int(total.split()[3])


if __name__ == "__main__":
    unittest.main(verbosity=2)
