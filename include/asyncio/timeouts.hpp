// SPDX-License-Identifier: BSL-1.0
// timeout(), timeout_at(): a limit of time around a piece of a coroutine (surface A6, rules 74-76).
//
//   co_await asyncio::timeout(1s, [&]() -> asyncio::Coroutine<> { co_await slow(); });
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

/// The scope itself: what the body may take as its parameter to ask and to move the deadline.
/// The loop's thread only. Python: asyncio.Timeout.
class Timeout {
 public:
  /// No deadline: never expires until rescheduled.
  explicit Timeout(std::optional<TimePoint> when) noexcept : when_(when) {}
  Timeout(const Timeout&) = delete;
  Timeout& operator=(const Timeout&) = delete;
  ~Timeout() { disarm(); }

  /// The deadline, in the loop's time.
  std::optional<TimePoint> when() const noexcept { return when_; }
  /// Moves the deadline; nullopt takes it away. RuntimeError "Timeout has not been entered", or
  /// "Cannot change state of STATE Timeout" after expiry or exit.
  void reschedule(std::optional<TimePoint> when);
  /// Has the deadline passed while the body ran?
  bool expired() const noexcept { return state_ == State::expiring || state_ == State::expired; }

  /// Arms it. RuntimeError "Timeout has already been entered", or "Timeout should be used inside
  /// a task".
  void enter();
  /// Disarms it. `error` is what the body threw, null if nothing. Throws TimeoutError in its place
  /// if it is the CancelledError by which this very scope expired.
  void exit(const std::exception_ptr& error);

  /// Python's repr: `<Timeout [active] when=12.345>`, `<Timeout [expired]>`.
  friend std::string to_string(const Timeout& timeout);

 private:
  enum class State { created, entered, expiring, expired, exited };
  void on_timeout();
  void disarm() noexcept;

  std::optional<TimePoint> when_;
  State state_ = State::created;
  int cancelling_ = 0;  // of the task, when the scope was entered
  AnyTask task_;
  detail::Ref<detail::HandleNode> handle_;
};

namespace detail {

template <class Body>
concept takes_timeout = std::invocable<Body&, Timeout&>;

template <class Body>
auto call_body(Body& body, Timeout& scope) {
  if constexpr (takes_timeout<Body>)
    return body(scope);
  else
    return body();
}

template <class Body>
using body_result = typename decltype(call_body(std::declval<Body&>(),
                                                std::declval<Timeout&>()))::value_type;

/// What timeout() and wait_for() wait for: the deadline, once the coroutine has begun.
struct Deadline {
  std::optional<Duration> delay;
  std::optional<TimePoint> when;
  std::optional<TimePoint> get() const;
};

template <class Body>
Coroutine<body_result<Body>> timeout_scope(Deadline deadline, Body body) {
  Timeout scope(deadline.get());
  scope.enter();
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<body_result<Body>>) {
      co_await call_body(body, scope);
      scope.exit(nullptr);
      co_return;
    } else {
      auto value = co_await call_body(body, scope);
      scope.exit(nullptr);
      co_return value;
    }
  } catch (...) {
    error = std::current_exception();
  }
  scope.exit(error);
  std::rethrow_exception(error);
}

}  // namespace detail

/// Runs body(), or body(Timeout&), in the calling task; returns what it returns.
/// Completes when the body does. When the time is over, the body is cancelled, and if it lets that
/// CancelledError out, TimeoutError is thrown in its place, the CancelledError its cause. A body
/// that ends without suspending again has no timeout at all. nullopt: no limit. A delay that is not
/// positive expires at the body's first suspension. Cancelling the task cancels the body.
/// The callable is kept until it is done; capture by reference: `[&]`.
/// Python: async with asyncio.timeout(delay).
template <class Body>
auto timeout(std::optional<Duration> delay, Body&& body) {
  static_assert(detail::require_inline_callable<Body>());
  return detail::timeout_scope<std::decay_t<Body>>(detail::Deadline{delay, {}},
                                                   std::forward<Body>(body));
}

/// The same until a point of the loop's time. Python: async with asyncio.timeout_at(when).
template <class Body>
auto timeout_at(std::optional<TimePoint> when, Body&& body) {
  static_assert(detail::require_inline_callable<Body>());
  return detail::timeout_scope<std::decay_t<Body>>(detail::Deadline{{}, when},
                                                   std::forward<Body>(body));
}

}  // namespace asyncio::inline v1
