// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an owning closure for another call of the awaiting statement.
#include "trap.hpp"

int ordinary(const auto& callable) { return callable(); }

trap::Coroutine<> body() {
  trap::Object object(1);
  co_await trap::later(ordinary([object] { return object.value(); }));
}

int main() { return trap::balanced(body); }
