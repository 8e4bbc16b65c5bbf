// SPDX-License-Identifier: BSL-1.0
//
// An owning aggregate written after co_yield.
// refused by g++ 12: give the type a constructor, or the object a name
#include "../../include/asyncio/detail/compiler.hpp"
#include "trap.hpp"

struct Row {
  trap::Object object;
  int number;
};

class Generator {
 public:
  struct promise_type {
    Generator get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}

    template <class U>
    std::suspend_always yield_value(U&&) {
      static_assert(asyncio::detail::require_inline_yield<U, Row>());
      return {};
    }
  };
};

Generator body() {
  trap::Object object;
  co_yield Row{object, 1};
}
