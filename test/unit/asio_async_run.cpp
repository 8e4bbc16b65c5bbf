// SPDX-License-Identifier: BSL-1.0
// async_run and async_wait: threads, executors, the ends of loops. What holds for every token
// stands in asio_async_run_tokens.cpp.
#include <asyncio/asio.hpp>

#include <asyncio/wait.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "core_helpers.hpp"

namespace asio = boost::asio;
using namespace asyncio;
using core_tests::CapturedLog;
using core_tests::Trace;
using core_tests::joined;
using core_tests::some_passes;

namespace {

bool is_aborted(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const boost::system::system_error& caught) {
    return caught.code() == asio::error::operation_aborted;
  } catch (...) {
  }
  return false;
}

Coroutine<int> returns(int value) {
  co_await asyncio::sleep(0);
  co_return value;
}
Coroutine<> nothing() { co_return; }
Coroutine<std::unique_ptr<int>> boxes(int value) { co_return std::make_unique<int>(value); }
Coroutine<> waits_for_ever(EventLoop& loop) { co_await Future<>(loop); }

/// Runs a loop in another thread, for as long as it lives.
class Beside {
 public:
  explicit Beside(EventLoop& loop) : loop_(loop), thread_([&loop] { loop.run_forever(); }) {}
  ~Beside() {
    loop_.call_soon_threadsafe([this] { loop_.stop(); });
    thread_.join();
  }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  EventLoop& loop_;
  std::thread thread_;
};

/// What a handler without a value was called with.
struct Call {
  void operator()(std::exception_ptr how) {
    ++count;
    error = std::move(how);
  }
  auto handler() {
    return [this](std::exception_ptr how) { (*this)(std::move(how)); };
  }
  int count = 0;
  std::exception_ptr error;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_async_run_tests)

// -- threads and executors

BOOST_AUTO_TEST_CASE(another_thread_waits_for_a_coroutine_of_a_loop) {
  EventLoop loop;
  const Beside beside(loop);
  const auto where = [&]() -> Coroutine<bool> {
    co_await asyncio::sleep(0);
    co_return std::this_thread::get_id() == beside.id();
  };
  std::future<bool> future = async_run(loop, where, asio::use_future);
  BOOST_TEST(future.get());
  std::future<void> done = async_run(loop, nothing(), asio::use_future);
  done.get();
}

BOOST_AUTO_TEST_CASE(another_thread_waits_for_a_guest) {
  asio::io_context context;
  EventLoop loop(context);
  std::future<int> future = async_run(loop, returns(5), asio::use_future);  // work for run()
  std::thread host([&] { context.run(); });
  BOOST_TEST(future.get() == 5);
  host.join();
}

BOOST_AUTO_TEST_CASE(the_handler_runs_on_its_executor_and_the_task_in_its_loop) {
  EventLoop loop;
  asio::thread_pool pool(1);
  const auto strand = asio::make_strand(pool);
  std::promise<bool> ran_on_strand;
  std::thread::id task_thread;
  std::thread::id loop_thread;
  {
    const Beside beside(loop);
    loop_thread = beside.id();
    const auto body = [&]() -> Coroutine<> {
      task_thread = std::this_thread::get_id();
      co_return;
    };
    async_run(loop, body, asio::bind_executor(strand, [&](std::exception_ptr) {
                ran_on_strand.set_value(strand.running_in_this_thread());
              }));
    BOOST_TEST(ran_on_strand.get_future().get());
  }
  BOOST_TEST((task_thread == loop_thread));
}

BOOST_AUTO_TEST_CASE(a_cancellation_comes_from_the_thread_of_the_handler) {
  EventLoop loop;
  asio::thread_pool pool(1);
  asio::cancellation_signal signal;
  std::latch started(1);
  std::promise<bool> aborted;
  const Beside beside(loop);
  const auto body = [&]() -> Coroutine<> {
    started.count_down();
    co_await Future<>();
  };
  const auto handler = [&](std::exception_ptr error) { aborted.set_value(is_aborted(error)); };
  async_run(loop, body,
            asio::bind_cancellation_slot(signal.slot(),
                                         asio::bind_executor(pool.get_executor(), handler)));
  started.wait();
  asio::post(pool, [&] {
    signal.emit(asio::cancellation_type::partial);
    signal.emit(asio::cancellation_type::total);
  });
  BOOST_TEST(aborted.get_future().get());
}

