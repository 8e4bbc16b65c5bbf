// SPDX-License-Identifier: BSL-1.0
// The system calls of sockets.hpp and sockaddr.hpp on POSIX systems.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>
#include <cerrno>
#include <cstddef>

#include "sockaddr.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

/// A failed call's result is an OSError.
template <class Result>
Result checked(Result result) {
  if (result < 0) throw_os_error(errno);
  return result;
}

void set_close_on_exec(int handle) { checked(fcntl(handle, F_SETFD, FD_CLOEXEC)); }

void set_non_blocking(int handle) {
  const int flags = checked(fcntl(handle, F_GETFL));
  if (!(flags & O_NONBLOCK)) checked(fcntl(handle, F_SETFL, flags | O_NONBLOCK));
}

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

std::string to_host(int family, const void* address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family, address, text, sizeof text);
}

}  // namespace

SockAddr::SockAddr(const Address& address, int family) : length_(0) {
  if (address.is_path()) {
    const std::string& path = address.path();
    auto& unix_address = reinterpret_cast<sockaddr_un&>(storage_);
    const bool ends_with_null = !path.empty() && path[0] != '\0';
    if (path.size() + ends_with_null > sizeof unix_address.sun_path)
      throw OSError("AF_UNIX path too long");
    unix_address.sun_family = AF_UNIX;
    path.copy(unix_address.sun_path, path.size());
    length_ = static_cast<socklen_t>(path_offset + path.size() + ends_with_null);
    return;
  }
  const bool wildcard = !address.empty() && address.host().empty();
  switch (wildcard ? family : address.family()) {
    case AF_INET: {
      auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage_);
      ipv4.sin_family = AF_INET;
      ipv4.sin_port = htons(static_cast<std::uint16_t>(address.port()));
      if (!wildcard) inet_pton(AF_INET, address.host().c_str(), &ipv4.sin_addr);
      length_ = sizeof ipv4;
      return;
    }
    case AF_INET6: {
      auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage_);
      ipv6.sin6_family = AF_INET6;
      ipv6.sin6_port = htons(static_cast<std::uint16_t>(address.port()));
      ipv6.sin6_flowinfo = htonl(address.flowinfo());
      ipv6.sin6_scope_id = address.scope_id();
      if (!wildcard) inet_pton(AF_INET6, address.host().c_str(), &ipv6.sin6_addr);
      length_ = sizeof ipv6;
      return;
    }
    default:
      throw ValueError("address " + to_string(address) + " is not resolved to an IP address");
  }
}

Address to_address(const sockaddr* data, std::size_t length) {
  switch (length < sizeof(sa_family_t) ? AF_UNSPEC : data->sa_family) {
    case AF_INET: {
      const auto& ipv4 = *reinterpret_cast<const sockaddr_in*>(data);
      return Address(to_host(AF_INET, &ipv4.sin_addr), ntohs(ipv4.sin_port));
    }
    case AF_INET6: {
      const auto& ipv6 = *reinterpret_cast<const sockaddr_in6*>(data);
      return Address(to_host(AF_INET6, &ipv6.sin6_addr), ntohs(ipv6.sin6_port),
                     ntohl(ipv6.sin6_flowinfo), ipv6.sin6_scope_id);
    }
    case AF_UNIX: {
      const char* const path = reinterpret_cast<const char*>(data) + path_offset;
      std::string_view text(path, length > path_offset ? length - path_offset : 0);
      if (!text.starts_with('\0')) text = text.substr(0, text.find('\0'));
      return Address::from_path(text);
    }
    default:
      return Address();
  }
}

int start_connect(NativeSocket socket, const SockAddr& address) noexcept {
  if (::connect(socket, address.data(), address.length()) == 0) return 0;
  // Interrupted, the attempt goes on by itself.
  return errno == EINTR ? EINPROGRESS : errno;
}

int accept(const TransportSocket& listener, Accepted& accepted) {
  SockAddr address;
#ifdef __linux__
  const int descriptor = ::accept4(listener.fileno(), address.data(), &address.length(),
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) return errno;
  accepted.socket = Socket(descriptor, listener.family(), listener.type(), listener.proto());
#else
  const int descriptor = ::accept(listener.fileno(), address.data(), &address.length());
  if (descriptor < 0) return errno;
  try {
    accepted.socket = Socket(descriptor);
  } catch (const OSError& error) {
    ::close(descriptor);
    return error.errno_value();
  }
#endif
  accepted.peer = to_address(address);
  return 0;
}

