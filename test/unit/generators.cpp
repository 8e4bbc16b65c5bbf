// SPDX-License-Identifier: BSL-1.0
//
// Generator<T>. What CPython does was asked of 3.13.0: texts, numbers of passes, orders. It has no
// numbered rules but 39 and 50, which hold for what a generator awaits and for its awaitables.
#include <asyncio/generators.hpp>

#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/as_completed.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/taskgroups.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

// -- the examples of the header, word for word

asyncio::Generator<int> countdown(int from) {
  for (; from > 0; --from) {
    co_yield from;
    co_await asyncio::sleep(1);
  }
}

asyncio::Coroutine<> launch() {
  auto numbers = countdown(3);
  while (auto number = co_await numbers.next()) std::cout << *number << '\n';
}

/// A connection for the second example: three rows, and a close() that takes two passes.
class Connection {
 public:
  explicit Connection(Lines* log) : log_(log) {}

  Coroutine<std::optional<std::string>> fetch() {
    co_await asyncio::sleep(0);
    if (++fetched_ > 3) co_return std::nullopt;
    co_return "row " + std::to_string(fetched_);
  }
  Coroutine<> close() {
    co_await asyncio::sleep(0);
    co_await asyncio::sleep(0);
    log_->push_back("closed");
  }

 private:
  Lines* log_;
  int fetched_ = 0;
};

asyncio::Generator<std::string> rows(Connection connection) {
  std::exception_ptr error;
  try {
    while (auto row = co_await connection.fetch()) co_yield *row;
  } catch (...) {  // GeneratorExit, from aclose(), is one of them
    error = std::current_exception();
  }
  co_await connection.close();
  if (error) std::rethrow_exception(error);
}

// -- generators

Generator<int> three() {
  for (int i = 0; i < 3; ++i) co_yield i;
}

Generator<int> three_with_yields() {
  for (int i = 0; i < 3; ++i) {
    co_await asyncio::sleep(0);
    co_yield i;
  }
}

Generator<int> waits_between(Future<> future) {
  co_yield 0;
  co_await future;
  co_yield 1;
}

Generator<int> fails_after_one(std::string text) {
  co_yield 1;
  throw ValueError(text);
}

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

Generator<Counted> counted_values(double seconds) {
  const Counted local;
  for (int i = 0; i < 3; ++i) {
    co_await asyncio::sleep(seconds);
    co_yield Counted(i);
  }
}

template <class T>
Coroutine<std::vector<T>> list(Generator<T> generator) {
  std::vector<T> values;
  while (auto value = co_await generator.next()) values.push_back(std::move(*value));
  co_return values;
}

Coroutine<int> sum(Generator<int> generator) {
  int total = 0;
  while (auto value = co_await generator.next()) total += *value;
  co_return total;
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

/// How many passes an awaitable takes.
template <class A>
Coroutine<std::uint64_t> passes_of(A awaitable) {
  const Ending end = co_await ending(std::move(awaitable));
  if (end.error) std::rethrow_exception(end.error);
  co_return end.passes;
}

const Lines none;

}  // namespace

BOOST_AUTO_TEST_SUITE(generators_tests)

// -- values

BOOST_AUTO_TEST_CASE(the_first_example) {
  std::ostringstream out;
  std::streambuf* const before = std::cout.rdbuf(out.rdbuf());
  Loop loop;
  loop.run(launch);
  std::cout.rdbuf(before);
  BOOST_TEST(out.str() == "3\n2\n1\n");
  BOOST_TEST((loop.time() == 3));
}

BOOST_AUTO_TEST_CASE(the_second_example_cleans_up_when_it_ends_and_when_it_is_closed) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const auto all = co_await list(rows(Connection(&log)));
    BOOST_TEST(all == (Lines{"row 1", "row 2", "row 3"}));
    BOOST_TEST(log == Lines{"closed"});
    auto generator = rows(Connection(&log));
    const auto first = co_await generator.next();
    BOOST_TEST(*first == "row 1");
    const Ending end = co_await ending(generator.aclose());
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(end.passes == 2u);
    BOOST_TEST(log == (Lines{"closed", "closed"}));
  });
}

