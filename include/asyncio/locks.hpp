// SPDX-License-Identifier: BSL-1.0
// Lock (surface A19, rules 83-86).
#pragma once

#include <list>
#include <memory>
#include <string>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

namespace detail {

class LockState : public Pooled {
 public:
  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  bool locked() const noexcept { return locked_; }
  std::string repr() const;
  /// Takes the lock without waiting, if nobody stands in line.
  bool try_acquire() noexcept;
  void unlock();
  Coroutine<> acquire();

 private:
  using Waiters = std::list<Future<void>>;
  class Waiting;
  void wake_first();

  std::uint32_t references_ = 1;
  bool locked_ = false;
  Waiters waiters_;
  Scheduler* loop_ = nullptr;  // the first one in which somebody had to wait
};

}  // namespace detail

class Lock;

/// Holds a lock for a scope; see Lock::scoped.
class [[nodiscard]] LockGuard {
 public:
  explicit LockGuard(detail::Ref<detail::LockState> lock) noexcept : lock_(std::move(lock)) {}
  LockGuard(LockGuard&&) noexcept = default;
  LockGuard& operator=(LockGuard&& other) noexcept {
    std::swap(lock_, other.lock_);
    return *this;
  }
  ~LockGuard() {
    if (lock_ && lock_->locked()) lock_->unlock();
  }

 private:
  detail::Ref<detail::LockState> lock_;
};

/// A mutex between tasks; a handle, copies are the same lock. First come, first served; it has no
/// owner, any task may release it. Not thread safe, not for several loops. Python: asyncio.Lock.
class Lock {
 public:
  Lock() : state_(detail::adopt_ref, new detail::LockState) {}

  /// Completes when the task has the lock; without yielding if it is free and nobody waits. On
  /// cancel the task leaves the line, and passes its turn on if it had one. Gives true.
  /// RuntimeError "... is bound to a different event loop" if it would have to wait in another loop
  /// than the first one that had to.
  Coroutine<bool> acquire() const;
  /// RuntimeError "Lock is not acquired.". The first in line takes it when it runs.
  void release() const { state_->unlock(); }
  bool locked() const noexcept { return state_->locked(); }
  /// `auto guard = co_await lock.scoped();` releases at the end of the scope.
  /// Python: async with lock.
  Coroutine<LockGuard> scoped() const;

  /// Python's repr: `<asyncio.locks.Lock object at 0x7f... [locked, waiters:1]>`.
  friend std::string to_string(const Lock& lock) { return lock.state_->repr(); }

 private:
  detail::Ref<detail::LockState> state_;
};

}  // namespace asyncio::inline v1
