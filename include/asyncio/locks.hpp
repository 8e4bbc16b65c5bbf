// SPDX-License-Identifier: BSL-1.0
// Lock, Event, Condition, Semaphore, BoundedSemaphore, Barrier (surface A19, rules 83-94).
//
// They stand between tasks of one loop, not between threads: every call belongs to the loop's
// thread. Each is a handle; copies are the same object. An object belongs to the first loop in
// which a task had to wait for it; waiting in another one is RuntimeError "... is bound to a
// different event loop".
//
// What acquire(), wait() and their like return does nothing until it is awaited, and can be awaited
// once. Waiting is first come, first served, and never loses anything: a task that is cancelled
// leaves the line at once, and passes on what was meant for it.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <asyncio/detail/wait_list.hpp>

namespace asyncio::inline v1 {

namespace detail {

class LockState final : public LoopBound {
 public:
  bool locked() const noexcept { return locked_; }
  /// Takes the lock without waiting, if nobody stands in line.
  bool try_acquire() noexcept {
    if (locked_ || line_.has_uncancelled()) return false;
    return locked_ = true;
  }
  /// The task goes on after its wait: takes the lock, or throws.
  void acquire(Turn& turn);
  void unlock();
  void leave_scope() {
    if (locked_) unlock();
  }
  WaitList& line() noexcept { return line_; }
  std::string repr() const override;

 private:
  bool locked_ = false;
  WaitList line_{*this};
};

class SemaphoreState final : public LoopBound {
 public:
  SemaphoreState(int value, bool bounded);

  /// Is there nothing to be had without waiting?
  bool locked() const noexcept { return value_ == 0 || line_.has_uncancelled(); }
  bool try_acquire() noexcept {
    if (locked()) return false;
    --value_;
    return true;
  }
  void acquire(Turn& turn);
  void give_back();
  void leave_scope() {
    if (!full()) give_back();
  }
  WaitList& line() noexcept { return line_; }
  std::string repr() const override;

 private:
  bool full() const noexcept { return bound_ && value_ >= *bound_; }
  bool wake_next();

  int value_;  // units that nobody has; one for whom a waiter was woken is that waiter's
  const std::optional<int> bound_;
  WaitList line_{*this};
};

class EventState final : public LoopBound {
 public:
  bool is_set() const noexcept { return set_; }
  void set() {
    set_ = true;
    if (!line_.empty()) line_.wake_all();
  }
  void clear() noexcept { set_ = false; }
  WaitList& line() noexcept { return line_; }
  std::string repr() const override;

 private:
  bool set_ = false;
  WaitList line_{*this};
};

/// Waits for a lock or a semaphore.
template <class State>
class AcquireBase : public Turn {
 public:
  explicit AcquireBase(State& state) noexcept : Turn(state.line()) {}

  bool await_ready() {
    use();
    return state().try_acquire();
  }

 protected:
  void finish() {
    if (waited()) state().acquire(*this);
  }
  State& state() const noexcept { return static_cast<State&>(line().owner()); }
};

template <class State>
class [[nodiscard("acquire() does nothing until it is awaited")]] Acquire final
    : public AcquireBase<State> {
 public:
  using AcquireBase<State>::AcquireBase;
  bool await_resume() {
    this->finish();
    return true;
  }
};

/// Holds a lock, or a unit of a semaphore, for a scope.
template <class State>
class [[nodiscard("the end of the guard's scope releases")]] Guard {
 public:
  explicit Guard(State & state) noexcept : state_(&state) {}
  Guard(Guard &&) noexcept = default;
  Guard& operator=(Guard&& other) noexcept {
    Guard taken(std::move(other));
    std::swap(state_, taken.state_);
    return *this;
  }
  ~Guard() {
    if (state_) state_->leave_scope();
  }

 private:
  Ref<State> state_;
};

template <class State>
class [[nodiscard("scoped() does nothing until it is awaited")]] AcquireScoped final
    : public AcquireBase<State> {
 public:
  using AcquireBase<State>::AcquireBase;
  Guard<State> await_resume() {
    this->finish();
    return Guard<State>(this->state());
  }
};

class [[nodiscard("wait() does nothing until it is awaited")]] EventWait : public Turn {
 public:
  explicit EventWait(EventState& event) noexcept : Turn(event.line()) {}

