// SPDX-License-Identifier: BSL-1.0
#include "server.hpp"

#include <asyncio/constants.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/tasks.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cerrno>
#include <utility>

#include "sockaddr.hpp"
#include "transports/stream_transport.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

struct Accepted {
  Socket socket;
  Address peer;
};

/// POSIX. The errno, or 0. Asio's accept would let child processes inherit the descriptor.
int accept(NativeSocket listener, Accepted& accepted) {
  SockAddr address;
#ifdef __linux__
  const int descriptor =
      ::accept4(listener, address.data(), &address.length(), SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  const int descriptor = ::accept(listener, address.data(), &address.length());
#endif
  if (descriptor < 0) return errno;
  accepted.socket = Socket(descriptor);
  accepted.peer = to_address(address);
  return 0;
}

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

/// One listening socket. It waits to become readable, or stands in the I/O queue, or waits for
/// better times; the server keeps it until its own end, as the queue may still refer to it.
class ServerState::Listener final : public ReadyNode {
 public:
  Listener(ServerState& server, Socket socket)
      : server_(server), view_(socket), acceptor_(server.loop_->executor()) {
    boost::system::error_code error;
    acceptor_.assign({socket.family(), socket.proto()}, socket.fileno(), error);
    if (error) throw_os_error(error);
    socket.detach();
  }

  const TransportSocket& view() const noexcept { return view_; }

  void listen() {
    boost::system::error_code error;
    acceptor_.listen(server_.backlog_, error);
    if (error) throw_os_error(error);
    wait();
  }
  void close() noexcept {
    boost::system::error_code error;
    acceptor_.close(error);
    if (retry_) std::exchange(retry_, {})->cancel();
  }

 private:
  void run() override {
    const Ref<ServerState> entry(adopt_ref, &server_);
    if (server_.closed_) return;
    const ContextScope scope(server_.context_);
    if (const int error = accept_all()) {
      wait();
      if (!would_block(error))
        report("Exception in callback Server::accept()", error);
    }
  }
  void drop() noexcept override { server_.release(); }

  void wait() {
    if (server_.closed_) return;
    acceptor_.async_wait(boost::asio::socket_base::wait_read,
                         [this, server = Ref<ServerState>(&server_)](const auto&) mutable {
                           if (server->closed_) return;
                           LoopCore& loop = *server->loop_;
                           server.detach();  // it is the queue's reference now
                           loop.push_io(*this);
                         });
  }

  void accept_all();
  void report(const char* message, int error);

  ServerState& server_;
  const TransportSocket view_;
  boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, LoopCore::Executor>
      acceptor_;
  Ref<HandleNode> retry_;
};
