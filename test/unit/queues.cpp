// SPDX-License-Identifier: BSL-1.0
#include <map>
#include <memory>
#include <optional>

#include <boost/test/unit_test.hpp>

#include <asyncio/queues.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

template <class T>
std::string format(const Queue<T>& queue) {
  const std::string text = to_string(queue);
  return text.substr(text.find("maxsize"));
}

/// A queue, and what its visitors did, in order.
struct Visits {
  explicit Visits(int maxsize = 0) : queue(maxsize) {}

  Coroutine<> get_one(std::string name) {
    std::exception_ptr error;
    int value = 0;
    try {
      value = co_await queue.get();
    } catch (...) {
      error = std::current_exception();
    }
    lines.push_back(name + (error ? '!' + repr(error) : std::to_string(value)));
    if (error && is_cancelled_error(error)) std::rethrow_exception(error);
  }
  Coroutine<> put_one(std::string name, int value) {
    std::exception_ptr error;
    try {
      co_await queue.put(value);
    } catch (...) {
      error = std::current_exception();
    }
    lines.push_back(name + (error ? '!' + repr(error) : std::to_string(value)));
    if (error && is_cancelled_error(error)) std::rethrow_exception(error);
  }
  Task<> getter(std::string name) { return loop.create_task(get_one(std::move(name))); }
  Task<> putter(std::string name, int value) {
    return loop.create_task(put_one(std::move(name), value));
  }
  /// What happened in so many passes.
  Lines pass(unsigned count = 8) {
    loop.pass(count);
    return std::exchange(lines, {});
  }

  Loop loop;
  Queue<int> queue;
  Lines lines;
};

std::vector<int> drained(const Queue<int>& queue) {
  std::vector<int> items;
  while (!queue.empty()) items.push_back(queue.get_nowait());
  return items;
}

void check(const Lines& lines, const Lines& expected) {
  BOOST_TEST(lines == expected, boost::test_tools::per_element());
}
void check(const std::vector<int>& items, const std::vector<int>& expected) {
  BOOST_TEST(items == expected, boost::test_tools::per_element());
}

/// Keeps only the newest of items of the same key: what Python does by overriding _put and _get.
class Newest {
 public:
  void put(std::pair<int, int> item) { items_[item.first] = item.second; }
  std::pair<int, int> get() {
    const std::pair<int, int> item = *items_.begin();
    items_.erase(items_.begin());
    return item;
  }

 private:
  std::map<int, int> items_;
};

/// Compared by the first member only.
struct Job {
  int priority;
  char name;
  friend bool operator<(const Job& a, const Job& b) noexcept { return a.priority < b.priority; }
};

}  // namespace

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
  BOOST_TEST(format(v.queue) == "maxsize=0 _queue[1] tasks=1>");
  check(v.pass(1), {"g7"});
}

BOOST_AUTO_TEST_CASE(a_putter_goes_on_one_pass_after_the_get_rules_83_96) {
  Visits v(1);
  v.queue.put_nowait(1);
  v.putter("p", 2);
  check(v.pass(), {});
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue[1] _putters[1] tasks=1>");
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
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue[1] _putters[1] tasks=2>");
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
  BOOST_TEST(format(v.queue) == "maxsize=1 _queue[1] tasks=1>");
}

BOOST_AUTO_TEST_CASE(task_done_too_often_is_refused_rule_98) {
  const Queue<int> queue;
  const std::string error = "ValueError('task_done() called too many times')";
  BOOST_TEST(thrown_by([&] { queue.task_done(); }) == error);
  queue.put_nowait(1);
  queue.task_done();
  BOOST_TEST(thrown_by([&] { queue.task_done(); }) == error);
}

BOOST_AUTO_TEST_CASE(join_does_not_yield_if_nothing_was_ever_put_rule_98) {
  Loop loop;
  const Queue<int> queue;
  BOOST_TEST(loop.run([&] { return ending(queue.join()); }).passes == 0u);
}

