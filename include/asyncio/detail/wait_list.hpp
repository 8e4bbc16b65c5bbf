// SPDX-License-Identifier: BSL-1.0
// Lines of waiting tasks: what the locks and the queues are made of (rule 83).
//
// A task that has to wait makes a Waiter, a future of its own, puts it at the end of a line and
// waits for it. Whoever resolves the Waiter wakes the task: it goes on one pass later. In between
// it may still be cancelled, so each kind of line says what becomes of a turn that was given and
// cannot be taken.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1::detail {

/// The private future of a task that stands in a line.
class Waiter final : public FutureBase {
 public:
  using FutureBase::FutureBase;

  void wake() {
    if (!done()) finish(State::finished);
  }

 private:
  friend class WaitList;
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
  bool listed_ = false;
};

/// A line, in the order of arrival. It refers to waiters, it does not own them. Those that are
/// woken or cancelled stand in it until their tasks run, unless dismiss_next() took them out.
class WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

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
    if (!std::exchange(waiter.listed_, false)) return;
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

/// One stay in a line: the part of an awaitable that waits; awaited itself, it always waits.
class Turn {
 public:
  Turn(Ref<LoopBound> owner, WaitList& line) noexcept : owner_(std::move(owner)), line_(&line) {}
  Turn(Turn&&) noexcept = default;
  ~Turn() { leave(); }

  /// Puts the task, which is about to suspend, at the end of the line.
  void wait(TaskBase& task);
  /// The task goes on: leaves the line; throws CancelledError if it was cancelled, woken or not.
  void finish() {
    leave();
    task_->resumed();
    waiter_->check_result();
  }
  bool waited() const noexcept { return task_ != nullptr; }
  /// After the wait: was the turn given, whether or not the task can take it?
  bool woken() const noexcept { return waiter_->done() && !waiter_->cancelled(); }
  LoopBound& owner() const noexcept { return *owner_; }

  class Awaiter {
   public:
    explicit Awaiter(Turn& turn) noexcept : turn_(turn) {}
    bool await_ready() const noexcept { return false; }
    template <std::derived_from<Frame> P>
    void await_suspend(std::coroutine_handle<P> frame) const {
      turn_.wait(*frame.promise().task);
    }
    void await_resume() const { turn_.finish(); }

   private:
    Turn& turn_;
  };
  Awaiter operator co_await() noexcept { return Awaiter(*this); }

 private:
  void leave() noexcept {
    if (waiter_) line_->remove(*waiter_);
  }

  Ref<LoopBound> owner_;  // outlives the stay: the line is in it
  WaitList* line_;
  Ref<Waiter> waiter_;
  TaskBase* task_ = nullptr;
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
  [[noreturn]] static void throw_reused();
  bool used_ = false;
};

}  // namespace asyncio::inline v1::detail
