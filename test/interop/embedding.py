#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The examples of asyncio inside Asio programs, with clients from outside."""
import asyncio
import base64
import hashlib
import os
import shutil
import signal
import unittest

from _programs import HOST, PATIENCE, Program, close, connect, free_port, read_to_end


async def ask(port, question=b""):
    """What the server says to the question, until it closes."""
    reader, writer = await connect(port)
    if question:
        writer.write(question)
        writer.write_eof()
    answer = await read_to_end(reader)
    await close(writer)
    return answer


class Embedding(unittest.IsolatedAsyncioTestCase):
    async def end(self, program, number=signal.SIGINT):
        program.process.send_signal(number)
        self.assertEqual(await program.end(), 0, program.lines)
        self.assertEqual(program.lines[-1], "bye")


class ExistingProgram(Embedding):
    async def test_the_old_and_the_new_service_run_side_by_side(self):
        daytime, shout = free_port(), free_port()
        async with await Program.start("existing_program", HOST, daytime, shout) as program:
            await program.line("daytime on port")
            for _ in range(3):
                self.assertRegex(await ask(daytime), rb"^\w+, \w+ \d\d, \d{4} \d\d:\d\d:\d\d-\w+\r\n$")
                self.assertEqual(await ask(shout, b"hello\nworld"), b"HELLO\nWORLD")
            await program.line("told the time")
            await self.end(program)


class ManyThreads(Embedding):
    async def test_a_hundred_clients(self):
        echo, statistics = free_port(), free_port()
        async with await Program.start("many_threads", HOST, echo, statistics) as program:
            await program.line("echo on port")
            data = os.urandom(100000)
            clients = [ask(echo, data) for _ in range(100)]
            for answer in await asyncio.gather(*clients):
                self.assertEqual(answer, data)
            reader, writer = await connect(echo)
            writer.write(b"x")
            self.assertEqual(await reader.readexactly(1), b"x")
            reports = await asyncio.gather(*[ask(statistics) for _ in range(20)])
            self.assertEqual(set(reports), {b"1 connections, 10000001 bytes\n"})
            await close(writer)
            await self.end(program, signal.SIGTERM)


def listening_sockets(port):
    """How many share the port, of IPv4."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(local.endswith(f":{port:04X}") and state == "0A" for _, local, _, state, *_ in rows)


class AllCores(Embedding):
    async def test_clients_are_served_by_all_threads_and_may_finish(self):
        port = free_port()
        async with await Program.start("all_cores", HOST, port, 4) as program:
            await program.line("serving on")
            self.assertEqual(listening_sockets(port), 4)
            data = os.urandom(100000)
            for answer in await asyncio.gather(*[ask(port, data) for _ in range(100)]):
                self.assertEqual(answer, data)
            reader, writer = await connect(port)
            writer.write(b"before")
            self.assertEqual(await reader.readexactly(6), b"before")
            program.process.send_signal(signal.SIGINT)
            await program.line("waiting for those")
            writer.write(b"behind")
            self.assertEqual(await reader.readexactly(6), b"behind")
            await close(writer)
            self.assertEqual(await program.end(), 0)
            self.assertEqual(program.lines[-1], "bye")
            with self.assertRaises(ConnectionRefusedError):
                await connect(port)


class WebSocket:
    """A client of RFC 6455, as far as this test needs one: short messages."""

    @classmethod
    async def open(cls, port):
        self = cls()
        self.reader, self.writer = await connect(port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                          f"Sec-WebSocket-Version: 13\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert head.startswith("HTTP/1.1 101 "), head
        assert f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n" in head, head
        return self

    def send(self, opcode, data):
        mask = os.urandom(4)
        self.writer.write(bytes([0x80 | opcode, 0x80 | len(data)]) + mask +
                          bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    async def receive(self):
        async with asyncio.timeout(PATIENCE):
            opcode, size = await self.reader.readexactly(2)
            return opcode & 0x0f, await self.reader.readexactly(size)


class HttpWebsocketServer(Embedding):
    async def asyncSetUp(self):
        self.port = free_port()
        self.program = await Program.start("http_websocket_server", HOST, self.port)
        await self.program.line("http://")

    async def asyncTearDown(self):
        await self.program.__aexit__()

    async def curl(self, *arguments):
        if not shutil.which("curl"):
            self.skipTest("there is no curl: cmake/bootstrap.sh installs it")
        process = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--show-error", "--noproxy", "*", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        return process.returncode, output.decode()

    async def test_curl(self):
        page = f"http://{HOST}:{self.port}/"
        self.assertEqual(await self.curl(page, page), (0, "Hello from a task of asyncio.\n" * 2))
        self.assertEqual(await self.curl(page + "x", "--write-out", "%{http_code}"),
                         (0, "There is nothing at /x.\n404"))
        self.assertEqual(await self.curl("--data", "x", page, "--write-out", "%{http_code}"),
                         (0, "405"))
        await self.end(self.program)

    async def test_websockets(self):
        sockets = [await WebSocket.open(self.port) for _ in range(10)]
        for text in [b"one", b"two", b"x" * 125]:
            for socket in sockets:
                socket.send(1, text)
            for socket in sockets:
                self.assertEqual(await socket.receive(), (1, text))
        sockets[0].send(2, b"\0\xff")
        self.assertEqual(await sockets[0].receive(), (2, b"\0\xff"))
        sockets[0].send(9, b"ping")
        self.assertEqual(await sockets[0].receive(), (10, b"ping"))
        sockets[0].send(8, b"\x03\xe8")
        self.assertEqual((await sockets[0].receive())[0], 8)
        await close(sockets[0].writer)
        sockets[1].writer.transport.abort()
        sockets[2].send(1, b"still there")
        self.assertEqual(await sockets[2].receive(), (1, b"still there"))
        # The others are in the middle of a session when Ctrl-C comes.
        await self.end(self.program)
        self.assertEqual(await read_to_end(sockets[3].reader), b"")
        for socket in sockets[2:]:
            await close(socket.writer)

    async def test_a_client_that_speaks_something_else_harms_nobody(self):
        self.assertIn(await ask(self.port, b"\0garbage\r\n\r\n"), [b""])
        await self.program.line("a client is gone: ")
        self.assertEqual((await self.curl(f"http://{HOST}:{self.port}/"))[0], 0)
        await self.end(self.program)


if __name__ == "__main__":
    unittest.main()
