#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The TCP scenarios of the folder `protocols` over TLS: a protocol is told the same, and in order.

The peer is Python's ssl. Where a plain peer closes or half-closes, it says close_notify first.
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

NO_HALF_CLOSE = "TLS closes both directions: no write_eof(), and eof_received() keeps nothing open"
ALERT = "what ends a TLS connection roughly, or in the middle, is no end of the stream to the peer"
WATER = "a write goes to the transport below as a whole, so it is later that writing is paused"
GOODBYE = "close() is through when the peer has said close_notify too, and this peer does not"
ANSWER = "the answer to our close_notify is told by eof_received()"
DIFFERENT = {
    "client_write_eof_then_read": NO_HALF_CLOSE,
    "eof_received_true_keeps_open": NO_HALF_CLOSE,
    "eof_received_true_then_peer_resets": NO_HALF_CLOSE,
    "server_write_eof_then_reads_on": NO_HALF_CLOSE,
    "server_write_after_write_eof": NO_HALF_CLOSE,
    "server_close_after_write_eof": NO_HALF_CLOSE,
    "pause_reading_holds_back_eof": NO_HALF_CLOSE,
    "client_abort": ALERT,
    "data_received_raises": ALERT,
    "eof_received_raises": ALERT,
    "server_abort_clients": ALERT,
    "server_abort_drops_the_buffer": ALERT,
    "abort_while_paused": WATER,
    "close_while_paused": WATER,
    "pause_and_resume_writing": WATER,
    "client_large_upload": WATER,
    "peer_resets_while_server_is_blocked_writing": WATER,
    "server_close_flushes": WATER,
    "close_in_data_received": GOODBYE,
    "server_write_after_close": GOODBYE,
    "zero_high_water_mark": WATER,
    "write_buffer_limits": "the usual limits are others",
    "server_writes_on_connect": ANSWER,
    "writelines": ANSWER,
    "connection_made_raises": "the exception is raised in the handshake, which it ends",
    "client_connection_refused": "there is no connection to speak TLS on",
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


def main():
    command = [str(pathlib.Path(os.environ["ASYNCIO_BIN"]) / "protocol_trace"), "--tls",
               str(CERTIFICATES)]
    files = [file for file in sorted(_protocol_compare.SCENARIOS.glob("*.json"))
             if json.loads(file.read_text(encoding="utf-8"))["program"]["role"].startswith("tcp")]
    names = {file.stem for file in files}
    assert names >= DIFFERENT.keys(), DIFFERENT.keys() - names
    equal = [file for file in files if file.stem not in DIFFERENT]
    only = sys.argv[1] if sys.argv[1:] else "*"
    return _protocol_compare.compare(command, equal, only, repeat=2, peer=TlsPeer)


if __name__ == "__main__":
    sys.exit(not main())
