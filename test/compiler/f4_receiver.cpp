// SPDX-License-Identifier: BSL-1.0
//
// Wrong order? `get().m(co_await x())`: get() comes first.
#include "trap.hpp"

struct Receiver {
  void method(int) {}
};
Receiver receiver;
Receiver& get() { return trap::event<Receiver&>('g', receiver); }

trap::Coroutine<> body() { get().method(co_await trap::later(trap::event('x', 1))); }

int main() { return trap::happens("gx", body); }
