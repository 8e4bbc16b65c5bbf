// SPDX-License-Identifier: BSL-1.0
//
// timeout() and timeout_at() (surface CO8-CO14, rules 74-76, B2).
#include <asyncio/timeouts.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <asyncio/taskgroups.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;
using namespace std::chrono_literals;

namespace {

/// The await of a scope, with what came out of it.
template <class Body>
Coroutine<Ending> within(std::optional<Duration> delay, Body body) {
  return ending(timeout(delay, std::move(body)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timeouts_tests)

BOOST_AUTO_TEST_CASE(b2_a_past_deadline_and_a_body_that_blocks_take_two_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending zero = co_await within(0, [] { return waits(Future<>()); });
    const Ending negative = co_await within(-1, [] { return waits(Future<>()); });
    BOOST_TEST(zero.passes == 2u);
    BOOST_TEST(zero.what() == "TimeoutError()");
    BOOST_TEST(negative.passes == 2u);
    BOOST_TEST(negative.what() == "TimeoutError()");
  });
}

BOOST_AUTO_TEST_CASE(b2_a_past_deadline_and_a_bare_yield_take_one_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    for (const double delay : {0, -11}) {
      const Ending end =
          co_await within(delay, []() -> Coroutine<> { co_await asyncio::sleep(0); });
      BOOST_TEST(end.passes == 1u);
      BOOST_TEST(end.what() == "TimeoutError()");
    }
  });
}

BOOST_AUTO_TEST_CASE(b2_a_body_that_does_not_block_has_no_timeout) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await within(0, nothing);
    BOOST_TEST(end.passes == 0u);
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(current_task().cancelling() == 0);
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_74_expiry_cancels_the_body_and_becomes_a_timeout_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string seen;
    const Ending end = co_await within(2, [&]() -> Coroutine<> {
      try {
        co_await asyncio::sleep(10);
      } catch (const CancelledError&) {
        seen = "cancelled";
        throw;
      }
    });
    BOOST_TEST(seen == "cancelled");
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(type_name(cause(end.error)) == "CancelledError");
    BOOST_TEST(current_task().cancelling() == 0);
    BOOST_TEST((loop.time() == 2));
    co_await asyncio::sleep(1);  // the task is not cancelled any more
  });
}

BOOST_AUTO_TEST_CASE(rule_74_a_body_in_time_gives_its_value_and_the_timer_goes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const int value = co_await timeout(5, [] { return sleeps(1, 3); });
    const auto owned = co_await timeout(
        5, [&]() -> Coroutine<std::unique_ptr<int>> { co_return std::make_unique<int>(4); });
    BOOST_TEST(value == 3);
    BOOST_TEST(*owned == 4);
  });
  BOOST_TEST(loop.leftovers() == Lines());
  BOOST_TEST((loop.time() == 1));
}

BOOST_AUTO_TEST_CASE(co8_several_awaits_share_one_limit) {
  const auto outcome = [](double each) -> Coroutine<std::string> {
    try {
      co_await timeout(0.5, [&]() -> Coroutine<> {
        co_await asyncio::sleep(each);
        co_await asyncio::sleep(each);
      });
    } catch (const TimeoutError&) {
      co_return "Alas, too slow!";
    }
    co_return "Made it!";
  };
  Loop loop;
  BOOST_TEST(loop.run_until_complete(outcome(0.2)) == "Made it!");
  BOOST_TEST(loop.run_until_complete(outcome(0.3)) == "Alas, too slow!");
  BOOST_TEST((loop.time() == 0.9));
}

BOOST_AUTO_TEST_CASE(rule_74_without_a_delay_there_is_no_limit) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await within(std::nullopt, [](Timeout& scope) -> Coroutine<> {
      BOOST_TEST(!scope.when());
      co_await asyncio::sleep(1e6);
      BOOST_TEST(!scope.expired());
    });
    BOOST_TEST(end.what() == "None");
  });
}

