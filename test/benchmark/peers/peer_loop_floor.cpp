// SPDX-License-Identifier: BSL-1.0
// What is left of bench_loop's workloads when nothing is asked of a loop but the work itself: a FIFO
// of callbacks, a binary heap of timers, bare coroutine handles. Nothing is cancelled while it runs
// and nothing throws, except where that is what is measured; nobody asks what was the result.
#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "../workloads.hpp"

namespace {

/// Frames come from a free list for each size.
struct Frame {
  static void* operator new(std::size_t size) {
    void*& first = free_list(size);
    if (!first) return ::operator new(blocks(size) * 16);
    return std::exchange(first, *static_cast<void**>(first));
  }
  static void operator delete(void* memory, std::size_t size) noexcept {
    *static_cast<void**>(memory) = std::exchange(free_list(size), memory);
  }

 private:
  static std::size_t blocks(std::size_t size) noexcept { return (size + 15) / 16; }
  static void*& free_list(std::size_t size) noexcept {
    static constinit void* lists[64];
    if (blocks(size) >= std::size(lists)) std::abort();
    return lists[blocks(size)];
  }
};

/// First in, first out.
class Loop {
 public:
  void soon(void (*function)(void*), void* argument) {
    if (end_ - begin_ == ring_.size()) grow();
    ring_[end_++ & (ring_.size() - 1)] = {function, argument};
  }
  void soon(std::coroutine_handle<> coroutine) {
    soon([](void* address) { std::coroutine_handle<>::from_address(address).resume(); },
         coroutine.address());
  }

  void run() {
    while (begin_ != end_) run_one();
  }
  void run_one() {
    const Callback callback = ring_[begin_++ & (ring_.size() - 1)];
    callback.function(callback.argument);
  }

 private:
  struct Callback {
    void (*function)(void*);
    void* argument;
  };

  void grow() {
    std::vector<Callback> larger(2 * ring_.size());
    for (std::size_t i = begin_; i != end_; ++i)
      larger[i & (larger.size() - 1)] = ring_[i & (ring_.size() - 1)];
    ring_.swap(larger);
  }

  std::vector<Callback> ring_ = std::vector<Callback>(64);  // always a power of two
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Starts from the FIFO and runs on its own.
class Job {
 public:
  struct promise_type : Frame {
    template <class... Arguments>
    explicit promise_type(Loop& loop, Arguments&...) {
      loop.soon(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    Job get_return_object() noexcept { return {}; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

/// Goes to the end of the FIFO.
class Turn {
 public:
  explicit Turn(Loop& loop) noexcept : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) const { loop_.soon(caller); }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
};

/// Waits for somebody who calls take().
class Slot {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { caller_ = caller; }
  void await_resume() const noexcept {}
  std::coroutine_handle<> take() noexcept { return std::exchange(caller_, nullptr); }

 private:
  std::coroutine_handle<> caller_;
};

// ---- callbacks

struct Chain {
  Loop& loop;
  std::uint64_t left;

  static void step(void* argument) {
    auto& chain = *static_cast<Chain*>(argument);
    if (--chain.left > 0) chain.loop.soon(step, argument);
  }
};

Measured soon_chain(std::uint64_t n) {
  Loop loop;
  Chain chain{loop, n};
  loop.soon(Chain::step, &chain);
  return timed(now, n, [&] { loop.run(); });
}

/// Asks the kernel before every callback.
Measured soon_chain_io(std::uint64_t n) {
  int sockets[2];
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) std::abort();
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[0], &event) != 0) std::abort();

