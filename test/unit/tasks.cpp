// SPDX-License-Identifier: BSL-1.0
//
// Task<T>: surface A5, rules 38-63.
#include <asyncio/tasks.hpp>

#include <memory>
#include <optional>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

Coroutine<int> value(int result) { co_return result; }

Coroutine<> fail(std::string text) {
  throw ValueError(text);
  co_return;
}

Coroutine<> yields(int times) {
  for (int i = 0; i != times; ++i) co_await asyncio::sleep(0);
}

Coroutine<> wait_on(AnyFuture future) { co_await future; }

/// Waits, and hands out what came instead of a result.
Coroutine<> catch_into(AnyFuture future, std::exception_ptr* error) {
  try {
    co_await future;
  } catch (...) {
    *error = std::current_exception();
  }
}

std::string names_of(const std::vector<AnyTask>& tasks) {
  Trace names;
  for (const AnyTask& task : tasks) names.push_back(task.get_name());
  return joined(names);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tasks_tests)

// -- B5

BOOST_AUTO_TEST_CASE(rule_38_nothing_runs_before_the_next_pass) {
  VirtualLoop loop;
  Trace trace;
  const auto child = [&]() -> Coroutine<> {
    trace.push_back("child");
    co_return;
  };
  const auto parent = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    const Task<> task = loop.create_task(child());
    trace.push_back("parent");
    BOOST_TEST(!task.done());
    co_await task;
    BOOST_TEST(loop.passes() == pass + 2);  // B2: one to run, one to wake
  };
  loop.run(parent);
  BOOST_TEST(joined(trace) == "parent child");
}

BOOST_AUTO_TEST_CASE(rule_38_tasks_start_in_the_order_of_creation_among_callbacks) {
  VirtualLoop loop;
  Trace trace;
  const auto note = [&](std::string name) -> Coroutine<> {
    trace.push_back(name);
    co_return;
  };
  const Task<> a = loop.create_task(note("a"));
  loop.call_soon([&] { trace.push_back("b"); });
  const Task<> c = loop.create_task(note("c"));
  loop.pass();
  BOOST_TEST(joined(trace) == "a b c");
}

BOOST_AUTO_TEST_CASE(b2_awaiting_a_done_task_does_not_yield) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Task<int> task = loop.create_task(value(5));
    co_await yields(2);
    BOOST_TEST(task.done());
    const auto pass = loop.passes();
    const int result = co_await task;
    BOOST_TEST(result == 5);
    BOOST_TEST(loop.passes() == pass);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(b2_a_bare_yield_takes_one_pass) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    auto pass = loop.passes();
    co_await asyncio::sleep(0);
    BOOST_TEST(loop.passes() == pass + 1);
    pass = loop.passes();
    co_await asyncio::sleep(-1);
    BOOST_TEST(loop.passes() == pass + 1);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(b2_a_positive_sleep_takes_the_timers_pass_and_one_more) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    co_await asyncio::sleep(1.5);
    BOOST_TEST(loop.passes() == pass + 2);
    BOOST_TEST(loop.time().seconds() == 1.5);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(b2_run_until_complete_of_a_coroutine_that_returns_at_once_is_two_passes) {
  VirtualLoop loop;
  BOOST_TEST(loop.run_until_complete(value(5)) == 5);
  BOOST_TEST(loop.passes() == 2u);
}

BOOST_AUTO_TEST_CASE(rule_40_a_future_of_another_loop_is_a_runtime_error_one_pass_later) {
  VirtualLoop loop;
  VirtualLoop other;
  const Future<int> foreign = other.create_future<int>();
  std::exception_ptr error;
  const auto body = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    try {
      (void)co_await foreign;
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(loop.passes() == pass + 1);
  };
  const Task<> task = loop.create_task(body(), {.name = "t"});
  loop.run_until_complete(task);
  BOOST_REQUIRE(isinstance<RuntimeError>(error));
  const std::string text = to_string(error);
  BOOST_TEST(text.starts_with("Task <Task pending name='t' coro=<"));
  BOOST_TEST(text.ends_with("> got Future <Future pending> attached to a different loop"));
}

