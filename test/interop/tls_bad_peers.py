#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Peers that are not who they should be, speak no TLS, or stop in the middle: which error a client is
given, and that a server reports nothing, unless it debugs, and serves others as before."""
import asyncio
import contextlib
import os
import socket
import ssl
import struct
import unittest

from _programs import HOST, PATIENCE
from _tls import CA, CERTIFICATES, EOF_ERROR, TlsTest, client_context, ours, server_context


def reset(plain):
    """Ends the connection as a crash would."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


def half_a_handshake():
    """The first half of a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        end.do_handshake()
    hello = outgoing.read()
    return hello[:len(hello) // 2]


class Secure:
    """The peer's end of a connection, blocking, with control of what is sent and what is not."""

    def __init__(self, plain, context, **how):
        plain.settimeout(PATIENCE)
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.end = context.wrap_bio(self.incoming, self.outgoing, **how)
        self.run(self.end.do_handshake)

    def run(self, operation, *arguments):
        while True:
            try:
                result = operation(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.plain.recv(65536)
                if not data:
                    self.incoming.write_eof()
                self.incoming.write(data)
            else:
                self.flush()
                return result

    def flush(self):
        self.plain.sendall(self.outgoing.read())

    def send(self, data):
        self.run(self.end.write, data)

    def recv(self, size):
        return self.run(self.end.read, size)


class ClientsOfOurs(TlsTest):
    """Our client and a server that is wrong."""

    async def answer(self, peer, *options, name="localhost"):
        """What our client says when peer(socket) is what it reaches."""
        listener = socket.create_server((HOST, 0))
        self.addCleanup(listener.close)

        def run():
            plain, _ = listener.accept()
            plain.settimeout(PATIENCE)
            with plain:
                peer(plain)

        peer_ended = asyncio.create_task(asyncio.to_thread(run))
        lines = await self.run_client(listener.getsockname()[1], f"ca={CA}", "send=end", *options,
                                      name=name)
        async with asyncio.timeout(PATIENCE):
            await peer_ended
        return lines

    def presents(self, certificate):
        """A server with that certificate, to which no client should speak."""
        def peer(plain):
            with self.assertRaises(ssl.SSLError) as caught:
                Secure(plain, server_context(certificate), server_side=True)
            self.assertIn("ALERT", caught.exception.reason)  # the client has said why
        return peer

    async def refuses(self, certificate, problem, name="localhost"):
        self.assertEqual(
            await self.answer(self.presents(certificate), "max=1.2", name=name),
            ["failed SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate "
             f"verify failed: {problem}"])

    async def test_wrong_host_name(self):
        await self.refuses("server", "Hostname mismatch, certificate is not valid for "
                           "'other.example'.", name="other.example")

    async def test_wrong_address(self):
        await self.refuses("server", "IP address mismatch, certificate is not valid for "
                           "'192.0.2.1'.", name="192.0.2.1")

    async def test_expired(self):
        await self.refuses("expired", "certificate has expired")

    async def test_not_yet_valid(self):
        await self.refuses("future", "certificate is not yet valid")

    async def test_self_signed(self):
        await self.refuses("lonely", "self-signed certificate")

    async def test_unknown_authority(self):
        self.assertEqual(
            await self.answer(self.presents("server"), "max=1.2",
                              f"ca={CERTIFICATES / 'stranger.pem'}"),
            ["failed SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate "
             "verify failed: unable to get local issuer certificate"])

    async def test_a_server_that_speaks_no_tls(self):
        def greet(plain):
            plain.sendall(b"220 ready\r\n")
            while plain.recv(1000):
                pass

        self.assertEqual(await self.answer(greet),
                         ["failed SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number"])

    async def test_a_server_that_answers_garbage(self):
        def garbage(plain):
            plain.recv(1000)
            plain.sendall(bytes([22, 3, 3, 0, 100]) + b"\xff" * 100)
            while plain.recv(1000):
                pass

        self.assertEqual(
            await self.answer(garbage),
            ["failed SSLError: [SSL: UNEXPECTED_MESSAGE] unexpected message"])

    async def test_a_server_that_ends_during_the_handshake(self):
        self.assertEqual(await self.answer(lambda plain: plain.recv(10_000)),
                         ["failed ConnectionResetError: "])

    async def test_a_server_that_resets_during_the_handshake(self):
        def hear_and_reset(plain):
            plain.recv(10_000)
            reset(plain)

        self.assertEqual(await self.answer(hear_and_reset),
                         ["failed ConnectionResetError: [Errno 104] Connection reset by peer"])

    async def test_a_server_that_says_nothing(self):
        def hear(plain):
            while plain.recv(1000):
                pass

        self.assertEqual(
            await self.answer(hear, "handshake_timeout=0.1"),
            ["failed ConnectionAbortedError: SSL handshake is taking longer than 0.1 seconds: "
             "aborting the connection"])

    async def test_a_stream_that_is_cut_short(self):
        def cut(plain):
            Secure(plain, server_context(), server_side=True).send(b"half of wh")
            plain.shutdown(socket.SHUT_WR)  # and no close_notify
            while plain.recv(1000):
                pass

        lines = await self.answer(cut)
        self.assertIn("received 10 crc32=", "\n".join(lines))  # what came is not lost
        self.assertEqual(lines[-1], f"lost {EOF_ERROR}")
        self.assertNotIn("eof", lines)

    async def test_a_server_that_never_answers_our_close(self):
        ended = []

        def ignore(plain):
            secure = Secure(plain, server_context(), server_side=True)
            secure.send(b"x")
            with contextlib.suppress(ConnectionResetError):
                while plain.recv(1000):
                    pass
            ended.append(True)

        lines = await self.answer(ignore, "shutdown_timeout=0.1", "send=0")
        self.assertEqual(lines[-1], "lost TimeoutError: SSL shutdown timed out")
        self.assertEqual(ended, [True])

    async def test_a_server_that_resets(self):
        def greet_and_reset(plain):
            secure = Secure(plain, server_context(), server_side=True)
            secure.recv(5)
            reset(plain)

        lines = await self.answer(greet_and_reset, "send=5")
        self.assertEqual(lines[-1], "lost ConnectionResetError: [Errno 104] Connection reset by "
                         "peer")

    async def test_what_was_tampered_with(self):
        def tamper(plain):
            secure = Secure(plain, server_context(), server_side=True)
            secure.send(b"good ")
            secure.end.write(b"evil")
            record = bytearray(secure.outgoing.read())
            record[-1] ^= 1
            plain.sendall(record)
            while plain.recv(1000):
                pass

        lines = await self.answer(tamper)
        self.assertIn("received 5 crc32=", "\n".join(lines))
        self.assertIn(lines[-1], (
            "lost SSLError: [SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed or bad "
            "record mac",
            "lost SSLError: [SSL: RECORD_LAYER_FAILURE] record layer failure"))  # OpenSSL 3.2


class ClientsOfOursByProtocol(ClientsOfOurs):
    kind = "protocol"


class ServersOfOurs(TlsTest):
    """Our server and a client that is wrong. Where the handshake fails, nobody is told on the
    server's side: the connection was never made."""

    def plain(self):
        plain = socket.create_connection((HOST, self.port), PATIENCE)
        self.addCleanup(plain.close)
        return plain

    async def secure(self, version=None):
        return await asyncio.to_thread(Secure, self.plain(), client_context(version=version),
                                       server_hostname="localhost")

    async def to_end(self, plain):
        """What still comes, and then the connection's end."""
        def receive():
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while data := plain.recv(1000):
                    received += data
            return received
        return await asyncio.to_thread(receive)

    async def nobody_was_told(self, server):
        """Of the handshake that failed; others are served."""
        self.assertEqual(server.lines, ["listening"])
        await self.still_serves()

    async def test_a_client_that_does_not_trust_us(self):
        for certificate, name in (("expired", "localhost"), ("future", "localhost"),
                                  ("lonely", "localhost"), ("server", "other.example")):
            with self.subTest(certificate=certificate, name=name):
                server = await self.serve("max=1.2", *ours(certificate))
                with self.assertRaises(ssl.SSLCertVerificationError):
                    await self.connect(name=name)
                # Served as before: one that asks no questions.
                careless = client_context()
                careless.check_hostname = False
                careless.verify_mode = ssl.CERT_NONE
                reader, writer = await self.connect(careless)
                await self.echo(reader, writer)
                await self.leave(writer)
                self.assertEqual(sum(line.startswith("made") for line in server.lines), 1)

    async def test_a_client_that_speaks_no_tls(self):
        server = await self.serve()
        plain = self.plain()
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        # "http request" has an alert of its own: none but the end.
        await self.to_end(plain)
        await self.nobody_was_told(server)

    async def test_garbage(self):
        server = await self.serve()
        for garbage in os.urandom(1000), bytes([22, 3, 1, 255, 255]) + bytes(100), b"\0" * 11:
            with self.subTest(garbage=garbage[:10]):
                plain = self.plain()
                plain.sendall(garbage)
                plain.shutdown(socket.SHUT_WR)
                await self.to_end(plain)
        await self.nobody_was_told(server)

    async def test_half_a_handshake_and_the_end(self):
        server = await self.serve()
        plain = self.plain()
        plain.sendall(half_a_handshake())
        plain.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.to_end(plain), b"")
        await self.nobody_was_told(server)

    async def test_half_a_handshake_and_silence(self):
        server = await self.serve("handshake_timeout=0.2")
        plain = self.plain()
        plain.sendall(half_a_handshake())
        await self.to_end(plain)  # the server's doing: we would have stayed
        await self.nobody_was_told(server)

    async def test_half_a_handshake_and_a_reset(self):
        server = await self.serve()
        plain = self.plain()
        plain.sendall(half_a_handshake())
        reset(plain)
        await self.nobody_was_told(server)

    async def test_silence_holds_up_nobody(self):
        await self.serve()
        silent = [self.plain() for _ in range(20)]
        await self.still_serves()
        for plain in silent:
            plain.close()

    async def test_with_debug_the_reason_is_in_the_log(self):
        server = await self.serve("debug=yes")
        plain = self.plain()
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        await self.to_end(plain)
        async with asyncio.timeout(PATIENCE):
            while not any("SSL handshake failed" in line for line in server.lines):
                server.arrived.clear()
                await server.arrived.wait()
        self.assertIn("[SSL: HTTP_REQUEST] http request", "\n".join(server.lines))
        await self.still_serves()

    async def test_a_stream_that_is_cut_short(self):
        server = await self.serve()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.subTest(version.name):
                secure = await self.secure(version)
                await server.line("made")
                await asyncio.to_thread(secure.send, b"half of wh")
                self.assertEqual(await asyncio.to_thread(secure.recv, 10), b"half of wh")
                secure.plain.shutdown(socket.SHUT_WR)  # and no close_notify
                self.assertEqual(await server.line("lost"), f"lost {EOF_ERROR}")
                await self.to_end(secure.plain)
        self.assertNotIn("eof", server.lines)
        await self.still_serves()

    async def test_a_client_that_never_answers_our_close(self):
        server = await self.serve("shutdown_timeout=0.2")
        secure = await self.secure()
        await asyncio.to_thread(secure.send, b"close")
        self.assertEqual(await server.line("lost"), "lost TimeoutError: SSL shutdown timed out")
        await self.to_end(secure.plain)
        await self.still_serves()

    async def test_a_client_that_resets(self):
        server = await self.serve()
        secure = await self.secure()
        await asyncio.to_thread(secure.send, b"hello")
        self.assertEqual(await asyncio.to_thread(secure.recv, 5), b"hello")
        reset(secure.plain)
        self.assertEqual(await server.line("lost"),
                         "lost ConnectionResetError: [Errno 104] Connection reset by peer")
        await self.still_serves()

    async def test_a_client_that_does_not_read_is_not_read(self):
        await self.serve()
        secure = await self.secure()
        secure.plain.settimeout(0)
        with self.assertRaises(BlockingIOError):
            while True:  # the server's buffers are bounded: at some time it takes no more
                secure.end.write(b"x" * 10_000)
                secure.flush()
        await self.still_serves()
        reset(secure.plain)


class ServersOfOursByProtocol(ServersOfOurs):
    kind = "protocol"


if __name__ == "__main__":
    unittest.main()
