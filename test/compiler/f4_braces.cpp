// SPDX-License-Identifier: BSL-1.0
//
// Wrong order? `{f(), co_await g(), h()}` runs from left to right.
#include "trap.hpp"

struct Three {
  int a, b, c;
};

trap::Coroutine<> body() {
  Three three{trap::event('f', 1), co_await trap::later(trap::event('g', 2)), trap::event('h', 3)};
  trap::event(three.b == 2 ? '+' : '-', 0);
}

int main() { return trap::happens("fgh+", body); }
