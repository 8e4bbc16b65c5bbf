// SPDX-License-Identifier: BSL-1.0
// Parts of create_connection and create_server that others use, too. Private to the library.
#pragma once

#include <asyncio/coroutine.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/transports.hpp>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace asyncio::inline v1::detail {

class LoopCore;

using Connection = std::pair<std::shared_ptr<Transport>, std::shared_ptr<BaseProtocol>>;

/// Rule 166: protocol and transport for a connected socket.
Coroutine<Connection> make_connection(LoopCore& core, ProtocolFactory factory, Socket sock);

/// A server on sockets that are bound; `until_closed` goes when they are closed.
Coroutine<Server> make_server(LoopCore& core, ProtocolFactory factory, std::vector<Socket> sockets,
                              int backlog, bool start_serving,
                              std::shared_ptr<void> until_closed = nullptr);

/// Rule 161: first_family_count - 1 addresses of the first family, then the families in turn.
std::vector<AddressInfo> interleave(std::vector<AddressInfo> addresses, int first_family_count);

/// Rule 164: throws what create_connection throws when every attempt has failed.
[[noreturn]] void throw_connect_errors(std::vector<std::exception_ptr> errors, bool all_errors);

}  // namespace asyncio::inline v1::detail
