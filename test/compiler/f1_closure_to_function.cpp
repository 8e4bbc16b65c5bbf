// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline owning closure that is converted to std::function.
#include "trap.hpp"

#include <functional>

trap::Later<int> call(const std::function<int()>& callable) { return trap::later(callable()); }

trap::Coroutine<> body() {
  trap::Object object;
  co_await call([object] { return object.value(); });
}

int main() { return trap::balanced(body); }
