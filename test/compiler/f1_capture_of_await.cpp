// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? a closure that captures the result of an await.
#include "trap.hpp"

trap::Coroutine<> body() {
  auto closure = [object = co_await trap::later(trap::Object())] { return object.value(); };
  closure();
}

int main() { return trap::balanced(body); }
