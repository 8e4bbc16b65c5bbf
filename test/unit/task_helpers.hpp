// SPDX-License-Identifier: BSL-1.0
// What the tests of tasks have in common.
#pragma once

#include <asyncio/tasks.hpp>

#include <string>

#include "core_helpers.hpp"

namespace task_tests {

using namespace asyncio;
using namespace core_tests;

inline Coroutine<int> value(int result) { co_return result; }

inline Coroutine<> fail(std::string text) {
  throw ValueError(text);
  co_return;
}

inline Coroutine<> yields(int times) {
  for (int i = 0; i != times; ++i) co_await asyncio::sleep(0);
}

inline Coroutine<> wait_on(AnyFuture future) { co_await future; }

/// Waits, and hands out what came instead of a result.
inline Coroutine<> catch_into(AnyFuture future, std::exception_ptr* error) {
  try {
    co_await future;
  } catch (...) {
    *error = std::current_exception();
  }
}

/// Has an awaiter, and never suspends.
class Ready {
 public:
  explicit Ready(int value) : value_(value) {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value_; }

 private:
  int value_;
};

}  // namespace task_tests
