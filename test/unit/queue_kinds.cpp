// SPDX-License-Identifier: BSL-1.0
//
// What the kinds of queue make of their items: order, stores, repr (surface QU1-QU3, QU11, rule
// 100).
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/queues.hpp>

#include "queue_visits.hpp"

using namespace on_virtual_time;

namespace {

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

/// "[...]", the items as the queue's repr shows them.
template <class T>
std::string items(const Queue<T>& queue) {
  const std::string text = format(queue);
  const auto begin = text.find("_queue=") + 7;
  return text.substr(begin, text.find(" tasks=") - begin);
}
template <class T>
std::string items_of(const std::vector<T>& values) {
  const Queue<T> queue;
  for (const T& value : values) queue.put_nowait(value);
  return items(queue);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(queue_kinds_tests)

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

BOOST_AUTO_TEST_CASE(items_are_printed_as_in_python) {
  BOOST_TEST(items_of<int>({1, -2}) == "[1, -2]");
  BOOST_TEST(items_of<bool>({true, false}) == "[True, False]");
  BOOST_TEST(items_of<double>({1, 0.1}) == "[1.0, 0.1]");
  BOOST_TEST(items_of<std::string>({"a", "b'c"}) == R"(['a', "b'c"])");
  BOOST_TEST(items_of<std::string_view>({"a"}) == "['a']");
  BOOST_TEST(items_of<TimePoint>({TimePoint(1.5)}) == "[1.5]");
  BOOST_TEST(items_of<Job>({Job{1, 'x'}}).starts_with("[<Job object at 0x"));
  const Queue<std::unique_ptr<int>> boxes;
  boxes.put_nowait(std::make_unique<int>(1));
  BOOST_TEST(items(boxes).starts_with("[<unique_ptr<int"));
}

BOOST_AUTO_TEST_CASE(items_are_printed_in_the_order_in_which_they_lie) {
  const PriorityQueue<int> heap;
  const LifoQueue<int> stack;
  for (const int i : {3, 1, 2}) {
    heap.put_nowait(i);
    stack.put_nowait(i);
  }
  BOOST_TEST(items(heap) == "[1, 3, 2]");
  BOOST_TEST(items(stack) == "[3, 1, 2]");
}

BOOST_AUTO_TEST_CASE(a_store_of_the_users_shows_its_items_if_it_has_items) {
  struct Showing : private std::vector<int> {
    void put(int item) { push_back(item); }
    int get() {
      const int item = back();
      pop_back();
      return item;
    }
    const std::vector<int>& items() const { return *this; }
  };
  const Queue<int> showing(0, Showing());
  showing.put_nowait(1);
  BOOST_TEST(format(showing) == "maxsize=0 _queue=[1] tasks=1>");
  const Queue<std::pair<int, int>> silent(0, Newest());
  silent.put_nowait({2, 20});
  BOOST_TEST(format(silent) == "maxsize=0 tasks=1>");
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  BOOST_TEST(to_string(Queue<int>()).starts_with("<Queue at 0x"));
  BOOST_TEST(to_string(PriorityQueue<int>()).starts_with("<PriorityQueue at 0x"));
  BOOST_TEST(to_string(LifoQueue<int>()).starts_with("<LifoQueue at 0x"));
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

BOOST_AUTO_TEST_SUITE_END()
