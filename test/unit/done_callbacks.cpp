// SPDX-License-Identifier: BSL-1.0
//
// add_done_callback and remove_done_callback: surface FU10, FU11, rules 25-28.
#include <asyncio/futures.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

using namespace asyncio;
using namespace core_tests;

BOOST_AUTO_TEST_SUITE(done_callbacks_tests)

BOOST_AUTO_TEST_CASE(rule_25_completion_queues_the_callbacks_in_order_and_runs_none) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  for (const char* name : {"a", "b", "c"}) future.add_done_callback(Note{&trace, name});
  loop.call_soon([&] { trace.push_back("before"); });
  future.set_result();
  loop.call_soon([&] { trace.push_back("after"); });
  BOOST_TEST(trace.empty());
  loop.pass();
  BOOST_TEST(joined(trace) == "before a b c after");
  loop.pass();
  BOOST_TEST(trace.size() == 5u);
}

BOOST_AUTO_TEST_CASE(rule_25_every_way_of_completing_calls_them) {
  VirtualLoop loop;
  Trace trace;
  const Future<> result = loop.create_future();
  const Future<> exception = loop.create_future();
  const Future<> cancelled = loop.create_future();
  result.add_done_callback(Note{&trace, "result"});
  exception.add_done_callback(Note{&trace, "exception"});
  cancelled.add_done_callback(Note{&trace, "cancelled"});
  cancelled.cancel();
  result.set_result();
  exception.set_exception(ValueError());
  (void)exception.exception();
  loop.pass();
  BOOST_TEST(joined(trace) == "cancelled result exception");
}

