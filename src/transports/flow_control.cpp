// SPDX-License-Identifier: BSL-1.0
#include "flow_control.hpp"

#include <asyncio/exceptions.hpp>
#include <limits>
#include <string>

namespace asyncio::inline v1::detail {

WaterMarks water_marks(WriteBufferLimits limits, std::size_t usual_high) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  std::size_t high = usual_high;
  if (limits.high)
    high = *limits.high;
  else if (limits.low)
    high = *limits.low > most / 4 ? most : *limits.low * 4;
  const std::size_t low = limits.low.value_or(high / 4);
  if (high < low) {
    throw ValueError("high (" + std::to_string(high) + ") must be >= low (" + std::to_string(low) +
                     ") must be >= 0");
  }
  return {high, low};
}

}  // namespace asyncio::inline v1::detail
