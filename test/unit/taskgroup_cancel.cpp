// SPDX-License-Identifier: BSL-1.0
//
// TaskGroup.cancel(), and groups that are cancelled from outside (surface CO18, rule 77, B25).
#include <asyncio/taskgroups.hpp>

#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include <asyncio/timeouts.hpp>

#include "taskgroup_helpers.hpp"

using namespace on_virtual_time;

BOOST_AUTO_TEST_SUITE(taskgroup_cancel_tests)

BOOST_AUTO_TEST_CASE(within_a_timeout_the_expiry_becomes_a_timeout_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(timeout(1, [] {
      return task_group([](TaskGroup& group) -> Coroutine<> {
        (void)group.create_task(lingers(1));
        co_return;
      });
    }));
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(co18_cancel_ends_the_group_without_an_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> child;
    std::string body;
    const Ending from_body = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      child = group.create_task(sleeps(10, 0));
      co_await asyncio::sleep(1);
      group.cancel();
      group.cancel();  // once is enough
      const Ending next = co_await ending(asyncio::sleep(10));
      body = next.what();
      std::rethrow_exception(next.error);
    });
    BOOST_TEST(from_body.what() == "None");
    BOOST_TEST(body == "CancelledError()");
    BOOST_TEST(child->cancelled());
    const Ending from_child = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task([group]() mutable -> Coroutine<> {
        co_await asyncio::sleep(1);
        group.cancel();
      });
      (void)group.create_task(sleeps(10, 0));
      co_return;
    });
    BOOST_TEST(from_child.what() == "None");
    BOOST_TEST((loop.time() == 2));
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(co18_errors_of_a_cancelled_group_come_out_all_the_same) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails_when_cancelled("x"));
      co_await asyncio::sleep(1);
      group.cancel();
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(co18_cancel_does_not_swallow_what_the_body_throws) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(sleeps(10, 0));
      group.cancel();
      BOOST_TEST(current_task().cancelling() == 1);
      throw ValueError("x");
      co_return;
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(co18_cancel_after_a_failure_changes_nothing) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails("x"));
      const Ending cancelled = co_await ending(asyncio::sleep(10));
      group.cancel();
      BOOST_TEST(current_task().cancelling() == 1);
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(co18_a_group_that_was_cancelled_takes_no_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string refusal;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      group.cancel();
      refusal = thrown_by([&] { (void)group.create_task(returns(1)); });
      co_return;
    });
    BOOST_TEST(refusal == "RuntimeError('TaskGroup <TaskGroup cancelling> is shutting down')");
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(co18_a_body_that_never_suspends_again_runs_to_its_end) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      group.cancel();
      co_return;
    });
    BOOST_TEST(end.passes == 0u);
    BOOST_TEST(end.what() == "None");
    const Ending next = co_await ending(asyncio::sleep(0));
    BOOST_TEST(next.what() == "None", "the group's own request was taken back");
  });
}

BOOST_AUTO_TEST_CASE(co18_a_cancellation_from_outside_is_not_swallowed) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(timeout(2, [] {
      return task_group([](TaskGroup& group) -> Coroutine<> {
        (void)group.create_task(lingers(5));
        co_await asyncio::sleep(1);
        group.cancel();
      });
    }));
    BOOST_TEST(end.what() == "TimeoutError()");
    BOOST_TEST((loop.time() == 6));
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(b25_an_outer_cancel_that_comes_while_it_waits_is_kept) {
  for (const bool body_ends_first : {true, false}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto parent = create_task([&]() -> Coroutine<> {
        co_await task_group([&](TaskGroup& group) -> Coroutine<> {
          (void)group.create_task(lingers(5));
          (void)group.create_task([group]() mutable -> Coroutine<> {
            co_await asyncio::sleep(1);
            group.cancel();
          });
          if (!body_ends_first) co_await asyncio::sleep(10);
        });
      });
      co_await asyncio::sleep(2);
      parent.cancel("outside");
      const Ending end = co_await ending(parent);
      BOOST_TEST(end.what() == "CancelledError('outside')");
      BOOST_TEST((loop.time() == 6));
      BOOST_TEST(parent.cancelling() == 1);
    });
  }
}

BOOST_AUTO_TEST_CASE(co18_a_body_that_does_not_come_to_give_its_value_is_a_runtime_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<int> {
      (void)group.create_task([group]() mutable -> Coroutine<> {
        group.cancel();
        co_return;
      });
      co_await asyncio::sleep(10);
      co_return 1;
    });
    BOOST_TEST(end.what() ==
               "RuntimeError('TaskGroup <TaskGroup cancelling> was cancelled before its body "
               "returned a value')");
    const int value = co_await task_group([](TaskGroup& group) -> Coroutine<int> {
      group.cancel();
      co_return 4;
    });
    BOOST_TEST(value == 4);
  });
}

BOOST_AUTO_TEST_CASE(an_eager_child_that_cancels_the_group_is_cancelled_too) {
  Loop loop;
  loop.set_task_factory(eager_task_factory);
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task([group]() mutable -> Coroutine<> {
        group.cancel();
        co_await asyncio::sleep(10);
      });
      co_return;
    });
    BOOST_TEST(end.what() == "None");
  });
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(an_eager_child_in_whose_first_step_another_fails_goes_on) {
  Loop loop;
  loop.set_task_factory(eager_task_factory);
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task([group]() mutable -> Coroutine<> {
        (void)group.create_task(fails("x"));
        co_await asyncio::sleep(5);
      });
      co_return;
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
  });
  BOOST_TEST((loop.time() == 5));
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    const Counted local;
    const Counted value = co_await task_group([](TaskGroup& group) -> Coroutine<Counted> {
      (void)group.create_task(counted(1));
      (void)group.create_task(lingers(1));
      Counted result = co_await counted(2);
      co_return result;
    });
  });
}

BOOST_AUTO_TEST_CASE(with_failures_nothing_is_left_behind_wherever_it_is_cancelled) {
  cancel_everywhere([](Loop&) -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& outer) -> Coroutine<> {
      (void)outer.create_task(counted(5));
      co_await task_group([](TaskGroup& inner) -> Coroutine<> {
        (void)inner.create_task(counted(3));
        (void)inner.create_task(fails_after(1, "x"));
        co_await counted(2);
      });
    });
    if (isinstance<CancelledError>(end.error)) std::rethrow_exception(end.error);
    co_await asyncio::sleep(1);
  });
}

BOOST_AUTO_TEST_SUITE_END()
