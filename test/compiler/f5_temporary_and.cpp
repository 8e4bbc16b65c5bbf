// SPDX-License-Identifier: BSL-1.0
//
// Refused? `f(T()) && co_await g()`.
#include "trap.hpp"

bool use(const trap::Object&) { return trap::event('u', true); }

trap::Coroutine<> body() {
  bool both = use(trap::Object()) && co_await trap::later(true);
  trap::event(both ? '+' : '-', 0);
}

int main() { return trap::happens("u+", body); }
