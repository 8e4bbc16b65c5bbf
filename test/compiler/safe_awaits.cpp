// SPDX-License-Identifier: BSL-1.0
//
// Always right: the ways to write an await that the house rules allow.
#include "trap.hpp"

#include <vector>

struct Pair {
  Pair(int number, trap::Object object) : first(number), second(std::move(object)) {}
  int first;
  trap::Object second;
};

trap::Coroutine<trap::Object> child(trap::Object object) { co_return co_await trap::later(object); }

trap::Coroutine<> body() {
  co_await trap::later(1);
  trap::Object declared = co_await trap::later(trap::Object(1));
  auto [number, object] = co_await trap::later(Pair(1, trap::Object(2)));
  declared = co_await trap::later(object);
  if (auto found = co_await trap::later(trap::Object(number)); found.value() == 1) {
    co_await child(found);
  }
  if (bool ok = co_await trap::later(true); ok) trap::event('+', 0);
  int left = 2;
  while (int more = co_await trap::later(left)) left = more - 1;
  for (const trap::Object& each : co_await trap::later(std::vector<trap::Object>(2, declared))) {
    co_await trap::later(each);
  }
  switch (int chosen = co_await trap::later(left); chosen) {
    default:
      break;
  }
}

int main() { return trap::always_balanced(body); }
