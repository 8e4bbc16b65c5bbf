// SPDX-License-Identifier: BSL-1.0
//
// Future<T>: surface A4, rules 24-36. Callbacks are in done_callbacks.cpp, tasks as futures in
// tasks.cpp.
#include <asyncio/futures.hpp>

#include <memory>
#include <optional>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

const auto not_ready = says("Result is not ready.");

/// A value that counts how often it is copied.
struct Copies {
  explicit Copies(int* count) : count(count) {}
  Copies(const Copies& other) : count(other.count) { ++*count; }
  Copies(Copies&& other) noexcept = default;
  Copies& operator=(const Copies&) = delete;
  int* count;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(futures_tests)

// -- states

BOOST_AUTO_TEST_CASE(rule_24_a_new_future_is_pending) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  BOOST_TEST(!future.done());
  BOOST_TEST(!future.cancelled());
  BOOST_CHECK_EXCEPTION(future.result(), InvalidStateError, not_ready);
  BOOST_CHECK_EXCEPTION(future.exception(), InvalidStateError, says("Exception is not set."));
  BOOST_CHECK_EXCEPTION(loop.create_future().result(), InvalidStateError, not_ready);
  BOOST_TEST((&future.get_loop() == &loop));
}

BOOST_AUTO_TEST_CASE(rule_24_a_result_finishes_it_once) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  future.set_result(5);
  BOOST_TEST(future.done());
  BOOST_TEST(!future.cancelled());
  BOOST_TEST(future.result() == 5);
  BOOST_TEST((future.exception() == nullptr));
  const auto text = says("FINISHED: <Future finished result=5>");
  BOOST_CHECK_EXCEPTION(future.set_result(6), InvalidStateError, text);
  BOOST_CHECK_EXCEPTION(future.set_exception(ValueError()), InvalidStateError, text);
  BOOST_TEST(future.result() == 5);
}

BOOST_AUTO_TEST_CASE(rule_24_an_exception_finishes_it_once) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  future.set_exception(ValueError("text"));
  BOOST_TEST(future.done());
  BOOST_TEST(!future.cancelled());
  BOOST_CHECK_EXCEPTION(future.result(), ValueError, says("text"));
  BOOST_TEST(repr(future.exception()) == "ValueError('text')");
  BOOST_CHECK_EXCEPTION(future.set_result(), InvalidStateError,
                        says("FINISHED: <Future finished exception=ValueError('text')>"));
}

BOOST_AUTO_TEST_CASE(rule_24_cancel_finishes_it_once) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  BOOST_TEST(future.cancel());
  BOOST_TEST(future.done());
  BOOST_TEST(future.cancelled());
  BOOST_CHECK_THROW(future.result(), CancelledError);
  BOOST_CHECK_THROW(future.exception(), CancelledError);
  const auto text = says("CANCELLED: <Future cancelled>");
  BOOST_CHECK_EXCEPTION(future.set_result(), InvalidStateError, text);
  BOOST_CHECK_EXCEPTION(future.set_exception(ValueError()), InvalidStateError, text);
}

BOOST_AUTO_TEST_CASE(rule_31_cancel_on_a_done_future_changes_nothing) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  future.set_result(5);
  BOOST_TEST(!future.cancel());
  BOOST_TEST(!future.cancelled());
  BOOST_TEST(future.result() == 5);
  const Future<> cancelled = loop.create_future();
  BOOST_TEST(cancelled.cancel("first"));
  BOOST_TEST(!cancelled.cancel("second"));
  BOOST_CHECK_EXCEPTION(cancelled.result(), CancelledError, says("first"));
}

BOOST_AUTO_TEST_CASE(rule_32_cancelled_error_carries_the_message_each_time_in_a_new_object) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  future.cancel("message");
  const std::exception_ptr first = exception_of([&] { future.result(); });
  const std::exception_ptr second = exception_of([&] { (void)future.exception(); });
  BOOST_TEST(repr(first) == "CancelledError('message')");
  BOOST_TEST(repr(second) == "CancelledError('message')");
  BOOST_TEST((first != second));
}

