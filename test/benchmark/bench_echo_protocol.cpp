// SPDX-License-Identifier: BSL-1.0
// Echo server, Protocol: bench_echo_protocol PORT. Prints READY and echoes until it is killed.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include <asyncio/asyncio.hpp>

class Echo : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override { transport_->write(data); }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_protocol PORT\n", stderr);
    return 2;
  }
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(
      loop.create_server<Echo>("127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
