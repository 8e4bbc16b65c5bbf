// SPDX-License-Identifier: BSL-1.0
//
// Promise at a wrong address? a bare condition in a loop, without a declaration.
#include "trap.hpp"

trap::Coroutine<> body() {
  while (true) {
    if (co_await trap::later(true)) break;
  }
  trap::event('t', 0);
}

int main() { return trap::happens("t", body); }
