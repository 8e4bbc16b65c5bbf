// SPDX-License-Identifier: BSL-1.0
// create_connection, create_server, connect_accepted_socket (surface B16).
#include <netinet/in.h>

#include <algorithm>
#include <asyncio/connections.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/wait.hpp>
#include <cerrno>
#include <typeinfo>

#include "connect.hpp"
#include "connection_requests.hpp"
#include "loop_core.hpp"
#include "resolver.hpp"
#include "server.hpp"
#include "sock_connect.hpp"
#include "staggered.hpp"
#include "transports/stream_transport.hpp"

namespace asyncio::inline v1 {

std::string to_string(const Port& port) {
  if (!port) return "None";
  return port.is_service() ? repr_str(port.service()) : std::to_string(port.number());
}

namespace detail {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

/// The address and the reason, as both create_connection and create_server tell of a failed bind.
std::string bind_error_text(const Address& address, const OSError& error) {
  std::string reason = error.what();
  std::transform(reason.begin(), reason.end(), reason.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return "error while attempting to bind on address " + to_string(address) + ": " + reason;
}

void check_stream(const Socket& sock) {
  if (sock.type() != SOCK_STREAM)
    throw ValueError("A Stream Socket was expected, got " + to_string(sock));
}

// -- create_connection

/// Rule 163: the first address of the socket's family that can be bound. Failures before it are
/// kept in `errors`; if there is none, the last failure is thrown.
void bind_local(Socket& sock, const std::vector<AddressInfo>& addresses,
                std::vector<std::exception_ptr>& errors) {
  for (const AddressInfo& candidate : addresses) {
    if (candidate.family != sock.family()) continue;
    try {
      sock.bind(candidate.address);
      return;
    } catch (const OSError& error) {
      errors.push_back(
          make_os_error(error.errno_value(), bind_error_text(candidate.address, error)));
    }
  }
  if (errors.empty())
    throw OSError("no matching local address with family=" + family_repr(sock.family()) + " found");
  const std::exception_ptr last = std::move(errors.back());
  errors.pop_back();
  std::rethrow_exception(last);
}

/// The addresses of one connection, tried one by one or in a race.
class Connecting {
 public:
  Connecting(LoopCore& core, std::vector<AddressInfo> remote,
             std::optional<std::vector<AddressInfo>> local)
      : core_(core),
        remote_(std::move(remote)),
        local_(std::move(local)),
        errors_(remote_.size()) {}

  std::size_t count() const noexcept { return remote_.size(); }
  /// The failures, in the order of the addresses.
  std::vector<std::exception_ptr> errors() const {
    std::vector<std::exception_ptr> all;
    for (const auto& of_one : errors_) all.insert(all.end(), of_one.begin(), of_one.end());
    return all;
  }

  /// One attempt; an exception of any kind is also kept, a cancellation is not.
  static Coroutine<Socket> attempt(Connecting& self, std::size_t index) {
    const AddressInfo& remote = self.remote_[index];
    std::vector<std::exception_ptr>& errors = self.errors_[index];
    try {
      Socket sock(remote.family, remote.type, remote.proto);
      if (self.local_) bind_local(sock, *self.local_, errors);
      co_await sock_connect(self.core_, sock, remote.address);
      co_return std::move(sock);
    } catch (const std::exception&) {
      errors.push_back(std::current_exception());
      throw;
    }
  }

  static Coroutine<Socket> in_turn(Connecting& self) {
    for (std::size_t index = 0; index != self.count(); ++index) {
      try {
        co_return co_await attempt(self, index);
      } catch (const OSError&) {  // kept
      }
    }
    co_return Socket();
  }

  static Coroutine<Socket> race(Connecting& self, Duration delay) {
    self.sockets_.resize(self.count());
    Attempt one = [&self](std::size_t index) { return keep(self, index); };
    Coroutine<std::optional<std::size_t>> race =
        staggered_race(self.core_, self.count(), std::move(one), delay);
    const std::optional<std::size_t> winner = co_await std::move(race);
    co_return winner ? std::move(self.sockets_[*winner]) : Socket();
  }

 private:
  static Coroutine<> keep(Connecting& self, std::size_t index) {
    self.sockets_[index] = co_await attempt(self, index);
  }

  LoopCore& core_;
  const std::vector<AddressInfo> remote_;
  const std::optional<std::vector<AddressInfo>> local_;
  std::vector<std::vector<std::exception_ptr>> errors_;  // of each attempt
  std::vector<Socket> sockets_;                          // of a race
};

Coroutine<Socket> connect_to_host(LoopCore& core, const ConnectionRequest& request) {
  std::vector<AddressInfo> remote =
      co_await ensure_resolved(core, request.host, request.port, request.resolving);
  if (remote.empty()) throw OSError("getaddrinfo() returned empty list");
  std::optional<std::vector<AddressInfo>> local;
  if (request.binds()) {
    std::vector<AddressInfo> resolved =
        co_await ensure_resolved(core, request.local_host, request.local_port, request.resolving,
                                 request.local_ipv6);
    if (resolved.empty()) throw OSError("getaddrinfo() returned empty list");
    local = std::move(resolved);
  }
  if (request.interleave_count != 0)
    remote = interleave(std::move(remote), request.interleave_count);

  Connecting connecting(core, std::move(remote), std::move(local));
  Socket sock;
  if (request.delay)
    sock = co_await Connecting::race(connecting, *request.delay);
  else
    sock = co_await Connecting::in_turn(connecting);
  if (!sock) throw_connect_errors(connecting.errors(), request.all_errors);
  co_return std::move(sock);
}

/// What has become of a socket: "connected to ...", "handled".
void log_connection(const Connection& connection, const std::string& event) {
  const Transport& transport = *connection.first;
  const BaseProtocol& protocol = *connection.second;
  logger().debug("{} {}: ({}, {})", to_string(transport.get_extra_info(socket)), event,
                 to_string(transport), object_repr(typeid(protocol), &protocol));
}

}  // namespace

Coroutine<Connection> open_connection(LoopCore& core, ProtocolFactory factory,
                                      ConnectionRequest request) {
  if (request.tls.wanted() && !request.tls.server_hostname() && request.host.empty())
    throw ValueError("You must set server_hostname when using ssl without a host");
  std::optional<TlsRequest> tls =
      request.tls.for_client(request.tls.server_hostname().value_or(request.host));
  if (request.has_address()) {
    if (request.adopts)
      throw ValueError("host/port and sock can not be specified at the same time");
    request.sock = co_await connect_to_host(core, request);
  } else {
    if (!request.adopts) throw ValueError("host and port was not specified and no sock specified");
    check_stream(request.sock);
  }
  Connection connection =
      co_await make_connection(core, std::move(factory), std::move(request.sock), std::move(tls));
  if (core.debug()) {
    const std::string host = request.host.empty() ? "None" : request.host;
    log_connection(connection, "connected to " + host + ":" + to_string(request.port));
  }
  co_return connection;
}

namespace {

Coroutine<Connection> accept_connection(LoopCore& core, ProtocolFactory factory, Socket sock,
                                        TlsSettings settings) {
  std::optional<TlsRequest> tls = settings.for_server();
  check_stream(sock);
  Connection connection =
      co_await make_connection(core, std::move(factory), std::move(sock), std::move(tls));
  if (core.debug()) log_connection(connection, "handled");
  co_return connection;
}

// -- create_server

Coroutine<std::vector<AddressInfo>> resolve_for_server(LoopCore& core, std::string host, Port port,
                                                       ResolveOptions options) {
  std::vector<AddressInfo> answers = co_await ensure_resolved(core, host, port, options);
  if (answers.empty()) throw OSError("getaddrinfo(" + repr_str(host) + ") returned empty list");
  co_return answers;
}

/// Every address of every host, once.
Coroutine<std::vector<AddressInfo>> resolve_hosts(LoopCore& core, const ServerRequest& request) {
  const ResolveOptions options{request.options.family, SOCK_STREAM, 0, request.options.flags};
  std::vector<Coroutine<std::vector<AddressInfo>>> lookups;
  for (const std::string& host : request.hosts)
    lookups.push_back(resolve_for_server(core, host, request.port, options));
  auto all = gather(std::move(lookups));
  const std::vector<std::vector<AddressInfo>> answers = co_await std::move(all);
  std::vector<AddressInfo> unique;
  for (const auto& of_host : answers) {
    for (const AddressInfo& answer : of_host) {
      if (std::find(unique.begin(), unique.end(), answer) == unique.end()) unique.push_back(answer);
    }
  }
  co_return unique;
}

/// A socket of the address's kind; closed if the system does not know that kind (rule 168).
Socket open_for(const AddressInfo& info, bool debug) {
  try {
    return Socket(info.family, info.type, info.proto);
  } catch (const OSError& error) {
    if (debug) {
      logger().warning("create_server() failed to create socket.socket({}, {}, {}): {}",
                       family_repr(info.family), type_repr(info.type), info.proto, error.what());
    }
    return Socket();
  }
}

/// Closed if the address does not exist here (rule 168).
Socket bind_to(const AddressInfo& info, const ServerOptions& options, bool debug) {
#ifdef _WIN32
  constexpr bool reuse_by_default = false;  // there, the option lets others take over the port
#else
  constexpr bool reuse_by_default = true;
#endif
  Socket sock = open_for(info, debug);
  if (!sock) return sock;
  if (options.reuse_address.value_or(reuse_by_default))
    sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port.value_or(false)) set_reuse_port(sock);
  if (options.keep_alive.value_or(false)) sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1);
  // A socket of its own serves IPv4, on every system alike.
  if (info.family == AF_INET6) sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  try {
    sock.bind(info.address);
  } catch (const OSError& error) {
    const std::string text = bind_error_text(info.address, error);
    if (error.errno_value() != EADDRNOTAVAIL) throw_os_error(error.errno_value(), text);
    if (debug) logger().warning("{}", text);
    sock.close();
  }
  return sock;
}

std::vector<Socket> bind_all(const std::vector<AddressInfo>& infos, const ServerOptions& options,
                             bool debug) {
  std::vector<Socket> sockets;
  for (const AddressInfo& info : infos) {
    Socket sock = bind_to(info, options, debug);
    if (sock) sockets.push_back(std::move(sock));
  }
  if (sockets.empty()) {
    std::string addresses;
    for (const AddressInfo& info : infos) {
      if (!addresses.empty()) addresses += ", ";
      addresses += to_string(info.address);
    }
    throw OSError("could not bind on any address out of [" + addresses + "]");
  }
  return sockets;
}

}  // namespace

