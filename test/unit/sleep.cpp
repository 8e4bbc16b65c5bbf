// SPDX-License-Identifier: BSL-1.0
//
// sleep() (surface CO1, B2).
#include <asyncio/wait.hpp>

#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;
using namespace std::chrono_literals;

namespace {

Coroutine<> notes(Lines& log, std::string name, double seconds) {
  co_await asyncio::sleep(seconds);
  log.push_back(name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sleep_tests)

BOOST_AUTO_TEST_CASE(b2_a_delay_that_is_not_positive_is_one_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending zero = co_await ending(asyncio::sleep(0));
    const Ending negative = co_await ending(asyncio::sleep(-1));
    BOOST_TEST(zero.passes == 1u);
    BOOST_TEST(negative.passes == 1u);
  });
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(b2_a_delay_is_the_pass_that_fires_the_timer_and_one_more) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Ending end = co_await ending(asyncio::sleep(2.5));
    BOOST_TEST(end.passes == 2u);
  });
  BOOST_TEST((loop.time() == 2.5));
}

BOOST_AUTO_TEST_CASE(co1_a_delay_is_seconds_or_a_chrono_duration) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    co_await asyncio::sleep(1500ms);
    co_await asyncio::sleep(2);
  });
  BOOST_TEST((loop.time() == 3.5));
}

BOOST_AUTO_TEST_CASE(co1_a_result_is_what_the_await_gives) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const int now = co_await asyncio::sleep(0, 3);
    const std::string later = co_await asyncio::sleep(1, std::string("later"));
    std::unique_ptr<int> owned = co_await asyncio::sleep(1, std::make_unique<int>(5));
    BOOST_TEST(now == 3);
    BOOST_TEST(later == "later");
    BOOST_TEST(*owned == 5);
  });
}

BOOST_AUTO_TEST_CASE(co1_what_was_queued_before_a_delay_of_zero_runs_before_its_end) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    int calls = 0;
    loop.call_soon([&] { ++calls; });
    BOOST_TEST(calls == 0);
    const int result = co_await asyncio::sleep(0, 10);
    BOOST_TEST(calls == 1);
    BOOST_TEST(result == 10);
  });
}

BOOST_AUTO_TEST_CASE(co1_nan_is_a_value_error) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST(thrown_by([&] { (void)asyncio::sleep(nan); }) ==
             "ValueError('Invalid delay: NaN (not a number)')");
}

BOOST_AUTO_TEST_CASE(sleepers_wake_by_deadline_not_by_order_of_creation) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    co_await gather(notes(log, "c", 3), notes(log, "a", 1), notes(log, "b", 2));
  });
  BOOST_TEST(log == Lines({"a", "b", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_delay_begins_with_the_await) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto nap = asyncio::sleep(1);
    co_await asyncio::sleep(10);
    co_await std::move(nap);
  });
  BOOST_TEST((loop.time() == 11));
}

BOOST_AUTO_TEST_CASE(rule_53_a_cancelled_sleep_ends_in_the_next_pass_and_takes_its_timer_back) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto sleeper = create_task(sleeps(1000, 0));
    co_await asyncio::sleep(0);
    sleeper.cancel();
    const Ending end = co_await ending(sleeper);
    BOOST_TEST(end.passes == 2u);
    BOOST_TEST(end.what() == "CancelledError()");
  });
  BOOST_TEST(loop.leftovers() == Lines());
  BOOST_TEST((loop.time() == 0));
}

BOOST_AUTO_TEST_CASE(rule_53_a_cancelled_sleep_that_has_a_name_takes_its_timer_back) {
  Loop loop;
  const Future<> end(loop);
  const auto naps = [&]() -> Coroutine<> {
    auto nap = asyncio::sleep(3600s);
    try {
      co_await std::move(nap);
    } catch (const CancelledError&) {
    }
    co_await end;
  };
  const auto napper = loop.create_task(naps());
  loop.pass();
  napper.cancel();
  loop.pass();
  BOOST_TEST(loop.leftovers() == Lines({to_string(napper)}));
  end.set_result();
  loop.run_until_complete(napper);
}

BOOST_AUTO_TEST_CASE(rule_55_a_bare_yield_is_cancelled_one_pass_later) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto yielder = create_task([]() -> Coroutine<> { co_await asyncio::sleep(0); });
    co_await asyncio::sleep(0);  // now its first step is over
    yielder.cancel();
    const Ending end = co_await ending(yielder);
    BOOST_TEST(end.passes == 2u);
    BOOST_TEST(end.what() == "CancelledError()");
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_it_is_cancelled) {
  const auto passes = cancel_everywhere([](Loop&) -> Coroutine<> {
    const Counted local;
    co_await asyncio::sleep(0);
    const Counted result = co_await asyncio::sleep(5, Counted(1));
    co_await asyncio::sleep(-1);
  });
  BOOST_TEST(passes == 5u);
}

BOOST_AUTO_TEST_CASE(rule_50_it_is_used_up_by_awaiting_it) {
  Loop loop;
  auto nap = asyncio::sleep(1);
  const auto naps = [&]() -> Coroutine<> { co_await nap; };
  const auto first = loop.create_task(naps());
  const auto second = loop.create_task(naps());
  const std::string error = "RuntimeError('cannot reuse already awaited coroutine')";
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(second); }) == error);
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(first); }) == "None");
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(naps()); }) == error);
}

BOOST_AUTO_TEST_SUITE_END()
