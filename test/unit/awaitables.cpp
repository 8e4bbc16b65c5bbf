// SPDX-License-Identifier: BSL-1.0
//
// What may be awaited, and how it becomes a task: surface FU15, TA1-TA3.
#include <asyncio/tasks.hpp>

#include <concepts>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "captured_log.hpp"
#include "task_helpers.hpp"

using namespace task_tests;

namespace {

template <class T>
concept becomes_a_task = requires(EventLoop& loop, T thing) { loop.create_task(std::move(thing)); };
template <class T>
concept becomes_a_future = requires(T thing) { ensure_future(std::move(thing)); };
template <class T>
concept can_be_waited_for = requires(T thing) { asyncio::wait(std::move(thing)); };
template <class... T>
concept can_be_gathered = requires(T... things) { gather(std::move(things)...); };

}  // namespace

BOOST_AUTO_TEST_SUITE(awaitables_tests)

BOOST_AUTO_TEST_CASE(create_task_keeps_a_callable_and_its_arguments_alive) {
  VirtualLoop loop;
  const auto make = [&] {
    auto owned = std::make_unique<int>(5);
    return loop.create_task(
        [owned = std::move(owned), counted = Counted()](std::string text,
                                                        int number) -> Coroutine<std::string> {
          co_await asyncio::sleep(1);
          co_return text + std::to_string(number + *owned);
        },
        "text", 2);
  };
  const Task<std::string> task = make();
  BOOST_TEST(Counted::alive == 1);
  BOOST_TEST(loop.run_until_complete(task) == "text7");
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(fu15_ensure_future_returns_futures_and_wraps_the_rest) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<> {
    const Future<int> future = loop.create_future<int>();
    BOOST_TEST((ensure_future(future) == future));
    const Task<int> task = loop.create_task(value(5));
    BOOST_TEST((ensure_future(task) == task));
    const Task<int> wrapped = ensure_future(value(6));
    const int six = co_await wrapped;
    BOOST_TEST(six == 6);
    const Task<int> other = ensure_future(Ready(7));
    const int seven = co_await other;
    BOOST_TEST(seven == 7);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(fu15_ensure_future_takes_the_running_loop_else_the_current_one) {
  VirtualLoop loop;
  VirtualLoop other;
  BOOST_CHECK_EXCEPTION((void)ensure_future(value(5)), RuntimeError,
                        says("There is no current event loop in this thread"));
  set_event_loop(&other);
  const Task<int> of_the_current_one = ensure_future(value(5));
  Task<int> of_the_running_one;
  loop.call_soon([&] { of_the_running_one = ensure_future(value(6)); });
  loop.pass();
  set_event_loop(nullptr);
  BOOST_TEST((&of_the_current_one.get_loop() == &other));
  BOOST_TEST((&of_the_running_one.get_loop() == &loop));
  BOOST_TEST(other.run_until_complete(of_the_current_one) == 5);
  BOOST_TEST(loop.run_until_complete(of_the_running_one) == 6);
}

BOOST_AUTO_TEST_CASE(fu15_ensure_future_closes_a_coroutine_that_the_loop_refuses) {
  VirtualLoop loop;
  loop.close();
  set_event_loop(&loop);
  const CapturedLog log;
  BOOST_CHECK_EXCEPTION((void)ensure_future(value(5)), RuntimeError, says("Event loop is closed"));
  BOOST_TEST(log.messages().empty());
  set_event_loop(nullptr);
}

BOOST_AUTO_TEST_CASE(ta2_an_awaitable_that_is_no_coroutine_becomes_a_task_that_awaits_it) {
  VirtualLoop loop;
  const Task<int> ready = loop.create_task(Ready(42));
  const Task<int> sleeper = loop.create_task(asyncio::sleep(1, 43), {.name = "sleeper"});
  BOOST_TEST(sleeper.get_name() == "sleeper");
  BOOST_TEST(loop.run_until_complete(ready) == 42);
  BOOST_TEST(loop.run_until_complete(sleeper) == 43);
  BOOST_TEST(loop.time().seconds() == 1);
}

BOOST_AUTO_TEST_CASE(a_future_that_a_coroutine_returns_is_not_waited_for) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto body = [&]() -> Coroutine<Future<int>> { co_return future; };
  const Future<int> result = loop.run(body);
  BOOST_TEST((result == future));
  BOOST_TEST(!future.done());
}

// What Python refuses with a TypeError or ValueError when it runs does not compile.

BOOST_AUTO_TEST_CASE(ta3_only_what_can_be_awaited_becomes_a_task) {
  BOOST_TEST((Awaitable<Coroutine<int>> && Awaitable<Future<int>> && Awaitable<Task<int>>));
  BOOST_TEST((Awaitable<Ready> && Awaitable<Sleep<>>));
  BOOST_TEST((!Awaitable<int> && !Awaitable<const char*> && !Awaitable<Coroutine<int> (*)()>));
  BOOST_TEST((becomes_a_task<Coroutine<int>> && becomes_a_task<Ready>));
  BOOST_TEST((!becomes_a_task<int> && !becomes_a_task<Future<int>>));
  BOOST_TEST((becomes_a_future<Coroutine<int>> && becomes_a_future<Future<int>>));
  BOOST_TEST((!becomes_a_future<int> && !becomes_a_future<const char*>));
}

BOOST_AUTO_TEST_CASE(co2_only_awaitables_are_gathered) {
  BOOST_TEST((can_be_gathered<Coroutine<int>, Future<>, Ready>));
  BOOST_TEST((can_be_gathered<std::vector<Coroutine<int>>>));
  BOOST_TEST((!can_be_gathered<Coroutine<int>, std::string>));
}

BOOST_AUTO_TEST_CASE(co3_only_containers_of_futures_are_waited_for) {
  BOOST_TEST((can_be_waited_for<std::vector<Task<int>>> && can_be_waited_for<std::list<Future<>>>));
  BOOST_TEST((!can_be_waited_for<Future<int>> && !can_be_waited_for<Coroutine<int>>));
  BOOST_TEST((!can_be_waited_for<std::vector<Coroutine<int>>>));
}

BOOST_AUTO_TEST_CASE(rule_50_a_coroutine_object_cannot_stand_in_two_places) {
  BOOST_TEST(!std::is_copy_constructible_v<Coroutine<int>>);
  BOOST_TEST(std::is_nothrow_move_constructible_v<Coroutine<int>>);
}

BOOST_AUTO_TEST_CASE(a_task_is_a_future) {
  BOOST_TEST((std::derived_from<Task<int>, Future<int>> && std::derived_from<AnyTask, AnyFuture>));
}

BOOST_AUTO_TEST_SUITE_END()
