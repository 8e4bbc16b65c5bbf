// SPDX-License-Identifier: BSL-1.0
#include <asyncio/scheduler.hpp>

#include <algorithm>
#include <asyncio/constants.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <chrono>
#include <cstdio>

#include "notes.hpp"
#include "places.hpp"

namespace asyncio::inline v1::detail {

// -- handles

/// With all that follows it.
void ReadyList::put_back(ReadyNode& first) noexcept {
  ReadyList rest;
  rest.head_ = &first;
  while (*rest.tail_) rest.tail_ = &(*rest.tail_)->next;
  splice_front(rest);
}

/// The last reference, or one of those that are counted from several threads.
void HandleNode::release_last() noexcept {
  if (shared_ && std::atomic_ref(references_).fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  delete this;
}

void HandleNode::forget_callback() noexcept {
  discard();
  context = {};
}

void HandleNode::callback_raised() {
  std::exception_ptr error = caught_error();
  scheduler_.report({.message = "Exception in callback " + callback_name(),
                     .exception = std::move(error),
                     .handle = this});
}

void HandleNode::cancel() noexcept {
  if (cancelled()) return;
  flags_ |= Is::cancelled;
  if (flags_ & Is::in_heap) scheduler_.timer_cancelled(*this);
  if (!(flags_ & Is::running)) discard();
}

void HandleNode::forget_origin() noexcept { scheduler_.notes().forget(*this); }

std::string HandleNode::callback_name() const {
  std::string name = demangled(callable());
  return name.ends_with(')') && !name.ends_with("()") ? name : name + "()";
}

// Debug mode keeps the name of a callback that was cancelled.
std::string HandleNode::repr() const {
  const auto* const timer = dynamic_cast<const TimerNode*>(this);
  const bool noted = flags_ & Is::noted;
  std::string text = timer ? "<TimerHandle" : "<Handle";
  if (cancelled()) text += " cancelled";
  if (timer) text += " when=" + repr_float(timer->when().seconds());
  if (!cancelled() || noted) text += ' ' + callback_name();
  if (noted) text += " created at " + file_and_line(scheduler_.notes().origin_of(*this));
  return text + '>';
}

void HandleNode::keep_subject(Subject& subject) { subject.handle = Ref<HandleNode>(this); }

// -- passes

Scheduler::Scheduler(bool virtual_time) noexcept
    : slow_callback_duration(constants::slow_callback_duration), virtual_(virtual_time) {}

Scheduler::~Scheduler() { Pool::trim(); }

std::int64_t Scheduler::steady_now() noexcept {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Scheduler::check_guarded() const {
  if (closed_) throw_closed();
  const ThreadState* const runner = runner_.load(std::memory_order_relaxed);
  if (runner && runner != &thread_state)
    throw RuntimeError(
        "Non-thread-safe operation invoked on an event loop other than the current one");
}

void Scheduler::throw_closed() { throw RuntimeError("Event loop is closed"); }

void Scheduler::add_timer(TimerNode& node) {
  node.flags_ |= HandleNode::Is::in_heap;
  timers_.push({node.when().nanoseconds(), &node});
  node.add_ref();
  only_callbacks_ = false;
  if (timers_.top().node == &node) earliest_timer_changed();
}

/// It leaves the heap with a later pass. If that is the one for which the loop waits, nobody need
/// wait for it any more.
void Scheduler::timer_cancelled(const HandleNode& node) noexcept {
  ++cancelled_timers_;
  if (!attended_ && timers_.top().node == &node) attend();
}

void Scheduler::sweep_timers() {
  const std::size_t count = timers_.size();
  if (count > constants::min_scheduled_timers &&
      static_cast<double>(cancelled_timers_) >
          static_cast<double>(count) * constants::min_cancelled_timers_fraction) {
    cancelled_timers_ = 0;
    DropList removed;  // what they hold may set timers when it is destroyed
    timers_.remove_if([&](const Timer& timer) {
      if (!timer.node->cancelled()) return false;
      timer.node->flags_ &= ~HandleNode::Is::in_heap;
      removed.push_back(*timer.node);
      return true;
    });
    return;
  }
  while (!timers_.empty() && timers_.top().node->cancelled()) {
    --cancelled_timers_;
    HandleNode& node = *timers_.pop().node;
    node.flags_ &= ~HandleNode::Is::in_heap;
    node.release();
  }
}

Duration Scheduler::wait_time() const noexcept {
  if (has_ready() || stopping_) return {};
  return time_to_timer();
}

Duration Scheduler::time_to_timer() const noexcept {
  if (timers_.empty()) return Duration::max();
  return std::clamp(TimePoint::from_nanoseconds(timers_.top().when) - time(), Duration(),
                    Duration(constants::maximum_select_timeout));
}

void Scheduler::queue_due_timers() {
  // The clock's resolution is one nanosecond: due is what is not later than now (rule 8).
  const std::int64_t now = time().nanoseconds();
  while (!timers_.empty() && timers_.top().when <= now) {
    HandleNode& node = *timers_.pop().node;
    node.flags_ &= ~HandleNode::Is::in_heap;
    ready_.push_back(node);
  }
}

void Scheduler::run_events() {
  struct Batch : ReadyList {
    explicit Batch(Scheduler& scheduler) noexcept : scheduler(scheduler) {
      splice_back(scheduler.io_ready_);
    }
    ~Batch() { scheduler.ready_.splice_front(*this); }
    Scheduler& scheduler;
  } batch(*this);
  while (!batch.empty()) run(batch.pop_front());
}

// Rule 104.
void Scheduler::run_watched(ReadyNode& node) {
  Subject subject;
  node.keep_subject(subject);
  const TimePoint begin = time();
  {
    struct Current {
      Current(Scheduler& scheduler, const Subject& subject) noexcept
          : scheduler(scheduler), outer(std::exchange(scheduler.running_subject_, &subject)) {}
      ~Current() { scheduler.running_subject_ = outer; }
      Scheduler& scheduler;
      const Subject* outer;
    } const current(*this, subject);
    node.run();
  }
  const Duration taken = time() - begin;
  if (taken < slow_callback_duration) return;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f", taken.seconds());
  get_logger("asyncio").warning("Executing {} took {} seconds", subject.repr(), seconds);
}

void Scheduler::set_debug(bool enabled) noexcept {
  debug_ = enabled;
  guarded_ = closed_ || debug_;
}

Notes& Scheduler::notes() {
  if (!notes_) notes_.reset(new Notes);
  return *notes_;
}

void Scheduler::add_origin(FutureBase& future, std::source_location place) {
  if (known(place)) notes().add_origin(future, place);
}

void Scheduler::add_origin(HandleNode& node, std::source_location place) {
  if (known(place)) notes().add_origin(node, place);
}

void Scheduler::report_from_destructor(const Report& what) noexcept {
  try {
    report(what);
  } catch (...) {
    get_logger("asyncio").error("Exception ignored in the exception handler: {}",
                                std::current_exception());
  }
}

void Scheduler::drop_all() noexcept {
  while (has_ready() || !timers_.empty()) {
    ready_.splice_back(early_);
    ready_.splice_back(io_ready_);
    while (!ready_.empty()) ready_.pop_front().drop();
    while (!timers_.empty()) {
      HandleNode& node = *timers_.pop().node;
      node.flags_ &= ~HandleNode::Is::in_heap;
      node.drop();
    }
  }
}

}  // namespace asyncio::inline v1::detail
