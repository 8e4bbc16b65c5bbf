// SPDX-License-Identifier: BSL-1.0
// Addresses and sockets: Python's address tuples, an owning socket, and the view of a transport's.
//
// Numbers of families, types, levels and options are the system's own (AF_INET, SOL_SOCKET, ...).
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <asyncio/bytes.hpp>
#include <asyncio/duration.hpp>

namespace asyncio::inline v1 {

/// What the system calls a socket.
#ifdef _WIN32
using NativeSocket = std::uintptr_t;
#else
using NativeSocket = int;
#endif

/// Where a socket is: host and port, the path of a Unix socket, or nothing.
/// Python: the address tuples (host, port) and (host, port, flowinfo, scope_id), the path string.
class Address {
 public:
  /// Nowhere; Python's None.
  Address() noexcept = default;
  /// The host is an IPv4 or IPv6 literal, which decides the family, or a name, whose family is 0
  /// until it is resolved. ValueError if the port is not 0 to 65535.
  Address(std::string_view host, int port, std::uint32_t flowinfo = 0, std::uint32_t scope_id = 0);
  /// A Unix socket. Abstract names (Linux) begin with a null byte; the empty path is that of a
  /// socket without a name.
  static Address from_path(std::string_view path);

  /// AF_INET, AF_INET6, AF_UNIX; 0 for a name, and when empty.
  int family() const noexcept { return family_; }
  const std::string& host() const noexcept { return text_; }
  int port() const noexcept { return port_; }
  std::uint32_t flowinfo() const noexcept { return flowinfo_; }
  std::uint32_t scope_id() const noexcept { return scope_id_; }
  bool is_path() const noexcept { return kind_ == Kind::path; }
  /// Of a Unix socket.
  const std::string& path() const noexcept { return text_; }
  bool empty() const noexcept { return kind_ == Kind::none; }

  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;

 private:
  friend struct std::hash<Address>;
  enum class Kind : std::uint8_t { none, host, path };

  Kind kind_ = Kind::none;
  std::uint16_t port_ = 0;
  int family_ = 0;
  std::uint32_t flowinfo_ = 0;
  std::uint32_t scope_id_ = 0;
  std::string text_;
};

/// As Python prints it: "('127.0.0.1', 80)", "('::1', 80, 0, 0)", "'/run/x'", "None".
std::string to_string(const Address& address);
/// Host and port with the separator between them, also for IPv6: "127.0.0.1_80". A path as it is.
std::string to_string(const Address& address, std::string_view separator);

/// One answer of getaddrinfo.
struct AddressInfo {
  int family = 0;
  int type = 0;
  int proto = 0;
  std::string canonname;
  Address address;

  friend bool operator==(const AddressInfo&, const AddressInfo&) = default;
  friend auto operator<=>(const AddressInfo&, const AddressInfo&) = default;
};

class Socket;

/// What add_reader and add_writer watch: a descriptor, or anything that has one: a Socket, a
/// TransportSocket, an object of Asio. A view, it owns nothing. ValueError if it is negative, as of
/// what is closed.
class Descriptor {
 public:
  Descriptor(NativeSocket number);
  template <class S>
  requires requires(const S& socket) {
    { socket.fileno() } -> std::convertible_to<NativeSocket>;
  }
  Descriptor(const S& socket) : Descriptor(NativeSocket(socket.fileno())) {}
  template <class S>
  requires requires(S& object) {
    { object.native_handle() } -> std::convertible_to<NativeSocket>;
  }
  Descriptor(S& object) : Descriptor(NativeSocket(object.native_handle())) {}

  NativeSocket number() const noexcept { return number_; }

 private:
  NativeSocket number_;
};

namespace detail {

/// What a descriptor may be watched for.
enum class Readiness : std::uint8_t { readable, writable };

/// What can be done with a socket whoever owns it. Failures are OSErrors, of its family by errno;
/// of a closed socket always EBADF.
class SocketBase {
 public:
  /// -1 when closed.
  NativeSocket fileno() const noexcept { return handle_; }
  /// Is there one? Not if it was closed, or taken over.
  explicit operator bool() const noexcept { return handle_ != no_socket; }
  int family() const noexcept { return family_; }
  /// SOCK_STREAM, SOCK_DGRAM, ...; without the flags that creation knows.
  int type() const noexcept { return type_; }
  /// As the socket was made with: 0 also for TCP, if nothing else was asked for.
  int proto() const noexcept { return proto_; }

  /// This end. A Unix socket without a name has the empty path.
  Address getsockname() const;
  /// The other end.
  Address getpeername() const;
  int getsockopt(int level, int name) const;
  /// At most `size` bytes of an option that is not a number.
  Bytes getsockopt(int level, int name, std::size_t size) const;
  void setsockopt(int level, int name, int value) const;
  void setsockopt(int level, int name, BytesView value) const;
  /// SHUT_RD, SHUT_WR or SHUT_RDWR.
  void shutdown(int how) const;
  /// Another descriptor for the same socket.
  Socket dup() const;
  /// Do child processes get it? False for every socket that asyncio makes.
  bool get_inheritable() const;

