// SPDX-License-Identifier: BSL-1.0
//
// as_completed() (surface CO7, rule 73, B2).
#include <asyncio/as_completed.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// A result that can only be moved.
Coroutine<std::unique_ptr<int>> boxes(double seconds, int value) {
  co_await asyncio::sleep(seconds);
  co_return std::make_unique<int>(value);
}

/// What is left, as text.
template <class F>
Coroutine<Lines> outcomes(AsCompleted<F> items) {
  Lines lines;
  for (auto next : items) {
    std::exception_ptr error;
    try {
      const int value = co_await next;
      lines.push_back(std::to_string(value));
    } catch (...) {
      error = std::current_exception();
    }
    if (error) lines.push_back(repr(error));
  }
  co_return lines;
}

/// Is there a next one?
template <class F>
Coroutine<bool> advance(AsCompleted<F> items) {
  const F future = co_await items.next();
  co_return bool(future);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_completed_tests)

BOOST_AUTO_TEST_CASE(rule_73_results_come_in_the_order_of_completion) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Coroutine<int>> coroutines;
    coroutines.push_back(sleeps(3, 3));
    coroutines.push_back(sleeps(1, 1));
    coroutines.push_back(sleeps(2, 2));
    std::vector<int> values;
    for (auto next : as_completed(std::move(coroutines))) {
      const int value = co_await next;
      values.push_back(value);
    }
    BOOST_TEST(values == (std::vector<int>{1, 2, 3}));
    BOOST_TEST((loop.time() == 3));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_coroutines_start_in_the_order_of_the_arguments) {
  Loop loop;
  Lines started;
  const auto starts = [&](std::string name) -> Coroutine<> {
    started.push_back(name);
    co_return;
  };
  loop.run([&]() -> Coroutine<> {
    for (auto next : as_completed(starts("a"), starts("b"), starts("c"))) co_await next;
  });
  BOOST_TEST(started == (Lines{"a", "b", "c"}));
}

