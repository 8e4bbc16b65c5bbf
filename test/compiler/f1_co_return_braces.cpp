// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? co_return of braces with an await inside.
#include "trap.hpp"

struct Pair {
  trap::Object first;
  int second;
};

trap::Coroutine<Pair> body() { co_return {trap::Object(1), co_await trap::later(2)}; }

int main() { return trap::balanced(body); }
