// SPDX-License-Identifier: BSL-1.0
//
// task_group() and TaskGroup (surface CO15-CO17, rules 77, 78, 80, 81, B2).
#include <asyncio/taskgroups.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>

#include "captured_log.hpp"
#include "taskgroup_helpers.hpp"

using namespace on_virtual_time;

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
    std::optional<Task<int>> first;
    std::optional<Task<int>> second;
    const int value = co_await task_group([&](TaskGroup& group) -> Coroutine<int> {
      first = group.create_task(sleeps(3, 1));
      co_await asyncio::sleep(0.5);
      second = group.create_task(sleeps(2, 2), {.name = "second"});
      co_return 7;
    });
    BOOST_TEST(value == 7);
    BOOST_TEST(first->result() == 1);
    BOOST_TEST(second->result() == 2);
    BOOST_TEST(second->get_name() == "second");
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

BOOST_AUTO_TEST_CASE(cv5_a_child_may_be_given_its_context) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const ContextVar<int> variable("variable", 0);
    const auto set = [&](int value) -> Coroutine<> {
      co_await asyncio::sleep(0);
      (void)variable.set(value);
    };
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      const Context context = copy_context();
      for (const int value : {1, 2}) {
        co_await group.create_task(set(value), {.context = &context});
        BOOST_TEST(context.run([&] { return variable.get(); }) == value);
      }
    });
    BOOST_TEST(variable.get() == 0);
  });
}

BOOST_AUTO_TEST_CASE(children_that_are_done_are_not_kept) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      for (int i = 0; i != 10; ++i) {
        (void)group.create_task(sleeps(2.5, i));
        co_await asyncio::sleep(1);
      }
      BOOST_TEST(to_string(group) == "<TaskGroup tasks=2 entered>");
      co_await asyncio::sleep(2);
      BOOST_TEST(to_string(group) == "<TaskGroup entered>");
    });
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

BOOST_AUTO_TEST_CASE(rule_77_if_the_body_throws_at_once_the_children_never_start) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<>> child;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      child = group.create_task(lingers(2));
      throw ValueError("body");
      co_return;
    });
    BOOST_TEST(members(end.error) == "[ValueError('body')]");
    BOOST_TEST(child->cancelled());
    BOOST_TEST((loop.time() == 0));
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

BOOST_AUTO_TEST_CASE(rule_78_a_failing_child_ends_the_wait_for_its_siblings) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> sibling;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      for (int i = 0; i != 3; ++i) (void)group.create_task(fails_after(1, std::to_string(i)));
      sibling = group.create_task(sleeps(10, 0));
      co_return;
    });
    // Timers of one deadline fire in the order of rule 12.
    BOOST_TEST(members(end.error) == "[ValueError('0'), ValueError('2'), ValueError('1')]");
    BOOST_TEST(sibling->cancelled());
    BOOST_TEST((loop.time() == 1));
    BOOST_TEST(current_task().cancelling() == 0);
  });
}

BOOST_AUTO_TEST_CASE(rule_78_children_that_multiply_are_stopped_by_one_failure) {
  Loop loop;
  int heads = 0;
  std::function<Coroutine<>(TaskGroup)> hydra = [&](TaskGroup group) -> Coroutine<> {
    ++heads;
    co_await asyncio::sleep(1);
    for (int i = 0; i != 2; ++i) (void)group.create_task(hydra(group));
  };
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(hydra(group));
      (void)group.create_task(fails_after(3.5, "hercules"));
      co_return;
    });
    BOOST_TEST(members(end.error) == "[ValueError('hercules')]");
  });
  BOOST_TEST(heads == 1 + 2 + 4 + 8);
}

BOOST_AUTO_TEST_CASE(rule_80_a_child_that_is_cancelled_on_its_own_is_ignored) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Task<int>> other;
    const Ending end = co_await group_of([&](TaskGroup& group) -> Coroutine<> {
      const auto child = group.create_task(sleeps(10, 0));
      co_await asyncio::sleep(1);
      child.cancel();
      other = group.create_task(sleeps(2, 2));
      co_await ending(child);
      BOOST_TEST(child.cancelled());
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
    const unit_tests::CapturedLog log;
    Coroutine<> late = [](Counted) -> Coroutine<> { co_return; }(Counted());
    BOOST_TEST(Counted::alive == 1);
    BOOST_TEST(thrown_by([&] { (void)kept->create_task(std::move(late)); }) ==
               "RuntimeError('TaskGroup <TaskGroup entered> is finished')");
    BOOST_TEST(Counted::alive == 0, "the coroutine is closed");
    BOOST_TEST(log.messages().empty(), "and nobody is warned that it was never awaited");
    kept->cancel();  // harmless
    kept.reset();
  });
  BOOST_TEST(loop.reports() == Lines());
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

BOOST_AUTO_TEST_SUITE_END()
