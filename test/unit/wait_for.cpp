// SPDX-License-Identifier: BSL-1.0
//
// wait_for() (surface CO5, rules 70, 71, B2).
#include <asyncio/wait.hpp>

#include <memory>
#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

Coroutine<std::string> name_of_the_task() { co_return current_task().get_name(); }

/// Ends with a value, or the error, when it is cancelled.
Coroutine<std::string> stubborn(std::string error = {}) {
  try {
    co_await asyncio::sleep(1000);
  } catch (const CancelledError&) {
  }
  if (!error.empty()) throw ValueError(error);
  co_return "value";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(wait_for_tests)

BOOST_AUTO_TEST_CASE(b2_a_coroutine_that_does_not_block_takes_no_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending limited = co_await ending(wait_for(returns(1), 5));
    const Ending unlimited = co_await ending(wait_for(returns(1), std::nullopt));
    BOOST_TEST(limited.passes == 0u);
    BOOST_TEST(unlimited.passes == 0u);
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_70_a_coroutine_runs_in_the_callers_own_task) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    current_task().set_name("caller");
    const std::string name = co_await wait_for(name_of_the_task(), 5);
    BOOST_TEST(name == "caller");
  });
}

BOOST_AUTO_TEST_CASE(b2_a_task_that_returns_at_once_takes_two_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(wait_for(create_task(returns(1)), 5));
    BOOST_TEST(end.passes == 2u);
    const auto task = create_task(returns(4));
    const int value = co_await wait_for(task, 5);
    BOOST_TEST(value == 4);
    BOOST_TEST(task.result() == 4);
  });
}

BOOST_AUTO_TEST_CASE(b2_a_coroutine_with_timeout_zero_takes_three_passes_and_never_runs) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    bool ran = false;
    const auto body = [&]() -> Coroutine<> {
      ran = true;
      co_return;
    };
    const Ending end = co_await ending(wait_for(body(), 0));
    BOOST_TEST(end.passes == 3u);
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(!ran);
  });
}

BOOST_AUTO_TEST_CASE(b2_a_done_future_with_timeout_zero_takes_no_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> done;
    done.set_result(4);
    const Ending zero = co_await ending(wait_for(done, 0));
    BOOST_TEST(zero.passes == 0u);
    const int value = co_await wait_for(done, -1);
    BOOST_TEST(value == 4);
    const Future<> failed;
    failed.set_exception(ValueError("x"));
    const Ending failure = co_await ending(wait_for(failed, 0));
    BOOST_TEST(failure.what() == "ValueError('x')");
    const Future<> cancelled;
    cancelled.cancel();
    const Ending cancellation = co_await ending(wait_for(cancelled, 0));
    BOOST_TEST(cancellation.what() == "CancelledError()");
  });
}

BOOST_AUTO_TEST_CASE(rule_71_a_pending_future_with_timeout_zero_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> future;
    const Ending end = co_await ending(wait_for(future, 0));
    BOOST_TEST(end.passes == 2u);
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(type_name(cause(end.error)) == "CancelledError");
    BOOST_TEST(future.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_71_with_timeout_zero_a_running_task_is_cancelled_and_waited_for) {
  for (const double limit : {0, -1}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto task = create_task(lingers(3));
      co_await asyncio::sleep(1);
      const Ending end = co_await ending(wait_for(task, limit));
      BOOST_TEST(end.what() == "TimeoutError()");
      BOOST_TEST(type_name(cause(end.error)) == "CancelledError");
      BOOST_TEST(task.cancelled());
      BOOST_TEST((loop.time() == 4));
    });
  }
}

BOOST_AUTO_TEST_CASE(rule_71_with_timeout_zero_a_result_that_comes_in_spite_of_it_counts) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto with_value = create_task(stubborn());
    const auto with_error = create_task(stubborn("x"));
    co_await asyncio::sleep(0);
    const std::string value = co_await wait_for(with_value, 0);
    const Ending error = co_await ending(wait_for(with_error, -5));
    BOOST_TEST(value == "value");
    BOOST_TEST(error.what() == "ValueError('x')");
  });
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(rule_70_the_result_in_time) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const int value = co_await wait_for(sleeps(1, 3), 5);
    BOOST_TEST(value == 3);
    auto owned = co_await wait_for(asyncio::sleep(1, std::make_unique<int>(7)), 5);
    BOOST_TEST(*owned == 7);
    const Future<int> future;
    loop.call_soon([future] { future.set_result(4); });
    const int of_future = co_await wait_for(future, 5);
    BOOST_TEST(of_future == 4);
    const Ending end = co_await ending(wait_for(fails_after(1, "x"), 5));
    BOOST_TEST(end.what() == "ValueError('x')");
  });
  BOOST_TEST(loop.leftovers() == Lines());
  BOOST_TEST((loop.time() == 3));
}

