// SPDX-License-Identifier: BSL-1.0
// The sock_* operations (surface A11, rules 125-128).
//
// Each tries first, without a pass. Then those that receive wait until the socket is ready and try
// in the task itself, so that nothing is taken from the kernel that a cancellation could lose; it
// is the same pass in which CPython's task goes on. Those that send go on in the I/O callback.
#include <fcntl.h>
#include <sys/socket.h>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <cerrno>
#include <optional>

#include "descriptors.hpp"
#include "loop_core.hpp"
#include "resolver.hpp"
#include "sock_connect.hpp"
#include "sock_operations.hpp"
#include "sockaddr.hpp"

namespace asyncio::inline v1 {

namespace detail {

void check_non_blocking(const LoopCore& core, const SocketBase& sock) {
  if (!core.debug()) return;
  const int flags = ::fcntl(sock.fileno(), F_GETFL);
  if (flags != -1 && !(flags & O_NONBLOCK)) throw ValueError("the socket must be non-blocking");
}

namespace {

TransportSocket view(const SocketBase& sock) {
  return {sock.fileno(), sock.family(), sock.type(), sock.proto()};
}

/// What a system call gave; nothing if it would block. OSError if it failed.
std::optional<std::size_t> outcome(ssize_t result) {
  if (result >= 0) return static_cast<std::size_t>(result);
  if (!would_block(errno)) throw_os_error(errno);
  return std::nullopt;
}

// -- receiving

/// Received into some memory; the sender's address only if it was asked for.
struct Received {
  std::size_t size = 0;
  Address sender;
};

std::optional<std::size_t> receive(const SocketBase& sock, MutableBytes memory) {
  if (memory.empty()) return 0;  // the kernel would wait for data
  return outcome(::recv(sock.fileno(), memory.data(), memory.size(), 0));
}

std::optional<Received> receive_from(const SocketBase& sock, MutableBytes memory) {
  SockAddr sender;
  const auto size = outcome(
      ::recvfrom(sock.fileno(), memory.data(), memory.size(), 0, sender.data(), &sender.length()));
  if (!size) return std::nullopt;
  return Received{*size, to_address(sender)};
}

/// Memory for one system call: the loop's own, or more than that.
class Memory {
 public:
  Memory(LoopCore& core, std::size_t size) : size_(size) {
    const std::span<char> shared = core.scratch_buffer();
    if (size > shared.size()) own_.resize(size);
    data_ = size > shared.size() ? own_.data() : shared.data();
  }
  operator MutableBytes() const noexcept { return MutableBytes(std::span(data_, size_)); }
  Bytes first(std::size_t count) const { return Bytes(data_, count); }

