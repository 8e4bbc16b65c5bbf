// SPDX-License-Identifier: BSL-1.0
//
// What comes out of a TaskGroup when something fails, and of nested ones (rule 79).
#include <asyncio/taskgroups.hpp>

#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "taskgroup_helpers.hpp"

using namespace on_virtual_time;

BOOST_AUTO_TEST_SUITE(taskgroup_errors_tests)

BOOST_AUTO_TEST_CASE(rule_79_errors_have_the_order_of_completion_the_bodys_own_is_last) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task([]() -> Coroutine<> {
        const Ending cancelled = co_await ending(asyncio::sleep(10));
        co_await asyncio::sleep(2);
        throw ValueError("slow");
      });
      (void)group.create_task(fails_when_cancelled("fast"));
      (void)group.create_task(fails_after(1, "first"));
      const Ending cancelled = co_await ending(asyncio::sleep(10));
      throw RuntimeError("body");
    });
    BOOST_TEST(members(end.error) ==
               "[ValueError('first'), ValueError('fast'), ValueError('slow'), "
               "RuntimeError('body')]");
    BOOST_TEST(to_string(end.error) == "unhandled errors in a TaskGroup (4 sub-exceptions)");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_79_system_exit_of_a_child_comes_out_bare) {
  Loop loop;
  const auto main = loop.create_task([]() -> Coroutine<> {
    co_await task_group([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(exits());
      (void)group.create_task(fails_when_cancelled("lost"));
      co_await asyncio::sleep(10);
    });
  });
  // It leaves the loop twice: out of the child, then out of the parent (rule 42).
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(main); }) == "SystemExit(3)");
  BOOST_TEST(!main.done());
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(main); }) == "SystemExit(3)");
  BOOST_TEST(main.done());
  BOOST_TEST(repr(main.exception()) == "SystemExit(3)");
}

BOOST_AUTO_TEST_CASE(rule_79_keyboard_interrupt_of_the_body_comes_out_bare) {
  Loop loop;
  std::optional<Task<int>> child;
  const std::string text = thrown_by([&] {
    loop.run([&]() -> Coroutine<> {
      co_await task_group([&](TaskGroup& group) -> Coroutine<> {
        child = group.create_task(sleeps(10, 0));
        (void)group.create_task(fails_after(1, "lost"));
        const Ending cancelled = co_await ending(asyncio::sleep(10));
        throw KeyboardInterrupt();
      });
    });
  });
  BOOST_TEST(text == "KeyboardInterrupt()");
  BOOST_TEST(child->cancelled());
}

BOOST_AUTO_TEST_CASE(rule_79_a_cancelled_error_of_the_body_comes_out) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(sleeps(10, 0));
      throw CancelledError("mine");
      co_return;
    });
    BOOST_TEST(end.what() == "CancelledError('mine')");
  });
}

BOOST_AUTO_TEST_CASE(rule_79_other_base_exceptions_make_a_base_exception_group) {
  struct Alarm : BaseException {
    using BaseException::BaseException;
  };
  const auto alarms_after = [](double seconds) -> Coroutine<> {
    const Ending end = co_await ending(asyncio::sleep(seconds));
    throw Alarm("x");
  };
  for (const bool in_body : {true, false}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
        if (in_body) {
          (void)group.create_task(fails_after(1, "child"));
          co_await alarms_after(10);
        } else {
          (void)group.create_task(alarms_after(1));
          co_await fails_when_cancelled("body");
        }
      });
      BOOST_TEST(isinstance<BaseExceptionGroup>(end.error));
      BOOST_TEST(members(end.error) == (in_body ? "[ValueError('child'), Alarm('x')]"
                                                : "[Alarm('x'), ValueError('body')]"));
      BOOST_TEST(current_task().cancelling() == 0);
    });
  }
}

BOOST_AUTO_TEST_CASE(rule_79_a_cancelled_body_that_throws_something_else_is_an_error) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto parent = create_task([]() -> Coroutine<> {
      co_await task_group([](TaskGroup&) { return fails_when_cancelled("x"); });
    });
    co_await asyncio::sleep(1);
    parent.cancel();
    const Ending end = co_await ending(parent);
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
  });
}

BOOST_AUTO_TEST_CASE(rule_79_a_child_that_fails_while_the_cancelled_body_cleans_up_is_an_error) {
  const auto parent = []() -> Coroutine<> {
    co_await task_group([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails_after(3, "x"));
      co_await lingers(5);
    });
  };
  for (const bool through_a_task : {false, true}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto inner = create_task(parent());
      const auto outer = through_a_task ? create_task(waits(inner)) : inner;
      co_await asyncio::sleep(1);
      outer.cancel();
      const Ending end = co_await ending(outer);
      BOOST_TEST(members(end.error) == "[ValueError('x')]");
      BOOST_TEST((loop.time() == 3));
    });
  }
}

