// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? a variable made from braces with an await inside.
#include "trap.hpp"

struct Pair {
  trap::Object first;
  int second;
};

trap::Coroutine<> body() {
  Pair pair{trap::Object(1), co_await trap::later(2)};
  trap::event('.', pair.second);
}

int main() { return trap::balanced(body); }
