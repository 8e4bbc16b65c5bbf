// SPDX-License-Identifier: BSL-1.0
// What the loop itself costs.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asyncio/asyncio.hpp>

#include "workloads.hpp"

namespace {

using asyncio::Coroutine;

void run_one_pass(asyncio::EventLoop& loop) {
  loop.stop();
  loop.run_forever();
}

// ---- callbacks

struct Chain {
  asyncio::EventLoop& loop;
  std::uint64_t left;

  void step() {
    if (--left == 0)
      loop.stop();
    else
      loop.call_soon([this] { step(); });
  }
};

Measured chain(asyncio::EventLoop& loop, std::uint64_t n) {
  Chain chain{loop, n};
  loop.call_soon([&] { chain.step(); });
  return timed(now, n, [&] { loop.run_forever(); });
}

Measured soon_chain(std::uint64_t n) {
  asyncio::EventLoop loop;
  return chain(loop, n);
}

class Silent : public asyncio::Protocol {};

Measured soon_chain_io(std::uint64_t n) {
  asyncio::EventLoop loop;
  auto [ours, theirs] = asyncio::Socket::pair();
  auto connection =
      loop.run_until_complete(loop.create_connection(asyncio::make<Silent>(), {.sock = &ours}));
  return chain(loop, n);
}

Measured soon_batch(std::uint64_t n) {
  asyncio::EventLoop loop;
  return timed(now, n, [&] {
    std::uint64_t ran = 0;
    for (std::uint64_t i = 0; i < n; ++i) loop.call_soon([&ran] { ++ran; });
    loop.call_soon([&] { loop.stop(); });
    loop.run_forever();
    if (ran != n) std::abort();
  });
}

// ---- tasks

Coroutine<int> at_once(int value) { co_return value; }

Coroutine<> gather_thousands(std::uint64_t thousands) {
  for (std::uint64_t i = 0; i < thousands; ++i) {
    std::vector<Coroutine<int>> group;
    group.reserve(1000);
    for (int k = 0; k < 1000; ++k) group.push_back(at_once(k));
    const std::vector<int> results = co_await asyncio::gather(std::move(group));
    if (results.back() != 999) std::abort();
  }
}

Measured spawn_gather(std::uint64_t n) {
  asyncio::EventLoop loop;
  const std::uint64_t thousands = std::max<std::uint64_t>(n / 1000, 1);
  return timed(now, thousands * 1000,
               [&] { loop.run_until_complete(gather_thousands(thousands)); });
}

Coroutine<> yield_often(std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) co_await asyncio::sleep(0);
}

Coroutine<> yield_side_by_side(std::uint64_t tasks, std::uint64_t times) {
  std::vector<Coroutine<>> group;
  for (std::uint64_t i = 0; i < tasks; ++i) group.push_back(yield_often(times));
  co_await asyncio::gather(std::move(group));
}

Measured yield(std::uint64_t n) {
  constexpr std::uint64_t tasks = 100;
  asyncio::EventLoop loop;
  const std::uint64_t times = std::max<std::uint64_t>(n / tasks, 1);
  return timed(now, tasks * times,
               [&] { loop.run_until_complete(yield_side_by_side(tasks, times)); });
}

Coroutine<> send_back(asyncio::Queue<int> from, asyncio::Queue<int> to, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) {
    const int ball = co_await from.get();
    co_await to.put(ball);
  }
}

Coroutine<> play(std::uint64_t times) {
  const asyncio::Queue<int> there(1);
  const asyncio::Queue<int> back(1);
  const auto other = asyncio::create_task(send_back(there, back, times));
  for (std::uint64_t i = 0; i < times; ++i) {
    co_await there.put(1);
    (void)co_await back.get();
  }
  co_await other;
}

Measured pingpong(std::uint64_t n) {
  asyncio::EventLoop loop;
  return timed(now, n, [&] { loop.run_until_complete(play(n)); });
}

Coroutine<int> nested(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await nested(depth - 1);
  co_return below + 1;
}

Coroutine<> nest(std::uint64_t times, int depth) {
  for (std::uint64_t i = 0; i < times; ++i) {
    const int reached = co_await nested(depth);
    if (reached != depth) std::abort();
  }
}

Measured await_depth(std::uint64_t n) {
  constexpr int depth = 100;
  asyncio::EventLoop loop;
  const std::uint64_t times = std::max<std::uint64_t>(n / depth, 1);
  return timed(now, times * depth, [&] { loop.run_until_complete(nest(times, depth)); });
}

// ---- cancelling

Coroutine<> wait_below(asyncio::Future<> future, int depth) {
  if (depth == 1)
    co_await future;
  else
    co_await wait_below(std::move(future), depth - 1);
}

/// Tasks that wait, each on a future of its own, are cancelled and finish; in groups of 1000.
Measured cancel_at_depth(std::uint64_t n, int depth) {
  asyncio::EventLoop loop;
  const std::uint64_t groups = std::max<std::uint64_t>(n / 1000, 1);
  double seconds = 0;
  for (std::uint64_t i = 0; i < groups; ++i) {
    std::vector<asyncio::Task<>> tasks;
    for (int k = 0; k < 1000; ++k)
      tasks.push_back(loop.create_task(wait_below(loop.create_future(), depth)));
    run_one_pass(loop);  // now all of them wait

    const double begin = now();
    for (const asyncio::Task<>& task : tasks) task.cancel();
    while (!tasks.back().done()) run_one_pass(loop);
    seconds += now() - begin;
    if (!tasks.front().cancelled()) std::abort();
  }
  return {groups * 1000, seconds * 1e9 / static_cast<double>(groups * 1000)};
}

