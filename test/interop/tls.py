#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""interop_tls, by streams and by protocols, with peers that speak TLS as they should: Python's asyncio
and ssl, and openssl's s_client and s_server."""
import asyncio
import contextlib
import os
import pathlib
import shutil
import socket
import ssl
import unittest
import zlib

from _programs import HOST, PATIENCE, Program, free_port
from _tls import CA, EOF_ERROR, TlsTest, client_context, ours, pair, server_context

MIB = 2 ** 20
SIZE = 64 * MIB
GOOD_EVENING = b"good evening\n"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def flag(version):
    """Of openssl: "-tls1_3"."""
    return "-" + version.lower().replace("v", "").replace(".", "_")


async def echo(reader, writer):
    """Python's side of our clients; (bytes, crc32) of what was echoed."""
    size, crc = 0, 0
    while data := await reader.read(MIB):
        size, crc = size + len(data), zlib.crc32(data, crc)
        writer.write(data)
        await writer.drain()
    return size, crc


class Server(TlsTest):
    async def test_each_version(self):
        server = await self.serve()
        for name, version in VERSIONS.items():
            with self.subTest(name):
                reader, writer = await self.connect(client_context(version=version))
                await self.echo(reader, writer)
                cipher = writer.get_extra_info("cipher")[0]
                await self.leave(writer)
                self.assertEqual(await server.line("made"),
                                 f"made {name} {cipher} alpn=none peer=none reused=no")
                await server.line("eof")
                await server.line("lost null")

    async def test_a_version_that_is_too_old_or_too_new(self):
        await self.serve("min=1.3")
        with self.assertRaisesRegex(ssl.SSLError, "ALERT_PROTOCOL_VERSION"):
            await self.connect(client_context(version=ssl.TLSVersion.TLSv1_2))
        await self.still_serves()

    async def test_alpn(self):
        server = await self.serve("alpn=h2,http/1.1")
        for offered, selected in ((["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"),
                                  (["spdy/3"], None), ([], None)):
            with self.subTest(offered=offered):
                context = client_context()
                if offered:
                    context.set_alpn_protocols(offered)
                _, writer = await self.connect(context)
                self.assertEqual(
                    writer.get_extra_info("ssl_object").selected_alpn_protocol(), selected)
                self.assertIn(f"alpn={selected or 'none'} ", await server.line("made"))
                await self.leave(writer)

    async def test_two_certificates_by_name(self):
        certificate, key = pair("other")
        await self.serve(f"named=other.test,{certificate},{key}")
        for name in "localhost", "other.test":
            with self.subTest(name):
                _, writer = await self.connect(name=name)  # which checks it
                self.assertIn(("DNS", name),
                              writer.get_extra_info("peercert")["subjectAltName"])
                await self.leave(writer)
        with self.assertRaises(ssl.SSLCertVerificationError):
            await self.connect(name="third.test")

    async def test_a_client_certificate_is_required(self):
        server = await self.serve(f"ca={CA}", "client_cert=required")
        for name, version in VERSIONS.items():
            with self.subTest(name):
                reader, writer = await self.connect(client_context("client", version))
                await self.echo(reader, writer)
                self.assertIn("peer=client ", await server.line("made"))
                await self.leave(writer)
                # With TLS 1.3 the client's handshake is over before the server has looked.
                with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                    reader, writer = await self.connect(client_context(version=version))
                    await self.echo(reader, writer)
        self.assertEqual(sum(line.startswith("made") for line in server.lines), 2)

    async def test_a_client_certificate_is_welcome(self):
        server = await self.serve(f"ca={CA}", "client_cert=optional")
        for certificate in None, "client":
            reader, writer = await self.connect(client_context(certificate))
            await self.echo(reader, writer)
            self.assertIn(f"peer={certificate or 'none'} ", await server.line("made"))
            await self.leave(writer)

    async def test_a_session_is_resumed(self):
        server = await self.serve()
        await self.resume(server, VERSIONS["TLSv1.2"])
        await self.resume(server, VERSIONS["TLSv1.3"])

    async def test_a_session_is_resumed_without_tickets(self):
        server = await self.serve("tickets=no", "max=1.2")
        await self.resume(server, VERSIONS["TLSv1.2"])

    async def resume(self, server, version):
        context = client_context(version=version)

        def talk(session):
            with socket.create_connection((HOST, self.port), PATIENCE) as plain, \
                    context.wrap_socket(plain, server_hostname="localhost",
                                        session=session) as secure:
                secure.sendall(b"hello")  # the answer brings the session of TLS 1.3
                received = b""
                while len(received) < 5:
                    received += secure.recv(5)
                self.assertEqual(received, b"hello")
                self.assertEqual(secure.session_reused, session is not None)
                session = secure.session
                secure.unwrap().close()
                return session

        with self.subTest(version.name):
            session = await asyncio.to_thread(talk, None)
            self.assertRegex(await server.line("made"), "reused=no$")
            await asyncio.to_thread(talk, session)
            self.assertRegex(await server.line("made"), "reused=yes$")

    async def test_the_peer_ends_first_and_is_answered_in_kind(self):
        server = await self.serve()

        def end():
            with socket.create_connection((HOST, self.port), PATIENCE) as plain, \
                    client_context().wrap_socket(plain, server_hostname="localhost",
                                                 suppress_ragged_eofs=False) as secure:
                secure.sendall(b"the last words")
                received = b""
                while len(received) < 14:
                    received += secure.recv(100)
                # Sends close_notify and returns when ours has come; a plain end of the
                # connection would be an SSLEOFError.
                with secure.unwrap() as left:
                    self.assertEqual(left.recv(1), b"")
                return received

        self.assertEqual(await asyncio.to_thread(end), b"the last words")
        await server.line("eof")
        await server.line("lost null")

    async def test_64_mib_come_back_as_they_were(self):
        await self.serve()
        reader, writer = await self.connect()
        block = os.urandom(MIB)
        sent, received = 0, 0

        async def send():
            nonlocal sent
            for number in range(SIZE // MIB):
                piece = number.to_bytes(4, "big") + block[4:]
                sent = zlib.crc32(piece, sent)
                writer.write(piece)
                await writer.drain()

        async def receive():
            nonlocal received
            left = SIZE
            while left:
                data = await reader.read(MIB)
                self.assertTrue(data)
                received = zlib.crc32(data, received)
                left -= len(data)

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(send(), receive())
        self.assertEqual(sent, received)
        await self.leave(writer)

    async def test_start_tls(self):
        server = await self.serve("starttls=yes")
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, self.port)
            writer.write(b"STARTTLS\n")
            self.assertEqual(await reader.readline(), b"GO\n")
            await writer.start_tls(client_context(), server_hostname="localhost")
        await server.line("made TLSv1.3")
        await self.echo(reader, writer)
        writer.close()
        await server.line("lost null")

    async def test_1000_handshakes_leave_nothing_behind(self):
        server = await self.serve()
        proc = pathlib.Path(f"/proc/{server.process.pid}")
        context = client_context()

        def used():
            pages = int((proc / "statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE"), len(list((proc / "fd").iterdir()))

        def handshakes(count):
            for _ in range(count):
                with socket.create_connection((HOST, self.port), PATIENCE) as plain, \
                        context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.unwrap().close()  # the server has closed as well

        _, descriptors = used()
        await asyncio.to_thread(handshakes, 200)
        memory, _ = used()
        await asyncio.to_thread(handshakes, 800)
        for _ in range(1000):
            await server.line("lost null")
        memory_now, descriptors_now = used()
        self.assertEqual(descriptors_now, descriptors)
        if "ASAN_OPTIONS" not in os.environ:  # a sanitizer keeps what was freed; it tells of leaks
            self.assertLess(memory_now - memory, MIB)

    async def test_openssl_s_client(self):
        server = await self.serve("alpn=h2")
        for name in VERSIONS:
            with self.subTest(name):
                client = await asyncio.create_subprocess_exec(
                    "openssl", "s_client", "-connect", f"{HOST}:{self.port}", "-CAfile", CA,
                    "-verify_return_error", "-verify_hostname", "localhost", "-alpn", "h2",
                    "-servername", "localhost", "-quiet", flag(name), stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
                client.stdin.write(b"good morning\n")
                async with asyncio.timeout(PATIENCE):
                    self.assertEqual(await client.stdout.readline(), b"good morning\n")
                self.assertRegex(await server.line("made"), f"^made {name} .* alpn=h2 ")
                client.terminate()
                await client.wait()
                await server.line("lost")


class ServerByProtocol(Server):
    kind = "protocol"


class Client(TlsTest):
    async def test_each_version(self):
        for name, version in VERSIONS.items():
            with self.subTest(name):
                port = await self.python_server(echo, server_context(version=version))
                lines = await self.run_client(port, f"ca={CA}", "send=1000")
                size, crc = await self.result
                self.assertEqual(size, 1000)
                self.assertRegex(lines[0], f"^made {name} .* alpn=none peer=localhost reused=no$")
                self.assertEqual([line for line in lines[1:] if line != "eof"],
                                 [f"sent 1000 crc32={crc:08x}", f"received 1000 crc32={crc:08x}",
                                  "lost null"])

    async def test_alpn_and_the_name_that_is_asked_for(self):
        context = server_context("other")
        context.set_alpn_protocols(["h2"])
        asked = []
        context.sni_callback = lambda connection, name, context: asked.append(name)
        port = await self.python_server(echo, context)
        lines = await self.run_client(port, f"ca={CA}", "alpn=http/1.1,h2", "send=5",
                                      name="some.wild.test")
        self.assertRegex(lines[0], "alpn=h2 peer=other.test ")
        self.assertEqual(asked, ["some.wild.test"])

    async def test_it_shows_its_certificate(self):
        context = server_context()
        context.load_verify_locations(CA)
        context.verify_mode = ssl.CERT_REQUIRED

        async def subject(reader, writer):
            await echo(reader, writer)
            return writer.get_extra_info("peercert")["subject"]

        for name, version in VERSIONS.items():
            with self.subTest(name):
                context.maximum_version = version
                port = await self.python_server(subject, context)
                lines = await self.run_client(port, f"ca={CA}", "send=5", *ours("client"))
                self.assertIn((("commonName", "client"),), await self.result)
                self.assertEqual(lines[-1], "lost null")

    async def test_it_shows_no_certificate_where_one_is_required(self):
        context = server_context()
        context.load_verify_locations(CA)
        context.verify_mode = ssl.CERT_REQUIRED
        for name, version, problem in (
                ("TLSv1.2", VERSIONS["TLSv1.2"],
                 # "sslv3 alert" before OpenSSL 3.2, then "ssl/tls alert".
                 r"SSLError: \[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] ssl\S+ alert handshake failure"),
                # Its handshake was over before the server looked: it is the first read that fails.
                ("TLSv1.3", VERSIONS["TLSv1.3"],
                 r"SSLError: \[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate "
                 "required")):
            with self.subTest(name):
                context.maximum_version = version
                port = await self.blocking_server(context)
                lines = await self.run_client(port, f"ca={CA}", "send=end")
                self.assertRegex("\n".join(lines), problem)

    async def blocking_server(self, context):
        """One handshake that fails, and its alert is sent: asyncio's server of Python sends none."""
        listener = socket.create_server((HOST, 0))
        self.addCleanup(listener.close)

        def handshake():
            plain, _ = listener.accept()
            plain.settimeout(PATIENCE)
            with context.wrap_socket(plain, server_side=True,
                                     do_handshake_on_connect=False) as secure:
                with self.assertRaises(ssl.SSLError):
                    secure.do_handshake()
                secure.shutdown(socket.SHUT_WR)
                while secure.recv(100):  # so that the alert is not lost by a reset
                    pass

        task = asyncio.create_task(asyncio.to_thread(handshake))
        self.addAsyncCleanup(asyncio.wait_for, task, PATIENCE)
        return listener.getsockname()[1]

    async def test_the_server_ends_first_and_is_answered_in_kind(self):
        listener = socket.create_server((HOST, 0))
        self.addCleanup(listener.close)

        def serve():
            plain, _ = listener.accept()
            plain.settimeout(PATIENCE)
            with server_context().wrap_socket(plain, server_side=True,
                                              suppress_ragged_eofs=False) as secure:
                secure.sendall(b"over")
                with secure.unwrap() as left:  # returns when the client's close_notify has come
                    self.assertEqual(left.recv(1), b"")

        served = asyncio.create_task(asyncio.to_thread(serve))
        lines = await self.run_client(listener.getsockname()[1], f"ca={CA}", "send=end")
        async with asyncio.timeout(PATIENCE):
            await served
        self.assertEqual(lines[1], "eof")
        self.assertEqual(lines[3:],
                         [f"received 4 crc32={zlib.crc32(b'over'):08x}", "lost null"])

    async def test_64_mib_come_back_as_they_were(self):
        port = await self.python_server(echo, server_context())
        lines = await self.run_client(port, f"ca={CA}", f"send={SIZE}")
        size, crc = await self.result
        self.assertEqual(size, SIZE)
        self.assertIn(f"sent {SIZE} crc32={crc:08x}", lines)
        self.assertIn(f"received {SIZE} crc32={crc:08x}", lines)
        self.assertEqual(lines[-1], "lost null")

    async def test_start_tls(self):
        async def upgrade(reader, writer):
            self.assertEqual(await reader.readline(), b"STARTTLS\n")
            writer.write(b"GO\n")
            await writer.start_tls(server_context())
            return await echo(reader, writer)

        port = await self.python_server(upgrade, None)
        lines = await self.run_client(port, f"ca={CA}", "send=100000", "starttls=yes")
        size, crc = await self.result
        self.assertEqual(size, 100000)
        self.assertRegex(lines[0], "^made TLSv1.3 .* peer=localhost ")
        self.assertIn(f"received 100000 crc32={crc:08x}", lines)
        self.assertEqual(lines[-1], "lost null")

    async def test_openssl_s_server(self):
        certificate, key = pair("server")
        for name in VERSIONS:
            with self.subTest(name):
                port = free_port()
                server = await asyncio.create_subprocess_exec(
                    "openssl", "s_server", "-accept", f"{HOST}:{port}", "-cert", certificate,
                    "-key", key, "-alpn", "h2", flag(name), stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
                try:
                    async with asyncio.timeout(PATIENCE):
                        while await server.stdout.readline() != b"ACCEPT\n":
                            pass
                    client = asyncio.create_task(
                        self.run_client(port, f"ca={CA}", "alpn=h2", "send=end"))
                    async with asyncio.timeout(PATIENCE):
                        while not (await server.stdout.readline()).startswith(b"CIPHER"):
                            pass
                    server.stdin.write(GOOD_EVENING)
                    server.stdin.write_eof()  # it ends the connection
                    lines = await client
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        server.kill()
                    await server.wait()
                self.assertRegex(lines[0], f"^made {name} .* alpn=h2 peer=localhost ")
                self.assertIn(f"received 13 crc32={zlib.crc32(GOOD_EVENING):08x}", lines)
                self.assertEqual(lines[-1], f"lost {EOF_ERROR}")  # it says no goodbye


class ClientByProtocol(Client):
    kind = "protocol"


class Examples(TlsTest):
    async def start(self):
        self.port = free_port()
        server = await Program.start("https_server", *pair("server"), HOST, self.port)
        self.addAsyncCleanup(self.stop_example, server)
        await server.line("Serving on")
        return server

    async def stop_example(self, server):
        async with server:
            self.assertEqual(await server.interrupt(), 0, server.lines)

    async def test_curl_reads_the_page(self):
        if not shutil.which("curl"):
            self.skipTest("there is no curl: cmake/bootstrap.sh installs it")
        await self.start()
        for option, version in ("--tls-max", "1.2"), ("--tlsv1.3", "1.3"):
            with self.subTest(version):
                curl = await asyncio.create_subprocess_exec(
                    "curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", CA,
                    *([option, version] if option == "--tls-max" else [option]),
                    "--write-out", "%{http_code}", f"https://{HOST}:{self.port}/",
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT)
                async with asyncio.timeout(PATIENCE):
                    output, _ = await curl.communicate()
                self.assertEqual(output.decode(), f"Hello over TLSv{version}\n200")
                self.assertEqual(curl.returncode, 0)

    async def test_the_client_shows_the_headers(self):
        await self.start()
        async with await Program.start("https_headers", HOST, self.port, "/", CA) as client:
            self.assertEqual(await client.end(), 0)
            self.assertEqual(client.lines, [
                "HTTP header> HTTP/1.1 200 OK", "HTTP header> Connection: close",
                "HTTP header> Content-Type: text/plain", "HTTP header> Content-Length: 19"])

    async def test_the_client_trusts_not_everybody(self):
        await self.start()
        async with await Program.start("https_headers", HOST, self.port, "/",
                                       CA.with_name("stranger.pem")) as client:
            self.assertEqual(await client.end(), 1)
            self.assertRegex(client.lines[0], "certificate verify failed")

    async def test_a_client_that_asks_for_nothing(self):
        server = await self.start()
        _, writer = await self.connect()
        await self.leave(writer)
        await server.line("no request: 0 bytes read on a total of undefined expected bytes")


if __name__ == "__main__":
    unittest.main()
