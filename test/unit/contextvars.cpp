// SPDX-License-Identifier: BSL-1.0
//
// Context variables: surface A24, rules 27, 44 and 218.
#include <asyncio/contextvars.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

}  // namespace

BOOST_AUTO_TEST_SUITE(contextvars_tests)

BOOST_AUTO_TEST_CASE(cv1_get_gives_the_value_the_argument_or_the_default) {
  const ContextVar<int> plain("plain");
  const ContextVar<int> with_default("with_default", 1);
  BOOST_TEST(plain.name() == "plain");
  const Context context;
  context.run([&] {
    BOOST_CHECK_EXCEPTION(plain.get(), LookupError,
                          says_about("<ContextVar name='plain' at 0x", ">"));
    BOOST_TEST(plain.get(3) == 3);
    BOOST_TEST(with_default.get() == 1);
    BOOST_TEST(with_default.get(2) == 2);  // the argument wins over the default
    (void)plain.set(4);
    (void)with_default.set(5);
    BOOST_TEST(plain.get() == 4);
    BOOST_TEST(plain.get(3) == 4);
    BOOST_TEST(with_default.get() == 5);
  });
  BOOST_TEST(with_default.get() == 1);
}

BOOST_AUTO_TEST_CASE(copies_of_a_variable_are_one_variable_equal_names_are_not) {
  const ContextVar<int> variable("name", 0);
  const ContextVar<int> copy = variable;
  const ContextVar<int> namesake("name", 0);
  const Context context;
  context.run([&] {
    (void)variable.set(5);
    BOOST_TEST(copy.get() == 5);
    BOOST_TEST(namesake.get() == 0);
  });
}

