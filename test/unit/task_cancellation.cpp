// SPDX-License-Identifier: BSL-1.0
//
// How a task is cancelled: surface B6, rules 32 and 52-63.
#include <asyncio/tasks.hpp>

#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "task_helpers.hpp"

using namespace task_tests;

BOOST_AUTO_TEST_SUITE(task_cancellation_tests)

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

BOOST_AUTO_TEST_CASE(rule_42_a_task_ends_cancelled_with_the_future_it_waits_for) {
  for (const bool and_the_task : {false, true}) {
    VirtualLoop loop;
    const Future<> future = loop.create_future();
    const Task<> task = loop.create_task(wait_on(future));
    loop.pass();
    future.cancel();
    if (and_the_task) task.cancel();
    BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
    BOOST_TEST(task.cancelled());
  }
}

BOOST_AUTO_TEST_CASE(rule_32_the_message_comes_to_who_asks_the_cancelled_task) {
  const std::optional<std::string> messages[] = {std::nullopt, "my message"};
  for (const auto& message : messages) {
    for (const bool started : {false, true}) {
      for (const bool by_result : {false, true}) {
        VirtualLoop loop;
        const auto body = [&]() -> Coroutine<> {
          const Task<> task = loop.create_task(yields(10));
          if (started) co_await asyncio::sleep(0);
          message ? task.cancel(*message) : task.cancel();
          const std::vector tasks{task};
          co_await asyncio::wait(tasks);
          if (by_result)
            task.result();
          else
            (void)task.exception();
        };
        BOOST_TEST(thrown_by([&] { loop.run(body); }) ==
                   (message ? "CancelledError('my message')" : "CancelledError()"));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rule_32_the_first_retrieval_raises_the_original_later_ones_fresh_objects) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(wait_on(loop.create_future()));
  loop.pass();
  task.cancel("hi");
  loop.pass();
  const std::exception_ptr first = exception_of([&] { task.result(); });
  const std::exception_ptr second = exception_of([&] { task.result(); });
  const std::exception_ptr third = exception_of([&] { task.result(); });
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

BOOST_AUTO_TEST_CASE(rule_55_a_task_that_it_blocks_on_is_cancelled_with_it) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const Task<> nested = loop.create_task(wait_on(future));
  const auto body = [&]() -> Coroutine<> {
    co_await asyncio::sleep(0);  // the nested task waits now
    current_task().cancel();
    co_await nested;
  };
  const Task<> task = loop.create_task(body());
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(task.cancelled());
  BOOST_TEST(nested.cancelled());
  BOOST_TEST(future.cancelled());
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

BOOST_AUTO_TEST_CASE(ta5_cancelling_counts_the_requests) {
  VirtualLoop loop;
  const Task<> task = loop.create_task(yields(1));
  const auto says_so = [&] {
    return to_string(AnyFuture(task)).find(" cancelling ") != std::string::npos;
  };
  BOOST_TEST(task.cancelling() == 0);
  BOOST_TEST(!says_so());
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancelling() == 1);
  BOOST_TEST(says_so());
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancelling() == 2);
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
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

BOOST_AUTO_TEST_CASE(rule_61_a_request_before_a_result_that_is_on_its_way_can_be_taken_back) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto body = [&]() -> Coroutine<int> { co_return co_await future; };
  const Task<int> task = loop.create_task(body());
  loop.pass();
  future.set_result(42);
  task.cancel();
  BOOST_TEST(task.uncancel() == 0);
  BOOST_TEST(loop.run_until_complete(task) == 42);
}

BOOST_AUTO_TEST_CASE(rule_61_a_task_that_takes_the_request_back_can_be_cancelled_anew) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    try {
      co_await asyncio::sleep(10);
    } catch (const CancelledError&) {
      current_task().uncancel();
    }
    co_await asyncio::sleep(10);
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancelling() == 1);
  loop.pass();
  BOOST_TEST(task.cancelling() == 0);
  BOOST_TEST(!task.done());
  BOOST_TEST(task.cancel());
  BOOST_TEST(task.cancelling() == 1);
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(task.uncancel() == 0);
  BOOST_TEST(task.cancelled());  // too late for that
}

BOOST_AUTO_TEST_CASE(rule_61_who_cancels_a_block_of_a_task_takes_the_request_back) {
  for (const double needed : {10.0, 0.0}) {  // a timeout made by hand
    VirtualLoop loop;
    bool timed_out = false;
    bool finished = false;
    const auto body = [&]() -> Coroutine<> {
      const AnyTask task = current_task();
      TimerHandle timer = loop.call_later(1, [&, task] {
        timed_out = true;
        task.cancel();
      });
      try {
        co_await asyncio::sleep(needed);
        finished = true;
      } catch (const CancelledError&) {
        if (!timed_out || task.uncancel() != 0) throw;
      }
      timer.cancel();
      co_await asyncio::sleep(0);  // not cancelled
    };
    const Task<> task = loop.create_task(body());
    loop.run_until_complete(task);
    BOOST_TEST(timed_out == (needed > 1));
    BOOST_TEST(finished == !timed_out);
    BOOST_TEST(task.cancelling() == 0);
  }
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

BOOST_AUTO_TEST_CASE(rule_62_a_cancelled_task_cannot_be_cancelled_again) {
  VirtualLoop loop;
  const auto sleeps = []() -> Coroutine<> { co_await asyncio::sleep(10); };
  const auto cancels_itself = [](bool sleeps_then) -> Coroutine<> {
    current_task().cancel();
    if (sleeps_then) co_await asyncio::sleep(10);
  };
  const std::vector tasks{loop.create_task(sleeps()), loop.create_task(yields(2)),
                          loop.create_task(cancels_itself(true)),
                          loop.create_task(cancels_itself(false))};
  loop.pass();
  BOOST_TEST(tasks[0].cancel());
  BOOST_TEST(tasks[1].cancel());
  for (const Task<>& task : tasks) {
    BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
    BOOST_TEST(task.done());
    BOOST_TEST(task.cancelled());
    BOOST_TEST(!task.cancel());
  }
  BOOST_TEST(loop.time().seconds() == 0);
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

BOOST_AUTO_TEST_CASE(rule_42_an_exit_thrown_while_being_cancelled_leaves_the_loop) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    try {
      co_await asyncio::sleep(10);
    } catch (const CancelledError&) {
      throw SystemExit(3);
    }
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  task.cancel();
  BOOST_TEST(!task.done());
  BOOST_CHECK_THROW(loop.pass(), SystemExit);
  BOOST_TEST(task.done());
  BOOST_TEST(!task.cancelled());
  BOOST_TEST(repr(task.exception()) == "SystemExit(3)");
}

BOOST_AUTO_TEST_CASE(a_cancellation_may_become_the_cause_of_another_error) {
  VirtualLoop loop;
  const Task<> inner = loop.create_task(wait_on(loop.create_future()));
  const auto body = [&]() -> Coroutine<> {
    std::exception_ptr error;
    co_await catch_into(inner, &error);
    throw with_cause(ValueError("cancelled"), error);
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  inner.cancel("msg");
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(task), ValueError, says("cancelled"));
  BOOST_TEST(repr(cause(task.exception())) == "CancelledError('msg')");
}

BOOST_AUTO_TEST_SUITE_END()
