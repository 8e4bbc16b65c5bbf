// SPDX-License-Identifier: BSL-1.0
//
// Queue: putting, getting and waiting (surface A20, rules 95-97).
#include <asyncio/queues.hpp>

#include <memory>
#include <optional>

#include <boost/test/unit_test.hpp>

#include "queue_visits.hpp"

using namespace on_virtual_time;

BOOST_AUTO_TEST_SUITE(queues_tests)

BOOST_AUTO_TEST_CASE(empty_full_and_size) {
  const Queue<int> queue(2);
  BOOST_TEST(queue.empty());
  BOOST_TEST(!queue.full());
  BOOST_TEST(queue.maxsize() == 2);
  queue.put_nowait(1);
  BOOST_TEST(!queue.empty());
  BOOST_TEST(!queue.full());
  queue.put_nowait(2);
  BOOST_TEST(queue.full());
  BOOST_TEST(queue.qsize() == 2u);
}

BOOST_AUTO_TEST_CASE(a_queue_without_limit_is_never_full_rule_95) {
  for (const int maxsize : {0, -1}) {
    const Queue<int> queue(maxsize);
    BOOST_TEST(!queue.full());
    for (int i = 0; i != 1000; ++i) queue.put_nowait(i);
    BOOST_TEST(!queue.full());
    BOOST_TEST(queue.maxsize() == maxsize);
  }
}

BOOST_AUTO_TEST_CASE(put_with_room_and_get_with_items_never_yield_rule_95) {
  Visits v(1);
  for (int i = 0; i != 3; ++i) {
    BOOST_TEST(v.loop.run([&] { return ending(v.put_one("p", i)); }).passes == 0u);
    BOOST_TEST(v.loop.run([&] { return ending(v.get_one("g")); }).passes == 0u);
  }
  check(v.lines, {"p0", "g0", "p1", "g1", "p2", "g2"});
}

BOOST_AUTO_TEST_CASE(first_in_first_out) {
  const Queue<int> queue;
  for (const int i : {1, 3, 2}) queue.put_nowait(i);
  check(drained(queue), {1, 3, 2});
}

/// Can only be moved, and not assigned.
struct Job {
  explicit Job(int number) : number(number), owned(std::make_shared<int>(number)) {}
  Job(Job&&) = default;

  const int number;
  std::shared_ptr<int> owned;
};

BOOST_AUTO_TEST_CASE(first_in_first_out_however_many_come_and_go) {
  const Queue<Job> queue;
  int put = 0, got = 0;
  for (const int most : {1, 3, 4, 5, 70, 200, 2}) {
    while (put - got != most) {  // two come for each that goes
      queue.put_nowait(Job(put++));
      if (put - got == most) break;
      queue.put_nowait(Job(put++));
      BOOST_REQUIRE(queue.get_nowait().number == got++);
    }
    BOOST_TEST(queue.qsize() == static_cast<std::size_t>(most));
    while (!queue.empty()) BOOST_REQUIRE(queue.get_nowait().number == got++);
    BOOST_TEST(got == put);
  }
}