BOOST_AUTO_TEST_CASE(rule_73_the_tasks_are_made_by_the_call_not_by_iterating) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(nothing(), nothing());
    BOOST_TEST(all_tasks().size() == 3u);
    co_await asyncio::sleep(0);
    BOOST_TEST(all_tasks().size() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(b2_three_passes_for_the_first_then_none_for_what_is_there) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(returns(1), returns(2), returns(3));
    std::vector<std::uint64_t> passes;
    for (auto next : items) {
      const Ending end = co_await ending(std::move(next));
      passes.push_back(end.passes);
    }
    BOOST_TEST(passes == (std::vector<std::uint64_t>{3, 0, 0}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_what_was_done_before_takes_its_callbacks_turn) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> late, early;
    early.set_result(1);
    const std::vector<Future<int>> futures{late, early};
    auto items = as_completed(futures);
    late.set_result(2);
    const Lines lines = co_await outcomes(items);
    BOOST_TEST(lines == (Lines{"1", "2"}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_a_failure_is_raised_in_its_turn_and_the_rest_goes_on) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lines lines =
        co_await outcomes(as_completed(sleeps(3, 3), fails_after(1, "x"), sleeps(2, 2)));
    BOOST_TEST(lines == (Lines{"ValueError('x')", "2", "3"}));
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_73_a_cancelled_one_is_a_cancelled_error_in_its_turn) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(sleeps(1, 1));
    task.cancel("no");
    const std::vector<Task<int>> tasks(1, task);
    const Lines lines = co_await outcomes(as_completed(tasks));
    BOOST_TEST(lines == (Lines{"CancelledError('no')"}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_the_same_future_twice_is_one_result) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto a = create_task(sleeps(1, 1));
    const auto b = create_task(sleeps(2, 2));
    const std::vector<Task<int>> tasks{b, a, b, a};
    const Lines lines = co_await outcomes(as_completed(tasks));
    BOOST_TEST(lines == (Lines{"1", "2"}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_next_gives_the_very_futures) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto slow = create_task(sleeps(2, 2));
    const auto failing = create_task(fails_after(1, "x"));
    const std::vector<Task<int>> tasks{slow, failing};
    std::vector<Task<int>> finished;
    const auto items = as_completed(tasks);
    while (auto task = co_await items.next()) {
      BOOST_TEST(task.done());
      finished.push_back(task);
    }
    BOOST_TEST((finished == std::vector<Task<int>>{failing, slow}));
    BOOST_TEST(repr(failing.exception()) == "ValueError('x')");
    const auto after_the_end = co_await items.next();
    BOOST_TEST(!after_the_end);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_next_gives_the_tasks_made_of_coroutines) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(sleeps(1, 5));
    const auto task = co_await items.next();
    static_assert(std::is_same_v<decltype(task), const Task<int>>);
    BOOST_TEST(task.result() == 5);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_iterating_and_next_share_the_items) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(sleeps(1, 1), sleeps(2, 2));
    const auto first = co_await items.next();
    BOOST_TEST(first.result() == 1);
    const Lines rest = co_await outcomes(items);
    BOOST_TEST(rest == (Lines{"2"}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_an_iteration_that_was_left_is_taken_up_again) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(sleeps(1, 1), sleeps(2, 2), sleeps(3, 3));
    for (auto next : items) {
      const int value = co_await next;
      BOOST_TEST(value == 1);
      break;
    }
    const Lines rest = co_await outcomes(items);
    BOOST_TEST(rest == (Lines{"2", "3"}));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_who_waits_first_gets_the_first_whichever_item_he_has) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Coroutine<int>> items;
    for (auto next : as_completed(sleeps(2, 2), sleeps(1, 1))) items.push_back(std::move(next));
    BOOST_TEST_REQUIRE(items.size() == 2u);
    const int first = co_await items[1];
    BOOST_TEST(first == 1);
    BOOST_TEST((loop.time() == 1));
    const int second = co_await items[0];
    BOOST_TEST(second == 2);
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_several_items_can_be_waited_for_at_the_same_time) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Task<int>> waiting;
    for (auto next : as_completed(sleeps(1, 1), sleeps(1, 2)))
      waiting.push_back(create_task(std::move(next)));
    const auto values = co_await gather(waiting);
    BOOST_TEST((values == std::vector<int>{1, 2}));
    BOOST_TEST((loop.time() == 1));
  });
}

BOOST_AUTO_TEST_CASE(rule_73_tasks_of_different_types_are_handed_out_as_any_task) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector<AnyTask> tasks{create_task(sleeps(2, 2)), create_task(nothing())};
    const auto items = as_completed(tasks);
    const AnyTask first = co_await items.next();
    BOOST_TEST((first == tasks[1]));
    for (auto next : items) co_await next;
    BOOST_TEST(tasks[0].done());
  });
}

