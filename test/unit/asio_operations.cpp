// SPDX-License-Identifier: BSL-1.0
// Asio's operations in tasks: what comes of them, and what becomes of it in other threads and after
// the loop. Their cancellation is tested in asio_operations_cancelled.cpp.
#include <asyncio/asio.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "operation_fixture.hpp"

using namespace operation_tests;
using namespace std::chrono_literals;
using asyncio::testing::TestLoop;

namespace {

template <class... T>
using result = await_result<decltype(std::declval<Manual<T...>&>()())>;

/// What a task gets that awaits an operation which is completed like this.
template <class... T>
result<T...> outcome(std::type_identity_t<T>... values) {
  TestLoop loop;
  Manual<T...> operation;
  auto task = loop.create_task(operation());
  loop.run_passes(1);
  operation.complete(std::move(values)...);
  return loop.run_until_complete(std::move(task));
}

/// What the loop's exception handler was told.
std::string only_report(const TestLoop& loop) {
  return loop.reports().size() == 1 ? loop.reports().front() : "not one report";
}

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "colours"; }
  std::string message(int) const override { return "too blue"; }
};
const Category colours;

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_operations_tests)

// -- results

BOOST_AUTO_TEST_CASE(what_a_handler_is_called_with_becomes_the_result) {
  BOOST_TEST((std::is_same_v<result<>, void>));
  BOOST_TEST((std::is_same_v<result<int>, int>));
  BOOST_TEST((std::is_same_v<result<int, std::string>, std::tuple<int, std::string>>));
  BOOST_TEST((std::is_same_v<result<error_code>, void>));
  BOOST_TEST((std::is_same_v<result<const error_code&>, void>));
  BOOST_TEST((std::is_same_v<result<error_code, int>, int>));
  BOOST_TEST((std::is_same_v<result<error_code, int, bool>, std::tuple<int, bool>>));
  BOOST_TEST((std::is_same_v<result<error_code, error_code>, error_code>));
  BOOST_TEST((std::is_same_v<result<std::exception_ptr>, void>));
  BOOST_TEST((std::is_same_v<result<std::exception_ptr, int>, int>));
  BOOST_TEST((std::is_same_v<result<int, error_code>, std::tuple<int, error_code>>));

  outcome<>();
  BOOST_TEST(outcome<int>(5) == 5);
  BOOST_TEST((outcome<int, std::string>(5, "five") == std::tuple(5, "five")));
  outcome<error_code>({});
  BOOST_TEST((outcome<error_code, int>({}, 6) == 6));
  BOOST_TEST((outcome<error_code, int, bool>({}, 7, true) == std::tuple(7, true)));
  BOOST_TEST((outcome<error_code, error_code>({}, aborted) == aborted));
  outcome<std::exception_ptr>(nullptr);
  BOOST_TEST((*outcome<std::exception_ptr, std::unique_ptr<int>>(
                  nullptr, std::make_unique<int>(8)) == 8));
}

BOOST_AUTO_TEST_CASE(an_error_code_is_thrown_as_the_os_error_of_its_family) {
  BOOST_CHECK_EXCEPTION(outcome<error_code>(io::error::connection_reset), ConnectionResetError,
                        [](const auto& e) { return e.code() == io::error::connection_reset; });
  BOOST_CHECK_EXCEPTION((outcome<error_code, int>(io::error::host_not_found, 0)), gaierror,
                        [](const auto& e) { return e.code() == io::error::host_not_found; });
}

BOOST_AUTO_TEST_CASE(an_error_code_of_any_other_category_keeps_its_code_and_message) {
  BOOST_CHECK_EXCEPTION(outcome<error_code>(io::error::eof), OSError,
                        [](const auto& e) { return e.code() == io::error::eof; });
  const error_code blue(3, colours);
  BOOST_CHECK_EXCEPTION(outcome<error_code>(blue), OSError, [&](const auto& e) {
    return e.code() == blue && e.what() == std::string("too blue");
  });
}

