// SPDX-License-Identifier: BSL-1.0
//
// Coroutine<T>: rules 39 and 50, and what becomes of its locals.
#include <asyncio/coroutine.hpp>

#include <coroutine>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

const auto reuse = says("cannot reuse already awaited coroutine");

Coroutine<int> add(int a, int b) { co_return a + b; }

Coroutine<> hold(Counted, bool* ran) {
  *ran = true;
  co_return;
}

Coroutine<> fail(std::string text) {
  throw ValueError(text);
  co_return;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(coroutine_tests)

BOOST_AUTO_TEST_CASE(a_coroutine_is_lazy) {
  bool ran = false;
  {
    const Coroutine<> coroutine = hold(Counted(), &ran);
    BOOST_TEST(bool(coroutine));
    BOOST_TEST(Counted::alive == 1);
  }
  BOOST_TEST(!ran);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(close_destroys_it_unawaited) {
  bool ran = false;
  Coroutine<> coroutine = hold(Counted(), &ran);
  coroutine.close();
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!coroutine);
  BOOST_TEST(!ran);
  coroutine.close();
}

BOOST_AUTO_TEST_CASE(moving_leaves_nothing_behind) {
  bool ran = false;
  Coroutine<> first = hold(Counted(), &ran);
  Coroutine<> second = std::move(first);
  BOOST_TEST(!first);
  BOOST_TEST(bool(second));
  first = hold(Counted(), &ran);
  BOOST_TEST(Counted::alive == 2);
  first = std::move(second);
  BOOST_TEST(!second);
  BOOST_TEST(Counted::alive == 1);
  BOOST_TEST(bool(first));
}

BOOST_AUTO_TEST_CASE(rule_39_awaiting_a_coroutine_is_a_nested_call) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const auto pass = loop.passes();
    const AnyTask task = current_task();
    const auto inner = [&]() -> Coroutine<int> {
      BOOST_TEST((current_task() == task));
      co_return co_await add(2, 3);
    };
    const int value = co_await inner();
    BOOST_TEST(value == 5);
    BOOST_TEST(loop.passes() == pass);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(exceptions_come_out_of_the_await) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<std::string> {
    std::string text;
    try {
      co_await fail("text");
    } catch (const ValueError& error) {
      text = error.what();
    }
    co_return text;
  };
  BOOST_TEST(loop.run(body) == "text");
}

BOOST_AUTO_TEST_CASE(locals_are_destroyed_innermost_first_when_an_exception_passes) {
  VirtualLoop loop;
  Trace trace;
  const auto note = [&](const char* name) {
    return AtExit([&trace, name] { trace.push_back(name); });
  };
  const auto inner = [&]() -> Coroutine<> {
    const auto a = note("inner-a");
    const auto b = note("inner-b");
    co_await asyncio::sleep(0);
    throw ValueError("text");
  };
  const auto outer = [&]() -> Coroutine<> {
    const auto a = note("outer-a");
    const auto b = note("outer-b");
    co_await inner();
  };
  BOOST_CHECK_THROW(loop.run(outer), ValueError);
  BOOST_TEST(joined(trace) == "inner-b inner-a outer-b outer-a");
}

BOOST_AUTO_TEST_CASE(rule_50_a_coroutine_can_be_awaited_once) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    Coroutine<int> coroutine = add(1, 2);
    const int value = co_await coroutine;
    BOOST_TEST(value == 3);
    std::exception_ptr error;
    try {
      (void)co_await coroutine;
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(repr(error) == "RuntimeError('cannot reuse already awaited coroutine')");
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_50_a_coroutine_becomes_a_task_once) {
  VirtualLoop loop;
  Coroutine<int> coroutine = add(1, 2);
  const Task<int> task = loop.create_task(std::move(coroutine));
  BOOST_CHECK_EXCEPTION((void)loop.create_task(std::move(coroutine)), RuntimeError, reuse);
  BOOST_CHECK_EXCEPTION((void)loop.run_until_complete(coroutine), RuntimeError, reuse);
  BOOST_TEST(loop.run_until_complete(task) == 3);
  BOOST_TEST(all_tasks(loop).empty());
}

