// SPDX-License-Identifier: BSL-1.0
//
// Right? the await inside __builtin_constant_p, which evaluates nothing.
#include "trap.hpp"

trap::Coroutine<> body() {
  (void)__builtin_constant_p(co_await trap::later(trap::event('x', 1)));
  trap::event('.', 0);
}

int main() { return trap::happens(".", body); }
