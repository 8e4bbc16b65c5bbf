// SPDX-License-Identifier: BSL-1.0
//
// Always right: inline owning temporaries of classes with constructors.
#include "trap.hpp"

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

class Options {
 public:
  Options() = default;
  Options& object(trap::Object object) {
    object_ = object;
    return *this;
  }

 private:
  trap::Object object_;
};

// Not default constructible and no aggregate: has_constructor must be announced for such a class.
class Factory {
 public:
  explicit Factory(trap::Object object) : object_(object) {}
  int operator()() const { return object_.value(); }

 private:
  trap::Object object_;
};

// No declared constructor, but no aggregate either: default constructible through its own one.
class Implicit {
 public:
  int operator()() const { return object_.value(); }

 private:
  trap::Object object_;
};

trap::Coroutine<> body() {
  trap::Object object;
  auto closure = [object] { return object.value(); };
  co_await trap::take(trap::Object(1));
  co_await trap::take(trap::Object{1});
  co_await trap::take(std::vector<trap::Object>(2, object));
  co_await trap::take(std::make_shared<trap::Object>(1));
  co_await trap::take(std::unique_ptr<trap::Object>(std::make_unique<trap::Object>(1)));
  co_await trap::take(std::optional<trap::Object>(object));
  co_await trap::take(std::pair<trap::Object, int>(object, 1));
  co_await trap::take(std::make_tuple(object, std::string(100, 'x')));
  co_await trap::take(std::function<int()>(closure));
  co_await trap::take(Options().object(object));
  co_await trap::take(Factory(object));
  co_await trap::take_value(Factory{object});
  co_await trap::take(Implicit());
  co_await trap::take_value(Implicit{});
}

int main() { return trap::always_balanced(body); }
