// SPDX-License-Identifier: BSL-1.0
#include "server.hpp"

#include <sys/socket.h>

#include <asyncio/constants.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/tasks.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "connect.hpp"
#include "sockaddr.hpp"
#include "transports/stream_transport.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

constexpr const char* not_made = "Error on transport creation for incoming connection";

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

/// One listening socket. It waits to become readable, or stands in the I/O queue, or waits for
/// better times; the server keeps it until its own end, as the queue may still refer to it.
class ServerState::Listener final : public ReadyNode {
 public:
  Listener(ServerState& server, Socket socket)
      : server_(server), view_(socket), acceptor_(std::in_place, server.loop_->io_executor()) {
    server.loop_->descriptor_taken_over(socket.fileno());
    boost::system::error_code error;
    acceptor_->assign({socket.family(), socket.proto()}, socket.fileno(), error);
    if (error) throw_os_error(error);
    socket.detach();
  }

  const TransportSocket& view() const noexcept { return view_; }

  void listen() {
    boost::system::error_code error;
    acceptor_->listen(server_.backlog_, error);
    if (error) throw_os_error(error);
    wait();
  }
  void close() noexcept {
    if (acceptor_) {
      acceptor_.reset();
      // Who watches it beside us would keep it open.
      server_.loop_->descriptor_taken_over(view_.fileno());
    }
    if (retry_) std::exchange(retry_, {})->cancel();
  }

 private:
  void run() override {
    const Ref<ServerState> entry(adopt_ref, &server_);
    if (server_.closed_) return;
    const ContextScope scope(server_.context_);
    // One more than the kernel queues, so that a backlog of 0 works, too.
    for (int i = 0; i <= server_.backlog_; ++i) {
      Accepted accepted;
      const int error = accept(view_, accepted);
      if (would_block(error)) break;
      if (error == ECONNABORTED) continue;  // it was gone before its turn
      if (error != 0) return failed(error);
      server_.accepted(std::move(accepted.socket), std::move(accepted.peer));
    }
    wait();
  }
  void drop() noexcept override { server_.release(); }

  void wait() {
    server_.loop_->async_wait(*acceptor_, boost::asio::socket_base::wait_read,
                          [this, server = Ref<ServerState>(&server_)](const auto&) mutable {
                            if (server->closed_) return;
                            LoopCore& loop = *server->loop_;
                            server.detach();  // it is the queue's reference now
                            loop.push_event(*this);
                          });
  }

  /// Rule 151: for want of resources, later is better than at once.
  void failed(int error) {
    LoopCore& loop = *server_.loop_;
    ExceptionContext context{.message = "Exception in callback Server::accept()",
                             .exception = make_os_error(error),
                             .socket = view_};
    if (out_of_resources(error)) {
      context.message = "socket.accept() out of system resource";
      retry_ = loop.call_at(loop.time() + constants::accept_retry_delay,
                            [this, server = Ref<ServerState>(&server_)] {
                              retry_ = {};
                              wait();
                            });
    } else {
      wait();
    }
    loop.call_exception_handler(context);
  }

  ServerState& server_;
  const TransportSocket view_;
  std::optional<
      boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, LoopCore::Executor>>
      acceptor_;  // none when closed
  Ref<HandleNode> retry_;
};

// -- ServerState

ServerState::ServerState(LoopCore& core, std::vector<Socket> sockets, ProtocolFactory factory,
                         int backlog, std::optional<TlsRequest> tls,
                         std::shared_ptr<void> until_closed)
    : loop_(&core),
      until_closed_(std::move(until_closed)),
      factory_(std::move(factory)),
      tls_(std::move(tls)),
      backlog_(backlog) {
  for (Socket& socket : sockets)
    listeners_.push_back(std::make_unique<Listener>(*this, std::move(socket)));
  register_with(core);
}

ServerState::~ServerState() = default;

std::vector<TransportSocket> ServerState::sockets() const {
  std::vector<TransportSocket> views;
  if (closed_) return views;
  for (const auto& listener : listeners_) views.push_back(listener->view());
  return views;
}

std::string ServerState::repr() const {
  std::string text = "<Server sockets=(";
  const auto views = sockets();
  for (const TransportSocket& view : views) {
    if (&view != &views.front()) text += ", ";
    text += to_string(view);
  }
  if (views.size() == 1) text += ",";
  return text + ")>";
}

void ServerState::start_serving() {
  if (serving_) return;
  if (closed_) throw RuntimeError("server " + repr() + " is closed");
  serving_ = true;
  context_ = capture_context();
  for (const auto& listener : listeners_) listener->listen();
}

void ServerState::accepted(Socket socket, Address peer) {
  if (loop_->debug()) {
    logger().debug("{} got a new connection from {}: {}", repr(), to_string(peer),
                   to_string(socket));
  }
  // In the next pass, as the task that CPython makes for it.
  loop_->call_soon([server = Ref<ServerState>(this), socket = std::move(socket),
                    peer = std::move(peer)]() mutable {
    server->connected(std::move(socket), std::move(peer));
  });
}

void ServerState::connected(Socket socket, Address peer) {
  if (closed_) return;  // as if it had come too late
  std::shared_ptr<BaseProtocol> protocol;
  try {
    in_factory_ = true;
    struct Left {
      ~Left() {
        server.in_factory_ = false;
        if (server.closed_) server.factory_ = nullptr;
      }
      ServerState& server;
    };
    {
      const Left left{*this};
      protocol = factory_();
    }
    if (closed_) return;
    std::shared_ptr<BaseProtocol> lowest = protocol;
    if (tls_) lowest = over_tls(protocol);
    make_stream_transport(*loop_, std::move(socket), std::move(lowest), nullptr, std::move(peer),
                          Ref<ServerState>(this));
  } catch (...) {
    loop_->call_exception_handler({.message = not_made,
                                   .exception = caught_error(),
                                   .protocol = std::move(protocol)});
  }
}

