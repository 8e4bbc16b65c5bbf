// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include <asyncio/bytes.hpp>

namespace asyncio::inline v1::detail {

/// Where bytes lie that have arrived: a socket. Who knows of so many may fetch them when it knows
/// where they go, and spares a copy.
class ByteSource {
 public:
  /// How many there are; 0 if a copy costs less than that.
  virtual std::size_t available() noexcept = 0;
  /// Fills `memory`, for which there are enough. Fewer come only if the connection breaks.
  virtual std::size_t fetch(MutableBytes memory) noexcept = 0;

 protected:
  ~ByteSource() = default;
};

}  // namespace asyncio::inline v1::detail
