// SPDX-License-Identifier: BSL-1.0
//
// Always right: a body that yields and declares nothing.
#include "trap.hpp"

trap::Coroutine<> body() {
  for (;;) {
    co_yield trap::event('a', 1);
    if (trap::events.size() == 3) co_return;
  }
}

int main() { return trap::happens("aaa", body); }
