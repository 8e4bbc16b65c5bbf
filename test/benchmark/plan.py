# SPDX-License-Identifier: BSL-1.0
"""What is measured, who is measured, and what is to be reached."""
from dataclasses import dataclass

EPOLL = "raw epoll"
ASIO_TLS = "Asio ssl::stream"
FLOOR = "floor"
OURS = "asyncio for C++"
CPYTHON = "CPython asyncio"
SERVE_ON_THREADS = "serve_on_threads"
UVLOOP = "uvloop"


@dataclass(frozen=True)
class Program:
    """Somebody to measure. `command` begins with a program that the build makes, or with a script
    of peers/ that needs the Python module named by `module`."""
    name: str
    command: tuple
    ours: bool = False
    module: str = ""


@dataclass(frozen=True)
class Configuration:
    """A load for echo servers; `base` is the server that the others are compared with."""
    name: str
    title: str
    load: tuple
    base: str = EPOLL


ECHO_SERVERS = (
    Program(EPOLL, ("peer_echo_epoll",)),
    Program("Protocol", ("bench_echo_protocol",), ours=True),
    Program("BufferedProtocol", ("bench_echo_buffered",), ours=True),
    Program("streams", ("bench_echo_streams",), ours=True),
    Program("guest", ("bench_echo_guest",), ours=True),
    Program("guest on a strand", ("bench_echo_strand",), ours=True),
    Program("Asio callbacks", ("peer_echo_asio",)),
    Program("Asio awaitables", ("peer_echo_asio_awaitable",)),
    Program("Asio on a strand", ("peer_echo_asio_strand",)),
    Program("libuv", ("peer_echo_libuv",)),
    Program("uvloop Protocol", ("peer_echo.py", "uvloop"), module="uvloop"),
    Program("uvloop streams", ("peer_echo.py", "uvloop-streams"), module="uvloop"),
    Program("CPython Protocol", ("peer_echo.py", "asyncio"), module="asyncio"),
    Program("CPython streams", ("peer_echo.py", "asyncio-streams"), module="asyncio"),
)
TLS_SERVERS = (
    Program(ASIO_TLS, ("peer_echo_asio_tls",)),
    Program("Protocol over TLS", ("bench_echo_tls",), ours=True),
)

CONFIGURATIONS = (
    Configuration("1x64B", "1 × 64 B", ("--connections", 1, "--size", 64)),
    Configuration("64x1KiB", "64 × 1 KiB", ("--connections", 64, "--size", 1024)),
    Configuration("64x64KiB", "64 × 64 KiB", ("--connections", 64, "--size", 65536)),
    Configuration("1000x1KiB", "1000 × 1 KiB", ("--connections", 1000, "--size", 1024)),
    Configuration("pipelined", "64 × 1 KiB, pipelined 16 deep",
                  ("--connections", 64, "--size", 1024, "--depth", 16)),
    Configuration("tls", "64 × 1 KiB over TLS",
                  ("--connections", 64, "--size", 1024, "--tls"), base=ASIO_TLS),
    Configuration("connect", "connect, 64 B, close",
                  ("--connections", 64, "--size", 64, "--connect")),
)


def servers_of(configuration):
    return TLS_SERVERS if configuration.base == ASIO_TLS else ECHO_SERVERS


LOOPS = (
    Program(FLOOR, ("peer_loop_floor",)),
    Program(OURS, ("bench_loop",), ours=True),
    Program(UVLOOP, ("peer_loop.py", "uvloop"), module="uvloop"),
    Program(CPYTHON, ("peer_loop.py", "asyncio"), module="asyncio"),
)

WORKLOADS = ("soon_chain", "soon_chain_io", "soon_batch", "spawn_gather", "pingpong", "yield",
             "timer_cancel", "timer_fire", "await_depth", "cancel", "cancel_depth10", "idle_mem",
             "idle_conn", "idle_conn_streams")

# Who serves with threads, how many are measured, and for how many it is computed.
THREADED = (Program(EPOLL, ("peer_threads_epoll",)),
            Program(SERVE_ON_THREADS, ("bench_threads",), ours=True))
THREADS = (1, 2)
MORE_THREADS = (4, 8, 16)

# What is included to see how long a compiler needs for it, the first being what it is compared with.
COMPILE = "compile"
STANDARD_HEADERS = ("coroutine", "functional", "memory", "string")
COMPILED = {"standard headers": STANDARD_HEADERS,
            "<asyncio/asyncio.hpp>": ("asyncio/asyncio.hpp",)}

# --- Targets -------------------------------------------------------------------------------------

_CLOSED_LOOP = ("1x64B", "64x1KiB", "64x64KiB", "1000x1KiB")


def _echo_targets():
    cpu, rate = {}, {}
    for server in ("Protocol", "BufferedProtocol"):
        for name in _CLOSED_LOOP:
            cpu[server, name] = 1.05 if name == "1x64B" else 1.03
            rate[server, name] = 0.97
        rate[server, "pipelined"] = 0.98
        rate[server, "connect"] = 0.95
    for name in (*_CLOSED_LOOP, "pipelined"):
        cpu["streams", name] = 1.06
        cpu["guest", name] = 1.04
        cpu["guest on a strand", name] = 1.08
    cpu["Protocol over TLS", "tls"] = 1.00
    return cpu, rate


# What the ratio to the base may be: CPU per request at most, requests per second at least.
CPU_AT_MOST, RATE_AT_LEAST = _echo_targets()

# What so many threads answer, at least: a multiple of what one does.
THREADS_AT_LEAST = {2: 1.8}

# How much longer a file that includes asyncio may take.
COMPILE_AT_MOST = 2.0

# What our value may be at most: a multiple of what somebody else has, or (None) so much.
LOOP_AT_MOST = {
    **dict.fromkeys(("soon_chain", "soon_batch", "spawn_gather", "pingpong", "yield",
                     "timer_cancel", "timer_fire", "await_depth"), (FLOOR, 2.0)),
    "soon_chain_io": (None, 15),
    "cancel": (CPYTHON, 0.7),
    "cancel_depth10": (CPYTHON, 1.0),
    "idle_mem": (None, 256),
    "idle_conn": (None, 1024),
    "idle_conn_streams": (None, 1536),
}
