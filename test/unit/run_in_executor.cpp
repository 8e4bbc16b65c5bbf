// SPDX-License-Identifier: BSL-1.0
//
// Work that a loop hands to an executor, and what becomes of it (rules 20, 21, 113, 119-121).
#include <asyncio/event_loop.hpp>

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>
#include <asyncio/executors.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/wait.hpp>

#include "core_helpers.hpp"
#include "executor_helpers.hpp"

using namespace asyncio;
using namespace core_tests;
using namespace executor_tests;

namespace {

/// Does the work at once, in the caller's thread.
class InlineExecutor : public Executor {
 public:
  void execute(Job job) override { job(); }
  void shutdown(bool) override {}
};

}  // namespace

BOOST_AUTO_TEST_SUITE(run_in_executor_tests)

// -- the call

BOOST_AUTO_TEST_CASE(
    rule_119_the_call_runs_in_another_thread_and_its_outcome_comes_with_the_future) {
  EventLoop loop;
  const auto where = loop.run_in_executor(nullptr, this_id);
  const auto what = loop.run_in_executor(
      nullptr, [](int a, int b) { return a * b; }, 6, 7);
  const auto why = loop.run_in_executor(nullptr, [] { throw ValueError("x"); });
  BOOST_TEST((loop.run_until_complete(where) != this_id()));
  BOOST_TEST(loop.run_until_complete(what) == 42);
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(why), ValueError, says("x"));
}

BOOST_AUTO_TEST_CASE(rule_119_it_arrives_in_one_pass_and_who_waits_goes_on_in_the_next) {
  VirtualLoop loop;
  InlineExecutor executor;
  loop.run([&]() -> Coroutine<> {
    const std::uint64_t before = loop.passes();
    const int value = co_await loop.run_in_executor(&executor, [] { return 5; });
    BOOST_TEST(value == 5);
    BOOST_TEST(loop.passes() - before == 2u);
  });
}

BOOST_AUTO_TEST_CASE(rule_119_a_result_that_cannot_be_copied_is_moved) {
  EventLoop loop;
  auto future = loop.run_in_executor(
      nullptr, [](std::unique_ptr<int> box) { return box; }, std::make_unique<int>(3));
  BOOST_TEST(*loop.run_until_complete(std::move(future)) == 3);
}

BOOST_AUTO_TEST_CASE(rule_119_work_that_has_not_begun_is_cancelled_in_the_pass_after) {
  VirtualLoop loop;
  LazyExecutor executor;
  bool ran = false;
  const auto future = loop.run_in_executor(&executor, [&] { ran = true; });
  BOOST_TEST(future.cancel());
  BOOST_TEST(future.cancelled());
  loop.pass();
  for (auto& job : executor.jobs) job();
  loop.pass();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(rule_119_work_that_has_begun_goes_on_and_its_result_is_dropped) {
  EventLoop loop;
  ThreadPoolExecutor pool({.max_workers = 1});
  Gate gate;
  std::atomic<bool> ran = false;
  const auto future = loop.run_in_executor(&pool, [&] {
    gate.pass();
    ran = true;
    throw ValueError("nobody wants to know");
  });
  gate.wait_until_reached();
  const Reports reports(loop);
  future.cancel();
  loop.call_soon([&] { gate.open(); });
  loop.run_until_complete(loop.run_in_executor(&pool, [] {}));  // behind it
  BOOST_TEST(ran);
  BOOST_TEST(future.cancelled());
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_119_cancelling_the_task_that_waits_cancels_the_work) {
  VirtualLoop loop;
  LazyExecutor executor;
  bool ran = false;
  loop.run([&]() -> Coroutine<> {
    const auto task = create_task(
        [&]() -> Coroutine<> { co_await loop.run_in_executor(&executor, [&] { ran = true; }); });
    co_await asyncio::sleep(0);
    task.cancel();
    co_await asyncio::sleep(1);
    BOOST_TEST(task.cancelled());
  });
  for (auto& job : executor.jobs) job();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(a_job_that_the_executor_drops_cancels_the_future) {
  VirtualLoop loop;
  LazyExecutor executor;
  const auto future = loop.run_in_executor(&executor, [] {});
  executor.jobs.clear();
  BOOST_CHECK_THROW(loop.run_until_complete(future), CancelledError);
}

BOOST_AUTO_TEST_CASE(a_failure_that_nobody_asks_for_is_reported) {
  VirtualLoop loop;
  const Reports reports(loop);
  InlineExecutor executor;
  (void)loop.run_in_executor(&executor, [] { throw ValueError("x"); });
  loop.pass();
  loop.pass();
  BOOST_TEST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Future exception was never retrieved");
}

BOOST_AUTO_TEST_CASE(rule_121_the_context_does_not_go_with_it) {
  EventLoop loop;
  const ContextVar<int> variable("variable", 0);
  loop.run_until_complete([&]() -> Coroutine<> {
    (void)variable.set(1);
    const int seen = co_await loop.run_in_executor(nullptr, [&] { return variable.get(); });
    BOOST_TEST(seen == 0);
  }());
}

BOOST_AUTO_TEST_CASE(rule_21_a_closed_loop_refuses) {
  EventLoop loop;
  LazyExecutor executor;
  loop.close();
  BOOST_CHECK_EXCEPTION((void)loop.run_in_executor(nullptr, [] {}), RuntimeError,
                        says("Event loop is closed"));
  BOOST_CHECK_EXCEPTION((void)loop.run_in_executor(&executor, [] {}), RuntimeError,
                        says("Event loop is closed"));
  BOOST_TEST(executor.jobs.empty());
}

BOOST_AUTO_TEST_CASE(ex2_set_default_executor) {
  EventLoop loop;
  BOOST_CHECK_EXCEPTION(loop.set_default_executor(nullptr), TypeError,
                        says("executor must be ThreadPoolExecutor instance"));
  const auto pool = std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1});
  loop.set_default_executor(pool);
  const std::thread::id there = pool->submit(this_id).result();
  BOOST_TEST((loop.run_until_complete(loop.run_in_executor(nullptr, this_id)) == there));
  loop.set_default_executor(std::make_shared<ThreadPoolExecutor>());
  BOOST_TEST(pool->submit([] { return 1; }).result() == 1);  // the former one was not shut down
}

