// SPDX-License-Identifier: BSL-1.0
#include <optional>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

std::string kind(const Barrier& barrier) {
  const std::string text = to_string(barrier);
  return text.substr(text.find('['));
}

/// Tasks that come to a barrier, and what they got there, in the order in which they went on.
struct Round {
  explicit Round(int parties) : barrier(parties) {}

  Coroutine<> visit(std::string name) {
    std::exception_ptr error;
    int index = -1;
    try {
      index = co_await barrier.wait();
    } catch (...) {
      error = std::current_exception();
    }
    lines.push_back(name + (error ? '!' + repr(error) : std::to_string(index)));
    passes.push_back(get_running_loop().passes());
    if (error && is_cancelled_error(error)) std::rethrow_exception(error);
  }
  Task<> come(std::string name) { return loop.create_task(visit(std::move(name))); }
  /// So many of them, each named by a letter.
  void come_all(const char* names) {
    while (*names) tasks.push_back(come(std::string(1, *names++)));
    loop.pass();
  }

  Loop loop;
  Barrier barrier;
  Lines lines;
  std::vector<std::uint64_t> passes;
  std::vector<Task<>> tasks;
};

/// The index, or -1 if the barrier broke.
Coroutine<int> try_wait(Barrier barrier) {
  int index = -1;
  try {
    index = co_await barrier.wait();
  } catch (const BrokenBarrierError&) {
  }
  co_return index;
}

/// Runs five tasks of one kind to their end.
template <class Visitor>
void run_five(Loop& loop, Visitor visitor) {
  std::vector<Task<>> tasks;
  for (int i = 0; i != 5; ++i) tasks.push_back(loop.create_task(visitor()));
  loop.run_until_complete(asyncio::gather(tasks));
}

const std::string broken = "!BrokenBarrierError('Abort or reset of barrier')";
const std::string aborted = "!BrokenBarrierError('Barrier aborted')";

}  // namespace

BOOST_AUTO_TEST_SUITE(barrier_tests)

BOOST_AUTO_TEST_CASE(there_must_be_a_party) {
  BOOST_TEST(thrown_by([] { Barrier barrier(0); }) == "ValueError('parties must be > 0')");
  BOOST_TEST(thrown_by([] { Barrier barrier(-1); }) == "ValueError('parties must be > 0')");
  BOOST_TEST(Barrier(5).parties() == 5);
}

BOOST_AUTO_TEST_CASE(a_barrier_of_one_never_yields) {
  Loop loop;
  const Barrier barrier(1);
  for (int i = 0; i != 2; ++i) {
    const Ending end = loop.run([&] { return ending(barrier.wait()); });
    BOOST_TEST(end.passes == 0u);
    BOOST_TEST(end.what() == "None");
    BOOST_TEST(loop.run_until_complete(barrier.wait()) == 0);
    BOOST_TEST(kind(barrier) == "[filling, waiters:0/1]>");
  }
}

BOOST_AUTO_TEST_CASE(the_last_goes_on_at_once_the_others_one_pass_later_rule_94) {
  Round r(3);
  r.come_all("ab");
  BOOST_TEST(r.lines.empty());
  BOOST_TEST(r.barrier.n_waiting() == 2);
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:2/3]>");
  const Ending end = r.loop.run([&] { return ending(r.visit("c")); });
  BOOST_TEST(end.passes == 0u);
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"c2", "a0", "b1"}), boost::test_tools::per_element());
  BOOST_TEST(r.passes[1] == r.passes[0] + 1);
  BOOST_TEST(r.passes[2] == r.passes[0] + 1);
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:0/3]>");
}

BOOST_AUTO_TEST_CASE(a_barrier_is_used_again_and_again) {
  Round r(2);
  for (int i = 0; i != 3; ++i) {
    r.lines.clear();
    r.come_all("ab");
    BOOST_TEST(r.lines == Lines({"b1", "a0"}), boost::test_tools::per_element());
    BOOST_TEST(!r.barrier.broken());
  }
}

BOOST_AUTO_TEST_CASE(those_in_a_loop_meet_themselves_again) {
  Round r(3);
  int meetings = 0;
  const auto visitor = [&]() -> Coroutine<> {
    for (int i = 0; i != 5; ++i) {
      const int index = co_await r.barrier.wait();
      if (index == 0) ++meetings;
    }
  };
  std::vector<Task<>> tasks;
  for (int i = 0; i != 3; ++i) tasks.push_back(r.loop.create_task(visitor()));
  r.loop.run_until_complete(asyncio::gather(tasks));
  BOOST_TEST(meetings == 5);
}

