// SPDX-License-Identifier: BSL-1.0
//
// gather() (surface CO2, rules 64-68, B2).
#include <asyncio/wait.hpp>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

Coroutine<std::unique_ptr<int>> owns(int value) { co_return std::make_unique<int>(value); }

Coroutine<int> notes(Lines& log, std::string name) {
  log.push_back(name);
  co_await asyncio::sleep(0);
  log.push_back(name);
  co_return 0;
}

Coroutine<int> result_of(Future<int> future) { co_return co_await future; }

std::vector<Coroutine<int>> coroutines(int count) {
  std::vector<Coroutine<int>> result;
  for (int i = 0; i != count; ++i) result.push_back(returns(i));
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gather_tests)

BOOST_AUTO_TEST_CASE(b2_coroutines_that_return_at_once_take_three_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending fixed = co_await ending(gather(returns(1), returns(2)));
    const Ending range = co_await ending(gather(coroutines(3)));
    BOOST_TEST(fixed.passes == 3u);
    BOOST_TEST(range.passes == 3u);
  });
}

BOOST_AUTO_TEST_CASE(b2_of_nothing_it_is_done_at_once) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending fixed = co_await ending(gather());
    const Ending range = co_await ending(gather(std::vector<Task<int>>()));
    const auto results = co_await gather(std::vector<Coroutine<int>>());
    BOOST_TEST(fixed.passes == 0u);
    BOOST_TEST(range.passes == 0u);
    BOOST_TEST(results.empty());
  });
}

BOOST_AUTO_TEST_CASE(b2_of_done_futures_it_is_done_on_return) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    Future<int> done;
    done.set_result(4);
    const auto task = create_task(returns(5));
    co_await task;
    auto gathered = gather(done, task);
    BOOST_TEST(gathered.done());
    auto [first, second] = co_await std::move(gathered);
    BOOST_TEST(first == 4);
    BOOST_TEST(second == 5);
    const Ending mixed = co_await ending(gather(done, returns(1)));
    BOOST_TEST(mixed.passes == 3u);
  });
}

BOOST_AUTO_TEST_CASE(b2_nested_gathers_take_one_pass_more) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(gather(gather(returns(1), returns(2)), returns(3)));
    BOOST_TEST(end.passes == 4u);
    auto [inner, third] = co_await gather(gather(returns(1), returns(2)), returns(3));
    BOOST_TEST((inner == std::tuple(1, 2)));
    BOOST_TEST(third == 3);
  });
}

BOOST_AUTO_TEST_CASE(rule_64_tasks_are_made_and_run_in_the_order_of_the_arguments) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    co_await gather(notes(log, "a"), notes(log, "b"), notes(log, "c"));
  });
  BOOST_TEST(log == Lines({"a", "b", "c", "a", "b", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(co2_results_have_the_order_of_the_arguments_not_of_completion) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto [a, b, c] = co_await gather(sleeps(3, 1), sleeps(1, 2), sleeps(2, 3));
    BOOST_TEST(a == 1);
    BOOST_TEST(b == 2);
    BOOST_TEST(c == 3);
    std::vector<Coroutine<int>> range;
    range.push_back(sleeps(3, 1));
    range.push_back(sleeps(1, 2));
    const auto results = co_await gather(std::move(range));
    BOOST_TEST(results == (std::vector{1, 2}), boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(co2_results_may_have_different_types_void_gives_NoneType) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto [number, none, text, slept] = co_await gather(
        returns(1), nothing(), asyncio::sleep(0, std::string("text")), asyncio::sleep(1));
    static_assert(std::same_as<decltype(none), asyncio::NoneType>);
    static_assert(std::same_as<decltype(slept), asyncio::NoneType>);
    BOOST_TEST(number == 1);
    BOOST_TEST(text == "text");
  });
}

BOOST_AUTO_TEST_CASE(co2_results_that_cannot_be_copied_are_moved) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto [a, b] = co_await gather(owns(1), owns(2));
    BOOST_TEST(*a == 1);
    BOOST_TEST(*b == 2);
    std::vector<Task<std::unique_ptr<int>>> tasks;
    tasks.push_back(create_task(owns(3)));
    auto range = co_await gather(std::move(tasks));
    BOOST_TEST(*range[0] == 3);
    std::vector<Coroutine<std::unique_ptr<int>>> more;
    more.push_back(owns(3));
    auto [inner] = co_await gather(gather(std::move(more)));
    BOOST_TEST(*inner[0] == 3);
    auto [kept] = co_await gather(return_exceptions, owns(4));
    std::unique_ptr<int> four = std::move(kept).value();
    BOOST_TEST(*four == 4);
  });
}