BOOST_AUTO_TEST_CASE(ex2_a_default_executor_that_nobody_else_has_may_be_replaced_at_work) {
  EventLoop loop;
  Gate gate;
  const auto future = loop.run_in_executor(nullptr, [&] {
    gate.pass();
    return 1;
  });
  gate.wait_until_reached();
  loop.set_default_executor(std::make_shared<ThreadPoolExecutor>());
  BOOST_TEST(loop.run_until_complete(loop.run_in_executor(nullptr, [] { return 2; })) == 2);
  gate.open();
  BOOST_TEST(loop.run_until_complete(future) == 1);
}

// -- shutdown_default_executor

BOOST_AUTO_TEST_CASE(rule_120_shutdown_waits_for_the_work_and_refuses_more) {
  EventLoop loop;
  ThreadPoolExecutor other;
  Gate gate;
  const auto future = loop.run_in_executor(nullptr, [&] { gate.pass(); });
  gate.wait_until_reached();
  loop.call_soon([&] { gate.open(); });
  loop.run_until_complete(loop.shutdown_default_executor());
  BOOST_TEST(future.done());
  BOOST_CHECK_EXCEPTION((void)loop.run_in_executor(nullptr, [] {}), RuntimeError,
                        says("Executor shutdown has been called"));
  BOOST_TEST(loop.run_until_complete(loop.run_in_executor(&other, [] { return 1; })) == 1);
}

BOOST_AUTO_TEST_CASE(rule_120_shutdown_of_what_was_never_made_refuses_as_well) {
  VirtualLoop loop;
  loop.run_until_complete(loop.shutdown_default_executor());
  BOOST_CHECK_EXCEPTION((void)loop.run_in_executor(nullptr, [] {}), RuntimeError,
                        says("Executor shutdown has been called"));
}

BOOST_AUTO_TEST_CASE(rule_120_on_timeout_it_warns_and_waits_no_more) {
  EventLoop loop;
  Gate gate;
  const auto future = loop.run_in_executor(nullptr, [&] {
    gate.pass();
    return 1;
  });
  gate.wait_until_reached();
  {
    const CapturedLog log;
    loop.run_until_complete(loop.shutdown_default_executor(0));
    BOOST_TEST_REQUIRE(log.records.size() == 1u);
    BOOST_TEST((log.records[0].level == LogLevel::warning));
    BOOST_TEST(log.records[0].message ==
               "The executor did not finishing joining its threads within 0.0 seconds.");
  }
  BOOST_TEST(!future.done());
  gate.open();
  BOOST_TEST(loop.run_until_complete(future) == 1);
}

