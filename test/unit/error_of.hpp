// SPDX-License-Identifier: BSL-1.0
// For tests of what an await throws.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <asyncio/coroutine.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>

namespace unit_tests {

/// Its repr; "None" if nothing is thrown.
template <class A>
asyncio::Coroutine<std::string> error_of(A awaitable) {
  try {
    co_await std::move(awaitable);
  } catch (...) {
    co_return asyncio::repr(std::current_exception());
  }
  co_return "None";
}

/// The same, of what the loop then runs to its end.
template <class A>
std::string error_of(asyncio::EventLoop& loop, A awaitable) {
  return loop.run_until_complete(error_of(std::move(awaitable)));
}

}  // namespace unit_tests
