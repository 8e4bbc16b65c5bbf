// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline awaitable that is an owning aggregate.
#include "trap.hpp"

struct Operation {
  trap::Object object;

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}
};

trap::Coroutine<> body() {
  trap::Object object;
  co_await Operation{object};
}

int main() { return trap::balanced(body); }
