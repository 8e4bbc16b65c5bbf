// SPDX-License-Identifier: BSL-1.0
// Gives a transport and a protocol to a socket that exists already.
// After the CPython documentation, "Connecting Existing Sockets".
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class MyProtocol : public asyncio::Protocol {
 public:
  explicit MyProtocol(asyncio::Future<bool> lost) : on_con_lost(std::move(lost)) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }

  void data_received(asyncio::BytesView data) override {
    std::cout << "Received: " << data.str() << std::endl;
    // That was all: connection_lost() will be called.
    transport_->close();
  }

  void connection_lost(std::exception_ptr) override {
    if (!on_con_lost.done()) on_con_lost.set_result(true);  // Ctrl-C has cancelled it
  }

  asyncio::Future<bool> on_con_lost;

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

asyncio::Coroutine<> receive() {
  asyncio::EventLoop& loop = asyncio::get_running_loop();

  // Two sockets that are connected to each other.
  auto [rsock, wsock] = asyncio::Socket::pair();

  // The loop takes over the one to wait for data on.
  auto factory = asyncio::make<MyProtocol>(loop.create_future<bool>());
  auto [transport, protocol] = co_await loop.create_connection(factory, {.sock = &rsock});

  // Play the network: some data arrives.
  loop.call_soon(&asyncio::Socket::send, &wsock, "abc");

  // Until the protocol says that the connection is lost; both ends are closed in any case (wsock
  // with its scope).
  try {
    co_await protocol->on_con_lost;
  } catch (...) {
    transport->close();
    throw;
  }
  transport->close();
}

int main() {
  try {
    asyncio::run(receive());
  } catch (const asyncio::KeyboardInterrupt&) {
  }
}
