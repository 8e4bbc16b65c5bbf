// SPDX-License-Identifier: BSL-1.0
//
// Always right: an owning closure written in a statement that awaits nothing.
#include "trap.hpp"

template <class Body>
trap::Coroutine<> scope(Body body) {
  co_await body();
}

trap::Coroutine<> body() {
  trap::Object object;
  auto started = scope([object]() -> trap::Coroutine<> { co_await trap::later(object); });
  co_await std::move(started);
}

int main() { return trap::always_balanced(body); }
