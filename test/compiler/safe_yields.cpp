// SPDX-License-Identifier: BSL-1.0
//
// Always right: what may be written after co_yield.
#include "trap.hpp"

#include <functional>
#include <vector>

struct Row {
  trap::Object object;
  int number;
};

Row make_row(const trap::Object& object) { return Row{object, 1}; }

trap::Coroutine<> body() {
  trap::Object object;
  Row row{object, 1};
  auto closure = [object] {};
  co_yield 1;
  co_yield object;
  co_yield std::move(object);
  co_yield trap::Object(1);
  co_yield trap::Object{2};
  co_yield row;
  co_yield std::move(row);
  co_yield make_row(object);
  co_yield closure;
  co_yield [&object] { return object.value(); };
  co_yield std::function<void()>(closure);
  co_yield std::optional<trap::Object>(object);
  co_yield std::pair(object, 1);
  co_yield std::vector<trap::Object>(2, object);
  co_yield co_await trap::later(trap::Object(3));
  for (int i = 0; i < 2; ++i) co_yield trap::Object(i);
  try {
    co_yield trap::Object(4);
  } catch (int) {
    throw;
  }
}

int main() { return trap::always_balanced(body); }
