// SPDX-License-Identifier: BSL-1.0
//
// Eager start and task factories: surface TA16-TA19, rule 51.
#include <asyncio/tasks.hpp>

#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/taskgroups.hpp>

#include "task_helpers.hpp"

using namespace task_tests;

BOOST_AUTO_TEST_SUITE(eager_tasks_tests)

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_that_does_not_block_is_born_done) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const AnyTask creator = current_task();
    const auto pass = loop.passes();
    AnyTask seen;
    const auto child = [&]() -> Coroutine<int> {
      seen = current_task();
      co_return 5;
    };
    const Task<int> task = loop.create_task(child(), {.eager_start = true});
    BOOST_TEST(task.done());
    BOOST_TEST(task.result() == 5);
    BOOST_TEST((seen == task));
    BOOST_TEST((current_task() == creator));
    BOOST_TEST(all_tasks().size() == 1u);
    const int result = co_await task;
    BOOST_TEST(result == 5);
    BOOST_TEST(loop.passes() == pass);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_that_blocks_goes_on_as_any_task) {
  VirtualLoop loop;
  Trace trace;
  const auto child = [&]() -> Coroutine<int> {
    trace.push_back("one");
    co_await asyncio::sleep(0);
    trace.push_back("two");
    co_return 5;
  };
  const auto body = [&]() -> Coroutine<> {
    const Task<int> task = loop.create_task(child(), {.name = "child", .eager_start = true});
    trace.push_back("parent");
    BOOST_TEST(!task.done());
    BOOST_TEST(all_tasks().size() == 2u);
    const int result = co_await task;
    BOOST_TEST(result == 5);
  };
  loop.run(body);
  BOOST_TEST(joined(trace) == "one parent two");
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_may_fail_or_end_cancelled_at_once) {
  VirtualLoop loop;
  Reports reports(loop);
  const auto cancelled = []() -> Coroutine<> {
    throw CancelledError();
    co_return;
  };
  const auto exits = []() -> Coroutine<> {
    throw SystemExit(2);
    co_return;
  };
  const auto body = [&]() -> Coroutine<> {
    const Task<> failed = loop.create_task(fail("text"), {.eager_start = true});
    BOOST_TEST(repr(failed.exception()) == "ValueError('text')");
    const Task<> gone = loop.create_task(cancelled(), {.eager_start = true});
    BOOST_TEST(gone.cancelled());
    BOOST_CHECK_THROW((void)loop.create_task(exits(), {.eager_start = true}), SystemExit);
    BOOST_TEST(all_tasks().size() == 1u);
    co_return;
  };
  loop.run(body);
  BOOST_TEST(reports.size() == 1u);  // nobody ever had the task that exited
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_cannot_enter_the_context_of_the_one_that_makes_it) {
  VirtualLoop loop;
  const Context context;
  int steps = 0;
  const auto child = [&]() -> Coroutine<> {
    ++steps;
    co_return;
  };
  const auto parent = [&]() -> Coroutine<> {
    BOOST_CHECK_THROW(create_task(child(), {.context = &context, .eager_start = true}),
                      RuntimeError);
    BOOST_TEST(all_tasks().size() == 2u);
    const Context copy = context.copy();
    co_await create_task(child(), {.context = &copy, .eager_start = true});
    co_await create_task(child(), {.context = &context});
  };
  const auto body = [&]() -> Coroutine<> {
    co_await create_task(parent(), {.context = &context});
  };
  loop.run(body);
  BOOST_TEST(steps == 2);
}

BOOST_AUTO_TEST_CASE(rule_51_a_loop_that_does_not_run_starts_nothing) {
  VirtualLoop loop;
  const Task<int> task = loop.create_task(value(5), {.eager_start = true});
  BOOST_TEST(!task.done());
  BOOST_TEST(loop.run_until_complete(task) == 5);
}

