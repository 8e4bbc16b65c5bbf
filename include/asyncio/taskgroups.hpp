// SPDX-License-Identifier: BSL-1.0
// TaskGroup: tasks that end before their scope does (surface A6, rules 77-81).
//
//   co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> asyncio::Coroutine<> {
//     group.create_task(first());
//     group.create_task(second());
//     co_return;
//   });
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// A group, shared with the callbacks of its children.
class TaskGroupState : public Pooled {
 public:
  /// A group of the running task.
  TaskGroupState();
  ~TaskGroupState();

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  /// The body is over; `error` is what it threw. Then, as long as children_left(): wait.
  void begin_exit(std::exception_ptr error);
  bool children_left() const noexcept { return child_count_ != 0; }
  /// Done when the last child is.
  Future<void> completed();
  /// The parent was cancelled while it waited.
  void interrupted(std::exception_ptr error);
  /// All children are done: throws what the group throws, or nothing.
  void end_exit();
  /// The group ended without an error, but its body gave no value: cancel() came first.
  [[noreturn]] void throw_no_value() const;

  /// Where a new child is to run; null if the group takes no more of them.
  Scheduler* accepting() const noexcept { return aborting_ || finished() ? nullptr : &loop_; }
  /// RuntimeError that says so.
  [[noreturn]] void refuse() const;
  void add(const AnyTask& task);
  void cancel();
  std::string repr() const;

 private:
  class Child;
  bool finished() const noexcept { return exiting_ && !children_left(); }
  void child_done(const AnyTask& task);
  void abort();

  std::uint32_t references_ = 1;
  bool exiting_ = false;
  bool aborting_ = false;
  bool cancelled_ = false;                // by cancel()
  bool parent_cancel_requested_ = false;  // by ourselves
  Scheduler& loop_;
  const AnyTask parent_;
  Links children_;  // not done, in the order of creation
  std::size_t child_count_ = 0;
  std::vector<std::exception_ptr> errors_;
  std::exception_ptr base_error_;    // SystemExit or KeyboardInterrupt
  std::exception_ptr body_error_;    // of the body, if not a CancelledError
  std::exception_ptr cancellation_;  // to be passed on
  std::exception_ptr interruption_;  // the last cancellation of the wait at the end
  Future<void> completed_{nullptr};
};

}  // namespace detail

/// What the body of task_group() gets. Usable until the group is finished; the loop's thread only.
/// Python: asyncio.TaskGroup.
class TaskGroup {
 public:
  explicit TaskGroup(detail::Ref<detail::TaskGroupState> state) noexcept
      : state_(std::move(state)) {}

  /// A child: the group ends after it. If it fails, all other children and the body are cancelled.
  /// RuntimeError, and the coroutine is closed, when the group is finished or shutting down.
  template <class T>
  Task<T> create_task(Coroutine<T> coroutine, TaskOptions options = {}) {
    detail::Scheduler* const loop = state_->accepting();
    if (!loop) {
      coroutine.close();
      state_->refuse();
    }
    Task<T> task = detail::create_task(*loop, std::move(coroutine), options);
    state_->add(task);
    return task;
  }
  /// create_task(f, args...): callable and arguments live as long as the task.
  template <class F>
    requires detail::coroutine_function<std::decay_t<F>>
  auto create_task(F&& function, TaskOptions options = {}) {
    return create_task(detail::call_and_keep<std::decay_t<F>>(std::forward<F>(function)), options);
  }
  template <class F, class... Args>
    requires(sizeof...(Args) != 0) &&
            detail::coroutine_function<std::decay_t<F>, std::decay_t<Args>...>
  auto create_task(F&& function, Args&&... args) {
    return create_task(detail::call_and_keep<std::decay_t<F>, std::decay_t<Args>...>(
                           std::forward<F>(function), std::forward<Args>(args)...),
                       {.where = {}});
  }
  /// Of any other awaitable, such as sleep(): a task that awaits it.
  template <Awaitable A>
    requires(!detail::a_coroutine<A> && !detail::a_future<A>)
  auto create_task(A&& awaitable, TaskOptions options = {}) {
    return create_task(detail::as_coroutine<std::decay_t<A>>(std::forward<A>(awaitable)), options);
  }
  /// Cancels children and body; the group then ends without an error. Idempotent. As in 3.15.
  /// A body that returns a value, and did not come to do so: task_group() throws RuntimeError.
  void cancel() { state_->cancel(); }

  /// Python's repr: `<TaskGroup tasks=2 entered>`, `<TaskGroup tasks=1 errors=1 cancelling>`.
  friend std::string to_string(const TaskGroup& group) { return group.state_->repr(); }

 private:
  detail::Ref<detail::TaskGroupState> state_;
};

namespace detail {

template <class Body>
using group_result = typename std::invoke_result_t<Body&, TaskGroup&>::value_type;

template <class Body>
Coroutine<group_result<Body>> task_group(Body body) {
  using T = group_result<Body>;
  const Ref<TaskGroupState> state(adopt_ref, new TaskGroupState);
  TaskGroup group(state);
  std::optional<value_or_none<T>> value;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await body(group);
    } else {
      T result = co_await body(group);
      value.emplace(std::move(result));
    }
  } catch (...) {
    error = std::current_exception();
  }
  state->begin_exit(std::move(error));
  // The parent may be cancelled again and again while it waits.
  while (state->children_left()) {
    const Future<void> completed = state->completed();
    std::exception_ptr interruption;
    try {
      co_await completed;
    } catch (const CancelledError&) {
      interruption = std::current_exception();
    }
    if (interruption) state->interrupted(std::move(interruption));
  }
  state->end_exit();
  if constexpr (!std::is_void_v<T>) {
    if (!value) state->throw_no_value();
    co_return std::move(*value);
  }
}

}  // namespace detail

/// Runs body(TaskGroup&) in the calling task, then waits for all children; returns what the body
/// returns. If the body throws, or the task is cancelled, the children are cancelled. Children's
/// failures come out as one ExceptionGroup "unhandled errors in a TaskGroup", in the order of
/// completion, the body's own last; SystemExit and KeyboardInterrupt come out bare; a cancellation
/// from outside comes out as CancelledError if there is no failure.
/// The callable is kept until the group is done; capture by reference: `[&]`.
/// Python: async with asyncio.TaskGroup() as group.
template <class Body>
auto task_group(Body&& body) {
  static_assert(detail::require_inline_callable<Body>());
  return detail::task_group<std::decay_t<Body>>(std::forward<Body>(body));
}

}  // namespace asyncio::inline v1
