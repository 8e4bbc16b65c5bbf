// SPDX-License-Identifier: BSL-1.0
//
// Durations and points of loop time.
#include <asyncio/duration.hpp>

#include <chrono>
#include <limits>
#include <string>
#include <type_traits>

#include <boost/test/unit_test.hpp>

namespace {

using namespace asyncio;
using namespace std::chrono_literals;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();

std::int64_t ns(Duration length) { return length.nanoseconds(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(duration_tests)

BOOST_AUTO_TEST_CASE(numbers_are_seconds) {
  static_assert(std::is_trivially_copyable_v<Duration>);
  static_assert(std::is_trivially_copyable_v<TimePoint>);
  static_assert(Duration(1).nanoseconds() == 1'000'000'000);
  BOOST_TEST(ns(0.5) == 500'000'000);
  BOOST_TEST(ns(2u) == 2'000'000'000);
  BOOST_TEST(ns(0.1f) == 100'000'001);  // the nearest to that float
  BOOST_TEST(ns(-1) == -1'000'000'000);
  BOOST_TEST(ns({}) == 0);
}

BOOST_AUTO_TEST_CASE(chrono_durations_are_themselves) {
  BOOST_TEST(ns(500ms) == 500'000'000);
  BOOST_TEST(ns(3ns) == 3);
  BOOST_TEST(ns(24h) == 86'400'000'000'000);
  BOOST_TEST(ns(std::chrono::duration<double>(0.25)) == 250'000'000);
  BOOST_TEST(ns(std::chrono::duration<double, std::milli>(1.5)) == 1'500'000);
  BOOST_TEST((static_cast<std::chrono::nanoseconds>(Duration(0.5)) == 500ms));
}

BOOST_AUTO_TEST_CASE(conversions_round_to_the_nearest_nanosecond) {
  BOOST_TEST(ns(0.3) == 300'000'000);
  BOOST_TEST(ns(0.6e-9) == 1);
  BOOST_TEST(ns(0.4e-9) == 0);
  BOOST_TEST(ns(-0.6e-9) == -1);
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  BOOST_TEST(ns(picoseconds(1500)) == 2);
  BOOST_TEST(ns(picoseconds(1499)) == 1);
  BOOST_TEST(ns(picoseconds(-1500)) == -2);
  BOOST_TEST(ns(4503599.627370497) == 4503599627370497);  // no drift beyond 2^52 either
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_saturates) {
  BOOST_TEST(ns(1e300) == most);
  BOOST_TEST(ns(-1e300) == least);
  BOOST_TEST(ns(std::numeric_limits<double>::infinity()) == most);
  BOOST_TEST(ns(most) == most);
  BOOST_TEST(ns(std::numeric_limits<std::uint64_t>::max()) == most);
  BOOST_TEST(ns(std::chrono::years(1000)) == most);
  BOOST_TEST(ns(std::chrono::hours::min()) == least);
  BOOST_TEST(ns(Duration::max() + 1ns) == most);
  BOOST_TEST(ns(-Duration::max() - 5ns) == least);
  BOOST_TEST(ns(-Duration::from_nanoseconds(least)) == most);
}

BOOST_AUTO_TEST_CASE(rule_co1_nan_is_a_value_error) {
  const auto text_is_pythons = [](const ValueError& error) {
    return error.what() == std::string("Invalid delay: NaN (not a number)");
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_CHECK_EXCEPTION(Duration{nan}, ValueError, text_is_pythons);
  BOOST_CHECK_EXCEPTION(Duration{std::chrono::duration<double>(nan)}, ValueError, text_is_pythons);
  BOOST_CHECK_EXCEPTION(TimePoint{nan}, ValueError, text_is_pythons);
}

BOOST_AUTO_TEST_CASE(durations_add_subtract_and_compare) {
  BOOST_TEST(ns(Duration(0.5) + 500ms) == 1'000'000'000);
  BOOST_TEST(ns(1 - Duration(0.25)) == 750'000'000);
  BOOST_TEST(ns(-Duration(2)) == -2'000'000'000);
  BOOST_TEST((Duration(0.5) == 500ms));
  BOOST_TEST((Duration(0.5) < 1));
  BOOST_TEST((0 < Duration(0.5)));
}

BOOST_AUTO_TEST_CASE(points_move_by_seconds_and_by_chrono) {
  const TimePoint point = 12.5;
  BOOST_TEST((point + 0.5).nanoseconds() == 13'000'000'000);
  BOOST_TEST((point + 500ms).nanoseconds() == 13'000'000'000);
  BOOST_TEST((0.5 + point).nanoseconds() == 13'000'000'000);
  BOOST_TEST((point - 0.5).nanoseconds() == 12'000'000'000);
  BOOST_TEST((point - 500ms).nanoseconds() == 12'000'000'000);
  BOOST_TEST(ns(point - TimePoint(12)) == 500'000'000);
  BOOST_TEST((TimePoint::max() + 1 == TimePoint::max()));
}

BOOST_AUTO_TEST_CASE(points_compare_also_with_seconds) {
  const TimePoint point = 12.5;
  BOOST_TEST((point == 12.5));
  BOOST_TEST((point < point + 1ns));
  BOOST_TEST((point > 12));
  BOOST_TEST(point.seconds() == 12.5);
}

BOOST_AUTO_TEST_CASE(length_does_not_pass_for_a_point) {
  static_assert(!std::is_convertible_v<Duration, TimePoint>);
  static_assert(!std::is_convertible_v<TimePoint, Duration>);
  BOOST_TEST((TimePoint(Duration(2)) == TimePoint::from_nanoseconds(2'000'000'000)));
}

BOOST_AUTO_TEST_CASE(durations_print_as_float_seconds) {
  BOOST_TEST(to_string(Duration(0.5)) == "0.5");
  BOOST_TEST(to_string(Duration(10)) == "10.0");
  BOOST_TEST(to_string(Duration(1ns)) == "1e-09");
  BOOST_TEST(to_string(TimePoint(12.25)) == "12.25");
}

BOOST_AUTO_TEST_SUITE_END()
