// SPDX-License-Identifier: BSL-1.0
//
// Always right: owning data that travels as arguments of an inline lambda.
#include "trap.hpp"

template <class Body, class... Args>
trap::Coroutine<> scope(Body body, Args... args) {
  co_await body(args...);
}

trap::Coroutine<> body() {
  trap::Object object;
  int out = 0;
  co_await scope(
      [](trap::Object given, int* result) -> trap::Coroutine<> {
        trap::Object awaited = co_await trap::later(given);
        *result = awaited.value();
      },
      object, &out);
}

int main() { return trap::always_balanced(body); }
