// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `while (a && co_await b())`.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool more = false;
  while (more && co_await trap::later(trap::event('b', false))) trap::event('x', 0);
}

int main() { return trap::happens("", body); }
