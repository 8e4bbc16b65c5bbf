// SPDX-License-Identifier: BSL-1.0
#include <asyncio/asio/async_run.hpp>

#include <boost/asio/error.hpp>

#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

namespace {

std::exception_ptr aborted() {
  return std::make_exception_ptr(
      boost::system::system_error(boost::asio::error::operation_aborted));
}

}  // namespace

// -- CancelRequest

CancelRequest::CancelRequest(Scheduler& loop) : queue_(core_of(loop).foreign_queue()) {}

void CancelRequest::emit() {
  if (queue_->in_thread()) return deliver();
  if (queued_.exchange(true)) return;
  add_ref();
  if (!queue_->push(*this)) release();
}

void CancelRequest::attach(FutureBase& future) {
  future_ = &future;
  if (requested_) future.cancel(nullptr);
}

void CancelRequest::run() {
  const Ref<CancelRequest> entry(adopt_ref, this);
  queued_ = false;
  const Ref<FutureBase> future(future_);
  try {
    deliver();
  } catch (...) {
    future->scheduler().report({.message = "Exception in callback async_run()",
                                .exception = caught_error(),
                                .future = future.get()});
  }
}

void CancelRequest::deliver() {
  if (const Ref<FutureBase> future(future_); future)
    future->cancel(nullptr);
  else
    requested_ = true;
}

// -- WaitOperation

void WaitOperation::launch() {
  // Kept here: once it is pushed, operation and loop may be gone.
  const std::shared_ptr<ForeignQueue> queue = core_of(loop_).foreign_queue();
  if (queue->in_thread())
    begin();
  else if (!queue->push(*this))
    complete(std::make_exception_ptr(RuntimeError("Event loop is closed")));
}

void WaitOperation::run() {
  Ref<ContextState> context = std::move(context_);
  const ContextScope scope(context);
  begin();
}

void WaitOperation::begin() {
  try {
    future_ = start(loop_);
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    // Of a first step that was run at once. It must not leave the initiating function.
    if (is_base_exit(error)) loop_.call_soon([error] { std::rethrow_exception(error); });
    return complete(error);
  }
  expect(loop_);
  completion_.operation = this;
  if (cancel_request_) cancel_request_->attach(*future_);
  future_->add_callback(completion_, false);
}

void WaitOperation::done() noexcept {
  if (future_->ended_by_cancelled_error()) {
    future_->mark_retrieved();
    end(aborted());
  } else {
    end(future_->exception());
  }
}

void WaitOperation::abort() noexcept { end(aborted()); }

// The loop is being closed.
void WaitOperation::drop() noexcept {
  expect_no_more();
  if (!future_) return abort();
  const Ref<FutureBase> future = future_;
  // If it is done, the callback stands in the ready queue, and is dropped there.
  future->remove_callback(completion_);
}

void WaitOperation::end(std::exception_ptr error) noexcept {
  expect_no_more();
  if (cancel_request_) cancel_request_->detach();
  complete(std::move(error));
}

}  // namespace asyncio::inline v1::detail
