#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The example clients, with servers written with Python's asyncio."""
import ast
import asyncio
import contextlib
import unittest

from _programs import HOST, PATIENCE, Program, close, free_port

MESSAGE = b"This is the message. It will be sent in parts."


@contextlib.asynccontextmanager
async def serving(handler):
    """A server whose handler is a coroutine of reader and writer; gives its port, and raises at the
    end what a handler raised."""
    port = free_port()
    tasks = []

    async def handle(reader, writer):
        try:
            async with asyncio.timeout(PATIENCE):
                await handler(reader, writer)
        finally:
            await close(writer)

    server = await asyncio.start_server(
        lambda reader, writer: tasks.append(asyncio.create_task(handle(reader, writer))),
        HOST, port)
    try:
        yield port
        await asyncio.gather(*tasks)
    finally:
        server.close()


async def echo(reader, writer):
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()


class ProtocolEchoClient(unittest.IsolatedAsyncioTestCase):
    async def run_client(self, handler):
        async with serving(handler) as port:
            async with await Program.start("protocol_echo_client", HOST, port) as client:
                self.assertEqual(await client.end(), 0)
        lines = client.lines
        self.assertEqual(lines[:6], [
            "asyncio: Using selector: epoll",
            "main: waiting for client to complete",
            f"EchoClient: connecting to {HOST} port {port}",
            "EchoClient: sending b'This is the message. '",
            "EchoClient: sending b'It will be sent '",
            "EchoClient: sending b'in parts.'"])
        self.assertEqual(lines[-2:], ["EchoClient: server closed connection",
                                      "main: closing event loop"])
        return lines[6:-2]

    def assert_received(self, lines, expected):
        prefix = "EchoClient: received b"
        self.assertTrue(all(line.startswith(prefix) for line in lines), lines)
        self.assertEqual(b"".join(ast.literal_eval(line.split(" ", 2)[2]) for line in lines),
                         expected)

    async def test_echo_server(self):
        lines = await self.run_client(echo)
        self.assertEqual(lines[-1], "EchoClient: received EOF")
        self.assert_received(lines[:-1], MESSAGE)

    async def test_half_closed_client_still_reads(self):
        async def answer_at_the_end(reader, writer):
            self.assertEqual(await reader.read(), MESSAGE)
            for i in range(100):
                writer.write(b"%d," % i)
                await writer.drain()

        lines = await self.run_client(answer_at_the_end)
        self.assertEqual(lines[-1], "EchoClient: received EOF")
        self.assert_received(lines[:-1], b"".join(b"%d," % i for i in range(100)))

    async def test_server_half_closes_first_and_reads_on(self):
        received = []

        async def half_close(reader, writer):
            writer.write_eof()
            received.append(await reader.read())

        lines = await self.run_client(half_close)
        self.assertEqual(lines, ["EchoClient: received EOF"])
        self.assertEqual(received, [MESSAGE])

    async def test_nobody_listens(self):
        async with await Program.start("protocol_echo_client", HOST, free_port()) as client:
            self.assertEqual(await client.end(), 1)
            self.assertEqual(client.lines[1], "main: waiting for client to complete")
            self.assertEqual(client.lines[-1], "main: closing event loop")
            self.assertIn("Errno 111", "\n".join(client.lines))


class StreamEchoClient(unittest.IsolatedAsyncioTestCase):
    async def run_client(self, handler):
        async with serving(handler) as port:
            async with await Program.start("stream_echo_client", HOST, port) as client:
                self.assertEqual(await client.end(), 0)
        lines = client.lines
        self.assertEqual(lines[:6], [
            "asyncio: Using selector: epoll",
            f"echo_client: connecting to {HOST} port {port}",
            "echo_client: sending b'This is the message. '",
            "echo_client: sending b'It will be sent '",
            "echo_client: sending b'in parts.'",
            "echo_client: waiting for response"])
        self.assertEqual(lines[-2:], ["echo_client: closing", "main: closing event loop"])
        prefix = "echo_client: received b"
        self.assertTrue(all(line.startswith(prefix) for line in lines[6:-2]), lines)
        return b"".join(ast.literal_eval(line.split(" ", 2)[2]) for line in lines[6:-2])

    async def test_echo_server(self):
        self.assertEqual(await self.run_client(echo), MESSAGE)

    async def test_half_closed_client_still_reads(self):
        async def answer_at_the_end(reader, writer):
            self.assertEqual(await reader.read(), MESSAGE)
            for i in range(100):
                writer.write(b"%d," % i)
                await writer.drain()

        self.assertEqual(await self.run_client(answer_at_the_end),
                         b"".join(b"%d," % i for i in range(100)))

    async def test_nobody_listens(self):
        async with await Program.start("stream_echo_client", HOST, free_port()) as client:
            self.assertEqual(await client.end(), 1)
            self.assertEqual(client.lines[-1], "main: closing event loop")
            self.assertIn("Errno 111", "\n".join(client.lines))


