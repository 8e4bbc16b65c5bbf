// SPDX-License-Identifier: BSL-1.0
#include "sock_connect.hpp"

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cerrno>
#include <optional>

#include "loop_core.hpp"
#include "sockaddr.hpp"

namespace asyncio::inline v1::detail {

namespace {

/// Watches a socket until its connection stands or has failed. The socket itself is lent to Asio,
/// never owned here. Held by the coroutine that waits, by Asio's handler and by the I/O queue.
class ConnectWatch final : public Resource, private ReadyNode {
 public:
  ConnectWatch(LoopCore& core, const Socket& sock, const Address& address)
      : core_(core), sock_(sock), address_(address), connected_(core) {
    lent_.emplace(core.executor());
    boost::system::error_code error;
    lent_->assign(boost::asio::generic::stream_protocol(sock.family(), sock.proto()), sock.fileno(),
                  error);
    if (error) throw_os_error(error);
    register_with(core);
  }

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  void watch() {
    lent_->async_wait(boost::asio::socket_base::wait_write,
                      [self = Ref(this)](const boost::system::error_code&) { self->ready(); });
  }
  /// Gives the socket back. Idempotent.
  void stop() noexcept {
    if (!lent_) return;
    boost::system::error_code ignored;
    lent_->release(ignored);
    lent_.reset();
  }
  const Future<void>& connected() const noexcept { return connected_; }

  void loop_closing() noexcept override { stop(); }

 private:
  ~ConnectWatch() { stop(); }

  void ready() {
    if (!lent_) return;  // nobody waits any more
    add_ref();
    core_.push_io(*this);
  }
  void run() override {
    const Ref<ConnectWatch> self(adopt_ref, this);
    if (!lent_ || connected_.done()) return;
    try {
      const int error = sock_.getsockopt(SOL_SOCKET, SO_ERROR);
      if (error != 0) throw_os_error(error, "Connect call failed " + to_string(address_));
      connected_.set_result();
    } catch (const OSError&) {
      connected_.set_exception(std::current_exception());
    }
  }
  void drop() noexcept override { release(); }

  std::uint32_t references_ = 0;
  LoopCore& core_;
  const Socket& sock_;
  const Address address_;
  const Future<void> connected_;
  std::optional<
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, LoopCore::Executor>>
      lent_;
};

/// The waiting coroutine's hold: the watch ends with it.
class ConnectWait {
 public:
  ConnectWait(LoopCore& core, const Socket& sock, const Address& address)
      : watch_(new ConnectWatch(core, sock, address)) {
    watch_->watch();
  }
  ConnectWait(const ConnectWait&) = delete;
  ConnectWait& operator=(const ConnectWait&) = delete;
  ~ConnectWait() { watch_->stop(); }

  const Future<void>& connected() const noexcept { return watch_->connected(); }

 private:
  const Ref<ConnectWatch> watch_;
};

/// Is the connection under way? OSError if it cannot begin.
bool begin(const Socket& sock, const Address& address) {
  const int error = start_connect(sock.fileno(), SockAddr(address, sock.family()));
  if (error != 0 && error != EINPROGRESS) throw_os_error(error);
  return error != 0;
}

}  // namespace

Coroutine<> sock_connect(LoopCore& core, Socket& sock, Address address) {
  if (!begin(sock, address)) co_return;
  const ConnectWait wait(core, sock, address);
  co_await wait.connected();
}

}  // namespace asyncio::inline v1::detail