// -- SocketBase

Address SocketBase::getsockname() const {
  SockAddr address;
  checked(::getsockname(handle_, address.data(), &address.length()));
  return to_address(address);
}

Address SocketBase::getpeername() const {
  SockAddr address;
  checked(::getpeername(handle_, address.data(), &address.length()));
  return to_address(address);
}

int SocketBase::getsockopt(int level, int name) const {
  int value = 0;
  socklen_t size = sizeof value;
  checked(::getsockopt(handle_, level, name, &value, &size));
  return value;
}

Bytes SocketBase::getsockopt(int level, int name, std::size_t size) const {
  Bytes value(size, '\0');
  auto length = static_cast<socklen_t>(size);
  checked(::getsockopt(handle_, level, name, value.data(), &length));
  value.resize(length);
  return value;
}

void SocketBase::setsockopt(int level, int name, int value) const {
  checked(::setsockopt(handle_, level, name, &value, sizeof value));
}

void SocketBase::setsockopt(int level, int name, BytesView value) const {
  checked(::setsockopt(handle_, level, name, value.data(), static_cast<socklen_t>(value.size())));
}

void SocketBase::shutdown(int how) const { checked(::shutdown(handle_, how)); }

Socket SocketBase::dup() const {
  return Socket(checked(fcntl(handle_, F_DUPFD_CLOEXEC, 0)), family_, type_, proto_);
}

bool SocketBase::get_inheritable() const {
  return !(checked(fcntl(handle_, F_GETFD)) & FD_CLOEXEC);
}

}  // namespace detail

// -- Socket

Socket::Socket(int family, int type, int proto) : SocketBase(no_socket, family, type, proto) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  handle_ = detail::checked(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto));
#else
  Socket made(detail::checked(::socket(family, type, proto)), family, type, proto);
  detail::set_close_on_exec(made.handle_);
  detail::set_non_blocking(made.handle_);
  handle_ = made.detach();
#endif
}

Socket::Socket(NativeSocket handle) {
  Socket owner(handle, 0, 0, 0);
  try {
    owner.adopt();
  } catch (...) {
    owner.detach();
    throw;
  }
  *this = std::move(owner);
}

Socket::Socket(Released released) : Socket(released.handle, 0, 0, 0) { adopt(); }

void Socket::adopt() {
  detail::set_close_on_exec(handle_);
  detail::set_non_blocking(handle_);
  detail::SockAddr address;
  detail::checked(::getsockname(handle_, address.data(), &address.length()));
  family_ = address.data()->sa_family;
  type_ = getsockopt(SOL_SOCKET, SO_TYPE);
#ifdef SO_PROTOCOL
  proto_ = getsockopt(SOL_SOCKET, SO_PROTOCOL);
#endif
}

std::pair<Socket, Socket> Socket::pair() {
  int handles[2];
  int type = SOCK_STREAM;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
#endif
  detail::checked(::socketpair(AF_UNIX, type, 0, handles));
  Socket first(handles[0], AF_UNIX, SOCK_STREAM, 0);
  Socket second(handles[1], AF_UNIX, SOCK_STREAM, 0);
  if (type == SOCK_STREAM) {
    for (const int handle : handles) {
      detail::set_close_on_exec(handle);
      detail::set_non_blocking(handle);
    }
  }
  return {std::move(first), std::move(second)};
}

void Socket::close() noexcept {
  if (handle_ != no_socket) ::close(detach());
}

void Socket::bind(const Address& address) {
  const detail::SockAddr system_address(address, family_);
  detail::checked(::bind(handle_, system_address.data(), system_address.length()));
}

void Socket::listen(int backlog) { detail::checked(::listen(handle_, backlog)); }

void Socket::connect(const Address& address) {
  const int error = detail::start_connect(handle_, detail::SockAddr(address, family_));
  if (error != 0) throw_os_error(error);
}

std::size_t Socket::send(BytesView data) {
  return static_cast<std::size_t>(
      detail::checked(::send(handle_, data.data(), data.size(), detail::no_signal)));
}

Bytes Socket::recv(std::size_t size) {
  if (size == 0) return {};  // the kernel would wait for data
  Bytes data(size, '\0');
  data.resize(static_cast<std::size_t>(detail::checked(::recv(handle_, data.data(), size, 0))));
  return data;
}

}  // namespace asyncio::inline v1