BOOST_AUTO_TEST_CASE(cv2_reset_puts_back_what_set_replaced) {
  const ContextVar<std::string> variable("variable");
  const Context context;
  context.run([&] {
    Token<std::string> first = variable.set("a");
    BOOST_TEST(!first.old_value().has_value());
    Token<std::string> second = variable.set("b");
    BOOST_TEST(*second.old_value() == "a");
    variable.reset(second);
    BOOST_TEST(variable.get() == "a");
    variable.reset(first);
    BOOST_CHECK_THROW(variable.get(), LookupError);
    BOOST_TEST(context.size() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(cv2_a_token_is_good_once) {
  const ContextVar<int> variable("variable", 0);
  const Context context;
  context.run([&] {
    Token<int> token = variable.set(1);
    variable.reset(token);
    BOOST_CHECK_EXCEPTION(variable.reset(token), RuntimeError,
                          says_about("<Token used var=", " has already been used once"));
  });
}

BOOST_AUTO_TEST_CASE(cv2_a_token_belongs_to_its_variable) {
  const ContextVar<int> variable("variable", 0);
  const ContextVar<int> other("other", 0);
  const Context context;
  context.run([&] {
    Token<int> token = variable.set(1);
    BOOST_CHECK_EXCEPTION(other.reset(token), ValueError,
                          says_about("<Token var=", " was created by a different ContextVar"));
    variable.reset(token);  // the failure did not use it up
    BOOST_TEST(variable.get() == 0);
  });
}

BOOST_AUTO_TEST_CASE(cv2_a_token_belongs_to_its_context) {
  const ContextVar<int> variable("variable", 0);
  const Context context;
  const Context other;
  std::optional<Token<int>> token;
  context.run([&] { token = variable.set(1); });
  other.run([&] {
    BOOST_CHECK_EXCEPTION(variable.reset(*token), ValueError,
                          says_about("<Token var=", " was created in a different Context"));
  });
  context.run([&] { variable.reset(*token); });
}

BOOST_AUTO_TEST_CASE(cv2_copies_of_a_token_are_one_token) {
  const ContextVar<int> variable("variable", 0);
  const Context context;
  context.run([&] {
    const Token<int> token = variable.set(1);
    const Token<int> copy = token;
    BOOST_TEST(to_string(copy) == to_string(token));
    copy.var().reset(copy);
    BOOST_CHECK_THROW(variable.reset(token), RuntimeError);
    BOOST_TEST(to_string(token).starts_with("<Token used var="));
  });
}

BOOST_AUTO_TEST_CASE(cv3_a_context_is_a_mapping) {
  const ContextVar<int> set("set", 1);
  const ContextVar<int> unset("unset", 2);
  const Context context;
  BOOST_TEST((context == Context()));
  context.run([&] { (void)set.set(5); });
  BOOST_TEST(context.contains(set));
  BOOST_TEST(!context.contains(unset));
  BOOST_TEST(context.at(set) == 5);
  BOOST_CHECK_EXCEPTION(context.at(unset), KeyError,
                        says_about("<ContextVar name='unset' default=2 at 0x", ">"));
  BOOST_TEST(context.get(set).value() == 5);
  BOOST_TEST(!context.get(unset).has_value());
  BOOST_TEST(context.get(set, 7) == 5);
  BOOST_TEST(context.get(unset, 7) == 7);
  BOOST_TEST((context != Context()));
  const Context copy = context.copy();
  BOOST_TEST((copy == context));
  context.run([&] { set.reset(set.set(6)); });
  BOOST_TEST((copy == context));
}

BOOST_AUTO_TEST_CASE(cv3_run_gives_the_result_and_keeps_what_was_set) {
  const ContextVar<int> variable("variable", 0);
  const Context context;
  const int result = context.run(
      [&](int a, int b) {
        (void)variable.set(a);
        return a + b;
      },
      2, 3);
  BOOST_TEST(result == 5);
  BOOST_TEST(variable.get() == 0);
  BOOST_TEST(context.run([&] { return variable.get(); }) == 2);
  BOOST_TEST(context.size() == 1u);
  int target = 0;
  context.run([&]() -> int& { return target; }) = 9;
  BOOST_TEST(target == 9);
}

BOOST_AUTO_TEST_CASE(cv3_a_context_cannot_be_entered_twice) {
  const Context context;
  const ContextVar<int> variable("variable", 0);
  context.run([&] {
    (void)variable.set(1);
    BOOST_CHECK_EXCEPTION(
        context.run([] {}), RuntimeError,
        says_about("cannot enter context: <Context object at 0x", "> is already entered"));
    BOOST_TEST(variable.get() == 1);  // and the current context is what it was
    context.copy().run([&] { BOOST_TEST(variable.get() == 1); });
  });
  context.run([] {});
}

BOOST_AUTO_TEST_CASE(cv3_the_context_of_the_callback_that_runs_is_entered) {
  EventLoop loop;
  const Context context;
  const auto refused = [&] {
    BOOST_CHECK_EXCEPTION(
        context.run([] {}), RuntimeError,
        says_about("cannot enter context: <Context object at 0x", "> is already entered"));
  };
  int calls = 0;
  loop.call_soon({.context = &context}, [&] {
    refused();
    Context().run([&] {
      refused();
      Context().run(refused);
      refused();
    });
    refused();
    ++calls;
  });
  loop.call_soon([&] {
    context.run([&] { ++calls; });
    loop.stop();
  });
  loop.run_forever();
  BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(cv3_an_exception_leaves_the_context) {
  const Context context;
  const ContextVar<int> variable("variable", 0);
  BOOST_CHECK_THROW(context.run([&] {
    (void)variable.set(1);
    throw ValueError();
  }),
                    ValueError);
  BOOST_TEST(variable.get() == 0);
  BOOST_TEST(context.run([&] { return variable.get(); }) == 1);
}

BOOST_AUTO_TEST_CASE(cv3_contexts_nest) {
  const Context outer;
  const Context inner;
  const ContextVar<int> variable("variable", 0);
  outer.run([&] {
    (void)variable.set(1);
    inner.run([&] { (void)variable.set(2); });
    BOOST_TEST(variable.get() == 1);
  });
}

BOOST_AUTO_TEST_CASE(cv4_a_copy_is_independent) {
  const Context context;
  const ContextVar<int> variable("variable", 0);
  context.run([&] {
    (void)variable.set(1);
    const Context copy = copy_context();
    BOOST_TEST((copy == context));
    (void)variable.set(2);
    BOOST_TEST((copy != context));
    BOOST_TEST(copy.run([&] { return variable.get(); }) == 1);
    copy.run([&] { (void)variable.set(3); });
    BOOST_TEST(variable.get() == 2);
  });
}

BOOST_AUTO_TEST_CASE(many_variables_live_side_by_side) {
  const Context context;
  std::vector<ContextVar<int>> variables;
  for (int i = 0; i != 50; ++i) variables.emplace_back("v" + std::to_string(i));
  context.run([&] {
    for (std::size_t i = 50; i-- != 0;) (void)variables[i].set(static_cast<int>(i));
    for (std::size_t i = 0; i != 50; ++i) BOOST_TEST(variables[i].get() == static_cast<int>(i));
  });
  BOOST_TEST(context.size() == 50u);
}

BOOST_AUTO_TEST_CASE(each_thread_has_its_own_context) {
  const ContextVar<int> variable("variable", 0);
  const Context context;
  context.run([&] {
    (void)variable.set(1);
    int seen = -1;
    std::thread([&] {
      seen = variable.get();
      (void)variable.set(2);
    }).join();
    BOOST_TEST(seen == 0);
    BOOST_TEST(variable.get() == 1);
  });
}

BOOST_AUTO_TEST_CASE(values_die_with_the_last_context_that_has_them) {
  const ContextVar<Counted> variable("variable");
  {
    const Context context;
    context.run([&] { (void)variable.set(Counted()); });
    const Context copy = context.copy();
    BOOST_TEST(Counted::alive == 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

// -- with the loop

BOOST_AUTO_TEST_CASE(rule_218_callbacks_and_timers_run_in_a_copy_of_the_context_of_their_making) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  std::vector<int> seen;
  const auto look = [&] {
    seen.push_back(variable.get());
    (void)variable.set(100);  // in its own copy
  };
  const Context context;
  context.run([&] {
    (void)variable.set(1);
    loop.call_soon(look);
    loop.call_soon_threadsafe(look);
    loop.call_later(0, look);
    (void)variable.set(2);
    loop.call_soon(look);
  });
  loop.call_soon(look);
  loop.pass();
  std::ranges::sort(seen);
  const std::vector<int> expected{0, 1, 1, 1, 2};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
  BOOST_TEST(context.run([&] { return variable.get(); }) == 2);
}

BOOST_AUTO_TEST_CASE(cv5_callbacks_and_timers_run_in_the_very_context_that_is_given) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const Context context;
  const auto count = [&] { (void)variable.set(variable.get() + 1); };
  loop.call_soon(CallbackOptions{.context = &context}, count);
  loop.call_soon_threadsafe(CallbackOptions{.context = &context}, count);
  loop.call_later(CallbackOptions{.context = &context}, 0, count);
  loop.call_at(CallbackOptions{.context = &context}, 0, count);
  loop.pass();
  BOOST_TEST(context.run([&] { return variable.get(); }) == 4);
}

BOOST_AUTO_TEST_CASE(rule_44_a_task_runs_in_a_copy_of_its_creators_context) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  std::vector<int> seen;
  const auto body = [&]() -> Coroutine<> {
    seen.push_back(variable.get());
    (void)variable.set(2);
    co_await asyncio::sleep(0);
    seen.push_back(variable.get());  // all steps in one context
    const auto nested = [&]() -> Coroutine<> {
      (void)variable.set(3);
      co_return;
    };
    co_await nested();
    seen.push_back(variable.get());  // a nested coroutine shares it
  };
  const Context context;
  std::optional<Task<>> task;
  context.run([&] {
    (void)variable.set(1);
    task = loop.create_task(body());
    (void)variable.set(50);
  });
  loop.run_until_complete(*task);
  const std::vector<int> expected{1, 2, 3};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
  BOOST_TEST(variable.get() == 0);
  BOOST_TEST(context.run([&] { return variable.get(); }) == 50);
  BOOST_TEST(task->get_context().run([&] { return variable.get(); }) == 3);
}

BOOST_AUTO_TEST_CASE(cv5_a_task_runs_in_the_very_context_that_is_given) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const Context context;
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(5);
    co_return;
  };
  const Task<> task = loop.create_task(body(), {.context = &context});
  BOOST_TEST((task.get_context() == context));
  loop.run_until_complete(task);
  BOOST_TEST(context.run([&] { return variable.get(); }) == 5);
}

BOOST_AUTO_TEST_CASE(cv5_tasks_that_are_given_one_context_share_it) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const auto sets = [&](int value) -> Coroutine<> {
    co_await asyncio::sleep(0);
    (void)variable.set(value);
  };
  const auto body = [&]() -> Coroutine<std::vector<int>> {
    const Context context = copy_context();
    std::vector<int> seen;
    const auto look = [&] { seen.push_back(context.run([&] { return variable.get(); })); };
    look();
    co_await asyncio::create_task(sets(1), {.context = &context});
    look();
    co_await loop.create_task(sets(2), {.context = &context});
    look();
    co_return seen;
  };
  const std::vector<int> expected{0, 1, 2};
  BOOST_TEST(loop.run(body) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_44_many_tasks_do_not_disturb_each_other) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", -1);
  int disturbed = 0;
  const auto child = [&](int number) -> Coroutine<> {
    for (int i = 0; i != 10; ++i) {
      (void)variable.set(number + i);
      co_await asyncio::sleep(0.001 * (1 + number * 7 % 50));
      if (variable.get() != number + i) ++disturbed;
    }
  };
  std::vector<Task<>> tasks;
  for (int number = 0; number != 100; ++number) tasks.push_back(loop.create_task(child(number)));
  (void)loop.run_until_complete(gather(tasks));
  BOOST_TEST(disturbed == 0);
  BOOST_TEST(variable.get() == -1);
}

BOOST_AUTO_TEST_CASE(rule_27_a_callback_of_what_a_task_waits_for_does_not_disturb_it) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const auto body = [&]() -> Coroutine<> {
    const Future<> future;
    future.add_done_callback([&] { (void)variable.set(100); });
    (void)variable.set(1);
    loop.call_soon([&] { future.set_result(); });
    co_await future;
    BOOST_TEST(variable.get() == 1);
    (void)variable.set(2);
    co_await asyncio::sleep(1);
    BOOST_TEST(variable.get() == 2);
  };
  loop.run(body);
  BOOST_TEST(variable.get() == 0);
}

BOOST_AUTO_TEST_CASE(tasks_that_a_task_makes_do_not_disturb_it) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const auto child = [&]() -> Coroutine<int> {
    const int inherited = variable.get();
    (void)variable.set(100);
    co_return inherited;
  };
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(1);
    const Task<int> task = loop.create_task(child());
    const int inherited = co_await task;
    BOOST_TEST(inherited == 1);
    BOOST_TEST(variable.get() == 1);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_51_an_eager_step_runs_in_the_tasks_context) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const auto child = [&]() -> Coroutine<> {
    (void)variable.set(variable.get() + 1);
    co_return;
  };
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(1);
    const Task<> task = loop.create_task(child(), {.eager_start = true});
    BOOST_TEST(task.done());
    BOOST_TEST(variable.get() == 1);
    BOOST_TEST(task.get_context().run([&] { return variable.get(); }) == 2);
    co_return;
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(rule_51_the_later_steps_of_an_eager_task_run_there_too) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  std::vector<int> seen;
  const auto child = [&]() -> Coroutine<> {
    seen.push_back(variable.get());
    (void)variable.set(2);
    co_await asyncio::sleep(1);
    seen.push_back(variable.get());
    (void)variable.set(3);
  };
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(1);
    const Task<> task = loop.create_task(child(), {.eager_start = true});
    BOOST_TEST(seen.size() == 1u);
    BOOST_TEST(variable.get() == 1);
    co_await task;
    BOOST_TEST(variable.get() == 1);
  };
  loop.run(body);
  const std::vector<int> expected{1, 2};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_program_without_variables_allocates_no_contexts) {
  VirtualLoop loop;
  const auto body = []() -> Coroutine<> { co_await asyncio::sleep(0); };
  const Handle handle = loop.call_soon([] {});
  const Task<> task = loop.create_task(body());
  loop.run_until_complete(task);
  BOOST_TEST(!handle.node()->context);
  BOOST_TEST(!task.state()->as_task()->context());
}

