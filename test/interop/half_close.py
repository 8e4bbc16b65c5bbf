#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Connections of which one direction is closed and the other goes on, in every combination."""
import asyncio
import json
import pathlib
import tempfile
import unittest

from _programs import HOST, PATIENCE, Program, close, connect, free_port, read_to_end

STAY_OPEN = {"do": "return", "value": True}


class HalfClose(unittest.IsolatedAsyncioTestCase):
    async def trace(self, role, port, on):
        """A protocol of ours that reacts so."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name) / "scenario.json"
        file.write_text(json.dumps({"program": {"role": role, "on": on}}))
        return await Program.start("protocol_trace", "--scenario", file, "--port", port)

    async def test_our_server_half_closes_and_reads_on(self):
        port = free_port()
        on = {"connection_made": [{"do": "write", "data": "over"}, {"do": "write_eof"}]}
        async with await self.trace("tcp_server", port, on) as server:
            await server.line("program ready")
            reader, writer = await connect(port)
            self.assertEqual(await read_to_end(reader), b"over")
            writer.write(b"to you")
            await server.line('c1 data_received "to you"')
            await close(writer)
            await server.line("c1 eof_received")
            await server.line("c1 connection_lost null")

    async def test_our_server_answers_a_half_closed_client_and_closes_later(self):
        port = free_port()
        on = {"eof_received": [{"do": "write", "data": "answer"}, STAY_OPEN]}
        async with await self.trace("tcp_server", port, on) as server:
            await server.line("program ready")
            reader, writer = await connect(port)
            writer.write(b"question")
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                self.assertEqual(await reader.readexactly(6), b"answer")
            # It stays open: there is no end of the stream yet.
            self.assertFalse(reader.at_eof())
            self.assertNotIn("c1 connection_lost null", server.lines)
            await close(writer)

    async def python_server(self, handler):
        port = free_port()
        result = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            async with asyncio.timeout(PATIENCE):
                result.set_result(await handler(reader, writer))
            await close(writer)

        server = await asyncio.start_server(handle, HOST, port)
        self.addCleanup(server.close)
        return port, result

    async def test_our_client_half_closes_and_reads_on(self):
        async def answer_at_the_end(reader, writer):
            question = await reader.read()
            writer.write(b"answer to " + question)
            return question

        port, question = await self.python_server(answer_at_the_end)
        on = {"connection_made": [{"do": "write", "data": "question"}, {"do": "write_eof"}]}
        async with await self.trace("tcp_client", port, on) as client:
            await client.line('c1 data_received "answer to question"')
            await client.line("c1 eof_received")
            await client.line("c1 connection_lost null")
        self.assertEqual(await question, b"question")

    async def test_our_client_writes_to_a_half_closed_server(self):
        async def half_close(reader, writer):
            writer.write(b"over")
            writer.write_eof()
            return await reader.read()

        port, received = await self.python_server(half_close)
        on = {"eof_received": [{"do": "write", "data": "and ", "times": 1000},
                               {"do": "write", "data": "out"}, {"do": "close"}, STAY_OPEN]}
        async with await self.trace("tcp_client", port, on) as client:
            await client.line('c1 data_received "over"')
            await client.line("c1 eof_received")
            await client.line("c1 connection_lost null")
        self.assertEqual(await received, b"and " * 1000 + b"out")


if __name__ == "__main__":
    unittest.main()