BOOST_AUTO_TEST_CASE(rule_79_a_failure_in_the_pass_of_the_outer_cancel_keeps_both) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Event about_to_fail;
    const auto fails_soon = [&]() -> Coroutine<> {
      about_to_fail.set();
      co_await asyncio::sleep(0);
      throw ValueError("x");
    };
    std::string group_gave;
    const auto parent = create_task([&]() -> Coroutine<> {
      const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
        (void)group.create_task(fails_soon());
        co_await asyncio::sleep(1);
        BOOST_ERROR("the cancellation was lost");
      });
      group_gave = members(end.error);
      BOOST_TEST(current_task().cancelling() == 1);
      co_await asyncio::sleep(1);
      BOOST_ERROR("the outer cancellation was lost");
    });
    co_await about_to_fail.wait();
    parent.cancel();
    const Ending end = co_await ending(parent);
    BOOST_TEST(group_gave == "[ValueError('x')]");
    BOOST_TEST(parent.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_79_with_errors_and_an_outer_cancel_the_next_await_is_cancelled) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::string group_gave;
    std::string next_await;
    int cancelling = 0;
    const auto parent = create_task([&]() -> Coroutine<> {
      const Ending end = co_await group_of([](TaskGroup& group) -> Coroutine<> {
        (void)group.create_task(fails_when_cancelled("x"));
        co_await asyncio::sleep(10);
      });
      group_gave = members(end.error);
      cancelling = current_task().cancelling();
      const Ending next = co_await ending(asyncio::sleep(10));
      next_await = next.what();
    });
    co_await asyncio::sleep(1);
    parent.cancel();
    co_await parent;
    BOOST_TEST(group_gave == "[ValueError('x')]");
    BOOST_TEST(cancelling == 1);
    BOOST_TEST(next_await == "CancelledError()");
    BOOST_TEST(parent.cancelling() == 1);
  });
}

BOOST_AUTO_TEST_CASE(nested_groups_give_nested_exception_groups) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& outer) -> Coroutine<> {
      (void)outer.create_task(fails_when_cancelled("sibling"));
      co_await task_group([](TaskGroup& inner) -> Coroutine<> {
        (void)inner.create_task(fails_after(1, "x"));
        (void)inner.create_task(fails_when_cancelled("y"));
        co_return;
      });
    });
    BOOST_TEST(members(end.error) == "[ValueError('sibling'), [ValueError('x'), ValueError('y')]]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(nested_groups_that_fail_in_one_pass_lose_nothing) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& outer) -> Coroutine<> {
      (void)outer.create_task(fails_after(1, "outer"));
      co_await task_group([](TaskGroup& inner) -> Coroutine<> {
        (void)inner.create_task(fails_after(1, "inner"));
        co_await asyncio::sleep(10);
      });
    });
    BOOST_TEST(members(end.error) == "[ValueError('outer'), [ValueError('inner')]]");
    BOOST_TEST(current_task().cancelling() == 0);
    co_await asyncio::sleep(0);
  });
}

BOOST_AUTO_TEST_CASE(a_child_of_the_outer_group_that_fails_ends_the_inner_group_without_errors) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& outer) -> Coroutine<> {
      (void)outer.create_task(fails_after(1, "x"));
      co_await task_group([](TaskGroup& inner) -> Coroutine<> {
        (void)inner.create_task(sleeps(10, 0));
        co_return;
      });
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST((loop.time() == 1));
  });
}

BOOST_AUTO_TEST_CASE(errors_of_an_inner_group_that_is_cancelled_from_outside_come_out_of_both) {
  for (const bool outer_has_a_child : {false, true}) {
    Loop loop;
    loop.run([&]() -> Coroutine<> {
      const auto parent = create_task([&]() -> Coroutine<> {
        co_await task_group([&](TaskGroup& outer) -> Coroutine<> {
          if (outer_has_a_child) (void)outer.create_task(asyncio::sleep(10));
          co_await task_group([](TaskGroup& inner) -> Coroutine<> {
            for (const char* name : {"a", "b"}) (void)inner.create_task(fails_when_cancelled(name));
            co_await asyncio::sleep(10);
          });
        });
      });
      co_await asyncio::sleep(1);
      parent.cancel();
      const Ending end = co_await ending(parent);
      BOOST_TEST(members(end.error) == "[[ValueError('a'), ValueError('b')]]");
    });
  }
}

BOOST_AUTO_TEST_CASE(an_inner_group_whose_errors_are_caught_keeps_the_request_of_the_outer_one) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup& outer) -> Coroutine<> {
      const Ending caught = co_await group_of([&](TaskGroup& inner) -> Coroutine<> {
        (void)inner.create_task(fails_after(0, "inner"));
        (void)outer.create_task(fails_after(0, "outer"));
        co_return;
      });
      BOOST_TEST(members(caught.error) == "[ValueError('inner')]");
      BOOST_TEST(current_task().cancelling() == 1);
    });
    BOOST_TEST(members(end.error) == "[ValueError('outer')]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()
