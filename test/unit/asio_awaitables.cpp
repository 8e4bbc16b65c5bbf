// SPDX-License-Identifier: BSL-1.0
// boost::asio::awaitable in tasks.
#include <asyncio/asio.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "operation_fixture.hpp"

using namespace operation_tests;
using namespace std::chrono_literals;

namespace asio_awaitables_tests {

/// Cannot be made out of nothing, nor copied.
class Exact {
 public:
  explicit Exact(int value) : value(value) {}
  Exact(Exact&&) = default;
  Exact& operator=(Exact&&) = default;
  int value;
};

}  // namespace asio_awaitables_tests

namespace {

using asio_awaitables_tests::Exact;

io::awaitable<int> doubled(int value) {
  co_await io::post(io::use_awaitable);
  co_return 2 * value;
}
io::awaitable<void> fails() {
  co_await io::post(io::use_awaitable);
  throw std::out_of_range("far");
}
io::awaitable<std::unique_ptr<int>> owned(int value) { co_return std::make_unique<int>(value); }

io::awaitable<Exact> exact(int value) { co_return Exact(value); }

io::awaitable<void> waits(io::steady_timer& timer) { co_await timer.async_wait(io::use_awaitable); }

/// Says when it begins and when it is aborted.
io::awaitable<std::string> stubborn(io::steady_timer& timer) {
  boost::system::error_code error;
  co_await timer.async_wait(io::redirect_error(io::use_awaitable, error));
  co_return error == aborted ? "aborted" : "not aborted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_awaitables_tests)

BOOST_AUTO_TEST_CASE(an_awaitable_is_awaited_like_a_coroutine) {
  EventLoop loop;
  const auto body = [&]() -> Coroutine<int> {
    const int ten = co_await doubled(5);
    auto later = doubled(ten);
    const int twenty = co_await std::move(later);
    const std::unique_ptr<int> three = co_await owned(3);
    const Exact four = co_await exact(4);
    BOOST_TEST((&get_running_loop() == &loop));
    co_return twenty + *three + four.value;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 27);
}

BOOST_AUTO_TEST_CASE(its_exception_comes_out_unchanged) {
  EventLoop loop;
  BOOST_CHECK_THROW(loop.run_until_complete(fails()), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(it_is_awaited_once) {
  EventLoop loop;
  const auto body = [&]() -> Coroutine<std::string> {
    auto once = doubled(5);
    const int ten = co_await once;
    BOOST_TEST(ten == 10);
    const std::string error = co_await error_of(std::move(once));
    co_return error;
  };
  BOOST_TEST(loop.run_until_complete(body()) ==
             "RuntimeError('cannot reuse already awaited coroutine')");
}

BOOST_AUTO_TEST_CASE(it_is_taken_where_awaitables_are) {
  EventLoop loop;
  BOOST_TEST((Awaitable<io::awaitable<int>>));
  BOOST_TEST((std::is_same_v<await_result<io::awaitable<int>>, int>));
  BOOST_TEST(loop.run_until_complete(wait_for(doubled(1), std::nullopt)) == 2);
  BOOST_TEST(loop.run_until_complete(loop.create_task(doubled(2))) == 4);
  const auto body = [&]() -> Coroutine<int> {
    auto [six, eight] = co_await gather(doubled(3), doubled(4));
    const int ten = co_await shield(doubled(5));
    co_return six + eight + ten;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 24);
}

BOOST_AUTO_TEST_CASE(a_timeout_aborts_it) {
  EventLoop loop;
  io::steady_timer timer(loop.get_io_context(), 1h);
  BOOST_CHECK_THROW(loop.run_until_complete(wait_for(waits(timer), 0.001)), TimeoutError);
  BOOST_TEST(timer.cancel() == 0U);
}

BOOST_AUTO_TEST_CASE(cancelling_the_task_cancels_it) {
  EventLoop loop;
  io::steady_timer timer(loop.get_io_context(), 1h);
  const auto body = [&]() -> Coroutine<std::string> {
    const auto task = loop.create_task(error_of(waits(timer)));
    for (int pass = 0; pass != 4; ++pass) co_await asyncio::sleep(0);
    task.cancel("enough");
    const std::string text = co_await task;
    co_return text;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "CancelledError('enough')");
}

BOOST_AUTO_TEST_CASE(one_that_ends_with_a_value_after_all_gives_it) {
  EventLoop loop;
  io::steady_timer timer(loop.get_io_context(), 1h);
  const auto task = loop.create_task(stubborn(timer));
  loop.call_later(0.001, [&] { task.cancel(); });
  BOOST_TEST(loop.run_until_complete(task) == "aborted");
}

BOOST_AUTO_TEST_CASE(it_ends_by_the_request_or_with_its_value_wherever_it_stands) {
  int cancelled = 0;
  int values = 0;
  for (int handlers = 0; handlers != 12; ++handlers) {
    io::io_context context;
    EventLoop loop{context};
    const auto task = loop.create_task(doubled(5));
    for (int i = 0; i != handlers; ++i) context.poll_one();
    task.cancel();
    context.restart();
    context.poll();
    BOOST_TEST_REQUIRE(task.done());
    ++(task.cancelled() ? cancelled : values);
  }
  BOOST_TEST(cancelled > 0);
  BOOST_TEST(values > 0);
}

BOOST_AUTO_TEST_CASE(the_loop_may_be_closed_wherever_it_stands) {
  int reports = 0;
  for (int handlers = 0; handlers != 12; ++handlers) {
    io::io_context context;
    {
      EventLoop loop{context};
      loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++reports; });
      loop.create_task(doubled(5));
      for (int i = 0; i != handlers; ++i) context.poll_one();
    }
    context.restart();
    context.poll();
    BOOST_TEST(context.stopped());  // nothing is left to do
  }
  BOOST_TEST(reports > 0);
  BOOST_TEST(reports < 12);
}

BOOST_AUTO_TEST_CASE(the_loop_may_be_closed_while_it_waits) {
  io::io_context context;
  io::steady_timer timer(context, 1h);
  {
    EventLoop loop{context};
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.create_task(waits(timer));
    context.poll();
  }
  context.restart();
  context.run();  // it was told to end
  BOOST_TEST(timer.cancel() == 0U);
}

BOOST_AUTO_TEST_CASE(it_may_name_the_executor_of_the_loop) {
  using Executor = io::io_context::executor_type;
  EventLoop loop;
  const auto plain = []() -> io::awaitable<int, Executor> { co_return 5; };
  BOOST_TEST(loop.run_until_complete(plain()) == 5);
  const auto pooled = []() -> io::awaitable<int, io::thread_pool::executor_type> { co_return 5; };
  BOOST_CHECK_THROW(loop.run_until_complete(pooled()), TypeError);
}

BOOST_AUTO_TEST_SUITE_END()
