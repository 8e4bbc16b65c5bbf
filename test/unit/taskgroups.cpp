// SPDX-License-Identifier: BSL-1.0
//
// task_group() and TaskGroup (surface CO15-CO18, rules 77-81, B2, B25).
#include <asyncio/taskgroups.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/timeouts.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// The await of a group, with what came out of it.
template <class Body>
Coroutine<Ending> group_of(Body body) {
  return ending(task_group(std::move(body)));
}

/// "text [member, member]", in brackets of their own for groups within groups.
std::string members(const std::exception_ptr& error) {
  const auto* group = exception_cast<ExceptionGroup>(error);
  const auto* base_group = exception_cast<BaseExceptionGroup>(error);
  if (!group && !base_group) return repr(error);
  std::string text;
  for (const std::exception_ptr& each : group ? group->exceptions() : base_group->exceptions())
    text += (text.empty() ? "[" : ", ") + members(each);
  return text + ']';
}

Coroutine<> exits() {
  throw SystemExit(3);
  co_return;
}

/// Ends with an exception when it is cancelled.
Coroutine<> fails_when_cancelled(std::string text) {
  try {
    co_await asyncio::sleep(1000);
  } catch (const CancelledError&) {
    throw ValueError(text);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(taskgroups_tests)

BOOST_AUTO_TEST_CASE(b2_without_children_it_takes_no_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([](TaskGroup&) { return nothing(); });
    BOOST_TEST(end.passes == 0u);
  });
}

BOOST_AUTO_TEST_CASE(b2_one_child_that_ends_at_once_takes_three_passes) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending returned = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(returns(1));
      co_return;
    });
    const Ending failed = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails("x"));
      co_return;
    });
    const Ending with_blocked_body = co_await group_of([](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails("x"));
      co_await waits(Future<>());
    });
    BOOST_TEST(returned.passes == 3u);
    BOOST_TEST(failed.passes == 3u);
    BOOST_TEST(with_blocked_body.passes == 3u);
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(b2_children_that_ended_earlier_take_no_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::uint64_t body_ended = 0;
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(returns(1));
      co_await asyncio::sleep(1);
      body_ended = loop.passes();
    });
    BOOST_TEST(loop.passes() == body_ended);
  });
}

BOOST_AUTO_TEST_CASE(co17_it_waits_for_its_children_and_gives_the_bodys_value) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> child;
    const int value = co_await task_group([&](TaskGroup& group) -> Coroutine<int> {
      child = group.create_task(sleeps(3, 1));
      (void)group.create_task(sleeps(2, 2), {.name = "second"});
      co_return 7;
    });
    BOOST_TEST(value == 7);
    BOOST_TEST(child->result() == 1);
    BOOST_TEST((loop.time() == 3));
  });
}

BOOST_AUTO_TEST_CASE(co17_the_value_may_be_one_that_cannot_be_copied) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto value = co_await task_group([](TaskGroup& group) -> Coroutine<std::unique_ptr<int>> {
      (void)group.create_task(sleeps(1, 1));
      co_return std::make_unique<int>(5);
    });
    BOOST_TEST(*value == 5);
  });
}

BOOST_AUTO_TEST_CASE(co16_children_may_be_made_of_callables_and_awaitables) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    int sum = 0;
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(
          [&sum, kept = std::string("abc")](int more) -> Coroutine<> {
            co_await asyncio::sleep(1);
            sum += static_cast<int>(kept.size()) + more;
          },
          4);
      (void)group.create_task(asyncio::sleep(2), {.name = "sleeper"});
      co_return;
    });
    BOOST_TEST(sum == 7);
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_77_children_may_add_children_while_it_waits) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task([&log, group]() mutable -> Coroutine<> {
        co_await asyncio::sleep(1);
        (void)group.create_task([&log]() -> Coroutine<> {
          co_await asyncio::sleep(1);
          log.push_back("grandchild");
        });
        log.push_back("child");
      });
      co_return;
    });
    log.push_back("group");
  });
  BOOST_TEST(log == Lines({"child", "grandchild", "group"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_77_if_the_body_throws_the_children_are_cancelled_and_waited_for) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<>> child;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      child = group.create_task(lingers(2));
      co_await asyncio::sleep(0);
      throw ValueError("body");
    });
    BOOST_TEST(members(end.error) == "[ValueError('body')]");
    BOOST_TEST(to_string(end.error) == "unhandled errors in a TaskGroup (1 sub-exception)");
    BOOST_TEST(child->cancelled());
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_77_if_the_parent_is_cancelled_while_it_waits_so_are_the_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<>> child;
    const auto parent = create_task([&]() -> Coroutine<> {
      co_await task_group([&](TaskGroup& group) -> Coroutine<> {
        child = group.create_task(lingers(2));
        co_return;
      });
    });
    co_await asyncio::sleep(0);
    co_await asyncio::sleep(0);
    parent.cancel("enough");
    co_await asyncio::sleep(1);
    BOOST_TEST(!parent.done());
    parent.cancel("again");
    const Ending end = co_await ending(parent);
    BOOST_TEST(end.what() == "CancelledError('enough')");
    BOOST_TEST(child->cancelled());
    BOOST_TEST((loop.time() == 2));
  });
}

