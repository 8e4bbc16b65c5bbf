// SPDX-License-Identifier: BSL-1.0
//
// Generator<T>: what it yields, and what goes wrong. What CPython does was asked of 3.13.0. It has
// no numbered rules but 39 and 50, which hold for what a generator awaits and for its awaitables.
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

#include "generator_helpers.hpp"

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
    BOOST_TEST(log == Lines());
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
  const std::vector<std::optional<int>> expected{std::nullopt, 1};
  BOOST_TEST((loop.run_until_complete(list(body())) == expected));
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

BOOST_AUTO_TEST_CASE(rule_50_so_they_are_by_awaiting_them_in_vain) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto attempt = [](auto& awaitable) -> Coroutine<std::string> {
      try {
        (void)co_await awaitable;
      } catch (...) {
        co_return repr(std::current_exception());
      }
      co_return "None";
    };
    const Future<> gate;
    const auto body = [&]() -> Generator<int> {
      co_await gate;
      co_yield 1;
    };
    auto generator = body();
    const auto consumer = create_task([&]() -> Coroutine<> { (void)co_await generator.next(); });
    co_await asyncio::sleep(0);
    auto next = generator.next();
    auto athrow = generator.athrow(ValueError("x"));
    auto close = generator.aclose();
    const std::string first_next = co_await attempt(next);
    const std::string first_athrow = co_await attempt(athrow);
    const std::string first_close = co_await attempt(close);
    BOOST_TEST(first_next ==
               "RuntimeError('anext(): asynchronous generator is already running')");
    BOOST_TEST(first_athrow ==
               "RuntimeError('athrow(): asynchronous generator is already running')");
    BOOST_TEST(first_close ==
               "RuntimeError('aclose(): asynchronous generator is already running')");
    gate.set_result();
    co_await consumer;
    const std::string second_next = co_await attempt(next);
    const std::string second_athrow = co_await attempt(athrow);
    const std::string second_close = co_await attempt(close);
    BOOST_TEST(second_next ==
               "RuntimeError('cannot reuse already awaited __anext__()/asend()')");
    const std::string text = "RuntimeError('cannot reuse already awaited aclose()/athrow()')";
    BOOST_TEST(second_athrow == text);
    BOOST_TEST(second_close == text);

    auto unstarted = three();
    auto thrown = unstarted.athrow(ValueError("x"));
    const std::string first = co_await attempt(thrown);
    BOOST_TEST(first == "ValueError('x')");
    const std::string second = co_await attempt(thrown);
    BOOST_TEST(second == text);
  });
}

BOOST_AUTO_TEST_CASE(a_generator_that_was_moved_from_says_so) {
  Generator<int> first = three();
  const Generator<int> second = std::move(first);
  BOOST_TEST(thrown_by([&] { (void)first.next(); }) ==
             "RuntimeError('the generator has been moved from')");
}

BOOST_AUTO_TEST_SUITE_END()
