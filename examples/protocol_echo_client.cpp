// SPDX-License-Identifier: BSL-1.0
// An echo client written as a protocol: it sends a message in parts, then reads it back.
// After PyMOTW, "Asynchronous I/O with Protocol Class Abstractions".
//
//   protocol_echo_client [HOST [PORT]]
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/asyncio.hpp>

class EchoClient : public asyncio::Protocol {
 public:
  EchoClient(std::vector<asyncio::Bytes> messages, asyncio::Future<bool> completed)
      : messages_(std::move(messages)), completed_(std::move(completed)) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    const asyncio::Address address = transport_->get_extra_info(asyncio::peername);
    log_.debug("connecting to {} port {}", address.host(), address.port());
    // writelines() would send them together, but then there is no moment to log each of them.
    for (const asyncio::Bytes& message : messages_) {
      transport_->write(message);
      log_.debug("sending {}", asyncio::repr(message));
    }
    if (transport_->can_write_eof()) transport_->write_eof();
  }

  void data_received(asyncio::BytesView data) override {
    log_.debug("received {}", asyncio::repr(data));
  }

  bool eof_received() override {
    log_.debug("received EOF");
    transport_->close();
    if (!completed_.done()) completed_.set_result(true);
    return false;
  }

  void connection_lost(std::exception_ptr error) override {
    log_.debug("server closed connection");
    transport_->close();
    if (!completed_.done()) completed_.set_result(true);
    asyncio::Protocol::connection_lost(error);
  }

 private:
  std::vector<asyncio::Bytes> messages_;
  asyncio::Future<bool> completed_;
  std::shared_ptr<asyncio::Transport> transport_;
  asyncio::Logger log_ = asyncio::get_logger("EchoClient");
};

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 10000;
  const std::vector<asyncio::Bytes> messages{"This is the message. ", "It will be sent ",
                                             "in parts."};

  asyncio::basic_config({.level = asyncio::LogLevel::debug, .format = "%(name)s: %(message)s"});
  const asyncio::Logger log = asyncio::get_logger("main");
  asyncio::EventLoop loop;
  const asyncio::Future<bool> client_completed(loop);

  int status = EXIT_SUCCESS;
  try {
    log.debug("waiting for client to complete");
    // A factory takes no arguments: make() remembers those of the protocol's constructor.
    loop.run_until_complete(
        loop.create_connection(asyncio::make<EchoClient>(messages, client_completed), host, port));
    loop.run_until_complete(client_completed);
  } catch (const asyncio::OSError& error) {
    log.error("{}", error.what());
    status = EXIT_FAILURE;
  }
  log.debug("closing event loop");
  loop.close();
  return status;
}