BOOST_AUTO_TEST_CASE(the_last_to_leave_finds_it_filling_again) {
  Loop loop;
  const Barrier barrier(5);
  Lines kinds;
  run_five(loop, [&]() -> Coroutine<> {
    co_await barrier.wait();
    kinds.push_back(kind(barrier));
  });
  Lines expected(4, "[draining, waiters:0/5]>");
  expected.push_back("[filling, waiters:0/5]>");
  BOOST_TEST(kinds == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(newcomers_wait_while_the_last_round_drains_rule_94) {
  Round r(2);
  r.come_all("a");
  const auto b = r.come("b");
  const auto c = r.come("c");
  const auto d = r.come("d");
  r.loop.pass(1);
  BOOST_TEST(r.lines == Lines{"b1"}, boost::test_tools::per_element());
  BOOST_TEST(kind(r.barrier) == "[draining, waiters:0/2]>");
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"b1", "a0", "d1", "c0"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_cancelled_task_leaves_and_the_barrier_stays_whole_rule_94) {
  Round r(3);
  r.come_all("ab");
  r.tasks[0].cancel();
  r.loop.pass();
  BOOST_TEST(r.lines == Lines{"a!CancelledError()"}, boost::test_tools::per_element());
  BOOST_TEST(r.barrier.n_waiting() == 1);
  BOOST_TEST(!r.barrier.broken());
  r.lines.clear();
  r.come_all("cd");
  // The index is how many were inside at the arrival, as in Python: b has 1, and so has c.
  BOOST_TEST(r.lines == Lines({"d2", "b1", "c1"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_task_cancelled_when_the_round_was_full_leaves_and_the_rest_goes_on) {
  Round r(3);
  r.come_all("ab");
  const auto c = r.come("c");
  r.loop.pass(1);
  r.tasks[0].cancel();
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"c2", "a!CancelledError()", "b1"}),
             boost::test_tools::per_element());
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:0/3]>");
}

BOOST_AUTO_TEST_CASE(a_newcomer_cancelled_outside_was_never_inside) {
  Round r(2);
  r.come_all("a");
  const auto b = r.come("b");
  const auto c = r.come("c");
  r.loop.pass(1);
  c.cancel();
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"b1", "a0", "c!CancelledError()"}),
             boost::test_tools::per_element());
  BOOST_TEST(r.barrier.n_waiting() == 0);
}

BOOST_AUTO_TEST_CASE(abort_breaks_those_inside_and_those_who_come_later_rule_94) {
  Round r(3);
  r.come_all("ab");
  r.loop.run_until_complete(r.barrier.abort());
  BOOST_TEST(r.barrier.broken());
  BOOST_TEST(r.barrier.n_waiting() == 0);
  BOOST_TEST(kind(r.barrier) == "[broken]>");
  r.loop.pass();
  r.come_all("c");
  BOOST_TEST(r.lines == Lines({"a" + broken, "b" + broken, "c" + aborted}),
             boost::test_tools::per_element());
  BOOST_TEST(r.barrier.broken());
}

