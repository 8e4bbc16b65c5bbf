// SPDX-License-Identifier: BSL-1.0
#include <asyncio/locks.hpp>

#include <asyncio/detail/repr.hpp>


namespace asyncio::inline v1 {

namespace detail {

// -- lines

void Sleeper::finish(Phase phase) {
  phase_ = phase;
  if (!waited()) return;
  Scheduler& loop = task_->scheduler();
  loop.check_usable();  // it is done all the same; the task is not woken
  task_->future().add_ref();
  loop.push(*task_);
}

void Sleeper::wake_with(std::exception_ptr error) {
  if (done()) return;
  const Phase phase = is_cancelled_error(error) ? Phase::cancelled : Phase::woken;
  task_->throw_next(std::move(error));
  finish(phase);
}

bool Sleeper::cancel(const std::string* message) {
  if (done()) return false;
  if (waited())
    task_->throw_next(
        std::make_exception_ptr(message ? CancelledError(*message) : CancelledError()));
  finish(Phase::cancelled);
  return true;
}

/// That of the future which Python has in its place.
std::string Sleeper::repr() {
  switch (phase_) {
    case Phase::asleep:
      return waited() ? "<Future pending cb=[Task.task_wakeup()]>" : "<Future pending>";
    case Phase::cancelled: return "<Future cancelled>";
    default: return "<Future finished result=None>";
  }
}

std::size_t WaitList::size() const noexcept {
  std::size_t count = 0;
  for (const Waiter* waiter = first_; waiter; waiter = waiter->next_) ++count;
  return count;
}

bool WaitList::has_uncancelled() const noexcept {
  for (const Waiter* waiter = first_; waiter; waiter = waiter->next_) {
    if (!waiter->cancelled()) return true;
  }
  return false;
}

void LoopBound::bind_first(Scheduler& loop) {
  if (loop_) throw RuntimeError(repr() + " is bound to a different event loop");
  loop_ = Ref<Scheduler>(&loop);
}

std::string LoopBound::lock_repr(const char* type, std::string extra, const WaitList& line) const {
  if (!line.empty()) extra += ", waiters:" + std::to_string(line.size());
  return std::string("<asyncio.locks.") + type + " object at " + address_of(this) + " [" + extra +
         "]>";
}

// -- Lock

void LockState::acquire(Turn& turn) {
  try {
    turn.finish();
  } catch (const CancelledError&) {
    if (!locked_) line_.wake_first();  // it may have been our turn (rule 85)
    throw;
  }
  locked_ = true;
}

void LockState::unlock() {
  if (!locked_) throw RuntimeError("Lock is not acquired.");
  locked_ = false;
  line_.wake_first();
}

std::string LockState::repr() const {
  return lock_repr("Lock", locked_ ? "locked" : "unlocked", line_);
}

// -- Event

std::string EventState::repr() const { return lock_repr("Event", set_ ? "set" : "unset", line_); }

// -- Semaphore

SemaphoreState::SemaphoreState(int value, bool bounded)
    : value_(value), bound_(bounded ? std::optional(value) : std::nullopt) {
  if (value < 0) throw ValueError("Semaphore initial value must be >= 0");
}

void SemaphoreState::acquire(Turn& turn) {
  // Units that came back while those in line could not take them, since they had to let others go
  // first, are theirs now, whether or not we got one (rule 92).
  struct WakeMore {
    ~WakeMore() {
      while (state.value_ > 0 && state.wake_next()) continue;
    }
    SemaphoreState& state;
  } const wake_more{*this};
  try {
    turn.finish();
  } catch (const CancelledError&) {
    if (turn.woken()) ++value_;  // the unit was ours already
    throw;
  }
}

bool SemaphoreState::wake_next() {
  if (!line_.wake_next()) return false;
  --value_;
  return true;
}

void SemaphoreState::give_back() {
  if (full()) throw ValueError("BoundedSemaphore released too many times");
  ++value_;
  wake_next();
}

std::string SemaphoreState::repr() const {
  return lock_repr(bound_ ? "BoundedSemaphore" : "Semaphore",
                   locked() ? "locked" : "unlocked, value:" + std::to_string(value_), line_);
}

// -- Condition

class ConditionState final : public LoopBound {
 public:
  explicit ConditionState(Lock lock) noexcept : lock_(std::move(lock)) {}

  const Lock& lock() const noexcept { return lock_; }
  static Coroutine<bool> wait(Ref<ConditionState> self);
  void notify(std::size_t n) {
    while (n != 0 && line_.wake_next()) --n;
  }
  void notify_all() { line_.wake_all(); }
  void check_acquired(const char* message) const {
    if (!lock_.locked()) throw RuntimeError(message);
  }
  std::string repr() const override {
    return lock_repr("Condition", lock_.locked() ? "locked" : "unlocked", line_);
  }