BOOST_AUTO_TEST_CASE(co9_timeout_at_takes_a_point_of_loop_time) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    co_await asyncio::sleep(10);
    const Ending late = co_await ending(timeout_at(loop.time() + 2, [] { return sleeps(100, 0); }));
    BOOST_TEST(late.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 12));
    const Ending past = co_await ending(timeout_at(TimePoint(1), [] { return sleeps(100, 0); }));
    BOOST_TEST(past.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 12));
    const Ending none = co_await ending(timeout_at(std::nullopt, [] { return sleeps(100, 0); }));
    BOOST_TEST(none.what() == "None");
  });
}

BOOST_AUTO_TEST_CASE(rule_74_a_body_that_ends_normally_in_spite_of_the_expiry_is_no_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const int value = co_await timeout(1, [](Timeout& scope) -> Coroutine<int> {
      try {
        co_await asyncio::sleep(10);
      } catch (const CancelledError&) {
      }
      BOOST_TEST(scope.expired());
      co_return 5;
    });
    BOOST_TEST(value == 5);
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_74_another_exception_comes_out_as_it_is) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending at_once = co_await within(1, [] { return fails("x"); });
    const Ending expired = co_await within(1, []() -> Coroutine<> {
      try {
        co_await asyncio::sleep(10);
      } catch (const CancelledError&) {
        throw ValueError("y");
      }
    });
    BOOST_TEST(at_once.what() == "ValueError('x')");
    BOOST_TEST(expired.what() == "ValueError('y')");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_74_a_cancelled_error_of_the_body_is_no_expiry) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await within(1, []() -> Coroutine<> {
      throw CancelledError("mine");
      co_return;
    });
    BOOST_TEST(end.what() == "CancelledError('mine')");
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_75_nested_the_scope_that_expired_converts) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string inner;
    const Ending outer = co_await within(5, [&]() -> Coroutine<> {
      const Ending end = co_await within(1, [] { return sleeps(10, 0); });
      inner = end.what();
      co_await asyncio::sleep(1);
    });
    BOOST_TEST(inner == "TimeoutError()");
    BOOST_TEST(outer.what() == "None");
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_75_nested_the_outer_expiry_passes_through_the_inner_scope) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string inner;
    const Ending outer = co_await within(1, [&]() -> Coroutine<> {
      const Ending end = co_await within(5, [] { return sleeps(10, 0); });
      inner = end.what();
      std::rethrow_exception(end.error);
    });
    BOOST_TEST(inner == "CancelledError()");
    BOOST_TEST(outer.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 1));
  });
}

BOOST_AUTO_TEST_CASE(rule_75_when_both_expire_in_one_pass_the_outer_wins) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string inner;
    const Ending outer = co_await within(1, [&](Timeout& first) -> Coroutine<> {
      const Ending end = co_await within(1, [&](Timeout& second) -> Coroutine<> {
        const Ending sleep = co_await ending(asyncio::sleep(10));
        BOOST_TEST(first.expired());
        BOOST_TEST(second.expired());
        std::rethrow_exception(sleep.error);
      });
      inner = end.what();
      std::rethrow_exception(end.error);
    });
    BOOST_TEST(inner == "CancelledError()");
    BOOST_TEST(outer.what() == "TimeoutError()");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_75_a_scope_within_one_that_has_expired_has_its_own_timeout) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string cleanup;
    const Ending outer = co_await within(1, [&]() -> Coroutine<> {
      const Ending work = co_await ending(asyncio::sleep(10));
      const Ending end = co_await within(1, [] { return sleeps(10, 0); });
      cleanup = end.what();
      std::rethrow_exception(work.error);
    });
    BOOST_TEST(cleanup == "TimeoutError()");
    BOOST_TEST(outer.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_75_a_task_that_cancels_itself_within_the_scope_is_cancelled) {
  Loop loop;
  for (const bool cancelled_before : {false, true}) {
    const auto task = loop.create_task([&]() -> Coroutine<> {
      if (cancelled_before) {
        current_task().cancel();
        const Ending swallowed = co_await ending(asyncio::sleep(10));
      }
      co_await timeout(10, [](Timeout& scope) -> Coroutine<> {
        current_task().cancel("self");
        const Ending sleep = co_await ending(asyncio::sleep(20));
        BOOST_TEST(!scope.expired());
        std::rethrow_exception(sleep.error);
      });
    });
    BOOST_TEST(loop.run([&] { return ending(task); }).what() == "CancelledError('self')");
  }
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(rule_75_an_error_in_a_task_group_within_the_scope_comes_out_of_it) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await within(1, [] {
      return task_group([](TaskGroup& group) -> Coroutine<> {
        (void)group.create_task([]() -> Coroutine<> {
          const Ending interrupted = co_await ending(asyncio::sleep(2));
          throw ValueError("cleanup");
        });
        co_await asyncio::sleep(2);
      });
    });
    const auto* group = exception_cast<ExceptionGroup>(end.error);
    BOOST_TEST_REQUIRE(group);
    BOOST_TEST_REQUIRE(group->exceptions().size() == 1u);
    BOOST_TEST(repr(group->exceptions()[0]) == "ValueError('cleanup')");
    BOOST_TEST(current_task().cancelling() == 0);
    co_await asyncio::sleep(0);
  });
}

