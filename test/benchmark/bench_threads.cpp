// SPDX-License-Identifier: BSL-1.0
// What serve_on_threads brings: bench_threads THREADS [SECONDS] prints
// "RESULT threads REQUESTS RATE requests/s", the rate being what all threads answered while they
// served. The load runs in between: see turns.hpp.
#include <asyncio/asyncio.hpp>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include <sys/socket.h>

#include "turns.hpp"

namespace {

class Echo : public asyncio::Protocol {
 public:
  Echo(turns::Serving& serving, char index) : serving_(serving), index_(index) {}
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    transport_->write({&index_, 1});
  }
  void data_received(asyncio::BytesView data) override {
    transport_->write(data);
    received_ += data.size();
    if (received_ % turns::request_size == 0) serving_.answered();
  }

 private:
  turns::Serving& serving_;
  const char index_;
  std::size_t received_ = 0;
  std::shared_ptr<asyncio::Transport> transport_;
};

}  // namespace

int main(int argc, char** argv) {
  const turns::Options options(argc, argv);
  asyncio::Socket reserved(AF_INET, SOCK_STREAM);
  reserved.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
  reserved.bind(asyncio::Address("127.0.0.1", 0));
  const int port = reserved.getsockname().port();

  turns::Turns turns(options);
  std::atomic<unsigned> next = 0;
  const asyncio::ServerThreads servers = asyncio::serve_on_threads(
      options.threads,
      [&](asyncio::EventLoop& loop) {
        const unsigned index = next++;
        turns::pin(index);
        return loop.create_server(
            asyncio::make<Echo>(std::ref(turns.serving(index)), static_cast<char>(index)),
            "127.0.0.1", port, {.backlog = 4096, .reuse_port = true});
      },
      {.drain_timeout = 0.0});
  turns.play(port);
  turns.print_result();
}
