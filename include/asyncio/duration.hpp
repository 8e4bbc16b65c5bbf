// SPDX-License-Identifier: BSL-1.0
//
// Durations and points of loop time.
//
// Python counts both in float seconds. Here both are 64-bit nanoseconds inside, so that timers
// compare exactly, and both are accepted as seconds (`2`, `0.5`) or as any std::chrono duration.
// What does not fit saturates: about 292 years is for ever.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>
#include <string>
#include <type_traits>

#include <asyncio/bytes.hpp>
#include <asyncio/detail/chrono.hpp>
#include <asyncio/exceptions.hpp>

namespace asyncio::inline v1 {

namespace detail {

inline constexpr std::int64_t ticks_max = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t ticks_min = std::numeric_limits<std::int64_t>::min();

constexpr std::int64_t add_saturated(std::int64_t a, std::int64_t b) noexcept {
  if (b > 0 && a > ticks_max - b) return ticks_max;
  if (b < 0 && a < ticks_min - b) return ticks_min;
  return a + b;
}

constexpr std::int64_t negate_saturated(std::int64_t a) noexcept {
  return a == ticks_min ? ticks_max : -a;
}

// `count` units of Num/Den seconds in nanoseconds, to the nearest. Throws ValueError for NaN.
template <std::intmax_t Num, std::intmax_t Den, class Rep>
constexpr std::int64_t to_ticks(Rep count) {
  if constexpr (std::is_integral_v<Rep>) {
    using Factor = std::ratio_divide<std::ratio<Num, Den>, std::nano>;
    __extension__ using Wide = __int128;  // no count and period of practice overflow it
    const Wide scaled = static_cast<Wide>(count) * Factor::num;
    const Wide half = Factor::den / 2;
    const Wide ticks = (scaled < 0 ? scaled - half : scaled + half) / Factor::den;
    if (ticks > ticks_max) return ticks_max;
    if (ticks < ticks_min) return ticks_min;
    return static_cast<std::int64_t>(ticks);
  } else {
    using Float = std::common_type_t<Rep, double>;
    const Float ticks = static_cast<Float>(count) * (static_cast<Float>(Num) * 1'000'000'000 / Den);
    if (ticks != ticks) throw ValueError("Invalid delay: NaN (not a number)");
    if (ticks >= static_cast<Float>(ticks_max)) return ticks_max;
    if (ticks <= static_cast<Float>(ticks_min)) return ticks_min;
    const auto whole = static_cast<std::int64_t>(ticks);
    const Float rest = ticks - static_cast<Float>(whole);
    return rest >= Float(0.5) ? whole + 1 : rest <= Float(-0.5) ? whole - 1 : whole;
  }
}

}  // namespace detail

// A length of time. Constructing one from NaN throws ValueError (rule CO1).
class Duration {
 public:
  constexpr Duration() noexcept = default;

  template <class Arithmetic>
    requires std::is_arithmetic_v<Arithmetic>
  constexpr Duration(Arithmetic seconds) : ticks_(detail::to_ticks<1, 1>(seconds)) {}

  template <class Rep, class Period>
  constexpr Duration(std::chrono::duration<Rep, Period> length)
      : ticks_(detail::to_ticks<Period::num, Period::den>(length.count())) {}

  static constexpr Duration from_nanoseconds(std::int64_t count) noexcept {
    Duration result;
    result.ticks_ = count;
    return result;
  }
  static constexpr Duration max() noexcept { return from_nanoseconds(detail::ticks_max); }

  constexpr std::int64_t nanoseconds() const noexcept { return ticks_; }
  constexpr double seconds() const noexcept { return static_cast<double>(ticks_) / 1e9; }
  constexpr explicit operator std::chrono::nanoseconds() const noexcept {
    return std::chrono::nanoseconds(ticks_);
  }

  constexpr Duration operator-() const noexcept {
    return from_nanoseconds(detail::negate_saturated(ticks_));
  }
  friend constexpr Duration operator+(Duration a, Duration b) noexcept {
    return from_nanoseconds(detail::add_saturated(a.ticks_, b.ticks_));
  }
  friend constexpr Duration operator-(Duration a, Duration b) noexcept { return a + -b; }
  friend constexpr bool operator==(Duration, Duration) noexcept = default;
  friend constexpr auto operator<=>(Duration, Duration) noexcept = default;

 private:
  std::int64_t ticks_ = 0;
};

// A point of loop time: what loop.time() gives and call_at() takes, counted from the epoch of that
// loop's clock. Points of different loops have nothing to do with each other.
class TimePoint {
 public:
  constexpr TimePoint() noexcept = default;
  constexpr explicit TimePoint(Duration since_epoch) noexcept : since_epoch_(since_epoch) {}

  // Seconds since the epoch, so that call_at(12.5, ...) is what it is in Python.
  template <class Arithmetic>
    requires std::is_arithmetic_v<Arithmetic>
  constexpr TimePoint(Arithmetic seconds) : since_epoch_(seconds) {}

  static constexpr TimePoint from_nanoseconds(std::int64_t count) noexcept {
    return TimePoint(Duration::from_nanoseconds(count));
  }
  static constexpr TimePoint max() noexcept { return TimePoint(Duration::max()); }

  constexpr std::int64_t nanoseconds() const noexcept { return since_epoch_.nanoseconds(); }
  constexpr double seconds() const noexcept { return since_epoch_.seconds(); }
  constexpr Duration since_epoch() const noexcept { return since_epoch_; }

  friend constexpr TimePoint operator+(TimePoint point, Duration length) noexcept {
    return TimePoint(point.since_epoch_ + length);
  }
  friend constexpr TimePoint operator+(Duration length, TimePoint point) noexcept {
    return TimePoint(length + point.since_epoch_);
  }
  friend constexpr TimePoint operator-(TimePoint point, Duration length) noexcept {
    return TimePoint(point.since_epoch_ - length);
  }
  // A template, so that `point - 0.5` is not torn between the two readings of a number.
  template <std::same_as<TimePoint> Point>
  friend constexpr Duration operator-(TimePoint later, Point earlier) noexcept {
    return later.since_epoch_ - earlier.since_epoch();
  }
  friend constexpr bool operator==(TimePoint, TimePoint) noexcept = default;
  friend constexpr auto operator<=>(TimePoint, TimePoint) noexcept = default;

 private:
  Duration since_epoch_;
};

// The seconds as Python prints a float: "0.5", "10.0".
inline std::string to_string(Duration length) { return repr_float(length.seconds()); }
inline std::string to_string(TimePoint point) { return repr_float(point.seconds()); }

}  // namespace asyncio::inline v1