BOOST_AUTO_TEST_CASE(rule_40_a_task_cannot_await_itself) {
  VirtualLoop loop;
  std::exception_ptr error;
  std::optional<Task<>> task;
  const auto body = [&]() -> Coroutine<> { co_await catch_into(*task, &error); };
  task = loop.create_task(body(), {.name = "t"});
  loop.run_until_complete(*task);
  BOOST_REQUIRE(isinstance<RuntimeError>(error));
  BOOST_TEST(to_string(error).starts_with("Task cannot await on itself: <Task pending name='t' "));
}

BOOST_AUTO_TEST_CASE(rule_40_the_task_goes_on_after_a_bad_await) {
  VirtualLoop loop;
  std::optional<Task<int>> task;
  const auto body = [&]() -> Coroutine<int> {
    std::exception_ptr error;
    co_await catch_into(*task, &error);
    co_await asyncio::sleep(1);
    co_return 5;
  };
  task = loop.create_task(body());
  BOOST_TEST(loop.run_until_complete(*task) == 5);
}

BOOST_AUTO_TEST_CASE(rule_41_the_wake_up_is_the_step_and_the_value_is_fetched_by_it) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  Trace trace;
  const auto body = [&]() -> Coroutine<> {
    const int result = co_await future;
    trace.push_back("step" + std::to_string(result));
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  future.set_result(5);
  loop.call_soon([&] { trace.push_back("behind"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "step5 behind");
}

BOOST_AUTO_TEST_CASE(rule_42_the_return_value_finishes_the_task) {
  VirtualLoop loop;
  const Task<int> task = loop.create_task(value(5));
  BOOST_TEST(loop.run_until_complete(task) == 5);
  BOOST_TEST(task.done());
  BOOST_TEST(!task.cancelled());
  BOOST_TEST(task.result() == 5);
  BOOST_TEST(to_string(AnyFuture(task)).starts_with("<Task finished name='Task-"));
}

BOOST_AUTO_TEST_CASE(rule_42_an_exception_is_stored) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(fail("text"));
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(task), ValueError, says("text"));
  BOOST_TEST(repr(task.exception()) == "ValueError('text')");
  BOOST_TEST(!task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_42_a_cancelled_error_makes_it_cancelled_though_nobody_called_cancel) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    throw CancelledError("own");
    co_return;
  };
  const Task<> task = loop.create_task(body());
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(task), CancelledError, says("own"));
  BOOST_TEST(task.cancelled());
  BOOST_TEST(task.cancelling() == 0);
}

