// SPDX-License-Identifier: BSL-1.0
//
// std::move(named) would be safe, but its type is that of an inline closure.
// refused by g++ 12: give it a name in its own statement first and pass the name
#include "../../include/asyncio/detail/compiler.hpp"
#include "trap.hpp"

template <class F>
trap::Later<int> create_server(F&&) {
  static_assert(asyncio::detail::require_inline_callable<F>());
  return trap::later(1);
}

trap::Coroutine<> body() {
  trap::Object object;
  auto factory = [object] {};
  co_await create_server(std::move(factory));
}