BOOST_AUTO_TEST_CASE(nothing_runs_before_it_is_asked_and_then_only_up_to_the_next_value) {
  Loop loop;
  Lines log;
  const auto body = [&]() -> Generator<int> {
    log.push_back("begin");
    co_yield 1;
    log.push_back("middle");
    co_yield 2;
    log.push_back("end");
  };
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    auto next = generator.next();
    BOOST_TEST(log == none);
    const auto first = co_await next;
    BOOST_TEST(*first == 1);
    BOOST_TEST(log == Lines{"begin"});
    const auto second = co_await generator.next();
    BOOST_TEST(*second == 2);
    BOOST_TEST(log == (Lines{"begin", "middle"}));
    const auto third = co_await generator.next();
    BOOST_TEST(!third);
    BOOST_TEST(log == (Lines{"begin", "middle", "end"}));
  });
}

BOOST_AUTO_TEST_CASE(after_the_end_there_is_no_value_for_ever) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = three();
    int total = 0;
    while (auto value = co_await generator.next()) total += *value;
    BOOST_TEST(total == 3);
    for (int i = 0; i < 3; ++i) {
      const auto value = co_await generator.next();
      BOOST_TEST(!value);
    }
    co_await generator.aclose();
    const auto thrown = co_await generator.athrow(ValueError("late"));
    BOOST_TEST(!thrown);
  });
}

BOOST_AUTO_TEST_CASE(a_generator_that_yields_nothing_is_empty) {
  Loop loop;
  const auto body = []() -> Generator<int> {
    co_await asyncio::sleep(0);
    co_return;
  };
  BOOST_TEST(loop.run_until_complete(list(body())).empty());
}

BOOST_AUTO_TEST_CASE(locals_of_an_ended_body_and_its_arguments_are_gone_at_once) {
  Loop loop;
  const auto body = [](Counted) -> Generator<int> {
    const Counted local;
    co_yield 1;
  };
  loop.run([&]() -> Coroutine<> {
    auto generator = body(Counted());
    (void)co_await generator.next();
    BOOST_TEST(Counted::alive == 2);
    (void)co_await generator.next();
    BOOST_TEST(Counted::alive == 0);
  });
}

BOOST_AUTO_TEST_CASE(values_may_be_move_only_or_without_a_default_constructor) {
  struct Value {
    explicit Value(int number) : number(std::make_unique<int>(number)) {}
    std::unique_ptr<int> number;
  };
  const auto body = []() -> Generator<Value> {
    co_yield Value(1);
    Value second(2);
    co_await asyncio::sleep(0);
    co_yield std::move(second);
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    int expected = 0;
    while (auto value = co_await generator.next()) BOOST_TEST(*value->number == ++expected);
    BOOST_TEST(expected == 2);
  });
}

BOOST_AUTO_TEST_CASE(an_rvalue_is_moved_once_and_a_named_value_is_copied) {
  struct Tracked {
    explicit Tracked(int* counts) : counts(counts) {}
    Tracked(const Tracked& other) : counts(other.counts) { ++counts[0]; }
    Tracked(Tracked&& other) noexcept : counts(other.counts) { ++counts[1]; }
    int* counts;  // of copies, of moves
  };
  int counts[2] = {};
  const auto body = [](int* all) -> Generator<Tracked> {
    co_yield Tracked(all);
    Tracked named(all);
    co_yield std::move(named);
    co_yield named;
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body(counts);
    (void)co_await generator.next();
    BOOST_TEST((counts[0] == 0 && counts[1] == 1));
    (void)co_await generator.next();
    BOOST_TEST((counts[0] == 0 && counts[1] == 2));
    (void)co_await generator.next();
    BOOST_TEST((counts[0] == 1 && counts[1] == 3));
  });
}

BOOST_AUTO_TEST_CASE(what_is_yielded_may_be_converted) {
  const auto body = []() -> Generator<std::string> {
    const std::string constant = "constant";
    co_yield "literal";
    co_yield constant;
    co_yield {"braces"};
  };
  Loop loop;
  BOOST_TEST(loop.run_until_complete(list(body())) == (Lines{"literal", "constant", "braces"}));
  const auto functions = [](int& sum) -> Generator<std::function<void(int)>> {
    co_yield [&](int n) { sum += n; };
    const std::string kept = "1234567890123456789012345";
    auto named = [&sum, kept](int) { sum += static_cast<int>(kept.size()); };
    co_yield named;
  };
  int total = 0;
  for (auto& function : loop.run_until_complete(list(functions(total)))) function(10);
  BOOST_TEST(total == 35);
}

