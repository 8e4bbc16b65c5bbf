// SPDX-License-Identifier: BSL-1.0
// The sock_* operations that others use, too. Private to the library.
#pragma once

#include <asyncio/coroutine.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1::detail {

class LoopCore;

/// ValueError "the socket must be non-blocking", in debug mode only.
void check_non_blocking(const LoopCore& core, const SocketBase& sock);

/// See EventLoop::sock_sendall.
Coroutine<> sock_sendall(LoopCore& core, TransportSocket sock, BytesView data);

}  // namespace asyncio::inline v1::detail
