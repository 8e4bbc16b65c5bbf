// SPDX-License-Identifier: BSL-1.0
// The parts of create_connection and its like. Private to the library.
#pragma once

#include <asyncio/coroutine.hpp>
#include <asyncio/futures.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/transports.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace asyncio::inline v1::detail {

class LoopCore;
struct TlsRequest;

using Connection = std::pair<std::shared_ptr<Transport>, std::shared_ptr<BaseProtocol>>;

/// TypeError if it makes none.
std::shared_ptr<BaseProtocol> call_factory(const ProtocolFactory& factory);

/// Rule 166: until the transport has called connection_made; if that is interrupted, it is closed.
Coroutine<> connection_made(Ref<FutureState<void>> waiter,
                            std::shared_ptr<BaseTransport> transport);

/// What stands between a connection and a program that speaks TLS over it.
struct OverTls {
  std::shared_ptr<Transport> transport;    // the program's
  std::shared_ptr<BaseProtocol> protocol;  // the connection's
};

/// Rule 192: `waiter`, which may be null, is done when the handshake is; connection_made was called
/// on the program's protocol then.
OverTls make_tls_transport(LoopCore& core, TlsRequest request,
                           std::shared_ptr<BaseProtocol> protocol,
                           Ref<FutureState<void>> waiter);

/// Protocol and transport for a connected socket.
Coroutine<Connection> make_connection(LoopCore& core, ProtocolFactory factory, Socket sock,
                                      std::optional<TlsRequest> tls);

/// A server on sockets that are bound; `until_closed` goes when they are closed.
Coroutine<Server> make_server(LoopCore& core, ProtocolFactory factory, std::vector<Socket> sockets,
                              int backlog, bool start_serving, std::optional<TlsRequest> tls,
                              std::shared_ptr<void> until_closed = nullptr);

/// Rule 161: first_family_count - 1 addresses of the first family, then the families in turn.
std::vector<AddressInfo> interleave(std::vector<AddressInfo> addresses, int first_family_count);

/// Rule 164: throws what create_connection throws when every attempt has failed.
[[noreturn]] void throw_connect_errors(std::vector<std::exception_ptr> errors, bool all_errors);

/// A socket file that nobody listens on any more stands in the way of bind(). What else is there
/// stays: bind() fails and says so. POSIX.
void remove_stale_socket(const std::string& path);

/// ValueError if the system cannot.
void set_reuse_port(const Socket& sock);

}  // namespace asyncio::inline v1::detail