BOOST_AUTO_TEST_CASE(an_empty_optional_is_a_value) {
  const auto body = []() -> Generator<std::optional<int>> {
    co_yield std::nullopt;
    co_yield 1;
  };
  Loop loop;
  BOOST_TEST((loop.run_until_complete(list(body())) ==
              std::vector<std::optional<int>>{std::nullopt, 1}));
}

BOOST_AUTO_TEST_CASE(a_generator_of_references_copies_nothing) {
  const auto body = [](std::vector<std::string>& texts) -> Generator<std::string&> {
    for (auto& text : texts) {
      co_await asyncio::sleep(0);
      co_yield text;
    }
  };
  Lines texts{"a", "b"};
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body(texts);
    std::size_t at = 0;
    while (auto* text = co_await generator.next()) {
      BOOST_TEST(text == &texts.at(at++));
      *text += "!";
    }
    BOOST_TEST(at == 2u);
    const auto* end = co_await generator.next();
    BOOST_TEST(!end);
  });
  BOOST_TEST(texts == (Lines{"a!", "b!"}));
}

BOOST_AUTO_TEST_CASE(a_temporary_yielded_by_const_reference_lives_until_the_next_call) {
  struct Base {
    explicit Base(int number) : local(number) {}
    Counted local;
  };
  struct Derived : Base {
    Derived() : Base(2) {}
  };
  const auto body = []() -> Generator<const Base&> {
    co_yield Base(1);
    const Derived derived;
    co_yield derived;
  };
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = body();
    const Base* value = co_await generator.next();
    BOOST_TEST(value->local.value == 1);
    BOOST_TEST(Counted::alive == 1);
    value = co_await generator.next();
    BOOST_TEST(value->local.value == 2);
    BOOST_TEST(Counted::alive == 1);
  });
  BOOST_TEST(Counted::alive == 0);
}

struct Aggregate {
  std::string text;
};

BOOST_AUTO_TEST_CASE(an_inline_aggregate_is_refused_where_the_compiler_would_destroy_it_twice) {
  using Owning = decltype([text = std::string()] { return text; });
  using Function = std::function<std::string()>;
  constexpr bool bites = ASYNCIO_COROUTINES_BITE;
  static_assert(detail::inline_yield<Aggregate, Aggregate> == !bites);
  static_assert(detail::inline_yield<Aggregate&, Aggregate>);
  static_assert(detail::inline_yield<Owning, Function> == !bites);
  static_assert(detail::inline_yield<Owning&, Function>);
  static_assert(detail::inline_yield<Owning, Owning>);  // returned by a function, or moved
  static_assert(detail::inline_yield<Function, Function>);
  static_assert(detail::inline_yield<std::string, Function>);
  static_assert(detail::inline_yield<const char (&)[4], std::string>);
  const auto body = []() -> Generator<Aggregate> {
    Aggregate value{"text"};
    co_yield value;
  };
  Loop loop;
  BOOST_TEST(loop.run_until_complete(list(body())).at(0).text == "text");
}

BOOST_AUTO_TEST_CASE(the_loop_may_be_left_in_every_way) {
  Loop loop;
  const auto ways = [](int way) -> Coroutine<int> {
    auto generator = counted_values(0);
    int last = -1;
    while (auto value = co_await generator.next()) {
      if (value->value == 0) continue;
      last = value->value;
      if (way == 1) break;
      if (way == 2) co_return 10 + last;
      if (way == 3) throw ValueError("left");
    }
    co_return last;
  };
  BOOST_TEST(loop.run_until_complete(ways(0)) == 2);
  BOOST_TEST(loop.run_until_complete(ways(1)) == 1);
  BOOST_TEST(loop.run_until_complete(ways(2)) == 11);
  BOOST_CHECK_THROW(loop.run_until_complete(ways(3)), ValueError);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_generator_may_iterate_over_another) {
  struct Tree {
    int value;
    std::unique_ptr<Tree> left = nullptr, right = nullptr;
  };
  struct Walk {
    static Generator<const int&> over(const Tree* tree) {
      if (!tree) co_return;
      auto left = over(tree->left.get());
      while (auto* value = co_await left.next()) co_yield *value;
      co_await asyncio::sleep(0);
      co_yield tree->value;
      auto right = over(tree->right.get());
      while (auto* value = co_await right.next()) co_yield *value;
    }
  };
  Tree tree{4};
  tree.left = std::make_unique<Tree>(2);
  tree.left->left = std::make_unique<Tree>(1);
  tree.left->right = std::make_unique<Tree>(3);
  tree.right = std::make_unique<Tree>(5);
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto values = Walk::over(&tree);
    int expected = 0;
    while (auto* value = co_await values.next()) BOOST_TEST(*value == ++expected);
    BOOST_TEST(expected == 5);
  });
}

