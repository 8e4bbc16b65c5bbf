// SPDX-License-Identifier: BSL-1.0
//
// Generator<T> in tasks: cancellation, and the schedule. The numbers of passes and the orders are
// those of CPython 3.13.0.
#include <asyncio/generators.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/queues.hpp>
#include <asyncio/taskgroups.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>

#include "generator_helpers.hpp"

using namespace on_virtual_time;

namespace {

/// How many passes an awaitable takes.
template <class A>
Coroutine<std::uint64_t> passes_of(A awaitable) {
  const Ending end = co_await ending(std::move(awaitable));
  if (end.error) std::rethrow_exception(end.error);
  co_return end.passes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(generators_in_tasks_tests)

// -- cancellation

BOOST_AUTO_TEST_CASE(cancelling_the_consumer_throws_at_the_await_inside_and_finishes_it) {
  Lines log;
  const auto body = [&]() -> Generator<int> {
    try {
      co_await asyncio::sleep(100);
    } catch (const CancelledError&) {
      log.push_back("inside");
      throw;
    }
    co_yield 1;
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    const auto task = loop.create_task(generator.next());
    co_await asyncio::sleep(0);
    task.cancel();
    const Ending end = co_await ending(task);
    BOOST_TEST(end.what() == "CancelledError()");
    BOOST_TEST(log == Lines{"inside"});
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
  BOOST_TEST(loop.leftovers() == Lines());
}

BOOST_AUTO_TEST_CASE(a_body_that_swallows_the_cancellation_goes_on) {
  const auto body = []() -> Generator<int> {
    try {
      co_await asyncio::sleep(100);
    } catch (const CancelledError&) {
    }
    co_yield 7;
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    const auto value = co_await wait_for(generator.next(), 1);
    BOOST_TEST(*value == 7);
    BOOST_TEST((loop.time() == 1));
  });
}

BOOST_AUTO_TEST_CASE(wait_for_a_value_that_does_not_come_in_time_finishes_it) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = waits_between(loop.create_future());
    (void)co_await generator.next();
    const Ending end = co_await ending(wait_for(generator.next(), 1));
    BOOST_TEST(end.what() == "TimeoutError()");
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(it_may_be_cancelled_and_destroyed_everywhere) {
  const auto passes = cancel_everywhere([](Loop&) -> Coroutine<> {
    auto generator = counted_values(1);
    while (auto value = co_await generator.next()) co_await asyncio::sleep(1);
  });
  BOOST_TEST(passes > 6u);
}

BOOST_AUTO_TEST_CASE(its_cleanup_may_be_cancelled_and_destroyed_everywhere) {
  const auto body = []() -> Generator<Counted> {
    const Counted local;
    std::exception_ptr error;
    try {
      for (;;) {
        co_await asyncio::sleep(0);
        co_yield local;
      }
    } catch (...) {
      error = std::current_exception();
    }
    co_await asyncio::sleep(1);
    if (error) std::rethrow_exception(error);
  };
  cancel_everywhere([&](Loop&) -> Coroutine<> {
    auto generator = body();
    (void)co_await generator.next();
    (void)co_await generator.next();
    co_await generator.aclose();
  });
}

BOOST_AUTO_TEST_CASE(a_pipeline_of_generators_and_tasks_may_be_cancelled_and_destroyed_everywhere) {
  const auto doubled = [](Generator<Counted> source) -> Generator<Counted> {
    const Counted local;
    while (auto value = co_await source.next()) {
      co_yield *value;
      co_yield std::move(*value);
    }
  };
  const auto feed = [](Generator<Counted> source, Queue<Counted> queue) -> Coroutine<> {
    while (auto value = co_await source.next()) co_await queue.put(*value);
    queue.shutdown();
  };
  const auto items = [](Queue<Counted> queue) -> Generator<Counted> {
    try {
      for (;;) {
        auto item = co_await queue.get();
        co_yield std::move(item);
      }
    } catch (const QueueShutDown&) {
    }
  };
  cancel_everywhere([&](Loop&) -> Coroutine<> {
    const Queue<Counted> queue(1);
    std::size_t received = 0;
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      group.create_task(feed(doubled(counted_values(1)), queue));
      const auto values = co_await list(items(queue));
      received = values.size();
    });
    BOOST_TEST(received == 6u);
  });
}

// -- the schedule

