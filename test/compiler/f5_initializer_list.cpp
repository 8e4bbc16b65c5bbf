// SPDX-License-Identifier: BSL-1.0
//
// Refused? a braced list in an awaiting statement.
#include "trap.hpp"

#include <vector>

trap::Coroutine<> body() { co_await trap::take(std::vector<int>{1, 2}); }

int main() { return trap::balanced(body); }
