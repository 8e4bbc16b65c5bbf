// SPDX-License-Identifier: BSL-1.0
//
// What the programs in this directory are made of: objects that are counted, a lazy coroutine, an
// awaitable that can be told to suspend, and the check that runs a body and turns the outcome into
// an exit code. It depends on nothing of the library, for it judges the compiler alone.
//
// Every class here that is used inside an awaiting statement has a constructor, so that a program
// shows the one fault it is about and no other.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace trap {

/// Balance of constructions and destructions; negative after an object was destroyed twice.
inline int alive = 0;

class Object {
 public:
  explicit Object(int value = 0) : value_(value) { ++alive; }
  Object(const Object& other) : value_(other.value_) { ++alive; }
  Object(Object&& other) noexcept : value_(other.value_) { ++alive; }
  Object& operator=(const Object&) = default;
  ~Object() { --alive; }

  int value() const { return value_; }

 private:
  int value_;
};

/// What happened, in the order in which it happened.
inline std::string events;

template <class T>
T event(char name, T result) {
  events += name;
  return result;
}

inline bool suspend = true;  // does `Later` suspend?
inline int throw_at = 0;     // the n-th `Later` that completes throws; 0 means none
inline int completed = 0;    // how many have completed

/// Completes with `value`, after a suspension if `suspend` is set.
template <class T>
class Later {
 public:
  explicit Later(T value) : value_(std::move(value)) {}

  bool await_ready() const { return !suspend; }
  void await_suspend(std::coroutine_handle<>) const {}
  T await_resume() {
    if (++completed == throw_at) throw completed;
    return std::move(value_);
  }

 private:
  T value_;
};

template <class T>
Later<T> later(T value) {
  return Later<T>(std::move(value));
}

/// Functions that take something in place and are awaited in place.
template <class F>
Later<int> take(F&&) {
  return later(1);
}
template <class F>
Later<int> take_value(F) {
  return later(1);
}

/// What `co_yield` awaits.
struct Yielded {
  Yielded() {}
  bool await_ready() const { return !suspend; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}
};

template <class T>
struct Result {
  std::optional<T> value;
  void return_value(T result) { value.emplace(std::move(result)); }
};
template <>
struct Result<void> {
  void return_void() {}
};

/// Lazy; run by `run_to_end`, or destroyed wherever it is.
template <class T = void>
class Coroutine {
 public:
  struct promise_type : Result<T> {
    std::exception_ptr error;

    Coroutine get_return_object() { return Coroutine(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void unhandled_exception() { error = std::current_exception(); }

    /// A generator too, whose values nobody takes.
    template <class U = T>
    Yielded yield_value(U&&) {
      return {};
    }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Coroutine(Handle handle) : handle_(handle) {}
  Coroutine(Coroutine&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Coroutine() {
    if (handle_) handle_.destroy();
  }

  /// Resumes at most `steps` times and says whether the end was reached.
  bool resume(int steps) {
    for (; steps > 0 && !handle_.done(); --steps) handle_.resume();
    return handle_.done();
  }

  T run_to_end() {
    resume(1000);
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

  // Awaited, it runs to its end at once: a child without a scheduler.
  bool await_ready() const { return true; }
  void await_suspend(std::coroutine_handle<>) const {}
  T await_resume() { return run_to_end(); }

 private:
  Handle handle_;
};

/// Runs `body`, which makes a coroutine, with and without suspensions.
/// Exit code 0: every object was destroyed exactly once.
template <class Body>
int balanced(Body body) {
  bool right = true;
  for (bool mode : {true, false}) {
    suspend = mode;
    alive = 0;
    body().run_to_end();
    right = right && alive == 0;
  }
  return right ? 0 : 1;
}

/// The same, and also destroyed at each suspension, and with an exception from each await.
template <class Body>
int always_balanced(Body body) {
  bool right = balanced(body) == 0;
  suspend = true;
  for (int steps = 0, ended = 0; !ended; ++steps) {
    alive = 0;
    {
      auto coroutine = body();
      ended = coroutine.resume(steps);
    }
    right = right && alive == 0;
  }
  for (throw_at = 1;; ++throw_at) {
    alive = 0;
    completed = 0;
    bool thrown = false;
    try {
      body().run_to_end();
    } catch (int) {
      thrown = true;
    }
    right = right && alive == 0;
    if (!thrown) break;
  }
  throw_at = 0;
  return right ? 0 : 1;
}

/// Runs `body` with and without suspensions. Exit code 0: `events` is `expected` each time.
template <class Body>
int happens(const char* expected, Body body) {
  bool right = true;
  for (bool mode : {true, false}) {
    suspend = mode;
    events.clear();
    body().run_to_end();
    right = right && events == expected;
  }
  return right ? 0 : 1;
}

}  // namespace trap
