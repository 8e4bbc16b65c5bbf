// SPDX-License-Identifier: BSL-1.0
//
// Always right: && and || with the await in a statement of its own.
#include "trap.hpp"

trap::Coroutine<> body() {
  bool yes = true;
  bool no = false;
  bool both = no;
  if (both) both = co_await trap::later(trap::event('b', true));
  bool either = yes;
  if (!either) either = co_await trap::later(trap::event('d', true));
  while (no) {
    bool more = co_await trap::later(trap::event('e', true));
    if (!more) break;
  }
  trap::event(!both && either ? '+' : '-', 0);
}

int main() { return trap::happens("+", body); }
