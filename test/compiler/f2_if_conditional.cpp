// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `if (a ? v : co_await b())`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool yes = true;
  if (yes ? 1 : co_await trap::later(trap::event('b', 2))) trap::event('t', 0);
}

int main() { return trap::happens("t", body); }
