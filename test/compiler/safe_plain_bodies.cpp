// SPDX-License-Identifier: BSL-1.0
//
// Always right: bodies without a declaration that await in plain statements.
#include "trap.hpp"

trap::Coroutine<> leaf() { co_await trap::later(1); }

trap::Coroutine<> body() {
  try {
    while (trap::events.size() < 3) {
      trap::event('x', 0);
      co_await leaf();
    }
  } catch (...) {
    trap::event('c', 0);
  }
}

int main() { return trap::happens("xxx", body); }
