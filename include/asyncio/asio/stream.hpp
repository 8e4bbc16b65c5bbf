// SPDX-License-Identifier: BSL-1.0
// Connections between asyncio and Asio: a transport's socket as one of Asio's.
#pragma once

#include <string>
#include <utility>

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// Asio's protocol of a socket; TypeError if it is of another kind.
template <class Protocol>
Protocol protocol_of(const Socket& socket) {
  const auto protocol = [&] {
    if constexpr (requires { Protocol(socket.family(), socket.proto()); })
      return Protocol(socket.family(), socket.proto());
    else if constexpr (requires { Protocol::v6(); })
      return socket.family() == Protocol::v6().family() ? Protocol::v6() : Protocol::v4();
    else
      return Protocol();
  }();
  if (protocol.family() != socket.family() || protocol.type() != socket.type())
    throw TypeError("another kind of socket was expected, got " + to_string(socket));
  return protocol;
}

}  // namespace detail

/// Takes the socket out of a transport, as one of Asio's: for an executor, or for a context.
///
///   auto socket = asyncio::release_socket<tcp::socket>(*transport, io);
///
/// See WriteTransport::release_socket(). TypeError if the socket is none of that protocol, and
/// boost::system::system_error if Asio refuses it; the connection is closed then. The way back is
/// `sock=` of create_connection() and open_connection(), which take any of Asio's sockets.
template <class AsioSocket, class Executor>
AsioSocket release_socket(WriteTransport& transport, Executor&& executor) {
  Socket socket = transport.release_socket();
  const auto protocol = detail::protocol_of<typename AsioSocket::protocol_type>(socket);
  AsioSocket asio_socket(std::forward<Executor>(executor), protocol, socket.fileno());
  socket.detach();
  return asio_socket;
}

}  // namespace asyncio::inline v1
