// SPDX-License-Identifier: BSL-1.0
#include <asyncio/timeouts.hpp>

#include <chrono>

namespace asyncio::inline v1 {

namespace {

constexpr const char* state_names[] = {"created", "active", "expiring", "expired", "finished"};

std::string in_milliseconds(TimePoint point) {
  const std::chrono::nanoseconds exact(point.since_epoch());
  return to_string(Duration(std::chrono::round<std::chrono::milliseconds>(exact)));
}

}  // namespace

std::optional<TimePoint> detail::Deadline::get() const {
  if (delay) return running_scheduler().time() + *delay;
  return when;
}

void Timeout::reschedule(std::optional<TimePoint> when) {
  if (state_ != State::entered) {
    if (state_ == State::created) throw RuntimeError("Timeout has not been entered");
    throw RuntimeError(std::string("Cannot change state of ") +
                       state_names[static_cast<int>(state_)] + " Timeout");
  }
  when_ = when;
  disarm();
  if (!when) return;
  detail::Scheduler& loop = detail::running_scheduler();
  // A deadline that has passed takes its turn in the queue, not in the heap.
  if (*when <= loop.time())
    handle_ = loop.call_soon([this] { on_timeout(); });
  else
    handle_ = loop.call_at(*when, [this] { on_timeout(); });
}

void Timeout::enter() {
  if (state_ != State::created) throw RuntimeError("Timeout has already been entered");
  task_ = current_task();
  if (!task_) throw RuntimeError("Timeout should be used inside a task");
  state_ = State::entered;
  cancelling_ = task_.cancelling();
  reschedule(when_);
}

void Timeout::exit(const std::exception_ptr& error) {
  disarm();
  if (state_ == State::expiring) {
    state_ = State::expired;
    // Other requests than ours mean that somebody else cancelled too: that one wins.
    if (task_.uncancel() <= cancelling_ && error && is_cancelled_error(error)) {
      TimeoutError timed_out;
      timed_out.set_cause(error);
      throw timed_out;
    }
  } else if (state_ == State::entered) {
    state_ = State::exited;
  }
}

void Timeout::on_timeout() {
  task_.cancel();
  state_ = State::expiring;
  handle_ = {};
}

void Timeout::disarm() noexcept {
  if (handle_) handle_->cancel();
  handle_ = {};
}

std::string to_string(const Timeout& timeout) {
  std::string text =
      std::string("<Timeout [") + state_names[static_cast<int>(timeout.state_)] + ']';
  if (timeout.state_ == Timeout::State::entered)
    text += " when=" + (timeout.when_ ? in_milliseconds(*timeout.when_) : std::string("None"));
  return text + '>';
}

}  // namespace asyncio::inline v1