BOOST_AUTO_TEST_CASE(co2_named_tasks_keep_their_results) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(asyncio::sleep(0, std::string("text")));
    const std::vector tasks{task};
    auto [once] = co_await gather(task);
    const auto again = co_await gather(tasks);
    BOOST_TEST(once == "text");
    BOOST_TEST(again[0] == "text");
    BOOST_TEST(task.result() == "text");
  });
}

BOOST_AUTO_TEST_CASE(rule_64_a_future_that_stands_there_twice_is_awaited_once) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(sleeps(1, 7));
    auto [a, b, c] = co_await gather(task, returns(2), task);
    BOOST_TEST(a == 7);
    BOOST_TEST(b == 2);
    BOOST_TEST(c == 7);
    const auto other = create_task(sleeps(1, 8));
    const std::vector twice{other, other};
    const auto results = co_await gather(twice);
    BOOST_TEST(results == (std::vector{8, 8}), boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(rule_64_tasks_that_it_makes_do_not_report_their_destruction) {
  Lines reports;
  {
    EventLoop loop({.clock = Clock::virtual_time});
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + ' ' + context.task.get_name());
    });
    loop.run_until_complete([](EventLoop& loop) -> Coroutine<> {
      const auto mine = loop.create_task(sleeps(10, 0), {.name = "mine"});
      const auto gathered = gather(sleeps(10, 0), mine);
      co_await asyncio::sleep(0);
    }(loop));
  }
  BOOST_TEST(reports == Lines({"Task was destroyed but it is pending! mine"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_64_outside_a_running_loop_the_current_loop_takes_the_coroutines) {
  Loop loop;
  const char* const text = "RuntimeError('There is no current event loop in this thread')";
  BOOST_TEST(thrown_by([] { (void)gather(returns(1)); }) == text);
  BOOST_TEST(thrown_by([] { (void)gather(); }) == text);
  set_event_loop(&loop);
  auto gathered = gather(returns(1), returns(2));
  auto range = gather(coroutines(2));
  auto none = gather();
  set_event_loop(nullptr);
  BOOST_TEST(none.done());
  BOOST_TEST((loop.run_until_complete(gathered) == std::tuple(1, 2)));
  BOOST_TEST((loop.run_until_complete(range) == std::vector{0, 1}));
}

BOOST_AUTO_TEST_CASE(rule_64_outside_a_running_loop_futures_know_theirs) {
  Loop loop;
  const auto first = loop.create_task(returns(1));
  const auto second = loop.create_task(returns(2));
  BOOST_TEST((loop.run_until_complete(gather(first, second)) == std::tuple(1, 2)));
}

BOOST_AUTO_TEST_CASE(rule_64_futures_of_two_loops_are_a_value_error) {
  Loop loop;
  Loop other;
  const auto ours = loop.create_future<int>();
  const auto theirs = other.create_future<int>();
  const char* const text =
      "ValueError('The future belongs to a different loop than the one specified as the loop "
      "argument')";
  BOOST_TEST(thrown_by([&] { (void)gather(ours, theirs); }) == text);
  BOOST_TEST(thrown_by([&] { (void)gather(std::vector{ours, theirs}); }) == text);
  loop.run([&]() -> Coroutine<> {
    BOOST_TEST(thrown_by([&] { (void)gather(returns(1), theirs); }) == text);
    co_return;
  });
  BOOST_TEST(all_tasks(other).empty());
}

BOOST_AUTO_TEST_CASE(rule_64_two_gatherings_may_share_their_children) {
  Loop loop;
  const std::vector children{loop.create_future<int>(), loop.create_future<int>()};
  const auto first = gather(children);
  const auto second = gather(children);
  BOOST_TEST((&first.get_loop() == &loop));
  loop.pass();
  BOOST_TEST(!first.done());
  BOOST_TEST(!second.done());
  for (const auto& child : children) child.set_result(1);
  loop.pass();
  BOOST_TEST((first.result() == std::vector{1, 1}));
  BOOST_TEST((second.result() == std::vector{1, 1}));
}

BOOST_AUTO_TEST_CASE(rule_65_it_is_done_and_calls_back_once_when_the_last_child_is_done) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> a, b, c;
    const auto futures = gather(a, b, c);
    const auto coroutines = gather(result_of(a), result_of(b), result_of(c));
    const auto results = gather(return_exceptions, a, b, c);
    const auto results_of_coroutines = gather(return_exceptions, result_of(a), result_of(c));
    Lines called;
    futures.add_done_callback([&] { called.push_back("futures"); });
    coroutines.add_done_callback([&] { called.push_back("coroutines"); });
    results.add_done_callback([&] { called.push_back("results"); });
    results_of_coroutines.add_done_callback([&] { called.push_back("results of coroutines"); });
    b.set_result(1);
    a.set_result(2);
    co_await asyncio::sleep(1);
    BOOST_TEST(called == Lines());
    BOOST_TEST(!futures.done());
    c.set_result(3);
    co_await asyncio::sleep(1);
    BOOST_TEST(called == Lines({"futures", "results", "coroutines", "results of coroutines"}),
               boost::test_tools::per_element());
    BOOST_TEST((futures.result() == std::tuple(2, 1, 3)));
    BOOST_TEST((coroutines.result() == std::tuple(2, 1, 3)));
    BOOST_TEST(*std::get<2>(results.result()) == 3);
    BOOST_TEST(*std::get<1>(results_of_coroutines.result()) == 3);
  });
}

