// SPDX-License-Identifier: BSL-1.0
#include "sock_connect.hpp"

#include <sys/socket.h>

#include <asyncio/exceptions.hpp>
#include <cerrno>

#include "descriptors.hpp"
#include "loop_core.hpp"
#include "sockaddr.hpp"

namespace asyncio::inline v1::detail {

namespace {

/// Is the connection under way, perhaps since an attempt that was cancelled? OSError if it cannot
/// begin.
bool begin(const SocketBase& sock, const Address& address) {
  const int error = start_connect(sock.fileno(), SockAddr(address, sock.family()));
  if (error != 0 && error != EINPROGRESS && error != EALREADY) throw_os_error(error);
  return error != 0;
}

}  // namespace

Coroutine<> sock_connect(LoopCore& core, const SocketBase& sock, Address address) {
  if (!begin(sock, address)) co_return;
  const SocketWait connected(core, sock.fileno(), Readiness::writable, [&] {
    const int error = sock.getsockopt(SOL_SOCKET, SO_ERROR);
    if (error != 0) throw_os_error(error, "Connect call failed " + to_string(address));
    return true;
  });
  co_await connected.done();
}

}  // namespace asyncio::inline v1::detail
