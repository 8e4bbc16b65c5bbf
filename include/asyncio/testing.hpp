// SPDX-License-Identifier: BSL-1.0
// For tests of your own asyncio code: a loop whose time does not pass, which knows when it is
// stuck, and a way to cancel a coroutine wherever it may be suspended. Independent of any test
// framework.
//
//   asyncio::testing::TestLoop loop;
//   loop.run_until_complete(asyncio::sleep(3600));  // at once
//
// One thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/event_loop.hpp>

namespace asyncio::inline v1::testing {

/// Thrown out of run_forever() and run_until_complete() of a TestLoop when nothing can happen any
/// more: nothing is queued, no timer is set, no thread works for the loop. Its text names every
/// task that waits, and the line of the source where it does.
class DeadlockError : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
};

/// A loop on virtual time: when everything waits, the clock jumps to the next timer. Work given to
/// an executor takes no time: the clock stands while a thread works for the loop. It is closed by
/// its destructor.
class TestLoop : public EventLoop, private LoopObserver {
 public:
  TestLoop();
  /// With other options; the clock is virtual all the same.
  explicit TestLoop(LoopOptions options);
  ~TestLoop();

  /// Makes so many passes, whatever there is to do.
  void run_passes(unsigned count = 1);
  /// Runs for that much virtual time.
  void run_for(Duration time);
  /// Calls the action once, at the beginning of that pass (counted as passes() does), before
  /// anything of it runs. One action at a time.
  void before_pass(std::uint64_t number, std::function<void()> action);

  /// What the exception handler was told: message and exception, "Exception in callback f():
  /// ValueError('x')".
  const std::vector<std::string>& reports() const noexcept { return reports_; }
  /// What is left when all should be over: the tasks that wait, timers that are set, and reports.
  std::vector<std::string> leftovers();

 private:
  void pass_begins() override;
  void waits_for_ever() override;

  std::vector<std::string> reports_;
  std::uint64_t number_ = 0;
  std::function<void()> action_;
};

/// What cancel_at_every_suspension found.
struct CancelReport {
  std::uint64_t points = 0;           ///< how often the body was cancelled
  std::vector<std::string> problems;  ///< each says where it was cancelled, and what was wrong then

  /// One line for each problem.
  friend std::string to_string(const CancelReport& report);
};

namespace detail {
/// A body and its loop, without their types.
struct Subject {
  std::function<std::unique_ptr<TestLoop>()> make_loop;
  std::function<AnyTask(TestLoop&)> make_task;
  std::function<void(TestLoop&)> check;
  std::function<void()> check_closed;
};
CancelReport cancel_at_every_suspension(const Subject& subject);
}  // namespace detail

/// Makes a loop and a task of `body(loop)` again and again. Cancels the task before its first step,
/// and then at every suspension, in each pass that finds it there; so also between a wake-up and
/// its turn. Goes on until the body ends before it could be cancelled. Each time the body must end,
/// by itself or with CancelledError. Then comes `check`, which may run the loop on, and throw to
/// say what is wrong. After it nothing may be left: no task, no timer, no report. Then the same
/// with the loop closed in place of the cancellation. `check_closed` is called after each loop is
/// gone.
///
///   const auto report = cancel_at_every_suspension(
///       [](TestLoop&) -> Coroutine<> { co_await transfer(); });
///   assert(report.problems.empty());
///
/// The loops may be of a class of your own that is derived from TestLoop.
template <std::derived_from<TestLoop> Loop = TestLoop, class Body>
CancelReport cancel_at_every_suspension(Body body,
                                        std::type_identity_t<std::function<void(Loop&)>> check = {},
                                        std::function<void()> check_closed = {}) {
  return detail::cancel_at_every_suspension(
      {.make_loop = [] { return std::make_unique<Loop>(); },
       .make_task =
           [&](TestLoop& loop) {
             return AnyTask(loop.create_task(body(static_cast<Loop&>(loop))));
           },
       .check =
           [&](TestLoop& loop) {
             if (check) check(static_cast<Loop&>(loop));
           },
       .check_closed = std::move(check_closed)});
}

}  // namespace asyncio::inline v1::testing
