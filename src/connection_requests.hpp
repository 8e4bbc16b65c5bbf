// SPDX-License-Identifier: BSL-1.0
// create_connection, create_server and their Unix kin for those who do not come through the facade.
// Private to the library.
#pragma once

#include <sys/socket.h>

#include <asyncio/connections.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/transports.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect.hpp"
#include "tls_settings.hpp"

namespace asyncio::inline v1::detail {

class LoopCore;

/// What create_connection was asked for, owned.
struct ConnectionRequest {
  ConnectionRequest(std::string wanted_host, Port wanted_port, const ConnectionOptions& options)
      : host(std::move(wanted_host)),
        port(std::move(wanted_port)),
        resolving{options.family, SOCK_STREAM, options.proto, options.flags},
        adopts(options.sock != nullptr),
        delay(options.happy_eyeballs_delay),
        interleave_count(options.interleave.value_or(options.happy_eyeballs_delay ? 1 : 0)),
        all_errors(options.all_errors),
        tls(options) {
    if (options.sock) sock = std::move(*options.sock);
    if (options.local_addr) {
      local_host = options.local_addr.host();
      local_port = Port(options.local_addr.port());
      local_ipv6 = options.local_addr.ipv6();
    }
  }

  bool has_address() const noexcept { return !host.empty() || port; }
  bool binds() const noexcept { return bool(local_port); }

  std::string host;
  Port port;
  ResolveOptions resolving;
  bool adopts;
  Socket sock;
  std::string local_host;
  Port local_port;  // none: the system's choice of the local end
  Ipv6Part local_ipv6;
  std::optional<Duration> delay;
  int interleave_count;
  bool all_errors;
  TlsSettings tls;
};

/// Rules 159-166.
Coroutine<Connection> open_connection(LoopCore& core, ProtocolFactory factory,
                                      ConnectionRequest request);

/// What create_server was asked for, owned.
struct ServerRequest {
  ServerRequest(std::vector<std::string> wanted_hosts, Port wanted_port,
                const ServerOptions& wanted)
      : hosts(std::move(wanted_hosts)),
        port(std::move(wanted_port)),
        options(wanted),
        adopts(wanted.sock != nullptr),
        tls(wanted) {
    if (adopts) sock = std::move(*wanted.sock);
  }

  bool has_address() const noexcept { return !hosts.empty() || port; }

  std::vector<std::string> hosts;
  Port port;
  ServerOptions options;  // its sock and ssl are not used: they may be gone
  bool adopts;
  Socket sock;
  TlsSettings tls;
};

/// Rules 159, 167-169.
Coroutine<Server> serve(LoopCore& core, ProtocolFactory factory, ServerRequest request);

/// Where a Unix socket is to be: a path, or a socket to take over.
struct UnixRequest {
  UnixRequest(const UnixPath* wanted, Socket* given) : adopts(given != nullptr) {
    if (wanted) path = wanted->text();
    if (given) sock = std::move(*given);
  }

  std::optional<std::string> path;
  bool adopts;
  Socket sock;
};

struct UnixConnectionRequest : UnixRequest {
  UnixConnectionRequest(const UnixPath* wanted, const UnixConnectionOptions& options)
      : UnixRequest(wanted, options.sock), tls(options) {}

  TlsSettings tls;
};

Coroutine<Connection> open_connection(LoopCore& core, ProtocolFactory factory,
                                      UnixConnectionRequest request);

/// What create_unix_server was asked for, owned.
struct UnixServerRequest : UnixRequest {
  UnixServerRequest(const UnixPath* wanted, const UnixServerOptions& options)
      : UnixRequest(wanted, options.sock), options(options), tls(options) {}

  UnixServerOptions options;  // its sock and ssl are not used: they may be gone
  TlsSettings tls;
};

/// Rule 170.
Coroutine<Server> serve(LoopCore& core, ProtocolFactory factory, UnixServerRequest request);

}  // namespace asyncio::inline v1::detail
