// SPDX-License-Identifier: BSL-1.0
//
// What futures and tasks look like as text: Python's reprs, as CPython's own tests state them.
#include <asyncio/futures.hpp>

#include <asyncio/asyncio.hpp>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <tuple>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

namespace {

using namespace asyncio;
using namespace on_virtual_time;

struct Callback {
  void operator()(const AnyFuture&) const {}
};
struct Other {
  void operator()(const AnyFuture&) const {}
};
const std::string callback = "(anonymous namespace)::Callback()";
const std::string other = "(anonymous namespace)::Other()";

class Opaque {};

Coroutine<std::string> notmuch() { co_return "abc"; }
Generator<int> numbers() { co_yield 1; }

/// Without the addresses, which are different each time.
std::string ids_hidden(const std::string& text) {
  return std::regex_replace(text, std::regex("0x[0-9a-f]+"), "0x");
}
/// Without files and lines, either.
std::string shape(const AnyFuture& future) {
  return ids_hidden(
      std::regex_replace(to_string(future), std::regex("[^ ]*reprs\\.cpp:\\d+"), "HERE"));
}

template <class T>
std::string result_shown(T value) {
  Loop loop;
  const auto future = loop.create_future<T>();
  future.set_result(std::move(value));
  const std::string text = shape(future);
  constexpr std::string_view head = "<Future finished result=";
  BOOST_TEST(text.starts_with(head));
  return text.substr(head.size(), text.size() - head.size() - 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reprs_tests)

BOOST_AUTO_TEST_CASE(a_future_shows_its_state) {
  Loop loop;
  const Future<int> future = loop.create_future<int>();
  BOOST_TEST(to_string(future) == "<Future pending>");
  future.set_result(4);
  BOOST_TEST(to_string(future) == "<Future finished result=4>");
  const Future<int> failed = loop.create_future<int>();
  failed.set_exception(RuntimeError());
  BOOST_TEST(to_string(failed) == "<Future finished exception=RuntimeError()>");
  (void)failed.exception();
  BOOST_TEST(to_string(AnyFuture()) == "None");
}

BOOST_AUTO_TEST_CASE(looking_at_the_text_does_not_retrieve_the_exception) {
  Loop loop;
  {
    const Future<int> failed = loop.create_future<int>();
    failed.set_exception(ValueError("x"));
    (void)to_string(failed);
  }
  BOOST_TEST(loop.reports() == Lines{"Future exception was never retrieved: ValueError('x')"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_future_shows_the_first_and_the_last_callback) {
  Loop loop;
  const Future<> future = loop.create_future();
  future.add_done_callback(Callback());
  BOOST_TEST(to_string(future) == "<Future pending cb=[" + callback + "]>");
  future.add_done_callback(Other());
  BOOST_TEST(to_string(future) == "<Future pending cb=[" + callback + ", " + other + "]>");
  for (int i = 0; i < 7; ++i) future.add_done_callback(Other());
  future.add_done_callback(Callback());
  BOOST_TEST(to_string(future) ==
             "<Future pending cb=[" + callback + ", <8 more>, " + callback + "]>");
  future.cancel();
  BOOST_TEST(to_string(future) == "<Future cancelled>");
}

BOOST_AUTO_TEST_CASE(results_are_shown_as_python_shows_them) {
  BOOST_TEST(result_shown(std::string("text")) == "'text'");
  BOOST_TEST(result_shown(true) == "True");
  BOOST_TEST(result_shown(2.5) == "2.5");
  BOOST_TEST(result_shown(asyncio::NoneType()) == "None");
  BOOST_TEST(result_shown(std::optional<int>()) == "None");
  BOOST_TEST(result_shown(std::optional<int>(3)) == "3");
  BOOST_TEST(result_shown(std::pair(1, std::string("a"))) == "(1, 'a')");
  BOOST_TEST(result_shown(std::tuple(1)) == "(1,)");
  BOOST_TEST(result_shown(std::map<int, std::string>{{1, "a"}, {2, "b"}}) == "{1: 'a', 2: 'b'}");
  BOOST_TEST(result_shown(std::map<int, int>()) == "{}");
  BOOST_TEST(result_shown(std::set<int>{1, 2}) == "{1, 2}");
  BOOST_TEST(result_shown(std::set<int>()) == "set()");
  BOOST_TEST(result_shown(std::vector<bool>{true, false}) == "[True, False]");
  BOOST_TEST(result_shown(Opaque()).starts_with("<Opaque objec..."));
}

BOOST_AUTO_TEST_CASE(long_results_are_abbreviated) {
  BOOST_TEST(result_shown(std::string(50, 'a')) == "'aaaaaaaaaaaa...aaaaaaaaaaaaa'");
  BOOST_TEST(result_shown(std::vector<int>(7, 1)) == "[1, 1, 1, 1, 1, 1, ...]");
  BOOST_TEST(result_shown(std::tuple(1, 2, 3, 4, 5, 6)) == "(1, 2, 3, 4, 5, 6)");
  BOOST_TEST(result_shown(std::tuple(1, 2, 3, 4, 5, 6, 7, 8)) == "(1, 2, 3, 4, 5, 6, ...)");
  BOOST_TEST(result_shown(std::map<int, int>{{1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}}) ==
             "{1: 1, 2: 2, 3: 3, 4: 4, ...}");
  BOOST_TEST(result_shown(std::set<int>{1, 2, 3, 4, 5, 6, 7}) == "{1, 2, 3, 4, 5, 6, ...}");
  std::string umlauts;
  for (int i = 0; i != 28; ++i) umlauts += "\u00e4";
  BOOST_TEST(result_shown(umlauts) == "'" + umlauts + "'");  // 30 characters
  BOOST_TEST(result_shown(umlauts + "b") ==
             "'" + umlauts.substr(0, 24) + "..." + umlauts.substr(0, 24) + "b'");
}

BOOST_AUTO_TEST_CASE(a_task_shows_its_name_coroutine_and_state) {
  Loop loop;
  const auto task = loop.create_task(notmuch(), {.name = "TestTask"});
  task.add_done_callback(Callback());
  BOOST_TEST(shape(task) == "<Task pending name='TestTask' coro=<notmuch() running at HERE> cb=[" +
                                callback + "]>");
  task.cancel();
  BOOST_TEST(shape(task) ==
             "<Task cancelling name='TestTask' coro=<notmuch() running at HERE> cb=[" + callback +
                 "]>");
  loop.pass();
  BOOST_TEST(shape(task) ==
             "<Task cancelled name='TestTask' coro=<notmuch() done, defined at HERE>>");
  const auto finished = loop.create_task(notmuch(), {.name = "TestTask"});
  loop.pass();
  BOOST_TEST(shape(finished) ==
             "<Task finished name='TestTask' coro=<notmuch() done, defined at HERE> result='abc'>");
}

BOOST_AUTO_TEST_CASE(a_task_made_of_a_function_shows_the_coroutine_that_this_makes) {
  Loop loop;
  const auto task = loop.create_task([]() -> Coroutine<> { co_await asyncio::sleep(1); });
  loop.pass(1);
  BOOST_TEST(to_string(task).find("lambda") != std::string::npos, to_string(task));
  BOOST_TEST(to_string(task).find(" running at " + task.get_stack().at(0).file) !=
             std::string::npos);
  BOOST_TEST(task.get_stack().at(0).file.ends_with("reprs.cpp"));
}

BOOST_AUTO_TEST_CASE(a_task_without_a_name_shows_its_number) {
  Loop loop;
  const auto number = [](const AnyFuture& task) {
    const std::string text = to_string(task);
    constexpr std::string_view head = "<Task pending name='Task-";
    BOOST_TEST(text.starts_with(head));
    return std::stoi(text.substr(head.size()));
  };
  const auto first = loop.create_task(notmuch());
  const auto second = loop.create_task(notmuch());
  BOOST_TEST(number(second) > number(first));
  loop.pass();
}

BOOST_AUTO_TEST_CASE(a_task_shows_what_it_waits_for) {
  Loop loop;
  const Future<> future = loop.create_future();
  const auto task = loop.create_task(waits(future));
  loop.pass(1);
  BOOST_TEST(shape(task).ends_with(" wait_for=<Future pending cb=[Task.task_wakeup()]>>"));
  task.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(a_text_that_comes_to_itself_again_has_an_end) {
  Loop loop;
  using Tasks = std::vector<AnyTask>;
  const auto all = []() -> Coroutine<Tasks> {
    Tasks tasks = all_tasks();
    co_return tasks;
  };
  const auto task = loop.create_task(all(), {.name = "t"});
  loop.pass();
  BOOST_TEST(shape(task).ends_with(" result=[...]>"));
  task.typed_state().result().clear();  // the cycle would keep the task for ever
}

BOOST_AUTO_TEST_CASE(coroutines_and_generators_show_their_function) {
  auto coroutine = notmuch();
  BOOST_TEST(ids_hidden(to_string(coroutine)) == "<coroutine object notmuch at 0x>");
  coroutine.close();
  BOOST_TEST(to_string(coroutine) == "<coroutine object closed>");
  Loop loop;
  auto generator = numbers();
  BOOST_TEST(ids_hidden(to_string(generator)) == "<async_generator object numbers at 0x>");
  loop.run([&]() -> Coroutine<> {
    while (const auto number = co_await generator.next()) BOOST_TEST(*number == 1);
  });
  BOOST_TEST(to_string(generator) == "<async_generator object closed>");
}

BOOST_AUTO_TEST_CASE(context_variables_and_tokens_show_their_names) {
  const ContextVar<int> plain("plain");
  const ContextVar<int> with_default("with_default", 5);
  BOOST_TEST(ids_hidden(to_string(plain)) == "<ContextVar name='plain' at 0x>");
  BOOST_TEST(ids_hidden(to_string(with_default)) ==
             "<ContextVar name='with_default' default=5 at 0x>");
  const Context context;
  context.run([&] {
    auto token = plain.set(1);
    BOOST_TEST(ids_hidden(to_string(token)) ==
               "<Token var=<ContextVar name='plain' at 0x> at 0x>");
    plain.reset(token);
    BOOST_TEST(ids_hidden(to_string(token)) ==
               "<Token used var=<ContextVar name='plain' at 0x> at 0x>");
  });
  BOOST_TEST(ids_hidden(to_string(context)) == "<Context object at 0x>");
}

BOOST_AUTO_TEST_CASE(values_that_look_like_something_else) {
  const char* const nobody = nullptr;
  BOOST_TEST(detail::repr_value(std::filesystem::path("/srv/a")) == "'/srv/a'");
  BOOST_TEST(detail::repr_value(nobody) == "None");
  const Result<int> failed(std::make_exception_ptr(ValueError("boom")));
  BOOST_TEST(detail::repr_value(std::tuple(Result<int>(1), failed)) == "(1, ValueError('boom'))");
}

BOOST_AUTO_TEST_SUITE_END()
