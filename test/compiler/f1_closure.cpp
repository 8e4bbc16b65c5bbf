// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline closure that owns something.
#include "trap.hpp"

trap::Coroutine<> body() {
  trap::Object object;
  co_await trap::take([object] {});
}

int main() { return trap::balanced(body); }