BOOST_AUTO_TEST_CASE(rule_51_eager_tasks_nest) {
  VirtualLoop loop;
  Trace trace;
  const auto inner = [&]() -> Coroutine<> {
    trace.push_back(current_task().get_name());
    co_return;
  };
  const auto outer = [&]() -> Coroutine<> {
    (void)loop.create_task(inner(), {.name = "inner", .eager_start = true});
    trace.push_back(current_task().get_name());
    co_await asyncio::sleep(0);
  };
  const auto body = [&]() -> Coroutine<> {
    const Task<> task = loop.create_task(outer(), {.name = "outer", .eager_start = true});
    trace.push_back(current_task().get_name());
    co_await task;
  };
  const Task<> task = loop.create_task(body(), {.name = "body"});
  loop.run_until_complete(task);
  BOOST_TEST(joined(trace) == "inner outer body");
}

BOOST_AUTO_TEST_CASE(rule_51_what_an_eager_task_completes_is_done_when_it_is_made) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<std::string> {
    const Future<std::string> future;
    const auto sets = [&]() -> Coroutine<> {
      future.set_result("my message");
      co_return;
    };
    const Task<> task = loop.create_task(sets(), {.eager_start = true});
    BOOST_TEST(task.done());
    co_return co_await future;
  };
  BOOST_TEST(loop.run(body) == "my message");
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_that_is_done_cannot_be_cancelled) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Task<int> task = loop.create_task(value(5), {.eager_start = true});
    BOOST_TEST(!task.cancel());
    const int result = co_await task;
    BOOST_TEST(result == 5);
    BOOST_TEST(!task.cancelled());
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_that_blocks_can_be_cancelled) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Task<> task = loop.create_task(yields(5), {.eager_start = true});
    task.cancel("message");
    BOOST_TEST(task.cancelling() == 1);
    co_await task;
  };
  BOOST_CHECK_EXCEPTION(loop.run(body), CancelledError, says("message"));
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_is_the_current_one_before_and_after_it_blocks) {
  VirtualLoop loop;
  std::vector<AnyTask> seen;
  const auto child = [&]() -> Coroutine<> {
    seen.push_back(current_task());
    co_await asyncio::sleep(1);
    seen.push_back(current_task());
  };
  const auto body = [&]() -> Coroutine<> {
    const Task<> task = loop.create_task(child(), {.eager_start = true});
    co_await task;
    BOOST_TEST((seen == std::vector<AnyTask>{task, task}));
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_task_is_among_all_tasks_until_it_is_done) {
  for (const bool blocks : {false, true}) {
    VirtualLoop loop;
    std::vector<AnyTask> during;
    const auto child = [&]() -> Coroutine<> {
      during = all_tasks();
      if (blocks) co_await asyncio::sleep(1);
    };
    const auto body = [&]() -> Coroutine<> {
      const AnyTask own = current_task();
      const Task<> task = loop.create_task(child(), {.eager_start = true});
      const std::vector<AnyTask> both{own, task};
      const std::vector<AnyTask> one{own};
      BOOST_TEST((during == both));
      BOOST_TEST((all_tasks() == (blocks ? both : one)));
      co_await task;
      BOOST_TEST((all_tasks() == one));
    };
    loop.run(body);
  }
}

BOOST_AUTO_TEST_CASE(ta16_the_task_factory_makes_the_tasks_of_the_loop) {
  VirtualLoop loop;
  Trace trace;
  BOOST_TEST(!loop.get_task_factory());
  loop.set_task_factory([&](EventLoop& which, AnyCoroutine coroutine, const TaskOptions& options) {
    BOOST_TEST((&which == &loop));
    trace.push_back(std::string(options.name));
    return std::move(coroutine).create_task(which, options);
  });
  BOOST_TEST(bool(loop.get_task_factory()));
  const Task<int> task = loop.create_task(value(5), {.name = "t"});
  BOOST_TEST(task.get_name() == "t");
  BOOST_TEST(loop.run_until_complete(task) == 5);
  BOOST_TEST(loop.run_until_complete(value(6)) == 6);
  BOOST_TEST(trace.size() == 2u);
  loop.set_task_factory(nullptr);
  BOOST_TEST(loop.run_until_complete(value(7)) == 7);
  BOOST_TEST(trace.size() == 2u);
}

BOOST_AUTO_TEST_CASE(ta16_a_factory_that_returns_something_else_is_a_type_error) {
  VirtualLoop loop;
  const Task<int> other = loop.create_task(value(1));
  const auto body = [](Counted) -> Coroutine<std::string> { co_return "text"; };
  loop.set_task_factory(
      [&](EventLoop&, AnyCoroutine, const TaskOptions&) { return AnyTask(other); });
  BOOST_CHECK_THROW((void)loop.create_task(body(Counted())), TypeError);
  loop.set_task_factory([&](EventLoop&, AnyCoroutine, const TaskOptions&) { return AnyTask(); });
  BOOST_CHECK_THROW((void)loop.create_task(body(Counted())), TypeError);
  BOOST_TEST(Counted::alive == 0);
  loop.set_task_factory(nullptr);
  loop.run_until_complete(other);
}

BOOST_AUTO_TEST_CASE(ta16_an_exception_of_the_factory_comes_out_of_create_task) {
  VirtualLoop loop;
  loop.set_task_factory(
      [](EventLoop&, AnyCoroutine, const TaskOptions&) -> AnyTask { throw ValueError("text"); });
  BOOST_CHECK_EXCEPTION((void)loop.create_task(value(1)), ValueError, says("text"));
}

BOOST_AUTO_TEST_CASE(ta18_the_eager_factory_starts_every_task_at_once) {
  VirtualLoop loop;
  loop.set_task_factory(eager_task_factory);
  const auto body = [&]() -> Coroutine<> {
    const Task<int> task = loop.create_task(value(5));
    BOOST_TEST(task.done());
    const Task<int> lazy = loop.create_task(value(5), {.eager_start = false});
    BOOST_TEST(!lazy.done());
    (void)co_await lazy;
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(ta19_an_eager_factory_around_a_constructor_of_ones_own) {
  VirtualLoop loop;
  int made = 0;
  loop.set_task_factory(create_eager_task_factory(
      [&](EventLoop& which, AnyCoroutine coroutine, const TaskOptions& options) {
        ++made;
        BOOST_TEST(options.eager_start.value_or(false));
        return std::move(coroutine).create_task(which, options);
      }));
  const auto body = [&]() -> Coroutine<> {
    const Task<int> task = loop.create_task(value(5));
    BOOST_TEST(task.done());
    co_return;
  };
  loop.run(body);
  BOOST_TEST(made == 2);
}

// -- who makes tasks, and how many

namespace {

Coroutine<int> chain(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await chain(depth - 1);
  co_return below + 1;
}

Coroutine<> nested_groups(int width, int depth) {
  if (depth == 0) co_return;
  const auto body = [&](TaskGroup& group) -> Coroutine<> {
    for (int i = 0; i != width; ++i) (void)group.create_task(nested_groups(width, depth - 1));
    co_return;
  };
  co_await task_group(body);
}

Coroutine<> nested_gathers(int width, int depth) {
  if (depth == 0) co_return;
  std::vector<Coroutine<>> children;
  for (int i = 0; i != width; ++i) children.push_back(nested_gathers(width, depth - 1));
  co_await gather(std::move(children));
}

/// How many tasks the loop made for a coroutine: at all, and to be started eagerly.
struct Made {
  template <class T>
  Made(Coroutine<T> coroutine, bool eagerly) {
    VirtualLoop loop;
    TaskFactory count = [this](EventLoop& which, AnyCoroutine body, const TaskOptions& options) {
      ++all;
      if (options.eager_start.value_or(false)) ++eager;
      return std::move(body).create_task(which, options);
    };
    loop.set_task_factory(eagerly ? create_eager_task_factory(count) : count);
    (void)loop.run_until_complete(std::move(coroutine));
    BOOST_TEST(all_tasks(loop).empty());
  }
  int all = 0;
  int eager = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(ta16_every_task_that_the_library_makes_is_made_by_the_factory) {
  for (const bool eagerly : {false, true}) {
    const Made for_chain(chain(100), eagerly);
    const Made for_groups(nested_groups(5, 4), eagerly);
    const Made for_gathers(nested_gathers(5, 4), eagerly);
    BOOST_TEST(for_chain.all == 1);
    BOOST_TEST(for_groups.all == 781);  // 1 + 5 + 25 + 125 + 625
    BOOST_TEST(for_gathers.all == 781);
    for (const Made& made : {for_chain, for_groups, for_gathers})
      BOOST_TEST(made.eager == (eagerly ? made.all : 0));
  }
}

BOOST_AUTO_TEST_SUITE_END()