BOOST_AUTO_TEST_CASE(rule_70_when_the_time_is_over_a_coroutine_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(wait_for(sleeps(10, 0), 2));
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(type_name(cause(end.error)) == "CancelledError");
    BOOST_TEST((loop.time() == 2));
    BOOST_TEST(current_task().cancelling() == 0);
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_70_a_task_is_cancelled_and_waited_for_however_long_it_takes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(lingers(5));
    const Ending end = co_await ending(wait_for(task, 2));
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 7));
    BOOST_TEST(task.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_70_a_result_that_comes_in_spite_of_the_cancellation_counts) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::string coroutine = co_await wait_for(stubborn(), 1);
    const std::string task = co_await wait_for(create_task(stubborn()), 1);
    const Ending error = co_await ending(wait_for(stubborn("x"), 1));
    BOOST_TEST(coroutine == "value");
    BOOST_TEST(task == "value");
    BOOST_TEST(error.what() == "ValueError('x')");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_70_cancelling_the_caller_cancels_the_awaitable) {
  for (const std::optional<Duration> limit :
       {std::optional<Duration>(60), std::optional<Duration>()}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto inner = create_task(sleeps(100, 0));
      const auto caller = create_task(wait_for(inner, limit));
      co_await asyncio::sleep(0);
      caller.cancel("enough");
      const Ending end = co_await ending(caller);
      BOOST_TEST(end.what() == "CancelledError('enough')");
      BOOST_TEST(inner.cancelled());
      BOOST_TEST((loop.time() == 0));
    });
    BOOST_TEST(loop.leftovers() == Lines());
  }
}

BOOST_AUTO_TEST_CASE(rule_70_a_result_in_spite_of_the_callers_cancellation_counts) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto caller = create_task(wait_for(stubborn(), 5));
    co_await asyncio::sleep(0);
    caller.cancel();
    const std::string value = co_await caller;
    BOOST_TEST(value == "value");
    BOOST_TEST(caller.cancelling() == 1);
  });
}

BOOST_AUTO_TEST_CASE(rule_70_cancelled_in_the_pass_in_which_the_task_ends_the_caller_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto inner = create_task(returns(4));
    bool went_on = false;
    const auto caller = create_task([&]() -> Coroutine<> {
      co_await wait_for(inner, 100);
      co_await asyncio::sleep(1);
      went_on = true;
    });
    co_await asyncio::sleep(0);
    caller.cancel();
    const Ending end = co_await ending(caller);
    BOOST_TEST(end.what() == "CancelledError()");
    BOOST_TEST(!went_on);
    const int value = co_await inner;
    BOOST_TEST(value == 4);
  });
}

BOOST_AUTO_TEST_CASE(a_shielded_task_goes_on_after_the_timeout) {
  for (const double limit : {0, 1}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto inner = create_task(sleeps(2, 6));
      const Future<int> shielded = shield(inner);
      const Ending end = co_await ending(wait_for(shielded, limit));
      BOOST_TEST(end.what() == "TimeoutError()");
      BOOST_TEST(shielded.cancelled());
      BOOST_TEST((loop.time() == limit));
      const int value = co_await inner;
      BOOST_TEST(value == 6);
      BOOST_TEST(inner.cancelling() == 0);
    });
  }
}

BOOST_AUTO_TEST_CASE(a_shielded_task_without_limit_is_waited_for) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto inner = create_task(sleeps(2, 6));
    const int value = co_await wait_for(shield(inner), std::nullopt);
    BOOST_TEST(value == 6);
    BOOST_TEST(inner.done());
  });
}

BOOST_AUTO_TEST_CASE(rule_75_nested_the_shorter_one_wins) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending outer = co_await ending(wait_for(wait_for(sleeps(10, 0), 5), 1));
    BOOST_TEST(outer.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 1));
    const Ending inner = co_await ending(wait_for(wait_for(sleeps(10, 0), 1), 5));
    BOOST_TEST(inner.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    const Counted local;
    const Ending in_time = co_await ending(wait_for(counted(1), 5));
    if (in_time.error) std::rethrow_exception(in_time.error);
    const Counted task = co_await wait_for(create_task(counted(1)), 5);
    const Ending late = co_await ending(wait_for(create_task(counted(9)), 1));
    if (isinstance<CancelledError>(late.error)) std::rethrow_exception(late.error);
    const Ending never = co_await ending(wait_for(counted(1), 0));
    if (isinstance<CancelledError>(never.error)) std::rethrow_exception(never.error);
  });
}

BOOST_AUTO_TEST_CASE(rule_71_with_timeout_zero_an_any_task_is_as_any_other) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const AnyTask done = create_task(returns(1));
    co_await done;
    const Ending at_once = co_await ending(asyncio::wait_for(done, 0));
    BOOST_TEST(at_once.what() == "None");
    const AnyTask pending = create_task(sleeps(1, 1));
    const Ending late = co_await ending(asyncio::wait_for(pending, 0));
    BOOST_TEST(late.what() == "TimeoutError()");
    BOOST_TEST(pending.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(co9_ensure_future_gives_back_an_any_task) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    const AnyTask task = create_task(returns(1));
    BOOST_TEST((ensure_future(task) == task));
    co_await task;
    BOOST_TEST((shield(task) == task));
  });
}

BOOST_AUTO_TEST_SUITE_END()
