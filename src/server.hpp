// SPDX-License-Identifier: BSL-1.0
// What is behind a Server: listening sockets and the list of their connections (rules 150-157).
#pragma once

#include <asyncio/protocols.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop_core.hpp"
#include "tls_settings.hpp"
#include "transports/self_holding.hpp"

namespace asyncio::inline v1::detail {

class StreamTransport;

class ServerState final : public Resource, public SelfHolding<ServerState> {
 public:
  /// The sockets are bound and do not listen yet; `until_closed` goes when they are closed. OSError
  /// if one cannot be watched.
  ServerState(LoopCore& core, std::vector<Socket> sockets, ProtocolFactory factory, int backlog,
              std::optional<TlsRequest> tls = {}, std::shared_ptr<void> until_closed = nullptr);
  ~ServerState();

  LoopCore* loop() const noexcept { return loop_; }
  bool serving() const noexcept { return serving_; }
  bool closed() const noexcept { return closed_; }
  std::vector<TransportSocket> sockets() const;
  std::string repr() const;

  void start_serving();
  void close();
  void close_clients();
  void abort_clients();

  /// Null when there is nothing to wait for any more.
  Future<void> closed_and_unused();
  /// The future that serve_forever() waits for; RuntimeError if there is one already, or if closed.
  Future<void> begin_serve_forever();
  void end_serve_forever() noexcept { forever_ = nullptr; }

  void attach(StreamTransport& client) noexcept;
  void detach(StreamTransport& client) noexcept;

  void loop_closing() noexcept override;

 private:
  class Listener;

  void accepted(Socket socket, Address peer);
  void connected(Socket socket, Address peer);
  std::shared_ptr<BaseProtocol> over_tls(const std::shared_ptr<BaseProtocol>& protocol);
  void close_sockets() noexcept;
  void wake();

  LoopCore* loop_;  // null: the loop is closed
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::shared_ptr<void> until_closed_;
  ProtocolFactory factory_;
  const std::optional<TlsRequest> tls_;  // what connections speak
  const int backlog_;
  bool serving_ = false;
  bool closed_ = false;
  bool in_factory_ = false;
  bool woken_ = false;
  Ref<ContextState> context_;  // in which connections are accepted
  StreamTransport* clients_ = nullptr;
  std::vector<Future<void>> waiters_;
  Future<void> forever_{nullptr};
};

}  // namespace asyncio::inline v1::detail
