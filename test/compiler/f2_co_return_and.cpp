// SPDX-License-Identifier: BSL-1.0
//
// Not skipped? the await of `co_return a && co_await b()`.
#include "trap.hpp"

trap::Coroutine<bool> body() {
  bool no = false;
  co_return no&& co_await trap::later(trap::event('b', true));
}

int main() { return trap::happens("", body); }
