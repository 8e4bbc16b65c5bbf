// SPDX-License-Identifier: BSL-1.0
// A client that sends one message, and waits until the server closes the connection.
// After the CPython documentation, "TCP Echo Client".
//
//   tcp_echo_client [HOST [PORT]]
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class EchoClientProtocol : public asyncio::Protocol {
 public:
  EchoClientProtocol(std::string message, asyncio::Future<bool> on_con_lost)
      : message_(std::move(message)), on_con_lost_(std::move(on_con_lost)) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport->write(message_);
    std::cout << "Data sent: " << asyncio::repr_str(message_) << std::endl;
  }

  void data_received(asyncio::BytesView data) override {
    std::cout << "Data received: " << asyncio::repr_str(data) << std::endl;
  }

  void connection_lost(std::exception_ptr) override {
    std::cout << "The server closed the connection" << std::endl;
    if (!on_con_lost_.done()) on_con_lost_.set_result(true);  // Ctrl-C has cancelled it
  }

 private:
  std::string message_;
  asyncio::Future<bool> on_con_lost_;
};

asyncio::Coroutine<> talk(std::string host, int port) {
  // The loop that runs this coroutine, for the low-level interface.
  asyncio::EventLoop& loop = asyncio::get_running_loop();

  asyncio::Future<bool> on_con_lost = loop.create_future<bool>();
  const std::string message = "Hello World!";
  auto factory = asyncio::make<EchoClientProtocol>(message, on_con_lost);
  auto [transport, protocol] = co_await loop.create_connection(factory, host, port);

  // Until the protocol says that the connection is lost; the transport is closed in any case.
  try {
    co_await on_con_lost;
  } catch (...) {
    transport->close();
    throw;
  }
  transport->close();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  try {
    asyncio::run(talk(host, port));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
