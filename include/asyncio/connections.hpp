// SPDX-License-Identifier: BSL-1.0
// What create_connection, create_server, their Unix kin, create_datagram_endpoint and getaddrinfo
// are told (surface A10, A12).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <asyncio/constants.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/duration.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1 {

namespace ssl {
class SSLContext;
}

/// A port: a number, the name of a service ("http"), or none (Python's None). A number beyond
/// 0 to 65535 is a ValueError of the operation that is given it.
class Port {
 public:
  /// None.
  Port() noexcept = default;
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) Port(Number number)
  noexcept : given_(true), number_(std::in_range<int>(number) ? static_cast<int>(number) : -1) {}
  /// Digits are a number; the empty text is port 0 to what is given a literal address.
  template <std::convertible_to<std::string_view> Service>
  Port(const Service& service) : given_(true), service_(std::string_view(service)), named_(true) {}

  explicit operator bool() const noexcept { return given_; }
  /// A service's name or a number in a text.
  bool is_service() const noexcept { return named_; }
  const std::string& service() const noexcept { return service_; }
  /// -1 if it does not fit an int.
  int number() const noexcept { return number_; }

 private:
  bool given_ = false;
  int number_ = 0;
  std::string service_;
  bool named_ = false;
};

/// Python's repr: "80", "'http'", "None".
std::string to_string(const Port& port);

namespace detail {

inline constexpr int ai_passive = 1;  // AI_PASSIVE, the same on every system

/// What an IPv6 address has besides host and port.
struct Ipv6Part {
  std::uint32_t flowinfo = 0;
  std::uint32_t scope_id = 0;
};

}  // namespace detail

/// Options of getaddrinfo; 0 is "any".
struct ResolveOptions {
  int family = 0;
  int type = 0;
  int proto = 0;
  int flags = 0;
};
static_assert(detail::require_inline_options<ResolveOptions>());

/// The local end of a connection to be made: `.local_addr = {"127.0.0.1", 0}`. The text of the host
/// must live until the function that is given it returns.
class LocalAddress {
 public:
  /// The system's choice.
  constexpr LocalAddress() noexcept = default;
  constexpr LocalAddress(std::string_view host, int port) noexcept
      : given_(true), port_(port), host_(host) {}
  LocalAddress(const Address& address) noexcept
      : given_(true),
        port_(address.port()),
        host_(address.host()),
        ipv6_{address.flowinfo(), address.scope_id()} {}

  constexpr explicit operator bool() const noexcept { return given_; }
  constexpr std::string_view host() const noexcept { return host_; }
  constexpr int port() const noexcept { return port_; }
  constexpr detail::Ipv6Part ipv6() const noexcept { return ipv6_; }

 private:
  bool given_ = false;
  int port_ = 0;
  std::string_view host_;
  detail::Ipv6Part ipv6_;
};

/// Whether a client speaks TLS, and with which context: `.ssl = &context`, or `.ssl = true` for that
/// of ssl::create_default_context().
class UseSsl {
 public:
  /// No TLS.
  constexpr UseSsl() noexcept = default;
  constexpr UseSsl(std::same_as<bool> auto on) noexcept : on_(on) {}
  constexpr UseSsl(const ssl::SSLContext* context) noexcept
      : on_(context != nullptr), context_(context) {}

  constexpr explicit operator bool() const noexcept { return on_; }
  /// Null: the default one.
  constexpr const ssl::SSLContext* context() const noexcept { return context_; }

 private:
  bool on_ = false;
  const ssl::SSLContext* context_ = nullptr;
};