BOOST_AUTO_TEST_CASE(rule_32_no_message_and_an_empty_one_differ) {
  VirtualLoop loop;
  const Future<> without = loop.create_future();
  without.cancel();
  BOOST_TEST(thrown_by([&] { without.result(); }) == "CancelledError()");
  const Future<> empty = loop.create_future();
  empty.cancel("");
  BOOST_TEST(thrown_by([&] { empty.result(); }) == "CancelledError('')");
}

BOOST_AUTO_TEST_CASE(rule_33_set_exception_takes_an_object_or_a_pointer_to_one) {
  VirtualLoop loop;
  const Future<> object = loop.create_future();
  object.set_exception(ConnectionResetError("text"));
  BOOST_CHECK_THROW(object.result(), ConnectionResetError);
  const Future<> pointer = loop.create_future();
  const std::exception_ptr error = std::make_exception_ptr(17);
  pointer.set_exception(error);
  BOOST_TEST((pointer.exception() == error));
  const Future<> null = loop.create_future();
  BOOST_CHECK_THROW(null.set_exception(std::exception_ptr()), TypeError);
  BOOST_TEST(!null.done());
}

BOOST_AUTO_TEST_CASE(rule_34_a_stored_cancelled_error_finishes_the_future) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  future.set_exception(CancelledError("stored"));
  BOOST_TEST(future.done());
  BOOST_TEST(!future.cancelled());
  BOOST_CHECK_EXCEPTION(future.result(), CancelledError, says("stored"));
  BOOST_TEST(repr(future.exception()) == "CancelledError('stored')");
}

BOOST_AUTO_TEST_CASE(rule_35_result_raises_the_same_object_every_time) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  future.set_exception(ValueError("text"));
  const std::exception_ptr first = exception_of([&] { future.result(); });
  const std::exception_ptr second = exception_of([&] { future.result(); });
  BOOST_TEST((first == second));
  BOOST_TEST((first == future.exception()));
  BOOST_TEST(exception_cast<ValueError>(first) == exception_cast<ValueError>(second));
}

// -- awaiting

BOOST_AUTO_TEST_CASE(rule_29_awaiting_a_done_future_does_not_yield) {
  VirtualLoop loop;
  const Future<int> value = loop.create_future<int>();
  const Future<> failed = loop.create_future();
  const Future<> cancelled = loop.create_future();
  value.set_result(5);
  failed.set_exception(ValueError("text"));
  cancelled.cancel();
  const auto body = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    const int result = co_await value;
    BOOST_TEST(result == 5);
    std::exception_ptr error;
    try {
      co_await failed;
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(repr(error) == "ValueError('text')");
    try {
      co_await cancelled;
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(repr(error) == "CancelledError()");
    BOOST_TEST(loop.passes() == pass);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_29_a_future_that_was_waited_for_can_be_awaited_again) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto body = [&]() -> Coroutine<> {
    loop.call_soon([&] { future.set_result(42); });
    const int first = co_await future;
    const auto pass = loop.passes();
    const int second = co_await future;
    BOOST_TEST(first == 42);
    BOOST_TEST(second == 42);
    BOOST_TEST(loop.passes() == pass);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(b2_a_future_resolved_by_a_callback_takes_two_passes) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto body = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    loop.call_soon([&] { future.set_result(5); });
    const int result = co_await future;
    BOOST_TEST(result == 5);
    BOOST_TEST(loop.passes() == pass + 2);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_29_a_pending_future_delivers_its_exception) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto body = [&]() -> Coroutine<std::exception_ptr> {
    loop.call_soon([&] { future.set_exception(ValueError("text")); });
    std::exception_ptr error;
    try {
      (void)co_await future;
    } catch (...) {
      error = std::current_exception();
    }
    co_return error;
  };
  const std::exception_ptr error = loop.run(body);
  BOOST_TEST(repr(error) == "ValueError('text')");
  BOOST_TEST((error == future.exception()));
}

BOOST_AUTO_TEST_CASE(rule_30_waiters_wake_in_the_order_in_which_they_came) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  const auto waiter = [&](std::string name) -> Coroutine<> {
    co_await future;
    trace.push_back(name);
  };
  future.add_done_callback(Note{&trace, "before"});
  const Task<> a = loop.create_task(waiter("a"));
  const Task<> b = loop.create_task(waiter("b"));
  loop.pass();
  future.add_done_callback(Note{&trace, "between"});
  const Task<> c = loop.create_task(waiter("c"));
  loop.pass();
  future.set_result();
  loop.pass();
  BOOST_TEST(joined(trace) == "before a b between c");
}

