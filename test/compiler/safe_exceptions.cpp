// SPDX-License-Identifier: BSL-1.0
//
// Always right: exceptions through awaits, caught, rethrown, and awaiting after the handler.
#include "trap.hpp"

trap::Coroutine<> failing(trap::Object object) {
  trap::Object local(object);
  co_await trap::later(1);
  throw 0;
}

trap::Coroutine<> body() {
  trap::Object object;
  bool failed = false;
  try {
    co_await failing(object);
  } catch (int) {
    if (trap::throw_at != 0 && trap::completed == trap::throw_at) throw;
    failed = true;
  }
  if (failed) co_await trap::later(object);
}

int main() { return trap::always_balanced(body); }
