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
#include <asyncio/testing.hpp>
#include <asyncio/wait.hpp>

#include "thrown_by.hpp"

namespace on_virtual_time {

using namespace asyncio;
using unit_tests::thrown_by;
using Lines = std::vector<std::string>;

/// A test that would wait for ever fails.
class Loop : public testing::TestLoop {
 public:
  /// Runs body() to its end.
  template <class Body>
  auto run(Body body) {
    return run_until_complete(body());
  }
  /// Lets so many passes go by.
  void pass(unsigned count = 4) { run_passes(count); }
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

/// testing::cancel_at_every_suspension, where no Counted may be left. Returns at how many points
/// the body was cancelled.
template <class Body>
std::uint64_t cancel_everywhere(Body body, std::function<void(Loop&)> after = {}) {
  BOOST_TEST_REQUIRE(Counted::alive == 0);
  const auto report = testing::cancel_at_every_suspension<Loop>(body, after, [] {
    if (Counted::alive != 0)
      throw std::logic_error(std::to_string(Counted::alive) + " objects are left");
  });
  BOOST_TEST(to_string(report) == "");
  return report.points;
}

}  // namespace on_virtual_time
