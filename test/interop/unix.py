#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Unix sockets between our programs and Python's asyncio, in both directions."""
import asyncio
import json
import os
import pathlib
import tempfile
import unittest
import zlib

from _programs import PATIENCE, Program, close, read_to_end

BULK = bytes(range(256)) * 20_000


class Unix(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = str(self.folder / "socket")

    async def trace(self, role, on):
        """A protocol of ours that reacts so."""
        file = self.folder / "scenario.json"
        file.write_text(json.dumps({"program": {"role": role, "digest": True, "on": on}}))
        return await Program.start("protocol_trace", "--scenario", file, "--path", self.path)

    async def connect(self):
        async with asyncio.timeout(PATIENCE):
            return await asyncio.open_unix_connection(self.path)

    async def exchange_bulk(self):
        """Sends much, half-closes, and reads all of it back."""
        reader, writer = await self.connect()
        answer = asyncio.create_task(read_to_end(reader))
        writer.write(BULK)
        writer.write_eof()
        self.assertEqual(await answer, BULK)
        await close(writer)

    async def test_our_protocol_server(self):
        echo = {"data_received": [{"do": "echo"}]}
        async with await self.trace("unix_server", echo) as server:
            await server.line("program ready")
            await asyncio.gather(*[self.exchange_bulk() for _ in range(3)])

    async def test_our_protocol_client(self):
        received = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            writer.write(BULK)
            await writer.drain()
            received.set_result(await read_to_end(reader))
            await close(writer)

        async with await asyncio.start_unix_server(handle, self.path):
            on = {"connection_made": [{"do": "write", "data": "0123456789", "times": 100_000},
                                      {"do": "write_eof"}]}
            async with await self.trace("unix_client", on) as client:
                await client.line("program ready")
                async with asyncio.timeout(PATIENCE):
                    self.assertEqual(await received, b"0123456789" * 100_000)
                await client.line(f"c1 received #{len(BULK)} ")
                await client.line("c1 connection_lost null")

    async def test_our_server_takes_the_place_of_one_that_crashed(self):
        async with await self.trace("unix_server", {}) as server:
            await server.line("program ready")
        self.assertTrue(os.path.exists(self.path))  # it was killed
        on = {"connection_made": [{"do": "close"}]}
        async with await self.trace("unix_server", on) as server:
            await server.line("program ready")
            reader, writer = await self.connect()
            self.assertEqual(await read_to_end(reader), b"")
            await close(writer)

    async def test_our_sockets_echo(self):
        async with await Program.start("interop_sockets", "echo", self.path) as server:
            await server.line("listening")
            await asyncio.gather(*[self.exchange_bulk() for _ in range(3)])
            self.assertEqual(await server.interrupt(), 0)

    async def test_our_stream_server(self):
        async with await Program.start("interop_streams", "server", self.path) as server:
            await server.line("listening")
            await asyncio.gather(*[self.exchange_bulk() for _ in range(3)])
            self.assertEqual(await server.interrupt(), 0)
        self.assertFalse(os.path.exists(self.path))

    async def test_our_stream_client(self):
        received = asyncio.get_running_loop().create_future()

        async def echo(reader, writer):
            data = await read_to_end(reader)
            writer.write(data)
            await writer.drain()
            await close(writer)
            received.set_result(data)

        async with await asyncio.start_unix_server(echo, self.path):
            async with await Program.start("interop_streams", "client", self.path,
                                           len(BULK)) as client:
                async with asyncio.timeout(PATIENCE):
                    checksum = f"{len(BULK)} crc32={zlib.crc32(await received):08x}"
                await client.line(f"sent {checksum}")
                await client.line(f"received {checksum}")

    async def test_our_sockets_send_a_file(self):
        file = self.folder / "file"
        file.write_bytes(BULK)
        async with await Program.start("interop_sockets", "file", self.path, file) as server:
            await server.line("listening")
            for _ in range(3):
                reader, writer = await self.connect()
                self.assertEqual(await read_to_end(reader), BULK)
                await close(writer)
            self.assertEqual(await server.interrupt(), 0)


if __name__ == "__main__":
    unittest.main()
