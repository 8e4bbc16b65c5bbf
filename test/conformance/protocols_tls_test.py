#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The TCP scenarios of the folder `protocols` over TLS: a protocol is told what it is over TCP, or
else what CPython tells it over TLS.

The peer is Python's ssl. Where a plain peer closes or half-closes, it says close_notify first. The
folder `protocols_tls` has the scenarios in which the peer has to act otherwise over TLS, and the
traces that are others. They are what a program of CPython 3.13.0 prints that obeys the same
scenario with ssl=, but for UNLIKE_PYTHON.
"""
import concurrent.futures
import json
import os
import pathlib
import socket
import ssl
import sys
import threading

import _protocol_compare

CERTIFICATES = pathlib.Path(__file__).resolve().parent.parent / "certificates"

OVER_TLS = _protocol_compare.SCENARIOS.with_name("protocols_tls")

EMPTY = "a high-water mark of 0 pauses when something waits; in Python also when nothing does"
UNLIKE_PYTHON = {
    "buffered_protocol_empty_buffer": "an empty get_buffer() is a RuntimeError, as over TCP; in "
                                      "Python the end of the stream, and then an SSLError",
    "close_in_data_received": "is_reading() is false after close(), as over TCP",
    "server_close_twice": "abort() works after a second close(), as over TCP",
    "write_buffer_limits": EMPTY,
    "zero_high_water_mark": EMPTY,
}
LEFT_OUT = {
    "eof_received_true_then_peer_resets": "the connection does not stay open; whether the reset "
                                          "overtakes its end is chance",
}


class Secure:
    """What the peer does with a socket, over TLS."""
    gone = []  # keeps them open

    def __init__(self, plain, server_side):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if server_side:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
            self.end = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        else:
            context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
            self.end = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.run(self.end.do_handshake)

    def run(self, operation, *arguments):
        while True:
            try:
                result = operation(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.plain.recv(65536)
                self.incoming.write(data)
                if not data:
                    self.incoming.write_eof()
            else:
                self.flush()
                return result

    def flush(self):
        self.plain.sendall(self.outgoing.read())

    def sendall(self, data):
        for start in range(0, len(data), 65536):
            self.run(self.end.write, data[start:start + 65536])

    def recv(self, size):
        try:
            data = self.run(self.end.read, size)
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLEOFError:  # cut short: what reset is to a plain connection
            raise ConnectionResetError from None
        if not data:
            self.shutdown(None)  # the answer to close_notify
        return data

    def shutdown(self, _):
        """Says close_notify, without waiting for the answer."""
        try:
            self.end.unwrap()
        except ssl.SSLError:  # there is no answer yet
            pass
        self.flush()

    def close(self):
        """Says goodbye. What still comes is not refused: that would be a reset."""
        try:
            self.shutdown(None)
            self.plain.shutdown(socket.SHUT_WR)
        except OSError:  # nobody is there any more
            pass
        self.gone.append(self.plain)

    def settimeout(self, _):
        pass

    def setsockopt(self, *option):
        """Of a connection that is about to be reset."""
        self.plain.setsockopt(*option)
        self.close = self.plain.close


class Listener:
    """Accepts one connection, and has its handshake behind it, before it is asked to."""

    def __init__(self, plain):
        self.plain = plain
        self.accepted = concurrent.futures.Future()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            plain, address = self.plain.accept()
            plain.settimeout(_protocol_compare.PATIENCE)
            self.accepted.set_result((Secure(plain, server_side=True), address))
        except Exception as exc:
            self.accepted.set_exception(exc)

    def accept(self):
        return self.accepted.result(_protocol_compare.PATIENCE)

    def close(self):
        self.plain.close()


class TlsPeer(_protocol_compare.Peer):
    def bound(self, listen):
        return Listener(super().bound(listen))

    def do_connect(self, name, step):
        refusals = len(self.notes)
        super().do_connect(name, step)
        if len(self.notes) == refusals:
            self.sockets[name] = Secure(self.sockets[name], server_side=False)


def scenario_of(name):
    own = OVER_TLS / f"{name}.json"
    return own if own.exists() else _protocol_compare.SCENARIOS / own.name


def trace_of(scenario):
    own = OVER_TLS / f"{scenario.stem}.trace"
    return own if own.exists() else _protocol_compare.SCENARIOS / own.name


def main():
    command = [str(pathlib.Path(os.environ["ASYNCIO_BIN"]) / "protocol_trace"), "--tls",
               str(CERTIFICATES)]
    names = {file.stem for file in _protocol_compare.SCENARIOS.glob("*.json")
             if json.loads(file.read_text(encoding="utf-8"))["program"]["role"].startswith("tcp")}
    named = {file.stem for file in OVER_TLS.iterdir()} | UNLIKE_PYTHON.keys() | LEFT_OUT.keys()
    assert named <= names, named - names
    scenarios = [scenario_of(name) for name in sorted(names - LEFT_OUT.keys())]
    only = sys.argv[1] if sys.argv[1:] else "*"
    return _protocol_compare.compare(command, scenarios, only, 2, TlsPeer, trace_of)


if __name__ == "__main__":
    sys.exit(not main())
