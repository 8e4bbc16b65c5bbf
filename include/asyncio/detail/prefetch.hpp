// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace asyncio::inline v1::detail {

/// Asks the processor to have this in its cache soon, whatever it is.
inline void prefetch([[maybe_unused]] const void* place) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(place);
#endif
}

}  // namespace asyncio::inline v1::detail