BOOST_AUTO_TEST_CASE(at_the_end_of_a_thread_its_context_is_empty) {
  static const ContextVar<std::shared_ptr<void>> name("name");
  static Trace trace;
  struct Looks {
    explicit Looks(std::string label) : label(std::move(label)) {}
    ~Looks() { trace.push_back(label + (name.get(nullptr) ? " sees it" : " sees nothing")); }
    std::string label;
  };
  std::thread([] {
    thread_local const Looks later("a destructor that comes later");
    (void)later.label;
    (void)name.set(std::make_shared<Looks>("its own value"));
  }).join();
  BOOST_TEST(joined(trace) == "its own value sees nothing a destructor that comes later sees nothing");
}

BOOST_AUTO_TEST_CASE(rule_3_a_value_that_goes_with_a_swept_timer_may_set_one) {
  struct Sets {
    explicit Sets(EventLoop& loop) : loop(loop) {}
    ~Sets() {
      for (int i = 0; i != 100; ++i) loop.call_later(1000, [] {});
    }
    EventLoop& loop;
  };
  EventLoop loop({.clock = Clock::virtual_time});
  const ContextVar<std::shared_ptr<Sets>> name("name");
  for (int i = 0; i != 101; ++i) {
    Context context;
    context.run([&] {
      (void)name.set(std::make_shared<Sets>(loop));
      loop.call_later(1000, [] {}).cancel();
    });
  }
  loop.stop();
  loop.run_forever();
  BOOST_TEST(loop.time().seconds() < 1000);
}

BOOST_AUTO_TEST_SUITE_END()
