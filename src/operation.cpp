// SPDX-License-Identifier: BSL-1.0
#include <asyncio/asio/operation.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/channel_error.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>

#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

namespace {

/// Asio's && and || of awaitables throw the errors of both sides together.
std::exception_ptr first_of(std::exception_ptr error) {
  while (const auto* const several = exception_cast<boost::asio::multiple_exceptions>(error))
    error = several->first_exception();
  return error;
}

bool means_aborted(const boost::system::error_code& code) {
  return code == boost::asio::error::operation_aborted ||
         code == boost::asio::experimental::error::channel_cancelled;
}

LoopCore& open_core_of(const FutureBase& future) {
  LoopCore& core = core_of(future.scheduler());
  if (!core.foreign_queue()->open()) throw RuntimeError("Event loop is closed");
  return core;
}

}  // namespace

// -- Completion

Completion::Completion(OperationBase& operation)
    : operation_(&operation),
      queue_(open_core_of(operation.self_).foreign_queue()),
      executor_(core_of(operation.self_.scheduler()).executor()) {}

Completion::~Completion() = default;

void Completion::arrive() noexcept {
  arrived_.store(true, std::memory_order_release);
  if (queue_->in_thread())
    run();
  else if (!queue_->push(*this))
    release();  // the loop is closed
}

void Completion::run() {
  const Kept self(this);
  if (operation_) operation_->ended(*this);
}

/// A coroutine of co_spawn's takes it badly to be told to end before it has begun, which may only be
/// posted yet; and what co_spawn has put into the slot, called in another context, leaves a reference
/// to itself there, which the outcome may overtake.
void Completion::cancel() {
  if (arrived_.load(std::memory_order_acquire)) return;
  owners_.fetch_add(1, std::memory_order_relaxed);
  Kept kept(this);
  if (spawned_on_)
    boost::asio::post(spawned_on_, [kept = std::move(kept)] { kept->emit(); });
  else
    emit();
}

void Completion::cancel_elsewhere() {
  if (!own_context_ || !core().owns_context()) cancel();
}

void Completion::emit() {
  if (!arrived_.load(std::memory_order_acquire))
    signal_.emit(boost::asio::cancellation_type::all);
}

LoopCore& Completion::core() const noexcept { return core_of(operation_->self_.scheduler()); }

bool Completion::is_own(const boost::asio::execution_context& context) const noexcept {
  return &context == &core().context();
}

void Completion::release() noexcept {
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

// -- OperationBase

void OperationBase::begin(Completion& completion) {
  completion_ = &completion;
  self_.add_ref();
  link_before(core_of(self_.scheduler()).operations);
}

void OperationBase::ended(Completion& completion) {
  const Ref<FutureBase> kept(adopt_ref, &self_);
  completion_ = nullptr;
  unlink();
  if (self_.done()) return;  // somebody else has completed it
  try {
    if (!take_value(completion)) fail(completion);
  } catch (...) {  // moving the value threw
    if (self_.done()) throw;
    self_.set_exception(std::current_exception());
  }
}

void OperationBase::fail(Completion& completion) {
  const boost::system::error_code aborted = boost::asio::error::operation_aborted;
  if (is_cancelled_error(completion.error)) {  // as if a task had ended by it
    self_.keep_cancelled_error(std::move(completion.error));
    return self_.set_cancelled(self_.cancel_message());
  }
  const std::exception_ptr first = first_of(completion.error);
  const auto* const thrown = exception_cast<boost::system::system_error>(first);
  const bool destroyed = !completion.code && !completion.error;
  if (asked_ && (destroyed || means_aborted(thrown ? thrown->code() : completion.code)))
    return self_.set_cancelled(self_.cancel_message());
  self_.set_exception(
      completion.error ? completion.error
      : destroyed ? make_os_error(aborted, "the operation was abandoned: its handler was destroyed")
                  : make_os_error(completion.code));
}

bool OperationBase::request_cancel(const std::string* message) {
  if (!completion_ || self_.done()) return self_.FutureBase::cancel(message);
  self_.mark_retrieved();
  asked_ = true;
  self_.set_cancel_message(message);
  completion_->cancel();
  return true;
}

void OperationBase::give_up() noexcept {
  self_.mark_retrieved();
  if (!completion_) return;
  std::exchange(completion_, nullptr)->forget();
  unlink();
  self_.release();
}

void OperationBase::give_up_all(Links& operations) {
  while (!operations.alone()) {
    auto& operation = static_cast<OperationBase&>(*operations.next);
    const Ref<FutureBase> kept(&operation.self_);
    operation.completion_->cancel_elsewhere();
    operation.give_up();
  }
}

}  // namespace asyncio::inline v1::detail
