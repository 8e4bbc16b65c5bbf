# SPDX-License-Identifier: BSL-1.0
"""What the tests with TLS share: certificates, Python's contexts, and interop_tls as a server and as a
client."""
import asyncio
import contextlib
import pathlib
import ssl
import unittest

from _programs import HOST, PATIENCE, Program, free_port

CERTIFICATES = pathlib.Path(__file__).resolve().parent.parent / "certificates"
CA = CERTIFICATES / "ca.pem"
EOF_ERROR = ("SSLEOFError: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of "
             "protocol")


def pair(name):
    """The certificate of this name and its key."""
    return CERTIFICATES / f"{name}.pem", CERTIFICATES / f"{name}.key"


def ours(name="server"):
    """The same as options of interop_tls."""
    certificate, key = pair(name)
    return [f"cert={certificate}", f"key={key}"]


def client_context(certificate=None, version=None):
    context = ssl.create_default_context(cafile=CA)
    return prepared(context, certificate, version)


def server_context(certificate="server", version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return prepared(context, certificate, version)


def prepared(context, certificate, version):
    if certificate:
        context.load_cert_chain(*pair(certificate))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsTest(unittest.IsolatedAsyncioTestCase):
    """`kind` is how interop_tls does its work: the tests are run with both."""
    kind = "streams"

    async def serve(self, *options):
        """Our server, with its own certificate unless the options name one; on self.port. At the end
        it must go in peace and have reported nothing."""
        self.port = free_port()
        if not any(option.startswith("cert=") for option in options):
            options = [*ours(), *options]
        server = await Program.start("interop_tls", self.kind, "server", self.port, *options)
        self.addAsyncCleanup(self.stop, server, "debug=yes" in options)
        await server.line("listening")
        return server

    async def stop(self, server, debug):
        async with server:
            self.assertEqual(await server.interrupt(), 0, server.lines)
        if not debug:
            for line in server.lines:
                self.assertRegex(line, "^(listening|made|eof|lost|failed)")

    async def connect(self, context=None, name="localhost", port=None):
        """A connection of Python's to our server."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                HOST, port or self.port, ssl=context or client_context(), server_hostname=name)
        self.addCleanup(writer.transport.abort)
        return reader, writer

    async def echo(self, reader, writer, message=b"hello"):
        async with asyncio.timeout(PATIENCE):
            writer.write(message)
            self.assertEqual(await reader.readexactly(len(message)), message)

    async def still_serves(self):
        reader, writer = await self.connect()
        await self.echo(reader, writer)
        await self.leave(writer)

    async def leave(self, writer):
        writer.close()
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def run_client(self, port, *options, name="localhost"):
        """The lines of our client, when it is through."""
        async with await Program.start("interop_tls", self.kind, "client", port, f"name={name}",
                                       *options) as client:
            self.assertEqual(await client.end(), 0, client.lines)
            return client.lines

    async def python_server(self, handler, context):
        """The port of a server of Python's. What the handler returns, or raises, is self.result."""
        self.result = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            try:
                async with asyncio.timeout(PATIENCE):
                    self.result.set_result(await handler(reader, writer))
            except Exception as exc:
                self.result.set_exception(exc)
            await self.leave(writer)

        server = await asyncio.start_server(handle, HOST, 0, ssl=context)
        self.addCleanup(server.close)
        return server.sockets[0].getsockname()[1]