Coroutine<Server> serve(LoopCore& core, ProtocolFactory factory, ServerRequest request) {
  std::optional<TlsRequest> tls = request.tls.for_server();
  std::vector<Socket> sockets;
  if (request.has_address()) {
    if (request.adopts)
      throw ValueError("host/port and sock can not be specified at the same time");
    const std::vector<AddressInfo> infos = co_await resolve_hosts(core, request);
    sockets = bind_all(infos, request.options, core.debug());
  } else {
    if (!request.adopts) throw ValueError("Neither host/port nor sock were specified");
    check_stream(request.sock);
    sockets.push_back(std::move(request.sock));
  }
  const Server server =
      co_await make_server(core, std::move(factory), std::move(sockets), request.options.backlog,
                           request.options.start_serving, std::move(tls));
  if (core.debug()) logger().info("{} is serving", to_string(server));
  co_return server;
}

Coroutine<Connection> make_connection(LoopCore& core, ProtocolFactory factory, Socket sock,
                                      std::optional<TlsRequest> tls) {
  std::shared_ptr<BaseProtocol> protocol = call_factory(factory);
  const Ref<FutureState<void>> waiter(adopt_ref, new FutureState<void>(core));
  std::shared_ptr<Transport> transport;
  if (tls) {
    OverTls over = make_tls_transport(core, std::move(*tls), protocol, waiter);
    make_stream_transport(core, std::move(sock), std::move(over.protocol), nullptr, Address(),
                          nullptr);
    transport = std::move(over.transport);
  } else {
    transport = make_stream_transport(core, std::move(sock), protocol, waiter, Address(), nullptr);
  }
  co_await connection_made(waiter, transport);
  co_return Connection(std::move(transport), std::move(protocol));
}