/// Options of create_connection.
struct ConnectionOptions {
  int family = 0;
  int proto = 0;
  int flags = 0;  ///< AI_... of name resolution
  /// A connected stream socket to adopt instead of connecting. Taken over at the call: the object
  /// is closed afterwards.
  Socket* sock = nullptr;
  LocalAddress local_addr{};
  /// Start the next address after this time also when the one before has not failed yet (RFC 8305).
  std::optional<Duration> happy_eyeballs_delay{};
  /// How many addresses of the first family go ahead, before the families take turns. 0: the
  /// resolver's order. Default: 1 with happy_eyeballs_delay, else 0.
  std::optional<int> interleave{};
  /// Report every failure, in an ExceptionGroup.
  bool all_errors = false;
  /// TLS: `true`, or `&context`. See ssl.hpp.
  UseSsl ssl{};
  /// The name that the server's certificate must be valid for; default: the host. Empty: any
  /// will do.
  std::optional<std::string_view> server_hostname{};
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
  /// Of open_connection(), and not of create_connection(): the limit of its StreamReader.
  std::optional<std::ptrdiff_t> limit{};
};
static_assert(detail::require_inline_options<ConnectionOptions>());

/// Options of create_server.
struct ServerOptions {
  int family = 0;
  int flags = detail::ai_passive;  ///< AI_... of name resolution
  /// A bound stream socket to serve on. Taken over at the call: the object is closed afterwards.
  Socket* sock = nullptr;
  int backlog = constants::backlog;
  std::optional<bool> reuse_address{};  ///< default: true on POSIX
  std::optional<bool> reuse_port{};     ///< ValueError where the system cannot
  std::optional<bool> keep_alive{};     ///< SO_KEEPALIVE, which accepted connections inherit
  bool start_serving = true;            ///< false: bound, but connecting is refused
  const asyncio::ssl::SSLContext* ssl = nullptr;    ///< TLS; see ssl.hpp
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
  /// Of start_server(), and not of create_server(): the limit of its StreamReaders.
  std::optional<std::ptrdiff_t> limit{};
};
static_assert(detail::require_inline_options<ServerOptions>());

/// One end of a datagram endpoint: `{"127.0.0.1", 9999}`, or the path of a Unix socket. The empty
/// host is loopback, or every interface with the flag AI_PASSIVE. The text must live until the
/// function that is given it returns.
class DatagramAddress {
 public:
  /// None.
  constexpr DatagramAddress() noexcept = default;
  constexpr DatagramAddress(std::string_view host, int port) noexcept
      : kind_(Kind::host), port_(port), text_(host) {}
  /// A path; the empty text is none.
  template <std::convertible_to<std::string_view> Path>
  constexpr DatagramAddress(const Path& path) noexcept : text_(path) {
    if (!text_.empty()) kind_ = Kind::path;
  }
  DatagramAddress(const Address& address) noexcept
      : kind_(address.empty()     ? Kind::none
              : address.is_path() ? Kind::path
                                  : Kind::host),
        port_(address.port()),
        text_(address.host()),
        ipv6_{address.flowinfo(), address.scope_id()} {}

  constexpr explicit operator bool() const noexcept { return kind_ != Kind::none; }
  constexpr bool is_path() const noexcept { return kind_ == Kind::path; }
  /// The host or the path.
  constexpr std::string_view text() const noexcept { return text_; }
  constexpr int port() const noexcept { return port_; }
  constexpr detail::Ipv6Part ipv6() const noexcept { return ipv6_; }

 private:
  enum class Kind : std::uint8_t { none, host, path };
  Kind kind_ = Kind::none;
  int port_ = 0;
  std::string_view text_;
  detail::Ipv6Part ipv6_;
};

/// Options of create_datagram_endpoint.
struct DatagramOptions {
  DatagramAddress local_addr{};   ///< where to receive; none: the system's choice
  DatagramAddress remote_addr{};  ///< whom to send to, and to receive from: the socket is connected
  int family = 0;                 ///< AF_UNIX for paths
  int proto = 0;
  int flags = 0;                     ///< AI_... of name resolution
  std::optional<bool> reuse_port{};  ///< ValueError where the system cannot
  /// Allow sending to broadcast addresses. The socket is then not connected: remote_addr is only
  /// whom to send to.
  std::optional<bool> allow_broadcast{};
  /// A datagram socket to adopt instead. Taken over at the call: the object is closed afterwards.
  Socket* sock = nullptr;
};
static_assert(detail::require_inline_options<DatagramOptions>());

