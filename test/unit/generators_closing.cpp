// SPDX-License-Identifier: BSL-1.0
//
// How a Generator<T> is ended from outside: athrow(), aclose(), destruction. What the first two do
// was asked of CPython 3.13.0.
#include <asyncio/generators.hpp>

#include <optional>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "generator_helpers.hpp"

using namespace on_virtual_time;

namespace {

/// Answers every ValueError with 100.
Generator<int> answers() {
  int value = 0;
  for (;;) {
    try {
      co_yield value;
    } catch (const ValueError&) {
      value = 99;
    }
    ++value;
  }
}

/// Yields 0 to 3, whatever is thrown at it.
Generator<int> stubborn() {
  for (int i = 0; i < 4; ++i) {
    try {
      co_yield i;
    } catch (const GeneratorExit&) {
    }
  }
}

/// Says so when it is destroyed.
class Farewell {
 public:
  Farewell(Lines& lines, std::string text) : lines_(&lines), text_(std::move(text)) {}
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;
  ~Farewell() { lines_->push_back(text_); }

 private:
  Lines* lines_;
  std::string text_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(generators_closing_tests)

// -- athrow

BOOST_AUTO_TEST_CASE(athrow_throws_where_the_body_is_suspended_and_gives_the_next_value) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = answers();
    (void)co_await generator.next();
    const auto answer = co_await generator.athrow(ValueError("x"));
    BOOST_TEST(*answer == 100);
    const auto next = co_await generator.next();
    BOOST_TEST(*next == 101);
    const Ending end = co_await ending(generator.athrow(TypeError("y")));
    BOOST_TEST(end.what() == "TypeError('y')");
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(a_body_that_catches_and_returns_gives_no_value) {
  const auto body = []() -> Generator<int> {
    try {
      co_yield 1;
    } catch (const ValueError&) {
    }
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    (void)co_await generator.next();
    const auto value = co_await generator.athrow(std::make_exception_ptr(ValueError("x")));
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(athrow_finishes_a_generator_that_has_not_begun) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = counted_values(0);
    const Ending end = co_await ending(generator.athrow(ValueError("x")));
    BOOST_TEST(end.what() == "ValueError('x')");
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(only_aclose_swallows_a_generator_exit) {
  const auto exits = []() -> Generator<int> {
    co_yield 1;
    throw GeneratorExit();
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto first = three();
    (void)co_await first.next();
    const Ending thrown = co_await ending(first.athrow(GeneratorExit()));
    BOOST_TEST(thrown.what() == "GeneratorExit()");
    auto second = exits();
    (void)co_await second.next();
    const Ending own = co_await ending(second.next());
    BOOST_TEST(own.what() == "GeneratorExit()");
  });
}

BOOST_AUTO_TEST_CASE(there_must_be_something_to_throw) {
  Generator<int> generator = three();
  BOOST_TEST(thrown_by([&] { (void)generator.athrow(std::exception_ptr()); }) ==
             "TypeError('invalid exception object: null')");
}

// -- aclose

BOOST_AUTO_TEST_CASE(aclose_throws_generator_exit_which_is_no_std_exception) {
  Lines log;
  const auto body = [&]() -> Generator<int> {
    try {
      co_yield 1;
    } catch (const std::exception&) {
      log.push_back("std::exception");
    } catch (const GeneratorExit&) {
      log.push_back("GeneratorExit");
      throw;
    }
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    (void)co_await generator.next();
    const Ending end = co_await ending(generator.aclose());
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(log == Lines{"GeneratorExit"});
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(aclose_of_a_generator_that_has_not_begun_runs_nothing) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = fails_after_one("never");
    co_await generator.aclose();
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(a_body_that_returns_is_closed_too) {
  const auto body = []() -> Generator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
    }
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    (void)co_await generator.next();
    const Ending end = co_await ending(generator.aclose());
    BOOST_TEST(end.what() == "None");
  });
}

BOOST_AUTO_TEST_CASE(an_exception_of_the_cleanup_comes_out_of_aclose) {
  const auto body = []() -> Generator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      throw ValueError("cleanup");
    }
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    (void)co_await generator.next();
    const Ending end = co_await ending(generator.aclose());
    BOOST_TEST(end.what() == "ValueError('cleanup')");
    co_await generator.aclose();
  });
}

BOOST_AUTO_TEST_CASE(a_body_that_yields_again_ignored_generator_exit_and_cannot_be_closed_again) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = stubborn();
    (void)co_await generator.next();
    const Ending end = co_await ending(generator.aclose());
    BOOST_TEST(end.what() == "RuntimeError('async generator ignored GeneratorExit')");
    const auto next = co_await generator.next();
    BOOST_TEST(*next == 2);  // 1 was the value that it yielded instead
    const Ending again = co_await ending(generator.aclose());
    BOOST_TEST(again.what() == "None");
    const auto thrown = co_await generator.athrow(ValueError("x"));
    BOOST_TEST(!thrown);
    const auto last = co_await generator.next();
    BOOST_TEST(*last == 3);
    const auto none = co_await generator.next();
    BOOST_TEST(!none);
  });
}

