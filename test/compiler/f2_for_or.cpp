// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `a || co_await b()` in the increment of `for`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool yes = true;
  for (int i = 0; i < 1; ++i, (void)(yes || co_await trap::later(trap::event('b', true)))) {
  }
}

int main() { return trap::happens("", body); }