Coroutine<Server> make_server(LoopCore& core, ProtocolFactory factory, std::vector<Socket> sockets,
                              int backlog, bool start_serving, std::optional<TlsRequest> tls,
                              std::shared_ptr<void> until_closed) {
  const Server server(std::make_shared<ServerState>(core, std::move(sockets), std::move(factory),
                                                    backlog, std::move(tls),
                                                    std::move(until_closed)));
  if (start_serving) {
    try {
      co_await server.start_serving();
    } catch (...) {
      server.close();
      throw;
    }
  }
  co_return server;
}

std::shared_ptr<BaseProtocol> call_factory(const ProtocolFactory& factory) {
  std::shared_ptr<BaseProtocol> protocol = factory();
  if (!protocol) {
    throw TypeError(
        "the protocol factory returned a null pointer; it must return the new connection's "
        "protocol");
  }
  return protocol;
}

Coroutine<> connection_made(Ref<FutureState<void>> waiter,
                            std::shared_ptr<BaseTransport> transport) {
  const Future<void> made{Ref<FutureBase>(waiter)};
  try {
    co_await made;
  } catch (...) {
    transport->close();
    throw;
  }
}

void set_reuse_port(const Socket& sock) {
#ifdef SO_REUSEPORT
  try {
    sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
  } catch (const OSError&) {
    throw ValueError(
        "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented.");
  }
#else
  (void)sock;
  throw ValueError("reuse_port not supported by socket module");
#endif
}