BOOST_AUTO_TEST_CASE(an_item_that_was_taken_is_not_kept) {
  const Queue<std::shared_ptr<int>> queue;
  const auto item = std::make_shared<int>(1);
  queue.put_nowait(item);
  queue.put_nowait(nullptr);
  queue.get_nowait();
  BOOST_TEST(item.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(nowait_refuses) {
  const Queue<int> queue(1);
  BOOST_TEST(thrown_by([&] { queue.get_nowait(); }) == "QueueEmpty()");
  queue.put_nowait(1);
  BOOST_TEST(thrown_by([&] { queue.put_nowait(2); }) == "QueueFull()");
  check(drained(queue), {1});
}

BOOST_AUTO_TEST_CASE(a_getter_goes_on_one_pass_after_the_put_rules_83_96) {
  Visits v;
  v.getter("g");
  check(v.pass(), {});
  BOOST_TEST(format(v.queue) == "maxsize=0 _getters[1]>");
  v.queue.put_nowait(7);
  check(v.lines, {});
  BOOST_TEST(format(v.queue) == "maxsize=0 _queue=[7] tasks=1>");
  check(v.pass(1), {"g7"});
}

BOOST_AUTO_TEST_CASE(a_putter_goes_on_one_pass_after_the_get_rules_83_96) {
  Visits v(1);
  v.queue.put_nowait(1);
  v.putter("p", 2);
  check(v.pass(), {});
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue=[1] _putters[1] tasks=1>");
  BOOST_TEST(v.queue.get_nowait() == 1);
  BOOST_TEST(v.queue.empty());
  check(v.pass(1), {"p2"});
  check(drained(v.queue), {2});
}

BOOST_AUTO_TEST_CASE(getters_are_served_in_order_of_arrival_one_per_item_rule_96) {
  Visits v;
  for (const char* name : {"a", "b", "c"}) v.getter(name);
  v.pass();
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  check(v.pass(1), {"a1", "b2"});
  check(v.pass(), {});
  v.queue.put_nowait(3);
  check(v.pass(1), {"c3"});
}

BOOST_AUTO_TEST_CASE(putters_are_served_in_order_of_arrival_one_per_place_rule_96) {
  Visits v(1);
  v.queue.put_nowait(0);
  for (int i = 1; i != 4; ++i) v.putter("p", i);
  v.pass();
  for (int i = 0; i != 4; ++i) {
    BOOST_TEST(v.queue.get_nowait() == i);
    check(v.pass(), i == 3 ? Lines() : Lines{'p' + std::to_string(i + 1)});
  }
}

BOOST_AUTO_TEST_CASE(a_woken_getter_that_finds_nothing_goes_to_the_end_of_the_line_rule_96) {
  Visits v;
  v.getter("a");
  v.getter("b");
  v.pass();
  v.queue.put_nowait(1);
  BOOST_TEST(v.queue.get_nowait() == 1);
  check(v.pass(), {});
  BOOST_TEST(format(v.queue) == "maxsize=0 _getters[2] tasks=1>");
  v.queue.put_nowait(2);
  v.queue.put_nowait(3);
  check(v.pass(), {"b2", "a3"});
}

BOOST_AUTO_TEST_CASE(a_woken_putter_that_finds_no_room_goes_to_the_end_of_the_line_rule_96) {
  Visits v(1);
  v.queue.put_nowait(0);
  v.putter("a", 1);
  v.putter("b", 2);
  v.pass();
  BOOST_TEST(v.queue.get_nowait() == 0);
  v.queue.put_nowait(9);
  check(v.pass(), {});
  BOOST_TEST(v.queue.get_nowait() == 9);
  check(v.pass(), {"b2"});
  BOOST_TEST(v.queue.get_nowait() == 2);
  check(v.pass(), {"a1"});
}

BOOST_AUTO_TEST_CASE(a_getter_that_did_not_have_to_wait_may_take_a_woken_ones_item_rule_96) {
  Visits v;
  v.getter("a");
  v.pass();
  v.getter("b");  // its first step comes ahead of a's next one
  v.queue.put_nowait(1);
  check(v.pass(), {"b1"});
  v.queue.put_nowait(2);
  check(v.pass(), {"a2"});
}

BOOST_AUTO_TEST_CASE(a_cancelled_getter_leaves_the_line) {
  Visits v;
  const auto a = v.getter("a");
  const auto b = v.getter("b");
  v.pass();
  a.cancel();
  check(v.pass(), {"a!CancelledError()"});
  BOOST_TEST(format(v.queue) == "maxsize=0 _getters[1]>");
  v.queue.put_nowait(1);
  check(v.pass(), {"b1"});
}

BOOST_AUTO_TEST_CASE(a_put_does_not_wake_a_cancelled_getter_rule_97) {
  Visits v;
  const auto a = v.getter("a");
  const auto b = v.getter("b");
  v.pass();
  a.cancel();
  v.queue.put_nowait(1);
  check(v.pass(1), {"a!CancelledError()", "b1"});
}

BOOST_AUTO_TEST_CASE(a_woken_getter_that_is_cancelled_wakes_the_next_rule_97) {
  Visits v;
  const auto a = v.getter("a");
  const auto b = v.getter("b");
  v.pass();
  v.queue.put_nowait(1);
  a.cancel();
  check(v.pass(1), {"a!CancelledError()"});
  check(v.pass(1), {"b1"});
}

BOOST_AUTO_TEST_CASE(each_of_several_items_finds_a_getter_when_a_woken_one_is_cancelled_rule_97) {
  Visits v;
  const auto a = v.getter("a");
  v.getter("b");
  v.getter("c");
  v.pass();
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  a.cancel();
  check(v.pass(), {"a!CancelledError()", "b1", "c2"});
  BOOST_TEST(format(v.queue) == "maxsize=0 tasks=2>");
}

BOOST_AUTO_TEST_CASE(a_woken_getter_that_is_cancelled_wakes_nobody_for_nothing_rule_97) {
  Visits v;
  const auto a = v.getter("a");
  const auto b = v.getter("b");
  v.pass();
  v.queue.put_nowait(1);
  a.cancel();
  BOOST_TEST(v.queue.get_nowait() == 1);
  check(v.pass(), {"a!CancelledError()"});
  BOOST_TEST(format(v.queue) == "maxsize=0 _getters[1] tasks=1>");
}

BOOST_AUTO_TEST_CASE(a_cancelled_putter_puts_nothing) {
  Visits v(1);
  v.queue.put_nowait(0);
  const auto a = v.putter("a", 1);
  const auto b = v.putter("b", 2);
  v.pass();
  a.cancel();
  check(v.pass(), {"a!CancelledError()"});
  BOOST_TEST(v.queue.get_nowait() == 0);
  check(v.pass(), {"b2"});
  check(drained(v.queue), {2});
}

BOOST_AUTO_TEST_CASE(a_woken_putter_that_is_cancelled_wakes_the_next_rule_97) {
  Visits v(1);
  v.queue.put_nowait(0);
  const auto a = v.putter("a", 1);
  const auto b = v.putter("b", 2);
  v.pass();
  BOOST_TEST(v.queue.get_nowait() == 0);
  a.cancel();
  check(v.pass(1), {"a!CancelledError()"});
  check(v.pass(1), {"b2"});
  check(drained(v.queue), {2});
}

BOOST_AUTO_TEST_CASE(items_taken_out_together_make_room_for_as_many_putters_rule_96) {
  Visits v(2);
  for (int i = 0; i != 4; ++i) v.putter("p", i);
  v.loop.call_soon([&] { check(drained(v.queue), {0, 1}); });
  check(v.pass(), {"p0", "p1", "p2", "p3"});
  check(drained(v.queue), {2, 3});
}

BOOST_AUTO_TEST_CASE(a_woken_putter_that_is_cancelled_wakes_nobody_when_there_is_no_room_rule_97) {
  Visits v(1);
  v.queue.put_nowait(0);
  const auto a = v.putter("a", 1);
  const auto b = v.putter("b", 2);
  v.pass();
  BOOST_TEST(v.queue.get_nowait() == 0);
  v.queue.put_nowait(9);
  a.cancel();
  check(v.pass(), {"a!CancelledError()"});
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue=[9] _putters[1] tasks=2>");
}

BOOST_AUTO_TEST_CASE(no_item_is_lost_when_all_getters_are_cancelled) {
  Visits v;
  std::vector<Task<>> getters;
  for (int i = 0; i != 3; ++i) getters.push_back(v.getter("g"));
  v.pass();
  for (int i = 0; i != 3; ++i) v.queue.put_nowait(i);
  for (const auto& getter : getters) getter.cancel();
  v.pass();
  check(drained(v.queue), {0, 1, 2});
}

BOOST_AUTO_TEST_CASE(cancelled_tasks_are_not_kept_in_line) {
  Visits v(1);
  for (int i = 0; i != 10; ++i)
    BOOST_TEST(v.loop.run([&] { return ending(asyncio::wait_for(v.queue.get(), 1)); }).what() ==
               "TimeoutError()");
  BOOST_TEST(format(v.queue) == "maxsize=1>");
  v.queue.put_nowait(0);
  for (int i = 0; i != 10; ++i)
    BOOST_TEST(v.loop.run([&] { return ending(asyncio::wait_for(v.queue.put(i), 1)); }).what() ==
               "TimeoutError()");
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue=[0] tasks=1>");
}

BOOST_AUTO_TEST_CASE(producers_and_consumers) {
  Loop loop;
  const Queue<int> queue(3);
  int sum = 0;
  const auto produce = [&](int from) -> Coroutine<> {
    for (int i = from; i != from + 50; ++i) {
      co_await queue.put(i);
      co_await asyncio::sleep(i % 3);
    }
  };
  const auto consume = [&](int pause) -> Coroutine<> {
    for (;;) {
      const int item = co_await queue.get();
      co_await asyncio::sleep(pause);
      sum += item;
      queue.task_done();
    }
  };
  const auto body = [&]() -> Coroutine<> {
    std::vector<Task<>> consumers;
    for (int i = 0; i != 4; ++i) consumers.push_back(asyncio::create_task(consume(i)));
    co_await asyncio::gather(produce(0), produce(50));
    co_await queue.join();
    for (const auto& consumer : consumers) consumer.cancel();
    co_await asyncio::gather(asyncio::return_exceptions, consumers);
  };
  loop.run(body);
  BOOST_TEST(sum == 99 * 100 / 2);
  BOOST_TEST(format(queue) == "maxsize=3>");
}

BOOST_AUTO_TEST_CASE(an_item_is_destroyed_once_wherever_it_ends) {
  cancel_everywhere([](Loop& loop) -> Coroutine<> {
    const Queue<Counted> queue(1);
    co_await queue.put(Counted(1));
    loop.call_soon([queue] { (void)queue.get_nowait(); });
    co_await queue.put(Counted(2));
    const Counted two = co_await queue.get();
    BOOST_TEST(two.value == 2);
    loop.call_soon([queue] { queue.put_nowait(Counted(3)); });
    const Counted three = co_await queue.get();
    BOOST_TEST(three.value == 3);
    queue.put_nowait(Counted(4));
    for (int i = 0; i != 3; ++i) queue.task_done();
    loop.call_soon([queue] { queue.shutdown(true); });
    co_await queue.join();
  });
}

BOOST_AUTO_TEST_CASE(nothing_happens_before_it_is_awaited_and_then_once) {
  Loop loop;
  const Queue<int> queue(2);
  auto put = queue.put(1);
  auto get = queue.get();
  BOOST_TEST(queue.empty());
  loop.run_until_complete(std::move(put));
  BOOST_TEST(queue.qsize() == 1u);
  BOOST_TEST(loop.run([&] { return ending(std::move(put)); }).what() ==
             "RuntimeError('cannot reuse already awaited coroutine')");
  BOOST_TEST(loop.run_until_complete(std::move(get)) == 1);
  { [[maybe_unused]] const auto dropped = queue.put(2); }
  BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(the_queue_lives_as_long_as_somebody_waits) {
  Loop loop;
  const auto get = loop.create_task(Queue<int>().get());
  const auto join = [&] {
    const Queue<int> queue;
    queue.put_nowait(1);
    return loop.create_task(queue.join());
  }();
  loop.pass();
  BOOST_TEST(!get.done());
  BOOST_TEST(!join.done());
  get.cancel();
  join.cancel();
  loop.pass();
  BOOST_TEST(get.cancelled());
  BOOST_TEST(join.cancelled());
}

BOOST_AUTO_TEST_CASE(the_first_loop_that_waits_is_the_only_one_rule_83) {
  Visits v(1);
  v.getter("a");
  v.pass();
  {
    Loop other;
    const std::string error = other.run([&] { return ending(v.queue.get()); }).what();
    BOOST_TEST(error.starts_with("RuntimeError('<Queue at 0x"));
    BOOST_TEST(error.ends_with(" maxsize=1 _getters[1]> is bound to a different event loop')"));
    other.run_until_complete(v.queue.put(5));  // does not have to wait
  }
  check(v.pass(), {"a5"});
}

BOOST_AUTO_TEST_CASE(the_queue_may_outlive_the_loop_in_which_tasks_wait) {
  std::optional<Visits> v(std::in_place, 1);
  const Queue<int> queue = v->queue;
  v->getter("a");
  v->getter("b");
  v->pass();
  queue.put_nowait(1);
  v.reset();
  BOOST_TEST(format(queue) == "maxsize=1 _queue=[1] tasks=1>");
}

namespace {

struct Touchy {
  Touchy() = default;
  Touchy(Touchy&&) {
    if (armed) throw ValueError("not now");
  }
  Touchy& operator=(Touchy&&) = default;
  static inline bool armed = false;
};

}  // namespace

BOOST_AUTO_TEST_CASE(rule_97_who_cannot_put_after_all_wakes_the_next) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Queue<Touchy> queue(1);
    const auto putter = [&]() -> Coroutine<> { co_await queue.put(Touchy()); };
    queue.put_nowait(Touchy());
    const auto first = create_task(putter());
    const auto second = create_task(putter());
    co_await asyncio::sleep(0);
    (void)queue.get_nowait();
    Touchy::armed = true;
    co_await asyncio::sleep(0);
    Touchy::armed = false;
    BOOST_TEST(repr(first.exception()) == "ValueError('not now')");
    BOOST_TEST(!second.done());
    co_await asyncio::sleep(0);
    BOOST_TEST(second.done());
    BOOST_TEST(queue.full());
  });
}

BOOST_AUTO_TEST_SUITE_END()
