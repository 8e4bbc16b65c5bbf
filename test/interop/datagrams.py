#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The UDP examples, with peers written with Python's asyncio, and with each other."""
import asyncio
import contextlib
import pathlib
import socket
import unittest

from _programs import HOST, PATIENCE, Program, free_port


class Mailbox(asyncio.DatagramProtocol):
    """Keeps what comes until somebody asks for it."""

    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.received.put_nowait((data, addr))

    def error_received(self, exc):
        self.received.put_nowait((exc, None))

    async def get(self):
        async with asyncio.timeout(PATIENCE):
            return await self.received.get()


@contextlib.asynccontextmanager
async def endpoint(**options):
    loop = asyncio.get_running_loop()
    transport, mailbox = await loop.create_datagram_endpoint(Mailbox, **options)
    try:
        yield transport, mailbox
    finally:
        transport.close()


async def bound(port):
    """Until then a datagram would be lost. The example does not tell; the kernel does."""
    async with asyncio.timeout(PATIENCE):
        while f":{port:04X} " not in pathlib.Path("/proc/net/udp").read_text():
            await asyncio.sleep(0)


class Server(unittest.IsolatedAsyncioTestCase):
    @contextlib.asynccontextmanager
    async def serving(self):
        port = free_port(socket.SOCK_DGRAM)
        async with await Program.start("udp_echo_server", HOST, port) as program:
            await program.line("Starting UDP server")
            await bound(port)
            yield program, port

    async def test_each_client_gets_its_own_back(self):
        async with self.serving() as (program, port):
            for number in range(5):
                async with endpoint(remote_addr=(HOST, port)) as (transport, mailbox):
                    message = f"client {number}"
                    transport.sendto(message.encode())
                    self.assertEqual(await mailbox.get(), (message.encode(), (HOST, port)))
                    here = transport.get_extra_info("sockname")
                    await program.line(f"Received '{message}' from {here}")
                    await program.line(f"Send '{message}' to {here}")
            self.assertEqual(await program.interrupt(), 0)

    async def test_sizes(self):
        loop = asyncio.get_running_loop()
        async with self.serving() as (program, port):
            # A plain socket: transports of older Pythons send no empty datagrams.
            with socket.socket(type=socket.SOCK_DGRAM) as peer:
                peer.setblocking(False)
                peer.connect((HOST, port))
                for size in 0, 1, 1472, 1473, 65507:
                    data = bytes(ord("a") + i % 26 for i in range(size))
                    peer.send(data)
                    async with asyncio.timeout(PATIENCE):
                        self.assertEqual(await loop.sock_recv(peer, 2 ** 17), data)

    async def test_many_at_once(self):
        async with self.serving() as (program, port):
            async with endpoint(remote_addr=(HOST, port)) as (transport, mailbox):
                messages = [b"%d" % number for number in range(100)]
                for message in messages:
                    transport.sendto(message)
                self.assertEqual([(await mailbox.get())[0] for _ in messages], messages)

    async def test_the_port_is_taken(self):
        async with self.serving() as (_, port):
            async with await Program.start("udp_echo_server", HOST, port) as second:
                self.assertEqual(await second.end(), 1)
                self.assertEqual(second.lines[0], "Starting UDP server")
                self.assertIn("Errno 98", second.lines[1])

    async def test_our_client(self):
        async with self.serving() as (_, port):
            async with await Program.start("udp_echo_client", HOST, port) as client:
                self.assertEqual(await client.end(), 0)
            self.assertEqual(client.lines, ["Send: Hello World!", "Received: Hello World!",
                                            "Close the socket", "Connection closed"])


class Client(unittest.IsolatedAsyncioTestCase):
    async def test_python_server(self):
        async with endpoint(local_addr=(HOST, 0)) as (transport, mailbox):
            port = transport.get_extra_info("sockname")[1]
            async with await Program.start("udp_echo_client", HOST, port) as client:
                data, addr = await mailbox.get()
                self.assertEqual(data, b"Hello World!")
                transport.sendto(b"an answer", addr)
                self.assertEqual(await client.end(), 0)
            self.assertEqual(client.lines, ["Send: Hello World!", "Received: an answer",
                                            "Close the socket", "Connection closed"])

    async def test_nobody_listens(self):
        async with await Program.start("udp_echo_client", HOST,
                                       free_port(socket.SOCK_DGRAM)) as client:
            await client.line("Error received: [Errno 111] Connection refused")
            self.assertEqual(await client.interrupt(), 0)
        self.assertEqual(client.lines, ["Send: Hello World!",
                                        "Error received: [Errno 111] Connection refused",
                                        "Connection closed"])


if __name__ == "__main__":
    unittest.main()
