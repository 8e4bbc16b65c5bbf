// SPDX-License-Identifier: BSL-1.0
#include <asyncio/threads.hpp>

namespace asyncio::inline v1::detail {

Publisher::Publisher(Ref<FutureBase> task, std::shared_ptr<ConcurrentBase> destination) noexcept
    : task_(std::move(task)), destination_(std::move(destination)) {}

void Publisher::begin() {
  const Ticket ticket = expect(task_->scheduler());
  destination_->add_done_callback([ticket](const std::shared_ptr<ConcurrentBase>& destination) {
    if (destination->cancelled()) ticket.use();
  });
  completion_.publisher = this;
  task_->add_callback(completion_, false);
}

namespace {

/// In a catch clause.
void report_failure(FutureBase& task) {
  task.scheduler().report({.message = "Exception in callback run_coroutine_threadsafe()",
                           .exception = caught_error(),
                           .future = &task});
}

}  // namespace

// The request to cancel.
void Publisher::run() {
  if (const Ref<FutureBase> task = task_) {
    try {
      task->cancel(nullptr);
    } catch (...) {
      report_failure(*task);
    }
  }
  request_ended();
}

void Publisher::drop() noexcept { request_ended(); }

void Publisher::request_ended() noexcept {
  expect_no_more();
  requested_ = true;
  if (!task_) delete this;
}

void Publisher::Completion::run() { publisher->publish(); }

// The loop is closed before the task is done: nobody may wait for ever.
void Publisher::Completion::drop() noexcept {
  publisher->destination_->cancel();
  publisher->task_ended();
}

void Publisher::publish() {
  try {
    if (task_->cancelled()) destination_->cancel();
    if (destination_->set_running_or_notify_cancel()) {
      std::exception_ptr error = task_->exception();
      if (!error) {
        try {
          copy_result();
        } catch (...) {  // copying the value threw
          error = std::current_exception();
        }
      }
      if (error) destination_->set_exception(std::move(error));
    }
  } catch (...) {  // somebody else has completed it
    report_failure(*task_);
  }
  task_ended();
}

void Publisher::task_ended() {
  task_ = nullptr;
  // A future that was not cancelled will not be: no request comes.
  if (requested_ || !destination_->cancelled()) {
    expect_no_more();
    delete this;
  }
}

}  // namespace asyncio::inline v1::detail