BOOST_AUTO_TEST_CASE(join_waits_until_every_item_was_marked_done_rule_98) {
  Visits v;
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  const auto join = v.loop.create_task(v.queue.join());
  v.pass();
  drained(v.queue);
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.queue.put_nowait(3);  // what comes later does not count
  v.pass(1);
  BOOST_TEST(join.done());
  const auto again = v.loop.create_task(v.queue.join());
  v.pass();
  BOOST_TEST(!again.done());
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

BOOST_AUTO_TEST_CASE(after_shutdown_get_drains_and_everything_else_is_refused_rule_99) {
  Visits v(2);
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  v.queue.shutdown();
  v.queue.shutdown();
  BOOST_TEST(format(v.queue) == "maxsize=2 _queue[2] tasks=2 shutdown>");
  BOOST_TEST(thrown_by([&] { v.queue.put_nowait(3); }) == "QueueShutDown()");
  v.loop.run_until_complete(v.put_one("p", 3));
  v.loop.run_until_complete(v.get_one("g"));
  v.loop.run_until_complete(v.put_one("p", 3));
  BOOST_TEST(v.queue.get_nowait() == 2);
  v.loop.run_until_complete(v.get_one("g"));
  check(v.lines, {"p!QueueShutDown()", "g1", "p!QueueShutDown()", "g!QueueShutDown()"});
  BOOST_TEST(thrown_by([&] { v.queue.get_nowait(); }) == "QueueShutDown()");
  const auto join = v.loop.create_task(v.queue.join());
  v.queue.task_done();
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.pass();
  BOOST_TEST(join.done());
}

BOOST_AUTO_TEST_CASE(shutdown_wakes_all_getters_rule_99) {
  Visits v;
  v.getter("a");
  v.getter("b");
  v.pass();
  v.queue.shutdown();
  BOOST_TEST(format(v.queue) == "maxsize=0 shutdown>");
  check(v.pass(1), {"a!QueueShutDown()", "b!QueueShutDown()"});
}

BOOST_AUTO_TEST_CASE(shutdown_wakes_all_putters_rule_99) {
  Visits v(1);
  v.queue.put_nowait(0);
  v.putter("a", 1);
  v.putter("b", 2);
  v.pass();
  v.queue.shutdown();
  check(v.pass(1), {"a!QueueShutDown()", "b!QueueShutDown()"});
  check(drained(v.queue), {0});
}

BOOST_AUTO_TEST_CASE(shutdown_at_once_drops_the_items_and_ends_join_rule_99) {
  Visits v(2);
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  v.putter("p", 3);
  const auto join = v.loop.create_task(v.queue.join());
  v.pass();
  v.queue.shutdown(true);
  BOOST_TEST(v.queue.empty());
  check(v.pass(1), {"p!QueueShutDown()"});
  BOOST_TEST(join.done());
  BOOST_TEST(thrown_by([&] { v.queue.get_nowait(); }) == "QueueShutDown()");
  BOOST_TEST(thrown_by([&] { v.queue.task_done(); }) ==
             "ValueError('task_done() called too many times')");
}

BOOST_AUTO_TEST_CASE(shutdown_at_once_leaves_what_is_being_worked_on_rule_99) {
  Visits v;
  v.queue.put_nowait(1);
  v.queue.put_nowait(2);
  const auto join = v.loop.create_task(v.queue.join());
  BOOST_TEST(v.queue.get_nowait() == 1);
  v.queue.shutdown(true);
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.pass();
  BOOST_TEST(join.done());
}

BOOST_AUTO_TEST_CASE(a_getter_woken_and_then_shut_out_rule_99) {
  Visits v;
  v.getter("a");
  v.pass();
  v.queue.put_nowait(1);
  v.queue.shutdown(true);
  check(v.pass(), {"a!QueueShutDown()"});
}

BOOST_AUTO_TEST_CASE(the_smallest_first_rule_100) {
  const PriorityQueue<int> queue;
  for (const int i : {5, 3, 8, 1, 9, 2}) queue.put_nowait(i);
  check(drained(queue), {1, 2, 3, 5, 8, 9});
  const PriorityQueue<int, std::greater<int>> other;
  for (const int i : {5, 3, 8}) other.put_nowait(i);
  check(drained(other), {8, 5, 3});
}

BOOST_AUTO_TEST_CASE(equal_items_leave_in_the_order_of_heapq_rule_100) {
  const PriorityQueue<Job> queue;
  for (const char name : std::string("abcdefgh")) queue.put_nowait(Job{1, name});
  queue.put_nowait(Job{0, 'x'});
  std::string names;
  while (!queue.empty()) names += queue.get_nowait().name;
  BOOST_TEST(names == "xcgdfheab");
}

BOOST_AUTO_TEST_CASE(a_comparison_that_throws_changes_nothing) {
  bool throws = false;
  const auto compare = [&](int a, int b) {
    if (throws) throw ValueError("x");
    return a < b;
  };
  const PriorityQueue<int, decltype(compare)> queue(0, compare);
  for (const int i : {4, 2, 3, 1}) queue.put_nowait(i);
  throws = true;
  BOOST_TEST(thrown_by([&] { queue.put_nowait(0); }) == "ValueError('x')");
  BOOST_TEST(thrown_by([&] { queue.get_nowait(); }) == "ValueError('x')");
  throws = false;
  BOOST_TEST(queue.qsize() == 4u);
  check(drained(queue), {1, 2, 3, 4});
}

BOOST_AUTO_TEST_CASE(the_last_first) {
  const LifoQueue<int> queue;
  for (const int i : {1, 3, 2}) queue.put_nowait(i);
  check(drained(queue), {2, 3, 1});
}

BOOST_AUTO_TEST_CASE(every_queue_is_a_queue) {
  BOOST_TEST(to_string(Queue<int>(PriorityQueue<int>(3))).starts_with("<PriorityQueue at 0x"));
  BOOST_TEST(to_string(Queue<int>(LifoQueue<int>(3))).starts_with("<LifoQueue at 0x"));
  const LifoQueue<int> lifo;
  const Queue<int> copy = lifo;
  copy.put_nowait(1);
  BOOST_TEST(lifo.qsize() == 1u);
}

BOOST_AUTO_TEST_CASE(items_may_be_kept_in_a_store_of_the_users) {
  Loop loop;
  const Queue<std::pair<int, int>> queue(0, Newest());
  queue.put_nowait({2, 20});
  queue.put_nowait({1, 10});
  const auto item = loop.run_until_complete(queue.get());
  BOOST_TEST(item.second == 10);
}

BOOST_AUTO_TEST_CASE(items_may_be_move_only) {
  Loop loop;
  const auto body = [](Queue<std::unique_ptr<int>> queue) -> Coroutine<int> {
    queue.put_nowait(std::make_unique<int>(1));
    auto task = asyncio::create_task(queue.put(std::make_unique<int>(2)));
    std::unique_ptr<int> a = co_await queue.get();
    co_await task;
    co_await queue.put(std::move(a));
    int sum = 0;
    while (!queue.empty()) {
      const std::unique_ptr<int> item = co_await queue.get();
      sum = sum * 10 + *item;
    }
    co_return sum;
  };
  BOOST_TEST(loop.run_until_complete(body(Queue<std::unique_ptr<int>>(2))) == 21);
  BOOST_TEST(loop.run_until_complete(body(LifoQueue<std::unique_ptr<int>>(2))) == 12);
  BOOST_TEST(loop.run_until_complete(body(PriorityQueue<std::unique_ptr<int>>(2))) != 0);
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
  BOOST_TEST(format(queue) == "maxsize=1 _queue[1] tasks=1>");
}

BOOST_AUTO_TEST_SUITE_END()
