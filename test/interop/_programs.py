# SPDX-License-Identifier: BSL-1.0
"""Runs the programs of the directory named by ASYNCIO_BIN, for tests that are their peers."""
import asyncio
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from ports import free_port  # noqa: E402,F401

HOST = "127.0.0.1"
PATIENCE = 60  # seconds for anything that must happen; a test that needs them has failed


class Program:
    """A running program. What it prints, on stdout and stderr, is in `lines`."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self.arrived = asyncio.Event()
        self.cursor = 0  # behind the line found last
        self.pump = asyncio.create_task(self.read_lines())

    @classmethod
    async def start(cls, name, *arguments):
        path = pathlib.Path(os.environ["ASYNCIO_BIN"]) / name
        return cls(await asyncio.create_subprocess_exec(
            path, *map(str, arguments), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=2 ** 24))

    async def read_lines(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
            self.arrived.set()

    async def line(self, prefix):
        """Waits for a line that begins so, behind the one found last."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self.cursor < len(self.lines):
                    self.cursor += 1
                    if self.lines[self.cursor - 1].startswith(prefix):
                        return self.lines[self.cursor - 1]
                if self.pump.done():
                    raise AssertionError(f"no line {prefix!r} in {self.lines}")
                self.arrived.clear()
                arrival = asyncio.create_task(self.arrived.wait())
                await asyncio.wait([arrival, self.pump],
                                   return_when=asyncio.FIRST_COMPLETED)
                arrival.cancel()

    async def end(self):
        """Waits for the end; its status."""
        async with asyncio.timeout(PATIENCE):
            await self.pump
            return await self.process.wait()

    async def interrupt(self):
        """Ctrl-C, and waits for the end; its status."""
        self.process.send_signal(signal.SIGINT)
        return await self.end()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.pump
        await self.process.wait()


async def connect(port):
    async with asyncio.timeout(PATIENCE):
        return await asyncio.open_connection(HOST, port)


async def read_to_end(reader):
    async with asyncio.timeout(PATIENCE):
        return await reader.read()


async def close(writer):
    writer.close()
    try:
        async with asyncio.timeout(PATIENCE):
            await writer.wait_closed()
    except ConnectionError:
        pass  # the other side was faster