std::vector<AddressInfo> interleave(std::vector<AddressInfo> addresses, int first_family_count) {
  std::vector<std::vector<AddressInfo>> families;
  for (AddressInfo& info : addresses) {
    const auto place = std::find_if(families.begin(), families.end(), [&](const auto& family) {
      return family.front().family == info.family;
    });
    if (place == families.end())
      families.emplace_back().push_back(std::move(info));
    else
      place->push_back(std::move(info));
  }
  std::vector<AddressInfo> result;
  if (families.empty()) return result;
  std::vector<std::size_t> taken(families.size());
  const auto take = [&](std::size_t family) {
    if (taken[family] == families[family].size()) return;
    result.push_back(std::move(families[family][taken[family]++]));
  };
  for (int count = 1; count < first_family_count && taken[0] != families[0].size(); ++count)
    take(0);
  while (result.size() != addresses.size())
    for (std::size_t family = 0; family != families.size(); ++family) take(family);
  return result;
}

void throw_connect_errors(std::vector<std::exception_ptr> errors, bool all_errors) {
  // A race whose attempts were all cancelled from outside left no failure.
  if (errors.empty()) throw TimeoutError("create_connection failed");
  if (all_errors) throw ExceptionGroup("create_connection failed", std::move(errors));
  const std::string first = to_string(errors[0]);
  std::string texts;
  bool same = true;
  for (const std::exception_ptr& error : errors) {
    const std::string text = to_string(error);
    same = same && text == first;
    if (!texts.empty()) texts += ", ";
    texts += text;
  }
  if (same) std::rethrow_exception(errors[0]);
  throw OSError("Multiple exceptions: " + texts);
}

}  // namespace detail

Coroutine<EventLoop::AnyConnection> EventLoop::connect(ProtocolFactory factory, std::string host,
                                                       Port port, ConnectionOptions options) {
  if (options.limit)
    throw TypeError("create_connection() got an unexpected keyword argument 'limit'");
  return detail::open_connection(
      core(), std::move(factory),
      detail::ConnectionRequest(std::move(host), std::move(port), options));
}

Coroutine<EventLoop::AnyConnection> EventLoop::adopt_accepted(ProtocolFactory factory, Socket sock,
                                                              AcceptedSocketOptions options) {
  return detail::accept_connection(core(), std::move(factory), std::move(sock),
                                   detail::TlsSettings(options));
}

Coroutine<Server> EventLoop::listen(ProtocolFactory factory, std::vector<std::string> hosts,
                                    Port port, ServerOptions options) {
  if (options.limit) throw TypeError("create_server() got an unexpected keyword argument 'limit'");
  return detail::serve(core(), std::move(factory),
                       detail::ServerRequest(std::move(hosts), std::move(port), options));
}

}  // namespace asyncio::inline v1
