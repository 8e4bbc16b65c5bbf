// SPDX-License-Identifier: BSL-1.0
//
// wait() (surface CO3, rule 69, B2).
#include <asyncio/wait.hpp>

#include <list>
#include <ranges>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

template <class F>
Lines names(const std::vector<F>& tasks) {
  Lines result;
  for (const auto& task : tasks) result.push_back(task.get_name());
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(wait_tests)

BOOST_AUTO_TEST_CASE(b2_a_new_task_that_returns_at_once_takes_three_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(returns(1))};
    const Ending end = co_await ending(asyncio::wait(tasks));
    BOOST_TEST(end.passes == 3u);
  });
}

BOOST_AUTO_TEST_CASE(b2_a_done_future_takes_two_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Future<int>> futures(1);
    futures[0].set_result(1);
    const Ending end = co_await ending(asyncio::wait(futures));
    BOOST_TEST(end.passes == 2u);
  });
}

BOOST_AUTO_TEST_CASE(b2_a_timeout_of_zero_on_a_pending_future_takes_two_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::vector<Future<int>> futures(1);
    const Ending end = co_await ending(asyncio::wait(futures, {.timeout = 0}));
    BOOST_TEST(end.passes == 2u);
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(!futures[0].done());
  });
}

BOOST_AUTO_TEST_CASE(co3_nothing_to_wait_for_is_a_value_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(asyncio::wait(std::vector<Task<>>()));
    BOOST_TEST(end.what() == "ValueError('Set of Tasks/Futures is empty.')");
    BOOST_TEST(end.passes == 0u);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_all_completed_waits_for_all_in_the_order_of_the_arguments) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "c"}),
                            create_task(sleeps(1, 1), {.name = "a"}),
                            create_task(fails_after(2, "x"), {.name = "b"})};
    auto [done, pending] = co_await asyncio::wait(tasks);
    BOOST_TEST(names(done) == Lines({"c", "a", "b"}), boost::test_tools::per_element());
    BOOST_TEST(pending.empty());
    BOOST_TEST(done[0].result() == 3);
    BOOST_TEST(repr(done[2].exception()) == "ValueError('x')");
  });
  BOOST_TEST((loop.time() == 3));
}

BOOST_AUTO_TEST_CASE(rule_69_first_completed_ends_with_the_first) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "c"}),
                            create_task(sleeps(1, 1), {.name = "a"}),
                            create_task(sleeps(1, 1), {.name = "A"}),
                            create_task(sleeps(2, 2), {.name = "b"})};
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_COMPLETED});
    BOOST_TEST(names(done) == Lines({"a", "A"}), boost::test_tools::per_element());
    BOOST_TEST(names(pending) == Lines({"c", "b"}), boost::test_tools::per_element());
    BOOST_TEST((loop.time() == 1));
    for (const auto& task : pending) task.cancel();
    co_await asyncio::wait(pending);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_what_ends_before_the_waiter_goes_on_is_done_as_well) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto yields = [](int times) -> Coroutine<> {
      for (int i = 0; i != times; ++i) co_await asyncio::sleep(0);
    };
    const std::vector tasks{create_task(yields(2), {.name = "b"}),
                            create_task(yields(1), {.name = "a"})};
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_COMPLETED});
    BOOST_TEST(names(done) == Lines({"b", "a"}), boost::test_tools::per_element());
    BOOST_TEST(pending.empty());
  });
}

BOOST_AUTO_TEST_CASE(rule_69_first_exception_ends_with_the_first_that_failed) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "c"}),
                            create_task(sleeps(1, 1), {.name = "a"}),
                            create_task(fails_after(2, "x"), {.name = "b"})};
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_EXCEPTION});
    BOOST_TEST(names(done) == Lines({"a", "b"}), boost::test_tools::per_element());
    BOOST_TEST(names(pending) == Lines({"c"}), boost::test_tools::per_element());
    BOOST_TEST((loop.time() == 2));
    co_await asyncio::wait(pending);
  });
  BOOST_TEST(loop.reports() == Lines(), "wait has looked at the exception that ended it");
}

BOOST_AUTO_TEST_CASE(rule_69_first_exception_ends_with_one_that_had_failed_before) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "a"}),
                            create_task(fails("x"), {.name = "b"})};
    co_await asyncio::sleep(0);
    BOOST_TEST(tasks[1].done());
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_EXCEPTION});
    BOOST_TEST(names(done) == Lines({"b"}), boost::test_tools::per_element());
    BOOST_TEST(names(pending) == Lines({"a"}), boost::test_tools::per_element());
    BOOST_TEST((loop.time() == 0));
    co_await asyncio::wait(pending);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_a_cancelled_one_is_no_exception) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "c"}),
                            create_task(sleeps(1, 1), {.name = "a"})};
    loop.call_later(0.5, [task = tasks[1]] { task.cancel(); });
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_EXCEPTION});
    BOOST_TEST(names(done) == Lines({"c", "a"}), boost::test_tools::per_element());
    BOOST_TEST(pending.empty());
    BOOST_TEST((loop.time() == 3));
  });
}

BOOST_AUTO_TEST_CASE(rule_69_without_exceptions_first_exception_waits_for_all) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3)), create_task(sleeps(1, 1))};
    auto [done, pending] = co_await asyncio::wait(tasks, {.return_when = FIRST_EXCEPTION});
    BOOST_TEST(done.size() == 2u);
    BOOST_TEST(pending.empty());
  });
}

