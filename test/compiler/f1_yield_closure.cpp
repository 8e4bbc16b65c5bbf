// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an owning closure written after co_yield.
#include "trap.hpp"

#include <functional>

trap::Coroutine<> body() {
  trap::Object object;
  co_yield std::function<void()>([object] {});
}

int main() { return trap::balanced(body); }