 protected:
  static constexpr NativeSocket no_socket = static_cast<NativeSocket>(-1);

  SocketBase() noexcept = default;
  SocketBase(NativeSocket handle, int family, int type, int proto) noexcept
      : handle_(handle), family_(family), type_(type), proto_(proto) {}
  SocketBase(const SocketBase&) = default;
  SocketBase& operator=(const SocketBase&) = default;
  ~SocketBase() = default;

  /// "fd=7, family=2, type=1, proto=6, laddr=..., raddr=...".
  std::string description() const;

  NativeSocket handle_ = no_socket;
  int family_ = 0;
  int type_ = 0;
  int proto_ = 0;
};

/// Asio's sockets and acceptors, and those of other libraries that look like them.
template <class S>
concept releasable_socket = !std::is_lvalue_reference_v<S> && requires(S & socket) {
  { socket.release() } -> std::convertible_to<NativeSocket>;
  { socket.native_handle() } -> std::convertible_to<NativeSocket>;
};

}  // namespace detail

/// A socket, owned: closed with the object. Always non-blocking and close-on-exec.
///
/// A function that takes over a socket leaves this object closed. Any thread, one at a time.
/// Python: socket.socket after setblocking(False).
class Socket : public detail::SocketBase {
 public:
  /// Closed.
  Socket() noexcept = default;
  Socket(int family, int type, int proto = 0);
  /// Takes over a descriptor, and makes it non-blocking. It stays the caller's if this throws.
  explicit Socket(NativeSocket handle);
  /// The same, nothing asked and nothing changed: it is of this kind, and non-blocking.
  Socket(NativeSocket handle, int family, int type, int proto) noexcept
      : SocketBase(handle, family, type, proto) {}
  /// Takes over any Asio socket: Socket(std::move(asio_socket)).
  template <detail::releasable_socket S>
  Socket(S&& socket) : Socket(Released{socket.release()}) {}
  Socket(Socket&& other) noexcept : SocketBase(other) { other.handle_ = no_socket; }
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      SocketBase::operator=(other);
      other.handle_ = no_socket;
    }
    return *this;
  }
  ~Socket() { close(); }

  /// Two connected sockets, of the Unix family where there is one. Python: socket.socketpair().
  static std::pair<Socket, Socket> pair();

  /// Idempotent.
  void close() noexcept;
  /// Gives up the descriptor, open, to the caller.
  NativeSocket detach() noexcept { return std::exchange(handle_, no_socket); }

  /// The empty host is every interface. ValueError for a name: it is to be resolved first.
  void bind(const Address& address);
  void listen(int backlog = 128);
  /// BlockingIOError when the connection is under way, which is usual.
  void connect(const Address& address);
  /// What the kernel took of it. BlockingIOError when it takes nothing now.
  std::size_t send(BytesView data);
  /// At most `size` bytes; nothing at the end of the stream. BlockingIOError when there is none
  /// yet.
  Bytes recv(std::size_t size);

  friend std::string to_string(const Socket& socket);

 private:
  struct Released {
    NativeSocket handle;
  };
  explicit Socket(Released released);
  void adopt();
};

/// Python's repr: "<socket.socket fd=7, family=2, type=1, proto=6, laddr=('127.0.0.1', 80)>".
std::string to_string(const Socket& socket);

/// A transport's socket as others may see it: nothing here disturbs the transport. It owns nothing,
/// and must not be used once the transport has closed the socket: the system gives the number to
/// another one. Python: asyncio.TransportSocket.
class TransportSocket : public detail::SocketBase {
 public:
  /// Of no socket.
  TransportSocket() noexcept = default;
  explicit TransportSocket(const Socket& socket) noexcept : SocketBase(socket) {}
  TransportSocket(NativeSocket handle, int family, int type, int proto) noexcept
      : SocketBase(handle, family, type, proto) {}

  double gettimeout() const noexcept { return 0; }
  /// ValueError for anything but 0.
  void settimeout(Duration timeout) const;
  /// ValueError for true.
  void setblocking(bool blocking) const;

  friend bool operator==(const TransportSocket& a, const TransportSocket& b) noexcept {
    return a.handle_ == b.handle_;
  }
  friend std::string to_string(const TransportSocket& socket);
};

/// Python's repr: "<asyncio.TransportSocket fd=7, family=2, type=1, proto=6, laddr=(...), ...>".
std::string to_string(const TransportSocket& socket);

}  // namespace asyncio::inline v1

template <>
struct std::hash<asyncio::Address> {
  std::size_t operator()(const asyncio::Address& address) const noexcept;
};