BOOST_AUTO_TEST_CASE(rule_26_a_callback_added_to_a_done_future_queues_behind_the_others) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  future.add_done_callback([&](const AnyFuture&) {
    trace.push_back("a");
    future.add_done_callback(Note{&trace, "d"});
  });
  future.set_result();
  future.add_done_callback(Note{&trace, "b"});
  loop.call_soon([&] { trace.push_back("c"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "a b c");
  loop.pass();
  BOOST_TEST(joined(trace) == "a b c d");
}

BOOST_AUTO_TEST_CASE(fu10_a_callback_gets_the_future_or_nothing) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  int seen = 0;
  bool same = false;
  bool called = false;
  future.add_done_callback([&](const Future<int>& done) { seen = done.result(); });
  AnyFuture(future).add_done_callback([&](AnyFuture done) { same = done == future; });
  future.add_done_callback([&] { called = true; });
  future.set_result(5);
  loop.pass();
  BOOST_TEST(seen == 5);
  BOOST_TEST(same);
  BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(callbacks_die_when_they_ran_or_with_the_future) {
  VirtualLoop loop;
  {
    const Future<> done = loop.create_future();
    const Future<> pending = loop.create_future();
    done.add_done_callback([counted = Counted()] {});
    pending.add_done_callback([counted = Counted()] {});
    done.set_result();
    loop.pass();
    BOOST_TEST(Counted::alive == 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(queued_callbacks_keep_the_future_alive) {
  VirtualLoop loop;
  std::optional<Future<int>> future = loop.create_future<int>();
  int seen = 0;
  future->add_done_callback([&](const Future<int>& done) { seen = done.result(); });
  future->set_result(5);
  future.reset();
  loop.pass();
  BOOST_TEST(seen == 5);
}

BOOST_AUTO_TEST_CASE(rule_27_a_callback_runs_in_a_copy_of_the_context_of_its_registration) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  std::vector<int> seen;
  const Future<> future = loop.create_future();
  const Context other;
  other.run([&] {
    (void)variable.set(1);
    future.add_done_callback([&] { seen.push_back(variable.get()); });
    (void)variable.set(2);  // too late for that callback
    future.add_done_callback([&] {
      seen.push_back(variable.get());
      (void)variable.set(3);  // in its copy
    });
    future.add_done_callback([&] { seen.push_back(variable.get()); });
  });
  future.add_done_callback([&] { seen.push_back(variable.get()); });
  future.set_result();
  loop.pass();
  const std::vector<int> expected{1, 2, 2, 0};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_27_or_in_the_very_context_that_is_given) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const Context context;
  const Future<> future = loop.create_future();
  future.add_done_callback([&] { (void)variable.set(4); }, {.context = &context});
  future.set_result();
  loop.pass();
  BOOST_TEST(context.run([&] { return variable.get(); }) == 4);
}

namespace {
int plain_calls = 0;
void plain(const AnyFuture&) { ++plain_calls; }
void another(const AnyFuture&) { ++plain_calls; }
}  // namespace

BOOST_AUTO_TEST_CASE(rule_28_function_pointers_are_removed_by_equality) {
  VirtualLoop loop;
  plain_calls = 0;
  const Future<> future = loop.create_future();
  future.add_done_callback(plain);
  future.add_done_callback(&another);
  future.add_done_callback(&plain);
  BOOST_TEST(future.remove_done_callback(plain) == 2u);
  BOOST_TEST(future.remove_done_callback(&plain) == 0u);
  future.set_result();
  loop.pass();
  BOOST_TEST(plain_calls == 1);
}

BOOST_AUTO_TEST_CASE(rule_28_objects_are_removed_by_their_own_equality) {
  VirtualLoop loop;
  Trace trace;
  Trace elsewhere;
  const Future<> future = loop.create_future();
  for (const char* name : {"a", "b", "a", "c", "a"}) future.add_done_callback(Note{&trace, name});
  future.add_done_callback([&](const AnyFuture&) { trace.push_back("lambda"); });
  BOOST_TEST(future.remove_done_callback(Note{&elsewhere, "a"}) == 3u);
  BOOST_TEST(future.remove_done_callback(Note{&trace, "x"}) == 0u);
  BOOST_TEST(future.remove_done_callback(plain) == 0u);  // of another type
  future.add_done_callback(Note{&trace, "d"});
  future.set_result();
  loop.pass();
  BOOST_TEST(joined(trace) == "b c lambda d");
}

BOOST_AUTO_TEST_CASE(rule_28_the_last_callback_removed_leaves_a_good_list) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  future.add_done_callback(Note{&trace, "a"});
  future.add_done_callback(Note{&trace, "b"});
  BOOST_TEST(future.remove_done_callback(Note{&trace, "b"}) == 1u);
  future.add_done_callback(Note{&trace, "c"});
  future.set_result();
  loop.pass();
  BOOST_TEST(joined(trace) == "a c");
}

BOOST_AUTO_TEST_CASE(rule_28_what_was_removed_is_not_called_wherever_it_stood) {
  const struct {
    std::vector<std::string> removed;
    std::string called;
  } cases[] = {{{"a", "a"}, "b c"}, {{"a", "b", "a"}, "c"}, {{"b"}, "a c"}, {{"c", "c"}, "a b"}};
  for (const auto& each : cases) {
    VirtualLoop loop;
    Trace trace;
    const Future<> future = loop.create_future();
    for (const char* name : {"a", "b", "c"}) future.add_done_callback(Note{&trace, name});
    for (const std::string& name : each.removed) future.remove_done_callback(Note{&trace, name});
    future.set_result();
    loop.pass();
    BOOST_TEST(joined(trace) == each.called);
  }
}

BOOST_AUTO_TEST_CASE(rule_28_a_callback_that_is_queued_cannot_be_recalled) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  future.add_done_callback(Note{&trace, "a"});
  future.set_result();
  BOOST_TEST(future.remove_done_callback(Note{&trace, "a"}) == 0u);
  loop.pass();
  BOOST_TEST(joined(trace) == "a");
}

BOOST_AUTO_TEST_CASE(rule_28_nor_can_it_be_recalled_by_one_that_runs_before_it) {
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  std::size_t removed = 1;
  future.add_done_callback([&] { removed = future.remove_done_callback(Note{&trace, "a"}); });
  future.add_done_callback(Note{&trace, "a"});
  future.add_done_callback(Note{&trace, "a"});
  future.set_result();
  loop.pass();
  BOOST_TEST(removed == 0u);
  BOOST_TEST(joined(trace) == "a a");
}

BOOST_AUTO_TEST_CASE(rule_28_a_removed_callable_may_change_the_callbacks_when_it_is_destroyed) {
  struct Last {
    std::shared_ptr<void> at_end;
    void operator()() const {}
    bool operator==(const Last&) const { return true; }
  };
  VirtualLoop loop;
  Trace trace;
  const Future<> future = loop.create_future();
  std::size_t removed = 0;
  const auto change = [&](void*) {
    removed = future.remove_done_callback(Note{&trace, "a"});
    future.add_done_callback(Note{&trace, "c"});
  };
  future.add_done_callback(Note{&trace, "a"});
  future.add_done_callback(Last{std::shared_ptr<void>(nullptr, change)});
  future.add_done_callback(Note{&trace, "b"});
  BOOST_TEST(future.remove_done_callback(Last()) == 1u);
  BOOST_TEST(removed == 1u);
  future.set_result();
  loop.pass();
  BOOST_TEST(joined(trace) == "b c");
}

BOOST_AUTO_TEST_SUITE_END()
