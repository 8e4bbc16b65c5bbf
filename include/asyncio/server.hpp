// SPDX-License-Identifier: BSL-1.0
// Server: listening sockets, and the connections that came from them (surface A9).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/coroutine.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1 {

class EventLoop;

namespace detail {
class ServerState;
}

/// What create_server gives. A handle: copies stand for the same server. The loop's thread only.
///
/// The loop keeps a server that listens: dropping the handle does not stop it, close() does, and so
/// does closing the loop. `async with server` is close() and then `co_await wait_closed()`.
/// Python: asyncio.Server.
class Server {
 public:
  /// Stands for no server; it may be assigned to and asked whether it is one.
  Server() noexcept = default;
  explicit Server(std::shared_ptr<detail::ServerState> state) noexcept : state_(std::move(state)) {}
  explicit operator bool() const noexcept { return state_ != nullptr; }

  /// Stops listening and closes the listening sockets now; connections live on. Cancels a
  /// serve_forever() that waits. Idempotent.
  void close() const;
  /// close() on every connection that is open. One that has something to send lives on until the
  /// peer has taken it, without limit: wait_for() wait_closed(), and then abort_clients().
  void close_clients() const;
  /// abort() on every connection that is open.
  void abort_clients() const;
  /// RuntimeError if the loop is closed.
  EventLoop& get_loop() const;
  bool is_serving() const;
  /// Views of the listening sockets; none after close().
  std::vector<TransportSocket> sockets() const;

  /// Listens, if it does not yet; completes one pass later. Idempotent. OSError if the system
  /// refuses, RuntimeError if the server is closed.
  Coroutine<> start_serving() const;
  /// Serves until the task is cancelled or the server closed, and ends with CancelledError either
  /// way; first it waits as wait_closed() does. A cancelled one closes the server. RuntimeError if
  /// the server is closed, or somebody else is in here.
  Coroutine<> serve_forever() const;
  /// Completes when the server is closed and its last connection is gone; at once if that is so.
  /// Any number of tasks may wait; cancelling one does not touch the server.
  Coroutine<> wait_closed() const;

  const std::shared_ptr<detail::ServerState>& state() const noexcept { return state_; }
  friend bool operator==(const Server&, const Server&) = default;

 private:
  std::shared_ptr<detail::ServerState> state_;
};

/// Python's repr: "<Server sockets=(<asyncio.TransportSocket fd=6, ...>,)>".
std::string to_string(const Server& server);

}  // namespace asyncio::inline v1
