// SPDX-License-Identifier: BSL-1.0
//
// An options struct with an owning member, on every compiler.
// refused by all: use string_view, numbers, pointers or optional<number>
#include "../../include/asyncio/detail/compiler.hpp"
#include "trap.hpp"

struct Options {
  trap::Object object = trap::Object();
};
static_assert(asyncio::detail::require_inline_options<Options>());
