// SPDX-License-Identifier: BSL-1.0
#include <asyncio/taskgroups.hpp>

#include <memory>

#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

/// The done-callback of a child.
class TaskGroupState::Child final : public ReadyNode, public Pooled, private Links {
 public:
  Child(Ref<TaskGroupState> group, AnyTask task) noexcept
      : group_(std::move(group)), task_(std::move(task)) {
    link_before(group_->children_);
    ++group_->child_count_;
  }
  ~Child() { leave(); }
  static const AnyTask& task_of(const Links& child) noexcept {
    return static_cast<const Child&>(child).task_;
  }
  void run() override {
    const std::unique_ptr<Child> entry(this);
    leave();
    group_->child_done(task_);
  }
  void drop() noexcept override { delete this; }
  std::string callback_name() const override { return "TaskGroup._on_task_done()"; }
  FutureBase* awaiter() noexcept override { return group_->parent_.state().get(); }

 private:
  /// It is done, or the loop is being closed.
  void leave() noexcept {
    if (alone()) return;
    unlink();
    --group_->child_count_;
  }

  Ref<TaskGroupState> group_;
  AnyTask task_;
};

TaskGroupState::TaskGroupState() : loop_(running_scheduler()), parent_(current_task()) {}
TaskGroupState::~TaskGroupState() = default;

void TaskGroupState::refuse() const {
  throw RuntimeError("TaskGroup " + repr() + (finished() ? " is finished" : " is shutting down"));
}

void TaskGroupState::add(const AnyTask& task) {
  if (task.done()) {  // it was eager
    child_done(task);
    return;
  }
  task.state()->add_callback(*new Child(Ref<TaskGroupState>(this), task), false);
  // An eager task may have cancelled the group before it became a child. One that has failed in it
  // cancels only those that are children by then.
  if (cancelled_) task.cancel();
}

void TaskGroupState::child_done(const AnyTask& task) {
  if (completed_ && !children_left() && !completed_.done()) completed_.set_result();
  if (task.cancelled()) return;
  const std::exception_ptr error = task.exception();
  if (!error) return;
  errors_.push_back(error);
  if (is_base_exit(error) && !base_error_) base_error_ = error;
  if (parent_.done()) {
    core_of(loop_).call_exception_handler(
        {.message = "Task " + to_string(task) + " has errored out but its parent task " +
                    to_string(parent_) + " is already completed",
         .exception = error,
         .task = task});
    return;
  }
  if (!aborting_ && !parent_cancel_requested_) {
    // The body, or the wait at its end, is interrupted; end_exit() takes this request back.
    abort();
    parent_cancel_requested_ = true;
    parent_.cancel();
  }
}

void TaskGroupState::abort() {
  aborting_ = true;
  // Cancelling one may make others be added, or come to an end.
  std::vector<AnyTask> children;
  for (const Links* child = children_.next; child != &children_; child = child->next)
    children.push_back(Child::task_of(*child));
  for (const AnyTask& child : children)
    if (!child.done()) child.cancel();
}

void TaskGroupState::cancel() {
  if (aborting_) return;
  if (finished()) return;
  cancelled_ = true;
  abort();
  if (!parent_cancel_requested_ && !parent_.done()) {
    parent_cancel_requested_ = true;
    parent_.cancel();
  }
}

void TaskGroupState::begin_exit(std::exception_ptr error) {
  exiting_ = true;
  if (!error) return;
  if (is_base_exit(error) && !base_error_) base_error_ = error;
  if (is_cancelled_error(error))
    cancellation_ = std::move(error);
  else
    body_error_ = std::move(error);
  if (!aborting_) abort();
}

Future<void> TaskGroupState::completed() {
  completed_ = Future<void>(loop_);
  return completed_;
}

void TaskGroupState::interrupted(std::exception_ptr error) {
  completed_ = nullptr;
  interruption_ = std::move(error);
  if (aborting_) return;
  cancellation_ = interruption_;
  abort();
}

void TaskGroupState::end_exit() {
  completed_ = nullptr;
  if (base_error_) std::rethrow_exception(base_error_);
  // Our own request must be taken back; what is left then is somebody else's.
  if (parent_cancel_requested_) {
    if (parent_.uncancel() == 0)
      cancellation_ = nullptr;
    else if (interruption_)
      cancellation_ = interruption_;
  }
  if (cancellation_ && errors_.empty()) std::rethrow_exception(cancellation_);
  if (body_error_) errors_.push_back(std::move(body_error_));
  if (errors_.empty()) return;
  // Cancelled from outside as well: the next await of the parent shall tell it (rule 79).
  if (parent_.cancelling() > 0) {
    parent_.uncancel();
    parent_.cancel();
  }
  std::rethrow_exception(
      make_exception_group("unhandled errors in a TaskGroup", std::move(errors_)));
}

void TaskGroupState::throw_no_value() const {
  throw RuntimeError("TaskGroup " + repr() + " was cancelled before its body returned a value");
}

std::string TaskGroupState::repr() const {
  std::string text = "<TaskGroup";
  if (children_left()) text += " tasks=" + std::to_string(child_count_);
  if (!errors_.empty()) text += " errors=" + std::to_string(errors_.size());
  return text + (aborting_ ? " cancelling>" : " entered>");
}

}  // namespace asyncio::inline v1::detail
