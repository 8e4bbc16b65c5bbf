// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? new with an await inside.
#include "trap.hpp"

#include <memory>

trap::Coroutine<> body() {
  std::unique_ptr<trap::Object> owner(new trap::Object(co_await trap::later(trap::Object(1))));
  trap::event('.', owner->value());
}

int main() { return trap::balanced(body); }
