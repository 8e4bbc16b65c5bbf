// SPDX-License-Identifier: BSL-1.0
//
// Refused? an anonymous union as a local variable.
#include "trap.hpp"

trap::Coroutine<> body() {
  union {
    int number;
    char text[4];
  };
  number = co_await trap::later(1);
  trap::event(number == 1 ? '+' : '-', 0);
}

int main() { return trap::happens("+", body); }