BOOST_AUTO_TEST_CASE(an_exception_is_thrown_as_it_is) {
  const auto error = std::make_exception_ptr(std::out_of_range("far"));
  BOOST_CHECK_THROW(outcome<std::exception_ptr>(error), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(an_operation_that_somebody_else_aborted_is_an_error) {
  BOOST_CHECK_EXCEPTION(outcome<error_code>(aborted), OSError,
                        [](const auto& e) { return e.errno_value() == ECANCELED; });
}

// -- the beginning

BOOST_AUTO_TEST_CASE(an_operation_begins_when_it_is_awaited) {
  TestLoop loop;
  Manual<> operation;
  auto first = operation();
  {
    auto dropped = std::move(first);
    loop.run_passes(2);
  }
  BOOST_TEST(operation.starts == 0);
  const auto body = [&]() -> Coroutine<> {
    auto second = operation();
    BOOST_TEST(operation.starts == 0);
    co_await std::move(second);
  };
  const auto task = loop.create_task(body());
  loop.run_passes(1);
  BOOST_TEST(operation.starts == 1);
  operation.complete();
  loop.run_until_complete(task);
}

BOOST_AUTO_TEST_CASE(an_operation_keeps_copies_of_its_arguments) {
  TestLoop loop;
  std::string seen;
  const auto make = [&] {
    const std::string text = "a text that is too long to be kept without an allocation";
    return io::async_initiate<const use_awaitable_t&, void(std::size_t)>(
        [&](auto handler, const std::string& copy) {
          seen = copy;
          std::move(handler)(copy.size());
        },
        asyncio::use_awaitable, text);
  };
  const std::size_t size = loop.run_until_complete(make());
  BOOST_TEST(size == seen.size());
  BOOST_TEST(seen.starts_with("a text"));
}

BOOST_AUTO_TEST_CASE(an_operation_is_awaited_once) {
  TestLoop loop;
  Manual<> operation;
  operation.on_start = [&] { operation.complete(); };
  const auto body = [&]() -> Coroutine<std::string> {
    auto once = operation();
    co_await once;
    std::string error;
    try {
      co_await once;
    } catch (const RuntimeError& e) {
      error = e.what();
    }
    co_return error;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cannot reuse already awaited operation");
  BOOST_TEST(operation.starts == 1);
}

BOOST_AUTO_TEST_CASE(what_the_initiation_throws_comes_out_of_the_await) {
  TestLoop loop;
  Manual<error_code> operation;
  operation.on_start = [] { throw ValueError("cannot"); };
  BOOST_TEST(loop.run_until_complete(error_of(operation())) == "ValueError('cannot')");
  operation.drop();
  // Here the handler goes while the exception is on its way.
  const auto refuse = [] {
    return io::async_initiate<const use_awaitable_t&, void(error_code)>(
        [](auto handler) {
          const auto dropped = std::move(handler);
          throw ValueError("will not");
        },
        asyncio::use_awaitable);
  };
  BOOST_TEST(loop.run_until_complete(error_of(refuse())) == "ValueError('will not')");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_AUTO_TEST_CASE(an_operation_may_complete_while_it_is_begun) {
  TestLoop loop;
  Manual<error_code, int> operation;
  operation.on_start = [&] { operation.complete({}, 5); };
  BOOST_TEST(loop.run_until_complete(operation()) == 5);
}

// -- use_future

BOOST_AUTO_TEST_CASE(a_future_begins_its_operation_at_once) {
  TestLoop loop;
  set_event_loop(&loop);
  Manual<error_code, int> operation;
  const Future<int> future = operation.start(asyncio::use_future);
  set_event_loop(nullptr);
  BOOST_TEST(operation.starts == 1);
  BOOST_TEST(!future.done());
  operation.complete({}, 5);
  BOOST_TEST(loop.run_until_complete(future) == 5);
}

BOOST_AUTO_TEST_CASE(a_future_needs_a_loop) {
  Manual<> operation;
  BOOST_CHECK_THROW((void)operation.start(asyncio::use_future), RuntimeError);
  TestLoop loop;
  loop.close();
  set_event_loop(&loop);
  const auto says_closed = [](const auto& e) {
    return e.what() == std::string("Event loop is closed");
  };
  BOOST_CHECK_EXCEPTION((void)operation.start(asyncio::use_future), RuntimeError, says_closed);
  set_event_loop(nullptr);
  BOOST_TEST(operation.starts == 0);
}

BOOST_AUTO_TEST_CASE(a_future_that_is_dropped_still_calls_its_callbacks) {
  TestLoop loop;
  Manual<int> operation;
  int seen = 0;
  loop.call_soon([&] {
    operation.start(asyncio::use_future).add_done_callback([&](const Future<int>& future) {
      seen = future.result();
    });
  });
  loop.run_passes(1);
  operation.complete(5);
  loop.run_passes(3);
  BOOST_TEST(seen == 5);
}

BOOST_AUTO_TEST_CASE(a_futures_error_that_nobody_looks_at_is_reported) {
  TestLoop loop;
  Manual<error_code> operation;
  loop.call_soon([&] { (void)operation.start(asyncio::use_future); });
  loop.run_passes(1);
  operation.complete(io::error::broken_pipe);
  loop.run_passes(2);
  BOOST_TEST(only_report(loop) ==
             "Future exception was never retrieved: BrokenPipeError(32, 'Broken pipe')");
}

BOOST_AUTO_TEST_CASE(what_the_initiation_throws_is_not_a_futures_error) {
  TestLoop loop;
  const auto refuse = [] {
    return io::async_initiate<const use_future_t&, void(error_code)>(
        [](auto handler) {
          const auto dropped = std::move(handler);
          throw ValueError("will not");
        },
        asyncio::use_future);
  };
  set_event_loop(&loop);
  BOOST_CHECK_THROW((void)refuse(), ValueError);
  set_event_loop(nullptr);
  loop.run_passes(2);
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_AUTO_TEST_CASE(an_outcome_that_comes_after_a_future_was_set_is_dropped) {
  TestLoop loop;
  set_event_loop(&loop);
  Manual<int> operation;
  const Future<int> future = operation.start(asyncio::use_future);
  set_event_loop(nullptr);
  future.set_result(6);
  operation.complete(5);
  loop.run_passes(2);
  BOOST_TEST(future.result() == 6);
}

// -- other tokens around ours

BOOST_AUTO_TEST_CASE(as_tuple_gives_the_error_as_a_value) {
  TestLoop loop;
  Manual<error_code, int> operation;
  const auto task = loop.create_task(operation.start(io::as_tuple(asyncio::use_awaitable)));
  loop.run_passes(1);
  operation.complete(io::error::eof, 3);
  const auto [error, count] = loop.run_until_complete(task);
  BOOST_TEST(error == io::error::eof);
  BOOST_TEST(count == 3);
}

BOOST_AUTO_TEST_CASE(redirect_error_puts_the_error_into_a_variable) {
  TestLoop loop;
  Manual<error_code, int> operation;
  error_code error;
  const auto task =
      loop.create_task(operation.start(io::redirect_error(asyncio::use_awaitable, error)));
  loop.run_passes(1);
  operation.complete(io::error::eof, 3);
  BOOST_TEST(loop.run_until_complete(task) == 3);
  BOOST_TEST(error == io::error::eof);
}

BOOST_AUTO_TEST_CASE(a_handler_with_another_executor_is_called_there) {
  io::thread_pool pool(1);
  EventLoop loop;
  io::steady_timer timer(loop.get_io_context(), 0s);
  const auto body = [&]() -> Coroutine<> {
    co_await timer.async_wait(io::bind_executor(pool, asyncio::use_awaitable));
    BOOST_TEST((&get_running_loop() == &loop));
    co_await io::post(pool, asyncio::use_awaitable);
    BOOST_TEST((&get_running_loop() == &loop));
    co_await io::post(io::bind_executor(pool, asyncio::use_awaitable));
    BOOST_TEST((&get_running_loop() == &loop));
  };
  loop.run_until_complete(body());
  pool.join();
}

BOOST_AUTO_TEST_CASE(a_handler_runs_where_the_loop_does_and_takes_memory_from_its_pool) {
  EventLoop loop;
  const auto look = [&] {
    return io::async_initiate<const use_awaitable_t&, void(bool, bool)>(
        [&](auto handler) {
          const bool executor = io::get_associated_executor(handler) == loop.get_executor();
          const bool allocator =
              std::is_same_v<io::associated_allocator_t<decltype(handler)>,
                             asyncio::detail::PoolAllocator<void>>;
          std::move(handler)(executor, allocator);
        },
        asyncio::use_awaitable);
  };
  BOOST_TEST((loop.run_until_complete(look()) == std::tuple(true, true)));
}

namespace {

template <class T>
class CountingAllocator {
 public:
  using value_type = T;
  explicit CountingAllocator(int& count) : count_(&count) {}
  template <class U>
  CountingAllocator(const CountingAllocator<U>& other) : count_(other.count_) {}
  T* allocate(std::size_t count) {
    ++*count_;
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, std::size_t count) { std::allocator<T>().deallocate(memory, count); }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) = default;
  int* count_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_bound_allocator_is_used) {
  EventLoop loop;
  int allocations = 0;
  io::steady_timer timer(loop.get_io_context(), 0s);
  const CountingAllocator<char> allocator(allocations);
  loop.run_until_complete(timer.async_wait(io::bind_allocator(allocator, asyncio::use_awaitable)));
  BOOST_TEST(allocations > 0);
}

BOOST_AUTO_TEST_CASE(the_tokens_may_be_default_ones) {
  EventLoop loop;
  using Timer = use_awaitable_t::as_default_on_t<io::steady_timer>;
  using FutureTimer = use_future_t::as_default_on_t<io::steady_timer>;
  Timer timer(loop.get_io_context(), 0s);
  auto other = use_awaitable_t::as_default_on(io::steady_timer(loop.get_io_context(), 0s));
  FutureTimer third(loop.get_io_context(), 0s);
  const auto body = [&]() -> Coroutine<> {
    co_await timer.async_wait();
    co_await other.async_wait();
    const Future<> future = third.async_wait();
    co_await future;
  };
  loop.run_until_complete(body());
  BOOST_TEST((timer.expiry() <= io::steady_timer::clock_type::now()));
}

// -- threads, and the end

BOOST_AUTO_TEST_CASE(an_operation_may_complete_in_another_thread) {
  EventLoop loop;
  Manual<error_code, std::string> operation;
  std::thread thread;
  operation.on_start = [&] { thread = std::thread(operation.completion({}, "from afar")); };
  const std::string text = loop.run_until_complete(operation());
  thread.join();
  BOOST_TEST(text == "from afar");
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_destroyed_without_a_call_fails_the_await) {
  TestLoop loop;
  Manual<error_code> operation;
  const auto task = loop.create_task(error_of(operation()));
  loop.run_passes(1);
  operation.drop();
  BOOST_TEST(loop.run_until_complete(task) ==
             "OSError(125, 'the operation was abandoned: its handler was destroyed')");
}

BOOST_AUTO_TEST_CASE(so_does_one_that_is_destroyed_in_another_thread) {
  EventLoop loop;
  Manual<error_code> operation;
  std::thread thread;
  operation.on_start = [&] { thread = std::thread([&] { operation.drop(); }); };
  const std::string error = loop.run_until_complete(error_of(operation()));
  thread.join();
  BOOST_TEST(error == "OSError(125, 'the operation was abandoned: its handler was destroyed')");
}

BOOST_AUTO_TEST_CASE(closing_the_loop_asks_operations_to_end_and_drops_what_comes_then) {
  Manual<error_code, std::string> awaited;
  Manual<error_code, std::string> dropped;
  Manual<error_code, std::string> future;
  Future<std::string> result(nullptr);
  {
    TestLoop loop;
    set_event_loop(&loop);
    loop.create_task(awaited());
    loop.create_task(dropped());
    result = future.start(asyncio::use_future);
    set_event_loop(nullptr);
    loop.run_passes(1);
    loop.close();
    BOOST_TEST(awaited.cancels == 1);
    BOOST_TEST(future.cancels == 1);
    awaited.complete({}, "too late");
  }
  dropped.drop();
  future.complete({}, "too late");
  BOOST_TEST(!result.done());
}

BOOST_AUTO_TEST_CASE(a_hosts_context_runs_on_after_the_loop) {
  io::io_context context;
  io::steady_timer timer(context, 1h);
  {
    EventLoop loop{context};
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.create_task(timer.async_wait(asyncio::use_awaitable));
    context.poll();
    BOOST_TEST(timer.cancel() == 1U);  // it was waiting
    loop.create_task(timer.async_wait(asyncio::use_awaitable));
    context.poll();
  }
  context.restart();
  context.run();  // the wait is over at once
  BOOST_TEST(timer.cancel() == 0U);
}

BOOST_AUTO_TEST_CASE(an_operation_may_complete_in_another_thread_while_the_loop_is_closed) {
  const auto value = std::make_shared<int>(5);
  for (int round = 0; round != 50; ++round) {
    Manual<std::shared_ptr<int>> operation;
    std::optional<EventLoop> loop(std::in_place);
    loop->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop->create_task(operation());
    loop->run_until_complete(asyncio::sleep(0));
    std::thread thread(operation.completion(value));
    loop.reset();
    thread.join();
    BOOST_TEST(value.use_count() == 1);
  }
}

// -- real ones

BOOST_AUTO_TEST_CASE(sockets_are_connected_read_and_written) {
  EventLoop loop;
  io::io_context& context = loop.get_io_context();
  tcp::acceptor acceptor(context, tcp::endpoint(io::ip::address_v4::loopback(), 0));
  const auto serve = [&]() -> Coroutine<> {
    tcp::socket socket = co_await acceptor.async_accept(asyncio::use_awaitable);
    std::string text;
    const std::size_t length = co_await io::async_read_until(
        socket, io::dynamic_buffer(text), '\n', asyncio::use_awaitable);
    text.resize(length);
    co_await io::async_write(socket, io::buffer(text + text), asyncio::use_awaitable);
  };
  const auto ask = [&]() -> Coroutine<std::string> {
    tcp::socket socket(context);
    co_await socket.async_connect(acceptor.local_endpoint(), asyncio::use_awaitable);
    co_await io::async_write(socket, io::buffer("hello\n", 6), asyncio::use_awaitable);
    std::string answer(12, '\0');
    co_await io::async_read(socket, io::buffer(answer), asyncio::use_awaitable);
    co_return answer;
  };
  const auto both = [&]() -> Coroutine<std::string> {
    auto [nothing, answer] = co_await gather(serve(), ask());
    co_return answer;
  };
  BOOST_TEST(loop.run_until_complete(both()) == "hello\nhello\n");
}

BOOST_AUTO_TEST_CASE(names_are_resolved) {
  EventLoop loop;
  tcp::resolver resolver(loop.get_io_context());
  const auto flags = tcp::resolver::numeric_host | tcp::resolver::numeric_service;
  const auto found = loop.run_until_complete(
      resolver.async_resolve("127.0.0.1", "80", flags, asyncio::use_awaitable));
  BOOST_TEST(found.size() == 1U);
  BOOST_TEST(found.begin()->endpoint().port() == 80);
  BOOST_CHECK_THROW(loop.run_until_complete(resolver.async_resolve("no number", "80", flags,
                                                                   asyncio::use_awaitable)),
                    gaierror);
}

BOOST_AUTO_TEST_CASE(a_read_finds_the_end) {
  EventLoop loop;
  SocketPair pair(loop.get_io_context());
  pair.b.close();
  std::string text(10, '\0');
  BOOST_CHECK_EXCEPTION(
      loop.run_until_complete(pair.a.async_read_some(io::buffer(text), asyncio::use_awaitable)),
      OSError, [](const auto& e) { return e.code() == io::error::eof; });
}

BOOST_AUTO_TEST_CASE(a_guests_operations_go_on_with_its_host) {
  io::io_context context;
  EventLoop loop{context};
  io::steady_timer timer(context, 0s);
  bool waited = false;
  const auto body = [&]() -> Coroutine<> {
    co_await timer.async_wait(asyncio::use_awaitable);
    waited = true;
  };
  const auto task = loop.create_task(body());
  context.run();
  BOOST_TEST(waited);
  BOOST_TEST(task.done());
}

BOOST_AUTO_TEST_SUITE_END()
