// SPDX-License-Identifier: BSL-1.0
//
// The test kit itself: virtual time, deadlocks, cancellation at every suspension.
#include <asyncio/testing.hpp>

#include <asyncio/asyncio.hpp>
#include <memory>

#include <boost/test/unit_test.hpp>

namespace {

using namespace asyncio;
using namespace asyncio::testing;
using Lines = std::vector<std::string>;

Coroutine<> sleeps(double seconds) { co_await asyncio::sleep(seconds); }

Coroutine<> waits_for(Lock lock) {
  const auto guard = co_await lock.scoped();
  co_await asyncio::sleep(1);
}

/// Leaves a task behind when it is cancelled while it sleeps.
Coroutine<> careless(TestLoop&) {
  const Task<> helper = create_task(sleeps(100));
  co_await asyncio::sleep(1);
  helper.cancel();
}

Coroutine<> careful(TestLoop&) {
  const Task<> helper = create_task(sleeps(100));
  std::exception_ptr error;
  try {
    co_await asyncio::sleep(1);
  } catch (...) {
    error = std::current_exception();
  }
  helper.cancel();
  if (error) std::rethrow_exception(error);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(testing_tests)

BOOST_AUTO_TEST_CASE(time_jumps_when_everything_waits) {
  TestLoop loop;
  loop.run_until_complete(sleeps(3600));
  BOOST_TEST((loop.time() == TimePoint() + Duration(3600)));
}

BOOST_AUTO_TEST_CASE(time_stands_while_a_thread_is_at_work) {
  TestLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const int answer = co_await wait_for(to_thread([] { return 42; }), 0.001);
    BOOST_TEST(answer == 42);
  };
  loop.run_until_complete(body());
  BOOST_TEST((loop.time() == TimePoint()));
}

BOOST_AUTO_TEST_CASE(run_for_runs_for_so_long) {
  TestLoop loop;
  int ticks = 0;
  for (int second = 1; second <= 5; ++second) loop.call_later(second, [&] { ++ticks; });
  loop.run_for(3.5);
  BOOST_TEST(ticks == 3);
}

BOOST_AUTO_TEST_CASE(a_deadlock_names_every_task_and_where_it_waits) {
  TestLoop loop;
  Lock lock;
  const auto body = [&]() -> Coroutine<> {
    const auto guard = co_await lock.scoped();
    const Task<> other = create_task(waits_for(lock), {.name = "other"});
    co_await other;
  };
  const auto task = loop.create_task(body(), {.name = "first"});
  try {
    loop.run_until_complete(task);
    BOOST_ERROR("no deadlock");
  } catch (const DeadlockError& error) {
    const std::string text = error.what();
    BOOST_TEST(text.starts_with("deadlock: nothing can happen any more\nStack for <Task pending "
                                "name='first' coro=<"));
    BOOST_TEST(text.find("    co_await other;\n") != text.npos);
    BOOST_TEST(text.find("Stack for <Task pending name='other' coro=<waits_for() running at ") !=
               text.npos);
    BOOST_TEST(text.find("    const auto guard = co_await lock.scoped();\n") != text.npos);
  }
}

BOOST_AUTO_TEST_CASE(a_loop_without_tasks_that_nobody_stops_is_stuck_too) {
  TestLoop loop;
  BOOST_CHECK_EXCEPTION(loop.run_forever(), DeadlockError, [](const DeadlockError& error) {
    return std::string(error.what()) ==
           "deadlock: nothing can happen any more, and nobody has called stop()";
  });
}

BOOST_AUTO_TEST_CASE(reports_are_collected_with_their_exceptions) {
  TestLoop loop;
  loop.create_future().set_exception(ValueError("x"));
  BOOST_TEST(loop.reports() == Lines{"Future exception was never retrieved: ValueError('x')"});
}

BOOST_AUTO_TEST_CASE(leftovers_are_tasks_timers_and_reports) {
  TestLoop loop;
  const auto task = loop.create_task(sleeps(7), {.name = "sleeper"});
  const Lines left = loop.leftovers();
  BOOST_REQUIRE(left.size() == 2u);
  BOOST_TEST(left[0].starts_with("<Task pending name='sleeper'"));
  BOOST_TEST(left[1] == "a timer that is due in 7.0 seconds");
  task.cancel();
  loop.run_passes(2);
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(a_body_that_cleans_up_has_no_problems) {
  const CancelReport report = cancel_at_every_suspension(careful);
  BOOST_TEST(to_string(report) == "");
  // Before it begins; while the helper begins; asleep; awake, but not yet run.
  BOOST_TEST(report.points == 4u);
}

BOOST_AUTO_TEST_CASE(what_is_left_behind_is_named_with_the_place) {
  const CancelReport report = cancel_at_every_suspension(careless);
  BOOST_REQUIRE(report.problems.size() == 6u);  // the task and its timer, at three points
  BOOST_TEST(report.problems[0].starts_with("cancelled before pass 2, at "));
  BOOST_TEST(report.problems[0].find(" in careless: left behind: <Task pending name=") !=
             std::string::npos);
  BOOST_TEST(report.problems[1].ends_with(": left behind: a timer that is due in 100.0 seconds"));
}

BOOST_AUTO_TEST_CASE(a_body_that_fails_when_it_is_cancelled_is_a_problem) {
  const CancelReport report = cancel_at_every_suspension([](TestLoop&) -> Coroutine<> {
    try {
      co_await asyncio::sleep(1);
    } catch (const CancelledError&) {
      throw ValueError("lost");
    }
  });
  BOOST_REQUIRE(report.problems.size() == 2u);
  BOOST_TEST(report.problems[0].ends_with(": ValueError('lost')"));
}

BOOST_AUTO_TEST_CASE(checks_may_run_the_loop_and_complain) {
  int closed = 0;
  const CancelReport report = cancel_at_every_suspension(
      [](TestLoop&) { return sleeps(1); },
      [](TestLoop& loop) {
        loop.run_until_complete(sleeps(1));
        throw RuntimeError("not as it should be");
      },
      [&] { ++closed; });
  BOOST_TEST(report.points == 3u);
  BOOST_REQUIRE(report.problems.size() == 4u);  // once more for the run that is not cancelled
  BOOST_TEST(report.problems[0].starts_with("cancelled before pass 1, at "));
  BOOST_TEST(report.problems[0].ends_with(" in sleeps: RuntimeError('not as it should be')"));
  BOOST_TEST(closed == 7);
}

BOOST_AUTO_TEST_CASE(a_frame_that_is_still_suspended_is_released_with_its_loop) {
  const auto shared = std::make_shared<int>(0);
  const CancelReport report = cancel_at_every_suspension(
      [&](TestLoop&) -> Coroutine<> {
        const auto kept = shared;
        co_await asyncio::sleep(1);
      },
      {},
      [&] {
        if (shared.use_count() != 1) throw RuntimeError("a frame was not released");
      });
  BOOST_TEST(to_string(report) == "");
}

BOOST_AUTO_TEST_SUITE_END()