BOOST_AUTO_TEST_CASE(fu13_an_any_future_can_be_awaited) {
  VirtualLoop loop;
  const Future<std::string> future = loop.create_future<std::string>();
  const AnyFuture any = future;
  const auto body = [&]() -> Coroutine<> {
    loop.call_soon([&] { future.set_result("text"); });
    co_await any;
  };
  loop.run(body);
  BOOST_TEST(future.result() == "text");
}

// -- results

BOOST_AUTO_TEST_CASE(awaiting_a_named_future_copies_its_value) {
  VirtualLoop loop;
  const Future<std::string> future = loop.create_future<std::string>();
  future.set_result(std::string(100, 'x'));
  const auto body = [&]() -> Coroutine<std::string> { co_return co_await future; };
  BOOST_TEST(loop.run(body).size() == 100u);
  BOOST_TEST(loop.run(body).size() == 100u);
  BOOST_TEST(future.result().size() == 100u);
}

BOOST_AUTO_TEST_CASE(awaiting_a_future_that_is_given_up_moves_its_value) {
  VirtualLoop loop;
  int copies = 0;
  const auto body = [&]() -> Coroutine<> {
    Future<Copies> future = loop.create_future<Copies>();
    future.set_result(Copies(&copies));
    const Copies moved = co_await std::move(future);
    BOOST_TEST(moved.count == &copies);
    BOOST_TEST(copies == 0);
    Future<Copies> shared = loop.create_future<Copies>();
    const Future<Copies> other = shared;
    shared.set_result(Copies(&copies));
    const Copies copied = co_await std::move(shared);
    BOOST_TEST(copied.count == &copies);
    BOOST_TEST(copies == 1);
    BOOST_TEST(other.done());
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(awaiting_a_temporary_task_moves_its_value) {
  VirtualLoop loop;
  int copies = 0;
  const auto make = [&]() -> Coroutine<Copies> { co_return Copies(&copies); };
  const auto body = [&]() -> Coroutine<> {
    const Copies value = co_await loop.create_task(make());
    BOOST_TEST(value.count == &copies);
  };
  loop.run(body);
  BOOST_TEST(copies == 0);
  const Copies value = loop.run_until_complete(loop.create_task(make()));
  BOOST_TEST(value.count == &copies);
  BOOST_TEST(copies == 0);
}

BOOST_AUTO_TEST_CASE(a_value_that_only_moves_can_be_awaited) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Future<std::unique_ptr<int>> future = loop.create_future<std::unique_ptr<int>>();
    loop.call_soon([future] { future.set_result(std::make_unique<int>(5)); });
    const std::unique_ptr<int> value = co_await future;
    BOOST_REQUIRE(value);
    BOOST_TEST(*value == 5);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(set_result_converts_to_the_type_of_the_result) {
  VirtualLoop loop;
  const Future<std::string> text = loop.create_future<std::string>();
  text.set_result("text");
  BOOST_TEST(text.result() == "text");
  const Future<std::vector<int>> list = loop.create_future<std::vector<int>>();
  list.set_result(std::vector<int>{1, 2});
  BOOST_TEST(list.result().size() == 2u);
}

BOOST_AUTO_TEST_CASE(copies_of_a_handle_are_one_future) {
  VirtualLoop loop;
  const Future<int> first = loop.create_future<int>();
  const Future<int> second = first;
  second.set_result(5);
  BOOST_TEST(first.result() == 5);
  BOOST_TEST((first == second));
  BOOST_TEST((first != loop.create_future<int>()));
  const Future<int> none(nullptr);
  BOOST_TEST(!none);
  BOOST_TEST(bool(first));
  BOOST_TEST(to_string(none) == "None");
}

// -- where a future belongs

BOOST_AUTO_TEST_CASE(fu1_a_future_belongs_to_the_running_loop_else_to_the_current_one) {
  VirtualLoop loop;
  VirtualLoop other;
  BOOST_CHECK_THROW((void)Future<>(), RuntimeError);
  set_event_loop(&other);
  BOOST_TEST((&Future<>().get_loop() == &other));
  loop.call_soon([&] { BOOST_TEST((&Future<int>().get_loop() == &loop)); });
  loop.pass();
  set_event_loop(nullptr);
  BOOST_TEST((&Future<>(loop).get_loop() == &loop));
}

// -- rule 36

BOOST_AUTO_TEST_CASE(rule_36_an_exception_that_nobody_saw_is_reported) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.create_future().set_exception(ValueError("text"));
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Future exception was never retrieved");
  BOOST_TEST(reports[0].keys == "exception future");
  BOOST_TEST(repr(reports[0].exception) == "ValueError('text')");
}

BOOST_AUTO_TEST_CASE(rule_36_without_a_handler_it_is_logged_once_as_an_error) {
  VirtualLoop loop;
  CapturedLog log;
  loop.create_future().set_exception(ValueError("text"));
  loop.pass();
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].name == "asyncio");
  BOOST_TEST((log.records[0].level == LogLevel::error));
  BOOST_TEST(log.records[0].message.starts_with("Future exception was never retrieved\n"));
}

