// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an owning aggregate written after co_yield.
#include "trap.hpp"

struct Row {
  trap::Object object;
  int number;
};

trap::Coroutine<> body() {
  trap::Object object;
  co_yield Row{object, 1};
}

int main() { return trap::balanced(body); }
