// SPDX-License-Identifier: BSL-1.0
// What a program may ask about a transport's socket. Private to the library.
#pragma once

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>
#include <memory>
#include <utility>

namespace asyncio::inline v1::detail {

class SocketNames {
 protected:
  /// An empty `peer` is asked of the socket.
  SocketNames(const Socket& socket, Address peer)
      : view_(socket),
        peername_(peer.empty() ? address_or_none(&TransportSocket::getpeername) : std::move(peer)) {
  }

  /// Few ask, so the kernel is asked then, and not before. The socket is open.
  void learn_sockname() const {
    if (sockname_) return;
    Address address = address_or_none(&TransportSocket::getsockname);
    if (!address.empty()) sockname_ = std::make_unique<const Address>(std::move(address));
  }

  TransportSocket view_;
  const Address peername_;  // empty: it has none
  mutable std::unique_ptr<const Address> sockname_;  // null: it has none, or nobody has asked

 private:
  Address address_or_none(Address (TransportSocket::*ask)() const) const {
    try {
      return (view_.*ask)();
    } catch (const OSError&) {
      return Address();
    }
  }
};

}  // namespace asyncio::inline v1::detail
