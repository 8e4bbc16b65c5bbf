// SPDX-License-Identifier: BSL-1.0
// Cancelling tasks that wait for Asio's operations: before, during, at completion and after.
#include <asyncio/asio.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>

#include "operation_fixture.hpp"

using namespace operation_tests;
using namespace std::chrono_literals;
using asyncio::testing::TestLoop;

namespace {

struct OneOperation {
  OneOperation() {
    operation.on_cancel = [this] {
      if (heeds) operation.complete(aborted, 0);
    };
  }
  /// Awaits the operation, then waits a second; says what came of both.
  Coroutine<std::string> waits_twice() {
    std::string text;
    try {
      const int value = co_await operation();
      text = std::to_string(value);
    } catch (const CancelledError& e) {
      text = std::string("cancelled ") + e.what();
    } catch (const OSError& e) {
      text = e.type_name();
    }
    try {
      co_await asyncio::sleep(1);
    } catch (const CancelledError& e) {
      text += std::string(", cancelled ") + e.what();
    }
    co_return text;
  }
  /// A task that has come to the operation.
  Task<std::string> begun() {
    Task<std::string> task = loop.create_task(waits_twice());
    loop.run_passes(1);
    return task;
  }

  /// Calls it in a pass of the loop, where outcomes arrive at once; outside of one they are sent.
  template <class F>
  void in_a_pass(F f) {
    loop.call_soon(std::move(f));
    loop.run_passes(1);
  }

  TestLoop loop;
  Manual<error_code, int> operation;
  bool heeds = true;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_operations_cancelled_tests)

BOOST_FIXTURE_TEST_CASE(a_task_cancelled_before_does_not_start_the_operation, OneOperation) {
  const auto body = [&]() -> Coroutine<std::string> {
    current_task().cancel("early");
    const std::string text = co_await waits_twice();
    co_return text;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled early");
  BOOST_TEST(operation.starts == 0);
}

BOOST_FIXTURE_TEST_CASE(nor_does_one_whose_request_is_taken_back_behind_it, OneOperation) {
  const auto body = [&]() -> Coroutine<std::string> {
    const AnyTask self = current_task();
    self.cancel("early");
    loop.call_soon([self] { self.uncancel(); });
    const std::string text = co_await waits_twice();
    co_return text;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled early");
  BOOST_TEST(operation.starts == 0);
}

BOOST_FIXTURE_TEST_CASE(an_operation_aborted_by_cancel_is_cancelled_error, OneOperation) {
  const auto task = begun();
  BOOST_TEST(task.cancel("enough"));
  BOOST_TEST(loop.run_until_complete(task) == "cancelled enough");
  BOOST_TEST(operation.cancels == 1);
  BOOST_TEST((operation.offered == io::cancellation_type::all));
}

BOOST_FIXTURE_TEST_CASE(a_task_waits_until_the_operation_has_ended, OneOperation) {
  heeds = false;
  const auto task = begun();
  task.cancel("enough");
  task.cancel("really");
  loop.run_passes(3);
  BOOST_TEST(operation.cancels == 2);
  BOOST_TEST(operation.pending());
  operation.complete(aborted, 0);
  BOOST_TEST(loop.run_until_complete(task) == "cancelled really");
}

BOOST_FIXTURE_TEST_CASE(an_operation_that_does_not_heed_gives_its_result_first, OneOperation) {
  heeds = false;
  const auto task = begun();
  task.cancel("enough");
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(task) == "5, cancelled enough");
}

BOOST_FIXTURE_TEST_CASE(so_does_one_that_fails_at_the_same_moment, OneOperation) {
  heeds = false;
  const auto task = begun();
  task.cancel("enough");
  operation.complete(io::error::connection_reset, 0);
  BOOST_TEST(loop.run_until_complete(task) == "ConnectionResetError, cancelled enough");
}

BOOST_FIXTURE_TEST_CASE(a_result_that_was_there_before_the_request_is_not_lost, OneOperation) {
  const auto task = begun();
  in_a_pass([&] {
    operation.complete({}, 5);
    BOOST_TEST(task.cancel("late"));
  });
  BOOST_TEST(loop.run_until_complete(task) == "5, cancelled late");

  const auto other = begun();
  operation.complete({}, 6);
  BOOST_TEST(other.cancel("late"));
  BOOST_TEST(loop.run_until_complete(other) == "6, cancelled late");
  BOOST_TEST(operation.cancels == 0);
}

BOOST_FIXTURE_TEST_CASE(two_requests_are_delivered_once, OneOperation) {
  heeds = false;
  const auto task = begun();
  in_a_pass([&] {
    task.cancel("first");
    operation.complete({}, 5);
    task.cancel("second");
  });
  BOOST_TEST(loop.run_until_complete(task) == "5, cancelled second");
  BOOST_TEST(task.cancelling() == 2);
}

BOOST_FIXTURE_TEST_CASE(a_request_behind_an_abort_is_not_delivered_again, OneOperation) {
  const auto task = begun();
  in_a_pass([&] {
    task.cancel("first");
    task.cancel("second");
  });
  BOOST_TEST(loop.run_until_complete(task) == "cancelled first");
}

BOOST_FIXTURE_TEST_CASE(a_request_that_was_taken_back_is_not_put_off, OneOperation) {
  heeds = false;
  const auto task = begun();
  task.cancel();
  task.uncancel();
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(task) == "5");

  const auto other = begun();
  in_a_pass([&] {
    operation.complete({}, 6);
    other.cancel();
    other.uncancel();
  });
  BOOST_TEST(loop.run_until_complete(other) == "6");
}

BOOST_FIXTURE_TEST_CASE(a_request_that_is_taken_back_after_the_result_is_gone, OneOperation) {
  heeds = false;
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await operation();
    current_task().uncancel();
    co_await asyncio::sleep(1);
    co_return value;
  };
  const auto task = loop.create_task(body());
  loop.run_passes(1);
  task.cancel();
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(task) == 5);
}