BOOST_AUTO_TEST_CASE(rule_66_a_failed_child_gives_the_very_exception) {
  Loop loop;
  const Future<int> failing = loop.create_future<int>();
  const Future<int> pending = loop.create_future<int>();
  const auto first = gather(failing, pending);
  const auto entries = gather(return_exceptions, failing, pending);
  int calls = 0;
  first.add_done_callback([&] { ++calls; });
  failing.set_exception(ValueError("x"));
  loop.pass();
  BOOST_TEST((first.exception() == failing.exception()));
  BOOST_TEST(!entries.done());
  pending.set_result(3);
  loop.pass();
  BOOST_TEST(calls == 1);
  BOOST_TEST((std::get<0>(entries.result()).exception() == failing.exception()));
}

BOOST_AUTO_TEST_CASE(rule_66_the_first_failure_comes_out_at_once_the_others_go_on) {
  Loop loop;
  const Counted before;
  loop.run([&]() -> Coroutine<> {
    const auto slow = create_task(sleeps(3, 3));
    const auto gathered = gather(slow, fails_after(1, "first"), fails_after(2, "second"));
    const Ending end = co_await ending(gathered);
    BOOST_TEST(end.what() == "ValueError('first')");
    BOOST_TEST((loop.time() == 1));
    BOOST_TEST(!slow.done());
    const int value = co_await slow;
    BOOST_TEST(value == 3);
  });
  BOOST_TEST(loop.reports() == Lines(), "later failures are marked as retrieved");
}

BOOST_AUTO_TEST_CASE(rule_66_a_cancelled_child_gives_a_stored_cancelled_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> child;
    const auto slow = create_task(sleeps(2, 2));
    const auto gathered = gather(child, slow);
    child.cancel("why");
    const Ending end = co_await ending(gathered);
    BOOST_TEST(end.what() == "CancelledError('why')");
    BOOST_TEST(!gathered.cancelled());
    BOOST_TEST(!slow.done());
    co_await slow;
  });
}

BOOST_AUTO_TEST_CASE(rule_66_a_failed_child_that_is_done_fails_it_on_return) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> failed;
    failed.set_exception(ValueError("x"));
    const auto gathered = gather(failed, returns(1));
    BOOST_TEST(gathered.done());
    const Ending end = co_await ending(gathered);
    BOOST_TEST(end.what() == "ValueError('x')");
    BOOST_TEST(end.passes == 0u);
  });
}

