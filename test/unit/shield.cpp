// SPDX-License-Identifier: BSL-1.0
//
// shield() (surface CO6, rule 72, B2).
#include <asyncio/wait.hpp>

#include <optional>
#include <string>
#include <tuple>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

BOOST_AUTO_TEST_SUITE(shield_tests)

BOOST_AUTO_TEST_CASE(b2_a_coroutine_that_returns_at_once_takes_three_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(shield(returns(1)));
    BOOST_TEST(end.passes == 3u);
    const int value = co_await shield(returns(4));
    BOOST_TEST(value == 4);
  });
}

BOOST_AUTO_TEST_CASE(rule_72_what_is_done_is_given_back_itself) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> done;
    done.set_result(4);
    const Future<int> same = shield(done);
    BOOST_TEST((same == done));
    const Ending end = co_await ending(same);
    BOOST_TEST(end.passes == 0u);
  });
}

BOOST_AUTO_TEST_CASE(rule_72_the_outer_future_follows_the_inner_one) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const int value = co_await shield(sleeps(1, 5));
    const Ending failure = co_await ending(shield(fails_after(1, "x")));
    BOOST_TEST(value == 5);
    BOOST_TEST(failure.what() == "ValueError('x')");
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_72_cancelling_the_waiter_does_not_reach_the_inner_one) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto inner = create_task(sleeps(2, 6));
    const auto waiter =
        create_task([](Task<int> inner) -> Coroutine<> { co_await shield(inner); }, inner);
    co_await asyncio::sleep(0);
    waiter.cancel("enough");
    const Ending end = co_await ending(waiter);
    BOOST_TEST(end.what() == "CancelledError('enough')");
    BOOST_TEST((loop.time() == 0));
    BOOST_TEST(inner.cancelling() == 0);
    const int value = co_await inner;
    BOOST_TEST(value == 6);
  });
}

BOOST_AUTO_TEST_CASE(rule_72_the_outer_one_fails_with_the_very_exception_of_the_inner_one) {
  Loop loop;
  const Future<> inner = loop.create_future();
  const Future<> outer = shield(inner);
  inner.set_exception(ValueError("x"));
  loop.pass();
  BOOST_TEST((outer.exception() == inner.exception()));
}

BOOST_AUTO_TEST_CASE(rule_72_cancelling_the_outer_one_leaves_a_gathering_alone) {
  Loop loop;
  const Future<int> first = loop.create_future<int>();
  const Future<int> second = loop.create_future<int>();
  const auto inner = gather(first, second);
  const auto outer = shield(inner);
  outer.cancel();
  loop.pass();
  BOOST_TEST(outer.cancelled());
  first.set_result(1);
  second.set_result(2);
  loop.pass();
  BOOST_TEST((inner.result() == std::tuple(1, 2)));
}

BOOST_AUTO_TEST_CASE(rule_72_if_others_cancel_the_inner_one_the_outer_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> inner;
    const Future<> outer = shield(inner);
    loop.call_soon([inner] { inner.cancel(); });
    const Ending end = co_await ending(outer);
    BOOST_TEST(end.what() == "CancelledError()");
    BOOST_TEST(outer.cancelled());
    BOOST_TEST(end.passes == 3u);
  });
}

BOOST_AUTO_TEST_CASE(rule_72_a_later_failure_of_the_inner_one_is_reported_as_its_own) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> outer = shield(fails_after(1, "x"));
    outer.cancel();
    co_await asyncio::sleep(2);
  });
  BOOST_TEST(loop.reports() == Lines({"Task exception was never retrieved: ValueError('x')"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_72_a_failure_in_the_very_pass_of_the_cancellation_is_seen_to) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<> inner;
    const Future<> outer = shield(inner);
    inner.set_exception(ValueError("x"));
    outer.cancel();
    co_await asyncio::sleep(1);
  });
  BOOST_TEST(loop.reports() == Lines());
}

BOOST_AUTO_TEST_CASE(co6_outside_a_running_loop_the_current_one_takes_the_coroutine) {
  Loop loop;
  BOOST_TEST(thrown_by([] { (void)shield(returns(1)); }) ==
             "RuntimeError('There is no current event loop in this thread')");
  set_event_loop(&loop);
  const Future<int> outer = shield(returns(42));
  set_event_loop(nullptr);
  BOOST_TEST((&outer.get_loop() == &loop));
  BOOST_TEST(loop.run_until_complete(outer) == 42);
}

BOOST_AUTO_TEST_CASE(a_result_that_somebody_else_set_stays) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Future<int> inner;
    const Future<int> outer = shield(inner);
    inner.set_result(1);
    outer.set_result(2);
    const int value = co_await outer;
    BOOST_TEST(value == 2);
    co_await asyncio::sleep(0);
  });
}

BOOST_AUTO_TEST_CASE(dropped_without_an_await_the_inner_one_goes_on) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto inner = create_task(sleeps(1, 1));
    (void)shield(inner);
    (void)shield(sleeps(1, 1));
    const int value = co_await inner;
    BOOST_TEST(value == 1);
  });
  loop.pass();
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(dropped_without_an_await_it_reports_the_failure_as_its_own) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    (void)shield(fails("x"));
    co_await asyncio::sleep(1);
  });
  BOOST_TEST(loop.reports() == Lines({"Future exception was never retrieved: ValueError('x')"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(dropped_with_a_done_callback_it_calls_it) {
  Loop loop;
  std::optional<int> result;
  loop.run([&]() -> Coroutine<> {
    shield(sleeps(1, 9)).add_done_callback([&](const Future<int>& outer) {
      result = outer.result();
    });
    co_await asyncio::sleep(2);
  });
  BOOST_TEST((result == 9));
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    const auto inner = create_task(counted(1));
    const Ending end = co_await ending(shield(inner));
    if (!end.error) co_return;
    co_await inner;
    std::rethrow_exception(end.error);
  });
}

BOOST_AUTO_TEST_SUITE_END()