BOOST_FIXTURE_TEST_CASE(a_task_that_ends_with_the_result_keeps_it, OneOperation) {
  heeds = false;
  const auto task = loop.create_task(operation());
  loop.run_passes(1);
  task.cancel();
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(task) == 5);

  const auto other = loop.create_task(operation());
  loop.run_passes(1);
  in_a_pass([&] {
    operation.complete({}, 6);
    other.cancel();
  });
  BOOST_TEST(loop.run_until_complete(other) == 6);
}

BOOST_FIXTURE_TEST_CASE(r56_but_not_if_it_is_cancelled_again_in_its_last_step, OneOperation) {
  heeds = false;
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await operation();
    current_task().cancel();
    co_return value;
  };
  const auto task = loop.create_task(body());
  loop.run_passes(1);
  task.cancel();
  operation.complete({}, 5);
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
}

BOOST_FIXTURE_TEST_CASE(a_request_after_the_operation_is_as_ever, OneOperation) {
  const auto task = begun();
  operation.complete({}, 5);
  loop.run_passes(2);
  task.cancel("after");
  BOOST_TEST(loop.run_until_complete(task) == "5, cancelled after");
}

BOOST_FIXTURE_TEST_CASE(a_handler_destroyed_after_a_request_is_cancelled_error, OneOperation) {
  heeds = false;
  const auto task = begun();
  task.cancel("enough");
  operation.drop();
  BOOST_TEST(loop.run_until_complete(task) == "cancelled enough");
}

BOOST_AUTO_TEST_CASE(an_aborted_operation_may_come_as_an_exception) {
  TestLoop loop;
  Manual<std::exception_ptr> operation;
  const auto exception = std::make_exception_ptr(boost::system::system_error(aborted));
  const auto unasked = loop.create_task(error_of(operation()));
  loop.run_passes(1);
  operation.complete(exception);
  BOOST_TEST(loop.run_until_complete(unasked).starts_with("system_error("));

  const auto asked = loop.create_task(error_of(operation()));
  loop.run_passes(1);
  asked.cancel();
  operation.complete(exception);
  BOOST_TEST(loop.run_until_complete(asked) == "CancelledError()");
}

// -- futures

BOOST_FIXTURE_TEST_CASE(cancelling_a_future_asks_its_operation, OneOperation) {
  heeds = false;
  in_a_pass([&] {
    const Future<int> aborts = operation.start(asyncio::use_future);
    BOOST_TEST(aborts.cancel("enough"));
    BOOST_TEST(!aborts.done());
    operation.complete(aborted, 0);
    BOOST_TEST(aborts.cancelled());
    BOOST_TEST(!aborts.cancel());

    const Future<int> wins = operation.start(asyncio::use_future);
    BOOST_TEST(wins.cancel());
    operation.complete({}, 5);
    BOOST_TEST(wins.result() == 5);
  });
  BOOST_TEST(operation.cancels == 2);
}