/// Where a Unix socket is: any text, or a std::filesystem::path. An abstract name (Linux) begins
/// with a null byte; written as a literal, "\0name", it is not cut off there.
class UnixPath {
 public:
  template <std::size_t Size>
  UnixPath(const char (&literal)[Size])
      : text_(Size > 1 && literal[0] == '\0' ? std::string_view(literal, Size - 1)
                                             : std::string_view(literal)) {}
  template <std::convertible_to<std::string_view> Text>
  UnixPath(const Text& text) : text_(std::string_view(text)) {}
  template <class Path>
  requires requires(const Path& path) {
    { path.native() } -> std::convertible_to<const std::string&>;
  }
  UnixPath(const Path& path) : text_(path.native()) {}

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// Options of create_unix_connection.
struct UnixConnectionOptions {
  /// A connected Unix stream socket to adopt instead of connecting. Taken over at the call: the
  /// object is closed afterwards.
  Socket* sock = nullptr;
  /// TLS: `true`, or `&context`. See ssl.hpp.
  UseSsl ssl{};
  /// The name that the server's certificate must be valid for; must be given
  /// with ssl. Empty: any will do.
  std::optional<std::string_view> server_hostname{};
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
  /// Of open_unix_connection(), and not of create_unix_connection(): the limit of its StreamReader.
  std::optional<std::ptrdiff_t> limit{};
};
static_assert(detail::require_inline_options<UnixConnectionOptions>());

/// Options of create_unix_server.
struct UnixServerOptions {
  /// A bound Unix stream socket to serve on. Taken over at the call: the object is closed
  /// afterwards.
  Socket* sock = nullptr;
  int backlog = constants::backlog;
  bool start_serving = true;   ///< false: bound, but connecting is refused
  bool cleanup_socket = true;  ///< remove the file on close(), if it is still that of this socket
  const asyncio::ssl::SSLContext* ssl = nullptr;    ///< TLS; see ssl.hpp
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
  /// Of start_unix_server(), and not of create_unix_server(): the limit of its StreamReaders.
  std::optional<std::ptrdiff_t> limit{};
};
static_assert(detail::require_inline_options<UnixServerOptions>());

/// Options of connect_accepted_socket.
struct AcceptedSocketOptions {
  const asyncio::ssl::SSLContext* ssl = nullptr;    ///< TLS; see ssl.hpp
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
};
static_assert(detail::require_inline_options<AcceptedSocketOptions>());

/// Options of StreamWriter::start_tls.
struct StreamTlsOptions {
  /// The name that the server's certificate must be valid for; empty: any will do.
  std::string_view server_hostname{};
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
};
static_assert(detail::require_inline_options<StreamTlsOptions>());

/// Options of start_tls.
struct StartTlsOptions {
  bool server_side = false;
  /// The name that the server's certificate must be valid for; empty: any will do.
  std::string_view server_hostname{};
  std::optional<Duration> ssl_handshake_timeout{};  ///< default: 60 s
  std::optional<Duration> ssl_shutdown_timeout{};   ///< default: 30 s
};
static_assert(detail::require_inline_options<StartTlsOptions>());

/// Options of sendfile and sock_sendfile.
struct SendfileOptions {
  std::int64_t offset = 0;              ///< in the file, bytes
  std::optional<std::int64_t> count{};  ///< bytes; default: up to the end of the file
  /// Copy in the program when the kernel cannot; else SendfileNotAvailableError.
  bool fallback = true;
};
static_assert(detail::require_inline_options<SendfileOptions>());

}  // namespace asyncio::inline v1
