// SPDX-License-Identifier: BSL-1.0
//
// Refused? a statement expression of class type around an await.
#include "trap.hpp"

trap::Coroutine<> body() {
  trap::Object object = __extension__({
    int value = co_await trap::later(1);
    trap::Object{value};
  });
  trap::event(object.value() == 1 ? '+' : '-', 0);
}

int main() { return trap::happens("+", body); }