  Loop loop;
  Chain chain{loop, n};
  loop.soon(Chain::step, &chain);
  return timed(now, n, [&] {
    while (chain.left > 0) {
      if (::epoll_wait(epoll, &event, 1, 0) != 0) std::abort();
      loop.run_one();
    }
  });
}

Measured soon_batch(std::uint64_t n) {
  Loop loop;
  return timed(now, n, [&] {
    std::uint64_t ran = 0;
    for (std::uint64_t i = 0; i < n; ++i)
      loop.soon([](void* count) { ++*static_cast<std::uint64_t*>(count); }, &ran);
    loop.run();
    if (ran != n) std::abort();
  });
}

// ---- tasks

struct Group {
  std::uint64_t left;
  Slot waiter;
  std::vector<int> results;
};

Job at_once(Loop& loop, Group& group, int value) {
  group.results[value] = value;
  if (--group.left == 0) loop.soon(group.waiter.take());
  co_return;
}

Job gather_thousands(Loop& loop, std::uint64_t thousands) {
  for (std::uint64_t i = 0; i < thousands; ++i) {
    Group group{1000, {}, std::vector<int>(1000)};
    for (int k = 0; k < 1000; ++k) at_once(loop, group, k);
    co_await group.waiter;
    if (group.results.back() != 999) std::abort();
  }
}

Measured spawn_gather(std::uint64_t n) {
  Loop loop;
  const std::uint64_t thousands = std::max<std::uint64_t>(n / 1000, 1);
  gather_thousands(loop, thousands);
  return timed(now, thousands * 1000, [&] { loop.run(); });
}

Job yield_often(Loop& loop, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) co_await Turn(loop);
}

Measured yield(std::uint64_t n) {
  constexpr std::uint64_t tasks = 100;
  Loop loop;
  const std::uint64_t times = std::max<std::uint64_t>(n / tasks, 1);
  return timed(now, tasks * times, [&] {
    for (std::uint64_t i = 0; i < tasks; ++i) yield_often(loop, times);
    loop.run();
  });
}

/// Room for one, one reader, one writer.
struct Channel {
  std::optional<int> ball;
  Slot reader;
};

Job play(Loop& loop, Channel& from, Channel& to, std::uint64_t times, bool serves) {
  for (std::uint64_t i = 0; i < times; ++i) {
    if (serves) {
      to.ball = 1;
      if (const auto reader = to.reader.take()) loop.soon(reader);
    }
    if (!from.ball) co_await from.reader;
    const int ball = *std::exchange(from.ball, std::nullopt);
    if (!serves) {
      to.ball = ball;
      if (const auto reader = to.reader.take()) loop.soon(reader);
    }
  }
}

Measured pingpong(std::uint64_t n) {
  Loop loop;
  Channel there;
  Channel back;
  return timed(now, n, [&] {
    play(loop, there, back, n, false);
    play(loop, back, there, n, true);
    loop.run();
    if (there.ball || back.ball) std::abort();
  });
}

/// The end of a nested call: its caller goes on.
struct Return {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> callee) const noexcept {
    return callee.promise().caller;
  }
  void await_resume() const noexcept {}
};

/// A nested call; control goes straight to it and straight back.
class Call {
 public:
  struct promise_type : Frame {
    promise_type() noexcept {}
    Call get_return_object() noexcept { return Call(*this); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Return final_suspend() const noexcept { return {}; }
    void return_value(int result) noexcept { value = result; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    std::coroutine_handle<> caller;
    int value = 0;
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Call(promise_type& promise) noexcept : handle_(Handle::from_promise(promise)) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { handle_.destroy(); }
  bool await_ready() const noexcept { return false; }
  Handle await_suspend(std::coroutine_handle<> caller) const noexcept {
    handle_.promise().caller = caller;
    return handle_;
  }
  int await_resume() const noexcept { return handle_.promise().value; }

 private:
  Handle handle_;
};

Call nested(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await nested(depth - 1);
  co_return below + 1;
}

Job nest(Loop&, std::uint64_t times, int depth) {
  for (std::uint64_t i = 0; i < times; ++i) {
    const int reached = co_await nested(depth);
    if (reached != depth) std::abort();
  }
}

Measured await_depth(std::uint64_t n) {
  constexpr int depth = 100;
  Loop loop;
  const std::uint64_t times = std::max<std::uint64_t>(n / depth, 1);
  nest(loop, times, depth);
  return timed(now, times * depth, [&] { loop.run(); });
}

// ---- cancelling

class Cancelled {};

/// Waits for somebody who cancels it.
class Cancellable : public Slot {
 public:
  void await_resume() const { throw Cancelled(); }
};

/// A nested call that is left by an exception, which its caller throws on.
class Failing {
 public:
  struct promise_type : Frame {
    promise_type() noexcept {}
    Failing get_return_object() noexcept { return Failing(*this); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Return final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }

    std::coroutine_handle<> caller;
    std::exception_ptr error;
  };
  using Handle = std::coroutine_handle<promise_type>;

  /// Awaits its end, whatever that is.
  class End {
   public:
    explicit End(Handle callee) noexcept : callee_(callee) {}
    bool await_ready() const noexcept { return false; }
    Handle await_suspend(std::coroutine_handle<> caller) const noexcept {
      callee_.promise().caller = caller;
      return callee_;
    }
    void await_resume() const noexcept {}

   protected:
    Handle callee_;
  };
  class Call : public End {
   public:
    using End::End;
    [[gnu::always_inline]] void await_resume() const {
      std::rethrow_exception(std::move(callee_.promise().error));
    }
  };

  explicit Failing(promise_type& promise) noexcept : handle_(Handle::from_promise(promise)) {}
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;
  ~Failing() { handle_.destroy(); }
  End end() const noexcept { return End(handle_); }
  Call operator co_await() const noexcept { return Call(handle_); }

 private:
  Handle handle_;
};

Failing wait_below(Cancellable& slot, int depth) {
  if (depth == 1)
    co_await slot;
  else
    co_await wait_below(slot, depth - 1);
}

Job expect_cancelled(Loop&, Cancellable& slot, int depth, std::uint64_t& cancelled) {
  const Failing call = wait_below(slot, depth);
  co_await call.end();
  ++cancelled;
}

Measured cancel_at_depth(std::uint64_t n, int depth) {
  Loop loop;
  const std::uint64_t groups = std::max<std::uint64_t>(n / 1000, 1);
  std::uint64_t cancelled = 0;
  double seconds = 0;
  for (std::uint64_t i = 0; i < groups; ++i) {
    std::vector<Cancellable> slots(1000);
    for (Cancellable& slot : slots) expect_cancelled(loop, slot, depth, cancelled);
    loop.run();  // now all of them wait

    const double begin = now();
    for (Cancellable& slot : slots) loop.soon(slot.take());
    loop.run();
    seconds += now() - begin;
  }
  if (cancelled != groups * 1000) std::abort();
  return {cancelled, seconds * 1e9 / static_cast<double>(cancelled)};
}

Measured cancel(std::uint64_t n) { return cancel_at_depth(n, 1); }
Measured cancel_depth10(std::uint64_t n) { return cancel_at_depth(n, 10); }

// ---- timers

struct Timer {
  double when;
  bool cancelled = false;
};

/// The latest first, which is how the standard's heaps want it for the earliest on top.
constexpr auto later = [](const Timer* a, const Timer* b) { return a->when > b->when; };

Measured timer_cancel(std::uint64_t n) {
  std::deque<Timer> timers;
  std::vector<Timer*> heap;
  return timed(now, n, [&] {
    Random random;
    for (std::uint64_t i = 0; i < n; ++i) {
      heap.push_back(&timers.emplace_back(now() + random()));
      std::ranges::push_heap(heap, later);
    }
    for (Timer& timer : timers) timer.cancelled = true;
    std::erase_if(heap, [](const Timer* timer) { return timer->cancelled; });
    if (!heap.empty()) std::abort();
  });
}

Measured timer_fire(std::uint64_t n) {
  std::vector<Timer> timers(n);
  std::vector<Timer*> heap;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) std::abort();
  return timed(cpu_time, n, [&] {
    Random random;
    for (Timer& timer : timers) {
      timer.when = now() + random();
      heap.push_back(&timer);
      std::ranges::push_heap(heap, later);
    }
    while (!heap.empty()) {
      const double wait = heap.front()->when - now();
      epoll_event event;
      if (wait > 0 && ::epoll_wait(epoll, &event, 1, static_cast<int>(wait * 1e3) + 1) != 0)
        std::abort();
      for (const double end = now(); !heap.empty() && heap.front()->when <= end; heap.pop_back())
        std::ranges::pop_heap(heap, later);
    }
  });
}

// ---- memory

Job wait_for_event(Loop&, std::vector<Slot*>& event) {
  Slot slot;
  event.push_back(&slot);
  co_await slot;
}

Measured idle_mem(std::uint64_t n) {
  Loop loop;
  std::vector<Slot*> event;
  const double before = resident();
  for (std::uint64_t i = 0; i < n; ++i) wait_for_event(loop, event);
  loop.run();
  const double bytes = (resident() - before) / static_cast<double>(n);
  for (Slot* const slot : event) loop.soon(slot->take());
  loop.run();
  return {n, bytes, "B"};
}

constexpr Workload workloads[] = {
    {"soon_chain", 10'000'000, soon_chain},
    {"soon_chain_io", 1'000'000, soon_chain_io},
    {"soon_batch", 1'000'000, soon_batch},
    {"spawn_gather", 1'000'000, spawn_gather},
    {"pingpong", 1'000'000, pingpong},
    {"yield", 10'000'000, yield},
    {"timer_cancel", 1'000'000, timer_cancel},
    {"timer_fire", 200'000, timer_fire},
    {"await_depth", 10'000'000, await_depth},
    {"idle_mem", 1'000'000, idle_mem},
    {"cancel", 200'000, cancel},
    {"cancel_depth10", 50'000, cancel_depth10},
};

}  // namespace

int main(int argc, char** argv) { return run_workload(argc, argv, workloads); }