BOOST_AUTO_TEST_CASE(reset_breaks_those_inside_and_the_barrier_is_as_new_rule_94) {
  Round r(3);
  r.come_all("ab");
  const auto reset = r.loop.create_task(r.barrier.reset());
  r.loop.pass(1);
  BOOST_TEST(kind(r.barrier) == "[resetting, waiters:0/3]>");
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"a" + broken, "b" + broken}), boost::test_tools::per_element());
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:0/3]>");
  r.lines.clear();
  r.come_all("abc");
  BOOST_TEST(r.lines == Lines({"c2", "a0", "b1"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(reset_without_anybody_inside_changes_nothing) {
  Round r(2);
  r.loop.run_until_complete(r.barrier.reset());
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:0/2]>");
}

BOOST_AUTO_TEST_CASE(newcomers_wait_while_a_reset_drains) {
  Round r(2);
  r.come_all("a");
  const auto reset = r.loop.create_task(r.barrier.reset());
  const auto b = r.come("b");
  const auto c = r.come("c");
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"a" + broken, "c1", "b0"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(reset_repairs_a_broken_barrier_rule_94) {
  Round r(2);
  r.loop.run_until_complete(r.barrier.abort());
  r.come_all("a");
  r.loop.run_until_complete(r.barrier.reset());
  r.lines.clear();
  r.come_all("ab");
  BOOST_TEST(r.lines == Lines({"b1", "a0"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(abort_while_a_round_drains_breaks_those_who_are_still_inside) {
  Round r(2);
  r.come_all("a");
  const auto b = r.come("b");
  const auto abort = r.loop.create_task(r.barrier.abort());
  const auto c = r.come("c");
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"b1", "c" + aborted, "a" + broken}),
             boost::test_tools::per_element());
  BOOST_TEST(r.barrier.broken());
}

BOOST_AUTO_TEST_CASE(reset_while_a_round_drains_breaks_those_who_are_still_inside) {
  Round r(3);
  r.come_all("ab");
  const auto c = r.come("c");
  const auto reset = r.loop.create_task(r.barrier.reset());
  r.loop.pass();
  BOOST_TEST(r.lines == Lines({"c2", "a" + broken, "b" + broken}),
             boost::test_tools::per_element());
  BOOST_TEST(kind(r.barrier) == "[filling, waiters:0/3]>");
}

BOOST_AUTO_TEST_CASE(abort_without_anybody_inside_breaks_it_all_the_same) {
  Loop loop;
  const Barrier barrier(1);
  loop.run_until_complete(barrier.abort());
  BOOST_TEST(kind(barrier) == "[broken]>");
}

BOOST_AUTO_TEST_CASE(reset_when_some_have_left_breaks_the_rest) {
  Loop loop;
  const Barrier barrier(5);
  int left = 0;
  int shut_in = 0;
  run_five(loop, [&]() -> Coroutine<> {
    const int index = co_await try_wait(barrier);
    if (index < 0)
      ++shut_in;
    else if (++left == 3)
      co_await barrier.reset();
  });
  BOOST_TEST(shut_in == 2);
  BOOST_TEST(kind(barrier) == "[filling, waiters:0/5]>");
}

BOOST_AUTO_TEST_CASE(reset_when_some_have_left_and_come_again_breaks_only_those_inside) {
  Loop loop;
  const Barrier barrier(5);
  int left = 0;
  int shut_in = 0;
  int shut_out = 0;
  run_five(loop, [&]() -> Coroutine<> {
    const int index = co_await try_wait(barrier);
    if (index < 0) {
      ++shut_in;
      co_await barrier.wait();
    } else if (++left > 2) {
      co_await barrier.reset();
      co_await barrier.wait();
    } else {
      const int again = co_await try_wait(barrier);
      if (again < 0) ++shut_out;
    }
  });
  BOOST_TEST(shut_in == 2);
  BOOST_TEST(shut_out == 0);
  BOOST_TEST(kind(barrier) == "[filling, waiters:0/5]>");
}

BOOST_AUTO_TEST_CASE(those_whom_a_reset_sent_away_may_come_again_at_once) {
  Round r(5);
  int sent_away = 0;
  const auto visitor = [&]() -> Coroutine<> {
    const int index = co_await try_wait(r.barrier);
    if (index < 0) ++sent_away;
    co_await r.visit("again ");
  };
  for (int i = 0; i != 4; ++i) r.tasks.push_back(r.loop.create_task(visitor()));
  const auto reset = r.loop.create_task(r.barrier.reset());
  r.loop.pass(1);
  const auto fifth = r.come("fifth ");
  r.loop.pass(8);
  BOOST_TEST(sent_away == 4);
  BOOST_TEST(r.lines == Lines({"again 4", "again 0", "fifth 1", "again 2", "again 3"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(reset_by_the_last_to_leave_disturbs_nobody) {
  Loop loop;
  const Barrier barrier(5);
  int left = 0;
  int second = 0;
  int third = 0;
  run_five(loop, [&]() -> Coroutine<> {
    co_await barrier.wait();
    if (++left == 5) {
      co_await barrier.reset();
      co_await barrier.wait();
    } else {
      const int index = co_await try_wait(barrier);
      if (index >= 0) ++second;
    }
    co_await barrier.wait();
    ++third;
  });
  BOOST_TEST(second == 4);
  BOOST_TEST(third == 5);
  BOOST_TEST(kind(barrier) == "[filling, waiters:0/5]>");
}

BOOST_AUTO_TEST_CASE(abort_when_some_have_left_breaks_those_inside_and_outside) {
  Loop loop;
  const Barrier barrier(5);
  int left = 0;
  int shut_in = 0;
  int shut_out = 0;
  run_five(loop, [&]() -> Coroutine<> {
    const int index = co_await try_wait(barrier);
    if (index < 0) {
      ++shut_in;
    } else if (++left > 2) {
      co_await barrier.abort();
    } else {
      const int again = co_await try_wait(barrier);
      if (again < 0) ++shut_out;
    }
  });
  BOOST_TEST(shut_in == 2);
  BOOST_TEST(shut_out == 2);
  BOOST_TEST(kind(barrier) == "[broken]>");
}

BOOST_AUTO_TEST_CASE(one_that_aborts_sends_all_others_to_where_they_reset_it) {
  Loop loop;
  const Barrier barrier(5);
  const Barrier aside(5);
  int passed = 0;
  int sent_away = 0;
  int at_the_end = 0;
  run_five(loop, [&]() -> Coroutine<> {
    int index = co_await try_wait(barrier);
    if (index == 2) {
      co_await barrier.abort();
    } else {
      if (index >= 0) index = co_await try_wait(barrier);
      ++(index < 0 ? sent_away : passed);
    }
    const int place = co_await aside.wait();
    if (place == 2) {
      BOOST_TEST(kind(barrier) == "[broken]>");
      co_await barrier.reset();
    }
    co_await aside.wait();
    co_await barrier.wait();
    ++at_the_end;
  });
  BOOST_TEST(passed == 0);
  BOOST_TEST(sent_away == 4);
  BOOST_TEST(at_the_end == 5);
  BOOST_TEST(kind(barrier) == "[filling, waiters:0/5]>");
}

BOOST_AUTO_TEST_CASE(works_in_wait_for) {
  Loop loop;
  const Barrier barrier(2);
  const Ending end = loop.run([&] { return ending(asyncio::wait_for(barrier.wait(), 1)); });
  BOOST_TEST(end.what() == "TimeoutError()");
  BOOST_TEST(barrier.n_waiting() == 0);
}

BOOST_AUTO_TEST_CASE(the_first_loop_that_waits_is_the_only_one_rule_83) {
  Round r(2);
  r.come_all("a");
  Loop other;
  // A second visitor does not have to wait, a third one would have to.
  BOOST_TEST(other.run([&] { return ending(r.barrier.wait()); }).what() == "None");
  BOOST_TEST(other.run([&] { return ending(r.barrier.wait()); })
                 .what()
                 .starts_with("RuntimeError('<asyncio.locks.Condition object at 0x"));
  r.loop.pass();
  BOOST_TEST(r.lines == Lines{"a0"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_barrier_lives_as_long_as_somebody_waits) {
  Loop loop;
  const auto task = loop.create_task(Barrier(2).wait());
  const auto abort = loop.create_task(Barrier(2).abort());
  loop.pass();
  BOOST_TEST(!task.done());
  BOOST_TEST(abort.done());
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(cancelled_or_destroyed_anywhere_nothing_is_left_behind) {
  std::optional<Barrier> barrier;
  cancel_everywhere([&](Loop& loop) -> Coroutine<> {
    const Counted local;
    barrier.emplace(2);
    const auto partner = [&]() -> Coroutine<> {
      const Counted counted;
      co_await asyncio::sleep(0);
      co_await barrier->wait();
      co_await barrier->wait();
    };
    const auto other = loop.create_task(partner());
    std::exception_ptr error;
    try {
      co_await barrier->wait();
      co_await asyncio::sleep(0);
      co_await barrier->wait();
    } catch (...) {
      error = std::current_exception();
    }
    other.cancel();
    if (error) std::rethrow_exception(error);
  });
}

BOOST_AUTO_TEST_CASE(the_barrier_may_outlive_the_loop_in_which_tasks_wait) {
  const Barrier barrier(3);
  {
    Loop loop;
    (void)loop.create_task(barrier.wait());
    (void)loop.create_task(barrier.wait());
    loop.pass();
    BOOST_TEST(barrier.n_waiting() == 2);
  }
  BOOST_TEST(barrier.n_waiting() == 0);
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  const Barrier barrier(3);
  BOOST_TEST(to_string(barrier).starts_with("<asyncio.locks.Barrier object at 0x"));
  BOOST_TEST(kind(barrier) == "[filling, waiters:0/3]>");
}

BOOST_AUTO_TEST_SUITE_END()
