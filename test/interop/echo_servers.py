#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The example echo servers, with clients written with Python's asyncio."""
import ast
import asyncio
import socket
import struct
import unittest

from _programs import HOST, PATIENCE, Program, close, connect, free_port, read_to_end

PARTS = [b"This is the message. ", b"It will be sent ", b"in parts."]


def data_of(lines, word):
    """What the lines "... WORD b'...'" show, put together."""
    return b"".join(ast.literal_eval(line.split(f"{word} ", 1)[1])
                    for line in lines if f"{word} b" in line)


class ProtocolEchoServer(unittest.IsolatedAsyncioTestCase):
    name = "protocol_echo_server"
    logger = "EchoServer_"  # and the address
    ending = ["received EOF", "closing"]

    async def start(self):
        self.port = free_port()
        program = await Program.start(self.name, HOST, self.port)
        return program

    async def ready(self, program):
        await program.line(f"main: starting up on {HOST} port {self.port}")

    async def test_client_half_closes_then_reads_everything(self):
        async with await self.start() as program:
            await self.ready(program)
            reader, writer = await connect(self.port)
            host, port = writer.get_extra_info("sockname")
            for part in PARTS:
                writer.write(part)
            writer.write_eof()
            self.assertEqual(await read_to_end(reader), b"".join(PARTS))
            await close(writer)
            name = f"{self.logger}{host}_{port}: "
            await program.line(name + "closing")
            self.assertEqual(await program.interrupt(), 0)

            log = [line.removeprefix(name) for line in program.lines if line.startswith(name)]
            self.assertEqual(log[0], "connection accepted")
            self.assertEqual(log[-len(self.ending):], self.ending)
            pairs = log[1:-len(self.ending)]
            self.assertEqual([line.split(" ", 1)[0] for line in pairs],
                             ["received", "sent"] * (len(pairs) // 2))
            self.assertEqual(data_of(pairs, "received"), b"".join(PARTS))
            self.assertEqual(data_of(pairs, "sent"), b"".join(PARTS))
            self.assertEqual(program.lines[-2:],
                             ["main: closing server", "main: closing event loop"])

    async def test_clients_one_after_another(self):
        async with await self.start() as program:
            await self.ready(program)
            for number in range(5):
                message = f"client {number}".encode()
                reader, writer = await connect(self.port)
                writer.write(message)
                self.assertEqual(await reader.readexactly(len(message)), message)
                await close(writer)
                await program.line(self.logger)
            self.assertEqual(await program.interrupt(), 0)

    async def test_every_byte_comes_back(self):
        every = bytes(range(256)) * 16
        async with await self.start() as program:
            await self.ready(program)
            reader, writer = await connect(self.port)
            writer.write(every)
            writer.write_eof()
            self.assertEqual(await read_to_end(reader), every)
            await close(writer)
            self.assertEqual(await program.interrupt(), 0)
            self.assertEqual(data_of(program.lines, "received"), every)

    async def test_interrupted_while_a_client_is_connected(self):
        async with await self.start() as program:
            await self.ready(program)
            reader, writer = await connect(self.port)
            await program.line(self.logger)
            status = asyncio.create_task(program.interrupt())
            self.assertEqual(await read_to_end(reader), b"")
            await close(writer)
            self.assertEqual(await status, 0)
            self.assertEqual(program.lines[-1], "main: closing event loop")

    async def test_address_in_use(self):
        async with await self.start() as program:
            await self.ready(program)
            async with await Program.start(self.name, HOST, self.port) as second:
                self.assertEqual(await second.end(), 1)
                self.assertIn("address already in use", "\n".join(second.lines).lower())
            self.assertEqual(await program.interrupt(), 0)

    async def test_a_reset_is_logged_as_an_error(self):
        async with await self.start() as program:
            await self.ready(program)
            _, writer = await connect(self.port)
            host, port = writer.get_extra_info("sockname")
            name = f"{self.logger}{host}_{port}: "
            await program.line(name + "connection accepted")
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            await program.line(name + "ERROR: [Errno 104] Connection reset by peer")
            self.assertEqual(await program.interrupt(), 0)


class StreamEchoServer(ProtocolEchoServer):
    name = "stream_echo_server"
    logger = "echo_"
    ending = ["closing"]
    test_a_reset_is_logged_as_an_error = None  # there it comes out of read(), to the loop

    async def test_pieces_have_128_bytes_at_most(self):
        async with await self.start() as program:
            await self.ready(program)
            reader, writer = await connect(self.port)
            writer.write(b"x" * 1000)
            writer.write_eof()
            self.assertEqual(await read_to_end(reader), b"x" * 1000)
            await close(writer)
            self.assertEqual(await program.interrupt(), 0)
        sizes = [len(data_of([line], "received")) for line in program.lines
                 if ": received" in line]
        self.assertLessEqual(max(sizes), 128)
        self.assertEqual(sum(sizes), 1000)


class TcpEchoServer(unittest.IsolatedAsyncioTestCase):
    async def test_echoes_once_and_closes(self):
        port = free_port()
        async with await Program.start("tcp_echo_server", HOST, port) as program:
            reader, writer = await connect_when_listening(port)
            address = writer.get_extra_info("sockname")
            writer.write(b"Hello World!")
            self.assertEqual(await read_to_end(reader), b"Hello World!")
            await close(writer)
            await program.line("Close the client socket")
            self.assertEqual(await program.interrupt(), 0)
            self.assertEqual(program.lines[-4:], [
                f"Connection from {address}", "Data received: 'Hello World!'",
                "Send: 'Hello World!'", "Close the client socket"])


class TcpEchoStreamServer(unittest.IsolatedAsyncioTestCase):
    async def test_echoes_once_and_closes(self):
        port = free_port()
        async with await Program.start("tcp_echo_stream_server", HOST, port) as program:
            self.assertEqual(await program.line("Serving"), f"Serving on {(HOST, port)}")
            reader, writer = await connect(port)
            address = writer.get_extra_info("sockname")
            writer.write(b"Hello World!")
            self.assertEqual(await read_to_end(reader), b"Hello World!")
            await close(writer)
            await program.line("Close the connection")
            self.assertEqual(await program.interrupt(), 0)
            self.assertEqual(program.lines[1:], [
                f"Received 'Hello World!' from {address}", "Send: 'Hello World!'",
                "Close the connection"])


class NutshellEchoServer(unittest.IsolatedAsyncioTestCase):
    name = "nutshell_echo_server"

    async def test_echoes_each_piece_and_names_the_peer(self):
        port = free_port()
        async with await Program.start(self.name, HOST, port) as program:
            self.assertEqual(await program.line("Serving"), f"Serving at {(HOST, port)}")
            reader, writer = await connect(port)
            address = writer.get_extra_info("sockname")
            for text in ["one", "zwei: äöü €", "三"]:
                data = text.encode()
                writer.write(data)
                self.assertEqual(await reader.readexactly(len(data)), data)
                await program.line(f"Recv: {text}")
                await program.line(f"Echo: {text}")
            writer.write_eof()
            self.assertEqual(await read_to_end(reader), b"")
            await close(writer)
            await program.line(f"Disconnected from {address}")
            self.assertIn(f"Connected from {address}", program.lines)
            self.assertEqual(await program.interrupt(), 0)

    async def test_interrupted_while_clients_are_connected(self):
        port = free_port()
        async with await Program.start(self.name, HOST, port) as program:
            await program.line("Serving")
            clients = [await connect(port) for _ in range(3)]
            for _ in clients:
                await program.line("Connected from")
            self.assertEqual(await program.interrupt(), 0)
            for _, writer in clients:
                await close(writer)


class NutshellStreamEchoServer(NutshellEchoServer):
    name = "nutshell_stream_echo_server"


async def connect_when_listening(port):
    """For a server that does not say when it listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await connect(port)
            except ConnectionRefusedError:
                pass


if __name__ == "__main__":
    unittest.main()
