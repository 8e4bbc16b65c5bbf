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

/// What somebody else has done to the future, or to the task, is not the loop's end. Called last: the
/// handler may be left by an exception.
static void report(FutureBase& task, const std::exception_ptr& failure) {
  if (!failure) return;
  task.scheduler().report({.message = "Exception in callback run_coroutine_threadsafe()",
                           .exception = failure,
                           .future = &task});
}

// The request to cancel.
void Publisher::run() {
  const Ref<FutureBase> task = task_;
  std::exception_ptr failure;
  try {
    if (task) task->cancel(nullptr);
  } catch (...) {
    failure = caught_error();
  }
  request_ended();
  if (task) report(*task, failure);
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
  const Ref<FutureBase> task = task_;
  std::exception_ptr failure;
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
  } catch (...) {
    failure = caught_error();
  }
  task_ended();
  report(*task, failure);
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
