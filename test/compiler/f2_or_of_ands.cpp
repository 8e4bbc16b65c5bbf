// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the awaits of `(a && co_await b()) || (c && co_await d())`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool no = false;
  if ((no && co_await trap::later(trap::event('b', true))) ||
      (no && co_await trap::later(trap::event('d', true)))) {
    trap::event('t', 0);
  }
}

int main() { return trap::happens("", body); }