BOOST_AUTO_TEST_CASE(rule_39_asking_takes_no_pass_unless_the_body_waits) {
  const auto cleans_up = []() -> Generator<int> {
    bool closed = false;
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      closed = true;
    }
    if (closed) {
      co_await asyncio::sleep(0);
      co_await asyncio::sleep(0);
    }
  };
  struct Nested {
    static Generator<int> of(int depth) {
      if (depth == 0) {
        co_await asyncio::sleep(0);
        co_yield 0;
        co_return;
      }
      auto inner = of(depth - 1);
      while (auto value = co_await inner.next()) co_yield *value;
    }
  };
  const auto begin_and_close = [](Generator<int> generator) -> Coroutine<> {
    (void)co_await generator.next();
    co_await generator.aclose();
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto plain = co_await passes_of(sum(three()));
    const auto yields = co_await passes_of(sum(three_with_yields()));
    const auto nested = co_await passes_of(sum(Nested::of(50)));
    const auto closed = co_await passes_of(begin_and_close(three()));
    const auto cleanup = co_await passes_of(begin_and_close(cleans_up()));
    BOOST_TEST(plain == 0u);
    BOOST_TEST(yields == 3u);
    BOOST_TEST(nested == 1u);
    BOOST_TEST(closed == 0u);
    BOOST_TEST(cleanup == 2u);
  });
}

BOOST_AUTO_TEST_CASE(consumers_take_turns_as_in_python) {
  Lines order;
  const auto consumer = [&](const char* name, Generator<int> generator) -> Coroutine<> {
    while (auto value = co_await generator.next()) order.push_back(name + std::to_string(*value));
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    co_await gather(consumer("a", three_with_yields()), consumer("b", three_with_yields()),
                    consumer("c", three()));
  });
  BOOST_TEST(order == (Lines{"c0", "c1", "c2", "a0", "b0", "a1", "b1", "a2", "b2"}));
}

BOOST_AUTO_TEST_CASE(gather_and_task_group_take_the_passes_of_python) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto first = three();
    auto second = three_with_yields();
    const auto before = loop.passes();
    const auto [one, two] = co_await gather(first.next(), second.next());
    BOOST_TEST(loop.passes() - before == 4u);
    BOOST_TEST((*one == 0 && *two == 0));
    Task<int> left, right;
    const auto start = loop.passes();
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      left = group.create_task(sum(three_with_yields()));
      right = group.create_task(sum(three_with_yields()));
      co_return;
    });
    BOOST_TEST(loop.passes() - start == 6u);
    BOOST_TEST(left.result() + right.result() == 6);
  });
}

BOOST_AUTO_TEST_CASE(a_queue_becomes_a_generator) {
  const auto items = [](Queue<std::optional<int>> queue) -> Generator<int> {
    while (auto item = co_await queue.get()) co_yield *item;
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Queue<std::optional<int>> queue;
    const auto before = loop.passes();
    const auto task = loop.create_task(list(items(queue)));
    co_await asyncio::sleep(0);
    queue.put_nowait(1);
    queue.put_nowait(2);
    queue.put_nowait(std::nullopt);
    const auto values = co_await task;
    BOOST_TEST(loop.passes() - before == 3u);
    BOOST_TEST(values == (std::vector<int>{1, 2}));
  });
}

BOOST_AUTO_TEST_CASE(a_timeout_around_the_loop_ends_it_in_the_generator) {
  Loop loop;
  std::vector<int> seen;
  loop.run([&]() -> Coroutine<> {
    const auto slow = [&]() -> Generator<int> {
      co_yield 1;
      co_await asyncio::sleep(0);
      co_yield 2;
      co_await loop.create_future();
    };
    const Ending end = co_await ending(timeout(1, [&]() -> Coroutine<> {
      auto generator = slow();
      while (auto value = co_await generator.next()) seen.push_back(*value);
    }));
    BOOST_TEST(end.what() == "TimeoutError()");
  });
  BOOST_TEST(seen == (std::vector<int>{1, 2}));
}

BOOST_AUTO_TEST_CASE(tasks_may_ask_in_turn) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = three_with_yields();
    for (int expected = 0; expected < 3; ++expected) {
      const auto value = co_await loop.create_task(generator.next());
      BOOST_TEST(*value == expected);
    }
  });
}

BOOST_AUTO_TEST_CASE(shutdown_asyncgens_lets_generators_be) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = three();
    (void)co_await generator.next();
    co_await loop.shutdown_asyncgens();
    const auto value = co_await generator.next();
    BOOST_TEST(*value == 1);
  });
}

BOOST_AUTO_TEST_SUITE_END()
