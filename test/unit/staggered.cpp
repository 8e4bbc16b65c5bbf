// SPDX-License-Identifier: BSL-1.0
//
// The race of attempts with staggered starts (rule 162): what is started, and who wins.
#include "staggered.hpp"

#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

struct Attempt {
  double seconds;
  bool succeeds;
};

/// "starts and ends, winner": the attempts begin with their numbers and end with what they threw.
std::string race(std::vector<Attempt> attempts, Duration delay) {
  Loop loop;
  std::string log;
  const auto attempt = [&](std::size_t index) -> Coroutine<> {
    log += std::to_string(index) + ' ';
    const Ending end = co_await ending(asyncio::sleep(attempts[index].seconds));
    if (end.error) {
      log += end.what() + ' ';
      std::rethrow_exception(end.error);
    }
    if (!attempts[index].succeeds) throw ValueError("failed");
  };
  const std::optional<std::size_t> winner = loop.run_until_complete(
      detail::staggered_race(loop.scheduler(), attempts.size(), attempt, delay));
  return log + (winner ? "winner " + std::to_string(*winner) : "no winner");
}

const Duration never = Duration::max();

}  // namespace

BOOST_AUTO_TEST_SUITE(staggered_tests)

BOOST_AUTO_TEST_CASE(a_race_of_nobody_has_no_winner) { BOOST_TEST(race({}, never) == "no winner"); }

BOOST_AUTO_TEST_CASE(a_success_in_time_is_the_only_attempt) {
  BOOST_TEST(race({{0, true}, {0, true}}, never) == "0 winner 0");
}

BOOST_AUTO_TEST_CASE(a_failure_starts_the_next_attempt) {
  BOOST_TEST(race({{0, false}, {0, true}}, never) == "0 1 winner 1");
}

BOOST_AUTO_TEST_CASE(the_delay_starts_the_next_attempt_and_its_success_cancels_the_first) {
  BOOST_TEST(race({{10, true}, {0, true}}, 1) == "0 1 CancelledError() winner 1");
}

BOOST_AUTO_TEST_CASE(when_all_have_failed_there_is_no_winner) {
  BOOST_TEST(race({{0, false}, {0, false}}, never) == "0 1 no winner");
}

BOOST_AUTO_TEST_SUITE_END()