 private:
  const Lock lock_;
  WaitList line_{*this};
};

Coroutine<bool> ConditionState::wait(Ref<ConditionState> self) {
  self->check_acquired("cannot wait on un-acquired lock");
  self->bind(running_scheduler());
  self->lock_.release();
  std::exception_ptr error;
  try {
    co_await Turn(self->line_);
  } catch (...) {
    error = std::current_exception();
  }
  for (bool acquired = false; !acquired;) {
    try {
      acquired = co_await self->lock_.acquire();
    } catch (const CancelledError&) {
      error = std::current_exception();
    } catch (...) {
      self->notify(1);
      throw;
    }
  }
  if (error) {
    self->notify(1);  // we may have been notified, and cannot make use of it (rule 88)
    std::rethrow_exception(error);
  }
  co_return true;
}

// -- Barrier

class BarrierState final : public LoopBound {
 public:
  explicit BarrierState(int parties) : parties_(parties) {
    if (parties < 1) throw ValueError("parties must be > 0");
  }

  int parties() const noexcept { return parties_; }
  int waiting() const noexcept { return phase_ == Phase::filling ? inside_ : 0; }
  bool broken() const noexcept { return phase_ == Phase::broken; }
  static Coroutine<int> wait(Ref<BarrierState> self);
  static Coroutine<> reset(Ref<BarrierState> self);
  static Coroutine<> abort(Ref<BarrierState> self);
  std::string repr() const override;

 private:
  enum class Phase {
    filling,    // tasks come and wait
    draining,   // the round is full: its tasks leave, newcomers stay outside
    resetting,  // the same, but its tasks leave with an error
    broken,     // nobody may wait
  };
  /// A task that is inside.
  class Presence {
   public:
    explicit Presence(BarrierState& barrier) noexcept : barrier_(barrier) { ++barrier.inside_; }
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence() {
      if (--barrier_.inside_ == 0) barrier_.emptied();
    }

   private:
    BarrierState& barrier_;
  };

  bool emptying() const noexcept { return phase_ == Phase::draining || phase_ == Phase::resetting; }
  void enter(Phase phase) {
    phase_ = phase;
    changed_->notify_all();
  }
  void emptied() { enter(emptying() ? Phase::filling : phase_); }

  const int parties_;
  int inside_ = 0;
  Phase phase_ = Phase::filling;
  const Ref<ConditionState> changed_{adopt_ref, new ConditionState(Lock())};
};

Coroutine<int> BarrierState::wait(Ref<BarrierState> self) {
  ConditionState& changed = *self->changed_;
  const LockGuard guard = co_await changed.lock().scoped();
  while (self->emptying()) co_await changed.wait(self->changed_);
  if (self->broken()) throw BrokenBarrierError("Barrier aborted");
  const int index = self->inside_;
  const Presence presence(*self);
  if (self->inside_ == self->parties_) {
    self->enter(Phase::draining);
    co_return index;
  }
  while (self->phase_ == Phase::filling) co_await changed.wait(self->changed_);
  if (self->phase_ != Phase::draining) throw BrokenBarrierError("Abort or reset of barrier");
  co_return index;
}

Coroutine<> BarrierState::reset(Ref<BarrierState> self) {
  const LockGuard guard = co_await self->changed_->lock().scoped();
  self->enter(self->inside_ > 0 ? Phase::resetting : Phase::filling);
}

Coroutine<> BarrierState::abort(Ref<BarrierState> self) {
  const LockGuard guard = co_await self->changed_->lock().scoped();
  self->enter(Phase::broken);
}

std::string BarrierState::repr() const {
  constexpr const char* names[] = {"filling", "draining", "resetting", "broken"};
  std::string extra = names[static_cast<int>(phase_)];
  if (!broken()) extra += ", waiters:" + std::to_string(waiting()) + '/' + std::to_string(parties_);
  return lock_repr("Barrier", std::move(extra), WaitList());
}

}  // namespace detail

Condition::Condition(Lock lock)
    : state_(detail::adopt_ref, new detail::ConditionState(std::move(lock))) {}

detail::ConditionState& Condition::state() const noexcept {
  return static_cast<detail::ConditionState&>(*state_);
}

const Lock& Condition::lock() const noexcept { return state().lock(); }

Coroutine<bool> Condition::wait() const {
  return detail::ConditionState::wait(detail::Ref<detail::ConditionState>(&state()));
}

void Condition::notify(std::size_t n) const {
  state().check_acquired("cannot notify on un-acquired lock");
  state().notify(n);
}

void Condition::notify_all() const {
  state().check_acquired("cannot notify on un-acquired lock");
  state().notify_all();
}

Barrier::Barrier(int parties) : state_(detail::adopt_ref, new detail::BarrierState(parties)) {}

detail::BarrierState& Barrier::state() const noexcept {
  return static_cast<detail::BarrierState&>(*state_);
}

Coroutine<int> Barrier::wait() const {
  return detail::BarrierState::wait(detail::Ref<detail::BarrierState>(&state()));
}

Coroutine<> Barrier::reset() const {
  return detail::BarrierState::reset(detail::Ref<detail::BarrierState>(&state()));
}

Coroutine<> Barrier::abort() const {
  return detail::BarrierState::abort(detail::Ref<detail::BarrierState>(&state()));
}

int Barrier::parties() const noexcept { return state().parties(); }

int Barrier::n_waiting() const noexcept { return state().waiting(); }

bool Barrier::broken() const noexcept { return state().broken(); }

}  // namespace asyncio::inline v1