BOOST_AUTO_TEST_CASE(a_cancellation_overtakes_a_coroutine_on_its_way_to_the_loop) {
  EventLoop loop;
  asio::cancellation_signal signal;
  bool started = false;
  Call call;
  const auto body = [&]() -> Coroutine<> {
    started = true;
    co_return;
  };
  async_run(loop, body, asio::bind_cancellation_slot(signal.slot(), call.handler()));
  signal.emit(asio::cancellation_type::terminal);  // no thread runs the loop
  loop.run_until_complete(some_passes());
  BOOST_TEST(call.count == 1);
  BOOST_TEST(is_aborted(call.error));
  BOOST_TEST(!started);
}

BOOST_AUTO_TEST_CASE(many_threads_run_and_cancel_at_once) {
  EventLoop loop;
  const Beside beside(loop);
  constexpr int threads = 4;
  constexpr int each = 200;
  std::atomic<int> ended = 0;
  {
    std::vector<std::jthread> others;
    for (int i = 0; i != threads; ++i) {
      others.emplace_back([&] {
        asio::io_context context(1);
        for (int n = 0; n != each; ++n) {
          asio::cancellation_signal signal;
          const auto handler = [&](std::exception_ptr error, int value) {
            if (error ? is_aborted(error) : value == n) ++ended;
          };
          async_run(loop, returns(n),
                    asio::bind_cancellation_slot(
                        signal.slot(), asio::bind_executor(context.get_executor(), handler)));
          asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
          context.restart();
          context.run();
        }
      });
    }
  }
  BOOST_TEST(ended == threads * each);
}

BOOST_AUTO_TEST_CASE(the_handler_is_called_neither_at_once_nor_within_a_pass) {
  asio::io_context context;
  EventLoop loop(context);
  Trace trace;
  asio::post(loop.get_executor(), [&] {
    const auto handler = [&](std::exception_ptr) {
      BOOST_CHECK_THROW(get_running_loop(), RuntimeError);
      trace.push_back("handler");
    };
    Future<> future(loop);
    future.set_result();
    future.async_wait(handler);
    async_run(loop, nothing(), handler);
    trace.push_back("initiated");
  });
  context.run();
  BOOST_TEST(joined(trace) == "initiated handler handler");
}

BOOST_AUTO_TEST_CASE(what_a_handler_throws_leaves_the_hosts_run) {
  asio::io_context context;
  EventLoop loop(context);
  async_run(loop, nothing(), [](std::exception_ptr) { throw std::logic_error("mine"); });
  BOOST_CHECK_EXCEPTION(context.run(), std::logic_error, core_tests::says("mine"));
  Call call;
  async_run(loop, nothing(), call.handler());
  context.restart();
  context.run();
  BOOST_TEST(call.count == 1);
}

BOOST_AUTO_TEST_CASE(a_pending_wait_is_work_for_the_context_of_a_guest) {
  asio::io_context context;
  EventLoop loop(context);
  asio::thread_pool pool(1);
  std::promise<int> outcome;
  const Future<int> future(loop);
  future.async_wait(asio::bind_executor(
      pool.get_executor(), [&](std::exception_ptr, int value) { outcome.set_value(value); }));
  std::thread host([&] { context.run(); });
  loop.call_soon_threadsafe([&] { future.set_result(3); });
  BOOST_TEST(outcome.get_future().get() == 3);
  host.join();
}

// -- together with Asio's coroutines

BOOST_AUTO_TEST_CASE(an_awaitable_awaits_coroutines_that_await) {
  asio::io_context context;
  EventLoop loop(context);
  const auto twice = [](int value) -> Coroutine<int> {
    const int once = co_await returns(value);
    co_return 2 * once;
  };
  const auto sum = [&]() -> asio::awaitable<int> {
    int total = 0;
    for (int i = 1; i != 4; ++i) {
      const int part = co_await async_run(loop, twice(i), asio::use_awaitable);
      total += part;
    }
    co_return total;
  };
  std::future<int> future = asio::co_spawn(context, sum(), asio::use_future);
  context.run();
  BOOST_TEST(future.get() == 12);
}

BOOST_AUTO_TEST_CASE(a_result_need_not_be_copyable) {
  asio::io_context context;
  EventLoop loop(context);
  const auto awaits = [&]() -> asio::awaitable<int> {
    const auto box = co_await async_run(loop, boxes(3), asio::use_awaitable);
    const Task<std::unique_ptr<int>> task = loop.create_task(boxes(4));
    const auto other = co_await task.async_wait(asio::use_awaitable);
    co_return *box * *other;
  };
  std::future<int> product = asio::co_spawn(context, awaits(), asio::use_future);
  std::future<std::unique_ptr<int>> box = async_run(loop, boxes(5), asio::use_future);
  context.run();
  BOOST_TEST(product.get() == 12);
  BOOST_TEST(*box.get() == 5);
}

