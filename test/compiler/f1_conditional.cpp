// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? ?: with operands of class type.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool first = trap::alive == 0;
  co_await trap::take(first ? trap::Object(1) : trap::Object(2));
}

int main() { return trap::balanced(body); }
