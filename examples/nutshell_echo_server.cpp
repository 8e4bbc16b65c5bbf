// SPDX-License-Identifier: BSL-1.0
// A server that echoes each piece as it comes, and says who is connected.
// After "Python in a Nutshell", chapter 18.
//
//   nutshell_echo_server [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class EchoServer : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    peer_ = transport_->get_extra_info(asyncio::peername);
    std::cout << "Connected from " << to_string(peer_) << std::endl;
  }

  void connection_lost(std::exception_ptr) override {
    std::cout << "Disconnected from " << to_string(peer_) << std::endl;
  }

  void data_received(asyncio::BytesView data) override {
    std::cout << "Recv: " << data.str() << std::endl;
    transport_->write(data);
    std::cout << "Echo: " << data.str() << std::endl;
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
  asyncio::Address peer_;
};

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8881;

  asyncio::EventLoop loop;
  try {
    const asyncio::Server server =
        loop.run_until_complete(loop.create_server<EchoServer>(host, port));
    std::cout << "Serving at " << to_string(server.sockets().front().getsockname()) << std::endl;
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  loop.run_forever();
  // Nothing is tidied up here: the loop's destructor closes the server and its connections.
}
