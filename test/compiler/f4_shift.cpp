// SPDX-License-Identifier: BSL-1.0
//
// Wrong order? `s << co_await x()`: s comes first.
#include "trap.hpp"

struct Stream {
  void operator<<(int) {}
};
Stream stream;
Stream& get() { return trap::event<Stream&>('s', stream); }

trap::Coroutine<> body() { get() << co_await trap::later(trap::event('x', 1)); }

int main() { return trap::happens("sx", body); }
