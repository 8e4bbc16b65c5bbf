// SPDX-License-Identifier: BSL-1.0
//
// Always right: owning closures that have a name, and copies and moves of them.
#include "trap.hpp"

#include <functional>

trap::Later<int> call(const std::function<int()>& callable) { return trap::later(callable()); }

trap::Coroutine<> body() {
  trap::Object object;
  auto closure = [object] { return object.value(); };
  co_await trap::take(closure);
  co_await trap::take_value(closure);
  co_await call(closure);
  co_await trap::take(std::bind_front(closure));
  co_await trap::take(std::move(closure));
  auto coroutine = [object]() -> trap::Coroutine<int> {
    co_await trap::later(object);
    co_return object.value();
  };
  co_await coroutine();
}

int main() { return trap::always_balanced(body); }
