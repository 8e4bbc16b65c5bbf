// SPDX-License-Identifier: BSL-1.0
#include <optional>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

std::string kind(const Semaphore& semaphore) {
  const std::string text = to_string(semaphore);
  return text.substr(text.find('['));
}

Coroutine<> note(Semaphore semaphore, Lines& lines, std::string name) {
  co_await semaphore.acquire();
  lines.push_back(name);
}

/// Tasks a, b, c ... in line for a semaphore without units.
struct Waiting {
  explicit Waiting(const char* names) {
    for (const char* name = names; *name; ++name)
      tasks.push_back(loop.create_task(note(semaphore, lines, std::string(1, *name))));
    loop.pass();
  }

  Loop loop;
  Semaphore semaphore{0};
  Lines lines;
  std::vector<Task<>> tasks;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(semaphore_tests)

BOOST_AUTO_TEST_CASE(units_are_taken_without_yielding_while_there_are_some) {
  Loop loop;
  const Semaphore semaphore(2);
  for (int i = 0; i != 2; ++i) {
    BOOST_TEST(!semaphore.locked());
    const Ending end = loop.run([&] { return ending(semaphore.acquire()); });
    BOOST_TEST(end.passes == 0u);
    BOOST_TEST(end.what() == "None");
  }
  BOOST_TEST(semaphore.locked());
  semaphore.release();
  BOOST_TEST(!semaphore.locked());
}

BOOST_AUTO_TEST_CASE(there_is_one_unit_unless_said_otherwise) {
  BOOST_TEST(kind(Semaphore()) == "[unlocked, value:1]>");
  BOOST_TEST(kind(BoundedSemaphore()) == "[unlocked, value:1]>");
  BOOST_TEST(kind(Semaphore(0)) == "[locked]>");
}

BOOST_AUTO_TEST_CASE(a_negative_number_is_refused) {
  const std::string error = "ValueError('Semaphore initial value must be >= 0')";
  BOOST_TEST(thrown_by([] { Semaphore semaphore(-1); }) == error);
  BOOST_TEST(thrown_by([] { BoundedSemaphore semaphore(-1); }) == error);
}

BOOST_AUTO_TEST_CASE(
    release_gives_the_unit_to_the_first_in_line_who_goes_on_one_pass_later_rule_91) {
  Waiting w("ab");
  w.semaphore.release();
  BOOST_TEST(w.semaphore.locked());
  BOOST_TEST(w.lines.empty());
  w.loop.pass(1);
  BOOST_TEST(w.lines == Lines{"a"}, boost::test_tools::per_element());
  w.loop.pass();
  BOOST_TEST(w.lines.size() == 1u);
  BOOST_TEST(kind(w.semaphore) == "[locked, waiters:1]>");
}

BOOST_AUTO_TEST_CASE(release_may_add_to_the_units_there_were_at_the_start) {
  const Semaphore semaphore(1);
  semaphore.release();
  BOOST_TEST(kind(semaphore) == "[unlocked, value:2]>");
}

BOOST_AUTO_TEST_CASE(releases_before_anybody_runs_wake_as_many_in_order) {
  Waiting w("abc");
  w.semaphore.release();
  w.semaphore.release();
  w.loop.pass(1);
  BOOST_TEST(w.lines == Lines({"a", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(nobody_overtakes_those_in_line_rule_91) {
  Waiting w("a");
  w.semaphore.release();
  w.semaphore.release();  // one unit is free, and yet one must wait, for a has not run
  BOOST_TEST(kind(w.semaphore) == "[locked, waiters:1]>");
  w.tasks.push_back(w.loop.create_task(note(w.semaphore, w.lines, "b")));
  w.loop.pass();
  BOOST_TEST(w.lines == Lines({"a", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(after_a_wait_those_who_had_to_let_others_go_first_have_their_turn_rule_92) {
  Waiting w("");
  Lines passes;
  const auto acquire = [&](std::string name) -> Coroutine<> {
    co_await w.semaphore.acquire();
    passes.push_back(name + std::to_string(get_running_loop().passes()));
  };
  const auto a = w.loop.create_task(acquire("a"));
  w.loop.pass();
  const auto b = w.loop.create_task(acquire("b"));  // their first steps come ahead of a's
  const auto c = w.loop.create_task(acquire("c"));
  for (int i = 0; i != 3; ++i) w.semaphore.release();
  BOOST_TEST(kind(w.semaphore) == "[locked, waiters:1]>");
  const std::string next = std::to_string(w.loop.passes() + 1);
  const std::string last = std::to_string(w.loop.passes() + 2);
  w.loop.pass();
  BOOST_TEST(passes == Lines({'a' + next, 'b' + last, 'c' + last}),
             boost::test_tools::per_element());
  BOOST_TEST(kind(w.semaphore) == "[locked]>");
}

BOOST_AUTO_TEST_CASE(turns_go_round_in_the_order_of_arrival) {
  Loop loop;
  const Semaphore semaphore(1);
  Lines lines;
  const auto twice = [&](std::string name) -> Coroutine<> {
    for (const char* turn : {"1", "2"}) {
      const auto guard = co_await semaphore.scoped();
      lines.push_back(name + turn);
      co_await asyncio::sleep(1);
    }
  };
  loop.run([&]() -> Coroutine<> { co_await asyncio::gather(twice("a"), twice("b"), twice("c")); });
  BOOST_TEST(lines == Lines({"a1", "b1", "c1", "a2", "b2", "c2"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_who_comes_again_goes_behind_those_who_were_woken_rule_91) {
  Waiting w("");
  const auto again = [&]() -> Coroutine<> {
    co_await w.semaphore.acquire();
    w.lines.push_back("a");
    w.semaphore.release();
    co_await w.semaphore.acquire();
    w.lines.push_back("a again");
  };
  const auto a = w.loop.create_task(again());
  const auto b = w.loop.create_task(note(w.semaphore, w.lines, "b"));
  w.loop.pass();
  w.semaphore.release();
  w.semaphore.release();
  w.loop.pass();
  BOOST_TEST(w.lines == Lines({"a", "b", "a again"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(cancelled_tasks_leave_the_line) {
  struct Case {
    const char* names;
    std::size_t cancelled;  // so many of the first
    int releases;
    unsigned passes;  // between the cancellations and the releases
    Lines expected;
  };
  for (const Case& test : {Case{"ab", 1, 1, 0, {"b"}}, Case{"abcd", 2, 1, 0, {"c"}},
                           Case{"abc", 1, 2, 1, {"b", "c"}}}) {
    Waiting w(test.names);
    for (std::size_t i = 0; i != test.cancelled; ++i) w.tasks[i].cancel();
    BOOST_TEST(kind(w.semaphore) == "[locked, waiters:" + std::to_string(w.tasks.size()) + "]>");
    w.loop.pass(test.passes);
    for (int i = 0; i != test.releases; ++i) w.semaphore.release();
    w.loop.pass(2);
    BOOST_TEST(w.lines == test.expected, boost::test_tools::per_element());
    BOOST_TEST(w.tasks[test.cancelled - 1].cancelled());
    BOOST_TEST(w.semaphore.locked());
  }
}

BOOST_AUTO_TEST_CASE(the_cancelled_do_not_count_as_a_line_rule_91) {
  Waiting w("ab");
  w.tasks[0].cancel();
  w.tasks[1].cancel();
  w.semaphore.release();
  BOOST_TEST(!w.semaphore.locked());
  BOOST_TEST(kind(w.semaphore) == "[unlocked, value:1, waiters:2]>");
  const auto task = w.loop.create_task(note(w.semaphore, w.lines, "c"), {.eager_start = true});
  w.loop.pass();
  BOOST_TEST(w.lines == Lines{"c"}, boost::test_tools::per_element());
  BOOST_TEST(kind(w.semaphore) == "[locked]>");
}

BOOST_AUTO_TEST_CASE(a_task_cancelled_after_it_was_given_a_unit_gives_it_to_the_next_rule_92) {
  Waiting w("abc");
  w.semaphore.release();
  w.tasks[0].cancel();
  w.loop.pass(1);
  BOOST_TEST(w.lines.empty());
  w.loop.pass(1);
  BOOST_TEST(w.lines == Lines{"b"}, boost::test_tools::per_element());
  BOOST_TEST(w.tasks[0].cancelled());
  w.loop.pass();
  BOOST_TEST(kind(w.semaphore) == "[locked, waiters:1]>");
}

BOOST_AUTO_TEST_CASE(no_unit_is_lost_when_all_are_cancelled_rule_92) {
  Waiting w("abc");
  for (int i = 0; i != 3; ++i) w.semaphore.release();
  for (const auto& task : w.tasks) task.cancel();
  w.loop.pass();
  BOOST_TEST(w.lines.empty());
  BOOST_TEST(kind(w.semaphore) == "[unlocked, value:3]>");
}

BOOST_AUTO_TEST_CASE(a_bounded_semaphore_refuses_what_is_too_much_rule_93) {
  Loop loop;
  const BoundedSemaphore semaphore(1);
  const std::string error = "ValueError('BoundedSemaphore released too many times')";
  BOOST_TEST(thrown_by([&] { semaphore.release(); }) == error);
  loop.run_until_complete(semaphore.acquire());
  semaphore.release();
  BOOST_TEST(thrown_by([&] { semaphore.release(); }) == error);
  BOOST_TEST(kind(semaphore) == "[unlocked, value:1]>");
}

BOOST_AUTO_TEST_CASE(a_bounded_semaphore_is_a_semaphore) {
  const BoundedSemaphore bounded(1);
  const Semaphore semaphore = bounded;
  BOOST_TEST(thrown_by([&] { semaphore.release(); }) ==
             "ValueError('BoundedSemaphore released too many times')");
  BOOST_TEST(to_string(semaphore).starts_with("<asyncio.locks.BoundedSemaphore object at 0x"));
}

BOOST_AUTO_TEST_CASE(scoped_gives_back_at_the_end_of_the_scope) {
  Loop loop;
  const Semaphore semaphore(1);
  const auto body = [&](bool fails) -> Coroutine<> {
    const auto guard = co_await semaphore.scoped();
    BOOST_TEST(semaphore.locked());
    if (fails) throw ValueError("x");
  };
  loop.run([&] { return body(false); });
  BOOST_TEST(kind(semaphore) == "[unlocked, value:1]>");
  BOOST_TEST(loop.run([&] { return ending(body(true)); }).what() == "ValueError('x')");
  BOOST_TEST(kind(semaphore) == "[unlocked, value:1]>");
}

BOOST_AUTO_TEST_CASE(at_most_so_many_are_inside_at_a_time) {
  Loop loop;
  const Semaphore semaphore(3);
  int inside = 0;
  int most = 0;
  const auto worker = [&](int i) -> Coroutine<> {
    const auto guard = co_await semaphore.scoped();
    most = std::max(most, ++inside);
    co_await asyncio::sleep(1 + i % 3);
    --inside;
  };
  std::vector<Task<>> tasks;
  for (int i = 0; i != 20; ++i) tasks.push_back(loop.create_task(worker(i)));
  loop.run_until_complete(asyncio::gather(tasks));
  BOOST_TEST(most == 3);
  BOOST_TEST(kind(semaphore) == "[unlocked, value:3]>");
}

BOOST_AUTO_TEST_CASE(the_first_loop_that_waits_is_the_only_one_rule_83) {
  Waiting w("a");
  {
    Loop other;
    const std::string error = other.run([&] { return ending(w.semaphore.acquire()); }).what();
    BOOST_TEST(error.starts_with("RuntimeError('<asyncio.locks.Semaphore object at 0x"));
    BOOST_TEST(error.ends_with(" [locked, waiters:1]> is bound to a different event loop')"));
  }
  w.semaphore.release();
  w.loop.pass();
  BOOST_TEST(w.lines.size() == 1u);
}

BOOST_AUTO_TEST_CASE(works_in_wait_for) {
  Loop loop;
  const Semaphore semaphore(0);
  const Ending end = loop.run([&] { return ending(asyncio::wait_for(semaphore.acquire(), 1)); });
  BOOST_TEST(end.what() == "TimeoutError()");
  BOOST_TEST(kind(semaphore) == "[locked]>");
}

BOOST_AUTO_TEST_CASE(cancelled_or_destroyed_anywhere_nothing_is_left_behind) {
  std::optional<Semaphore> semaphore;
  cancel_everywhere([&](Loop& loop) -> Coroutine<> {
    const Counted local;
    semaphore.emplace(1);
    const auto guard = co_await semaphore->scoped();
    loop.call_soon([&] { semaphore->release(); });
    const auto second = co_await semaphore->scoped();
    const auto release = [&]() -> Coroutine<> {
      semaphore->release();
      co_return;
    };
    co_await asyncio::gather(release(), semaphore->acquire());
  });
}

BOOST_AUTO_TEST_CASE(the_semaphore_may_outlive_the_loop_in_which_tasks_wait) {
  std::optional<Waiting> w(std::in_place, "ab");
  const Semaphore semaphore = w->semaphore;
  semaphore.release();
  w.reset();
  BOOST_TEST(kind(semaphore).find("waiters") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