BOOST_FIXTURE_TEST_CASE(cancelling_a_task_that_awaits_a_future_asks_its_operation, OneOperation) {
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await operation.start(asyncio::use_future);
    co_return value;
  };
  const auto task = loop.create_task(body());
  loop.run_passes(1);
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(operation.cancels == 1);
}

// -- other tokens around ours

BOOST_FIXTURE_TEST_CASE(for_as_tuple_and_redirect_error_an_abort_is_a_result, OneOperation) {
  error_code redirected;
  std::string text;
  const auto body = [&](bool tuple) -> Coroutine<> {
    if (tuple) {
      const auto result = co_await operation.start(io::as_tuple(asyncio::use_awaitable));
      redirected = std::get<0>(result);
    } else {
      co_await operation.start(io::redirect_error(asyncio::use_awaitable, redirected));
    }
    text = "on";
    co_await asyncio::sleep(1);
    text = "too far";
  };
  for (const bool tuple : {true, false}) {
    redirected = {};
    const auto task = loop.create_task(body(tuple));
    loop.run_passes(1);
    task.cancel();
    BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
    BOOST_TEST(redirected == aborted);
    BOOST_TEST(text == "on");
  }
}

BOOST_FIXTURE_TEST_CASE(a_bound_cancellation_slot_replaces_the_tasks, OneOperation) {
  io::cancellation_signal signal;
  const auto start = [&]() -> Coroutine<std::string> {
    const std::string error = co_await error_of(
        operation.start(io::bind_cancellation_slot(signal.slot(), asyncio::use_awaitable)));
    co_return error;
  };
  const auto task = loop.create_task(start());
  loop.run_passes(1);
  task.cancel();
  loop.run_passes(2);
  BOOST_TEST(operation.cancels == 0);
  signal.emit(io::cancellation_type::total);
  BOOST_TEST(loop.run_until_complete(task) == "CancelledError()");

  const auto other = loop.create_task(start());
  loop.run_passes(1);
  signal.emit(io::cancellation_type::total);
  BOOST_TEST(loop.run_until_complete(other) == "OSError(125, 'Operation canceled')");
}

// -- what waits for tasks

BOOST_FIXTURE_TEST_CASE(a_timeout_aborts_the_operation, OneOperation) {
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await operation();
    co_return value;
  };
  BOOST_CHECK_THROW(loop.run_until_complete(wait_for(operation(), 1)), TimeoutError);
  BOOST_CHECK_THROW(loop.run_until_complete(timeout(1, body)), TimeoutError);
  BOOST_TEST(loop.time().seconds() == 2);
  BOOST_TEST(operation.cancels == 2);
}

BOOST_FIXTURE_TEST_CASE(a_timeout_at_the_moment_of_the_result_gives_the_result, OneOperation) {
  operation.on_cancel = [&] { operation.complete({}, 5); };
  int cancelling = -1;
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await wait_for(operation(), 1);
    cancelling = current_task().cancelling();
    co_await asyncio::sleep(1);  // the request went with the scope
    co_return value;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 5);
  BOOST_TEST(cancelling == 0);
}

BOOST_FIXTURE_TEST_CASE(a_request_beside_a_timeout_outlasts_it, OneOperation) {
  heeds = false;
  const auto body = [&]() -> Coroutine<std::string> {
    const int value = co_await wait_for(operation(), 1);
    std::string text = std::to_string(value);
    try {
      co_await asyncio::sleep(1);
    } catch (const CancelledError&) {
      text += ", cancelled";
    }
    co_return text;
  };
  const auto task = loop.create_task(body());
  loop.run_for(2);
  task.cancel();
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(task) == "5, cancelled");
}

BOOST_FIXTURE_TEST_CASE(wait_for_without_time_does_not_start_it, OneOperation) {
  BOOST_CHECK_THROW(loop.run_until_complete(wait_for(operation(), 0)), TimeoutError);
  BOOST_TEST(operation.starts == 0);
}