// -- errors

BOOST_AUTO_TEST_CASE(an_exception_of_the_body_comes_out_and_finishes_it) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = fails_after_one("boom");
    (void)co_await generator.next();
    const Ending end = co_await ending(generator.next());
    BOOST_TEST(end.what() == "ValueError('boom')");
    const auto value = co_await generator.next();
    BOOST_TEST(!value);
    co_await generator.aclose();
    const auto thrown = co_await generator.athrow(ValueError("late"));
    BOOST_TEST(!thrown);
  });
}

BOOST_AUTO_TEST_CASE(a_running_generator_refuses_all_others) {
  Loop loop;
  const Future<> future = loop.create_future();
  loop.run([&]() -> Coroutine<> {
    auto generator = waits_between(future);
    (void)co_await generator.next();
    const auto task = loop.create_task(generator.next());
    co_await asyncio::sleep(0);
    const Ending next = co_await ending(generator.next());
    const Ending close = co_await ending(generator.aclose());
    const Ending thrown = co_await ending(generator.athrow(ValueError("x")));
    const std::string text = "(): asynchronous generator is already running')";
    BOOST_TEST(next.what() == "RuntimeError('anext" + text);
    BOOST_TEST(close.what() == "RuntimeError('aclose" + text);
    BOOST_TEST(thrown.what() == "RuntimeError('athrow" + text);
    future.set_result();
    const auto value = co_await task;
    BOOST_TEST(*value == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_body_cannot_ask_itself) {
  Loop loop;
  std::optional<Generator<std::string>> self;
  const auto body = [&]() -> Generator<std::string> {
    const Ending next = co_await ending(self->next());
    co_yield next.what();
    const Ending close = co_await ending(self->aclose());
    co_yield close.what();
  };
  self = body();
  loop.run([&]() -> Coroutine<> {
    const auto first = co_await self->next();
    BOOST_TEST(*first == "RuntimeError('anext(): asynchronous generator is already running')");
    const auto second = co_await self->next();
    BOOST_TEST(*second == "RuntimeError('aclose(): asynchronous generator is already running')");
  });
}

BOOST_AUTO_TEST_CASE(of_two_who_ask_at_once_the_second_is_refused) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = three_with_yields();
    auto [first, second] = co_await gather(return_exceptions, generator.next(), generator.next());
    BOOST_TEST(*first.value() == 0);
    BOOST_TEST(repr(second.exception()) ==
               "RuntimeError('anext(): asynchronous generator is already running')");
  });
}

BOOST_AUTO_TEST_CASE(rule_50_its_awaitables_are_used_up_by_awaiting_them) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto generator = three();
    auto next = generator.next();
    (void)co_await next;
    const Ending of_next = co_await ending(std::move(next));
    auto close = generator.aclose();
    co_await close;
    const Ending of_close = co_await ending(std::move(close));
    auto athrow = generator.athrow(ValueError("x"));
    (void)co_await athrow;
    const Ending of_athrow = co_await ending(std::move(athrow));
    BOOST_TEST(of_next.what() ==
               "RuntimeError('cannot reuse already awaited __anext__()/asend()')");
    const std::string text = "RuntimeError('cannot reuse already awaited aclose()/athrow()')";
    BOOST_TEST(of_close.what() == text);
    BOOST_TEST(of_athrow.what() == text);
  });
}

BOOST_AUTO_TEST_CASE(a_generator_that_was_moved_from_says_so) {
  Generator<int> first = three();
  const Generator<int> second = std::move(first);
  BOOST_TEST(thrown_by([&] { (void)first.next(); }) ==
             "RuntimeError('the generator has been moved from')");
}

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
  BOOST_TEST(loop.idle());
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

// -- the schedule; the numbers are CPython's

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
