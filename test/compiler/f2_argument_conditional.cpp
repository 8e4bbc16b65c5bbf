// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `f(a ? v : co_await b())`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool yes = true;
  trap::event('f', yes ? 1 : co_await trap::later(trap::event('b', 2)));
}

int main() { return trap::happens("f", body); }
