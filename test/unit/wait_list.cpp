// SPDX-License-Identifier: BSL-1.0
// The line in which tasks wait, without tasks.
#include <deque>

#include <boost/test/unit_test.hpp>

#include <asyncio/detail/wait_list.hpp>

using asyncio::detail::Waiter;
using asyncio::detail::WaitList;

namespace {

/// Nobody waits with it.
struct Place final : Waiter {};

struct Line {
  explicit Line(std::size_t count) {
    while (waiters.size() != count) list.push_back(waiters.emplace_back());
  }
  ~Line() {
    for (Place& waiter : waiters) list.remove(waiter);
  }
  /// One letter each: w for woken, c for cancelled, a dash for asleep.
  std::string states() const {
    std::string text;
    for (const Place& waiter : waiters)
      text += !waiter.done() ? '-' : waiter.cancelled() ? 'c' : 'w';
    return text;
  }
  void cancel(std::size_t i) { waiters[i].cancel(nullptr); }

  std::deque<Place> waiters;
  WaitList list;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(wait_list_tests)

BOOST_AUTO_TEST_CASE(an_empty_line_wakes_nobody) {
  WaitList list;
  list.wake_first();
  list.wake_all();
  BOOST_TEST(list.empty());
  BOOST_TEST(list.size() == 0u);
  BOOST_TEST(!list.has_uncancelled());
  BOOST_TEST(!list.wake_next());
  BOOST_TEST(!list.dismiss_next());
}

BOOST_AUTO_TEST_CASE(wake_first_never_looks_behind_the_first) {
  Line line(3);
  line.list.wake_first();
  BOOST_TEST(line.states() == "w--");
  line.list.wake_first();
  BOOST_TEST(line.states() == "w--");
  line.list.remove(line.waiters[0]);
  line.cancel(1);
  line.list.wake_first();
  BOOST_TEST(line.states() == "wc-");
}

BOOST_AUTO_TEST_CASE(wake_next_skips_the_woken_and_the_cancelled) {
  Line line(5);
  line.cancel(1);
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(line.states() == "wcw--");
  line.cancel(3);
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(line.states() == "wcwcw");
  BOOST_TEST(!line.list.wake_next());
  BOOST_TEST(line.list.size() == 5u);
}

BOOST_AUTO_TEST_CASE(wake_next_finds_those_who_come_later) {
  Line line(1);
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(!line.list.wake_next());
  line.list.push_back(line.waiters.emplace_back());
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(line.states() == "ww");
}

BOOST_AUTO_TEST_CASE(wake_next_goes_on_behind_those_who_left) {
  Line line(4);
  line.list.remove(line.waiters[0]);
  line.list.remove(line.waiters[2]);
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(line.list.wake_next());
  BOOST_TEST(!line.list.wake_next());
  BOOST_TEST(line.states() == "-w-w");
}

BOOST_AUTO_TEST_CASE(dismiss_next_takes_out_all_up_to_the_one_it_wakes) {
  Line line(4);
  line.cancel(0);
  line.cancel(1);
  BOOST_TEST(line.list.dismiss_next());
  BOOST_TEST(line.states() == "ccw-");
  BOOST_TEST(line.list.size() == 1u);
  line.cancel(3);
  BOOST_TEST(!line.list.dismiss_next());
  BOOST_TEST(line.list.empty());
}

BOOST_AUTO_TEST_CASE(only_the_cancelled_do_not_count) {
  Line line(2);
  BOOST_TEST(line.list.has_uncancelled());
  line.cancel(0);
  BOOST_TEST(line.list.has_uncancelled());
  line.list.wake_next();
  BOOST_TEST(line.list.has_uncancelled());
  line.list.remove(line.waiters[1]);
  BOOST_TEST(!line.list.has_uncancelled());
}

BOOST_AUTO_TEST_CASE(leaving_twice_is_harmless_anywhere_in_the_line) {
  Line line(3);
  for (const std::size_t i : {1u, 1u, 0u, 2u, 0u}) line.list.remove(line.waiters[i]);
  BOOST_TEST(line.list.empty());
  line.list.push_back(line.waiters[2]);
  line.list.push_back(line.waiters[0]);
  BOOST_TEST(line.list.size() == 2u);
  line.list.wake_first();
  BOOST_TEST(line.states() == "--w");
}

BOOST_AUTO_TEST_SUITE_END()