Measured cancel(std::uint64_t n) { return cancel_at_depth(n, 1); }
Measured cancel_depth10(std::uint64_t n) { return cancel_at_depth(n, 10); }

// ---- timers

Measured timer_cancel(std::uint64_t n) {
  asyncio::EventLoop loop;
  std::vector<asyncio::TimerHandle> timers;
  timers.reserve(n);
  return timed(now, n, [&] {
    Random random;
    for (std::uint64_t i = 0; i < n; ++i) timers.push_back(loop.call_later(random(), [] {}));
    for (asyncio::TimerHandle& timer : timers) timer.cancel();
    run_one_pass(loop);
  });
}

Measured timer_fire(std::uint64_t n) {
  asyncio::EventLoop loop;
  return timed(cpu_time, n, [&] {
    Random random;
    std::uint64_t left = n;
    for (std::uint64_t i = 0; i < n; ++i)
      loop.call_later(random(), [&] {
        if (--left == 0) loop.stop();
      });
    loop.run_forever();
  });
}

// ---- memory

Coroutine<> wait_for_event(asyncio::Event event, std::uint64_t& waiting) {
  ++waiting;
  co_await event.wait();
  --waiting;
}

Measured idle_mem(std::uint64_t n) {
  asyncio::EventLoop loop;
  const asyncio::Event event;
  std::uint64_t waiting = 0;
  const double before = resident();
  for (std::uint64_t i = 0; i < n; ++i) loop.create_task(wait_for_event(event, waiting));
  run_one_pass(loop);
  if (waiting != n) std::abort();
  const double bytes = (resident() - before) / static_cast<double>(n);
  event.set();
  while (waiting > 0) run_one_pass(loop);
  return {n, bytes, "B"};
}

void allow_descriptors(std::uint64_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(count + 100, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// A child process, whose memory is not counted: it connects so many sockets to the port that it is
/// told, and holds them until this is gone.
class Clients {
 public:
  explicit Clients(std::uint64_t count) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    child_ = ::fork();
    if (child_ < 0) std::abort();
    if (child_ == 0) {
      ::close(ends[1]);
      connect_all(ends[0], count);
      ::_exit(EXIT_SUCCESS);
    }
    ::close(ends[0]);
    pipe_ = ends[1];
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() {
    ::close(pipe_);
    ::waitpid(child_, nullptr, 0);
  }
  void begin(int port) const {
    if (::write(pipe_, &port, sizeof port) != sizeof port) std::abort();
  }

 private:
  static void connect_all(int pipe, std::uint64_t count) {
    int port = 0;
    if (::read(pipe, &port, sizeof port) != sizeof port) return;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (count-- > 0) {
      const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    }
    char end;
    if (::read(pipe, &end, 1) != 0) std::abort();
  }

  pid_t child_;
  int pipe_;
};

/// What a protocol usually holds.
class Idle : public asyncio::Protocol {
 public:
  explicit Idle(std::uint64_t& made) : made_(made) {}
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    ++made_;
  }

 private:
  std::uint64_t& made_;
  std::shared_ptr<asyncio::Transport> transport_;
};

/// `listen(loop, made)` gives the coroutine of a server that counts its connections in `made`.
template <class Listen>
Measured idle_connections(std::uint64_t n, Listen listen) {
  allow_descriptors(n);
  const Clients clients(n);
  asyncio::EventLoop loop;
  std::uint64_t made = 0;
  const asyncio::Server server = loop.run_until_complete(listen(loop, made));
  const double before = resident();
  clients.begin(server.sockets().front().getsockname().port());
  const double patience = now() + 60;
  while (made != n) {
    if (now() > patience) std::abort();
    run_one_pass(loop);
  }
  for (int i = 0; i < 10; ++i) run_one_pass(loop);  // all wait for data now
  loop.set_exception_handler([](auto&&...) {});  // that handlers are pending at the end is no news
  return {n, (resident() - before) / static_cast<double>(n), "B"};
}

Measured idle_conn(std::uint64_t n) {
  return idle_connections(n, [](asyncio::EventLoop& loop, std::uint64_t& made) {
    return loop.create_server(asyncio::make<Idle>(std::ref(made)), "127.0.0.1", 0,
                              {.backlog = 4096});
  });
}

Measured idle_conn_streams(std::uint64_t n) {
  return idle_connections(n, [](asyncio::EventLoop&, std::uint64_t& made) {
    const auto handle = [&made](asyncio::StreamReader reader,
                                asyncio::StreamWriter writer) -> asyncio::Coroutine<> {
      ++made;
      const asyncio::Bytes line = co_await reader.readline();
      writer.write(line);
    };
    return asyncio::start_server(handle, "127.0.0.1", 0, {.backlog = 4096});
  });
}

constexpr Workload workloads[] = {
    {"soon_chain", 10'000'000, soon_chain},
    {"soon_chain_io", 10'000'000, soon_chain_io},
    {"soon_batch", 1'000'000, soon_batch},
    {"spawn_gather", 1'000'000, spawn_gather},
    {"pingpong", 1'000'000, pingpong},
    {"yield", 10'000'000, yield},
    {"timer_cancel", 1'000'000, timer_cancel},
    {"timer_fire", 200'000, timer_fire},
    {"await_depth", 10'000'000, await_depth},
    {"idle_mem", 1'000'000, idle_mem},
    {"idle_conn", 10'000, idle_conn},
    {"idle_conn_streams", 10'000, idle_conn_streams},
    {"cancel", 200'000, cancel},
    {"cancel_depth10", 50'000, cancel_depth10},
};

}  // namespace

int main(int argc, char** argv) { return run_workload(argc, argv, workloads); }
