// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? throw of the result of an await.
#include "trap.hpp"

trap::Coroutine<> body() {
  try {
    throw co_await trap::later(trap::Object(1));
  } catch (const trap::Object& caught) {
    trap::event('.', caught.value());
  }
}

int main() { return trap::balanced(body); }
