// SPDX-License-Identifier: BSL-1.0
//
// Executors and concurrent futures (surface A15, LC8, rules 20, 21, 119-121).
#include <asyncio/executors.hpp>

#include <asyncio/contextvars.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/wait.hpp>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#endif

#include "core_helpers.hpp"

using namespace asyncio;
using namespace core_tests;

namespace {

/// Holds up a job until the test opens it.
class Gate {
 public:
  ~Gate() { open(); }
  /// In the job.
  void pass() {
    reached_.count_down();
    opened_.wait();
  }
  void wait_until_reached() { reached_.wait(); }
  void open() {
    if (!std::exchange(is_open_, true)) opened_.count_down();
  }

 private:
  std::latch reached_{1};
  std::latch opened_{1};
  bool is_open_ = false;
};

/// Does the work at once, in the caller's thread.
class InlineExecutor : public Executor {
 public:
  void execute(Job job) override { job(); }
  void shutdown(bool) override {}
};

/// Keeps the work until it is asked.
class LazyExecutor : public Executor {
 public:
  void execute(Job job) override { jobs.push_back(std::move(job)); }
  void shutdown(bool) override {}
  std::vector<Job> jobs;
};

/// Notes the thread in which it is destroyed.
class Traveller {
 public:
  explicit Traveller(std::thread::id& destroyed_in) : destroyed_in_(&destroyed_in) {}
  Traveller(Traveller&& other) noexcept
      : destroyed_in_(std::exchange(other.destroyed_in_, nullptr)) {}
  ~Traveller() {
    if (destroyed_in_) *destroyed_in_ = std::this_thread::get_id();
  }

