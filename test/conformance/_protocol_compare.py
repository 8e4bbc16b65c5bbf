#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plays the peer of the transport scenarios and compares the traces.

    _protocol_compare.py --cmd PROGRAM [SCENARIO.json or folder ...] [--only GLOB] [--repeat N]

PROGRAM runs protocols that print what they are told and react as the scenario says; here is its
peer, made of plain sockets. Peer and program proceed by handshake: `expect` waits for a line of
the program, `recv` for bytes. Beside NAME.json lies NAME.trace: what CPython 3.13 prints.
"""
import argparse
import contextlib
import difflib
import fnmatch
import json
import os
import pathlib
import queue
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from ports import free_port  # noqa: E402

SCENARIOS = pathlib.Path(__file__).resolve().parent / "protocols"
PATIENCE = 20.0  # seconds to wait for anything that must happen


class Failure(Exception):
    """The scenario could not be played to its end."""


def shown(data):
    if len(data) <= 200:
        return json.dumps(data.decode("latin-1"))
    return f"#{len(data)} crc32={zlib.crc32(data):08x}"


class Peer:
    """One run of a scenario: starts the program and plays the other side."""

    def __init__(self, command, scenario_file, folder):
        self.scenario = json.loads(scenario_file.read_text(encoding="utf-8"))
        role = self.scenario["program"]["role"]
        self.unix = role.startswith("unix")
        self.datagram = role.startswith("udp")
        self.port = free_port(socket.SOCK_DGRAM if self.datagram else socket.SOCK_STREAM)
        self.path = os.path.join(folder, "socket")
        self.listener = None
        self.sockets = {}
        self.sender = None  # of the datagram received last
        self.notes = []  # what the peer itself saw
        self.output = []  # lines of the program
        self.lines = queue.Queue()
        self.cursor = 0  # behind the line found last
        self.ready = False
        if self.scenario.get("listen", True):
            if role in ("tcp_client", "unix_client"):
                self.listener = self.bound(listen=True)
            elif role == "udp_client":
                self.sockets["u1"] = self.bound(listen=False)
        self.process = subprocess.Popen(
            [*command, "--scenario", str(scenario_file), "--port", str(self.port),
             "--path", self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pump = threading.Thread(target=self.read_lines, daemon=True)
        self.pump.start()

    def new_socket(self):
        new = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET,
                            socket.SOCK_DGRAM if self.datagram else socket.SOCK_STREAM)
        new.settimeout(PATIENCE)
        return new

    def address(self):
        return self.path if self.unix else ("127.0.0.1", self.port)

    def bound(self, listen):
        new = self.new_socket()
        if size := self.scenario.get("peer_buffer"):
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        if not self.unix and not self.datagram:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.bind(self.address())
        if listen:
            new.listen()
        return new

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    # ---- the program

    def next_line(self, timeout):
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            return False
        if line is None:
            raise Failure("the program ended")
        if line.startswith("program ready"):
            self.ready = True  # its place among the other lines is open
        if line != "program ready":
            self.output.append(line)
        return True

    def expect(self, prefix):
        """Waits for a line that begins so, from where the last one was found."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self.cursor < len(self.output):
                self.cursor += 1
                if self.output[self.cursor - 1].startswith(prefix):
                    return
            if not self.next_line(max(0.0, deadline - time.monotonic())):
                raise Failure(f"no line '{prefix}'")

    def quiet(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.next_line(max(0.001, deadline - time.monotonic()))

    # ---- the run

    def play(self):
        failures = []
        try:
            while not self.ready:
                if not self.next_line(PATIENCE):
                    raise Failure("the program does not say that it is ready")
            for step in self.scenario["peer"]:
                (action, argument), *_ = step.items()
                getattr(self, f"do_{action}")(argument, step)
            self.quiet(self.scenario.get("linger", 0.03))
        except (Failure, OSError) as exc:
            failures.append(f"peer failed: {exc}")
        status = self.stop()
        if status:
            failures.append(f"program ended with status {status}")
        trace = normalise(self.output, self.scenario.get("unordered"))
        for one, other in self.scenario.get("equal", {}).items():
            trace = [line.replace(one, other) for line in trace]
        return trace + self.notes + failures

    def stop(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
            self.process.wait(timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.pump.join()
        with contextlib.suppress(BrokenPipeError):  # it has ended before: the status tells how
            self.process.stdin.close()
        self.process.stdout.close()
        for open_socket in self.sockets.values():
            open_socket.close()
        if self.listener:
            self.listener.close()
        return self.process.returncode

    def note(self, *words):
        self.notes.append(" ".join(["peer", *words]))

    # ---- the steps

    def do_connect(self, name, step):
        new = self.new_socket()
        if "buffer" in step:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, step["buffer"])
        try:
            new.connect(self.address())
        except OSError as exc:
            self.note(name, "connect !", type(exc).__name__)
        self.sockets[name] = new

    def do_accept(self, name, _):
        self.sockets[name], _ = self.listener.accept()
        self.sockets[name].settimeout(PATIENCE)

    def do_send(self, name, step):
        try:
            self.sockets[name].sendall((step["data"] * step.get("times", 1)).encode("latin-1"))
        except OSError as exc:
            self.note(name, "send !", type(exc).__name__)

    def do_recv(self, name, step):
        data = bytearray()
        while len(data) < step["n"]:
            piece = self.sockets[name].recv(min(65536, step["n"] - len(data)))
            if not piece:
                raise Failure(f"{name}: end of stream after {len(data)} of {step['n']} bytes")
            data += piece
        self.note(name, "recv", shown(data))

    def do_recv_eof(self, name, step):
        data = bytearray()
        try:
            while piece := self.sockets[name].recv(65536):
                data += piece
            end = "eof"
        except ConnectionResetError:
            end = "reset"
        self.note(name, "recv", shown(data) if step.get("data", True) else "...", end)

    def do_shutdown(self, name, _):
        self.sockets[name].shutdown(socket.SHUT_WR)

    def do_close(self, name, _):
        self.sockets.pop(name).close()

    def do_reset(self, name, _):
        victim = self.sockets.pop(name)
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        victim.close()

    def do_socket(self, name, _):
        self.sockets[name] = self.new_socket()
        self.sockets[name].connect(self.address())

    def do_recvfrom(self, name, _):
        data, self.sender = self.sockets[name].recvfrom(65536)
        self.note(name, "recv", shown(data))

    def do_reply(self, name, step):
        self.sockets[name].sendto(step["data"].encode("latin-1"), self.sender)

    def do_command(self, name, _):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()

    def do_expect(self, prefix, _):
        self.expect(prefix)

    def do_quiet(self, seconds, _):
        self.quiet(seconds)


DATA = re.compile(r"(\S+ (?:data_received|buffer_updated|pipe_data_received \d)) (.+)")


def join_data(lines):
    """Consecutive data lines of one connection as one: how a stream is cut is nobody's promise."""
    joined = []
    for line in lines:
        now, before = DATA.fullmatch(line), DATA.fullmatch(joined[-1]) if joined else None
        if not (now and before and now[1] == before[1]):
            joined.append(line)
        elif now[2].startswith("#"):
            joined[-1] = f"{now[1]} #{int(before[2][1:]) + int(now[2][1:])}"
        else:
            joined[-1] = f"{now[1]} {json.dumps(json.loads(before[2]) + json.loads(now[2]))}"
    return joined


def normalise(lines, unordered):
    """Joins data lines, and sorts runs of lines that match `unordered`: their order is open."""
    lines = join_data(lines)
    if not unordered:
        return lines
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and re.search(unordered, lines[end]):
            end += 1
        lines[start:end] = sorted(lines[start:end])
        start = max(end, start + 1)
    return lines


def play(command, scenario_file, peer):
    with tempfile.TemporaryDirectory() as folder:
        return peer(command, scenario_file, folder).play()


def check(command, scenario_file, trace_file, repeat, peer):
    """Empty if every run gave the expected trace, else the difference."""
    expected = trace_file.read_text(encoding="utf-8").splitlines()
    for _ in range(repeat):
        trace = play(command, scenario_file, peer)
        if trace != expected:
            about = json.loads(scenario_file.read_text(encoding="utf-8"))["about"]
            return "\n".join([f"=== {scenario_file.stem}: {about}", *difflib.unified_diff(
                expected, trace, "expected", "actual", lineterm="", n=4)])
    return ""


def trace_beside(scenario_file):
    return scenario_file.with_suffix(".trace")


def compare(command, paths, only="*", repeat=1, peer=Peer, trace_of=trace_beside):
    """Prints what differs; true if nothing does."""
    files = [file for path in paths
             for file in ([path] if path.is_file() else sorted(path.rglob("*.json")))
             if fnmatch.fnmatch(file.stem, only)]
    failed = 0
    for file in files:
        if difference := check(command, file, trace_of(file), repeat, peer):
            failed += 1
            print(difference)
    print(f"{len(files) - failed} of {len(files)} scenarios as expected")
    return bool(files) and not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=[SCENARIOS], type=pathlib.Path)
    parser.add_argument("--cmd", required=True, help="the program under test")
    parser.add_argument("--only", default="*", help="glob on scenario names")
    parser.add_argument("--repeat", type=int, default=1, help="play every scenario this often")
    options = parser.parse_args()
    command = shlex.split(options.cmd)
    sys.exit(not compare(command, options.scenarios, options.only, options.repeat))


if __name__ == "__main__":
    main()