BOOST_AUTO_TEST_CASE(rule_66_a_failure_that_nobody_awaits_is_reported_once) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto gathered = gather(fails("x"), fails("y"));
    co_await asyncio::sleep(1);
    BOOST_TEST(gathered.done());
  });
  BOOST_TEST(
      loop.reports() == Lines({"_GatheringFuture exception was never retrieved: ValueError('x')"}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_67_with_return_exceptions_failures_are_entries) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> cancelled;
    const Future<int> with_message;
    cancelled.cancel();
    with_message.cancel("why");
    auto [value, failure, none, gone, why] = co_await gather(
        return_exceptions, sleeps(2, 5), fails("x"), nothing(), cancelled, with_message);
    BOOST_TEST(value.has_value());
    BOOST_TEST(*value == 5);
    BOOST_TEST(!value.exception());
    BOOST_TEST(!failure);
    BOOST_TEST(repr(failure.exception()) == "ValueError('x')");
    BOOST_TEST(thrown_by([&] { (void)failure.value(); }) == "ValueError('x')");
    BOOST_TEST(none.has_value());
    BOOST_TEST(repr(gone.exception()) == "CancelledError('')");
    BOOST_TEST(repr(why.exception()) == "CancelledError('why')");
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_67_with_return_exceptions_a_range_gives_results) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const std::vector tasks{create_task(returns(1)), create_task(fails("x"))};
    const auto results = co_await gather(return_exceptions, tasks);
    BOOST_TEST(results[0].value() == 1);
    BOOST_TEST(type_name(results[1].exception()) == "ValueError");
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(b2_cancel_reaches_the_children_after_one_pass_the_awaiter_after_three) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto child = create_task(sleeps(10, 0));
    const auto gathered = gather(child, asyncio::sleep(10));
    auto awaiter = create_task(ending(gathered));
    co_await asyncio::sleep(0);
    BOOST_TEST(gathered.cancel());
    BOOST_TEST(!gathered.done(), "rule 68: not done yet");
    const auto begin = loop.passes();
    co_await asyncio::sleep(0);
    BOOST_TEST(child.cancelled());
    const Ending end = co_await awaiter;
    BOOST_TEST(end.what() == "CancelledError()");
    BOOST_TEST(loop.passes() - begin == 4u);  // three, and one more to us
    BOOST_TEST(!gathered.cancel(), "it is done");
  });
}

BOOST_AUTO_TEST_CASE(rule_68_it_fails_with_the_first_cancelled_child_while_others_clean_up) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto slow = create_task(lingers(5));
    const auto gathered = gather(slow, sleeps(10, 0));
    co_await asyncio::sleep(0);
    gathered.cancel("enough");
    const Ending end = co_await ending(gathered);
    BOOST_TEST(end.what() == "CancelledError('enough')");
    BOOST_TEST((loop.time() == 0));
    BOOST_TEST(!slow.done());
    const Ending later = co_await ending(slow);
    BOOST_TEST(later.what() == "CancelledError()");
  });
}

BOOST_AUTO_TEST_CASE(rule_68_with_return_exceptions_it_waits_for_all_and_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto slow = create_task(lingers(5));
    const auto gathered = gather(return_exceptions, slow, sleeps(10, 0));
    co_await asyncio::sleep(0);
    BOOST_TEST(gathered.cancel());
    const Ending end = co_await ending(gathered);
    BOOST_TEST(type_name(end.error) == "CancelledError");
    BOOST_TEST((loop.time() == 5));
    BOOST_TEST(slow.done());
  });
}

BOOST_AUTO_TEST_CASE(rule_68_with_return_exceptions_the_message_of_the_cancellation_comes_out) {
  const std::optional<std::string> messages[] = {std::nullopt, "my message"};
  for (const auto& message : messages) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto again_and_again = []() -> Coroutine<> {
        for (int i = 0; i != 20; ++i) co_await gather(return_exceptions, asyncio::sleep(1));
      };
      const auto task = create_task(again_and_again());
      co_await asyncio::sleep(3.5);
      message ? task.cancel(*message) : task.cancel();
      const Ending end = co_await ending(task);
      BOOST_TEST(end.what() == (message ? "CancelledError('my message')" : "CancelledError()"));
    });
  }
}

