// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? ?: with operands of class type after co_yield.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool first = trap::alive == 0;
  co_yield first ? trap::Object(1) : trap::Object(2);
}

int main() { return trap::balanced(body); }
