// SPDX-License-Identifier: BSL-1.0
//
// Runs what && must skip? a temporary on its right, after co_yield.
#include "trap.hpp"

trap::Object made() { return trap::event('b', trap::Object(1)); }

trap::Coroutine<> body() {
  co_yield trap::event('a', false) && made().value() == 1;
}

int main() { return trap::happens("a", body); }
