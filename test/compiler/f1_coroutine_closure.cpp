// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline coroutine lambda that owns something.
#include "trap.hpp"

template <class Body>
trap::Coroutine<> scope(Body body) {
  co_await body();
}

trap::Coroutine<> body() {
  trap::Object object;
  co_await scope([object]() -> trap::Coroutine<> { co_await trap::later(object.value()); });
}

int main() { return trap::balanced(body); }