BOOST_AUTO_TEST_CASE(rule_120_cancelling_the_shutdown_only_stops_waiting) {
  EventLoop loop;
  Gate gate;
  const auto future = loop.run_in_executor(nullptr, [&] { gate.pass(); });
  gate.wait_until_reached();
  const auto task = loop.create_task(loop.shutdown_default_executor());
  loop.call_soon([&] { task.cancel(); });
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  gate.open();
  loop.run_until_complete(future);
}

BOOST_AUTO_TEST_CASE(rule_113_run_waits_for_the_default_executor) {
  bool done = false;
  asyncio::run([&]() -> Coroutine<> {
    const auto pool = std::make_shared<ThreadPoolExecutor>();
    get_running_loop().set_default_executor(pool);
    (void)get_running_loop().run_in_executor(nullptr, [&, pool = pool.get()] {
      wait_for_shutdown(*pool);
      done = true;
    });
    co_return;
  });
  BOOST_TEST(done);
}

// -- the end of a loop

BOOST_AUTO_TEST_CASE(rule_20_close_does_not_wait_for_work_and_its_result_is_dropped) {
  Gate gate;
  std::promise<void> finished;
  std::thread::id future_dropped_in;
  {
    EventLoop loop;
    const auto future = loop.run_in_executor(nullptr, [&] {
      gate.pass();
      finished.set_value();
      return std::string(100, 'x');
    });
    future.add_done_callback([guest = Traveller(future_dropped_in)](const Future<std::string>&) {});
    gate.wait_until_reached();
  }
  BOOST_TEST((future_dropped_in == this_id()));
  gate.open();
  finished.get_future().wait();
}

BOOST_AUTO_TEST_CASE(rule_20_work_that_waits_is_still_done_after_close) {
  Gate gate;
  std::promise<void> finished;
  {
    EventLoop loop;
    loop.set_default_executor(
        std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1}));
    (void)loop.run_in_executor(nullptr, [&] { gate.pass(); });
    (void)loop.run_in_executor(nullptr, [&] { finished.set_value(); });
    gate.wait_until_reached();
  }
  gate.open();
  finished.get_future().wait();
}

BOOST_AUTO_TEST_CASE(a_handle_that_outlives_the_loop_stays_pending) {
  Gate gate;
  ThreadPoolExecutor pool;
  auto loop = std::make_unique<EventLoop>();
  const auto future = loop->run_in_executor(&pool, [&] { gate.pass(); });
  gate.wait_until_reached();
  loop.reset();
  gate.open();
  pool.shutdown();
  BOOST_TEST(!future.done());
}

BOOST_AUTO_TEST_CASE(work_may_end_while_the_loop_is_closed) {
  for (int round = 0; round != 50; ++round) {
    ThreadPoolExecutor pool({.max_workers = 4});
    EventLoop loop;
    for (int i = 0; i != 8; ++i) {
      (void)loop.create_task([&]() -> Coroutine<> {
        co_await loop.run_in_executor(&pool, [] { return std::string(100, 'x'); });
      });
    }
    loop.set_exception_handler([](auto&&...) {});  // the tasks are destroyed pending
    loop.stop();
    loop.run_forever();
  }
}

BOOST_AUTO_TEST_CASE(many_jobs_of_many_tasks) {
  EventLoop loop;
  const int sum = loop.run_until_complete([&]() -> Coroutine<int> {
    std::vector<Future<int>> futures;
    for (int i = 0; i != 1000; ++i)
      futures.push_back(loop.run_in_executor(nullptr, [i] { return i; }));
    const std::vector<int> values = co_await gather(futures);
    int total = 0;
    for (const int value : values) total += value;
    co_return total;
  }());
  BOOST_TEST(sum == 499500);
}

// -- guests

BOOST_AUTO_TEST_CASE(a_hosts_context_does_not_run_out_of_work_while_a_thread_works_for_its_guest) {
  boost::asio::io_context context;
  EventLoop loop{context};
  Gate gate;
  int value = 0;
  loop.create_task([&]() -> Coroutine<> {
    value = co_await loop.run_in_executor(nullptr, [&] {
      gate.pass();
      return 3;
    });
  });
  std::thread opener([&] {
    gate.wait_until_reached();
    gate.open();
  });
  context.run();
  opener.join();
  BOOST_TEST(value == 3);
}

BOOST_AUTO_TEST_SUITE_END()
