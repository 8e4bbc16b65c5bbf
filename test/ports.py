# SPDX-License-Identifier: BSL-1.0
"""Ports for test programs, which several test scripts start at the same time."""
import itertools
import os
import socket

# Below the ports that the system gives to those who ask for any. Each script has some of its own, so
# that no other takes one between the look at it here and its use.
FIRST, LAST, SHARE = 20000, 32000, 50
_own = FIRST + os.getpid() * SHARE % (LAST - FIRST)
_ports = itertools.cycle(range(_own, _own + SHARE))


def free_port(kind=socket.SOCK_STREAM):
    """A port of 127.0.0.1 that nobody listens on; one after the other, not the same again soon."""
    for port in itertools.islice(_ports, SHARE):
        with socket.socket(type=kind) as probe:
            if kind == socket.SOCK_STREAM:  # connections that have ended do not matter
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"every port from {_own} to {_own + SHARE - 1} is taken")
