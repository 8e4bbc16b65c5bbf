// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the temporary of `co_await f(a && g(T()))`, where the operator is in the operand.
#include "trap.hpp"

trap::Object make() { return trap::event('m', trap::Object()); }
bool use(const trap::Object&) { return trap::event('u', true); }

trap::Coroutine<> body() {
  bool no = false;
  bool both = co_await trap::later(no && use(make()));
  trap::event('.', both);
}

int main() { return trap::happens(".", body); }
