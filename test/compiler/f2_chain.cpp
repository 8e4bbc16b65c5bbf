// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the call of `a && co_await b() && c`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool no = false;
  bool yes = true;
  bool all = no && co_await trap::later(trap::event('b', true)) && yes;
  trap::event('.', all);
}

int main() { return trap::happens(".", body); }