BOOST_AUTO_TEST_CASE(the_value_of_a_named_future_is_copied) {
  asio::io_context context;
  EventLoop loop(context);
  Future<std::string> future(loop);
  std::string first;
  std::string second;
  const auto into = [](std::string& place) {
    return [&place](std::exception_ptr, std::string value) { place = std::move(value); };
  };
  future.async_wait(into(first));
  future.set_result(std::string("a text that does not fit into the object"));
  context.run();
  BOOST_TEST(future.result() == first);
  std::move(future).async_wait(into(second));
  context.restart();
  context.run();
  BOOST_TEST(second == first);
}

BOOST_AUTO_TEST_CASE(of_a_future_of_any_type_only_the_error_comes) {
  asio::io_context context;
  EventLoop loop(context);
  const Future<int> good(loop);
  const Future<int> bad(loop);
  Call calls[2];
  AnyFuture(good).async_wait(calls[0].handler());
  AnyFuture(bad).async_wait(calls[1].handler());
  good.set_result(1);
  bad.set_exception(ValueError("x"));
  context.run();
  BOOST_TEST(calls[0].count == 1);
  BOOST_TEST(!calls[0].error);
  BOOST_TEST(repr(calls[1].error) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(a_cancellation_may_be_survived) {
  asio::io_context context;
  EventLoop loop(context);
  asio::cancellation_signal signal;
  int requests = 0;
  const auto stubborn = [&]() -> Coroutine<int> {
    for (; requests != 2; ++requests) {
      loop.call_soon([&] { signal.emit(asio::cancellation_type::terminal); });
      try {
        co_await Future<>(loop);
      } catch (const CancelledError&) {
      }
    }
    co_return 7;
  };
  int value = 0;
  async_run(loop, stubborn,
            asio::bind_cancellation_slot(signal.slot(),
                                         [&](std::exception_ptr, int v) { value = v; }));
  context.run();
  BOOST_TEST(requests == 2);
  BOOST_TEST(value == 7);
}

BOOST_AUTO_TEST_CASE(an_emission_of_no_type_cancels_nothing) {
  asio::io_context context;
  EventLoop loop(context);
  asio::cancellation_signal signal;
  Call call;
  async_run(loop, nothing(), asio::bind_cancellation_slot(signal.slot(), call.handler()));
  signal.emit(asio::cancellation_type::none);
  context.run();
  BOOST_TEST(call.count == 1);
  BOOST_TEST(!call.error);
}

BOOST_AUTO_TEST_CASE(the_task_has_a_copy_of_the_initiators_context) {
  EventLoop loop;
  const ContextVar<int> variable("variable", 0);
  const auto get = [&]() -> Coroutine<int> { co_return variable.get(); };
  int seen = 0;
  const auto handler = [&](std::exception_ptr, int value) { seen = value; };
  Context().run([&] {
    (void)variable.set(9);
    async_run(loop, get, handler);
  });
  loop.run_until_complete(some_passes());
  BOOST_TEST(seen == 9);
}

BOOST_AUTO_TEST_CASE(an_operation_that_is_never_begun_is_a_coroutine_never_awaited) {
  EventLoop loop;
  CapturedLog log;
  {
    [[maybe_unused]] auto operation = async_run(loop, nothing(), asio::deferred);
  }
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message.find("was never awaited") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(system_exit_comes_to_the_handler_and_leaves_the_loop) {
  const auto exits = []() -> Coroutine<> {
    throw SystemExit(3);
    co_return;
  };
  for (const bool eager : {false, true}) {
    EventLoop loop;
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    if (eager) loop.set_task_factory(eager_task_factory);
    Call call;
    loop.call_soon([&] { async_run(loop, exits, call.handler()); });
    BOOST_CHECK_THROW(loop.run_until_complete(some_passes()), SystemExit);
    loop.run_until_complete(some_passes());
    BOOST_TEST(call.count == 1);
    BOOST_TEST(is_base_exit(call.error));
  }
}

// -- the ends of loops

BOOST_AUTO_TEST_CASE(a_closed_loop_says_so_to_the_handler) {
  CapturedLog log;
  asio::io_context context;
  EventLoop loop(context);
  const Future<> future(loop);
  loop.close();
  Call calls[2];
  async_run(loop, nothing(), calls[0].handler());
  future.async_wait(calls[1].handler());
  BOOST_TEST(calls[0].count + calls[1].count == 0);
  context.run();
  for (const Call& call : calls) {
    BOOST_TEST(call.count == 1);
    BOOST_TEST(repr(call.error) == "RuntimeError('Event loop is closed')");
  }
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(what_a_loop_has_not_done_when_it_is_closed_is_aborted) {
  asio::io_context context;
  EventLoop loop(context);
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  const Future<> future(loop);
  Future<> completed(loop);
  Call calls[4];
  async_run(loop, waits_for_ever(loop), calls[0].handler());
  future.async_wait(calls[1].handler());
  context.poll();
  BOOST_TEST(calls[0].count + calls[1].count == 0);
  async_run(loop, nothing(), calls[2].handler());  // does not get to the loop
  completed.async_wait(calls[3].handler());
  completed.set_result();  // nor does this to the handler
  loop.close();
  context.run();
  for (const Call& call : calls) {
    BOOST_TEST(call.count == 1);
    BOOST_TEST(is_aborted(call.error));
  }
}

BOOST_AUTO_TEST_CASE(other_threads_do_not_wait_for_a_loop_that_is_closed) {
  std::future<int> pending;
  std::future<int> late;
  {
    EventLoop loop;
    pending = async_run(loop, returns(1), asio::use_future);
    loop.close();
    late = async_run(loop, returns(1), asio::use_future);
  }
  BOOST_CHECK_THROW(pending.get(), boost::system::system_error);
  BOOST_CHECK_THROW(late.get(), RuntimeError);
}

BOOST_AUTO_TEST_CASE(a_cancellation_after_the_end_of_the_loop_is_without_effect) {
  asio::thread_pool pool(1);
  asio::cancellation_signal signal;
  std::promise<bool> aborted;
  std::latch go(1);
  asio::post(pool, [&] {  // ahead of the handler
    go.wait();
    signal.emit(asio::cancellation_type::terminal);
  });
  {
    EventLoop loop;
    const auto handler = [&](std::exception_ptr error) { aborted.set_value(is_aborted(error)); };
    async_run(loop, nothing(),
              asio::bind_cancellation_slot(signal.slot(),
                                           asio::bind_executor(pool.get_executor(), handler)));
  }
  go.count_down();
  BOOST_TEST(aborted.get_future().get());
}

BOOST_AUTO_TEST_CASE(a_handler_goes_with_the_context_that_would_call_it) {
  const auto owned = std::make_shared<int>();
  bool called = false;
  {
    EventLoop loop;
    async_run(loop, nothing(), [owned, &called](std::exception_ptr) { called = true; });
    BOOST_TEST(owned.use_count() == 2);
  }
  BOOST_TEST(owned.use_count() == 1);
  BOOST_TEST(!called);
}

BOOST_AUTO_TEST_CASE(a_handler_may_keep_its_allocator_in_itself) {
  EventLoop loop;
  int got = 0;
  asio::any_completion_handler<void(std::exception_ptr, int)> handler(
      [&](std::exception_ptr, int value) {
        got = value;
        loop.stop();
      });
  async_run(loop, returns(5), asio::bind_executor(loop.get_executor(), std::move(handler)));
  loop.run_forever();
  BOOST_TEST(got == 5);
}

BOOST_AUTO_TEST_CASE(a_handler_of_any_type_needs_no_executor) {
  EventLoop loop;
  int got = 0;
  asio::any_completion_handler<void(std::exception_ptr, int)> handler(
      [&](std::exception_ptr, int value) {
        got = value;
        loop.stop();
      });
  async_run(loop, returns(5), std::move(handler));
  loop.run_forever();
  BOOST_TEST(got == 5);

  asio::thread_pool pool(1);
  std::thread::id where;
  asio::any_completion_handler<void(std::exception_ptr, int)> elsewhere(
      asio::bind_executor(pool.get_executor(), [&](std::exception_ptr, int) {
        where = std::this_thread::get_id();
        loop.call_soon_threadsafe([&] { loop.stop(); });
      }));
  async_run(loop, returns(6), std::move(elsewhere));
  loop.run_forever();
  pool.join();
  BOOST_TEST((where != std::thread::id() && where != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_SUITE_END()