BOOST_FIXTURE_TEST_CASE(gather_cancels_its_operations, OneOperation) {
  Manual<error_code, int> other;
  other.on_cancel = [&] { other.complete({}, 6); };
  const auto body = [&]() -> Coroutine<std::string> {
    auto [aborted_one, heedless] =
        co_await gather(return_exceptions, operation(), other());
    co_return repr(aborted_one.exception()) + ' ' + std::to_string(heedless.value());
  };
  const auto task = loop.create_task(body());
  loop.run_passes(2);
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(operation.cancels == 1);
  BOOST_TEST(other.cancels == 1);
}

BOOST_FIXTURE_TEST_CASE(shield_keeps_cancellation_from_the_operation, OneOperation) {
  const auto body = [&]() -> Coroutine<int> {
    const int value = co_await shield(operation());
    co_return value;
  };
  const auto task = loop.create_task(body());
  loop.run_passes(2);
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(operation.cancels == 0);
  operation.complete({}, 5);
  loop.run_passes(2);
}

BOOST_FIXTURE_TEST_CASE(a_group_aborts_the_operations_of_its_tasks, OneOperation) {
  const auto body = [&](TaskGroup& group) -> Coroutine<> {
    group.create_task(operation());
    co_await asyncio::sleep(1);
    throw ValueError("out");
  };
  BOOST_CHECK_THROW(loop.run_until_complete(task_group(body)), ExceptionGroup);
  BOOST_TEST(operation.cancels == 1);
}

// -- real ones

namespace {

/// Cancels a task when it waits, in a loop whose clock is real.
template <class A>
std::string cancelled(EventLoop& loop, A awaitable) {
  const auto task = loop.create_task(error_of(std::move(awaitable)));
  const auto cancel = [&]() -> Coroutine<> {
    for (int pass = 0; pass != 4; ++pass) co_await asyncio::sleep(0);
    task.cancel();
  };
  const auto both = [&]() -> Coroutine<std::string> {
    co_await cancel();
    const std::string text = co_await task;
    co_return text;
  };
  return loop.run_until_complete(both());
}

}  // namespace

BOOST_AUTO_TEST_CASE(asios_own_operations_are_aborted) {
  EventLoop loop;
  io::io_context& context = loop.get_io_context();
  SocketPair pair(context);
  tcp::acceptor acceptor(context, tcp::endpoint(io::ip::address_v4::loopback(), 0));
  io::steady_timer timer(context, 1h);
  io::experimental::channel<void(error_code, int)> channel(context);
  std::string text(10, '\0');
  std::string line;
  using asyncio::use_awaitable;
  const std::string expected = "CancelledError()";
  BOOST_TEST(cancelled(loop, timer.async_wait(use_awaitable)) == expected);
  BOOST_TEST(cancelled(loop, acceptor.async_accept(use_awaitable)) == expected);
  BOOST_TEST(cancelled(loop, pair.a.async_read_some(io::buffer(text), use_awaitable)) == expected);
  BOOST_TEST(cancelled(loop, io::async_read(pair.a, io::buffer(text), use_awaitable)) == expected);
  BOOST_TEST(cancelled(loop, io::async_read_until(pair.a, io::dynamic_buffer(line), '\n',
                                                  use_awaitable)) == expected);
  BOOST_TEST(cancelled(loop, channel.async_receive(use_awaitable)) == expected);
  // None of them has taken anything away.
  io::write(pair.b, io::buffer("0123456789", 10));
  loop.run_until_complete(io::async_read(pair.a, io::buffer(text), use_awaitable));
  BOOST_TEST(text == "0123456789");
}

BOOST_AUTO_TEST_CASE(a_composed_operation_tells_how_far_it_came) {
  EventLoop loop;
  SocketPair pair(loop.get_io_context());
  io::write(pair.b, io::buffer("half", 4));
  std::string text(8, '\0');
  std::tuple<error_code, std::size_t> result;
  const auto read = [&]() -> Coroutine<> {
    constexpr auto token = io::as_tuple(asyncio::use_awaitable);
    auto come = co_await io::async_read(pair.a, io::buffer(text), token);
    result = come;
  };
  const auto task = loop.create_task(read());
  const auto cancel = [&]() -> Coroutine<> {
    while (text[3] != 'f') co_await asyncio::sleep(0);
    task.cancel();
    co_await task;
  };
  loop.run_until_complete(cancel());
  BOOST_TEST((result == std::tuple(aborted, std::size_t(4))));
}

// -- awaitables of Asio's, which co_spawn runs