  bool await_ready() {
    use();
    return static_cast<EventState&>(line().owner()).is_set();
  }
  [[gnu::always_inline]] bool await_resume() {
    if (waited()) finish();
    return true;
  }
};

class ConditionState;
class BarrierState;

}  // namespace detail

/// What Lock::scoped() and Condition::scoped() give: releases the lock at the end of its scope.
/// Harmless if the lock was released by hand and nobody has taken it since.
using LockGuard = detail::Guard<detail::LockState>;
/// What Semaphore::scoped() gives.
using SemaphoreGuard = detail::Guard<detail::SemaphoreState>;

/// A mutex between tasks. It has no owner: any task may release it. It is not recursive.
/// Python: asyncio.Lock.
class Lock {
 public:
  Lock() : state_(detail::adopt_ref, new detail::LockState) {}

  /// Completes when the task has the lock; without yielding if it is free and nobody waits. On
  /// cancel the task does not have it, and the next in line is woken if it was this one's turn.
  /// Gives true.
  detail::Acquire<detail::LockState> acquire() const noexcept {
    return detail::Acquire<detail::LockState>(*state_);
  }
  /// Wakes the first in line, which takes the lock when it runs; until then the lock is free, and
  /// yet nobody can overtake. RuntimeError "Lock is not acquired.".
  void release() const { state_->unlock(); }
  bool locked() const noexcept { return state_->locked(); }
  /// `auto guard = co_await lock.scoped();` is acquire() now and release() at the end of the scope.
  /// Python: async with lock.
  detail::AcquireScoped<detail::LockState> scoped() const noexcept {
    return detail::AcquireScoped<detail::LockState>(*state_);
  }

  /// Python's repr: `<asyncio.locks.Lock object at 0x7f... [locked, waiters:1]>`.
  friend std::string to_string(const Lock& lock) { return lock.state_->repr(); }

 private:
  detail::Ref<detail::LockState> state_;
};

/// A flag that tasks wait for. Python: asyncio.Event.
class Event {
 public:
  Event() : state_(detail::adopt_ref, new detail::EventState) {}

  /// Completes when the flag is set; without yielding if it is. A task that was woken goes on even
  /// if the flag is cleared before it runs. Gives true.
  detail::EventWait wait() const noexcept { return detail::EventWait(*state_); }
  /// Wakes all who wait. Does nothing if the flag is set.
  void set() const { state_->set(); }
  void clear() const noexcept { state_->clear(); }
  bool is_set() const noexcept { return state_->is_set(); }

  /// Python's repr: `<asyncio.locks.Event object at 0x7f... [unset, waiters:1]>`.
  friend std::string to_string(const Event& event) { return event.state_->repr(); }

 private:
  detail::Ref<detail::EventState> state_;
};

/// A lock, and a line of tasks that wait until one who holds it tells them to look again.
/// Python: asyncio.Condition.
class Condition {
 public:
  /// With a lock of its own.
  Condition() : Condition(Lock()) {}
  explicit Condition(Lock lock);

  /// The lock's own.
  detail::Acquire<detail::LockState> acquire() const noexcept { return lock().acquire(); }
  void release() const { lock().release(); }
  bool locked() const noexcept { return lock().locked(); }
  detail::AcquireScoped<detail::LockState> scoped() const noexcept { return lock().scoped(); }

  /// Releases the lock, waits to be notified, acquires the lock again; yields at least once. It may
  /// return without a notification, so look again, or use wait_for(). However it ends, the task has
  /// the lock: one that is cancelled stands in line for it first, as often as it is cancelled; it
  /// then throws the last CancelledError and passes on the notification that it may have had.
  /// RuntimeError "cannot wait on un-acquired lock". Gives true.
  Coroutine<bool> wait() const;
  /// Waits until predicate() is true, which is called with the lock held, the first time without
  /// waiting. Gives what predicate() returned. Otherwise like wait().
  template <class Predicate>
  auto wait_for(Predicate&& predicate) const
      -> Coroutine<std::decay_t<std::invoke_result_t<std::decay_t<Predicate>&>>>;
  /// Wakes so many of those who wait, in the order of arrival. They go on when they have the lock,
  /// which the caller still holds. RuntimeError "cannot notify on un-acquired lock".
  void notify(std::size_t n = 1) const;
  void notify_all() const;

