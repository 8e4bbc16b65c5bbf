// SPDX-License-Identifier: BSL-1.0
// Connecting one socket. Private to the library.
#pragma once

#include <asyncio/coroutine.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1::detail {

class LoopCore;

/// Connects to an address that needs no resolving; does not yield if that can be decided at once.
/// On cancel it stops watching the socket; the socket stays open and its owner's, and must live, at
/// its place, until this is done. OSError: "Connect call failed ADDRESS" if the connection failed,
/// the system's own text if it could not begin (rule 165).
/// Unlike Python, a Unix server's full backlog is a BlockingIOError: nothing is under way then.
Coroutine<> sock_connect(LoopCore& core, const SocketBase& sock, Address address);

}  // namespace asyncio::inline v1::detail
