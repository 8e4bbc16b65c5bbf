// SPDX-License-Identifier: BSL-1.0
// What the library allocates when it has run for a while: WORKLOAD [N] first runs the workload until
// pools and buffers are as large as they get; the value is how many more allocations 2 N operations
// make than N. Everything that comes from malloc is counted, whoever asked for it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

#include "echo_buffered.hpp"
#include "echo_protocol.hpp"
#include "echo_streams.hpp"
#include "workloads.hpp"

namespace {

std::uint64_t allocations = 0;

}  // namespace

// glibc lets a program bring functions of its own in the place of these, and has its own under
// other names besides.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  ++allocations;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
}

namespace {

using asyncio::Coroutine;

/// `work(n)` does n operations.
template <class Work>
Measured growth(std::uint64_t n, Work work) {
  const auto counted = [&](std::uint64_t operations) {
    const std::uint64_t before = allocations;
    work(operations);
    return static_cast<double>(allocations - before);
  };
  counted(2 * n);
  const double once = counted(n);
  const double twice = counted(2 * n);
  return {n, twice - once, "allocations"};
}

// ---- echo

/// The other end of an echo server's connection: requests of 1 KiB, one after the other.
class Client : public asyncio::Protocol {
 public:
  explicit Client(asyncio::EventLoop& loop) : loop_(loop) {}
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override {
    missing_ -= data.size();
    if (missing_ > 0) return;
    if (--left_ == 0)
      loop_.stop();
    else
      send();
  }
  void run(std::uint64_t requests) {
    left_ = requests;
    send();
    loop_.run_forever();
  }

 private:
  void send() {
    missing_ = request_.size();
    transport_->write(request_);
  }

  asyncio::EventLoop& loop_;
  const std::string request_ = std::string(1024, 'x');
  std::shared_ptr<asyncio::Transport> transport_;
  std::size_t missing_ = 0;
  std::uint64_t left_ = 0;
};

/// `serve(loop, socket)` answers what comes from the socket.
template <class Serve>
Measured echo(std::uint64_t n, Serve serve) {
  asyncio::EventLoop loop;
  auto [theirs, ours] = asyncio::Socket::pair();
  serve(loop, theirs);
  const auto [transport, client] =
      loop.run_until_complete(loop.create_connection([&] { return std::make_shared<Client>(loop); },
                                                     {.sock = &ours}));
  return growth(n, [&](std::uint64_t requests) { client->run(requests); });
}

template <class P>
Measured echo_by(std::uint64_t n) {
  return echo(n, [](asyncio::EventLoop& loop, asyncio::Socket& socket) {
    loop.run_until_complete(loop.create_connection(asyncio::make<P>(), {.sock = &socket}));
  });
}

Measured echo_by_streams(std::uint64_t n) {
  return echo(n, [](asyncio::EventLoop& loop, asyncio::Socket& socket) {
    auto [reader, writer] =
        loop.run_until_complete(asyncio::open_connection({.sock = &socket}));
    loop.create_task(echo_streams(std::move(reader), std::move(writer)), {.daemon = true});
  });
}

// ---- in memory

/// `body(n)` makes a coroutine that does n operations.
template <Coroutine<> (*body)(std::uint64_t)>
Measured in_a_task(std::uint64_t n) {
  asyncio::EventLoop loop({.clock = asyncio::Clock::virtual_time});
  return growth(n, [&](std::uint64_t operations) { loop.run_until_complete(body(operations)); });
}

/// One callback, which queues the next.
Coroutine<> call_soon(std::uint64_t n) {
  const asyncio::Event finished;
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  struct Chain {
    void operator()() const {
      if (--*left > 0)
        loop->call_soon(*this);
      else
        finished->set();
    }
    asyncio::EventLoop* loop;
    std::uint64_t* left;
    const asyncio::Event* finished;
  };
  loop.call_soon(Chain{&loop, &n, &finished});
  co_await finished.wait();
}

Coroutine<> call_later_cancel(std::uint64_t n) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  for (std::uint64_t i = 0; i < n; ++i) {
    loop.call_later(1, [] {}).cancel();
    if (i % 100 == 0) co_await asyncio::sleep(0);
  }
}

Coroutine<std::uint64_t> same(std::uint64_t value) { co_return value; }

Coroutine<> run_tasks(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t result = co_await asyncio::create_task(same(i));
    if (result != i) std::abort();
  }
}

Coroutine<> call_coroutines(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t result = co_await same(i);
    if (result != i) std::abort();
  }
}

Coroutine<> yield_often(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) co_await asyncio::sleep(0);
}

Coroutine<> sleep_often(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) co_await asyncio::sleep(0.001);
}

Coroutine<> produce(asyncio::Queue<std::uint64_t> queue, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) co_await queue.put(i);
}

Coroutine<> consume(std::uint64_t n) {
  const asyncio::Queue<std::uint64_t> queue(1);
  const auto producer = asyncio::create_task(produce(queue, n));
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t item = co_await queue.get();
    if (item != i) std::abort();
  }
  co_await producer;
}

Coroutine<> wait_for(asyncio::Future<> future) { co_await future; }

/// A task that waits is cancelled, and is awaited.
Coroutine<> cancel_often(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const auto future = asyncio::get_running_loop().create_future();
    const auto task = asyncio::create_task(wait_for(future));
    co_await asyncio::sleep(0);
    task.cancel();
    try {
      co_await task;
      std::abort();
    } catch (const asyncio::CancelledError&) {
    }
  }
}

constexpr std::uint64_t usual = 10'000;
constexpr Workload workloads[] = {
    {"echo_protocol", usual, echo_by<Echo>},
    {"echo_buffered", usual, echo_by<BufferedEcho>},
    {"echo_streams", usual, echo_by_streams},
    {"call_soon", usual, in_a_task<call_soon>},
    {"call_later_cancel", usual, in_a_task<call_later_cancel>},
    {"task", usual, in_a_task<run_tasks>},
    {"await", usual, in_a_task<call_coroutines>},
    {"yield", usual, in_a_task<yield_often>},
    {"sleep", usual, in_a_task<sleep_often>},
    {"queue", usual, in_a_task<consume>},
    {"cancel", usual, in_a_task<cancel_often>},
};

}  // namespace

int main(int argc, char** argv) { return run_workload(argc, argv, workloads); }
