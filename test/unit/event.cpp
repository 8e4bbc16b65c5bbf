// SPDX-License-Identifier: BSL-1.0
#include <optional>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// Waits, and notes in which pass it went on.
Coroutine<> note(Event event, Lines& lines, std::string name) {
  co_await event.wait();
  lines.push_back(name + '@' + std::to_string(get_running_loop().passes()));
}

std::string kind(const Event& event) {
  const std::string text = to_string(event);
  return text.substr(text.find('['));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_tests)

BOOST_AUTO_TEST_CASE(waiting_for_a_set_event_does_not_yield) {
  Loop loop;
  const Event event;
  event.set();
  const Ending end = loop.run([&] { return ending(event.wait()); });
  BOOST_TEST(end.passes == 0u);
  BOOST_TEST(end.what() == "None");
  const bool value = loop.run_until_complete(event.wait());
  BOOST_TEST(value);
}

BOOST_AUTO_TEST_CASE(set_wakes_all_in_order_of_arrival_one_pass_later_rules_83_87) {
  Loop loop;
  const Event event;
  Lines lines;
  std::vector<Task<>> tasks;
  for (const char* name : {"a", "b", "c"})
    tasks.push_back(loop.create_task(note(event, lines, name)));
  loop.pass();
  BOOST_TEST(!event.is_set());
  event.set();
  BOOST_TEST(event.is_set());
  BOOST_TEST(lines.empty());
  const std::string next = '@' + std::to_string(loop.passes() + 1);
  loop.pass();
  BOOST_TEST(lines == Lines({"a" + next, "b" + next, "c" + next}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_newcomer_does_not_wait_for_those_who_were_woken_rule_87) {
  Loop loop;
  const Event event;
  Lines lines;
  const auto first = loop.create_task(note(event, lines, "first"));
  loop.pass();
  const auto newcomer = loop.create_task(note(event, lines, "newcomer"));
  event.set();
  const std::string next = '@' + std::to_string(loop.passes() + 1);
  loop.pass();
  BOOST_TEST(lines == Lines({"newcomer" + next, "first" + next}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_woken_task_goes_on_though_the_flag_was_cleared_rule_87) {
  Loop loop;
  const Event event;
  const auto task = loop.create_task(event.wait());
  loop.pass();
  event.set();
  event.clear();
  BOOST_TEST(kind(event) == "[unset, waiters:1]>");
  loop.pass(1);
  BOOST_TEST_REQUIRE(task.done());
  BOOST_TEST(task.result());
  BOOST_TEST(kind(event) == "[unset]>");
}

BOOST_AUTO_TEST_CASE(clear_makes_tasks_wait_again) {
  Loop loop;
  const Event event;
  event.set();
  event.clear();
  event.clear();
  const auto task = loop.create_task(event.wait());
  loop.pass();
  BOOST_TEST(!task.done());
  event.set();
  event.set();
  BOOST_TEST(kind(event) == "[set, waiters:1]>");
  loop.pass(1);
  BOOST_TEST(task.done());
  BOOST_TEST(kind(event) == "[set]>");
}

BOOST_AUTO_TEST_CASE(a_cancelled_task_leaves_the_line_and_wakes_nobody) {
  Loop loop;
  const Event event;
  const auto first = loop.create_task(event.wait());
  const auto second = loop.create_task(event.wait());
  loop.pass();
  first.cancel();
  BOOST_TEST(kind(event) == "[unset, waiters:2]>");
  loop.pass();
  BOOST_TEST(first.cancelled());
  BOOST_TEST(!second.done());
  BOOST_TEST(kind(event) == "[unset, waiters:1]>");
  event.set();
  loop.pass();
  BOOST_TEST(second.done());
}

BOOST_AUTO_TEST_CASE(a_task_cancelled_after_it_was_woken_is_cancelled) {
  Loop loop;
  const Event event;
  const auto task = loop.create_task(event.wait());
  loop.pass();
  event.set();
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(kind(event) == "[set]>");
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_event) {
  const Event event;
  const Event copy = event;
  copy.set();
  BOOST_TEST(event.is_set());
}

BOOST_AUTO_TEST_CASE(nothing_happens_before_wait_is_awaited) {
  Loop loop;
  const Event event;
  {
    auto unused = event.wait();
    BOOST_TEST(kind(event) == "[unset]>");
    auto moved = std::move(unused);
    event.set();
    BOOST_TEST(loop.run([&] { return ending(std::move(moved)); }).what() == "None");
    BOOST_TEST(loop.run([&] { return ending(std::move(unused)); }).what() ==
               "RuntimeError('cannot reuse already awaited coroutine')");
  }
  loop.pass();
}

BOOST_AUTO_TEST_CASE(the_first_loop_that_waits_is_the_only_one_rule_83) {
  const Event event;
  event.set();
  {
    Loop other;
    BOOST_TEST(other.run([&] { return ending(event.wait()); }).what() == "None");
  }
  event.clear();
  Loop loop;
  const auto task = loop.create_task(event.wait());
  loop.pass();
  {
    Loop other;
    const std::string error = other.run([&] { return ending(event.wait()); }).what();
    BOOST_TEST(error.starts_with("RuntimeError('<asyncio.locks.Event object at 0x"));
    BOOST_TEST(error.ends_with(" [unset, waiters:1]> is bound to a different event loop')"));
    event.set();
    BOOST_TEST(other.run([&] { return ending(event.wait()); }).what() == "None");
  }
  loop.pass();
  BOOST_TEST(task.done());
}

BOOST_AUTO_TEST_CASE(works_in_wait_for_gather_and_shield) {
  Loop loop;
  const Event event;
  const Ending end = loop.run([&] { return ending(asyncio::wait_for(event.wait(), 1)); });
  BOOST_TEST(end.what() == "TimeoutError()");
  BOOST_TEST(kind(event) == "[unset]>");
  loop.call_later(1, [&] { event.set(); });
  const auto body = [&]() -> Coroutine<> {
    auto [a, b] = co_await asyncio::gather(event.wait(), asyncio::shield(event.wait()));
    BOOST_TEST(a);
    BOOST_TEST(b);
  };
  loop.run(body);
}

BOOST_AUTO_TEST_CASE(cancelled_or_destroyed_anywhere_nothing_is_left_behind) {
  std::optional<Event> event;
  cancel_everywhere([&](Loop& loop) -> Coroutine<> {
    const Counted local;
    event.emplace();
    loop.call_soon([&] { event->set(); });
    co_await event->wait();
    event->clear();
    loop.call_soon([&] { event->set(); });
    co_await event->wait();
  });
}

BOOST_AUTO_TEST_CASE(the_event_may_go_before_the_task_and_the_task_before_the_loop) {
  Loop loop;
  {
    std::optional<Event> event(std::in_place);
    (void)loop.create_task(event->wait());
    loop.pass();
    event.reset();
  }
  loop.pass();
  loop.close();
  BOOST_TEST(loop.reports() == Lines{"Task was destroyed but it is pending!"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_event_may_outlive_the_loop_in_which_tasks_wait) {
  const Event event;
  {
    Loop loop;
    (void)loop.create_task(event.wait());
    (void)loop.create_task(event.wait());
    loop.pass();
    BOOST_TEST(kind(event) == "[unset, waiters:2]>");
  }
  BOOST_TEST(kind(event) == "[unset]>");
  event.set();
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  const Event event;
  BOOST_TEST(to_string(event).starts_with("<asyncio.locks.Event object at 0x"));
  BOOST_TEST(kind(event) == "[unset]>");
  event.set();
  BOOST_TEST(kind(event) == "[set]>");
}

BOOST_AUTO_TEST_SUITE_END()
