// SPDX-License-Identifier: BSL-1.0
//
// An owning aggregate written after co_await.
// refused by g++ 12: give the type a constructor, or the object a name
#include "../../include/asyncio/detail/compiler.hpp"
#include "trap.hpp"

class Task {
 public:
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}

    template <class A>
    A&& await_transform(A&& awaitable) {
      static_assert(asyncio::detail::require_inline_awaitable<A>());
      return static_cast<A&&>(awaitable);
    }
  };
};

struct Operation {
  trap::Object object;

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}
};

Task body() {
  trap::Object object;
  co_await Operation{object};
}
