// SPDX-License-Identifier: BSL-1.0
#include <asyncio/locks.hpp>

#include <algorithm>
#include <cstdio>

namespace asyncio::inline v1 {

namespace detail {

/// A task's place in the line, for as long as it waits.
class LockState::Waiting {
 public:
  explicit Waiting(LockState& lock) : lock_(lock) {
    Scheduler& loop = running_scheduler();
    if (!lock.loop_) lock.loop_ = &loop;
    if (lock.loop_ != &loop)
      throw RuntimeError(lock.repr() + " is bound to a different event loop");
    place_ = lock.waiters_.insert(lock.waiters_.end(), Future<void>(loop));
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { lock_.waiters_.erase(place_); }
  const Future<void>& turn() const noexcept { return *place_; }

 private:
  LockState& lock_;
  Waiters::iterator place_;
};

std::string LockState::repr() const {
  char address[24];
  std::snprintf(address, sizeof address, "%p", static_cast<const void*>(this));
  std::string text = std::string("<asyncio.locks.Lock object at ") + address +
                     (locked_ ? " [locked" : " [unlocked");
  if (!waiters_.empty()) text += ", waiters:" + std::to_string(waiters_.size());
  return text + "]>";
}

bool LockState::try_acquire() noexcept {
  const auto gave_up = [](const Future<void>& waiter) { return waiter.cancelled(); };
  if (locked_ || !std::ranges::all_of(waiters_, gave_up)) return false;
  return locked_ = true;
}

Coroutine<> LockState::acquire() {
  const Ref<LockState> keep(this);
  if (try_acquire()) co_return;
  std::exception_ptr error;
  {
    const Waiting waiting(*this);
    try {
      co_await waiting.turn();
    } catch (const CancelledError&) {
      error = std::current_exception();
    }
  }
  if (error) {
    // We may have been the one chosen: the next one's turn (rule 85).
    if (!locked_) wake_first();
    std::rethrow_exception(error);
  }
  locked_ = true;
}

void LockState::unlock() {
  if (!locked_) throw RuntimeError("Lock is not acquired.");
  locked_ = false;
  wake_first();
}

void LockState::wake_first() {
  if (!waiters_.empty() && !waiters_.front().done()) waiters_.front().set_result();
}

namespace {

Coroutine<bool> acquire(Ref<LockState> lock) {
  co_await lock->acquire();
  co_return true;
}

Coroutine<LockGuard> acquire_scoped(Ref<LockState> lock) {
  co_await lock->acquire();
  co_return LockGuard(std::move(lock));
}

}  // namespace
}  // namespace detail

Coroutine<bool> Lock::acquire() const { return detail::acquire(state_); }

Coroutine<LockGuard> Lock::scoped() const { return detail::acquire_scoped(state_); }

}  // namespace asyncio::inline v1
