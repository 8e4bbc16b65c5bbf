// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an await in braces that throws after the first element was built.
#include "trap.hpp"

struct Pair {
  trap::Object first;
  int second;
};

trap::Coroutine<> body() {
  Pair pair{trap::Object(1), co_await trap::later(2)};
  trap::event('.', pair.second);
}

int main() { return trap::always_balanced(body); }