BOOST_AUTO_TEST_CASE(
    rule_73_on_timeout_each_that_is_left_is_a_timeout_error_and_nothing_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector<Task<int>> tasks{create_task(sleeps(9, 9)), create_task(sleeps(1, 1)),
                                       create_task(sleeps(8, 8))};
    const Lines lines = co_await outcomes(as_completed(tasks, {.timeout = 3}));
    BOOST_TEST(lines == (Lines{"1", "TimeoutError()", "TimeoutError()"}));
    BOOST_TEST((loop.time() == 3));
    const int nine = co_await tasks[0];
    const int eight = co_await tasks[2];
    BOOST_TEST(nine + eight == 17);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_next_raises_the_timeout_error_once_for_each_that_is_left) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector<Task<int>> tasks{create_task(sleeps(9, 9)), create_task(sleeps(8, 8))};
    const auto items = as_completed(tasks, {.timeout = 3});
    const Ending first = co_await ending(advance(items));
    const Ending second = co_await ending(advance(items));
    const bool third = co_await advance(items);
    BOOST_TEST(first.what() == "TimeoutError()");
    BOOST_TEST(second.what() == "TimeoutError()");
    BOOST_TEST(!third);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_what_completes_together_with_the_timeout_is_too_late) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> future;
    const std::vector<Future<int>> futures(1, future);
    loop.call_later(3, [&] { future.set_result(1); });
    const auto items = as_completed(futures, {.timeout = 3});
    const Ending end = co_await ending(advance(items));
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(future.result() == 1);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_the_timer_goes_when_all_are_done) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Coroutine<int>> coroutines;
    coroutines.push_back(sleeps(1, 1));
    const Lines lines = co_await outcomes(as_completed(std::move(coroutines), {.timeout = 3}));
    BOOST_TEST(lines == (Lines{"1"}));
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_73_nothing_to_wait_for_is_no_item_and_no_timer) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto items = as_completed(std::vector<Task<int>>(), {.timeout = 3});
    const Lines lines = co_await outcomes(items);
    BOOST_TEST(lines == Lines());
    const auto none = co_await items.next();
    BOOST_TEST(!none);
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_73_giving_up_the_iteration_leaves_the_others_alone) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector<Task<int>> tasks{create_task(sleeps(1, 1)), create_task(sleeps(2, 2))};
    for (auto next : as_completed(tasks, {.timeout = 9})) {
      const int value = co_await next;
      BOOST_TEST(value == 1);
      break;
    }
    const int value = co_await tasks[1];
    BOOST_TEST(value == 2);
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_73_cancelling_who_waits_leaves_the_others_alone) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(sleeps(3, 3));
    const std::vector<Task<int>> tasks(1, task);
    const auto waiter = create_task(outcomes(as_completed(tasks)));
    co_await asyncio::sleep(1);
    waiter.cancel();
    const Ending end = co_await ending(waiter);
    BOOST_TEST(end.what() == "None");  // outcomes() noted the CancelledError
    BOOST_TEST((waiter.result() == Lines{"CancelledError()"}));
    const int value = co_await task;
    BOOST_TEST(value == 3);
  });
}

BOOST_AUTO_TEST_CASE(rule_73_a_future_of_another_loop_is_a_value_error) {
  Loop loop, other;
  const std::vector<Future<>> futures(1, other.create_future());
  loop.run([&]() -> Coroutine<> {
    const std::string error = thrown_by([&] { (void)as_completed(futures); });
    BOOST_TEST(error.starts_with("ValueError('The future belongs to a different loop"));
    co_return;
  });
}

BOOST_AUTO_TEST_CASE(co7_outside_a_running_loop_the_current_one_takes_the_coroutines) {
  Loop loop;
  BOOST_TEST(thrown_by([] { (void)as_completed(returns(1)); }) ==
             "RuntimeError('There is no current event loop in this thread')");
  set_event_loop(&loop);
  const auto items = as_completed(returns(1));
  set_event_loop(nullptr);
  BOOST_TEST((loop.run_until_complete(outcomes(items)) == Lines{"1"}));
}

BOOST_AUTO_TEST_CASE(results_that_cannot_be_copied_are_moved) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    int sum = 0;
    for (auto next : as_completed(boxes(2, 20), boxes(1, 1))) {
      const auto value = co_await next;
      sum = sum * 10 + *value;
    }
    BOOST_TEST(sum == 30);
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled_or_destroyed) {
  const auto passes = cancel_everywhere([](Loop&) -> Coroutine<> {
    const std::vector<Task<Counted>> tasks{create_task(counted(2)), create_task(counted(1)),
                                           create_task(counted(1))};
    std::exception_ptr error;
    try {
      for (auto next : as_completed(tasks, {.timeout = 9})) co_await next;
    } catch (...) {
      error = std::current_exception();
    }
    for (const auto& task : tasks) task.cancel();
    co_await gather(return_exceptions, tasks);
    if (error) std::rethrow_exception(error);
  });
  BOOST_TEST(passes > 4u);
}

BOOST_AUTO_TEST_SUITE_END()
