// SPDX-License-Identifier: BSL-1.0
// A client that sends a text line by line: the next line when the echo of the one before has come.
// After "Python in a Nutshell", chapter 18.
//
//   nutshell_echo_client [HOST [PORT]]
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/asyncio.hpp>

// Characters beyond ASCII are several bytes each: the network knows bytes only.
const std::vector<std::string> text{"A text of a few lines,",
                                    "with a few characters beyond ASCII: äöü €£ 日本,",
                                    "shows whether server", "and client", "understand each other."};

class EchoClient : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    std::cout << "Connected to server" << std::endl;
    write_one();
  }

  void connection_lost(std::exception_ptr) override {
    asyncio::get_running_loop().stop();
    std::cout << "Disconnected from server" << std::endl;
  }

  void data_received(asyncio::BytesView data) override {
    std::cout << "Recv: " << data.str() << std::endl;
    write_one();
  }

 private:
  void write_one() {
    if (next_ == text.end()) {
      transport_->write_eof();
    } else {
      transport_->write(*next_);
      std::cout << "Sent: " << *next_ << std::endl;
      ++next_;
    }
  }

  std::shared_ptr<asyncio::Transport> transport_;
  std::vector<std::string>::const_iterator next_ = text.begin();
};

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8881;

  asyncio::EventLoop loop;
  try {
    // connection_made() was called, and the first line is on its way, when this returns.
    auto [transport, protocol] =
        loop.run_until_complete(loop.create_connection<EchoClient>(host, port));
    loop.run_forever();
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
  loop.close();
}
