// SPDX-License-Identifier: BSL-1.0
// A server that echoes what a client sends first, and closes the connection.
// After the CPython documentation, "TCP Echo Server".
//
//   tcp_echo_server [HOST [PORT]]
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class EchoServerProtocol : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    std::cout << "Connection from " << to_string(transport->get_extra_info(asyncio::peername))
              << std::endl;
    transport_ = std::move(transport);
  }

  void data_received(asyncio::BytesView data) override {
    const std::string message = asyncio::repr_str(data);
    std::cout << "Data received: " << message << std::endl;

    std::cout << "Send: " << message << std::endl;
    transport_->write(data);

    // What was written is sent first.
    std::cout << "Close the client socket" << std::endl;
    transport_->close();
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

asyncio::Coroutine<> serve(std::string host, int port) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  asyncio::Server server = co_await loop.create_server<EchoServerProtocol>(host, port);
  // Until somebody cancels this task, as Ctrl-C does. Then it closes the server and waits for its
  // connections, as the end of Python's `async with server` would.
  co_await server.serve_forever();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  try {
    asyncio::run(serve(host, port));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