 private:
  std::size_t size_;
  Bytes own_;
  char* data_;
};

Coroutine<Bytes> sock_recv(LoopCore& core, TransportSocket sock, std::size_t size) {
  check_non_blocking(core, sock);
  for (;;) {
    {
      const Memory memory(core, size);
      if (const auto received = receive(sock, memory)) co_return memory.first(*received);
    }
    const SocketWait readable(core, sock.fileno(), Readiness::readable);
    co_await readable.done();
  }
}

Coroutine<std::size_t> sock_recv_into(LoopCore& core, TransportSocket sock, MutableBytes buffer) {
  check_non_blocking(core, sock);
  for (;;) {
    if (const auto received = receive(sock, buffer)) co_return *received;
    const SocketWait readable(core, sock.fileno(), Readiness::readable);
    co_await readable.done();
  }
}

Coroutine<std::pair<Bytes, Address>> sock_recvfrom(LoopCore& core, TransportSocket sock,
                                                   std::size_t size) {
  check_non_blocking(core, sock);
  for (;;) {
    {
      const Memory memory(core, size);
      if (auto received = receive_from(sock, memory))
        co_return std::pair(memory.first(received->size), std::move(received->sender));
    }
    const SocketWait readable(core, sock.fileno(), Readiness::readable);
    co_await readable.done();
  }
}

Coroutine<std::pair<std::size_t, Address>> sock_recvfrom_into(LoopCore& core, TransportSocket sock,
                                                              MutableBytes buffer,
                                                              std::size_t size) {
  check_non_blocking(core, sock);
  if (size > buffer.size()) throw ValueError("nbytes is greater than the length of the buffer");
  if (size != 0) buffer = MutableBytes(std::span(buffer.data(), size));
  for (;;) {
    if (auto received = receive_from(sock, buffer))
      co_return std::pair(received->size, std::move(received->sender));
    const SocketWait readable(core, sock.fileno(), Readiness::readable);
    co_await readable.done();
  }
}

Coroutine<std::pair<Socket, Address>> sock_accept(LoopCore& core, TransportSocket sock) {
  check_non_blocking(core, sock);
  for (;;) {
    Accepted accepted;
    const int error = accept(sock, accepted);
    if (error == 0) co_return std::pair(std::move(accepted.socket), std::move(accepted.peer));
    if (!would_block(error)) throw_os_error(error);
    const SocketWait readable(core, sock.fileno(), Readiness::readable);
    co_await readable.done();
  }
}

// -- sending

std::optional<std::size_t> send(const SocketBase& sock, BytesView data) {
  return outcome(::send(sock.fileno(), data.data(), data.size(), no_signal));
}

std::optional<std::size_t> send_to(const SocketBase& sock, BytesView data,
                                   const SockAddr& address) {
  return outcome(::sendto(sock.fileno(), data.data(), data.size(), no_signal, address.data(),
                          address.length()));
}

/// The address itself, or what its name stands for.
Coroutine<Address> resolved(LoopCore& core, const SocketBase& sock, Address address) {
  if (address.empty() || address.is_path() || address.family() != 0 || address.host().empty())
    co_return address;
  const ResolveOptions options{sock.family(), sock.type(), sock.proto(), 0};
  const std::vector<AddressInfo> found =
      co_await ensure_resolved(core, address.host(), Port(address.port()), options);
  if (found.empty()) throw OSError("getaddrinfo() returned empty list");
  co_return found[0].address;
}

Coroutine<std::size_t> sock_sendto(LoopCore& core, TransportSocket sock, BytesView data,
                                   Address receiver) {
  check_non_blocking(core, sock);
  receiver = co_await resolved(core, sock, std::move(receiver));
  const SockAddr address(receiver, sock.family());
  std::optional<std::size_t> sent = send_to(sock, data, address);
  if (sent) co_return *sent;
  const SocketWait all_sent(core, sock.fileno(), Readiness::writable, [&] {
    sent = send_to(sock, data, address);
    return sent.has_value();
  });
  co_await all_sent.done();
  co_return *sent;
}

Coroutine<> resolve_and_connect(LoopCore& core, TransportSocket sock, Address address) {
  check_non_blocking(core, sock);
  address = co_await resolved(core, sock, std::move(address));
  co_await sock_connect(core, sock, address);
}

}  // namespace

Coroutine<> sock_sendall(LoopCore& core, TransportSocket sock, BytesView data) {
  check_non_blocking(core, sock);
  std::size_t done = send(sock, data).value_or(0);
  if (done == data.size()) co_return;
  const SocketWait all_sent(core, sock.fileno(), Readiness::writable, [&] {
    done += send(sock, data.subview(done)).value_or(0);
    return done == data.size();
  });
  co_await all_sent.done();
}

}  // namespace detail

Coroutine<Bytes> EventLoop::sock_recv(const detail::SocketBase& sock, std::size_t size) {
  return detail::sock_recv(core(), detail::view(sock), size);
}

Coroutine<std::size_t> EventLoop::sock_recv_into(const detail::SocketBase& sock,
                                                 MutableBytes buffer) {
  return detail::sock_recv_into(core(), detail::view(sock), buffer);
}

Coroutine<std::pair<Bytes, Address>> EventLoop::sock_recvfrom(const detail::SocketBase& sock,
                                                              std::size_t size) {
  return detail::sock_recvfrom(core(), detail::view(sock), size);
}

Coroutine<std::pair<std::size_t, Address>> EventLoop::sock_recvfrom_into(
    const detail::SocketBase& sock, MutableBytes buffer, std::size_t size) {
  return detail::sock_recvfrom_into(core(), detail::view(sock), buffer, size);
}

Coroutine<> EventLoop::sock_sendall(const detail::SocketBase& sock, BytesView data) {
  return detail::sock_sendall(core(), detail::view(sock), data);
}

Coroutine<std::size_t> EventLoop::sock_sendto(const detail::SocketBase& sock, BytesView data,
                                              const Address& address) {
  return detail::sock_sendto(core(), detail::view(sock), data, address);
}

Coroutine<> EventLoop::sock_connect(const detail::SocketBase& sock, const Address& address) {
  return detail::resolve_and_connect(core(), detail::view(sock), address);
}

Coroutine<std::pair<Socket, Address>> EventLoop::sock_accept(const detail::SocketBase& sock) {
  return detail::sock_accept(core(), detail::view(sock));
}

}  // namespace asyncio::inline v1