namespace {

using namespace io::experimental::awaitable_operators;

io::awaitable<void> for_ever(io::steady_timer& timer) {
  timer.expires_after(1h);
  co_await timer.async_wait(io::use_awaitable);
}
io::awaitable<void> either(io::steady_timer& a, io::steady_timer& b) {
  auto one = for_ever(a) || for_ever(b);
  co_await std::move(one);
}
io::awaitable<void> both(io::steady_timer& a, io::steady_timer& b) {
  auto all = for_ever(a) && for_ever(b);
  co_await std::move(all);
}

}  // namespace

BOOST_AUTO_TEST_CASE(asios_operators_on_awaitables_end_by_cancellation_too) {
  for (const auto combined : {&either, &both}) {
    EventLoop loop;
    io::steady_timer a(loop.get_io_context()), b(loop.get_io_context());
    const auto body = [&]() -> Coroutine<> { co_await combined(a, b); };
    const Task<> task = loop.create_task(body());
    loop.call_soon([&] { loop.call_soon([&] { task.cancel(); }); });
    BOOST_TEST(error_of(loop, task) == "CancelledError()");
    const auto in_time = [&]() -> Coroutine<> {
      co_await asyncio::timeout(0, [&]() -> Coroutine<> { co_await combined(a, b); });
    };
    BOOST_TEST(error_of(loop, in_time()) == "TimeoutError()");
  }
}

BOOST_AUTO_TEST_CASE(a_handler_may_cancel_what_has_not_begun_yet) {
  EventLoop loop;
  io::steady_timer timer(loop.get_io_context());
  Task<> task{nullptr};
  const auto body = [&]() -> Coroutine<> {
    io::post(loop.get_executor(), [&] { task.cancel(); });
    co_await for_ever(timer);
  };
  task = loop.create_task(body());
  BOOST_TEST(error_of(loop, task) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(a_handler_may_cancel_and_destroy_what_is_waited_for) {
  EventLoop loop;
  auto timer = std::make_unique<io::steady_timer>(loop.get_io_context(), 1h);
  const auto body = [&]() -> Coroutine<> { co_await timer->async_wait(asyncio::use_awaitable); };
  const Task<> task = loop.create_task(body());
  loop.call_soon([&] {
    io::post(loop.get_executor(), [&] {
      task.cancel();
      timer.reset();
    });
  });
  BOOST_TEST(error_of(loop, task) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(in_a_guest_too_what_has_not_begun_yet_may_be_cancelled) {
  io::io_context context;
  EventLoop loop(context, {.single_threaded = true});
  io::steady_timer timer(context);
  Future<> future{nullptr};
  io::post(context, [&] { future.cancel(); });
  set_event_loop(&loop);  // whose future it is to be
  future = io::co_spawn(loop.get_executor(), for_ever(timer), asyncio::use_future);
  set_event_loop(nullptr);
  BOOST_TEST(error_of(loop, future) == "CancelledError()");
}

// As in a program that declares its loop before what works in it.
BOOST_AUTO_TEST_CASE(what_an_operation_works_on_may_go_before_the_loop) {
  auto loop = std::make_unique<EventLoop>();
  auto timer = std::make_unique<io::steady_timer>(loop->get_io_context());
  auto acceptor = std::make_unique<tcp::acceptor>(
      loop->get_io_context(), tcp::endpoint(io::ip::address_v4::loopback(), 0));
  const auto waits = [&]() -> Coroutine<> {
    timer->expires_after(1h);
    co_await timer->async_wait(asyncio::use_awaitable);
  };
  const auto accepts = [&]() -> Coroutine<> {
    (void)co_await acceptor->async_accept(asyncio::use_awaitable);
  };
  const auto waits_adapted = [&]() -> Coroutine<> {
    (void)co_await timer->async_wait(io::as_tuple(asyncio::use_awaitable));
  };
  const auto accepts_adapted = [&]() -> Coroutine<> {
    error_code error;
    (void)co_await acceptor->async_accept(io::redirect_error(asyncio::use_awaitable, error));
  };
  loop->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  loop->create_task(waits());
  loop->create_task(accepts());
  loop->create_task(waits_adapted());
  loop->create_task(accepts_adapted());
  loop->call_soon([&] { loop->call_soon([&] { loop->stop(); }); });
  loop->run_forever();
  timer.reset();
  acceptor.reset();
  loop.reset();
}

BOOST_AUTO_TEST_SUITE_END()
