// SPDX-License-Identifier: BSL-1.0
// Lines of waiting tasks: what the locks and the queues are made of (rule 83).
//
// A task that has to wait stands at the end of a line with a Waiter, which is part of its awaiter.
// Whoever wakes the Waiter wakes the task: it goes on one pass later. In between it may still be
// cancelled, so each kind of line says what becomes of a turn that was given and cannot be taken.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1::detail {

/// A task that waits to be woken. Python has a future there, which nobody but the task and the one
/// that wakes it ever sees; this is part of the awaiter, and is there for as long as the task waits.
class Sleeper : public Awaited {
 public:
  Sleeper() = default;
  /// Only before it waits.
  Sleeper(Sleeper&&) noexcept {}

  bool done() const noexcept { return phase_ != Phase::asleep; }
  bool cancelled() const noexcept { return phase_ == Phase::cancelled; }
  /// Was the turn given, whether or not the task can take it?
  bool woken() const noexcept { return phase_ == Phase::woken; }
  /// Does nothing if it is done.
  void wake() {
    if (!done()) finish(Phase::woken);
  }
  /// The same; what it waits for throws this.
  void wake_with(std::exception_ptr error);
  bool cancel(const std::string* message) final;
  bool ended_by_cancelled_error() const noexcept final { return cancelled(); }
  void forget(TaskBase&) noexcept final {
    if (!done()) phase_ = Phase::cancelled;
  }
  std::string repr() final;

 protected:
  ~Sleeper() = default;
  /// The task is about to suspend.
  void wait(TaskBase& task) {
    task_ = &task;
    task.wait_for(*this);
  }
  /// The same, but what it waits for belongs to another loop: it throws instead.
  void refuse(TaskBase& task) {
    task.refuse(*this);
    task_ = &task;
    phase_ = Phase::woken;  // its turn to throw is queued
  }
  bool waited() const noexcept { return task_ != nullptr; }
  /// After it was woken.
  void sleep_again() noexcept { phase_ = Phase::asleep; }
  /// The task goes on: throws if it is to.
  [[gnu::always_inline]] void resumed() const { task_->resumed(); }

 private:
  enum class Phase : std::uint8_t { asleep, woken, cancelled };
  void finish(Phase phase);

  TaskBase* task_ = nullptr;
  Phase phase_ = Phase::asleep;
};

/// An awaitable is used up by awaiting it, as a coroutine is (rule 50).
class SingleUse {
 public:
  SingleUse() = default;
  SingleUse(SingleUse&& other) noexcept : used_(std::exchange(other.used_, true)) {}

 protected:
  void use() {
    if (std::exchange(used_, true)) [[unlikely]]
      throw_reused();
  }

 private:
  bool used_ = false;
};

/// The place of a task in a line.
class Waiter : public Sleeper, public SingleUse {
 public:
  Waiter() = default;
  /// Only before it waits.
  Waiter(Waiter&& other) noexcept
      : Sleeper(std::move(other)), SingleUse(std::move(other)) {}

 protected:
  ~Waiter() = default;
  bool listed() const noexcept { return listed_; }

 private:
  friend class WaitList;

  bool listed_ = false;
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
};

class LoopBound;

/// A line, in the order of arrival. It refers to waiters, it does not own them. Those that are
/// woken or cancelled stand in it until their tasks run, unless dismiss_next() took them out.
class WaitList {
 public:
  WaitList() = default;
  explicit WaitList(LoopBound& owner) noexcept : owner_(&owner) {}
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  /// The object of which it is a part; a reference to a line keeps that.
  LoopBound& owner() const noexcept { return *owner_; }
  void add_ref() const noexcept;
  void release() const noexcept;

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept;
  /// Is there anybody who was not cancelled? Those who are woken, and have not run yet, count.
  bool has_uncancelled() const noexcept;
  void push_back(Waiter& waiter) noexcept {
    waiter.listed_ = true;
    waiter.previous_ = last_;
    (last_ ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
    if (!asleep_) asleep_ = &waiter;
  }
  /// Harmless for one who is not in the line.
  void remove(Waiter& waiter) noexcept {
    if (!waiter.listed_) return;
    waiter.listed_ = false;
    (waiter.previous_ ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ ? waiter.next_->previous_ : last_) = waiter.previous_;
    if (asleep_ == &waiter) asleep_ = waiter.next_;
    waiter.next_ = nullptr;
  }

  /// Wakes the first in line, unless it is done.
  void wake_first() {
    if (first_) first_->wake();
  }
  /// Wakes the first that is not done; false if there is none.
  bool wake_next() {
    while (asleep_) {
      Waiter& waiter = *std::exchange(asleep_, asleep_->next_);
      if (waiter.done()) continue;
      waiter.wake();
      return true;
    }
    return false;
  }
  void wake_all() {
    while (wake_next()) continue;
  }
  /// The same, and takes it out of the line with all who stand before it; false if nobody is left.
  bool dismiss_next() {
    while (first_) {
      Waiter& waiter = *first_;
      remove(waiter);
      if (waiter.done()) continue;
      waiter.wake();
      return true;
    }
    return false;
  }

 private:
  LoopBound* owner_ = nullptr;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  Waiter* asleep_ = nullptr;  // all before this one are done: waking all of n takes n steps
};

/// An object for which tasks wait. It belongs to the first loop in which one of them had to.
class LoopBound : public Pooled {
 public:
  LoopBound() = default;
  LoopBound(const LoopBound&) = delete;
  LoopBound& operator=(const LoopBound&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }
  /// RuntimeError "... is bound to a different event loop".
  void bind(Scheduler& loop) {
    if (loop_.get() != &loop) [[unlikely]]
      bind_first(loop);
  }
  virtual std::string repr() const = 0;

 protected:
  virtual ~LoopBound() = default;
  /// Python's: `<asyncio.locks.Lock object at 0x7f... [locked, waiters:1]>`.
  std::string lock_repr(const char* type, std::string extra, const WaitList& line) const;

 private:
  void bind_first(Scheduler& loop);

  std::uint32_t references_ = 1;
  Ref<Scheduler> loop_;
};

inline void WaitList::add_ref() const noexcept { owner_->add_ref(); }
inline void WaitList::release() const noexcept { owner_->release(); }

/// One stay in a line: what awaiters are made of; awaited itself, it always waits.
class Turn : public Waiter {
 public:
  explicit Turn(WaitList& line) noexcept : line_(&line) {}
  Turn(Turn&&) noexcept = default;
  [[gnu::always_inline]] ~Turn() { leave(); }

  bool await_ready() {
    use();
    return false;
  }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) {
    TaskBase& task = frame.promise().task();
    line_->owner().bind(task.scheduler());
    line_->push_back(*this);
    wait(task);
  }
  [[gnu::always_inline]] void await_resume() { finish(); }

  /// After the wait: leaves the line; throws CancelledError if the task was cancelled, woken or
  /// not.
  [[gnu::always_inline]] void finish() {
    leave();
    resumed();
  }

 protected:
  WaitList& line() const noexcept { return *line_; }
  /// It was woken, and goes to the end of the line.
  void stand_again() noexcept {
    leave();
    sleep_again();
    line_->push_back(*this);
  }

 private:
  void leave() noexcept {
    if (listed()) line_->remove(*this);
  }

  Ref<WaitList> line_;
};

}  // namespace asyncio::inline v1::detail
