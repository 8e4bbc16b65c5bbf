// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `co_return a ? v : co_await b()`.
#include "trap.hpp"

trap::Coroutine<int> body() {
  bool yes = true;
  co_return yes ? 1 : co_await trap::later(trap::event('b', 2));
}

int main() { return trap::happens("", body); }