BOOST_AUTO_TEST_CASE(co3_when_the_time_is_over_nothing_is_thrown_and_nothing_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(3, 3), {.name = "c"}),
                            create_task(sleeps(1, 1), {.name = "a"})};
    auto [done, pending] = co_await asyncio::wait(tasks, {.timeout = 2});
    BOOST_TEST(names(done) == Lines({"a"}), boost::test_tools::per_element());
    BOOST_TEST(names(pending) == Lines({"c"}), boost::test_tools::per_element());
    BOOST_TEST((loop.time() == 2));
    BOOST_TEST(pending[0].cancelling() == 0);
    const int value = co_await pending[0];
    BOOST_TEST(value == 3);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_what_completes_together_with_the_timeout_is_done) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(2, 2), {.name = "b"}),
                            create_task(sleeps(1, 1), {.name = "a"})};
    auto waiting = create_task(asyncio::wait(tasks, {.timeout = 1}));
    auto [done, pending] = co_await std::move(waiting);
    BOOST_TEST(names(done) == Lines({"a"}), boost::test_tools::per_element());
    BOOST_TEST(names(pending) == Lines({"b"}), boost::test_tools::per_element());
    BOOST_TEST((loop.time() == 1));
    co_await asyncio::wait(pending);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_the_timer_is_taken_back) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(1, 1))};
    co_await asyncio::wait(tasks, {.timeout = 1000});
  });
  BOOST_TEST(loop.leftovers() == Lines());
  BOOST_TEST((loop.time() == 1));
}

BOOST_AUTO_TEST_CASE(rule_69_one_that_stands_there_twice_counts_once) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(sleeps(1, 1), {.name = "a"});
    const std::vector tasks{task, create_task(sleeps(2, 2), {.name = "b"}), task};
    auto [done, pending] = co_await asyncio::wait(tasks);
    BOOST_TEST(names(done) == Lines({"a", "b"}), boost::test_tools::per_element());
    BOOST_TEST(pending.empty());
  });
}

BOOST_AUTO_TEST_CASE(rule_69_cancelling_the_wait_cancels_nothing_inside) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(sleeps(2, 2)), create_task(sleeps(1, 1))};
    auto waiter = create_task(
        [](std::vector<Task<int>> what) -> Coroutine<> { co_await asyncio::wait(what); }, tasks);
    co_await asyncio::sleep(0);
    waiter.cancel();
    const Ending end = co_await ending(waiter);
    BOOST_TEST(end.what() == "CancelledError()");
    const int value = co_await tasks[0];
    BOOST_TEST(value == 2);
    BOOST_TEST(tasks[1].result() == 1);
  });
}

BOOST_AUTO_TEST_CASE(co3_any_range_will_do_one_that_makes_the_tasks_as_it_goes_too) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto make = [](int i) { return create_task(returns(i)); };
    auto made = std::views::iota(0, 10) | std::views::transform(make);
    auto [done, pending] = co_await asyncio::wait(made);
    BOOST_TEST(done.size() == 10u);
    BOOST_TEST(pending.empty());
    const std::list<Task<int>> list(done.begin(), done.end());
    auto again = co_await asyncio::wait(list);
    BOOST_TEST(again.first.size() == 10u);
  });
}

BOOST_AUTO_TEST_CASE(tasks_of_different_results_are_waited_for_as_any_task) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector<AnyTask> tasks{create_task(returns(1)), create_task(nothing())};
    auto [done, pending] = co_await asyncio::wait(tasks);
    BOOST_TEST(done.size() == 2u);
    BOOST_TEST(pending.empty());
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  const auto passes = cancel_everywhere([](Loop&) -> Coroutine<> {
    const Counted local;
    const std::vector tasks{create_task(counted(2)), create_task(counted(1))};
    std::exception_ptr error;
    try {
      co_await asyncio::wait(tasks, {.timeout = 1.5});
      co_await asyncio::wait(tasks, {.timeout = 10});
    } catch (const CancelledError&) {
      error = std::current_exception();
    }
    if (!error) co_return;
    for (const auto& task : tasks) task.cancel();
    co_await asyncio::wait(tasks);
    std::rethrow_exception(error);
  });
  BOOST_TEST(passes > 5u);
}

BOOST_AUTO_TEST_CASE(rule_21_a_future_of_a_closed_loop_is_an_error_and_leaves_nothing_behind) {
  Loop loop;
  EventLoop other;
  const Future<> theirs = other.create_future();
  theirs.set_result();
  other.close();
  loop.run([&]() -> Coroutine<> {
    const Future<> ours;
    ours.set_result();
    const std::vector<Future<>> both{ours, theirs};
    const Ending waiting = co_await ending(asyncio::wait(both, {.timeout = 5}));
    BOOST_TEST(waiting.what() == "RuntimeError('Event loop is closed')");
    for (int i = 0; i != 3; ++i) co_await asyncio::sleep(0);
    co_await asyncio::sleep(10);
  });
}

BOOST_AUTO_TEST_CASE(rule_69_of_those_that_stand_twice_the_first_counts) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> a, b, c;
    b.set_result();
    const std::vector<Future<>> futures{a, b, a, c, b, c};
    const auto [done, pending] =
        co_await asyncio::wait(futures, {.return_when = FIRST_COMPLETED});
    BOOST_TEST((done == std::vector<Future<>>{b}));
    BOOST_TEST((pending == std::vector<Future<>>{a, c}));
  });
}

BOOST_AUTO_TEST_SUITE_END()
