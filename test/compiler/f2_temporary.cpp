// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the temporary of `co_await a() && f(T())`.
#include "trap.hpp"

trap::Object make() { return trap::event('m', trap::Object()); }
bool use(const trap::Object&) { return trap::event('u', true); }

trap::Coroutine<> body() {
  bool both = co_await trap::later(false) && use(make());
  trap::event('.', both);
}

int main() { return trap::happens(".", body); }
