#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Echo server of CPython's asyncio: peer_echo.py PORT asyncio|asyncio-streams|uvloop|uvloop-streams.

Prints READY and echoes until it is killed."""
import asyncio
import sys

HOST = "127.0.0.1"
BACKLOG = 4096


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo(reader, writer):
    try:
        while data := await reader.read(256 * 1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the client has gone with answers on their way
    writer.close()


async def main(port, streams):
    if streams:
        server = await asyncio.start_server(echo, HOST, port, backlog=BACKLOG)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, HOST, port, backlog=BACKLOG)
    print("READY", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        port, (library, *streams) = int(sys.argv[1]), sys.argv[2].split("-")
    except (IndexError, ValueError):
        sys.exit(__doc__)
    if library == "uvloop":
        import uvloop
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(port, bool(streams)))
