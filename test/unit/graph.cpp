// SPDX-License-Identifier: BSL-1.0
//
// Call graphs and stacks: surface A25, TA12, TA13.
#include <asyncio/graph.hpp>

#include <asyncio/taskgroups.hpp>
#include <asyncio/wait.hpp>
#include <regex>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

namespace {

using namespace asyncio;
using namespace on_virtual_time;

constexpr unsigned here(std::source_location where = std::source_location::current()) {
  return where.line();
}

unsigned innermost_line = 0;
Coroutine<> innermost(Future<> future) {
  innermost_line = here() + 1;
  co_await future;
}
unsigned middle_line = 0;
Coroutine<> middle(Future<> future) {
  middle_line = here() + 1;
  co_await innermost(future);
}

/// Without the addresses, which are different each time.
std::string without_ids(const std::string& text) {
  return std::regex_replace(text, std::regex("id=0x[0-9a-f]+"), "id=0x");
}
/// Without the directory of this file.
std::string short_files(const std::string& text) {
  return std::regex_replace(text, std::regex("[^ '\"<]*graph\\.cpp"), "graph.cpp");
}
std::string line(unsigned number) { return std::to_string(number); }

/// What the body, which is the only task, finds out while it runs.
template <class Body>
void run(Body body) {
  Loop loop;
  loop.run_until_complete(loop.create_task(body(loop), {.name = "main"}));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(graph_tests)

BOOST_AUTO_TEST_CASE(in1_a_suspended_task_shows_its_calls_the_innermost_first) {
  Loop loop;
  const Future<> future = loop.create_future();
  const Task<> task = loop.create_task(middle(future), {.name = "worker"});
  loop.pass(1);
  const FutureCallGraph graph = capture_call_graph(task);
  BOOST_TEST((graph.future == task));
  BOOST_REQUIRE(graph.call_stack.size() == 2u);
  BOOST_TEST(graph.call_stack[0].frame.function == "innermost");
  BOOST_TEST(graph.call_stack[0].frame.line == innermost_line);
  BOOST_TEST(graph.call_stack[0].frame.file.ends_with("graph.cpp"));
  BOOST_TEST(graph.call_stack[0].is_async);
  BOOST_TEST(graph.call_stack[1].frame.function == "middle");
  BOOST_TEST(graph.call_stack[1].frame.line == middle_line);
  BOOST_TEST(graph.awaited_by.empty());
  task.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(in1_a_future_shows_who_awaits_it) {
  Loop loop;
  const Future<> future = loop.create_future();
  const Task<> task = loop.create_task(middle(future), {.name = "worker"});
  loop.pass(1);
  const FutureCallGraph graph = capture_call_graph(future);
  BOOST_TEST(graph.call_stack.empty());
  BOOST_REQUIRE(graph.awaited_by.size() == 1u);
  BOOST_TEST((graph.awaited_by[0].future == task));
  BOOST_TEST(graph.awaited_by[0].call_stack.size() == 2u);
  task.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(in1_the_limit_keeps_the_outermost_or_the_innermost) {
  Loop loop;
  const Task<> task = loop.create_task(middle(loop.create_future()));
  loop.pass(1);
  const auto functions = [&](int limit) {
    Lines names;
    for (const auto& entry : capture_call_graph(task, {.limit = limit}).call_stack)
      names.push_back(entry.frame.function);
    return names;
  };
  BOOST_TEST(functions(1) == Lines{"middle"});
  BOOST_TEST(functions(-1) == Lines{"innermost"});
  BOOST_TEST(functions(0) == Lines());
  BOOST_TEST((functions(5) == Lines{"innermost", "middle"}));
  task.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(in1_the_current_task_shows_the_line_that_asks) {
  run([](Loop&) -> Coroutine<> {
    const unsigned asked = here() + 1;
    const auto graph = capture_call_graph();
    BOOST_REQUIRE(graph.has_value());
    BOOST_TEST((graph->future == current_task()));
    BOOST_REQUIRE(graph->call_stack.size() == 1u);
    BOOST_TEST(graph->call_stack[0].is_async);
    BOOST_TEST(graph->call_stack[0].frame.line == asked);
    co_await asyncio::sleep(0);
  });
}

BOOST_AUTO_TEST_CASE(in1_a_function_that_asks_is_in_the_stack_unless_the_depth_leaves_it_out) {
  run([](Loop&) -> Coroutine<> {
    struct Helper {
      static std::optional<FutureCallGraph> ask(int depth) {
        return capture_call_graph({.depth = depth});
      }
    };
    co_await asyncio::sleep(0);
    const auto whole = Helper::ask(1);
    BOOST_REQUIRE(whole->call_stack.size() == 2u);
    BOOST_TEST(!whole->call_stack[0].is_async);
    BOOST_TEST(whole->call_stack[0].frame.function.ends_with("ask"));
    BOOST_TEST(whole->call_stack[1].is_async);
    const auto shorter = Helper::ask(2);
    BOOST_REQUIRE(shorter->call_stack.size() == 1u);
    BOOST_TEST(shorter->call_stack[0].is_async);
  });
}

BOOST_AUTO_TEST_CASE(in1_without_a_current_task_there_is_no_graph) {
  Loop loop;
  bool asked = false;
  loop.call_soon([&] {
    asked = true;
    BOOST_TEST(!capture_call_graph().has_value());
    BOOST_TEST(format_call_graph() == "");
  });
  loop.pass(1);
  BOOST_TEST(asked);
}

BOOST_AUTO_TEST_CASE(in1_outside_of_a_loop_a_future_must_be_given) {
  BOOST_CHECK_EXCEPTION((void)capture_call_graph(), RuntimeError, [](const RuntimeError& error) {
    return std::string(error.what()) ==
           "capture_call_graph() is called outside of a running event loop and no *future* to "
           "introspect was provided";
  });
}

BOOST_AUTO_TEST_CASE(in2_the_text_is_that_of_python) {
  Loop loop;
  const Future<> future = loop.create_future();
  const Task<> inner = loop.create_task(middle(future), {.name = "inner"});
  const Task<> outer = loop.create_task(waits(inner), {.name = "outer"});
  loop.pass(2);
  const std::string waits_line = line(outer.get_stack().back().line);
  const std::string waits_file = outer.get_stack().back().file;
  BOOST_TEST(short_files(without_ids(format_call_graph(inner))) ==
             "* Task(name='inner', id=0x)\n"
             "  + Call stack:\n"
             "  |   File 'graph.cpp', line " + line(innermost_line) + ", in async innermost()\n"
             "  |   File 'graph.cpp', line " + line(middle_line) + ", in async middle()\n"
             "  + Awaited by:\n"
             "    * Task(name='outer', id=0x)\n"
             "      + Call stack:\n"
             "      |   File '" + waits_file + "', line " + waits_line +
             ", in async on_virtual_time::waits()");
  BOOST_TEST(without_ids(format_call_graph(future, {.limit = 0})) ==
             "* Future(id=0x)\n"
             "  + Awaited by:\n"
             "    * Task(name='inner', id=0x)\n"
             "      + Awaited by:\n"
             "        * Task(name='outer', id=0x)");
  outer.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(in3_printing_ends_the_line) {
  Loop loop;
  const Future<> future = loop.create_future();
  std::ostringstream out;
  print_call_graph(future, {}, &out);
  BOOST_TEST(without_ids(out.str()) == "* Future(id=0x)\n");
}

BOOST_AUTO_TEST_CASE(who_waits_is_known_of_gather_wait_shield_and_groups) {
  Loop loop;
  const Future<> one = loop.create_future();
  const Future<> two = loop.create_future();
  const Future<> three = loop.create_future();
  const Future<> four = loop.create_future();
  const auto awaiters = [](const AnyFuture& future) {
    Lines names;
    for (const std::string& text : {without_ids(format_call_graph(future, {.limit = 0}))})
      names.push_back(text);
    return names.front();
  };
  const auto gathers = [&]() -> Coroutine<> { co_await asyncio::gather(one); };
  const auto waits_for_two = [&]() -> Coroutine<> {
    co_await asyncio::wait(std::vector<Future<>>(1, two));
  };
  const auto shields = [&]() -> Coroutine<> { co_await asyncio::shield(three); };
  const auto groups = [&]() -> Coroutine<> {
    co_await task_group([&](TaskGroup& group) -> Coroutine<> {
      (void)group.create_task(waits(four), {.name = "child"});
      co_return;
    });
  };
  const std::vector<Task<>> tasks{loop.create_task(gathers(), {.name = "gathers"}),
                                  loop.create_task(waits_for_two(), {.name = "waits"}),
                                  loop.create_task(shields(), {.name = "shields"}),
                                  loop.create_task(groups(), {.name = "groups"})};
  loop.pass(3);
  const std::string future = "* Future(id=0x)\n  + Awaited by:\n";
  BOOST_TEST(awaiters(one) == future +
                                  "    * Future(id=0x)\n      + Awaited by:\n"
                                  "        * Task(name='gathers', id=0x)");
  BOOST_TEST(awaiters(two) == future + "    * Task(name='waits', id=0x)");
  BOOST_TEST(awaiters(three) == future +
                                    "    * Future(id=0x)\n      + Awaited by:\n"
                                    "        * Task(name='shields', id=0x)");
  BOOST_TEST(awaiters(four) == future +
                                   "    * Task(name='child', id=0x)\n      + Awaited by:\n"
                                   "        * Task(name='groups', id=0x)");
  for (const Task<>& task : tasks) task.cancel();
  loop.pass(5);
}

BOOST_AUTO_TEST_CASE(in6_in7_edges_of_ones_own_are_shown_until_they_are_discarded) {
  Loop loop;
  const Future<> future = loop.create_future();
  Future<> awaiter = loop.create_future();
  future_add_to_awaited_by(future, awaiter);
  BOOST_REQUIRE(capture_call_graph(future).awaited_by.size() == 1u);
  BOOST_TEST((capture_call_graph(future).awaited_by[0].future == awaiter));
  future_discard_from_awaited_by(future, awaiter);
  BOOST_TEST(capture_call_graph(future).awaited_by.empty());
  future_add_to_awaited_by(future, awaiter);
  awaiter = loop.create_future();  // the former one is gone
  BOOST_TEST(capture_call_graph(future).awaited_by.empty());
}

BOOST_AUTO_TEST_CASE(tasks_that_wait_for_each_other_are_shown_once) {
  Loop loop;
  std::optional<Task<>> first;
  const auto waits_for_first = [&]() -> Coroutine<> { co_await *first; };
  const Task<> second = loop.create_task(waits_for_first(), {.name = "second"});
  first = loop.create_task(waits(second), {.name = "first"});
  loop.pass(2);
  BOOST_TEST(without_ids(format_call_graph(second, {.limit = 0})) ==
             "* Task(name='second', id=0x)\n  + Awaited by:\n    * Task(name='first', id=0x)");
  BOOST_TEST(to_string(second).find("wait_for=...") != std::string::npos);
  BOOST_CHECK_EXCEPTION(second.cancel(), RuntimeError, [](const RuntimeError& error) {
    return std::string(error.what()).starts_with("maximum recursion depth exceeded");
  });
}

BOOST_AUTO_TEST_CASE(ta12_the_stack_is_the_oldest_call_first) {
  Loop loop;
  const Task<> task = loop.create_task(middle(loop.create_future()));
  loop.pass(1);
  const std::vector<StackFrame> stack = task.get_stack();
  BOOST_REQUIRE(stack.size() == 2u);
  BOOST_TEST(stack[0].function == "middle");
  BOOST_TEST(stack[0].line == middle_line);
  BOOST_TEST(stack[1].function == "innermost");
  BOOST_REQUIRE(task.get_stack(1).size() == 1u);
  BOOST_TEST(task.get_stack(1)[0].function == "innermost");
  task.cancel();
  loop.pass();
  BOOST_TEST(task.get_stack().empty());
}

BOOST_AUTO_TEST_CASE(ta13_the_stack_is_printed_with_the_source_lines) {
  Loop loop;
  const Task<> task = loop.create_task(middle(loop.create_future()));
  loop.pass(1);
  std::ostringstream out;
  task.print_stack({}, &out);
  BOOST_TEST(short_files(out.str()) ==
             "Stack for " + short_files(to_string(task)) + " (most recent call last):\n" +
                 "  File \"graph.cpp\", line " + line(middle_line) + ", in middle\n" +
                 "    co_await innermost(future);\n" +
                 "  File \"graph.cpp\", line " + line(innermost_line) + ", in innermost\n" +
                 "    co_await future;\n");
  task.cancel();
  loop.pass();
}

BOOST_AUTO_TEST_CASE(ta13_without_a_stack_that_is_said_and_the_exception_follows) {
  Loop loop;
  const Task<int> good = loop.create_task(returns(1));
  const Task<int> bad = loop.create_task(fails("x"));
  loop.pass();
  std::ostringstream out;
  good.print_stack({}, &out);
  BOOST_TEST(out.str() == "No stack for " + to_string(good) + '\n');
  out.str("");
  bad.print_stack({}, &out);
  BOOST_TEST(out.str() == "No stack for " + to_string(bad) + "\nValueError: x\n");
  BOOST_TEST(repr(bad.exception()) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(futures_of_different_loops_do_not_show_who_waits) {
  Loop loop;
  const Future<> future = loop.create_future();
  {
    Loop other;
    future_add_to_awaited_by(future, other.create_future());
  }
  BOOST_TEST(capture_call_graph(future).awaited_by.empty());
}

BOOST_AUTO_TEST_SUITE_END()
