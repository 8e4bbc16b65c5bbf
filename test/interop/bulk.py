#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Much data, and many connections, between interop_echo (protocols), interop_streams and peers
written with Python's asyncio."""
import asyncio
import unittest
import zlib

from _programs import HOST, PATIENCE, Program, close, connect, free_port

MIB = 2 ** 20
SIZE = 64 * MIB
CONNECTIONS = 500


async def checksum(reader):
    """Reads to the end: (bytes, crc32)."""
    size, crc = 0, 0
    while data := await reader.read(MIB):
        size += len(data)
        crc = zlib.crc32(data, crc)
    return size, crc


class Server(unittest.IsolatedAsyncioTestCase):
    program = "interop_echo"

    async def test_64_mib_come_back_as_they_were(self):
        port = free_port()
        block = zlib.compress(bytes(range(256)) * 4096, 0)[:MIB]
        sent = 0

        async def send(writer):
            nonlocal sent
            for number in range(SIZE // MIB):
                piece = number.to_bytes(4, "big") + block[4:]
                sent = zlib.crc32(piece, sent)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()

        async with await Program.start(self.program, "server", port) as server:
            await server.line("listening")
            reader, writer = await connect(port)
            async with asyncio.timeout(PATIENCE):
                (size, received), _ = await asyncio.gather(checksum(reader), send(writer))
            self.assertEqual((size, received), (SIZE, sent))
            await close(writer)
            self.assertEqual(await server.interrupt(), 0)

    async def test_500_connections_at_once(self):
        port = free_port()
        async with await Program.start(self.program, "server", port) as server:
            await server.line("listening")
            clients = await asyncio.gather(*[connect(port) for _ in range(CONNECTIONS)])

            async def talk(number, reader, writer):
                message = f"connection {number} ".encode() * 100
                async with asyncio.timeout(PATIENCE):
                    writer.write(message)
                    self.assertEqual(await reader.readexactly(len(message)), message)

            # All are open by now, and stay so until the last one has its answer.
            await asyncio.gather(*[talk(i, *client) for i, client in enumerate(clients)])
            await asyncio.gather(*[close(writer) for _, writer in clients])
            self.assertEqual(await server.interrupt(), 0)

    async def test_500_connections_reset(self):
        port = free_port()
        async with await Program.start(self.program, "server", port) as server:
            await server.line("listening")
            clients = await asyncio.gather(*[connect(port) for _ in range(CONNECTIONS)])
            for _, writer in clients:
                writer.write(b"never to be read" * 1000)
                writer.transport.abort()
            # The server is none the worse for it.
            reader, writer = await connect(port)
            writer.write(b"still there?")
            async with asyncio.timeout(PATIENCE):
                self.assertEqual(await reader.readexactly(12), b"still there?")
            await close(writer)
            self.assertEqual(await server.interrupt(), 0)


class StreamServer(Server):
    program = "interop_streams"


class Client(unittest.IsolatedAsyncioTestCase):
    program = "interop_echo"

    async def run_client(self, handler):
        """Runs the client against the handler; what it says it has sent and received."""
        port = free_port()
        done = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            try:
                async with asyncio.timeout(PATIENCE):
                    done.set_result(await handler(reader, writer))
            except BaseException as exc:
                done.set_exception(exc)
                raise
            finally:
                await close(writer)

        server = await asyncio.start_server(handle, HOST, port)
        async with await Program.start(self.program, "client", port, SIZE) as client:
            self.assertEqual(await client.end(), 0)
        result = await done
        server.close()
        return result, client.lines

    async def test_64_mib_come_back_as_they_were(self):
        async def echo(reader, writer):
            crc = 0
            while data := await reader.read(MIB):
                crc = zlib.crc32(data, crc)
                writer.write(data)
                await writer.drain()
            return crc

        crc, lines = await self.run_client(echo)
        self.assertEqual(lines,
                         [f"sent {SIZE} crc32={crc:08x}", f"received {SIZE} crc32={crc:08x}"])

    async def test_half_closed_client_reads_64_mib(self):
        block = bytes(range(256)) * 4096

        async def answer_at_the_end(reader, writer):
            size, crc = await checksum(reader)
            self.assertEqual(size, SIZE)
            answer = 0
            for _ in range(SIZE // MIB):
                answer = zlib.crc32(block, answer)
                writer.write(block)
                await writer.drain()
            return crc, answer

        (crc, answer), lines = await self.run_client(answer_at_the_end)
        self.assertEqual(lines,
                         [f"sent {SIZE} crc32={crc:08x}", f"received {SIZE} crc32={answer:08x}"])


class StreamClient(Client):
    program = "interop_streams"


if __name__ == "__main__":
    unittest.main()