BOOST_AUTO_TEST_CASE(rule_68_once_the_children_are_done_it_cannot_be_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> future;
    const auto gathered = gather(result_of(future));
    co_await asyncio::sleep(0);  // the child waits
    bool accepted = true;
    future.add_done_callback([&] {
      BOOST_TEST(!gathered.done(), "it will hear of its child in the next pass");
      accepted = gathered.cancel();
    });
    future.set_result(42);
    auto [value] = co_await gathered;
    BOOST_TEST(!accepted);
    BOOST_TEST(value == 42);
  });
}

BOOST_AUTO_TEST_CASE(rule_68_children_that_wait_for_one_future_are_all_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> waiter;
    const std::vector children{create_task(waits(waiter)), create_task(waits(waiter))};
    const auto gathered = gather(children);
    const auto outer = create_task([&]() -> Coroutine<> { co_await gathered; });
    co_await asyncio::sleep(0);
    BOOST_TEST(outer.cancel());
    const Ending end = co_await ending(outer);
    BOOST_TEST(end.what() == "CancelledError()");
    BOOST_TEST(!gathered.cancel());
    BOOST_TEST(waiter.cancelled());
    for (const auto& child : children) BOOST_TEST(child.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_68_cancelling_it_goes_as_far_as_a_shield) {
  Loop loop;
  const std::vector children{loop.create_future<int>(), loop.create_future<int>()};
  const std::vector shields{shield(children[0]), shield(children[1])};
  const auto gathered = gather(shields);
  gathered.cancel();
  loop.pass();
  BOOST_TEST(repr(gathered.exception()) == "CancelledError()");
  BOOST_TEST(!gathered.cancelled());
  for (const auto& each : shields) BOOST_TEST(each.cancelled());
  for (const auto& child : children) BOOST_TEST(!child.done());
}

BOOST_AUTO_TEST_CASE(rule_68_cancelling_the_awaiting_task_cancels_the_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto child = create_task(sleeps(10, 0));
    const auto awaiter = create_task(
        [](Task<int> child) -> Coroutine<> { co_await gather(child, asyncio::sleep(10)); }, child);
    co_await asyncio::sleep(0);
    awaiter.cancel("enough");
    const Ending end = co_await ending(awaiter);
    BOOST_TEST(end.what() == "CancelledError('enough')");
    BOOST_TEST(child.cancelled());
  });
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(dropped_without_an_await_the_children_go_on) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    (void)gather(notes(log, "a"), notes(log, "b"));
    co_await asyncio::sleep(1);
  });
  BOOST_TEST(log == Lines({"a", "b", "a", "b"}), boost::test_tools::per_element());
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(rule_66_dropped_without_an_await_one_failure_is_reported_as_its_own) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    (void)gather(fails("x"), fails("y"));
    std::vector<Coroutine<int>> range;
    range.push_back(fails("z"));
    (void)gather(std::move(range));
    co_await asyncio::sleep(1);
  });
  BOOST_TEST(loop.reports() ==
                 Lines({"_GatheringFuture exception was never retrieved: ValueError('x')",
                        "_GatheringFuture exception was never retrieved: ValueError('z')"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_67_dropped_without_an_await_failures_are_results) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    (void)gather(return_exceptions, fails("x"), sleeps(1, 1), fails("y"));
    co_await asyncio::sleep(2);
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(refused_the_children_that_it_has_made_report_nothing) {
  Loop loop;
  Loop other;
  const auto theirs = other.create_future<int>();
  loop.run([&]() -> Coroutine<> {
    BOOST_CHECK_THROW((void)gather(fails("x"), theirs), ValueError);
    co_await asyncio::sleep(1);
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(dropped_without_an_await_it_leaves_the_results_to_the_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto child = create_task(owns(7));
    (void)gather(child, asyncio::sleep(0));
    co_await asyncio::sleep(1);
    const std::unique_ptr<int> value = co_await std::move(child);
    BOOST_TEST_REQUIRE(value);
    BOOST_TEST(*value == 7);
  });
}

BOOST_AUTO_TEST_CASE(dropped_with_a_done_callback_it_calls_it) {
  Loop loop;
  std::optional<std::tuple<int, int>> results;
  loop.run([&]() -> Coroutine<> {
    gather(sleeps(1, 1), sleeps(2, 2))
        .add_done_callback([&](const Future<std::tuple<int, int>>& gathered) {
          results = gathered.result();
        });
    co_await asyncio::sleep(3);
  });
  BOOST_TEST((results == std::tuple(1, 2)));
}

BOOST_AUTO_TEST_CASE(dropped_with_a_done_callback_it_goes_with_the_loop) {
  {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      gather(counted(1), counted(2)).add_done_callback([kept = Counted()] {});
      co_await asyncio::sleep(0);
    });
    BOOST_TEST(Counted::alive == 3);
  }
  BOOST_TEST(Counted::alive == 0);
  {
    Loop loop;
    const auto never_done = loop.create_future<>();
    gather(never_done).add_done_callback([kept = Counted()] {});
    BOOST_TEST(Counted::alive == 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  const auto passes = cancel_everywhere([](Loop&) -> Coroutine<> {
    auto [a, b, c] =
        co_await gather(counted(1), gather(counted(2), counted(1)), asyncio::sleep(0, Counted(5)));
    std::vector<Coroutine<Counted>> range;
    range.push_back(counted(2));
    range.push_back(counted(1));
    auto results = co_await gather(std::move(range));
    BOOST_TEST(results[0].value == 2);
  });
  BOOST_TEST(passes > 5u);
}

BOOST_AUTO_TEST_CASE(with_return_exceptions_nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    co_await gather(return_exceptions, counted(1), lingers(1), fails_after(2, "x"));
  });
}

// -- tasks and futures of any type

BOOST_AUTO_TEST_CASE(co2_an_any_task_is_a_future_and_stays_with_the_caller) {
  Loop loop;
  loop.create_task(returns(1));
  loop.create_task(fails("x"));
  const std::vector<AnyTask> tasks = all_tasks(loop);
  const auto all = loop.run_until_complete(gather(return_exceptions, tasks));
  BOOST_TEST(all[0].has_value());
  BOOST_TEST(repr(all[1].exception()) == "ValueError('x')");
  BOOST_TEST(tasks[0].done());
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(co2_an_any_task_is_cancelled_with_the_gathering) {
  Loop loop;
  const AnyTask task = loop.create_task(sleeps(1, 0));
  const auto all = gather(task);
  all.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
}

// -- results that fail to be copied

namespace {

struct Stubborn {
  Stubborn() = default;
  Stubborn(const Stubborn&) { throw ValueError("no copy"); }
  Stubborn(Stubborn&&) = default;
  Stubborn& operator=(Stubborn&&) = default;
};

Coroutine<Stubborn> stubborn() { co_return Stubborn(); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_copied_is_the_outcome_and_leaves_no_loop) {
  Loop loop;
  const Task<Stubborn> task = loop.create_task(stubborn());
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(gather(task)); }) == "ValueError('no copy')");
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(shield(loop.create_task(stubborn()))); }) ==
             "None");
  // Also if all is done already.
  loop.run([&]() -> Coroutine<> {
    const auto gathering = gather(task, task);
    BOOST_TEST(gathering.done());
    BOOST_TEST(repr(gathering.exception()) == "ValueError('no copy')");
    const auto of_range = gather(std::vector{task, task});
    BOOST_TEST(repr(of_range.exception()) == "ValueError('no copy')");
    co_return;
  });
}

BOOST_AUTO_TEST_CASE(a_result_that_nobody_else_holds_is_moved) {
  Loop loop;
  const auto body = []() -> Coroutine<> { (void)co_await gather(stubborn(), stubborn()); };
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(body()); }) == "None");
}

// -- a gathering that waits for itself

BOOST_AUTO_TEST_CASE(a_task_that_cancels_and_gathers_itself_is_told) {
  Loop loop;
  std::vector<Task<>> tasks;
  Lines log;
  const auto shutdown = [&]() -> Coroutine<> {
    for (const Task<>& task : tasks) task.cancel();
    const Ending end = co_await ending(gather(return_exceptions, tasks));
    log.push_back(end.what());
    co_await asyncio::sleep(1);
    log.push_back("and went on");
  };
  tasks.push_back(loop.create_task(waits(loop.create_future())));
  tasks.push_back(loop.create_task(shutdown()));
  loop.run_until_complete(asyncio::sleep(2));
  BOOST_TEST(log.front() ==
             "RuntimeError('maximum recursion depth exceeded: tasks wait for each other')");
  BOOST_TEST(tasks[1].done());
}

BOOST_AUTO_TEST_SUITE_END()
