// SPDX-License-Identifier: BSL-1.0
//
// Promise at a wrong address? a bare condition in a body without a declaration.
#include "trap.hpp"

trap::Coroutine<> body() {
  if (co_await trap::later(true)) trap::event('t', 0);
}

int main() { return trap::happens("t", body); }