 private:
  std::thread::id* destroyed_in_;
};

/// What result() throws.
template <class Future>
std::string outcome(const Future& future) {
  return repr(thrown_by([&] { (void)future.result(); }));
}

std::thread::id this_id() { return std::this_thread::get_id(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(executors_tests)

// -- ConcurrentFuture

BOOST_AUTO_TEST_CASE(result_waits_for_another_thread) {
  const ConcurrentFuture<int> future;
  std::thread worker([future] { future.set_result(7); });
  BOOST_TEST(future.result() == 7);
  BOOST_TEST(future.done());
  BOOST_TEST((future.exception() == nullptr));
  worker.join();
}

BOOST_AUTO_TEST_CASE(result_throws_the_exception_and_exception_gives_it) {
  const ConcurrentFuture<int> future;
  future.set_exception(ValueError("x"));
  BOOST_CHECK_EXCEPTION(future.result(), ValueError, says("x"));
  BOOST_TEST(repr(future.exception()) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(result_that_does_not_come_in_time_is_a_timeout_error) {
  const ConcurrentFuture<int> future;
  BOOST_CHECK_THROW(future.result(0), TimeoutError);
  BOOST_CHECK_THROW(future.exception(0), TimeoutError);
  future.set_result(1);
  BOOST_TEST(future.result(0) == 1);
  BOOST_TEST(future.result(Duration::max()) == 1);
}

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_copied_is_moved_out) {
  const ConcurrentFuture<std::unique_ptr<int>> future;
  future.set_result(std::make_unique<int>(3));
  BOOST_TEST(*future.result() == 3);
}

BOOST_AUTO_TEST_CASE(cancel_wakes_those_who_wait) {
  const ConcurrentFuture<> future;
  std::string waiter_got;
  std::thread waiter([&, future] { waiter_got = outcome(future); });
  BOOST_TEST(future.cancel());
  waiter.join();
  BOOST_TEST(waiter_got == "CancelledError()");
  BOOST_TEST(future.cancelled());
  BOOST_TEST(future.done());
  BOOST_TEST(future.cancel());  // still so
  BOOST_TEST(!future.set_running_or_notify_cancel());
}

BOOST_AUTO_TEST_CASE(what_has_begun_or_is_done_cannot_be_cancelled) {
  const ConcurrentFuture<> future;
  BOOST_TEST(future.set_running_or_notify_cancel());
  BOOST_TEST(future.running());
  BOOST_TEST(!future.cancel());
  future.set_result();
  BOOST_TEST(!future.running());
  BOOST_TEST(!future.cancel());
}

BOOST_AUTO_TEST_CASE(wrong_use_is_told_in_pythons_words) {
  const ConcurrentFuture<> finished, cancelled;
  finished.set_result();
  cancelled.cancel();
  BOOST_CHECK_EXCEPTION(finished.set_result(), InvalidStateError,
                        says_about("FINISHED: <Future at 0x", " state=finished>"));
  BOOST_CHECK_EXCEPTION(cancelled.set_exception(ValueError()), InvalidStateError,
                        says_about("CANCELLED: <Future at 0x", " state=cancelled>"));
  BOOST_CHECK_EXCEPTION(finished.set_running_or_notify_cancel(), RuntimeError,
                        says("Future in unexpected state"));
  BOOST_TEST(to_string(ConcurrentFuture<>()).ends_with(" state=pending>"));
}

BOOST_AUTO_TEST_CASE(done_callbacks_run_where_it_is_completed_in_order_or_at_once) {
  const ConcurrentFuture<int> future;
  std::vector<std::pair<int, std::thread::id>> calls;
  future.add_done_callback([&](const ConcurrentFuture<int>& done) {
    BOOST_TEST((done == future));
    calls.emplace_back(done.result(), this_id());
  });
  future.add_done_callback([&](auto&&) { calls.emplace_back(2, this_id()); });
  std::thread::id worker_id;
  std::thread worker([&] {
    worker_id = this_id();
    future.set_result(1);
  });
  worker.join();
  future.add_done_callback([&](auto&&) { calls.emplace_back(3, this_id()); });
  const std::vector<std::pair<int, std::thread::id>> expected{
      {1, worker_id}, {2, worker_id}, {3, this_id()}};
  BOOST_TEST((calls == expected));
}

BOOST_AUTO_TEST_CASE(what_a_done_callback_throws_is_logged_and_the_others_run) {
  const Log log;
  const ConcurrentFuture<> future;
  bool called = false;
  future.add_done_callback([](auto&&) { throw ValueError("x"); });
  future.add_done_callback([&](auto&&) { called = true; });
  future.set_result();
  BOOST_TEST(called);
  BOOST_TEST_REQUIRE(log.lines.size() == 1u);
  BOOST_TEST(log.lines[0].name == "concurrent.futures");
  BOOST_TEST(log.lines[0].message.starts_with("exception calling callback for <Future at 0x"));
}

// -- ThreadPoolExecutor

BOOST_AUTO_TEST_CASE(submit_calls_in_another_thread) {
  ThreadPoolExecutor pool;
  const auto where = pool.submit(this_id);
  const auto what =
      pool.submit([](int a, const std::string& b) { return b + std::to_string(a); }, 1, "x");
  const auto why = pool.submit([] { throw ValueError("y"); });
  BOOST_TEST((where.result() != this_id()));
  BOOST_TEST(what.result() == "x1");
  BOOST_CHECK_EXCEPTION(why.result(), ValueError, says("y"));
}

BOOST_AUTO_TEST_CASE(submit_moves_what_can_only_be_moved) {
  ThreadPoolExecutor pool;
  auto box = std::make_unique<int>(4);
  const auto future = pool.submit(
      [](std::unique_ptr<int> given) { return std::make_unique<int>(*given + 1); }, std::move(box));
  BOOST_TEST(*future.result() == 5);
}

BOOST_AUTO_TEST_CASE(submit_hands_a_reference_through_with_std_ref) {
  ThreadPoolExecutor pool;
  int number = 1;
  pool.submit([](int& given) { given = 2; }, std::ref(number)).result();
  BOOST_TEST(number == 2);
}

BOOST_AUTO_TEST_CASE(callable_and_arguments_are_destroyed_in_the_thread_before_the_future_is_done) {
  ThreadPoolExecutor pool;
  std::thread::id of_callable, of_argument;
  const auto future =
      pool.submit([callable = Traveller(of_callable)](const Traveller&) { return this_id(); },
                  Traveller(of_argument));
  const std::thread::id worker = future.result();
  BOOST_TEST((of_callable == worker));
  BOOST_TEST((of_argument == worker));
}

BOOST_AUTO_TEST_CASE(
    there_are_no_more_threads_than_asked_for_and_a_job_that_waits_can_be_cancelled) {
  ThreadPoolExecutor pool({.max_workers = 1});
  Gate gate;
  bool ran = false;
  const auto first = pool.submit([&] { gate.pass(); });
  const auto second = pool.submit([&] { ran = true; });
  const auto third = pool.submit([] { return 3; });
  gate.wait_until_reached();
  BOOST_TEST(first.running());
  BOOST_TEST(!first.cancel());
  BOOST_TEST(second.cancel());
  BOOST_TEST(!third.done());
  gate.open();
  BOOST_TEST(third.result() == 3);
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(there_are_as_many_threads_as_jobs_that_run_together) {
  ThreadPoolExecutor pool({.max_workers = 3});
  std::latch together(3);  // none returns before all have come
  std::vector<ConcurrentFuture<>> futures;
  for (int i = 0; i != 3; ++i) futures.push_back(pool.submit([&] { together.arrive_and_wait(); }));
  for (const auto& future : futures) future.result();
}

BOOST_AUTO_TEST_CASE(max_workers_must_be_positive) {
  BOOST_CHECK_EXCEPTION(ThreadPoolExecutor({.max_workers = 0}), ValueError,
                        says("max_workers must be greater than 0"));
}

BOOST_AUTO_TEST_CASE(shutdown_takes_no_more_but_does_what_it_has) {
  ThreadPoolExecutor pool({.max_workers = 1});
  Gate gate;
  const auto running = pool.submit([&] { gate.pass(); });
  const auto waiting = pool.submit([] { return 1; });
  pool.shutdown(false);
  BOOST_CHECK_EXCEPTION(pool.submit([] {}), RuntimeError,
                        says("cannot schedule new futures after shutdown"));
  BOOST_TEST(!waiting.done());
  gate.open();
  pool.shutdown();
  BOOST_TEST(running.done());
  BOOST_TEST(waiting.result() == 1);
  pool.shutdown();  // idempotent
}

BOOST_AUTO_TEST_CASE(two_threads_may_shut_down_together) {
  for (int round = 0; round != 20; ++round) {
    ThreadPoolExecutor pool({.max_workers = 4});
    std::atomic<int> done = 0;
    for (int i = 0; i != 8; ++i) pool.submit([&] { ++done; });
    std::thread other([&] { pool.shutdown(); });
    pool.shutdown();
    BOOST_TEST(done == 8);
    other.join();
  }
}

BOOST_AUTO_TEST_CASE(the_destructor_waits) {
  int done = 0;
  {
    ThreadPoolExecutor pool({.max_workers = 1});
    for (int i = 0; i != 3; ++i) pool.submit([&] { ++done; });
  }
  BOOST_TEST(done == 3);
}

BOOST_AUTO_TEST_CASE(an_executor_may_go_in_a_thread_of_its_own) {
  auto pool = std::make_shared<ThreadPoolExecutor>();
  Gate gate;
  const auto future = pool->submit([&gate, pool] { gate.pass(); });
  gate.wait_until_reached();
  pool.reset();  // now the job has the last reference
  gate.open();
  future.result();
}

BOOST_AUTO_TEST_CASE(a_job_that_is_dropped_cancels_its_future) {
  LazyExecutor executor;
  std::thread::id destroyed_in;
  const auto future = executor.submit([guest = Traveller(destroyed_in)] { return 1; });
  executor.jobs.clear();
  BOOST_TEST(future.cancelled());
  BOOST_TEST((destroyed_in == this_id()));
}

#ifdef __linux__
BOOST_AUTO_TEST_CASE(threads_are_named_after_the_prefix) {
  const auto name = [] {
    char text[16];
    pthread_getname_np(pthread_self(), text, sizeof text);
    return std::string(text);
  };
  ThreadPoolExecutor pool({.max_workers = 1, .thread_name_prefix = "worker"});
  BOOST_TEST(pool.submit(name).result() == "worker_0");
  EventLoop loop;  // EX1
  BOOST_TEST(loop.run_until_complete(loop.run_in_executor(nullptr, name)) == "asyncio_0");
}
#endif

// -- run_in_executor

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
    const Log log;
    loop.run_until_complete(loop.shutdown_default_executor(0));
    BOOST_TEST_REQUIRE(log.lines.size() == 1u);
    BOOST_TEST((log.lines[0].level == LogLevel::warning));
    BOOST_TEST(log.lines[0].message ==
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
    (void)get_running_loop().run_in_executor(nullptr, [&] { done = true; });
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
