// SPDX-License-Identifier: BSL-1.0
//
// Always right: owning temporaries that an ordinary function returns, aggregates and closures
// too.
#include "trap.hpp"

struct Options {
  trap::Object object;
};
Options make_options() { return {trap::Object(1)}; }
auto make_closure(trap::Object object) {
  return [object] { return object.value(); };
}

struct Operation {
  trap::Object object;

  bool await_ready() const { return !trap::suspend; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}
};
Operation make_operation() { return {trap::Object(1)}; }

trap::Coroutine<> body() {
  trap::Object object;
  co_await trap::take(make_options());
  co_await trap::take_value(make_closure(object));
  co_await make_operation();
}

int main() { return trap::always_balanced(body); }
