#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The larger examples with streams: chat_server, tcp_proxy, kv_server."""
import asyncio
import contextlib
import socket
import struct
import unittest

from _programs import HOST, PATIENCE, Program, close, connect, free_port, read_to_end


class Running(unittest.IsolatedAsyncioTestCase):
    async def start(self, name, *arguments):
        """Runs a server; it listens on self.port, and is interrupted at the end."""
        self.port = free_port()
        program = await Program.start(name, *arguments, HOST, self.port)
        self.addAsyncCleanup(self.stop, program)
        await program.line("Serving on")
        return program

    async def stop(self, program):
        """At the end of a test everybody else has gone; one that wants it otherwise calls this."""
        async with program:
            if program.process.returncode is None:
                await program.interrupt()
            self.assertEqual(program.process.returncode, 0)
        for text in program.lines:
            self.assertFalse(text.startswith(("Unhandled", "unclosed")), text)

    async def connect(self):
        reader, writer = await connect(self.port)
        self.addAsyncCleanup(close, writer)
        return reader, writer


def reset(writer):
    """Ends the connection as a crash would."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def line(reader):
    async with asyncio.timeout(PATIENCE):
        return (await reader.readline()).decode()


class Chat(Running):
    async def enter(self, name):
        reader, writer = await self.connect()
        async with asyncio.timeout(PATIENCE):
            self.assertEqual(await reader.readexactly(11), b"Your name? ")
        writer.write(name.encode() + b"\r\n")
        return reader, writer

    async def test_what_one_says_all_others_hear(self):
        await self.start("chat_server")
        anna, to_anna = await self.enter("Anna")
        bert, to_bert = await self.enter("Bert")
        self.assertEqual(await line(anna), "* Bert has come\n")
        _, to_carl = await self.enter("Carl")
        self.assertEqual(await line(anna), "* Carl has come\n")
        self.assertEqual(await line(bert), "* Carl has come\n")
        to_anna.write("grüß Gott\n".encode())
        self.assertEqual(await line(bert), "Anna: grüß Gott\n")
        to_bert.write(b"hello\n")
        self.assertEqual(await line(anna), "Bert: hello\n")
        to_carl.close()
        self.assertEqual(await line(anna), "* Carl has gone\n")
        self.assertEqual(await line(bert), "* Carl has gone\n")

    async def test_who_gives_no_name_is_not_let_in(self):
        await self.start("chat_server")
        reader, _ = await self.enter("")
        self.assertEqual(await read_to_end(reader), b"")

    async def test_who_goes_instead_of_giving_a_name_is_missed_by_nobody(self):
        await self.start("chat_server")
        _, writer = await self.connect()
        reset(writer)
        reader, writer = await self.connect()
        writer.write(b"x" * 100_000)  # no name is so long
        with contextlib.suppress(ConnectionResetError):  # if it has not been sent all
            await read_to_end(reader)
        anna, _ = await self.enter("Anna")
        await self.enter("Bert")
        self.assertEqual(await line(anna), "* Bert has come\n")

    async def test_a_last_line_without_a_newline_is_a_line(self):
        await self.start("chat_server")
        anna, _ = await self.enter("Anna")
        _, to_bert = await self.enter("Bert")
        self.assertEqual(await line(anna), "* Bert has come\n")
        to_bert.write(b"good night")
        to_bert.write_eof()
        self.assertEqual(await line(anna), "Bert: good night\n")
        self.assertEqual(await line(anna), "* Bert has gone\n")

    async def test_who_does_not_read_is_shown_out_and_holds_up_nobody(self):
        program = await self.start("chat_server")
        speaker, to_speaker = await self.enter("Speaker")
        listener, _ = await self.enter("Listener")
        self.assertEqual(await line(speaker), "* Listener has come\n")
        sleeper = socket.create_connection((HOST, self.port))  # never reads
        self.addCleanup(sleeper.close)
        sleeper.sendall(b"Sleeper\n")
        self.assertEqual(await line(speaker), "* Sleeper has come\n")
        self.assertEqual(await line(listener), "* Sleeper has come\n")

        heard = []

        async def listen():
            while not heard or not heard[-1].startswith("* Sleeper has gone"):
                heard.append(await line(listener))

        listening = asyncio.create_task(listen())
        said = 0
        while not listening.done():
            to_speaker.write(b"%06d " % said + b"x" * 10_000 + b"\n")
            await to_speaker.drain()
            said += 1
            # As fast as the listener hears it, so that it is the sleeper who is slow.
            while len(heard) < said and not listening.done():
                await asyncio.sleep(0)
        await listening
        await program.line("Sleeper is too slow")
        numbers = [int(text.split()[1]) for text in heard if text.startswith("Speaker:")]
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertNotIn("Listener is too slow", program.lines)
        self.assertEqual(program.lines.count("Sleeper is too slow"), 1)

    async def test_interrupted_while_people_are_there(self):
        program = await self.start("chat_server")
        anna, _ = await self.enter("Anna")
        bert, _ = await self.enter("Bert")
        self.assertEqual(await line(anna), "* Bert has come\n")
        await self.stop(program)
        self.assertEqual(await read_to_end(bert), b"")


class Proxy(Running):
    async def start_proxy(self, handler):
        """A target with this handler, and a proxy before it. What the handler returns is in
        self.result."""
        self.result = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            async with asyncio.timeout(PATIENCE):
                result = await handler(reader, writer)
            await close(writer)
            self.result.set_result(result)

        server = await asyncio.start_server(handle, HOST, 0)
        self.addCleanup(server.close)
        target_port = server.sockets[0].getsockname()[1]
        return await self.start("tcp_proxy", HOST, target_port)

    async def test_the_client_ends_first_and_is_answered(self):
        async def answer_at_the_end(reader, writer):
            question = await reader.read()
            writer.write(b"answer to " + question)
            return question

        await self.start_proxy(answer_at_the_end)
        reader, writer = await self.connect()
        writer.write(b"question")
        writer.write_eof()
        self.assertEqual(await read_to_end(reader), b"answer to question")
        self.assertEqual(await self.result, b"question")

    async def test_the_target_ends_first_and_is_answered(self):
        async def half_close(reader, writer):
            writer.write(b"over")
            writer.write_eof()
            return await reader.read()

        await self.start_proxy(half_close)
        reader, writer = await self.connect()
        self.assertEqual(await read_to_end(reader), b"over")
        writer.write(b"and out")
        writer.write_eof()
        self.assertEqual(await self.result, b"and out")

    async def test_much_data_in_both_directions(self):
        size = 16 * 2 ** 20

        async def echo(reader, writer):
            while data := await reader.read(2 ** 16):
                writer.write(data)
                await writer.drain()

        await self.start_proxy(echo)
        reader, writer = await self.connect()

        async def send():
            for number in range(size // 2 ** 16):
                writer.write(number.to_bytes(4, "big") * 2 ** 14)
                await writer.drain()
            writer.write_eof()

        received, _ = await asyncio.gather(read_to_end(reader), send())
        self.assertEqual(received, b"".join(number.to_bytes(4, "big") * 2 ** 14
                                            for number in range(size // 2 ** 16)))

    async def test_a_reset_is_handed_on(self):
        async def read_and_reset(reader, writer):
            await reader.readexactly(1)
            reset(writer)

        program = await self.start_proxy(read_and_reset)
        reader, writer = await self.connect()
        writer.write(b"x")
        self.assertEqual(await read_to_end(reader), b"")
        await program.line("ConnectionResetError(104, 'Connection reset by peer')")

    async def test_nobody_at_the_target(self):
        program = await self.start("tcp_proxy", HOST, free_port())
        reader, _ = await self.connect()
        self.assertEqual(await read_to_end(reader), b"")
        await program.line("[Errno 111] Connect call failed")

    async def test_interrupted_while_both_sides_are_connected(self):
        ends = asyncio.get_running_loop().create_future()

        async def say_and_wait(reader, writer):
            writer.write(b"connected")
            ends.set_result(await reader.read())

        program = await self.start_proxy(say_and_wait)
        reader, _ = await self.connect()
        self.assertEqual(await reader.readexactly(9), b"connected")
        await self.stop(program)
        self.assertEqual(await ends, b"")


class Database(Running):
    async def ask(self, *words):
        """The reply, as it comes over the wire."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.writer.write(b"*%d\r\n" % len(parts) +
                          b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        return await self.reply()

    async def reply(self):
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n")
            if not head.startswith(b"$") or head == b"$-1\r\n":
                return head[:-2]
            return (await self.reader.readexactly(int(head[1:]) + 2))[:-2]

    async def asyncSetUp(self):
        await self.start("kv_server")
        self.reader, self.writer = await self.connect()

    async def test_ping(self):
        self.assertEqual(await self.ask("PING"), b"+PONG")
        self.assertEqual(await self.ask("ping", "hello"), b"hello")

    async def test_set_get_del(self):
        every = bytes(range(256))
        self.assertEqual(await self.ask("GET", "k"), b"$-1")
        self.assertEqual(await self.ask("SET", "k", every), b"+OK")
        self.assertEqual(await self.ask("GET", "k"), every)
        self.assertEqual(await self.ask("SET", "empty", ""), b"+OK")
        self.assertEqual(await self.ask("GET", "empty"), b"")
        self.assertEqual(await self.ask("DEL", "k", "empty", "nothing"), b":2")
        self.assertEqual(await self.ask("GET", "k"), b"$-1")

    async def test_incr(self):
        self.assertEqual(await self.ask("INCR", "n"), b":1")
        self.assertEqual(await self.ask("INCR", "n"), b":2")
        self.assertEqual(await self.ask("GET", "n"), b"2")
        for bad in "x", "1x", "", "01", "-0", "+1", 2 ** 63:
            await self.ask("SET", "n", bad)
            self.assertEqual(await self.ask("INCR", "n"),
                             b"-ERR value is not an integer or out of range")
        await self.ask("SET", "n", 2 ** 63 - 1)
        self.assertEqual(await self.ask("INCR", "n"),
                         b"-ERR increment or decrement would overflow")

    async def test_expire(self):
        self.assertEqual(await self.ask("EXPIRE", "k", 1), b":0")
        await self.ask("SET", "k", "v")
        self.assertEqual(await self.ask("TTL", "k"), b":-1")
        self.assertEqual(await self.ask("EXPIRE", "k", 1000), b":1")
        self.assertEqual(await self.ask("TTL", "k"), b":1000")
        await self.ask("SET", "k", "again")  # forgets the time
        self.assertEqual(await self.ask("TTL", "k"), b":-1")
        self.assertEqual(await self.ask("EXPIRE", "k", 1), b":1")
        async with asyncio.timeout(PATIENCE):
            while await self.ask("GET", "k") == b"again":
                pass
        self.assertEqual(await self.ask("TTL", "k"), b":-2")
        await self.ask("SET", "k", "v")
        self.assertEqual(await self.ask("EXPIRE", "k", 0), b":1")
        self.assertEqual(await self.ask("GET", "k"), b"$-1")

    async def test_what_it_does_not_know(self):
        self.assertEqual(await self.ask("fly"), b"-ERR unknown command 'fly'")
        self.assertEqual(await self.ask("fly\r\n+OK"), b"-ERR unknown command 'fly  +ok'")
        self.assertEqual(await self.ask("GET"),
                         b"-ERR wrong number of arguments for 'get' command")

    async def test_commands_may_be_typed(self):
        self.writer.write(b"\r\n*0\r\n*-1\r\n  SET  k   v \r\nget k\nPING\n")
        for reply in b"+OK", b"v", b"+PONG":
            self.assertEqual(await self.reply(), reply)

    async def test_a_command_of_very_many_arguments(self):
        self.writer.write(b"*100001\r\n$3\r\nDEL\r\n" + b"$1\r\nk\r\n" * 100_000)
        self.assertEqual(await self.reply(), b":0")

    async def test_a_client_that_goes_in_mid_command(self):
        _, writer = await self.connect()
        writer.write(b"*3\r\n$3\r\nSET\r\n$100\r\nhalf")
        await writer.drain()
        reset(writer)
        self.assertEqual(await self.ask("PING"), b"+PONG")

    async def test_commands_may_come_in_any_pieces(self):
        command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\na\r\nb\r\n\r\n"
        for byte in command:
            self.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        self.assertEqual(await self.reply(), b"+OK")
        self.assertEqual(await self.ask("GET", "k"), b"a\r\nb\r\n")

    async def test_many_commands_at_once(self):
        self.writer.write(b"INCR n\r\n" * 10_000)
        for number in range(1, 10_001):
            self.assertEqual(await self.reply(), b":%d" % number)

    async def test_large_values(self):
        value = bytes(range(256)) * 2 ** 14
        self.assertEqual(await self.ask("SET", "large", value), b"+OK")
        self.assertEqual(await self.ask("GET", "large"), value)

    async def test_what_is_no_command_ends_the_connection(self):
        for wrong, problem in (
                (b"*1\r\nPING\r\n", b"expected '$', got 'P'"),
                (b"*x\r\n", b"invalid multibulk length"),
                (b"*99999999999\r\n", b"invalid multibulk length"),
                (b"*1\r\n$-1\r\n", b"invalid bulk length"),
                (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
                (b"x" * 65537, b"too big inline request"),
                (b"*" + b"1" * 65536, b"too big mbulk count string"),
                (b"*1\r\n$" + b"1" * 65536, b"too big bulk count string")):
            with self.subTest(problem=problem):
                reader, writer = await self.connect()
                writer.write(b"PING\r\n" + wrong)
                self.assertEqual(await read_to_end(reader),
                                 b"+PONG\r\n-ERR Protocol error: " + problem + b"\r\n")

    async def test_quit(self):
        self.assertEqual(await self.ask("quit"), b"+OK")
        self.assertEqual(await read_to_end(self.reader), b"")


if __name__ == "__main__":
    unittest.main()
