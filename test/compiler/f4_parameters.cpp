// SPDX-License-Identifier: BSL-1.0
//
// Wrong order? parameters are destroyed in reverse order of their declaration.
#include "trap.hpp"

class Named {
 public:
  explicit Named(char name) : name_(name) {}
  Named(Named&& other) noexcept : name_(std::exchange(other.name_, ' ')) {}
  ~Named() {
    if (name_ != ' ') trap::event(name_, 0);
  }

 private:
  char name_;
};

trap::Coroutine<> child(Named, Named) { co_await trap::later(1); }

trap::Coroutine<> body() { return child(Named('a'), Named('b')); }

int main() { return trap::happens("ba", body); }
