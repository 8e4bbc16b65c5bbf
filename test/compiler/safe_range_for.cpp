// SPDX-License-Identifier: BSL-1.0
//
// Always right: range-for over a temporary and over a braced list of objects.
#include "trap.hpp"

#include <vector>

std::vector<trap::Object> make() { return std::vector<trap::Object>(2); }

trap::Coroutine<> body() {
  for (const trap::Object& each : make()) co_await trap::later(each);
  for (const trap::Object& each : {trap::Object(1), trap::Object(2)}) {
    trap::Object copy = co_await trap::later(each);
    trap::event('.', copy.value());
  }
}

int main() { return trap::always_balanced(body); }
