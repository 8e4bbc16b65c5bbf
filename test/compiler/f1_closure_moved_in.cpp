// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline closure with an owning init capture.
#include "trap.hpp"

trap::Coroutine<> body() {
  trap::Object object;
  co_await trap::take_value([moved = std::move(object)] {});
}

int main() { return trap::balanced(body); }
