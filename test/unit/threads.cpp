// SPDX-License-Identifier: BSL-1.0
//
// to_thread, run_coroutine_threadsafe, wrap_future (surface CO19, CO20, FU16, rules 37, 82, 121).
#include <asyncio/threads.hpp>

#include <asyncio/contextvars.hpp>
#include <asyncio/wait.hpp>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core_helpers.hpp"

using namespace asyncio;
using namespace core_tests;

namespace {

std::thread::id this_id() { return std::this_thread::get_id(); }

/// Runs the loop in another thread while `body` is executed in this one.
template <class Body>
void run_beside(EventLoop& loop, Body body) {
  std::thread other([&] { loop.run_forever(); });
  body();
  loop.call_soon_threadsafe([&] { loop.stop(); });
  other.join();
}

Coroutine<int> returns(int value) { co_return value; }
Coroutine<int> fails() {
  throw ValueError("x");
  co_return 0;
}
/// Waits until it is cancelled, and says so.
Coroutine<> waits_for_ever(std::latch& started, std::atomic<bool>& cancelled) {
  const Future<> never;
  started.count_down();
  try {
    co_await never;
  } catch (const CancelledError&) {
    cancelled = true;
    throw;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads_tests)

// -- to_thread

BOOST_AUTO_TEST_CASE(to_thread_gives_what_the_function_returns_or_throws) {
  EventLoop loop;
  loop.run_until_complete([]() -> Coroutine<> {
    const std::thread::id where = co_await to_thread(this_id);
    BOOST_TEST((where != this_id()));
    const int product = co_await to_thread([](int a, int b) { return a * b; }, 6, 7);
    BOOST_TEST(product == 42);
    std::exception_ptr error;
    try {
      co_await to_thread([] { throw ValueError("x"); });
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(repr(error) == "ValueError('x')");
  }());
}

BOOST_AUTO_TEST_CASE(to_thread_keeps_and_moves_its_arguments) {
  EventLoop loop;
  loop.run_until_complete([]() -> Coroutine<> {
    auto call = to_thread(
        [](std::unique_ptr<int> box, const std::string& text) {
          return std::make_unique<std::string>(text + std::to_string(*box));
        },
        std::make_unique<int>(4), std::string("a text that does not fit into the object itself "));
    const auto result = co_await std::move(call);
    BOOST_TEST(*result == "a text that does not fit into the object itself 4");
  }());
}

BOOST_AUTO_TEST_CASE(to_thread_calls_once_each_of_many_at_a_time) {
  EventLoop loop;
  std::atomic<int> calls = 0;
  loop.run_until_complete([&]() -> Coroutine<> {
    co_await to_thread([&] { ++calls; });
    BOOST_TEST(calls == 1);
    std::vector<Coroutine<>> ten;
    for (int i = 0; i != 10; ++i) ten.push_back(to_thread([&] { ++calls; }));
    co_await gather(std::move(ten));
    BOOST_TEST(calls == 11);
  }());
}

BOOST_AUTO_TEST_CASE(to_thread_does_nothing_before_it_is_awaited) {
  EventLoop loop;
  bool ran = false;
  {
    const auto call = to_thread([&] { ran = true; });
  }
  loop.run_until_complete(loop.shutdown_default_executor());
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(rule_121_to_thread_carries_a_copy_of_the_context) {
  EventLoop loop;
  const ContextVar<std::string> variable("variable", "none");
  loop.run_until_complete([&]() -> Coroutine<> {
    (void)variable.set("mine");
    const std::string seen = co_await to_thread([&] {
      const std::string before = variable.get();
      (void)variable.set("the thread's");
      return before + ", " + variable.get();
    });
    BOOST_TEST(seen == "mine, the thread's");
    BOOST_TEST(variable.get() == "mine");
    const std::string later =
        co_await get_running_loop().run_in_executor(nullptr, [&] { return variable.get(); });
    BOOST_TEST(later == "none");
  }());
}

BOOST_AUTO_TEST_CASE(rule_121_without_variables_the_threads_own_are_not_touched) {
  EventLoop loop;
  ThreadPoolExecutor* const pool = new ThreadPoolExecutor({.max_workers = 1});
  loop.set_default_executor(std::shared_ptr<ThreadPoolExecutor>(pool));
  const ContextVar<int> variable("variable", 0);
  loop.run_until_complete([&]() -> Coroutine<> {
    co_await to_thread([&] { (void)variable.set(1); });
    const int seen = co_await to_thread([&] { return variable.get(); });
    BOOST_TEST(seen == 0);
  }());
}

BOOST_AUTO_TEST_CASE(cancelling_to_thread_stops_waiting_the_call_goes_on) {
  EventLoop loop;
  std::latch started{1}, go_on{1};
  std::atomic<bool> ended = false;
  loop.run_until_complete([&]() -> Coroutine<> {
    const auto task = create_task(to_thread([&] {
      started.count_down();
      go_on.wait();
      ended = true;
    }));
    co_await asyncio::sleep(0);
    started.wait();
    task.cancel();
    std::exception_ptr error;
    try {
      co_await task;
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(repr(error) == "CancelledError()");
    BOOST_TEST(!ended);
    go_on.count_down();
    co_await get_running_loop().shutdown_default_executor();
    BOOST_TEST(ended);
  }());
}

BOOST_AUTO_TEST_CASE(rule_120_to_thread_after_the_shutdown_of_the_executor) {
  VirtualLoop loop;
  loop.run_until_complete(loop.shutdown_default_executor());
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(to_thread([] {})), RuntimeError,
                        says("Executor shutdown has been called"));
}

// -- run_coroutine_threadsafe

BOOST_AUTO_TEST_CASE(rule_82_the_outcome_comes_with_the_future) {
  EventLoop loop;
  run_beside(loop, [&] {
    const auto value = run_coroutine_threadsafe(returns(5), loop);
    const auto error = run_coroutine_threadsafe(fails(), loop);
    BOOST_TEST(value.result() == 5);
    BOOST_CHECK_EXCEPTION(error.result(), ValueError, says("x"));
    BOOST_TEST(repr(error.exception()) == "ValueError('x')");
  });
}

BOOST_AUTO_TEST_CASE(rule_82_it_runs_in_the_loops_thread) {
  EventLoop loop;
  std::promise<std::thread::id> there;
  loop.call_soon([&] { there.set_value(this_id()); });
  run_beside(loop, [&] {
    const auto where =
        run_coroutine_threadsafe([]() -> Coroutine<std::thread::id> { co_return this_id(); }, loop);
    BOOST_TEST((where.result() == there.get_future().get()));
    BOOST_TEST((where.result() != this_id()));
  });
}

BOOST_AUTO_TEST_CASE(rule_82_a_callable_is_kept_by_the_task) {
  EventLoop loop;
  run_beside(loop, [&] {
    const auto text = std::make_shared<std::string>("kept");
    const auto future = run_coroutine_threadsafe(
        [text]() -> Coroutine<std::string> {
          co_await asyncio::sleep(0);
          co_return *text;
        },
        loop);
    BOOST_TEST(future.result() == "kept");
  });
}

BOOST_AUTO_TEST_CASE(rule_82_results_that_cannot_be_copied_are_moved) {
  EventLoop loop;
  run_beside(loop, [&] {
    const auto future = run_coroutine_threadsafe(
        []() -> Coroutine<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }, loop);
    BOOST_TEST(*future.result() == 3);
  });
}

BOOST_AUTO_TEST_CASE(rule_82_cancelling_the_future_cancels_the_task) {
  EventLoop loop;
  std::latch started{1};
  std::atomic<bool> cancelled = false;
  run_beside(loop, [&] {
    const auto future = run_coroutine_threadsafe(waits_for_ever(started, cancelled), loop);
    started.wait();
    BOOST_TEST(future.cancel());
    BOOST_CHECK_THROW(future.result(), CancelledError);
    // Behind the request in the queue, and behind the pass that follows it.
    for (int i = 0; i != 2; ++i) run_coroutine_threadsafe(returns(1), loop).result();
    BOOST_TEST(cancelled);
  });
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(rule_82_a_future_that_is_cancelled_before_the_loop_runs) {
  VirtualLoop loop;
  std::latch started{1};
  std::atomic<bool> cancelled = false;
  const auto future = run_coroutine_threadsafe(waits_for_ever(started, cancelled), loop);
  BOOST_TEST(future.cancel());
  for (int i = 0; i != 5; ++i) loop.pass();
  BOOST_TEST(cancelled);  // the task was made, and ran one step, as in Python
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(rule_82_a_task_that_is_cancelled_cancels_the_future) {
  EventLoop loop;
  std::latch started{1};
  std::atomic<bool> cancelled = false;
  run_beside(loop, [&] {
    const auto future = run_coroutine_threadsafe(waits_for_ever(started, cancelled), loop);
    started.wait();
    loop.call_soon_threadsafe([&] {
      for (const AnyTask& task : all_tasks(loop)) task.cancel();
    });
    BOOST_CHECK_THROW(future.result(), CancelledError);
    BOOST_TEST(future.cancelled());
  });
}

BOOST_AUTO_TEST_CASE(rule_82_a_result_that_does_not_come_in_time_is_a_timeout_error) {
  EventLoop loop;
  std::latch started{1};
  std::atomic<bool> cancelled = false;
  run_beside(loop, [&] {
    const auto future = run_coroutine_threadsafe(waits_for_ever(started, cancelled), loop);
    BOOST_CHECK_THROW(future.result(0), TimeoutError);
    BOOST_TEST(!future.done());  // it goes on
    future.cancel();
    for (int i = 0; i != 2; ++i) run_coroutine_threadsafe(returns(1), loop).result();
    BOOST_TEST(cancelled);
  });
}

BOOST_AUTO_TEST_CASE(rule_82_what_prevents_the_task_is_delivered_and_reported) {
  VirtualLoop loop;
  const Reports reports(loop);
  loop.set_task_factory([](EventLoop&, AnyCoroutine, const TaskOptions&) -> AnyTask {
    throw ValueError("no tasks today");
  });
  const auto future = run_coroutine_threadsafe(returns(1), loop);
  loop.pass();
  loop.pass();
  BOOST_CHECK_EXCEPTION(future.result(0), ValueError, says("no tasks today"));
  BOOST_TEST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message.starts_with("Exception in callback"));
  BOOST_TEST(repr(reports[0].exception) == "ValueError('no tasks today')");
}

BOOST_AUTO_TEST_CASE(rule_82_a_coroutine_that_was_used_is_a_creation_error) {
  VirtualLoop loop;
  const Reports reports(loop);
  auto coroutine = returns(1);
  auto used = std::move(coroutine);
  const auto future = run_coroutine_threadsafe(std::move(coroutine), loop);
  loop.pass();
  loop.pass();
  BOOST_CHECK_EXCEPTION(future.result(0), RuntimeError,
                        says("cannot reuse already awaited coroutine"));
}

BOOST_AUTO_TEST_CASE(rule_82_the_task_has_the_callers_context) {
  EventLoop loop;
  const ContextVar<int> variable("variable", 0);
  run_beside(loop, [&] {
    (void)variable.set(1);
    const auto future = run_coroutine_threadsafe(
        [&]() -> Coroutine<int> {
          const int before = variable.get();
          (void)variable.set(2);
          co_return before;
        },
        loop);
    BOOST_TEST(future.result() == 1);
    BOOST_TEST(variable.get() == 1);
  });
}

BOOST_AUTO_TEST_CASE(rule_82_a_closed_loop_refuses) {
  EventLoop loop;
  loop.close();
  BOOST_CHECK_EXCEPTION(run_coroutine_threadsafe(returns(1), loop), RuntimeError,
                        says("Event loop is closed"));
}

BOOST_AUTO_TEST_CASE(rule_82_nobody_waits_for_a_loop_that_is_closed) {
  std::latch started{1};
  std::atomic<bool> cancelled = false;
  auto loop = std::make_unique<EventLoop>();
  loop->set_exception_handler([](auto&&...) {});  // the task is destroyed pending
  const auto made = run_coroutine_threadsafe(waits_for_ever(started, cancelled), *loop);
  loop->stop();
  loop->run_forever();
  const auto not_made = run_coroutine_threadsafe(returns(1), *loop);
  loop.reset();
  BOOST_CHECK_THROW(made.result(), CancelledError);
  BOOST_CHECK_THROW(not_made.result(), CancelledError);
}

BOOST_AUTO_TEST_CASE(rule_82_cancelling_while_the_task_ends_or_the_loop_is_closed) {
  for (int round = 0; round != 200; ++round) {
    std::vector<ConcurrentFuture<int>> futures;
    auto loop = std::make_unique<EventLoop>();
    loop->set_exception_handler([](auto&&...) {});
    for (int i = 0; i != 10; ++i) futures.push_back(run_coroutine_threadsafe(returns(i), *loop));
    std::thread other([&] {
      for (const auto& future : futures) future.cancel();
    });
    for (int pass = 0; pass != round % 5; ++pass) {
      loop->stop();
      loop->run_forever();
    }
    loop.reset();
    other.join();
    for (const auto& future : futures) BOOST_TEST_REQUIRE(future.done());
  }
}

BOOST_AUTO_TEST_CASE(rule_82_many_threads_submit_to_one_loop) {
  EventLoop loop;
  std::atomic<int> sum = 0;
  run_beside(loop, [&] {
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n != 100; ++n) {
          sum += run_coroutine_threadsafe(
                     [n]() -> Coroutine<int> {
                       co_await asyncio::sleep(0);
                       co_return n;
                     },
                     loop)
                     .result();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  BOOST_TEST(sum == 4 * 4950);
}

// -- wrap_future

BOOST_AUTO_TEST_CASE(rule_37_the_outcome_is_copied_in_one_pass_and_the_waiter_goes_on_in_the_next) {
  VirtualLoop loop;
  loop.run([&]() -> Coroutine<> {
    const ConcurrentFuture<int> source;
    const Future<int> future = wrap_future(source);
    source.set_result(5);
    BOOST_TEST(!future.done());
    const std::uint64_t before = loop.passes();
    const int value = co_await future;
    BOOST_TEST(value == 5);
    BOOST_TEST(loop.passes() - before == 2u);
    BOOST_TEST(source.result() == 5);  // copied, not taken
  });
}

BOOST_AUTO_TEST_CASE(rule_37_it_is_completed_from_another_thread) {
  EventLoop loop;
  const ConcurrentFuture<std::string> source;
  const Future<std::string> future = wrap_future(source, loop);
  std::thread other;
  loop.call_soon([&] { other = std::thread([source] { source.set_result("from afar"); }); });
  BOOST_TEST(loop.run_until_complete(future) == "from afar");
  other.join();
}

BOOST_AUTO_TEST_CASE(rule_37_exceptions_are_copied) {
  VirtualLoop loop;
  const ConcurrentFuture<> source;
  const Future<> future = wrap_future(source, loop);
  source.set_exception(ValueError("x"));
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(future), ValueError, says("x"));
  BOOST_TEST(repr(source.exception()) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(rule_37_cancelling_the_source_cancels_the_future) {
  VirtualLoop loop;
  const ConcurrentFuture<> source;
  const Future<> future = wrap_future(source, loop);
  source.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(future), CancelledError);
  BOOST_TEST(future.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_37_cancelling_the_future_cancels_the_source_in_the_pass_after) {
  VirtualLoop loop;
  const ConcurrentFuture<> source;
  const Future<> future = wrap_future(source, loop);
  future.cancel();
  BOOST_TEST(!source.cancelled());
  loop.pass();
  BOOST_TEST(source.cancelled());
  loop.pass();
}

BOOST_AUTO_TEST_CASE(rule_37_nothing_is_copied_to_a_cancelled_future) {
  VirtualLoop loop;
  const Reports reports(loop);
  const ConcurrentFuture<int> source;
  source.set_running_or_notify_cancel();
  const Future<int> future = wrap_future(source, loop);
  future.cancel();
  loop.pass();
  source.set_result(1);
  loop.pass();
  loop.pass();
  BOOST_TEST(future.cancelled());
  BOOST_TEST(source.result() == 1);
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_37_a_future_that_is_cancelled_before_the_outcome_arrives_stays_so) {
  VirtualLoop loop;
  const Reports reports(loop);
  const ConcurrentFuture<int> source;
  const Future<int> future = wrap_future(source, loop);
  source.set_result(42);
  BOOST_TEST(future.cancel());
  loop.pass();
  loop.pass();
  BOOST_TEST(future.cancelled());
  BOOST_TEST(!source.cancelled());
  BOOST_TEST(source.result() == 42);
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_37_nothing_is_copied_to_a_closed_loop) {
  const ConcurrentFuture<int> source;
  auto loop = std::make_unique<EventLoop>();
  const Future<int> future = wrap_future(source, *loop);
  loop.reset();
  source.set_result(1);
  BOOST_TEST(!future.done());
}

BOOST_AUTO_TEST_CASE(rule_37_a_source_that_is_done_already) {
  VirtualLoop loop;
  const ConcurrentFuture<int> source;
  source.set_result(1);
  BOOST_TEST(loop.run_until_complete(wrap_future(source, loop)) == 1);
}

BOOST_AUTO_TEST_CASE(rule_37_two_loops_may_follow_one_source) {
  VirtualLoop first, second;
  const ConcurrentFuture<int> source;
  const Future<int> one = wrap_future(source, first), two = wrap_future(source, second);
  source.set_result(1);
  BOOST_TEST(first.run_until_complete(one) == 1);
  BOOST_TEST(second.run_until_complete(two) == 1);
}

BOOST_AUTO_TEST_CASE(fu16_a_future_of_a_loop_is_returned_unchanged) {
  VirtualLoop loop;
  const Future<int> future(loop);
  BOOST_TEST((wrap_future(future) == future));
  BOOST_CHECK_EXCEPTION((void)wrap_future(ConcurrentFuture<>()), RuntimeError,
                        says("There is no current event loop in this thread"));
}

BOOST_AUTO_TEST_CASE(fu16_wrap_future_takes_the_running_loop_else_the_current_one) {
  VirtualLoop loop;
  VirtualLoop other;
  const ConcurrentFuture<int> source;
  set_event_loop(&other);
  const Future<int> of_the_current_one = wrap_future(source);
  Future<int> of_the_running_one(nullptr);
  loop.call_soon([&] { of_the_running_one = wrap_future(source); });
  loop.pass();
  set_event_loop(nullptr);
  BOOST_TEST((&of_the_current_one.get_loop() == &other));
  BOOST_TEST((&of_the_running_one.get_loop() == &loop));
}

BOOST_AUTO_TEST_CASE(rule_37_a_value_that_cannot_be_copied_after_all_is_an_exception) {
  struct Moody {
    Moody() = default;
    Moody(const Moody&) { throw std::runtime_error("not now"); }
    Moody(Moody&&) = default;
  };
  VirtualLoop loop;
  const ConcurrentFuture<Moody> source;
  const Future<Moody> future = wrap_future(source, loop);
  source.set_result(Moody());
  BOOST_CHECK_THROW(loop.run_until_complete(future), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(rule_82_a_future_that_somebody_else_completes_is_reported_and_ends_no_loop) {
  EventLoop loop;
  core_tests::CapturedLog log;
  const Future<> gate = loop.create_future();
  const auto body = [&]() -> Coroutine<int> {
    co_await gate;
    co_return 1;
  };
  const ConcurrentFuture<int> future = run_coroutine_threadsafe(body(), loop);
  loop.run_until_complete(core_tests::some_passes());
  future.set_result(2);
  gate.set_result();
  loop.run_until_complete(core_tests::some_passes());
  BOOST_TEST(future.result() == 2);
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message.starts_with(
      "Exception in callback run_coroutine_threadsafe()\nfuture: <Task finished "));
  BOOST_TEST(log.records[0].message.ends_with("RuntimeError('Future in unexpected state')"));
}

BOOST_AUTO_TEST_SUITE_END()
