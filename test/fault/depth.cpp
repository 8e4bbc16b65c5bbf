// SPDX-License-Identifier: BSL-1.0
//
// Native stack does not grow with awaits, nor with the values of generators: a million of them in a
// row, ten thousand inside each other. Meant for -O0 and the address sanitizer, where coroutines
// that resume each other directly would overflow.
#include <asyncio/event_loop.hpp>
#include <asyncio/generators.hpp>

#include <optional>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "../unit/core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

constexpr int many = 1'000'000;
constexpr int deep = 10'000;

Coroutine<int> one() { co_return 1; }

Coroutine<int> count_down(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await count_down(depth - 1);
  co_return below + 1;
}

Coroutine<int> nested(int depth, AnyFuture future) {
  const Counted counted;
  if (depth == 0) {
    co_await future;
    co_return 0;
  }
  const int below = co_await nested(depth - 1, future);
  co_return below + 1;
}

Coroutine<> throw_from(int depth) {
  const Counted counted;
  if (depth == 0) throw ValueError("from below");
  co_await throw_from(depth - 1);
}

Generator<int> numbers() {
  for (int i = 0; i != many; ++i) co_yield 1;
}

/// Each passes on what the one below it yields: 1, and 2 when the future is done.
Generator<int> relayed(int depth, AnyFuture future) {
  const Counted counted;
  if (depth == 0) {
    co_yield 1;
    co_await future;
    co_yield 2;
    co_return;
  }
  auto below = relayed(depth - 1, future);
  while (auto value = co_await below.next()) co_yield *value;
}

Coroutine<int> sum(Generator<int> generator) {
  int total = 0;
  while (auto value = co_await generator.next()) total += *value;
  co_return total;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(depth_tests)

BOOST_AUTO_TEST_CASE(a_million_awaits_of_coroutines_that_return_at_once) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<int> {
    int sum = 0;
    for (int i = 0; i != many; ++i) {
      const int value = co_await one();
      sum += value;
    }
    co_return sum;
  };
  BOOST_TEST(loop.run(body) == many);
  BOOST_TEST(loop.passes() == 2u);
}

BOOST_AUTO_TEST_CASE(a_million_awaits_of_a_done_future) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  future.set_result(1);
  const auto body = [&]() -> Coroutine<int> {
    int sum = 0;
    for (int i = 0; i != many; ++i) {
      const int value = co_await future;
      sum += value;
    }
    co_return sum;
  };
  BOOST_TEST(loop.run(body) == many);
}

BOOST_AUTO_TEST_CASE(a_million_yields) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> {
    for (int i = 0; i != many; ++i) co_await asyncio::sleep(0);
  };
  loop.run(body);
  BOOST_TEST(loop.passes() == many + 2u);
}

BOOST_AUTO_TEST_CASE(ten_thousand_nested_coroutines_that_do_not_block) {
  VirtualLoop loop;
  BOOST_TEST(loop.run_until_complete(count_down(deep)) == deep);
}

BOOST_AUTO_TEST_CASE(ten_thousand_nested_coroutines_that_block) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const Task<int> task = loop.create_task(nested(deep, future));
  loop.pass();
  BOOST_TEST(Counted::alive == deep + 1);
  future.set_result();
  BOOST_TEST(loop.run_until_complete(task) == deep);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(an_exception_passes_through_ten_thousand_frames) {
  VirtualLoop loop;
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(throw_from(deep)), ValueError, says("from below"));
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_cancellation_passes_through_ten_thousand_frames) {
  VirtualLoop loop;
  const Task<int> task = loop.create_task(nested(deep, loop.create_future()));
  loop.pass();
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_suspended_frames_are_destroyed_with_the_loop) {
  {
    VirtualLoop loop;
    const Reports reports(loop);
    (void)loop.create_task(nested(10 * deep, loop.create_future()));
    loop.pass();
    BOOST_TEST(Counted::alive == 10 * deep + 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_chain_of_a_thousand_tasks_wakes_link_by_link) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  const auto link = [](Future<int> previous) -> Coroutine<int> {
    const int value = co_await previous;
    co_return value + 1;
  };
  Future<int> last = future;
  for (int i = 0; i != 1000; ++i) last = loop.create_task(link(last));
  loop.pass();
  const auto pass = loop.passes();
  future.set_result(0);
  BOOST_TEST(loop.run_until_complete(last) == 1000);
  BOOST_TEST(loop.passes() == pass + 1001);
}

BOOST_AUTO_TEST_CASE(a_million_values_of_a_generator) {
  VirtualLoop loop;
  BOOST_TEST(loop.run_until_complete(sum(numbers())) == many);
  BOOST_TEST(loop.passes() == 2u);
}

BOOST_AUTO_TEST_CASE(ten_thousand_nested_generators) {
  VirtualLoop loop;
  const Future<> future = loop.create_future();
  const Task<int> task = loop.create_task(sum(relayed(deep, future)));
  loop.pass();
  BOOST_TEST(Counted::alive == deep + 1);
  future.set_result();
  BOOST_TEST(loop.run_until_complete(task) == 3);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_cancellation_passes_through_ten_thousand_generators) {
  VirtualLoop loop;
  const Task<int> task = loop.create_task(sum(relayed(deep, loop.create_future())));
  loop.pass();
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(ten_thousand_generators_one_of_which_waits_are_destroyed_with_the_loop) {
  std::optional<Generator<int>> held;
  {
    VirtualLoop loop;
    const Reports reports(loop);
    held = relayed(deep, loop.create_future());
    const auto consume = [](Generator<int>& generator) -> Coroutine<> {
      while (auto value = co_await generator.next()) BOOST_TEST(*value == 1);
    };
    (void)loop.create_task(consume(*held));
    loop.pass();
    BOOST_TEST(Counted::alive == deep + 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
