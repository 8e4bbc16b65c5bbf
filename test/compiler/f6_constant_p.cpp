// SPDX-License-Identifier: BSL-1.0
//
// Right? the await inside __builtin_constant_p, which evaluates nothing.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool constant = __builtin_constant_p(co_await trap::later(trap::event('x', 1)));
  trap::event(constant ? 'c' : '.', 0);
}

int main() { return trap::happens(".", body); }
