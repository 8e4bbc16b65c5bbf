// SPDX-License-Identifier: BSL-1.0
// Sends one datagram, and closes its socket when the answer comes.
// After the CPython documentation, "UDP Echo Client".
//
//   udp_echo_client [HOST [PORT]]
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class EchoClientProtocol : public asyncio::DatagramProtocol {
 public:
  EchoClientProtocol(std::string message, asyncio::Future<bool> on_con_lost)
      : message_(std::move(message)), on_con_lost_(std::move(on_con_lost)) {}

  void connection_made(std::shared_ptr<asyncio::DatagramTransport> transport) override {
    transport_ = std::move(transport);
    std::cout << "Send: " << message_ << std::endl;
    transport_->sendto(message_);
  }

  void datagram_received(asyncio::BytesView data, const asyncio::Address&) override {
    std::cout << "Received: " << data.str() << std::endl;

    std::cout << "Close the socket" << std::endl;
    transport_->close();
  }

  void error_received(std::exception_ptr error) override {
    std::cout << "Error received: " << asyncio::to_string(error) << std::endl;
  }

  void connection_lost(std::exception_ptr) override {
    std::cout << "Connection closed" << std::endl;
    if (!on_con_lost_.done()) on_con_lost_.set_result(true);  // Ctrl-C has cancelled it
  }

 private:
  std::string message_;
  asyncio::Future<bool> on_con_lost_;
  std::shared_ptr<asyncio::DatagramTransport> transport_;
};

asyncio::Coroutine<> talk(std::string host, int port) {
  // The loop that runs this coroutine, for the low-level interface.
  asyncio::EventLoop& loop = asyncio::get_running_loop();

  asyncio::Future<bool> on_con_lost = loop.create_future<bool>();
  const std::string message = "Hello World!";
  auto factory = asyncio::make<EchoClientProtocol>(message, on_con_lost);
  auto [transport, protocol] =
      co_await loop.create_datagram_endpoint(factory, {.remote_addr = {host, port}});

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
  const int port = argc > 2 ? std::atoi(argv[2]) : 9999;
  try {
    asyncio::run(talk(host, port));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
