// SPDX-License-Identifier: BSL-1.0
#include <optional>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

std::string kind(const Condition& condition) {
  const std::string text = to_string(condition);
  return text.substr(text.find('['));
}

/// Waits once, with the lock; notes its name when it goes on, and lets go of the lock.
Coroutine<> note(Condition condition, Lines& lines, std::string name) {
  const auto guard = co_await condition.scoped();
  std::exception_ptr error;
  try {
    co_await condition.wait();
  } catch (const CancelledError&) {
    error = std::current_exception();
  }
  BOOST_TEST(condition.locked());
  lines.push_back(error ? name + '!' + repr(error) : name);
  if (error) std::rethrow_exception(error);
}

/// Tasks a, b, c that wait, and the lock in our hands, to be released by hand.
struct Waiting {
  explicit Waiting(const char* names) {
    for (const char* name = names; *name; ++name)
      tasks.push_back(loop.create_task(note(condition, lines, std::string(1, *name))));
    loop.pass();
    loop.run_until_complete(condition.acquire());
  }
  void notify(std::size_t n = 1) { condition.notify(n); }
  void release() {
    condition.release();
    loop.pass(8);
  }

  Loop loop;
  Condition condition;
  Lines lines;
  std::vector<Task<>> tasks;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(condition_tests)

BOOST_AUTO_TEST_CASE(the_condition_is_its_lock) {
  Loop loop;
  const Condition condition;
  BOOST_TEST(!condition.locked());
  const Ending end = loop.run([&] { return ending(condition.acquire()); });
  BOOST_TEST(end.passes == 0u);
  BOOST_TEST(condition.locked());
  condition.release();
  BOOST_TEST(!condition.locked());
  BOOST_TEST(thrown_by([&] { condition.release(); }) == "RuntimeError('Lock is not acquired.')");
}

BOOST_AUTO_TEST_CASE(a_given_lock_is_shared) {
  Loop loop;
  const Lock lock;
  const Condition first(lock);
  const Condition second(lock);
  loop.run_until_complete(first.acquire());
  BOOST_TEST(lock.locked());
  BOOST_TEST(second.locked());
  lock.release();
  BOOST_TEST(!first.locked());
}

BOOST_AUTO_TEST_CASE(what_needs_the_lock_refuses_without_it) {
  Loop loop;
  const Condition condition;
  BOOST_TEST(loop.run([&] { return ending(condition.wait()); }).what() ==
             "RuntimeError('cannot wait on un-acquired lock')");
  BOOST_TEST(loop.run([&] { return ending(condition.wait_for([] { return false; })); }).what() ==
             "RuntimeError('cannot wait on un-acquired lock')");
  BOOST_TEST(loop.run_until_complete(condition.wait_for([] { return 3; })) == 3,
             "no wait, no lock");
  BOOST_TEST(thrown_by([&] { condition.notify(); }) ==
             "RuntimeError('cannot notify on un-acquired lock')");
  BOOST_TEST(thrown_by([&] { condition.notify_all(); }) ==
             "RuntimeError('cannot notify on un-acquired lock')");
}

BOOST_AUTO_TEST_CASE(a_notified_task_goes_on_one_pass_later_if_the_lock_is_free_rules_83_88) {
  Loop loop;
  const Condition condition;
  std::uint64_t woken = 0;
  const auto waits = [&]() -> Coroutine<> {
    const auto guard = co_await condition.scoped();
    const bool value = co_await condition.wait();
    BOOST_TEST(value);
    woken = get_running_loop().passes();
  };
  const auto task = loop.create_task(waits());
  loop.pass();
  BOOST_TEST(!condition.locked());
  std::uint64_t notified = 0;
  const auto notifies = [&]() -> Coroutine<> {
    const auto guard = co_await condition.scoped();
    condition.notify();
    notified = get_running_loop().passes();
  };
  loop.run(notifies);
  loop.pass();
  BOOST_TEST(woken == notified + 1);
  BOOST_TEST(task.done());
  BOOST_TEST(!condition.locked());
}

BOOST_AUTO_TEST_CASE(notify_keeps_the_lock_and_the_woken_stand_in_line_for_it_rule_89) {
  Waiting w("abc");
  BOOST_TEST(kind(w.condition) == "[locked, waiters:3]>");
  w.notify(2);
  w.loop.pass();
  BOOST_TEST(w.lines.empty());
  BOOST_TEST(kind(w.condition) == "[locked, waiters:1]>");
  w.release();
  BOOST_TEST(w.lines == Lines({"a", "b"}), boost::test_tools::per_element());
  BOOST_TEST(!w.condition.locked());
}

BOOST_AUTO_TEST_CASE(the_lock_goes_from_one_to_the_next_one_pass_after_each_release_rule_89) {
  Loop loop;
  const Condition condition;
  Lines lines;
  const auto keeps_the_lock = [&](std::string name) -> Coroutine<> {
    co_await condition.acquire();
    co_await condition.wait();
    lines.push_back(name);
  };
  std::vector<Task<>> tasks;
  for (const char* name : {"a", "b", "c"}) tasks.push_back(loop.create_task(keeps_the_lock(name)));
  loop.pass();
  loop.run_until_complete(condition.acquire());
  const std::vector<std::size_t> notified{1, 2, 0};
  for (std::size_t round = 0; round != notified.size(); ++round) {
    condition.notify(notified[round]);
    loop.pass();
    BOOST_TEST(lines.size() == round);
    condition.release();
    loop.pass(1);
    BOOST_TEST(lines.size() == round + 1);
    BOOST_TEST(condition.locked());
  }
  BOOST_TEST(lines == Lines({"a", "b", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(notify_counts_those_it_wakes_rule_89) {
  Waiting w("abcd");
  w.notify(0);
  w.tasks[1].cancel();
  w.notify();
  w.notify();
  w.release();
  // b was cancelled first, so it comes first; it may have been notified, so it notifies d.
  BOOST_TEST(w.lines == Lines({"b!CancelledError()", "a", "c", "d"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(notify_may_be_more_than_there_are) {
  Waiting w("ab");
  w.notify(7);
  w.release();
  BOOST_TEST(w.lines == Lines({"a", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(notify_all_wakes_all_who_wait_now) {
  Waiting w("abc");
  w.condition.notify_all();
  w.tasks.push_back(w.loop.create_task(note(w.condition, w.lines, "late")));
  w.release();
  BOOST_TEST(w.lines == Lines({"a", "b", "c"}), boost::test_tools::per_element());
  BOOST_TEST(kind(w.condition) == "[unlocked, waiters:1]>");
}

BOOST_AUTO_TEST_CASE(notify_all_of_nobody_is_harmless) {
  Waiting w("");
  w.condition.notify_all();
  w.release();
  BOOST_TEST(w.lines.empty());
}

BOOST_AUTO_TEST_CASE(a_cancelled_task_has_the_lock_before_it_throws_rule_88) {
  Waiting w("a");
  w.tasks[0].cancel("first");
  w.loop.pass();
  BOOST_TEST(w.lines.empty());
  BOOST_TEST(!w.tasks[0].done());
  w.release();
  BOOST_TEST(w.lines == Lines{"a!CancelledError('first')"}, boost::test_tools::per_element());
  BOOST_TEST(w.tasks[0].cancelled());
  BOOST_TEST(kind(w.condition) == "[unlocked]>");
}

BOOST_AUTO_TEST_CASE(a_task_cancelled_again_and_again_throws_the_last_one_rule_88) {
  Waiting w("a");
  for (const char* message : {"1", "2", "3"}) {
    w.tasks[0].cancel(message);
    w.loop.pass();
  }
  BOOST_TEST(w.lines.empty());
  w.release();
  BOOST_TEST(w.lines == Lines{"a!CancelledError('3')"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(notified_and_cancelled_passes_the_notification_on_rule_88) {
  Waiting w("abc");
  w.notify();
  w.tasks[0].cancel();
  w.release();
  BOOST_TEST(w.lines == Lines({"a!CancelledError()", "b"}), boost::test_tools::per_element());
  BOOST_TEST(kind(w.condition) == "[unlocked, waiters:1]>");
}

BOOST_AUTO_TEST_CASE(cancelled_while_it_waits_for_the_lock_passes_the_notification_on_rule_88) {
  Waiting w("abc");
  w.notify();
  w.loop.pass();
  w.tasks[0].cancel();
  w.loop.pass();
  BOOST_TEST(w.lines.empty());
  w.release();
  BOOST_TEST(w.lines == Lines({"a!CancelledError()", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(cancelled_when_the_lock_was_handed_over_passes_both_on_rules_85_88) {
  Waiting w("ab");
  w.notify(1);
  w.loop.pass();
  w.condition.release();
  w.tasks[0].cancel();
  w.loop.pass(8);
  BOOST_TEST(w.lines == Lines({"a!CancelledError()", "b"}), boost::test_tools::per_element());
  BOOST_TEST(!w.condition.locked());
}

BOOST_AUTO_TEST_CASE(cancelled_in_the_pass_of_the_release_it_has_the_lock_all_the_same_rule_88) {
  for (const bool cancel_first : {true, false}) {
    Waiting w("a");
    w.notify();
    w.loop.call_soon([&] { cancel_first ? (void)w.tasks[0].cancel() : w.condition.release(); });
    w.loop.call_soon([&] { cancel_first ? w.condition.release() : (void)w.tasks[0].cancel(); });
    w.loop.pass(8);
    BOOST_TEST(w.lines == Lines{"a!CancelledError()"}, boost::test_tools::per_element());
    BOOST_TEST(!w.condition.locked());
  }
}

BOOST_AUTO_TEST_CASE(wait_for_lets_the_cancelled_error_out_as_it_is_rule_88) {
  for (const bool notified : {false, true}) {
    Loop loop;
    const Condition condition;
    bool wake = false;
    std::exception_ptr raised;
    const auto waits = [&]() -> Coroutine<> {
      const auto guard = co_await condition.scoped();
      try {
        co_await condition.wait_for([&] { return wake; });
      } catch (const CancelledError&) {
        raised = std::current_exception();
        throw;
      }
    };
    const auto task = loop.create_task(waits());
    loop.pass();
    loop.run_until_complete(condition.acquire());
    if (notified) {
      wake = true;
      condition.notify();
      loop.pass();  // now it stands in line for the lock
    }
    task.cancel("foo");
    condition.release();
    const Ending end = loop.run([&] { return ending(task); });
    BOOST_TEST(end.what() == "CancelledError('foo')");
    BOOST_TEST((end.error == raised));
  }
}

BOOST_AUTO_TEST_CASE(works_in_wait_for) {
  Loop loop;
  const Condition condition;
  loop.run_until_complete(condition.acquire());
  const Ending end = loop.run([&] { return ending(asyncio::wait_for(condition.wait(), 1)); });
  BOOST_TEST(end.what() == "TimeoutError()");
  BOOST_TEST(kind(condition) == "[locked]>");
}

BOOST_AUTO_TEST_CASE(wait_for_does_not_wait_if_the_predicate_is_true_rule_90) {
  Loop loop;
  const Condition condition;
  const auto body = [&]() -> Coroutine<int> {
    const auto guard = co_await condition.scoped();
    const std::uint64_t before = get_running_loop().passes();
    const int value = co_await condition.wait_for([] { return 7; });
    BOOST_TEST(get_running_loop().passes() == before);
    co_return value;
  };
  BOOST_TEST(loop.run(body) == 7);
}

BOOST_AUTO_TEST_CASE(wait_for_looks_again_after_each_notification_with_the_lock_held_rule_90) {
  Loop loop;
  const Condition condition;
  int value = 0;
  int looks = 0;
  const auto waits = [&]() -> Coroutine<int> {
    const auto guard = co_await condition.scoped();
    const int result = co_await condition.wait_for([&] {
      BOOST_TEST(condition.locked());
      ++looks;
      return value > 1 ? value : 0;
    });
    BOOST_TEST(condition.locked());
    co_return result;
  };
  const auto task = loop.create_task(waits());
  for (int i = 0; i != 3; ++i) {
    loop.pass();
    BOOST_TEST(!task.done());
    loop.run_until_complete(condition.acquire());
    value = i;
    condition.notify();
    condition.release();
  }
  loop.pass();
  BOOST_TEST_REQUIRE(task.done());
  BOOST_TEST(task.result() == 2);
  BOOST_TEST(looks == 4);
  BOOST_TEST(!condition.locked());
}

BOOST_AUTO_TEST_CASE(wait_for_keeps_a_predicate_that_has_a_name) {
  Loop loop;
  const Condition condition;
  const Counted counted(3);
  const auto body = [&]() -> Coroutine<int> {
    const auto guard = co_await condition.scoped();
    const auto predicate = [counted] { return counted.value; };
    const int value = co_await condition.wait_for(predicate);
    co_return value;
  };
  BOOST_TEST(loop.run(body) == 3);
  BOOST_TEST(Counted::alive == 1);
}

BOOST_AUTO_TEST_CASE(what_the_predicate_throws_comes_out_with_the_lock_held) {
  Loop loop;
  const Condition condition;
  const auto body = [&]() -> Coroutine<> {
    co_await condition.acquire();
    co_await condition.wait_for([]() -> bool { throw ValueError("no"); });
  };
  BOOST_TEST(loop.run([&] { return ending(body()); }).what() == "ValueError('no')");
  BOOST_TEST(condition.locked());
}

BOOST_AUTO_TEST_CASE(the_first_loop_that_waits_is_the_only_one_rule_83) {
  const Condition condition;
  Loop loop;
  Lines lines;
  const auto task = loop.create_task(note(condition, lines, "a"));
  loop.pass();
  {
    Loop other;
    const auto body = [&]() -> Coroutine<> {
      co_await condition.acquire();
      co_await condition.wait();
    };
    const std::string error = other.run([&] { return ending(body()); }).what();
    BOOST_TEST(error.starts_with("RuntimeError('<asyncio.locks.Condition object at 0x"));
    BOOST_TEST(error.ends_with(" [locked, waiters:1]> is bound to a different event loop')"));
    BOOST_TEST(condition.locked());
    condition.notify();
    condition.release();
  }
  loop.pass();
  BOOST_TEST(task.done());
}

BOOST_AUTO_TEST_CASE(a_lock_of_another_loop_is_noticed_when_it_is_waited_for) {
  const Lock lock;
  Loop other;
  other.run_until_complete(lock.acquire());
  const auto holder = other.create_task(lock.acquire());
  other.pass();
  Loop loop;
  const Condition condition(lock);
  const auto task = loop.create_task(ending(condition.wait()));
  loop.pass();
  task.cancel();
  loop.pass();
  const std::string error = task.result().what();
  BOOST_TEST(error.starts_with("RuntimeError('<asyncio.locks.Lock object at 0x"));
  BOOST_TEST(error.ends_with(" is bound to a different event loop')"));
  BOOST_TEST(kind(condition) == "[unlocked]>");
  other.pass();
  BOOST_TEST(holder.done());
}

BOOST_AUTO_TEST_CASE(the_condition_lives_as_long_as_somebody_waits) {
  Loop loop;
  std::optional<Condition> condition(std::in_place);
  loop.run_until_complete(condition->acquire());
  auto wait = condition->wait();
  condition.reset();
  const auto task = loop.create_task(std::move(wait));
  loop.pass();
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(cancelled_or_destroyed_anywhere_nothing_is_left_behind) {
  std::optional<Condition> condition;
  cancel_everywhere([&](Loop& loop) -> Coroutine<> {
    const Counted local;
    condition.emplace();
    bool ready = false;
    const auto notifies = [&]() -> Coroutine<> {
      const auto guard = co_await condition->scoped();
      co_await asyncio::sleep(0);
      condition->notify();
      co_await asyncio::sleep(0);
      ready = true;
      condition->notify_all();
      co_await asyncio::sleep(0);
    };
    const auto guard = co_await condition->scoped();
    const std::vector<Task<>> others(1, loop.create_task(notifies()));
    std::exception_ptr error;
    try {
      co_await condition->wait_for([&] { return ready; });
    } catch (...) {
      error = std::current_exception();
    }
    BOOST_TEST(condition->locked());
    others[0].cancel();
    condition->release();
    while (!others[0].done()) {
      try {
        co_await asyncio::wait(others);
      } catch (const CancelledError&) {
        error = std::current_exception();
      }
    }
    co_await condition->acquire();
    if (error) std::rethrow_exception(error);
  });
}

BOOST_AUTO_TEST_CASE(the_condition_may_outlive_the_loop_in_which_tasks_wait) {
  const Condition condition;
  Lines lines;
  {
    Loop loop;
    (void)loop.create_task(note(condition, lines, "a"));
    (void)loop.create_task(note(condition, lines, "b"));
    loop.pass();
  }
  BOOST_TEST(lines.empty());
  BOOST_TEST(kind(condition) == "[unlocked]>");
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  Waiting w("ab");
  BOOST_TEST(to_string(w.condition).starts_with("<asyncio.locks.Condition object at 0x"));
  BOOST_TEST(kind(w.condition) == "[locked, waiters:2]>");
  w.condition.notify_all();
  w.release();
  BOOST_TEST(kind(w.condition) == "[unlocked]>");
}

BOOST_AUTO_TEST_SUITE_END()