BOOST_AUTO_TEST_CASE(rule_42_exits_are_stored_and_leave_the_loop) {
  VirtualLoop loop;
  bool ran = false;
  const auto body = []() -> Coroutine<> {
    throw SystemExit(3);
    co_return;
  };
  const Task<> task = loop.create_task(body());
  loop.call_soon([&] { ran = true; });
  BOOST_CHECK_EXCEPTION(loop.run_forever(), SystemExit,
                        [](const SystemExit& exit) { return exit.code() == 3; });
  BOOST_TEST(!ran);
  BOOST_TEST(task.done());
  BOOST_TEST(isinstance<SystemExit>(task.exception()));
  BOOST_TEST(all_tasks(loop).empty());
  loop.pass();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(rule_42_an_exit_out_of_run_until_complete) {
  VirtualLoop loop;
  Reports reports(loop);
  const auto body = []() -> Coroutine<> {
    co_await asyncio::sleep(0);
    throw KeyboardInterrupt();
  };
  BOOST_CHECK_THROW(loop.run(body), KeyboardInterrupt);
  loop.pass();  // the done-callback of run_until_complete is still queued: it is harmless
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_43_current_task_is_the_one_whose_step_runs) {
  VirtualLoop loop;
  BOOST_CHECK_EXCEPTION((void)current_task(), RuntimeError, says("no running event loop"));
  BOOST_TEST(!current_task(loop));
  loop.call_soon([&] { BOOST_TEST(!current_task()); });
  const auto body = [&]() -> Coroutine<> {
    const AnyTask before = current_task();
    co_await asyncio::sleep(0);
    BOOST_TEST((before == current_task()));
    BOOST_TEST((before == current_task(loop)));
    BOOST_TEST(before.get_name() == "t");
  };
  const Task<> task = loop.create_task(body(), {.name = "t"});
  loop.run_until_complete(task);
  BOOST_TEST(!current_task(loop));
}

BOOST_AUTO_TEST_CASE(rule_45_the_loop_keeps_a_task_until_it_is_done) {
  VirtualLoop loop;
  bool finished = false;
  const auto body = [&]() -> Coroutine<> {
    const Counted counted;
    co_await asyncio::sleep(1);
    finished = true;
  };
  (void)loop.create_task(body());
  BOOST_TEST(all_tasks(loop).size() == 1u);
  loop.call_later(2, [&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(finished);
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(rule_46_all_tasks_are_those_not_done_in_the_order_of_creation) {
  VirtualLoop loop;
  VirtualLoop other;
  BOOST_CHECK_EXCEPTION((void)all_tasks(), RuntimeError, says("no running event loop"));
  const Task<> a = loop.create_task(yields(3), {.name = "a"});
  const Task<int> b = loop.create_task(value(1), {.name = "b"});
  const Task<> c = loop.create_task(yields(3), {.name = "c"});
  const Task<int> elsewhere = other.create_task(value(1), {.name = "elsewhere"});
  BOOST_TEST(names_of(all_tasks(loop)) == "a b c");
  loop.call_soon([&] {
    BOOST_TEST(names_of(all_tasks()) == "a c");
    BOOST_TEST(names_of(all_tasks(other)) == "elsewhere");
  });
  loop.run_until_complete(c);
  BOOST_TEST(all_tasks(loop).empty());
  other.run_until_complete(elsewhere);
}

BOOST_AUTO_TEST_CASE(rule_47_a_tasks_result_cannot_be_set) {
  VirtualLoop loop;
  const Task<int> task = loop.create_task(value(5));
  BOOST_CHECK_EXCEPTION(task.set_result(1), RuntimeError,
                        says("Task does not support set_result operation"));
  BOOST_CHECK_EXCEPTION(task.set_exception(ValueError()), RuntimeError,
                        says("Task does not support set_exception operation"));
  BOOST_CHECK_EXCEPTION(AnyTask(task).set_exception(ValueError()), RuntimeError,
                        says("Task does not support set_exception operation"));
  const Future<int> as_future = task;
  BOOST_CHECK_THROW(as_future.set_result(1), RuntimeError);
  BOOST_TEST(loop.run_until_complete(task) == 5);
}

BOOST_AUTO_TEST_CASE(rule_48_names_are_given_or_counted) {
  VirtualLoop loop;
  const auto number = [](const AnyTask& task) {
    BOOST_TEST(task.get_name().starts_with("Task-"));
    return std::stoi(task.get_name().substr(5));
  };
  const Task<int> first = loop.create_task(value(1));
  const Task<int> named = loop.create_task(value(1), {.name = "name"});
  const Task<int> empty = loop.create_task(value(1), {.name = ""});
  const Task<int> second = loop.create_task(value(1));
  BOOST_TEST(number(second) == number(first) + 1);
  BOOST_TEST(named.get_name() == "name");
  BOOST_TEST(empty.get_name() == "");
  second.set_name("renamed");
  BOOST_TEST(AnyTask(second).get_name() == "renamed");
  loop.pass();
}

BOOST_AUTO_TEST_CASE(rule_49_create_task_on_a_closed_loop_closes_the_coroutine) {
  VirtualLoop loop;
  loop.close();
  const auto body = [](Counted) -> Coroutine<> { co_return; };
  BOOST_CHECK_EXCEPTION((void)loop.create_task(body(Counted())), RuntimeError,
                        says("Event loop is closed"));
  BOOST_TEST(Counted::alive == 0);
  const auto run = [&] { loop.run_until_complete(body(Counted())); };
  BOOST_CHECK_EXCEPTION(run(), RuntimeError, says("Event loop is closed"));
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(ta1_create_task_needs_a_running_loop) {
  const auto body = [](Counted) -> Coroutine<> { co_return; };
  BOOST_CHECK_EXCEPTION((void)asyncio::create_task(body(Counted())), RuntimeError,
                        says("no running event loop"));
  BOOST_TEST(Counted::alive == 0);
  VirtualLoop loop;
  loop.call_soon([&] {
    const Task<int> task = asyncio::create_task(value(1), {.name = "t"});
    BOOST_TEST((&task.get_loop() == &loop));
  });
  loop.pass();
  BOOST_TEST(names_of(all_tasks(loop)) == "t");
  loop.pass();
}

BOOST_AUTO_TEST_CASE(create_task_keeps_a_callable_and_its_arguments_alive) {
  VirtualLoop loop;
  const auto make = [&] {
    auto owned = std::make_unique<int>(5);
    return loop.create_task(
        [owned = std::move(owned), counted = Counted()](std::string text,
                                                        int number) -> Coroutine<std::string> {
          co_await asyncio::sleep(1);
          co_return text + std::to_string(number + *owned);
        },
        "text", 2);
  };
  const Task<std::string> task = make();
  BOOST_TEST(Counted::alive == 1);
  BOOST_TEST(loop.run_until_complete(task) == "text7");
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(rule_50_a_task_may_be_awaited_from_several_places) {
  VirtualLoop loop;
  Trace trace;
  const Task<int> task = loop.create_task(value(5));
  const auto waiter = [&](std::string name) -> Coroutine<> {
    const int result = co_await task;
    trace.push_back(name + std::to_string(result));
  };
  const auto body = [&]() -> Coroutine<> {
    const Task<> a = loop.create_task(waiter("a"));
    const Task<> b = loop.create_task(waiter("b"));
    co_await waiter("c");
    co_await a;
    co_await b;
  };
  loop.run(body);
  BOOST_TEST(trace.size() == 3u);
}

BOOST_AUTO_TEST_CASE(fu15_ensure_future_returns_futures_and_wraps_the_rest) {
  VirtualLoop loop;
  struct Ready {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return 7; }
  };
  const auto body = [&]() -> Coroutine<> {
    const Future<int> future = loop.create_future<int>();
    BOOST_TEST((ensure_future(future) == future));
    const Task<int> task = loop.create_task(value(5));
    BOOST_TEST((ensure_future(task) == task));
    const Task<int> wrapped = ensure_future(value(6));
    const int six = co_await wrapped;
    BOOST_TEST(six == 6);
    const Task<int> other = ensure_future(Ready());
    const int seven = co_await other;
    BOOST_TEST(seven == 7);
  };
  loop.run(body);
}

// -- eager start, factories

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

// -- B6

BOOST_AUTO_TEST_CASE(rule_52a_a_task_that_waits_has_its_future_cancelled) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const Task<> task = loop.create_task(wait_on(future));
  loop.pass();
  BOOST_TEST(task.cancel("message"));
  BOOST_TEST(task.cancelling() == 1);
  BOOST_TEST(future.cancelled());
  BOOST_TEST(!task.done());  // rule 63: when the coroutine lets the error out
  BOOST_CHECK_EXCEPTION(future.result(), CancelledError, says("message"));
  loop.pass();
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_53_the_error_is_thrown_at_the_await_in_the_next_pass) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  std::uint64_t thrown_in = 0;
  const auto body = [&]() -> Coroutine<> {
    try {
      co_await future;
    } catch (const CancelledError&) {
      thrown_in = loop.passes();
      throw;
    }
  };
  const Task<> task = loop.create_task(body());
  std::uint64_t awaiter_resumed_in = 0;
  std::exception_ptr error;
  const auto awaiter = [&]() -> Coroutine<> {
    co_await catch_into(task, &error);
    awaiter_resumed_in = loop.passes();
  };
  const Task<> waiting = loop.create_task(awaiter());
  loop.pass();
  std::uint64_t cancelled_in = 0;
  loop.call_soon([&] {
    cancelled_in = loop.passes();
    task.cancel();
  });
  loop.run_until_complete(waiting);
  BOOST_TEST(thrown_in == cancelled_in + 1);
  BOOST_TEST(awaiter_resumed_in == cancelled_in + 2);
  BOOST_TEST(is_cancelled_error(error));
}

BOOST_AUTO_TEST_CASE(rule_32_the_first_retrieval_raises_the_original_later_ones_fresh_objects) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(wait_on(loop.create_future()));
  loop.pass();
  task.cancel("hi");
  loop.pass();
  const std::exception_ptr first = thrown_by([&] { task.result(); });
  const std::exception_ptr second = thrown_by([&] { task.result(); });
  const std::exception_ptr third = thrown_by([&] { task.result(); });
  BOOST_TEST(repr(first) == "CancelledError('hi')");
  BOOST_TEST(repr(second) == "CancelledError()");
  BOOST_TEST(repr(third) == "CancelledError()");
  BOOST_TEST((second != third));
}

BOOST_AUTO_TEST_CASE(rule_54_a_value_that_was_ready_is_lost_to_the_task) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  std::exception_ptr error;
  const Task<> task = loop.create_task(catch_into(future, &error));
  loop.pass();
  future.set_result(5);
  BOOST_TEST(task.cancel("message"));  // 52 b: the future is done already
  loop.pass();
  BOOST_TEST(repr(error) == "CancelledError('message')");
  BOOST_TEST(future.result() == 5);
  BOOST_TEST(task.done());
  BOOST_TEST(!task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_54_so_is_an_exception_that_was_ready) {
  VirtualLoop loop;
  Reports reports(loop);
  std::exception_ptr error;
  {
    const Future<> future = loop.create_future();
    const Task<> task = loop.create_task(catch_into(future, &error));
    loop.pass();
    future.set_exception(ValueError("lost"));
    task.cancel();
    loop.pass();
  }
  BOOST_TEST(repr(error) == "CancelledError()");
  BOOST_TEST(reports.empty());  // the wake-up had looked at it
}

BOOST_AUTO_TEST_CASE(rule_54_a_cancelled_error_that_was_coming_is_not_replaced) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  std::exception_ptr error;
  const Task<> task = loop.create_task(catch_into(future, &error));
  loop.pass();
  future.cancel("of the future");
  task.cancel("of the task");
  loop.pass();
  BOOST_TEST(repr(error) == "CancelledError('of the future')");
}

BOOST_AUTO_TEST_CASE(rule_52b_a_task_whose_step_is_queued_is_cancelled_at_that_step) {
  VirtualLoop loop;
  std::exception_ptr error;
  const auto body = [&]() -> Coroutine<> {
    try {
      co_await asyncio::sleep(0);
    } catch (...) {
      error = std::current_exception();
    }
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  BOOST_TEST(task.cancel("message"));
  BOOST_TEST(to_string(AnyFuture(task)).starts_with("<Task cancelling name="));
  loop.pass();
  BOOST_TEST(repr(error) == "CancelledError('message')");
}

BOOST_AUTO_TEST_CASE(rule_54_a_bad_awaits_error_is_replaced_too) {
  VirtualLoop loop;
  std::exception_ptr error;
  std::optional<Task<>> task;
  const auto body = [&]() -> Coroutine<> { co_await catch_into(*task, &error); };
  task = loop.create_task(body());
  loop.pass();
  task->cancel();
  loop.pass();
  BOOST_TEST(repr(error) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(rule_55_blocking_after_self_cancellation_is_cancelled_a_pass_later) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  std::exception_ptr error;
  const auto body = [&]() -> Coroutine<> {
    BOOST_TEST(current_task().cancel("self"));  // rule 62: nothing is thrown here
    const auto pass = loop.passes();
    co_await catch_into(future, &error);
    BOOST_TEST(loop.passes() == pass + 1);
  };
  loop.run(body);
  BOOST_TEST(future.cancelled());
  BOOST_TEST(repr(error) == "CancelledError('self')");
}

BOOST_AUTO_TEST_CASE(rule_55_so_is_a_bare_yield) {
  VirtualLoop loop;
  std::exception_ptr error;
  const auto body = [&]() -> Coroutine<> {
    current_task().cancel("self");
    const auto pass = loop.passes();
    try {
      co_await asyncio::sleep(0);
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(loop.passes() == pass + 1);
  };
  loop.run(body);
  BOOST_TEST(repr(error) == "CancelledError('self')");
}

BOOST_AUTO_TEST_CASE(rule_56_a_task_that_never_blocks_again_ends_cancelled_without_its_value) {
  VirtualLoop loop;
  const Future<int> done = loop.create_future<int>();
  done.set_result(1);
  const auto body = [&](Counted counted) -> Coroutine<Counted> {
    current_task().cancel("self");
    (void)co_await done;  // does not count as blocking
    co_return counted;
  };
  const Task<Counted> task = loop.create_task(body(Counted()));
  BOOST_CHECK_EXCEPTION((void)loop.run_until_complete(task), CancelledError, says("self"));
  BOOST_TEST(task.cancelled());
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(rule_57_cancelled_before_the_first_step_no_line_runs) {
  VirtualLoop loop;
  bool ran = false;
  const auto body = [&](Counted) -> Coroutine<> {
    ran = true;
    co_return;
  };
  const Task<> task = loop.create_task(body(Counted()));
  std::exception_ptr error;
  const auto pass = loop.passes();
  BOOST_TEST(task.cancel("early"));
  BOOST_TEST(!task.done());
  std::uint64_t resumed_in = 0;
  const auto awaiter = [&]() -> Coroutine<> {
    co_await catch_into(task, &error);
    resumed_in = loop.passes();
  };
  loop.run(awaiter);
  BOOST_TEST(resumed_in == pass + 1);  // the task was done before the awaiter's first step
  BOOST_TEST(!ran);
  BOOST_TEST(task.cancelled());
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(repr(error) == "CancelledError('early')");
}

BOOST_AUTO_TEST_CASE(b2_cancelling_a_new_task_resumes_its_awaiter_two_passes_later) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Task<> task = loop.create_task(yields(5));
    const auto pass = loop.passes();
    task.cancel();
    std::exception_ptr error;
    co_await catch_into(task, &error);
    BOOST_TEST(loop.passes() == pass + 2);
    BOOST_TEST(is_cancelled_error(error));
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_58_cancel_goes_to_the_innermost_future) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const Task<> inner = loop.create_task(wait_on(future));
  const Task<> middle = loop.create_task(wait_on(inner));
  const Task<> outer = loop.create_task(wait_on(middle));
  loop.pass();
  outer.cancel("message");
  BOOST_TEST(future.cancelled());
  BOOST_TEST(inner.cancelling() == 1);
  BOOST_TEST(middle.cancelling() == 1);
  BOOST_TEST(outer.cancelling() == 1);
  // B2: one, two and three passes.
  loop.pass();
  BOOST_TEST(inner.cancelled());
  BOOST_TEST(!middle.done());
  loop.pass();
  BOOST_TEST(middle.cancelled());
  BOOST_TEST(!outer.done());
  loop.pass();
  BOOST_TEST(outer.cancelled());
  BOOST_CHECK_EXCEPTION(outer.result(), CancelledError, says("message"));
}

BOOST_AUTO_TEST_CASE(rule_58_an_inner_task_may_refuse) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const auto refuses = [&]() -> Coroutine<int> {
    std::exception_ptr error;
    co_await catch_into(future, &error);
    co_return 5;
  };
  const Task<int> inner = loop.create_task(refuses());
  const auto waits = [&]() -> Coroutine<int> { co_return co_await inner; };
  const Task<int> outer = loop.create_task(waits());
  loop.pass();
  outer.cancel();
  BOOST_TEST(loop.run_until_complete(outer) == 5);
  BOOST_TEST(!outer.cancelled());
  BOOST_TEST(outer.cancelling() == 1);
}

BOOST_AUTO_TEST_CASE(rule_59_two_cancels_before_delivery_throw_once) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  int thrown = 0;
  const auto body = [&]() -> Coroutine<> {
    for (int i = 0; i != 3; ++i) {
      std::exception_ptr error;
      if (i == 0)
        co_await catch_into(future, &error);
      else
        co_await asyncio::sleep(0);
      if (error) ++thrown;
    }
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancelling() == 2);
  loop.run_until_complete(task);
  BOOST_TEST(thrown == 1);
}

BOOST_AUTO_TEST_CASE(rule_60_swallowing_lets_the_task_go_on_and_the_count_stays) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const auto body = [&]() -> Coroutine<int> {
    std::exception_ptr error;
    co_await catch_into(future, &error);
    BOOST_TEST(current_task().cancelling() == 1);
    co_await asyncio::sleep(1);
    co_return 5;
  };
  const Task<int> task = loop.create_task(body());
  loop.pass();
  task.cancel();
  BOOST_TEST(loop.run_until_complete(task) == 5);
  BOOST_TEST(task.cancelling() == 1);
  BOOST_TEST(!task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_61_uncancel_counts_down_but_not_below_zero) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(yields(1));
  BOOST_TEST(task.uncancel() == 0);
  task.cancel();
  task.cancel();
  BOOST_TEST(task.uncancel() == 1);
  BOOST_TEST(task.uncancel() == 0);
  BOOST_TEST(task.uncancel() == 0);
  BOOST_TEST(task.cancelling() == 0);
  loop.run_until_complete(task);  // at zero the undelivered request was withdrawn
  BOOST_TEST(!task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_61_above_zero_the_request_stands) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(yields(1));
  task.cancel();
  task.cancel();
  task.uncancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
}

