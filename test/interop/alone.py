#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The examples that need no peer."""
import unittest

from _programs import Program


class Alone(unittest.IsolatedAsyncioTestCase):
    async def output_of(self, name):
        async with await Program.start(name) as program:
            self.assertEqual(await program.end(), 0)
            return program.lines

    async def test_existing_socket(self):
        self.assertEqual(await self.output_of("existing_socket"), ["Received: abc"])

    async def test_existing_socket_reader(self):
        self.assertEqual(await self.output_of("existing_socket_reader"), ["Received: abc"])

    async def assert_tells_the_date(self, name):
        line, = await self.output_of(name)
        self.assertRegex(line, r"^Current date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")

    async def test_subprocess_date(self):
        await self.assert_tells_the_date("subprocess_date")

    async def test_subprocess_date_protocol(self):
        await self.assert_tells_the_date("subprocess_date_protocol")


if __name__ == "__main__":
    unittest.main()
