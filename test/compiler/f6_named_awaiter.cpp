// SPDX-License-Identifier: BSL-1.0
//
// Awaited itself? an awaiter with a name, where the promise has an await_transform. g++ 12 awaits a
// copy of it.
#include "trap.hpp"

class Counting {
 public:
  Counting() {}

  bool await_ready() { return ++asked_; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}
  int asked() const { return asked_; }

 private:
  int asked_ = 0;
};

struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}

    template <class A>
    A&& await_transform(A&& awaitable) {
      return static_cast<A&&>(awaitable);
    }
  };
};

Task body(int* asked) {
  Counting counting;
  co_await counting;
  *asked = counting.asked();
}

int main() {
  int asked = 0;
  body(&asked);
  return asked == 1 ? 0 : 1;
}