/// In debug mode it is told which clients fail to shake hands (rule 153).
std::shared_ptr<BaseProtocol> ServerState::over_tls(const std::shared_ptr<BaseProtocol>& protocol) {
  if (!loop_->debug()) return make_tls_transport(*loop_, *tls_, protocol, nullptr).protocol;
  const Future<void> shaken(*loop_);
  OverTls over = make_tls_transport(*loop_, *tls_, protocol,
                                    Ref<FutureState<void>>(&shaken.typed_state()));
  shaken.add_done_callback(
      [loop = loop_, protocol, transport = over.transport](const AnyFuture& done) {
        if (std::exception_ptr error = done.exception())
          loop->call_exception_handler({.message = not_made,
                                        .exception = std::move(error),
                                        .protocol = protocol,
                                        .transport = transport});
      });
  return std::move(over.protocol);
}

void ServerState::close_sockets() noexcept {
  for (const auto& listener : listeners_) listener->close();
  until_closed_.reset();
}

void ServerState::close() {
  if (std::exchange(closed_, true)) return;
  serving_ = false;
  close_sockets();
  // What the factory holds goes now, unless it is the factory that closes us.
  if (!in_factory_) factory_ = nullptr;
  if (forever_) std::exchange(forever_, nullptr).cancel();
  if (!clients_) wake();
}

void ServerState::loop_closing() noexcept {
  const std::shared_ptr<ServerState> self = shared_from_this();
  closed_ = true;
  serving_ = false;
  close_sockets();
  factory_ = nullptr;
  context_ = {};
  forever_ = nullptr;
  waiters_.clear();
  woken_ = true;
  loop_ = nullptr;
}

// -- waiting

Future<void> ServerState::closed_and_unused() {
  if (woken_) return nullptr;
  waiters_.emplace_back(*loop_);
  return waiters_.back();
}

void ServerState::wake() {
  woken_ = true;
  for (const Future<void>& waiter : std::exchange(waiters_, {}))
    if (!waiter.done()) waiter.set_result();
}

Future<void> ServerState::begin_serve_forever() {
  if (forever_) {
    throw RuntimeError("server " + repr() + " is already being awaited on serve_forever()");
  }
  start_serving();
  forever_ = Future<void>(*loop_);
  return forever_;
}

// -- clients

void ServerState::attach(StreamTransport& client) noexcept {
  client.next_client_ = clients_;
  client.previous_client_ = nullptr;
  if (clients_) clients_->previous_client_ = &client;
  clients_ = &client;
}

void ServerState::detach(StreamTransport& client) noexcept {
  (client.previous_client_ ? client.previous_client_->next_client_ : clients_) =
      client.next_client_;
  if (client.next_client_) client.next_client_->previous_client_ = client.previous_client_;
  if (!clients_ && closed_ && !woken_) wake();
}

/// What runs over TLS closes itself, and tells the peer. That may call the program, and change the
/// list.
void ServerState::close_clients() {
  std::vector<std::shared_ptr<Transport>> open;
  for (StreamTransport* client = clients_; client; client = client->next_client_) {
    std::shared_ptr<Transport> outermost = client->shared_from_this();
    while (auto over = std::dynamic_pointer_cast<Transport>(outermost->get_protocol()))
      outermost = std::move(over);
    open.push_back(std::move(outermost));
  }
  for (const std::shared_ptr<Transport>& transport : open) transport->close();
}

/// No code of the program runs, so the list stays as it is.
void ServerState::abort_clients() {
  for (StreamTransport* client = clients_; client; client = client->next_client_) client->abort();
}

// -- coroutines

namespace {

Coroutine<> start_serving(std::shared_ptr<ServerState> server) {
  server->start_serving();
  co_await YieldAwaiter();
}

Coroutine<> wait_closed(std::shared_ptr<ServerState> server) {
  const Future<void> waiter = server->closed_and_unused();
  if (!waiter) co_return;
  co_await waiter;
}

Coroutine<> serve_forever(std::shared_ptr<ServerState> server) {
  const Future<void> forever = server->begin_serve_forever();
  struct End {
    explicit End(ServerState& server) : server(server) {}
    ~End() { server.end_serve_forever(); }
    ServerState& server;
  } const end(*server);
  std::exception_ptr cancelled;
  try {
    co_await forever;
  } catch (const CancelledError&) {
    cancelled = std::current_exception();
  }
  server->close();
  co_await wait_closed(server);
  std::rethrow_exception(cancelled);
}

}  // namespace
}  // namespace detail

// -- Server

void Server::close() const { state_->close(); }
void Server::close_clients() const { state_->close_clients(); }
void Server::abort_clients() const { state_->abort_clients(); }
bool Server::is_serving() const { return state_->serving(); }
std::vector<TransportSocket> Server::sockets() const { return state_->sockets(); }
Coroutine<> Server::start_serving() const { return detail::start_serving(state_); }
Coroutine<> Server::serve_forever() const { return detail::serve_forever(state_); }
Coroutine<> Server::wait_closed() const { return detail::wait_closed(state_); }

EventLoop& Server::get_loop() const {
  const detail::LoopCore* const loop = state_->loop();
  if (!loop || !loop->facade) throw RuntimeError("Event loop is closed");
  return *loop->facade;
}

std::string to_string(const Server& server) { return server.state()->repr(); }

}  // namespace asyncio::inline v1