  /// Python's repr: `<asyncio.locks.Condition object at 0x7f... [locked, waiters:1]>`.
  friend std::string to_string(const Condition& condition) { return condition.state_->repr(); }

 private:
  detail::ConditionState& state() const noexcept;
  const Lock& lock() const noexcept;

  detail::Ref<detail::LoopBound> state_;  // a ConditionState
};

/// A number of units that tasks take and give back. Python: asyncio.Semaphore.
class Semaphore {
 public:
  /// ValueError "Semaphore initial value must be >= 0".
  explicit Semaphore(int value = 1) : Semaphore(value, false) {}

  /// Completes when the task has a unit; without yielding if there is one and nobody waits. On
  /// cancel the task has none; one that was given to it already goes to the next in line.
  /// Gives true.
  detail::Acquire<detail::SemaphoreState> acquire() const noexcept {
    return detail::Acquire<detail::SemaphoreState>(*state_);
  }
  /// Adds a unit; it belongs to the first in line from now on.
  void release() const { state_->give_back(); }
  /// Would acquire() have to wait?
  bool locked() const noexcept { return state_->locked(); }
  /// `auto guard = co_await semaphore.scoped();` is acquire() now and release() at the end of the
  /// scope. Python: async with semaphore.
  detail::AcquireScoped<detail::SemaphoreState> scoped() const noexcept {
    return detail::AcquireScoped<detail::SemaphoreState>(*state_);
  }

  /// Python's repr: `<asyncio.locks.Semaphore object at 0x7f... [unlocked, value:1]>`.
  friend std::string to_string(const Semaphore& semaphore) { return semaphore.state_->repr(); }

 protected:
  Semaphore(int value, bool bounded)
      : state_(detail::adopt_ref, new detail::SemaphoreState(value, bounded)) {}

 private:
  detail::Ref<detail::SemaphoreState> state_;
};

/// A semaphore that never has more units than at the start: release() may throw ValueError
/// "BoundedSemaphore released too many times". Python: asyncio.BoundedSemaphore.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(int value = 1) : Semaphore(value, true) {}
};

/// A place where tasks wait until there are `parties` of them; again and again.
/// Python: asyncio.Barrier.
class Barrier {
 public:
  /// ValueError "parties must be > 0".
  explicit Barrier(int parties);

  /// Completes when so many tasks wait; the last one does not yield. Gives 0 to parties-1, in the
  /// order of arrival (as in Python two may get the same after a third one was cancelled). While
  /// those of the last round are still leaving, newcomers wait for them.
  /// A task that is cancelled leaves; the barrier stays whole. BrokenBarrierError "Abort or reset
  /// of barrier" for those who wait when that happens, "Barrier aborted" for those who come later.
  /// Python's `async with barrier as index` is the same: nothing happens at the end of that scope.
  Coroutine<int> wait() const;
  /// Those who wait get BrokenBarrierError; then the barrier is as new, also after abort().
  Coroutine<> reset() const;
  /// All who wait and all who come later get BrokenBarrierError, until reset().
  Coroutine<> abort() const;

  int parties() const noexcept;
  /// How many wait for the round to be full.
  int n_waiting() const noexcept;
  bool broken() const noexcept;

  /// Python's repr: `<asyncio.locks.Barrier object at 0x7f... [filling, waiters:1/3]>`.
  friend std::string to_string(const Barrier& barrier) { return barrier.state_->repr(); }

 private:
  detail::BarrierState& state() const noexcept;

  detail::Ref<detail::LoopBound> state_;  // a BarrierState
};

namespace detail {

template <class Result, class Predicate>
Coroutine<Result> wait_until(Condition condition, Predicate predicate) {
  Result result = predicate();
  while (!result) {
    co_await condition.wait();
    result = predicate();
  }
  co_return result;
}

}  // namespace detail

template <class Predicate>
auto Condition::wait_for(Predicate&& predicate) const
    -> Coroutine<std::decay_t<std::invoke_result_t<std::decay_t<Predicate>&>>> {
  static_assert(detail::require_inline_callable<Predicate>());
  using Result = std::decay_t<std::invoke_result_t<std::decay_t<Predicate>&>>;
  return detail::wait_until<Result, std::decay_t<Predicate>>(*this,
                                                             std::forward<Predicate>(predicate));
}

}  // namespace asyncio::inline v1
