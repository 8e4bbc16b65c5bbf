// SPDX-License-Identifier: BSL-1.0
// For tests of tasks: a loop on virtual time, what an await ended with and after how many passes,
// and a way to cancel a body wherever it may be suspended.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/wait.hpp>

namespace on_virtual_time {

using namespace asyncio;
using Lines = std::vector<std::string>;

/// Keeps what is reported to it. A test that would wait for ever fails.
class Loop : public EventLoop, private LoopObserver {
 public:
  Loop() : EventLoop(LoopOptions{.clock = Clock::virtual_time}) {
    set_observer(this);
    set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
  }
  ~Loop() { close(); }

  /// Runs body() to its end.
  template <class Body>
  auto run(Body body) {
    return run_until_complete(body());
  }
  /// Lets so many passes go by.
  void pass(unsigned count = 4) {
    while (count-- != 0) {
      stop();
      run_forever();
    }
  }
  /// Calls the action at the beginning of that pass, before anything of it runs.
  void at_pass(std::uint64_t number, std::function<void()> action) {
    number_ = number;
    action_ = std::move(action);
  }
  /// No timer is set and nothing is queued. Timers that were cancelled leave in the next pass.
  bool idle() {
    pass(1);
    return scheduler().wait_time() == Duration::max();
  }

  Lines reports;
  bool waits_for_threads = false;  ///< they may take their time: waiting for ever is no failure

 private:
  void pass_begins() override {
    if (action_ && passes() == number_) action_();
  }
  void waits_for_ever() override {
    if (!waits_for_threads) throw std::logic_error("the loop would wait for ever");
  }

  std::uint64_t number_ = 0;
  std::function<void()> action_;
};

/// How an await ended.
class Ending {
 public:
  Ending() = default;
  Ending(std::uint64_t passes, std::exception_ptr error)
      : passes(passes), error(std::move(error)) {}
  /// Python's repr of the exception, "None" if there is none.
  std::string what() const { return repr(error); }

  std::uint64_t passes = 0;
  std::exception_ptr error;
};

template <class A>
Coroutine<Ending> ending(A awaitable) {
  const std::uint64_t before = get_running_loop().passes();
  std::exception_ptr error;
  try {
    co_await std::move(awaitable);
  } catch (...) {
    error = std::current_exception();
  }
  co_return Ending(get_running_loop().passes() - before, std::move(error));
}

/// What an ordinary call throws, as repr.
template <class F>
std::string thrown_by(F function) {
  try {
    function();
  } catch (...) {
    return repr(std::current_exception());
  }
  return "None";
}

inline Coroutine<int> returns(int value) { co_return value; }
inline Coroutine<> nothing() { co_return; }
inline Coroutine<int> fails(std::string text) {
  throw ValueError(text);
  co_return 0;
}
inline Coroutine<int> sleeps(double seconds, int value) {
  co_await asyncio::sleep(seconds);
  co_return value;
}
inline Coroutine<int> fails_after(double seconds, std::string text) {
  co_await asyncio::sleep(seconds);
  throw ValueError(text);
}
inline Coroutine<> waits(Future<> future) { co_await future; }
/// Takes so long to end once it is cancelled.
inline Coroutine<> lingers(double seconds) {
  bool cancelled = false;
  try {
    co_await asyncio::sleep(1000);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  co_await asyncio::sleep(seconds);
  if (cancelled) throw CancelledError();
}

/// Counts its instances: to be kept in frames and results that must not be left behind.
class Counted {
 public:
  explicit Counted(int value = 0) : value(value) { ++alive; }
  Counted(const Counted& other) : value(other.value) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }

  static inline int alive = 0;
  int value;
};

inline Coroutine<Counted> counted(double seconds) {
  const Counted local(static_cast<int>(seconds));
  co_await asyncio::sleep(seconds);
  co_return local;
}

/// Runs body(loop) in a task again and again, each time in a new loop, cancels the task before its
/// 1st, 2nd, ... pass until it ends before that, calls after(loop) for what must be true then, and
/// checks that nothing is left behind: no task, no timer, no object, no report. Then the same, with
/// the loop destroyed instead. Returns how many passes the body takes when it is let alone.
template <class Body, class After>
std::uint64_t cancel_everywhere(Body body, After after) {
  BOOST_TEST_REQUIRE(Counted::alive == 0);
  std::uint64_t pass = 0;
  for (bool reached = true; reached;) {
    ++pass;
    reached = false;
    BOOST_TEST_CONTEXT("cancelled before pass " << pass) {
      {
        Loop loop;
        const auto task = loop.create_task(body(loop));
        loop.at_pass(pass, [&] { reached = task.cancel(); });
        try {
          loop.run_until_complete(task);
        } catch (const CancelledError&) {
        }
        loop.pass(20);
        after(loop);
        BOOST_TEST(all_tasks(loop).empty());
        BOOST_TEST(loop.idle());
        BOOST_TEST(loop.reports == Lines());
      }
      BOOST_TEST(Counted::alive == 0);
    }
  }
  for (std::uint64_t last = 1; last != pass; ++last) {
    BOOST_TEST_CONTEXT("destroyed after pass " << last) {
      {
        Loop loop;
        const auto task = loop.create_task(body(loop));
        loop.at_pass(last, [&] { loop.stop(); });
        loop.run_forever();
      }
      BOOST_TEST(Counted::alive == 0);
    }
  }
  return pass - 1;
}
template <class Body>
std::uint64_t cancel_everywhere(Body body) {
  return cancel_everywhere(body, [](Loop&) {});
}

}  // namespace on_virtual_time
