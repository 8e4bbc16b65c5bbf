// SPDX-License-Identifier: BSL-1.0
//
// Passes, the ready queue, timers and the clock: rules 2-14, 17 and 18.
#include <asyncio/scheduler.hpp>

#include <algorithm>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;
using Order = std::vector<int>;

/// The order in which timers with these deadlines fire, set one after another in an empty heap.
Order firing_order(const std::vector<int>& deadlines) {
  VirtualLoop loop;
  Order order;
  for (std::size_t i = 0; i != deadlines.size(); ++i) {
    loop.call_at(deadlines[i], [&, i] {
      order.push_back(static_cast<int>(i));
      if (order.size() == deadlines.size()) loop.stop();
    });
  }
  loop.run_forever();
  return order;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scheduler_tests)

BOOST_AUTO_TEST_CASE(rule_2_callbacks_run_in_the_order_of_the_calls) {
  VirtualLoop loop;
  Order order;
  for (int i = 0; i != 100; ++i) loop.call_soon([&order, i] { order.push_back(i); });
  loop.pass();
  BOOST_TEST(order.size() == 100u);
  BOOST_TEST(std::ranges::is_sorted(order));
}

BOOST_AUTO_TEST_CASE(rule_10_what_a_callback_queues_runs_in_the_next_pass) {
  VirtualLoop loop;
  std::vector<std::uint64_t> ran_in_pass;
  loop.call_soon([&] {
    ran_in_pass.push_back(loop.passes());
    loop.call_soon([&] {
      ran_in_pass.push_back(loop.passes());
      loop.call_soon([&] {
        ran_in_pass.push_back(loop.passes());
        loop.stop();
      });
    });
  });
  loop.call_soon([&] { ran_in_pass.push_back(loop.passes()); });
  loop.run_forever();
  const std::vector<std::uint64_t> expected{1, 1, 2, 3};
  BOOST_TEST(ran_in_pass == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_10_a_callback_that_queues_itself_does_not_starve_timers) {
  VirtualLoop loop;
  int rounds = 0;
  struct Again {
    VirtualLoop& loop;
    int& rounds;
    void operator()() const {
      if (++rounds == 50) loop.scheduler().advance(1);
      loop.call_soon(*this);
    }
  };
  loop.call_soon(Again{loop, rounds});
  loop.call_later(1, [&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(rounds == 51);
}

BOOST_AUTO_TEST_CASE(rule_9_due_timers_come_behind_what_is_queued_in_the_same_pass) {
  VirtualLoop loop;
  Trace trace;
  loop.call_later(0, [&] { trace.push_back("a"); });
  loop.call_soon([&] { trace.push_back("b"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "b a");
}

BOOST_AUTO_TEST_CASE(a_pass_runs_only_so_many_early_looks_for_io) {
  struct Look final : detail::ReadyNode {
    void run() override { ran_in_pass = scheduler->passes(); }
    void drop() noexcept override {}
    void keep_subject(detail::Subject&) override {}
    detail::Scheduler* scheduler;
    std::uint64_t ran_in_pass;
  };
  VirtualLoop loop;
  std::vector<Look> looks(150);
  for (Look& look : looks) {
    look.scheduler = &loop.scheduler();
    loop.scheduler().push_early(look);
  }
  while (loop.scheduler().has_ready()) loop.pass();
  std::vector<std::uint64_t> expected(150, 3);
  std::ranges::fill_n(expected.begin(), 64, 1);
  std::ranges::fill_n(expected.begin() + 64, 64, 2);
  std::vector<std::uint64_t> ran_in_pass;
  for (const Look& look : looks) ran_in_pass.push_back(look.ran_in_pass);
  BOOST_TEST(ran_in_pass == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_8_due_is_what_is_not_later_than_now) {
  VirtualLoop loop;
  Trace trace;
  loop.call_at(1, [&] { trace.push_back("now"); });
  loop.call_at(TimePoint::from_nanoseconds(1'000'000'001), [&] { trace.push_back("later"); });
  loop.scheduler().advance(1);
  loop.pass();
  BOOST_TEST(joined(trace) == "now");
}

BOOST_AUTO_TEST_CASE(rule_8_timers_with_a_deadline_in_the_past_fire_in_the_order_of_deadlines) {
  VirtualLoop loop;
  loop.scheduler().advance(10);
  Trace trace;
  loop.call_at(2, [&] { trace.push_back("2"); });
  loop.call_later(-9, [&] { trace.push_back("1"); });
  loop.call_later(-7, [&] { trace.push_back("3"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "1 2 3");
}

BOOST_AUTO_TEST_CASE(rule_12_timers_with_one_deadline_fire_in_the_order_of_cpythons_heap) {
  const std::vector<Order> measured{{},
                                    {0},
                                    {0, 1},
                                    {0, 1, 2},
                                    {0, 2, 1, 3},
                                    {0, 2, 4, 1, 3},
                                    {0, 2, 5, 4, 1, 3},
                                    {0, 2, 5, 6, 4, 1, 3},
                                    {0, 2, 6, 5, 7, 4, 1, 3}};
  for (std::size_t n = 1; n != measured.size(); ++n) {
    BOOST_TEST_CONTEXT("n = " << n) {
      BOOST_TEST(firing_order(Order(n, 1)) == measured[n], boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(rule_12_mixed_deadlines_fire_in_the_order_of_cpythons_heap) {
  // i * 7 % 5 + 1; the order is what Python's heapq gives.
  const std::vector<int> deadlines{1, 3, 5, 2, 4, 1, 3, 5, 2, 4, 1, 3,
                                   5, 2, 4, 1, 3, 5, 2, 4, 1, 3, 5, 2};
  // Popped in one go, not with a pass for each deadline: all are due when the first pass comes.
  VirtualLoop loop;
  Order order;
  for (std::size_t i = 0; i != deadlines.size(); ++i)
    loop.call_at(deadlines[i], [&order, i] { order.push_back(static_cast<int>(i)); });
  loop.scheduler().advance(10);
  loop.pass();
  const Order expected{0,  5, 10, 20, 15, 13, 23, 3, 18, 8,  6, 11,
                       21, 1, 16, 14, 19, 9,  4,  2, 22, 17, 7, 12};
  BOOST_TEST(order == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(timers_fire_in_the_order_of_their_deadlines) {
  const Order expected{4, 2, 0, 3, 1};
  BOOST_TEST(firing_order({30, 50, 20, 40, 10}) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_4_a_pass_waits_until_the_earliest_timer) {
  VirtualLoop loop;
  std::vector<double> fired_at;
  loop.call_later(2.5, [&] { fired_at.push_back(loop.time().seconds()); });
  loop.call_later(7, [&] {
    fired_at.push_back(loop.time().seconds());
    loop.stop();
  });
  loop.run_forever();
  const std::vector<double> expected{2.5, 7};
  BOOST_TEST(fired_at == expected, boost::test_tools::per_element());
  BOOST_TEST(loop.passes() == 2u);
}

BOOST_AUTO_TEST_CASE(rule_4_no_pass_waits_longer_than_a_day) {
  VirtualLoop loop;
  loop.call_later(2.5 * 24 * 3600, [&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(loop.passes() == 3u);
  BOOST_TEST(loop.time().seconds() == 2.5 * 24 * 3600);
}

BOOST_AUTO_TEST_CASE(rule_4_without_timers_a_pass_waits_without_limit) {
  VirtualLoop loop;  // its observer makes an exception of that
  BOOST_CHECK_THROW(loop.run_forever(), testing::DeadlockError);
  BOOST_TEST(loop.passes() == 1u);
}

BOOST_AUTO_TEST_CASE(rule_3_a_cancelled_timer_does_not_keep_the_loop_waiting) {
  VirtualLoop loop;
  loop.call_later(1, [] {}).cancel();
  loop.call_later(2, [&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(loop.passes() == 1u);
  BOOST_TEST(loop.time().seconds() == 2);
}

namespace {

/// Timers whose handles the loop alone holds; tells which of them it still has.
class Timers {
 public:
  explicit Timers(EventLoop& loop) : loop_(loop) {}
  void add(TimePoint when, bool cancelled) {
    // A context of its own is what lives exactly as long as the loop's entry.
    const Context context;
    const auto value = std::make_shared<int>();
    watched_.emplace_back(value);
    context.run([&] { (void)variable_.set(value); });
    TimerHandle handle = loop_.call_at(CallbackOptions{.context = &context}, when, [] {});
    if (cancelled) handle.cancel();
  }
  int in_the_heap() const {
    int count = 0;
    for (const auto& value : watched_) count += !value.expired();
    return count;
  }

 private:
  EventLoop& loop_;
  ContextVar<std::shared_ptr<int>> variable_{"variable"};
  std::vector<std::weak_ptr<int>> watched_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(rule_3_cancelled_timers_stay_until_they_surface) {
  VirtualLoop loop;
  Timers timers(loop);
  for (int i = 0; i != 10; ++i) timers.add(1 + i, i < 3 || i > 6);
  BOOST_TEST(timers.in_the_heap() == 10);
  loop.pass();
  BOOST_TEST(timers.in_the_heap() == 7);  // the first three are gone, the last three are not
}

BOOST_AUTO_TEST_CASE(rule_3_up_to_a_hundred_timers_are_not_swept) {
  VirtualLoop loop;
  Timers timers(loop);
  for (int i = 0; i != 100; ++i) timers.add(1 + i, i != 0);
  loop.pass();
  BOOST_TEST(timers.in_the_heap() == 100);
}

BOOST_AUTO_TEST_CASE(rule_3_up_to_half_of_cancelled_timers_are_not_swept) {
  VirtualLoop loop;
  Timers timers(loop);
  for (int i = 0; i != 102; ++i) timers.add(1 + i, i >= 51);
  loop.pass();
  BOOST_TEST(timers.in_the_heap() == 102);
}

BOOST_AUTO_TEST_CASE(rule_3_more_than_half_of_more_than_a_hundred_are_swept) {
  VirtualLoop loop;
  Timers timers(loop);
  for (int i = 0; i != 101; ++i) timers.add(1 + i, i >= 50);
  loop.pass();
  BOOST_TEST(timers.in_the_heap() == 50);
  // The count begins anew: 50 live ones and 51 cancelled later are swept again.
  for (int i = 0; i != 51; ++i) timers.add(1000 + i, true);
  loop.pass();
  BOOST_TEST(timers.in_the_heap() == 50);
}

BOOST_AUTO_TEST_CASE(rule_3_after_sweeping_equal_deadlines_fire_as_in_a_heapified_list) {
  VirtualLoop loop;
  Order order;
  for (int i = 0; i != 120; ++i) {
    TimerHandle handle = loop.call_at(1, [&order, i] { order.push_back(i); });
    if (i % 3) handle.cancel();
  }
  loop.pass();
  loop.scheduler().advance(1);
  loop.pass();
  // What Python's heapify and heappop give for the forty that are left.
  const Order expected{90, 42, 18, 6,  0,  57, 9,  111, 51,  105, 21,  99, 45,  87,
                       93, 39, 81, 15, 75, 33, 69, 3,   63,  27,  117, 24, 108, 48,
                       84, 96, 36, 72, 12, 60, 54, 78,  102, 30,  66,  114};
  BOOST_TEST(order == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_14_time_is_read_anew_at_every_call) {
  EventLoop loop;
  const TimePoint before = loop.time();
  while (loop.time() == before) {
  }
  BOOST_TEST((loop.time() > before));
  VirtualLoop virtual_loop;
  BOOST_TEST(virtual_loop.time().seconds() == 0);
  virtual_loop.scheduler().advance(3);
  BOOST_TEST(virtual_loop.time().seconds() == 3);
}

BOOST_AUTO_TEST_CASE(rule_5_timers_never_fire_early) {
  for (const bool exact : {false, true}) {
    EventLoop loop(LoopOptions{.exact_timers = exact});
    const TimePoint deadline = loop.time() + Duration::from_nanoseconds(1'200'000);
    bool early = true;
    loop.call_at(deadline, [&] {
      early = loop.time() < deadline;
      loop.stop();
    });
    loop.run_forever();
    BOOST_TEST(!early);
  }
}

BOOST_AUTO_TEST_CASE(rule_17_stop_finishes_the_pass_and_keeps_what_was_queued_meanwhile) {
  VirtualLoop loop;
  Trace trace;
  loop.call_soon([&] {
    trace.push_back("stop");
    loop.stop();
    loop.call_soon([&] { trace.push_back("next"); });
  });
  loop.call_soon([&] { trace.push_back("behind"); });
  loop.run_forever();
  BOOST_TEST(joined(trace) == "stop behind");
  BOOST_TEST(loop.passes() == 1u);
  loop.pass();
  BOOST_TEST(joined(trace) == "stop behind next");
}

BOOST_AUTO_TEST_CASE(rule_18_stop_before_running_makes_exactly_one_pass_without_waiting) {
  VirtualLoop loop;
  int calls = 0;
  loop.call_soon([&] {
    ++calls;
    loop.call_soon([&] { ++calls; });
  });
  loop.call_later(5, [&] { ++calls; });
  loop.stop();
  loop.run_forever();
  BOOST_TEST(calls == 1);
  BOOST_TEST(loop.passes() == 1u);
  BOOST_TEST(loop.time().seconds() == 0);
}

BOOST_AUTO_TEST_CASE(rule_13_an_exception_of_a_callback_does_not_end_the_pass) {
  VirtualLoop loop;
  Reports reports(loop);
  Trace trace;
  loop.call_soon([&] { trace.push_back("a"); });
  loop.call_soon([] { throw ValueError("b"); });
  loop.call_soon([] { throw 3; });
  loop.call_soon([] { throw CancelledError(); });
  loop.call_soon([&] { trace.push_back("c"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "a c");
  BOOST_TEST(reports.size() == 3u);
}

BOOST_AUTO_TEST_CASE(rule_13_system_exit_and_keyboard_interrupt_leave_the_loop_at_once) {
  VirtualLoop loop;
  Trace trace;
  loop.call_soon([&] { trace.push_back("a"); });
  loop.call_soon([&] {
    loop.call_soon([&] { trace.push_back("d"); });
    throw SystemExit(3);
  });
  loop.call_soon([&] { trace.push_back("b"); });
  loop.call_soon([&] { throw KeyboardInterrupt(); });
  loop.call_soon([&] { trace.push_back("c"); });
  BOOST_CHECK_EXCEPTION(loop.run_forever(), SystemExit,
                        [](const SystemExit& exit) { return exit.code() == 3; });
  BOOST_TEST(!loop.is_running());
  BOOST_TEST(joined(trace) == "a");
  // What was left behind comes first, and in order, in a later run.
  BOOST_CHECK_THROW(loop.run_forever(), KeyboardInterrupt);
  BOOST_TEST(joined(trace) == "a b");
  loop.pass();
  BOOST_TEST(joined(trace) == "a b c d");
}

BOOST_AUTO_TEST_CASE(rule_13_a_callback_that_left_the_loop_does_not_run_again) {
  VirtualLoop loop;
  int calls = 0;
  loop.call_soon([&] {
    ++calls;
    throw KeyboardInterrupt();
  });
  BOOST_CHECK_THROW(loop.run_forever(), KeyboardInterrupt);
  loop.pass();
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(observer_sees_every_pass_and_its_exceptions_leave_the_loop) {
  struct Observer : LoopObserver {
    void pass_begins() override {
      if (++passes == 3) throw ValueError("enough");
    }
    int passes = 0;
  } observer;
  EventLoop loop(LoopOptions{.clock = Clock::virtual_time});
  loop.set_observer(&observer);
  struct Again {
    EventLoop& loop;
    void operator()() const { loop.call_soon(*this); }
  };
  loop.call_soon(Again{loop});
  BOOST_CHECK_EXCEPTION(loop.run_forever(), ValueError, says("enough"));
  BOOST_TEST(observer.passes == 3);
  loop.set_observer(nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