BOOST_AUTO_TEST_CASE(rule_75_a_cancellation_from_outside_wins_over_the_expiry) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    Task<> task;
    task = create_task([&]() -> Coroutine<> {
      co_await timeout(1, [&]() -> Coroutine<> {
        loop.call_later(1, [&] { task.cancel("outside"); });
        co_await asyncio::sleep(10);
      });
    });
    const Ending end = co_await ending(task);
    BOOST_TEST(type_name(end.error) == "CancelledError");
    BOOST_TEST(task.cancelling() == 1);
  });
}

BOOST_AUTO_TEST_CASE(rule_75_requests_from_before_the_scope_do_not_count) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task([]() -> Coroutine<> {
      try {
        co_await asyncio::sleep(10);
      } catch (const CancelledError&) {
      }
      co_await timeout(1, [] { return sleeps(10, 0); });
    });
    co_await asyncio::sleep(0);
    task.cancel();
    const Ending end = co_await ending(task);
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST(task.cancelling() == 1);
  });
}

BOOST_AUTO_TEST_CASE(rule_76_the_deadline_may_be_moved) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending later = co_await within(1, [&](Timeout& scope) -> Coroutine<> {
      BOOST_TEST((scope.when() == loop.time() + 1));
      scope.reschedule(loop.time() + 5);
      BOOST_TEST((scope.when() == loop.time() + 5));
      co_await asyncio::sleep(3);
      BOOST_TEST(!scope.expired());
    });
    BOOST_TEST(later.what() == "None");
    const Ending sooner = co_await within(100, [&](Timeout& scope) -> Coroutine<> {
      scope.reschedule(loop.time());
      co_await asyncio::sleep(1);
    });
    BOOST_TEST(sooner.what() == "TimeoutError()");
    const Ending never = co_await within(1, [&](Timeout& scope) -> Coroutine<> {
      scope.reschedule(std::nullopt);
      BOOST_TEST(!scope.when());
      co_await asyncio::sleep(50);
    });
    BOOST_TEST(never.what() == "None");
    BOOST_TEST((loop.time() == 53));
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(rule_76_others_may_move_the_deadline_while_the_body_sleeps) {
  Loop loop;
  Timeout* scope = nullptr;
  const auto task = loop.create_task([&]() -> Coroutine<> {
    co_await timeout_at(TimePoint(10), [&](Timeout& own) -> Coroutine<> {
      scope = &own;
      const Ending sleep = co_await ending(asyncio::sleep(50));
      BOOST_TEST(!own.expired());
      std::rethrow_exception(sleep.error);
    });
  });
  loop.run([&]() -> Coroutine<> {
    co_await asyncio::sleep(1);
    BOOST_TEST((scope->when() == TimePoint(10)));
    scope->reschedule(TimePoint(30));
    BOOST_TEST((scope->when() == TimePoint(30)));
    co_await asyncio::sleep(20);
    scope->reschedule(std::nullopt);
    BOOST_TEST(!scope->when());
    co_await asyncio::sleep(20);
  });
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(the_deadline_is_printed_in_milliseconds_as_in_python) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    for (const auto& [when, text] : {std::pair(12.3456, "12.346"), std::pair(2.0, "2.0"),
                                     std::pair(0.0004, "0.0"), std::pair(1e6 + 0.1, "1000000.1")}) {
      Timeout scope{TimePoint(when)};
      scope.enter();
      BOOST_TEST(to_string(scope) == std::string("<Timeout [active] when=") + text + '>');
      scope.exit(nullptr);
    }
    co_return;
  });
}