class TcpEchoStreamClient(unittest.IsolatedAsyncioTestCase):
    async def test_sends_and_prints_the_answer(self):
        async def echo_once(reader, writer):
            writer.write(await reader.readexactly(12))

        async with serving(echo_once) as port:
            async with await Program.start("tcp_echo_stream_client", HOST, port) as client:
                self.assertEqual(await client.end(), 0)
        self.assertEqual(client.lines, [
            "Send: 'Hello World!'", "Received: 'Hello World!'", "Close the connection"])


class TcpEchoClient(unittest.IsolatedAsyncioTestCase):
    async def test_sends_and_waits_for_the_end(self):
        async def echo_once(reader, writer):
            writer.write(await reader.readexactly(12))

        async with serving(echo_once) as port:
            async with await Program.start("tcp_echo_client", HOST, port) as client:
                self.assertEqual(await client.end(), 0)
        self.assertEqual(client.lines, [
            "Data sent: 'Hello World!'", "Data received: 'Hello World!'",
            "The server closed the connection"])

    async def test_nobody_listens(self):
        async with await Program.start("tcp_echo_client", HOST, free_port()) as client:
            self.assertEqual(await client.end(), 1)


class NutshellEchoClient(unittest.IsolatedAsyncioTestCase):
    name = "nutshell_echo_client"

    async def test_one_line_at_a_time(self):
        received = []

        async def echo_lines(reader, writer):
            while data := await reader.read(1024):
                received.append(data.decode())
                writer.write(data)

        async with serving(echo_lines) as port:
            async with await Program.start(self.name, HOST, port) as client:
                self.assertEqual(await client.end(), 0)
        self.assertGreater(len(received), 1)
        self.assertFalse("".join(received).isascii())
        expected = [line for text in received for line in (f"Sent: {text}", f"Recv: {text}")]
        self.assertEqual(client.lines,
                         ["Connected to server", *expected, "Disconnected from server"])


class NutshellStreamEchoClient(NutshellEchoClient):
    name = "nutshell_stream_echo_client"


class Pairs(unittest.IsolatedAsyncioTestCase):
    """Our clients with our servers."""

    async def run_pair(self, server_name, ready, client_name):
        port = free_port()
        async with await Program.start(server_name, "localhost", port) as server:
            await server.line(ready)
            async with await Program.start(client_name, "localhost", port) as client:
                self.assertEqual(await client.end(), 0)
            self.assertEqual(await server.interrupt(), 0)
        return client.lines

    async def test_protocol_echo(self):
        lines = await self.run_pair("protocol_echo_server", "main: starting up on localhost",
                                    "protocol_echo_client")
        self.assertEqual(lines[-3:], ["EchoClient: received EOF",
                                      "EchoClient: server closed connection",
                                      "main: closing event loop"])

    async def test_nutshell(self):
        lines = await self.run_pair("nutshell_echo_server", "Serving", "nutshell_echo_client")
        self.assertEqual(lines[-1], "Disconnected from server")

    async def test_stream_echo(self):
        lines = await self.run_pair("stream_echo_server", "main: starting up on localhost",
                                    "stream_echo_client")
        self.assertEqual(lines[-2:], ["echo_client: closing", "main: closing event loop"])

    async def test_nutshell_streams(self):
        lines = await self.run_pair("nutshell_stream_echo_server", "Serving",
                                    "nutshell_stream_echo_client")
        self.assertEqual(lines[-1], "Disconnected from server")

    async def test_streams_and_protocols(self):
        lines = await self.run_pair("protocol_echo_server", "main: starting up on localhost",
                                    "stream_echo_client")
        self.assertEqual(lines[-1], "main: closing event loop")
        lines = await self.run_pair("stream_echo_server", "main: starting up on localhost",
                                    "protocol_echo_client")
        self.assertEqual(lines[-1], "main: closing event loop")


if __name__ == "__main__":
    unittest.main()