BOOST_AUTO_TEST_CASE(rule_36_result_exception_and_cancel_count_as_having_seen_it) {
  VirtualLoop loop;
  Reports reports(loop);
  const auto failed = [&] {
    const Future<> future = loop.create_future();
    future.set_exception(ValueError("text"));
    return future;
  };
  BOOST_CHECK_THROW(failed().result(), ValueError);
  BOOST_TEST(bool(failed().exception()));
  BOOST_TEST(!failed().cancel());
  const auto body = [&]() -> Coroutine<> { co_await failed(); };
  BOOST_CHECK_THROW(loop.run(body), ValueError);
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_36_values_and_cancellations_are_nobodys_business) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.create_future().set_result();
  loop.create_future().cancel();
  (void)loop.create_future();
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_36_a_handler_that_throws_does_not_harm_the_destructor) {
  VirtualLoop loop;
  CapturedLog log;
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw SystemExit(1); });
  loop.create_future().set_exception(ValueError("text"));
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message.starts_with("Exception ignored in the exception handler"));
}

// -- text

BOOST_AUTO_TEST_CASE(repr_names_the_state) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  BOOST_TEST(to_string(future) == "<Future pending>");
  future.set_result(5);
  BOOST_TEST(to_string(future) == "<Future finished result=5>");
  const Future<> cancelled = loop.create_future();
  cancelled.cancel();
  BOOST_TEST(to_string(cancelled) == "<Future cancelled>");
}

// -- after the loop

BOOST_AUTO_TEST_CASE(rule_21_completing_with_callbacks_after_close_is_an_error_but_done) {
  VirtualLoop loop;
  Trace trace;
  const Future<int> future = loop.create_future<int>();
  const Future<> failed = loop.create_future();
  const Future<> plain_future = loop.create_future();
  future.add_done_callback(Note{&trace, "a"});
  failed.add_done_callback([counted = Counted()] {});
  loop.close();
  const auto closed = says("Event loop is closed");
  BOOST_CHECK_EXCEPTION(future.set_result(5), RuntimeError, closed);
  BOOST_TEST(future.result() == 5);
  BOOST_CHECK_EXCEPTION(failed.set_exception(ValueError("text")), RuntimeError, closed);
  BOOST_TEST(failed.done());
  BOOST_TEST(Counted::alive == 0);
  plain_future.set_result();  // nobody to tell: no error
  BOOST_CHECK_EXCEPTION(plain_future.add_done_callback([counted = Counted()] {}), RuntimeError,
                        closed);
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(trace.empty());
}

BOOST_AUTO_TEST_SUITE_END()