BOOST_AUTO_TEST_CASE(run_until_complete_uses_a_named_coroutine_up) {
  VirtualLoop loop;
  Coroutine<int> coroutine = add(1, 2);
  BOOST_TEST(loop.run_until_complete(coroutine) == 3);
  BOOST_TEST(!coroutine);
}

BOOST_AUTO_TEST_CASE(results_are_moved_out) {
  VirtualLoop loop;
  const auto inner = []() -> Coroutine<std::unique_ptr<int>> {
    co_return std::make_unique<int>(5);
  };
  const auto body = [&]() -> Coroutine<std::unique_ptr<int>> { co_return co_await inner(); };
  BOOST_TEST(*loop.run(body) == 5);
}

BOOST_AUTO_TEST_CASE(a_result_without_default_constructor_is_fine) {
  struct Value {
    explicit Value(int number) : number(number) {}
    int number;
  };
  VirtualLoop loop;
  const auto body = []() -> Coroutine<Value> {
    co_await asyncio::sleep(0);
    co_return Value(5);
  };
  BOOST_TEST(loop.run(body).number == 5);
}

BOOST_AUTO_TEST_CASE(any_type_with_an_awaiter_can_be_awaited) {
  struct Ready {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return 7; }
  };
  VirtualLoop loop;
  const auto body = []() -> Coroutine<int> { co_return co_await Ready(); };
  BOOST_TEST(loop.run(body) == 7);
  BOOST_TEST(loop.run_until_complete(Ready()) == 7);
}

BOOST_AUTO_TEST_CASE(rule_40_an_awaiter_that_suspends_behind_the_tasks_back_ends_the_program) {
  int ends[2];
  BOOST_TEST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    EventLoop loop;
    const auto body = []() -> Coroutine<> { co_await std::suspend_always(); };
    loop.run_until_complete(body());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char piece[1000];
  while (const ssize_t size = ::read(ends[0], piece, sizeof piece)) {
    BOOST_TEST_REQUIRE(size > 0);
    text.append(piece, static_cast<std::size_t>(size));
  }
  ::close(ends[0]);
  int status = 0;
  BOOST_TEST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
  BOOST_TEST(text.starts_with("Task got bad yield: <Task pending name='Task-"));
}

BOOST_AUTO_TEST_CASE(an_awaiter_is_awaited_where_it_is) {
  struct Counting {
    Counting() = default;
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;
    bool await_ready() noexcept { return ++asked > 1; }
    bool await_suspend(std::coroutine_handle<>) noexcept {
      ++asked;
      return false;
    }
    int& await_resume() noexcept { return asked; }
    int asked = 0;
  };
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    Counting counting;
    const int& asked = co_await counting;
    BOOST_TEST(&asked == &counting.asked);
    BOOST_TEST(asked == 2);
    co_await std::move(counting);
    BOOST_TEST(asked == 3);
    const int temporary = co_await Counting();
    BOOST_TEST(temporary == 2);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(cancellation_is_thrown_at_the_innermost_await) {
  VirtualLoop loop;
  Trace trace;
  const Future<> never = loop.create_future();
  const auto inner = [&]() -> Coroutine<> {
    try {
      co_await never;
    } catch (const CancelledError&) {
      trace.push_back("inner");
      throw;
    }
  };
  const auto outer = [&]() -> Coroutine<> {
    try {
      co_await inner();
    } catch (const CancelledError&) {
      trace.push_back("outer");
      throw;
    }
  };
  const Task<> task = loop.create_task(outer());
  loop.pass();
  task.cancel();
  loop.pass();
  BOOST_TEST(joined(trace) == "inner outer");
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(catching_std_exception_never_swallows_a_cancellation) {
  VirtualLoop loop;
  const Future<> never = loop.create_future();
  bool swallowed = false;
  const auto body = [&]() -> Coroutine<> {
    try {
      co_await never;
    } catch (const std::exception&) {
      swallowed = true;
    }
  };
  const Task<> task = loop.create_task(body());
  loop.pass();
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(!swallowed);
}

BOOST_AUTO_TEST_SUITE_END()
