// SPDX-License-Identifier: BSL-1.0
//
// Always right: inline closures that own nothing, plain and coroutines, nested.
#include "trap.hpp"

template <class Body>
trap::Coroutine<int> scope(Body body) {
  co_return co_await body();
}

class Session {
 public:
  trap::Coroutine<> run() {
    co_await scope([this]() -> trap::Coroutine<int> {
      co_await trap::later(object_);
      co_return object_.value();
    });
  }

 private:
  trap::Object object_;
};

trap::Coroutine<> body() {
  trap::Object object(3);
  int plain = 4;
  Session session;
  co_await session.run();
  co_await trap::take([&] { return object.value(); });
  co_await trap::take_value([plain] { return plain; });
  int sum = co_await scope([&]() -> trap::Coroutine<int> {
    trap::Object inner(object);
    int twice = co_await scope([&, plain]() -> trap::Coroutine<int> {
      trap::Object result = co_await trap::later(inner);
      co_return result.value() + plain;
    });
    co_return twice;
  });
  trap::event('.', sum);
}

int main() { return trap::always_balanced(body); }
