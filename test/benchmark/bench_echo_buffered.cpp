// SPDX-License-Identifier: BSL-1.0
// Echo server, BufferedProtocol: bench_echo_buffered PORT. Prints READY and echoes until it is
// killed.
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include <asyncio/asyncio.hpp>

namespace {

/// One for all connections: what was read is written before anybody else reads.
std::array<char, 256 * 1024> buffer;

class Echo : public asyncio::BufferedProtocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  asyncio::MutableBytes get_buffer(std::ptrdiff_t) override {
    return asyncio::MutableBytes(buffer);
  }
  void buffer_updated(std::size_t size) override {
    transport_->write(asyncio::BytesView(buffer.data(), size));
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_buffered PORT\n", stderr);
    return 2;
  }
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(
      loop.create_server<Echo>("127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
