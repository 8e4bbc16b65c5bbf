// SPDX-License-Identifier: BSL-1.0
//
// An options struct that cannot be written with designated initialisers, on every compiler.
// refused by all: declare no constructor and no private member
#include "../../include/asyncio/detail/compiler.hpp"

struct Options {
  explicit Options(int number) : backlog(number) {}
  int backlog;
};
static_assert(asyncio::detail::require_inline_options<Options>());
