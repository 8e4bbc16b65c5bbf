// SPDX-License-Identifier: BSL-1.0
//
// Task<T>: surface A5, rules 38-50. Cancellation is in task_cancellation.cpp, eager start and
// factories in eager_tasks.cpp, what becomes a task in awaitables.cpp.
#include <asyncio/tasks.hpp>

#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "task_helpers.hpp"

using namespace task_tests;

namespace {

std::string names_of(const std::vector<AnyTask>& tasks) {
  Trace names;
  for (const AnyTask& task : tasks) names.push_back(task.get_name());
  return joined(names);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tasks_tests)

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

BOOST_AUTO_TEST_CASE(rule_43_tasks_that_take_turns_are_each_current_in_their_own_steps) {
  VirtualLoop loop;
  const Future<> first = loop.create_future();
  const Future<> second = loop.create_future();
  Trace trace;
  const auto note = [&] { trace.push_back(current_task().get_name()); };
  const auto waits_first = [&]() -> Coroutine<> {
    note();
    co_await first;
    note();
    second.set_result();
  };
  const auto waits_second = [&]() -> Coroutine<> {
    note();
    first.set_result();
    co_await second;
    note();
  };
  const Task<> a = loop.create_task(waits_first(), {.name = "a"});
  const Task<> b = loop.create_task(waits_second(), {.name = "b"});
  loop.run_until_complete(b);
  BOOST_TEST(a.done());
  BOOST_TEST(joined(trace) == "a b a b");
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

BOOST_AUTO_TEST_CASE(rule_36_a_failed_task_is_reported_in_its_own_context) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  int seen = 0;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { seen = variable.get(); });
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(5);
    throw ValueError("text");
    co_return;
  };
  (void)loop.create_task(body());
  loop.pass();
  BOOST_TEST(seen == 5);
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

BOOST_AUTO_TEST_CASE(ta7_a_task_belongs_to_the_loop_that_made_it) {
  VirtualLoop loop;
  VirtualLoop other;
  const Task<int> here = loop.create_task(value(1));
  const Task<int> there = other.create_task(value(2));
  BOOST_TEST((&here.get_loop() == &loop));
  BOOST_TEST((&there.get_loop() == &other));
  BOOST_TEST(loop.run_until_complete(here) == 1);
  BOOST_TEST(other.run_until_complete(there) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
