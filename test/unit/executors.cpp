// SPDX-License-Identifier: BSL-1.0
//
// Pools of threads without a loop (surface A15).
#include <asyncio/executors.hpp>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#endif

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>

#include "core_helpers.hpp"
#include "executor_helpers.hpp"

using namespace asyncio;
using namespace core_tests;
using namespace executor_tests;

BOOST_AUTO_TEST_SUITE(executors_tests)

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
    for (int i = 0; i != 8; ++i) {
      pool.submit([&] {
        wait_for_shutdown(pool);
        ++done;
      });
    }
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
    pool.submit([&] {
      wait_for_shutdown(pool);
      ++done;
    });
    pool.submit([&] { ++done; });
  }
  BOOST_TEST(done == 2);
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

BOOST_AUTO_TEST_CASE(a_job_whose_future_somebody_else_completes_is_not_done) {
  CapturedLog log;
  bool done = false;
  {
    ThreadPoolExecutor pool({.max_workers = 1});
    Gate gate;
    pool.submit([&] { gate.pass(); });
    const ConcurrentFuture<> future = pool.submit([&] { done = true; });
    future.set_result();
  }
  BOOST_TEST(!done);
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message ==
             "Exception in worker\nRuntimeError('Future in unexpected state')");
}

BOOST_AUTO_TEST_SUITE_END()
