// SPDX-License-Identifier: BSL-1.0
//
// Always right: inline options structs that are trivially copyable aggregates.
#include "trap.hpp"

#include <optional>
#include <string_view>

struct Options {
  std::string_view name = "";
  std::optional<int> backlog = {};
  double timeout = 0;
  trap::Object* object = nullptr;
};

trap::Later<int> listen(Options options = {}) { return trap::later(options.backlog.value_or(100)); }

trap::Coroutine<> body() {
  trap::Object object;
  int one = co_await listen({.name = "x", .backlog = 5, .object = &object});
  int two = co_await listen();
  trap::event(one == 5 && two == 100 ? '+' : '-', 0);
}

int main() { return trap::happens("+", body) | trap::always_balanced(body); }
