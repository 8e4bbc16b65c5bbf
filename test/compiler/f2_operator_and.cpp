// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `x += a && co_await b()`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool no = false;
  int sum = 0;
  sum += no && co_await trap::later(trap::event('b', true));
  trap::event('.', sum);
}

int main() { return trap::happens(".", body); }