BOOST_AUTO_TEST_CASE(rule_62_cancel_on_a_done_task_is_false) {
  VirtualLoop loop;
  Reports reports(loop);
  {
    const Task<> task = loop.create_task(fail("text"));
    loop.pass();
    BOOST_TEST(!task.cancel());
    BOOST_TEST(task.cancelling() == 0);
    BOOST_TEST(!task.cancelled());
  }
  BOOST_TEST(reports.empty());  // cancel() counts as having looked (rule 36)
}

BOOST_AUTO_TEST_CASE(an_error_while_being_cancelled_wins) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const auto body = [&]() -> Coroutine<> {
    std::exception_ptr error;
    co_await catch_into(future, &error);
    throw ValueError("cleanup failed");
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  task.cancel();
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(task), ValueError, says("cleanup failed"));
  BOOST_TEST(!task.cancelled());
}

// -- reports

BOOST_AUTO_TEST_CASE(rule_36_a_failed_task_that_nobody_asked_is_reported) {
  VirtualLoop loop;
  Reports reports(loop);
  (void)loop.create_task(fail("text"));
  loop.pass();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Task exception was never retrieved");
  BOOST_TEST(reports[0].keys == "exception future");
  BOOST_TEST(repr(reports[0].exception) == "ValueError('text')");
}

