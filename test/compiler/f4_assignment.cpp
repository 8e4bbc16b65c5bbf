// SPDX-License-Identifier: BSL-1.0
//
// Wrong order? `a[co_await i()] = co_await v()`: v() comes first.
#include "trap.hpp"

trap::Coroutine<> body() {
  int array[2] = {0, 0};
  array[co_await trap::later(trap::event('i', 1))] = co_await trap::later(trap::event('v', 7));
  trap::event(array[1] == 7 ? '+' : '-', 0);
}

int main() { return trap::happens("vi+", body); }
