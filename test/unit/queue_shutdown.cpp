// SPDX-License-Identifier: BSL-1.0
//
// task_done(), join() and shutdown() of every kind of queue (surface QU8-QU10, rules 98, 99).
#include <memory>
#include <string>
#include <tuple>

#include <boost/test/unit_test.hpp>

#include <asyncio/queues.hpp>

#include "queue_visits.hpp"

using namespace on_virtual_time;

namespace {

using Kinds = std::tuple<Queue<int>, LifoQueue<int>, PriorityQueue<int>>;

const std::string too_many = "ValueError('task_done() called too many times')";

std::string task_done(const Queue<int>& queue) {
  return thrown_by([&] { queue.task_done(); });
}

/// Every way to put and to get is shut.
void check_shut(Visits& v) {
  v.lines.clear();
  v.loop.run_until_complete(v.put_one("put", 1));
  v.loop.run_until_complete(v.get_one("get"));
  check(std::exchange(v.lines, {}), {"put!QueueShutDown()", "get!QueueShutDown()"});
  BOOST_TEST(thrown_by([&] { v.queue.put_nowait(1); }) == "QueueShutDown()");
  BOOST_TEST(thrown_by([&] { v.queue.get_nowait(); }) == "QueueShutDown()");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(queue_shutdown_tests)

BOOST_AUTO_TEST_CASE_TEMPLATE(task_done_too_often_is_refused_rule_98, Kind, Kinds) {
  const Kind queue;
  BOOST_TEST(task_done(queue) == too_many);
  queue.put_nowait(1);
  queue.task_done();
  BOOST_TEST(task_done(queue) == too_many);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_not_done_is_printed, Kind, Kinds) {
  const Kind queue;
  BOOST_TEST(format(queue) == "maxsize=0>");
  for (int i = 0; i != 2; ++i) queue.put_nowait(i);
  drained(queue);
  BOOST_TEST(format(queue) == "maxsize=0 tasks=2>");
  queue.shutdown();
  BOOST_TEST(format(queue) == "maxsize=0 tasks=2 shutdown>");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(join_does_not_yield_if_nothing_was_ever_put_rule_98, Kind, Kinds) {
  Loop loop;
  const Kind queue;
  for (int i = 0; i != 2; ++i)
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

BOOST_AUTO_TEST_CASE_TEMPLATE(join_waits_for_the_workers_rule_98, Kind, Kinds) {
  Loop loop;
  const Kind queue;
  for (int i = 0; i != 100; ++i) queue.put_nowait(i);
  int sum = 0;
  bool running = true;
  const auto work = [&]() -> Coroutine<> {
    while (running) {
      const int item = co_await queue.get();
      sum += item;
      queue.task_done();
    }
  };
  const std::vector<Task<>> workers{loop.create_task(work()), loop.create_task(work())};
  loop.run_until_complete(queue.join());
  BOOST_TEST(sum == 99 * 100 / 2);
  running = false;
  for (int i = 0; i != 2; ++i) queue.put_nowait(0);
  loop.run_until_complete(asyncio::gather(workers));
  BOOST_TEST(format(queue) == "maxsize=0>");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shutdown_of_an_empty_queue_rule_99, Kind, Kinds) {
  Visits v{Kind()};
  v.getter("a");
  v.getter("b");
  v.pass();
  v.queue.shutdown();
  BOOST_TEST(format(v.queue) == "maxsize=0 shutdown>");
  check(v.pass(1), {"a!QueueShutDown()", "b!QueueShutDown()"});
  check_shut(v);
  BOOST_TEST(v.loop.run([&] { return ending(v.queue.join()); }).passes == 0u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shutdown_of_a_full_queue_leaves_the_items_rule_99, Kind, Kinds) {
  Visits v{Kind(2)};
  for (int i = 0; i != 2; ++i) v.queue.put_nowait(7);
  const auto join = v.loop.create_task(v.queue.join());
  v.putter("a", 1);
  v.putter("b", 2);
  v.pass();
  v.queue.shutdown();
  v.queue.shutdown();  // once is enough
  BOOST_TEST(format(v.queue) == "maxsize=2 _queue=[7, 7] tasks=2 shutdown>");
  check(v.pass(1), {"a!QueueShutDown()", "b!QueueShutDown()"});
  v.getter("get");
  check(v.pass(), {"get7"});
  v.putter("late", 3);  // there is room, and yet
  check(v.pass(), {"late!QueueShutDown()"});
  BOOST_TEST(v.queue.get_nowait() == 7);
  check_shut(v);
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.task_done();
  v.pass(1);
  BOOST_TEST(join.done());
  BOOST_TEST(task_done(v.queue) == too_many);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shutdown_at_once_drops_the_items_rule_99, Kind, Kinds) {
  Visits v{Kind(2)};
  for (int i = 0; i != 2; ++i) v.queue.put_nowait(i);
  const auto join = v.loop.create_task(v.queue.join());
  v.putter("p", 3);
  v.pass();
  v.queue.shutdown(true);
  BOOST_TEST(format(v.queue) == "maxsize=2 shutdown>");
  check(v.pass(1), {"p!QueueShutDown()"});
  BOOST_TEST(join.done());
  check_shut(v);
  BOOST_TEST(task_done(v.queue) == too_many);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shutdown_at_once_leaves_what_is_being_worked_on_rule_99, Kind,
                              Kinds) {
  Visits v{Kind()};
  for (int i = 0; i != 2; ++i) v.queue.put_nowait(7);
  const auto join = v.loop.create_task(v.queue.join());
  BOOST_TEST(v.queue.get_nowait() == 7);
  v.queue.shutdown(true);
  BOOST_TEST(v.queue.empty());
  v.pass();
  BOOST_TEST(!join.done());
  check_shut(v);
  v.queue.task_done();
  BOOST_TEST(task_done(v.queue) == too_many);
  v.pass(1);
  BOOST_TEST(join.done());
}

BOOST_AUTO_TEST_CASE(shutdown_at_once_takes_an_item_out_before_it_is_destroyed_rule_99) {
  Queue<std::shared_ptr<int>> queue;
  std::string seen;
  queue.put_nowait(std::shared_ptr<int>(new int, [&](int* item) {
    delete item;
    seen = thrown_by([&] { queue.get_nowait(); });
  }));
  queue.shutdown(true);
  BOOST_TEST(seen == "QueueShutDown()");
}

BOOST_AUTO_TEST_CASE(an_orderly_shutdown_may_be_followed_by_one_at_once_rule_99) {
  Visits v;
  v.queue.put_nowait(1);
  const auto join = v.loop.create_task(v.queue.join());
  v.queue.shutdown();
  v.pass();
  BOOST_TEST(!join.done());
  v.queue.shutdown(true);
  v.pass(1);
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

BOOST_AUTO_TEST_CASE(a_putter_woken_and_then_shut_out_rule_99) {
  Visits v(1);
  v.queue.put_nowait(0);
  v.putter("a", 1);
  v.pass();
  BOOST_TEST(v.queue.get_nowait() == 0);
  v.queue.shutdown();
  check(v.pass(), {"a!QueueShutDown()"});
  BOOST_TEST(v.queue.empty());
}

BOOST_AUTO_TEST_SUITE_END()
