// SPDX-License-Identifier: BSL-1.0
//
// The race of attempts with staggered starts (rule 162): what is started, and who wins.
#include "staggered.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// Attempts that take so long and then fail, or succeed; and a log of what happens to them.
struct Race {
  struct Plan {
    double seconds;
    bool succeeds;
  };
  explicit Race(std::vector<Plan> plans) : plans(std::move(plans)) {}

  Coroutine<std::optional<std::size_t>> start(Duration delay) {
    detail::Attempt attempt = [this](std::size_t index) { return one(*this, index); };
    return detail::staggered_race(loop.scheduler(), plans.size(), std::move(attempt), delay);
  }
  /// To its end.
  std::string run(Duration delay) {
    const std::optional<std::size_t> winner = loop.run_until_complete(start(delay));
    return log + (winner ? "winner " + std::to_string(*winner) : "no winner") + now();
  }
  std::string now() const { return "@" + repr_float(loop.time().seconds() - begin); }

  static Coroutine<> one(Race& self, std::size_t index) {
    const std::string name = std::to_string(index);
    const Plan plan = self.plans[index];
    self.log += "start " + name + self.now() + " ";
    try {
      co_await asyncio::sleep(plan.seconds);
    } catch (const CancelledError&) {
      self.log += "cancelled " + name + self.now() + " ";
      throw;
    }
    if (!plan.succeeds) throw OSError("failed");
  }

  Loop loop;
  std::vector<Plan> plans;
  double begin = loop.time().seconds();
  std::string log;
};

const Duration never = Duration::max();

}  // namespace

BOOST_AUTO_TEST_SUITE(staggered_tests)

BOOST_AUTO_TEST_CASE(a_race_of_nobody_has_no_winner) {
  Race race({});
  BOOST_TEST(race.run(never) == "no winner@0.0");
}

BOOST_AUTO_TEST_CASE(a_success_in_time_is_the_only_attempt) {
  Race race({{0, true}, {0, true}});
  BOOST_TEST(race.run(never) == "start 0@0.0 winner 0@0.0");
}

BOOST_AUTO_TEST_CASE(a_failure_starts_the_next_attempt) {
  Race race({{0, false}, {0, true}});
  BOOST_TEST(race.run(never) == "start 0@0.0 start 1@0.0 winner 1@0.0");
}

BOOST_AUTO_TEST_CASE(the_delay_starts_the_next_attempt_and_its_success_cancels_the_first) {
  Race race({{10, true}, {0, true}});
  BOOST_TEST(race.run(1) == "start 0@0.0 start 1@1.0 cancelled 0@1.0 winner 1@1.0");
}

BOOST_AUTO_TEST_CASE(when_all_have_failed_there_is_no_winner) {
  Race race({{0, false}, {0, false}});
  BOOST_TEST(race.run(never) == "start 0@0.0 start 1@0.0 no winner@0.0");
}

BOOST_AUTO_TEST_CASE(rule_162_the_first_success_cancels_the_rest) {
  Race race({{10, true}, {3, true}, {10, true}, {10, true}});
  BOOST_TEST(race.run(2) ==
             "start 0@0.0 start 1@2.0 start 2@4.0 cancelled 0@5.0 cancelled 2@5.0 winner 1@5.0");
}

BOOST_AUTO_TEST_CASE(rule_162_the_next_attempt_starts_when_one_fails_or_after_the_delay) {
  Race race({{1, false}, {5, false}, {0, false}, {1, true}});
  BOOST_TEST(race.run(2) ==
             "start 0@0.0 start 1@1.0 start 2@3.0 start 3@3.0 cancelled 1@4.0 winner 3@4.0");
}

BOOST_AUTO_TEST_CASE(rule_162_without_success_all_attempts_run_to_their_end) {
  Race race({{5, false}, {1, false}});
  BOOST_TEST(race.run(2) == "start 0@0.0 start 1@2.0 no winner@5.0");
  Race none({});
  BOOST_TEST(none.run(2) == "no winner@0.0");
}

BOOST_AUTO_TEST_CASE(rule_162_with_delay_zero_all_attempts_start_at_once) {
  Race race({{3, true}, {2, true}, {1, true}});
  BOOST_TEST(race.run(0) ==
             "start 0@0.0 start 1@0.0 start 2@0.0 cancelled 0@1.0 cancelled 1@1.0 winner 2@1.0");
}

BOOST_AUTO_TEST_CASE(rule_162_a_race_works_with_eager_tasks) {
  Race race({{10, true}, {3, true}, {10, true}});
  race.loop.set_task_factory(eager_task_factory);
  BOOST_TEST(race.run(2) ==
             "start 0@0.0 start 1@2.0 start 2@4.0 cancelled 0@5.0 cancelled 2@5.0 winner 1@5.0");
}

BOOST_AUTO_TEST_CASE(rule_162_cancelling_the_race_cancels_every_attempt_and_waits_for_them) {
  Race race({{10, true}, {10, true}, {10, true}});
  auto body = [&]() -> Coroutine<std::string> {
    auto task = race.loop.create_task(race.start(2));
    co_await asyncio::sleep(3);
    task.cancel();
    std::string outcome;
    try {
      (void)co_await task;
    } catch (const CancelledError&) {
      outcome = "cancelled";
    }
    BOOST_TEST(all_tasks().size() == 1u);
    co_return outcome;
  };
  BOOST_TEST(race.loop.run_until_complete(body()) == "cancelled");
  BOOST_TEST(race.log == "start 0@0.0 start 1@2.0 cancelled 0@3.0 cancelled 1@3.0 ");
}

BOOST_AUTO_TEST_CASE(rule_162_a_loop_closed_during_a_race_destroys_all_of_it) {
  Race race({{10, true}, {10, true}, {10, true}});
  auto task = race.loop.create_task(race.start(2));
  race.loop.run_for(3);
  race.loop.close();
  BOOST_TEST(race.log == "start 0@0.0 start 1@2.0 ");
}

BOOST_AUTO_TEST_SUITE_END()
