// SPDX-License-Identifier: BSL-1.0
// What serve_on_threads brings: bench_threads THREADS [SECONDS] prints
// "RESULT threads REQUESTS RATE requests/s". Each thread serves, and is a client as well: no other
// process takes part, so that all processors that it uses are measured.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include "echo_protocol.hpp"

namespace {

constexpr int clients_per_thread = 256;  // so many that the kernel shares them out evenly

/// What one thread's clients have had answered; in a cache line of its own.
struct alignas(64) Count {
  std::atomic<std::uint64_t> requests = 0;
};

/// One request after the other, for ever.
class Client : public asyncio::Protocol {
 public:
  Client(Count& count, std::latch& connected) : count_(count), connected_(connected) {}
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    connected_.count_down();
    transport_->write(request_);
  }
  void data_received(asyncio::BytesView data) override {
    left_ -= data.size();
    if (left_ != 0) return;
    left_ = request_.size();
    // Nobody else writes it.
    count_.requests.store(count_.requests.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
    transport_->write(request_);
  }
  void connection_lost(std::exception_ptr) override { transport_ = nullptr; }

 private:
  const asyncio::Bytes request_ = asyncio::Bytes(1024, 'x');
  std::size_t left_ = request_.size();
  Count& count_;
  std::latch& connected_;
  std::shared_ptr<asyncio::Transport> transport_;
};

asyncio::Coroutine<asyncio::Server> serve(asyncio::EventLoop& loop, int port, Count& count,
                                          std::latch& connected) {
  asyncio::Server server = co_await loop.create_server<Echo>(
      "127.0.0.1", port, {.backlog = 4096, .reuse_port = true});
  const auto client = asyncio::make<Client>(std::ref(count), std::ref(connected));
  for (int i = 0; i < clients_per_thread; ++i) {
    const auto made = co_await loop.create_connection(client, "127.0.0.1", port);
  }
  co_return server;
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned threads = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 1;
  if (threads == 0 || seconds <= 0) {
    std::fputs("usage: bench_threads THREADS [SECONDS]\n", stderr);
    return 2;
  }
  asyncio::Socket reserved(AF_INET, SOCK_STREAM);
  reserved.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
  reserved.bind(asyncio::Address("127.0.0.1", 0));
  const int port = reserved.getsockname().port();

  std::vector<Count> counts(threads);
  std::latch connected(static_cast<std::ptrdiff_t>(threads) * clients_per_thread);
  std::atomic<unsigned> next = 0;
  const asyncio::ServerThreads servers = asyncio::serve_on_threads(
      threads,
      [&](asyncio::EventLoop& loop) { return serve(loop, port, counts[next++], connected); },
      {.drain_timeout = 0.0});
  connected.wait();

  const auto answered = [&] {
    std::uint64_t sum = 0;
    for (const Count& count : counts) sum += count.requests.load(std::memory_order_relaxed);
    return sum;
  };
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t before = answered();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const std::uint64_t requests = answered() - before;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::printf("RESULT threads %llu %.0f requests/s\n", static_cast<unsigned long long>(requests),
              static_cast<double>(requests) / taken.count());
}
