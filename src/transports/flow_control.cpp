// SPDX-License-Identifier: BSL-1.0
#include "flow_control.hpp"

#include <asyncio/exceptions.hpp>
#include <limits>
#include <string>

namespace asyncio::inline v1::detail {

void WaterMarks::set(WriteBufferLimits limits) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  std::size_t new_high = usual;
  if (limits.high)
    new_high = *limits.high;
  else if (limits.low)
    new_high = *limits.low > most / 4 ? most : *limits.low * 4;
  const std::size_t new_low = limits.low.value_or(new_high / 4);
  if (new_high < new_low) {
    throw ValueError("high (" + std::to_string(new_high) + ") must be >= low (" +
                     std::to_string(new_low) +
                     ") must be >= 0");
  }
  high = new_high;
  low = new_low;
}

}  // namespace asyncio::inline v1::detail
