// SPDX-License-Identifier: BSL-1.0
//
// Refused? a braced list of owning objects in an awaiting statement.
#include "trap.hpp"

#include <vector>

trap::Coroutine<> body() {
  trap::Object object;
  co_await trap::take(std::vector<trap::Object>{object, object});
}

int main() { return trap::balanced(body); }
