// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? a default argument that is an owning aggregate.
#include "trap.hpp"

struct Options {
  trap::Object object = trap::Object();
};

trap::Later<int> listen(Options options = {}) { return trap::later(options.object.value()); }

trap::Coroutine<> body() { co_await listen(); }

int main() { return trap::balanced(body); }
