// SPDX-License-Identifier: BSL-1.0
//
// Destroyed twice? an inline options struct with an owning member.
#include "trap.hpp"

struct Options {
  trap::Object object = trap::Object();
  int backlog = 100;
};

trap::Later<int> listen(const Options& options) { return trap::later(options.backlog); }

trap::Coroutine<> body() { co_await listen({.backlog = 5}); }

int main() { return trap::balanced(body); }
