// SPDX-License-Identifier: BSL-1.0
// An echo server written as a protocol: the loop calls it when something happens to a connection.
// After PyMOTW, "Asynchronous I/O with Protocol Class Abstractions".
//
//   protocol_echo_server [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class EchoServer : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    const asyncio::Address address = transport_->get_extra_info(asyncio::peername);
    log_ = asyncio::get_logger("EchoServer_" + to_string(address, "_"));
    log_.debug("connection accepted");
  }

  void data_received(asyncio::BytesView data) override {
    log_.debug("received {}", asyncio::repr(data));
    transport_->write(data);
    log_.debug("sent {}", asyncio::repr(data));
  }

  bool eof_received() override {
    log_.debug("received EOF");
    if (transport_->can_write_eof()) transport_->write_eof();
    return false;
  }

  void connection_lost(std::exception_ptr error) override {
    if (error)
      log_.error("ERROR: {}", error);
    else
      log_.debug("closing");
    asyncio::Protocol::connection_lost(error);
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
  asyncio::Logger log_;
};

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 10000;

  asyncio::basic_config({.level = asyncio::LogLevel::debug, .format = "%(name)s: %(message)s"});
  const asyncio::Logger log = asyncio::get_logger("main");
  asyncio::EventLoop loop;

  // Let the loop finish creating the server before it runs for good.
  asyncio::Server server;
  try {
    server = loop.run_until_complete(loop.create_server<EchoServer>(host, port));
  } catch (const asyncio::OSError& error) {
    log.error("{}", error.what());
    return EXIT_FAILURE;
  }
  log.debug("starting up on {} port {}", host, port);

  // Serve all connections until Ctrl-C.
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  loop.run_forever();
  loop.remove_signal_handler(SIGINT);  // another one ends the program at once

  log.debug("closing server");
  server.close();
  server.close_clients();  // wait_closed() waits for them
  loop.run_until_complete(server.wait_closed());
  log.debug("closing event loop");
  loop.close();
}
