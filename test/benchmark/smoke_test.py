#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Does the benchmark work? How long anything takes is not looked at."""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree

import plan
import summary

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ["ASYNCIO_BIN"])
SVG = "{http://www.w3.org/2000/svg}"


def drive(output, *arguments, programs=BIN):
    """The benchmark, short."""
    return subprocess.run(
        [sys.executable, HERE / "run.py", "--quick", "--rounds", "1", "--no-pin", "--bin", programs,
         "--output", output, *arguments], capture_output=True, text=True)


class Driver(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_measures_everything(self):
        done = drive(self.directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.directory / "report.md").read_text()
        plot = xml.etree.ElementTree.parse(self.directory / "ratios.svg")
        titles = [element.text for element in plot.iter(f"{SVG}text")]
        self.assertEqual(done.stdout, text + "\n")

        sections = text.split("\n## ")
        dots = 0
        for configuration in plan.CONFIGURATIONS:
            if configuration.base == plan.ASIO_TLS and not (BIN / "bench_echo_tls").exists():
                continue
            with self.subTest(configuration.name):
                section, = (s for s in sections if s.startswith(f"Echo: {configuration.title}\n"))
                rows = [line for line in section.splitlines() if line.endswith(" |")][1:]
                dots += len(rows)
                self.assertTrue(rows[0].startswith(f"| {configuration.base} | 1.00 "), rows[0])
                for server in plan.servers_of(configuration):
                    if server.ours:
                        self.assertIn(f"\n| **{server.name}** | ", section)
                self.assertIn(f"{configuration.title}: CPU/request ÷ {configuration.base}", titles)
        self.assertEqual(len(list(plot.iter(f"{SVG}circle"))), dots)
        for workload in plan.WORKLOADS:
            self.assertRegex(text, rf"\n\| `{workload}` \| [\d.]+ (ns|B) \|")
        if len(os.sched_getaffinity(0)) > 1:
            self.assertRegex(text, r"\n\| 2 \| [\d.]+ \(")

        self.assertRegex(text, r"\n\| &lt;asyncio/asyncio.hpp> \| \d+ ms \| ")
        self.assertRegex(text, r"\n## Targets: \d+ met, \d+ missed, \d+ undecided\n")

        short = (self.directory / "summary.md").read_text()
        self.assertRegex(short, r"^Medians of 1 rounds, .*\. Targets: \d+ met, \d+ missed, "
                                r"\d+ undecided\.\n")
        for configuration in plan.CONFIGURATIONS:
            if configuration.base == plan.EPOLL:
                self.assertIn(f" | {configuration.title} |", short)
        for workload in plan.WORKLOADS:
            self.assertRegex(short, rf"\n\| `{workload}` \| [\d.]+ (ns|B) \|")

    def test_the_readme_has_a_place_for_the_summary(self):
        readme = (ROOT / "README.md").read_text()
        changed = summary.published(readme, "new\n")
        self.assertIn(f"{summary.BEGIN}\n\nnew\n\n{summary.END}\n", changed)
        self.assertEqual(summary.published(changed, "new\n"), changed)
        with self.assertRaisesRegex(ValueError, "no place"):
            summary.published("", "new\n")

    def assert_fails(self, substitute, reason):
        """With the substitute in the place of our server."""
        programs = self.directory / "bin"
        programs.mkdir()
        for program in BIN.iterdir():
            (programs / program.name).symlink_to(program)
        server = programs / "bench_echo_protocol"
        server.unlink()
        server.write_text(substitute)
        server.chmod(0o755)
        done = drive(self.directory / "out", "--only", "1x64B", programs=programs)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"FAILED: Protocol {reason}", done.stderr)
        self.assertFalse((self.directory / "out").exists())

    def test_fails_if_a_server_does_not_begin(self):
        self.assert_fails("#!/bin/sh\nexit 1\n", "does not begin")

    def test_fails_if_a_server_is_dead(self):
        self.assert_fails("#!/bin/sh\necho READY\n", "under 1x64B")


class Load(unittest.TestCase):
    """echo_load against servers that do not echo."""

    @contextlib.contextmanager
    def server(self, answer):
        """One connection; what is received is answered with answer(data), if that is anything."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve():
                connection, _ = listener.accept()
                with connection:
                    while data := connection.recv(65536):
                        if (back := answer(data)) is None:
                            return
                        connection.sendall(back)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                thread.join()

    def load(self, answer, *arguments):
        with self.server(answer) as port:
            return subprocess.run(
                [BIN / "echo_load", "127.0.0.1", str(port), "--size", "300", "--seconds", "0.01",
                 *arguments], capture_output=True, text=True)

    def assert_refused(self, answer, reason, *arguments):
        done = self.load(answer, *arguments)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, f"echo_load: {reason}\n")

    def test_an_echo_is_counted(self):
        done = self.load(lambda data: data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^RESULT requests [1-9]\d* [\d.]+ requests/s\n$")

    def test_a_changed_byte(self):
        self.assert_refused(lambda data: data[:-1] + bytes([data[-1] ^ 1]),
                            "the server has not sent back what it was sent")

    def test_bytes_in_another_order(self):
        self.assert_refused(lambda data: data[::-1],
                            "the server has not sent back what it was sent", "--depth", "4")

    def test_too_many_bytes(self):
        self.assert_refused(lambda data: data + b"x",
                            "the server has sent more than it was sent")

    def test_a_connection_that_ends(self):
        self.assert_refused(lambda data: None, "the server has ended a connection")


if __name__ == "__main__":
    unittest.main()
