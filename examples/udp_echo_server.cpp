// SPDX-License-Identifier: BSL-1.0
// Sends every datagram back to where it came from, for an hour.
// After the CPython documentation, "UDP Echo Server".
//
//   udp_echo_server [HOST [PORT]]
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

using namespace std::chrono_literals;

class EchoServerProtocol : public asyncio::DatagramProtocol {
 public:
  void connection_made(std::shared_ptr<asyncio::DatagramTransport> transport) override {
    transport_ = std::move(transport);
  }

  void datagram_received(asyncio::BytesView data, const asyncio::Address& addr) override {
    const std::string message = asyncio::repr_str(data);
    std::cout << "Received " << message << " from " << to_string(addr) << std::endl;
    std::cout << "Send " << message << " to " << to_string(addr) << std::endl;
    transport_->sendto(data, addr);
  }

 private:
  std::shared_ptr<asyncio::DatagramTransport> transport_;
};

asyncio::Coroutine<> serve(std::string host, int port) {
  std::cout << "Starting UDP server" << std::endl;
  // The loop that runs this coroutine, for the low-level interface.
  asyncio::EventLoop& loop = asyncio::get_running_loop();

  // One protocol serves all clients.
  auto [transport, protocol] =
      co_await loop.create_datagram_endpoint<EchoServerProtocol>({.local_addr = {host, port}});

  try {
    co_await asyncio::sleep(3600s);
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
    asyncio::run(serve(host, port));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