BOOST_AUTO_TEST_CASE(rule_76_wrong_states_are_runtime_errors) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    Timeout scope(std::nullopt);
    const auto move = [&] { scope.reschedule(loop.time() + 1); };
    BOOST_TEST(thrown_by(move) == "RuntimeError('Timeout has not been entered')");
    BOOST_TEST(to_string(scope) == "<Timeout [created]>");
    scope.enter();
    BOOST_TEST(to_string(scope) == "<Timeout [active] when=None>");
    BOOST_TEST(thrown_by([&] { scope.enter(); }) ==
               "RuntimeError('Timeout has already been entered')");
    scope.exit(nullptr);
    BOOST_TEST(thrown_by(move) == "RuntimeError('Cannot change state of finished Timeout')");
    BOOST_TEST(thrown_by([&] { scope.enter(); }) ==
               "RuntimeError('Timeout has already been entered')");
    BOOST_TEST(to_string(scope) == "<Timeout [finished]>");
    co_return;
  });
}

BOOST_AUTO_TEST_CASE(rule_76_after_the_expiry_the_deadline_stays) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    Timeout scope(loop.time() + 1.5);
    scope.enter();
    BOOST_TEST(to_string(scope) == "<Timeout [active] when=1.5>");
    std::exception_ptr error;
    try {
      co_await asyncio::sleep(10);
    } catch (const CancelledError&) {
      error = std::current_exception();
    }
    const auto move = [&] { scope.reschedule(loop.time() + 1); };
    BOOST_TEST(scope.expired());
    BOOST_TEST(to_string(scope) == "<Timeout [expiring]>");
    BOOST_TEST(thrown_by(move) == "RuntimeError('Cannot change state of expiring Timeout')");
    BOOST_TEST(thrown_by([&] { scope.exit(error); }) == "TimeoutError()");
    BOOST_TEST(scope.expired());
    BOOST_TEST(to_string(scope) == "<Timeout [expired]>");
    BOOST_TEST(thrown_by(move) == "RuntimeError('Cannot change state of expired Timeout')");
  });
}

BOOST_AUTO_TEST_CASE(rule_74_it_needs_a_task) {
  Loop loop;
  Timeout scope(std::nullopt);
  std::string text;
  loop.call_soon([&] { text = thrown_by([&] { scope.enter(); }); });
  loop.pass();
  BOOST_TEST(text == "RuntimeError('Timeout should be used inside a task')");
  BOOST_TEST(thrown_by([&] { scope.reschedule(TimePoint(1)); }) ==
             "RuntimeError('Timeout has not been entered')");
}

BOOST_AUTO_TEST_CASE(the_callable_lives_until_it_is_done) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto make = [] {
      const auto body = [kept = Counted(6)]() -> Coroutine<int> {
        co_await asyncio::sleep(1);
        co_return kept.value;
      };
      return timeout(5, body);
    };
    const int value = co_await make();
    BOOST_TEST(value == 6);
    BOOST_TEST(Counted::alive == 0);
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    const Counted local;
    const Counted value = co_await timeout(5, [] { return counted(1); });
    const Ending late = co_await within(1, [] { return timeout(2, [] { return counted(9); }); });
    if (isinstance<CancelledError>(late.error)) std::rethrow_exception(late.error);
    const Ending at_once = co_await within(0, [] { return counted(9); });
    if (isinstance<CancelledError>(at_once.error)) std::rethrow_exception(at_once.error);
  });
}

BOOST_AUTO_TEST_SUITE_END()
