// SPDX-License-Identifier: BSL-1.0
//
// Always right: a declaration in the condition is enough to be compiled right.
#include "trap.hpp"

trap::Coroutine<> body() {
  if (bool ok = co_await trap::later(true); ok) trap::event('t', 0);
}

int main() { return trap::happens("t", body); }