BOOST_AUTO_TEST_CASE(rule_36_a_cancelled_task_is_not) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.create_task(yields(1)).cancel();
  loop.pass();
  BOOST_TEST(all_tasks(loop).empty());
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(b10_a_task_pending_at_the_end_is_reported_with_its_task) {
  VirtualLoop loop;
  Reports reports(loop);
  (void)loop.create_task(wait_on(loop.create_future()));
  loop.pass();
  loop.close();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Task was destroyed but it is pending!");
  BOOST_TEST(reports[0].keys == "task");
}

BOOST_AUTO_TEST_CASE(rule_19_the_task_of_run_until_complete_is_exempt) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.call_soon([&] { loop.stop(); });
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(wait_on(loop.create_future())), RuntimeError,
                        says("Event loop stopped before Future completed."));
  BOOST_TEST(all_tasks(loop).size() == 1u);
  loop.close();
  BOOST_TEST(reports.empty());
}

// -- handles

BOOST_AUTO_TEST_CASE(task_handles_are_nullable_and_comparable) {
  VirtualLoop loop;
  Task<int> none;
  BOOST_TEST(!none);
  BOOST_TEST(!AnyTask());
  const Task<int> task = loop.create_task(value(5));
  none = task;
  BOOST_TEST((none == task));
  BOOST_TEST((AnyTask(task) == task));
  BOOST_TEST((AnyFuture(task) == task));
  loop.pass();
}

BOOST_AUTO_TEST_CASE(done_callbacks_of_a_task_get_the_task) {
  VirtualLoop loop;
  Trace trace;
  const Task<int> task = loop.create_task(value(5), {.name = "t"});
  task.add_done_callback([&](const Task<int>& done) {
    trace.push_back(done.get_name() + std::to_string(done.result()));
  });
  loop.pass();
  BOOST_TEST(trace.empty());
  loop.pass();
  BOOST_TEST(joined(trace) == "t5");
}

BOOST_AUTO_TEST_SUITE_END()
