// SPDX-License-Identifier: BSL-1.0
// NoneType: the type of Python's None.
#pragma once

#include <compare>

namespace asyncio::inline v1 {

/// Stands for a result of type void where a value is needed: among the results of gather(), in a
/// Result. Shown as "None". Python: types.NoneType.
struct NoneType {
  friend constexpr auto operator<=>(NoneType, NoneType) noexcept = default;
};

}  // namespace asyncio::inline v1
