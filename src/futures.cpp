// SPDX-License-Identifier: BSL-1.0
#include <asyncio/futures.hpp>

#include <algorithm>
#include <asyncio/tasks.hpp>

#include "notes.hpp"
#include "places.hpp"

namespace asyncio::inline v1 {

namespace detail {

void FutureBase::drop_callbacks() noexcept {
  DropList dropped;
  while (!callbacks_.empty()) dropped.push_back(callbacks_.pop_front());
}

void FutureBase::dispose() noexcept {
  if ((log_exception_ || noted_) && !take_leave()) [[unlikely]]
    return;
  delete this;
}

/// Says what nobody has seen. False if it is to live on.
bool FutureBase::take_leave() noexcept {
  if (std::exchange(log_exception_, false)) {
    // The report may show the future to a handler, which may keep it: it lives again until then.
    references_ = 1;
    scheduler_->report_from_destructor(
        {.message = std::string(type_name()) + " exception was never retrieved",
         .exception = extras_->exception,
         .future = this});
    if (--references_ != 0) return false;
  }
  if (noted_) scheduler_->notes().forget(*this);
  return true;
}

bool FutureBase::cancel(const std::string* message) {
  log_exception_ = false;
  if (done()) return false;
  set_cancelled(message);
  return true;
}

void FutureBase::set_cancelled(const std::string* message) {
  set_cancel_message(message);
  finish(State::cancelled);
}

void FutureBase::set_cancel_message(const std::string* message) {
  if (message)
    extras().cancel_message.reset(new std::string(*message));
  else if (extras_)
    extras_->cancel_message.reset();
}

FutureBase::Extras::~Extras() = default;

FutureBase::Extras& FutureBase::make_extras() {
  extras_.reset(new Extras);
  return *extras_;
}

void FutureBase::set_exception(std::exception_ptr exception) {
  check_pending();
  if (!exception) throw TypeError("invalid exception object: null");
  extras().exception = std::move(exception);
  finish(State::finished);
  log_exception_ = true;
}

void FutureBase::finish(State state) {
  state_ = state;
  if (callbacks_.empty()) return;
  if (scheduler_->guarded()) [[unlikely]] {
    try {
      scheduler_->check_usable();
    } catch (...) {  // done all the same; the callbacks are lost
      drop_callbacks();
      throw;
    }
  }
  do {
    ReadyNode& node = callbacks_.pop_front();
    if (tell_callbacks_) node.completed_by(*this);
    scheduler_->push(node);
  } while (!callbacks_.empty());
}

std::exception_ptr FutureBase::exception() {
  if (cancelled()) std::rethrow_exception(make_cancelled_error());
  if (!done()) throw InvalidStateError("Exception is not set.");
  log_exception_ = false;
  return extras_ ? extras_->exception : nullptr;
}

/// What stands in the place of a value.
std::exception_ptr FutureBase::error_to_throw() {
  if (cancelled()) return make_cancelled_error();
  if (!done()) return std::make_exception_ptr(InvalidStateError("Result is not ready."));
  log_exception_ = false;
  return extras_->exception;
}

std::exception_ptr FutureBase::make_cancelled_error() {
  if (has_exception()) return std::exchange(extras_->exception, nullptr);
  const std::string* const message = cancel_message();
  return std::make_exception_ptr(message ? CancelledError(*message) : CancelledError());
}

bool FutureBase::ended_by_cancelled_error() const {
  return cancelled() || (has_exception() && is_cancelled_error(extras_->exception));
}

void FutureBase::add_callback(ReadyNode& node, bool wants_future) {
  if (done()) {
    if (scheduler_->guarded()) [[unlikely]] {
      try {
        scheduler_->check_usable();
      } catch (...) {
        node.drop();
        throw;
      }
    }
    if (wants_future) node.completed_by(*this);
    scheduler_->push(node);
    return;
  }
  tell_callbacks_ |= wants_future;
  callbacks_.push_back(node);
}

void FutureBase::forget(TaskBase& task) noexcept {
  remove_callback(task);
}

void FutureBase::throw_done() {
  throw InvalidStateError((cancelled() ? "CANCELLED: " : "FINISHED: ") + repr());
}

std::string FutureBase::repr() {
  if (in_repr_) return "...";
  in_repr_ = true;
  const struct End {
    ~End() { future.in_repr_ = false; }
    FutureBase& future;
  } end{*this};
  const TaskBase* const task = as_task();
  std::string text = std::string("<") + type_name();
  switch (state_) {
    case State::pending: text += task && task->cancelling() ? " cancelling" : " pending"; break;
    case State::cancelled: text += " cancelled"; break;
    case State::finished: text += " finished"; break;
  }
  if (task) text += task->repr_info();
  if (state_ == State::finished)
    text += has_exception() ? " exception=" + asyncio::repr(extras_->exception)
                            : " result=" + result_repr();
  if (!callbacks_.empty()) text += " cb=[" + callbacks_repr() + ']';
  if (const std::source_location place = origin_of(*this); known(place))
    text += " created at " + file_and_line(place);
  return text + '>';
}

// The first and the last of them.
std::string FutureBase::callbacks_repr() const {
  std::size_t count = 0;
  callbacks_.for_each([&](const ReadyNode&) { ++count; });
  std::string text = callbacks_.front().callback_name();
  if (count > 2) text += ", <" + std::to_string(count - 2) + " more>";
  if (count > 1) text += ", " + callbacks_.back().callback_name();
  return text;
}

std::vector<Ref<FutureBase>> FutureBase::awaiters() const {
  std::vector<Ref<FutureBase>> result;
  const auto add = [&](FutureBase* awaiter) {
    if (awaiter && std::ranges::find(result, awaiter, &Ref<FutureBase>::get) == result.end())
      result.emplace_back(awaiter);
  };
  callbacks_.for_each([&](ReadyNode& node) { add(node.awaiter()); });
  if (noted_) {
    for (FutureBase* awaiter : scheduler_->notes().awaiters_of(*this)) add(awaiter);
  }
  return result;
}

}  // namespace detail

void AnyFuture::set_exception(std::exception_ptr exception) const {
  if (state_->as_task()) throw RuntimeError("Task does not support set_exception operation");
  state_->set_exception(std::move(exception));
}

std::string to_string(const AnyFuture& future) {
  return future ? future.state()->repr() : "None";
}

}  // namespace asyncio::inline v1