// -- lifetime

BOOST_AUTO_TEST_CASE(a_generator_left_half_way_is_destroyed_without_running) {
  Lines log;
  const auto body = [&](const char* name) -> Generator<int> {
    const Farewell first(log, std::string(name) + " first");
    const Farewell second(log, std::string(name) + " second");
    try {
      co_yield 1;
    } catch (...) {
      log.push_back("caught");
      throw;
    }
    log.push_back("went on");
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body("a");
    (void)co_await generator.next();
    auto other = body("b");
    generator = std::move(other);
    BOOST_TEST(log == (Lines{"a second", "a first"}));
    (void)co_await generator.next();
  });
  BOOST_TEST(log == (Lines{"a second", "a first", "b second", "b first"}));
}

BOOST_AUTO_TEST_CASE(it_may_be_moved_while_somebody_waits_for_it) {
  Loop loop;
  const Future<> future = loop.create_future();
  loop.run([&]() -> Coroutine<> {
    auto generator = waits_between(future);
    (void)co_await generator.next();
    const auto task = loop.create_task(generator.next());
    co_await asyncio::sleep(0);
    auto elsewhere = std::move(generator);
    future.set_result();
    const auto value = co_await task;
    BOOST_TEST(*value == 1);
    const auto end = co_await elsewhere.next();
    BOOST_TEST(!end);
  });
}

BOOST_AUTO_TEST_CASE(destroyed_while_somebody_waits_for_it_the_body_still_gives_the_value) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Generator<Counted>> generator(counted_values(1));
    const auto task = loop.create_task(generator->next());
    co_await asyncio::sleep(0);
    generator.reset();
    BOOST_TEST(Counted::alive == 1);
    const auto value = co_await task;
    BOOST_TEST(value->value == 0);
    BOOST_TEST(Counted::alive == 2);  // in the task and here; none in the body
  });
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_body_may_destroy_its_own_generator) {
  Loop loop;
  std::optional<Generator<int>> self;
  const auto body = [&]() -> Generator<int> {
    const Counted local;
    self.reset();
    co_await asyncio::sleep(0);
    co_yield local.value + 1;
  };
  self = body();
  loop.run([&]() -> Coroutine<> {
    const auto value = co_await self->next();
    BOOST_TEST(*value == 1);
    BOOST_TEST(Counted::alive == 0);
  });
}

BOOST_AUTO_TEST_CASE(an_awaitable_keeps_the_body_alive) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    std::optional<Generator<int>> generator(three());
    const auto task = loop.create_task(generator->next());
    generator.reset();
    const auto value = co_await task;
    BOOST_TEST(*value == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_loop_that_closes_destroys_from_the_inside_what_waits_in_a_body) {
  Lines log;
  const auto innermost = [&](Future<> future) -> Coroutine<> {
    const Farewell farewell(log, "awaited");
    co_await future;
    log.push_back("went on");
  };
  const auto inner = [&](Future<> future) -> Generator<int> {
    const Farewell farewell(log, "inner");
    co_yield 0;
    co_await innermost(future);
    co_yield 1;
  };
  const auto outer = [&](Future<> future) -> Generator<int> {
    const Farewell farewell(log, "outer");
    auto values = inner(future);
    const Farewell last(log, "outer's last");
    while (auto value = co_await values.next()) co_yield *value;
  };
  const auto consumer = [&](Generator<int>& generator) -> Coroutine<> {
    const Farewell farewell(log, "consumer");
    while (auto value = co_await generator.next()) log.push_back(std::to_string(*value));
  };
  std::optional<Generator<int>> held;
  {
    Loop loop;
    held = outer(loop.create_future());
    (void)loop.create_task(consumer(*held));
    loop.pass(3);
    BOOST_TEST(log == Lines{"0"});
    log.clear();
  }
  BOOST_TEST(log == (Lines{"awaited", "inner", "outer's last", "outer", "consumer"}));
  // Whoever holds it finds it finished.
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto value = co_await held->next();
    BOOST_TEST(!value);
  });
}

BOOST_AUTO_TEST_CASE(one_suspended_at_a_value_outlives_the_loop_with_its_holder) {
  std::optional<Generator<Counted>> held;
  {
    Loop loop;
    held = counted_values(1);
    loop.run([&]() -> Coroutine<> { (void)co_await held->next(); });
  }
  BOOST_TEST(Counted::alive > 0);
  held.reset();
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