BOOST_AUTO_TEST_CASE(rule_77_if_the_parent_is_cancelled_in_the_body_so_are_the_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> child;
    const auto parent = create_task([&]() -> Coroutine<> {
      co_await task_group([&](TaskGroup& group) -> Coroutine<> {
        child = group.create_task(sleeps(10, 0));
        co_await asyncio::sleep(10);
      });
    });
    co_await asyncio::sleep(1);
    parent.cancel("enough");
    const Ending end = co_await ending(parent);
    BOOST_TEST(end.what() == "CancelledError('enough')");
    BOOST_TEST(child->cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_78_a_failing_child_cancels_its_siblings_and_the_body) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> sibling;
    std::string body;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      sibling = group.create_task(sleeps(10, 0));
      (void)group.create_task(fails_after(1, "x"));
      try {
        co_await asyncio::sleep(10);
      } catch (const CancelledError&) {
        body = "cancelled";
        throw;
      }
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST(isinstance<ExceptionGroup>(end.error));
    BOOST_TEST(sibling->cancelled());
    BOOST_TEST(body == "cancelled");
    BOOST_TEST((loop.time() == 1));
    BOOST_TEST(current_task().cancelling() == 0);
    co_await asyncio::sleep(1);  // the parent is not cancelled any more
  });
}

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
        co_await asyncio::sleep(0);
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

BOOST_AUTO_TEST_CASE(rule_80_a_child_that_is_cancelled_on_its_own_is_ignored) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> other;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      const auto child = group.create_task(sleeps(10, 0));
      other = group.create_task(sleeps(2, 2));
      co_await asyncio::sleep(1);
      child.cancel();
    });
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(other->result() == 2);
  });
}

BOOST_AUTO_TEST_CASE(rule_81_a_group_that_is_finished_takes_no_children) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<TaskGroup> kept;
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      kept = group;
      BOOST_TEST(to_string(group) == "<TaskGroup entered>");
      (void)group.create_task(returns(1));
      BOOST_TEST(to_string(group) == "<TaskGroup tasks=1 entered>");
      co_return;
    });
    Coroutine<> late = [](Counted) -> Coroutine<> { co_return; }(Counted());
    BOOST_TEST(Counted::alive == 1);
    BOOST_TEST(thrown_by([&] { (void)kept->create_task(std::move(late)); }) ==
               "RuntimeError('TaskGroup <TaskGroup entered> is finished')");
    BOOST_TEST(Counted::alive == 0, "the coroutine is closed");
    kept->cancel();  // harmless
    kept.reset();
  });
  BOOST_TEST(loop.reports == Lines());
}

BOOST_AUTO_TEST_CASE(rule_81_a_group_that_shuts_down_takes_no_children) {
  Loop loop;
  std::string text;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(lingers(1));
      (void)group.create_task(fails("x"));
      const Ending cancelled = co_await ending(asyncio::sleep(10));
      text = thrown_by([&] { (void)group.create_task(returns(1)); });
    });
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
  });
  BOOST_TEST(text ==
             "RuntimeError('TaskGroup <TaskGroup tasks=1 errors=1 cancelling> is shutting down')");
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
    BOOST_TEST(members(end.error) ==
               "[ValueError('sibling'), [ValueError('x'), ValueError('y')]]");
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

// As 3.13.0 does it; from 3.13.2 on the failure waits for its turn in the queue.
BOOST_AUTO_TEST_CASE(r086_an_eager_child_that_fails_at_once_shuts_the_group_down_at_once) {
  Loop loop;
  loop.set_task_factory(eager_task_factory);
  loop.run([&]() -> Coroutine<> {
    std::string refusal;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(fails("x"));
      BOOST_TEST(current_task().cancelling() == 1);
      refusal = thrown_by([&] { (void)group.create_task(returns(1)); });
      co_await asyncio::sleep(1);
      BOOST_ERROR("the cancellation was lost");
    });
    BOOST_TEST(refusal.find("is shutting down") != std::string::npos);
    BOOST_TEST(members(end.error) == "[ValueError('x')]");
    BOOST_TEST(current_task().cancelling() == 0);
  });
  BOOST_TEST((loop.time() == 0));
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
