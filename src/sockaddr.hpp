// SPDX-License-Identifier: BSL-1.0
// Between Address and the system's sockaddr, and system calls with both. Private to the library.
#pragma once

#include <sys/socket.h>

#include <asyncio/sockets.hpp>
#include <cerrno>

namespace asyncio::inline v1::detail {

/// An address in the system's form.
class SockAddr {
 public:
  /// Room to be filled by a system call: sockaddr() with a length() that starts at capacity.
  SockAddr() noexcept : length_(sizeof storage_) {}
  /// The empty host stands for every interface of `family`. ValueError for a name, or nothing;
  /// OSError for a path that is too long.
  explicit SockAddr(const Address& address, int family = 0);

  sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t& length() noexcept { return length_; }
  socklen_t length() const noexcept { return length_; }

 private:
  sockaddr_storage storage_{};
  socklen_t length_;
};

/// Empty for a family that Address does not know.
Address to_address(const sockaddr* data, std::size_t length);
inline Address to_address(const SockAddr& address) {
  return to_address(address.data(), address.length());
}

/// Begins a connection; an errno, EINPROGRESS if it is under way, 0 if it stands.
int start_connect(NativeSocket socket, const SockAddr& address) noexcept;

struct Accepted {
  Socket socket;
  Address peer;
};

/// The errno, or 0. (Asio's accept would let child processes inherit the descriptor.)
int accept(const TransportSocket& listener, Accepted& accepted);

/// Is it to be tried again when the socket is ready?
inline bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/// For send: a lost connection is an error, not a signal.
#ifdef MSG_NOSIGNAL
inline constexpr int no_signal = MSG_NOSIGNAL;
#else
inline constexpr int no_signal = 0;
#endif

/// Is the text a literal of the family (AF_INET, AF_INET6)? Zone indices ("%eth0") are none.
bool is_literal(int family, std::string_view text) noexcept;

}  // namespace asyncio::inline v1::detail
