// SPDX-License-Identifier: BSL-1.0
#include <asyncio/tasks.hpp>

#include <asyncio/detail/wait_list.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>
#include <atomic>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include "notes.hpp"
#include "places.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

/// One counter for the whole process, as in Python (rule 48).
std::uint64_t next_task_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
#if __has_include(<sys/single_threaded.h>)
  if (__libc_single_threaded) {  // spares an instruction that costs a tenth of a task
    const std::uint64_t number = last.load(std::memory_order_relaxed) + 1;
    last.store(number, std::memory_order_relaxed);
    return number;
  }
#endif
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

constinit thread_local const Frame* Frame::gone_ = nullptr;

TaskBase::TaskBase(FutureBase& future, Frame& outermost, const TaskOptions& options)
    : future_(future),
      coroutine_(outermost.where),
      innermost_(&outermost),
      context_(options.context ? options.context->state() : capture_context()) {
  if (options.daemon) [[unlikely]] {
    daemon_ = true;
    log_destroy_pending_ = false;
  }
  if (options.name.data()) [[unlikely]]
    set_name(options.name);
  else
    number_ = next_task_number();
  scheduler().note_origin(future_, options.where);
}

void TaskBase::set_name(std::string_view name) {
  future().extras().name.reset(new std::string(name));
}

std::string TaskBase::name() const {
  const FutureBase::Extras* const extras = future().extras_if_any();
  return extras && extras->name ? *extras->name : "Task-" + std::to_string(number_);
}

/// The task is the loop's current one, for a scope. An eager start happens inside another's step.
class TaskBase::CurrentTask {
 public:
  explicit CurrentTask(TaskBase& task) noexcept
      : loop_(task.scheduler()), outer_(std::exchange(loop_.current_task, &task)) {}
  ~CurrentTask() { loop_.current_task = outer_; }

 private:
  Scheduler& loop_;
  TaskBase* outer_;
};

// Runs the coroutine until it suspends or ends. The innermost frame is resumed from this loop, and
// from nowhere else: a frame that awaits another, or ends, only changes which one is innermost.
inline void TaskBase::resume() {
  const CurrentTask current(*this);
  const ContextScope scope(context_);
  started_ = true;
  step_ = Step::running;
  const Frame* resumed;
  do {
    resumed = innermost_;
    innermost_->handle().resume();
  } while (step_ == Step::running && innermost_ != resumed);
  if (step_ == Step::running) [[unlikely]]
    bad_yield();
  if (step_ == Step::ended) finish();
}

/// Whoever has the handle of a frame would resume it, from anywhere: there is no going on.
void TaskBase::bad_yield() noexcept {
  get_logger("asyncio").critical(
      "Task got bad yield: {} waits for what knows nothing of tasks. Await a Future, and complete it "
      "by call_soon_threadsafe().",
      future().repr());
  std::terminate();
}

void TaskBase::start(bool eager) {
  Scheduler& loop = scheduler();
  const bool at_once = eager && thread_state.running == &loop;
  if (at_once && context_) {
    try {
      check_not_entered(*context_);
    } catch (...) {
      destroy_frame();
      throw;
    }
  }
  future().add_ref();  // the loop keeps it until it is done
  link_before(loop.tasks);
  if (!daemon_) ++loop.live_tasks;
  if (at_once) {
    resume();
  } else {
    future().add_ref();
    loop.push(*this);
  }
}

// The step of an entry in the ready queue: the first one, or the one after a wait.
void TaskBase::run() {
  const Ref<FutureBase> entry(adopt_ref, &future());
  if (must_cancel_) [[unlikely]]
    cancel_step();
  else if (waiter_ && waiter_->wait_again())
    return;
  waiter_ = nullptr;
  if (scheduler().current_task) [[unlikely]]
    return report_nested_step();
  if (throws_next_ && !started_) [[unlikely]]
    return end_unstarted();
  resume();
}

void TaskBase::cancel_step() {
  must_cancel_ = false;
  // A CancelledError that is coming anyway is not replaced (rule 54).
  if (waiter_ && waiter_->ended_by_cancelled_error()) return;
  if (waiter_) waiter_->mark_retrieved();
  throw_next(future().make_cancelled_error());
}

void TaskBase::report_nested_step() {
  scheduler().report(
      {.message = "Exception in callback " + future().repr(),
       .exception = std::make_exception_ptr(RuntimeError(
           "Cannot enter into task " + future().repr() + " while another task " +
           scheduler().current_task->future().repr() + " is being executed.")),
       .task = this});
}

// Cancelled before the first step: no line of the coroutine runs (rule 57).
void TaskBase::end_unstarted() {
  const CurrentTask current(*this);
  const ContextScope scope(context_);
  started_ = true;
  fail(take_next_throw());
}

void TaskBase::finish() {
  if (throws_next_) [[unlikely]] {
    fail(take_next_throw());
  } else if (must_cancel_ && !put_off_) [[unlikely]] {
    must_cancel_ = false;
    destroy_frame();  // rule 56: the value is discarded
    end();
    future().set_cancelled(future().cancel_message());
  } else {
    end();
    try {
      take_value();
    } catch (...) {  // moving the value threw
      if (innermost_) destroy_frame();
      if (future().done()) throw;
      future().set_exception(std::current_exception());
    }
  }
}

// Rule 42.
void TaskBase::fail(std::exception_ptr error) {
  if (!keeps_failed_) destroy_frame();
  end();
  if (is_cancelled_error(error)) {
    future().keep_cancelled_error(std::move(error));
    future().set_cancelled(nullptr);
    return;
  }
  future().set_exception(error);
  if (is_base_exit(error)) std::rethrow_exception(std::move(error));
}

// The loop lets go of the task. Whoever called holds a reference.
void TaskBase::end() noexcept {
  unlink();
  if (!daemon_) --scheduler().live_tasks;
  future().release();
}

void TaskBase::abandon() noexcept {
  const Ref<FutureBase> keep(&future());
  if (log_destroy_pending_) {
    scheduler().report_from_destructor(
        {.message = "Task was destroyed but it is pending!", .task = this});
  }
  Frame* frame = std::exchange(innermost_, nullptr);
  // What it waited for may outlive the loop, and must not try to wake it then.
  if (waiter_) waiter_->forget(*this);
  waiter_ = nullptr;
  end();
  while (Frame* const caller = frame->caller) {
    frame->destroy_ahead();
    frame = caller;
  }
  frame->destroy();
  Frame::forget_gone();
  // They will not be called, and may hold the task itself.
  future().remove_callbacks([](ReadyNode&) { return true; });
}

bool TaskBase::request_cancel(const std::string* message) {
  future().mark_retrieved();
  if (future().done()) return false;
  if (in_cancel_) throw RuntimeError("maximum recursion depth exceeded: tasks wait for each other");
  ++future().extras().cancel_requests;
  if (waiter_) {
    in_cancel_ = true;
    const struct End {
      ~End() { task.in_cancel_ = false; }
      TaskBase& task;
    } end{*this};
    if (waiter_->cancel(message)) return true;
  }
  must_cancel_ = true;
  put_off_ = false;
  future().set_cancel_message(message);
  return true;
}

int TaskBase::uncancel() noexcept {
  const int left = cancelling() > 0 ? --future().extras().cancel_requests : 0;
  if (left == 0) must_cancel_ = false;
  return left;
}

void TaskBase::wait_for(FutureBase& awaited) {
  step_ = Step::suspended;
  if (&awaited.scheduler() != &scheduler()) {
    refuse(awaited);
  } else if (&awaited == &future()) {
    schedule_throw(std::make_exception_ptr(
        RuntimeError("Task cannot await on itself: " + awaited.repr())));
  } else {
    future().add_ref();
    awaited.add_callback(*this, false);
    waiter_ = &awaited;
    if (must_cancel_) [[unlikely]]
      cancel_awaited(awaited);
  }
}

void TaskBase::cancel_awaited(FutureBase& awaited) {
  try {
    if (awaited.cancel(future().cancel_message())) must_cancel_ = false;
  } catch (...) {  // it waits for this task: the step goes on with that
    awaited.forget(*this);
    waiter_ = nullptr;
    step_ = Step::running;
    throw;
  }
}

// The loop keeps the task while it sleeps.
void TaskBase::wait_for(Sleeper& sleeper) {
  step_ = Step::suspended;
  waiter_ = &sleeper;
  if (must_cancel_ && sleeper.cancel(future().cancel_message())) must_cancel_ = false;
}

void TaskBase::refuse(Awaited& foreign) {
  schedule_throw(std::make_exception_ptr(
      RuntimeError("Task " + future().repr() + " got Future " + foreign.repr() +
                   " attached to a different loop")));
}

void TaskBase::schedule_throw(std::exception_ptr error) {
  throw_next(std::move(error));
  yield();
}

std::exception_ptr TaskBase::take_next_throw() noexcept {
  if (!throws_next_) return nullptr;
  throws_next_ = false;
  return std::move(future().extras().next_throw);
}

void TaskBase::put_off_cancel(const std::string* message) {
  if (throws_next_)
    (void)take_next_throw();  // the CancelledError; its message is still known
  else if (cancelling() == 0)
    return;  // the request was taken back
  else
    future().set_cancel_message(message);
  cancel_at_next_await();
}

// -- introspection

void TaskBase::keep_subject(Subject& subject) { subject.future = Ref<FutureBase>(&future()); }

std::vector<std::source_location> TaskBase::stack() const {
  std::vector<std::source_location> places;
  if (future().done()) return places;
  for (const Frame* frame = innermost_; frame; frame = frame->caller)
    if (frame->where.line() != 0) places.push_back(frame->where);
  return places;
}

std::string TaskBase::repr_info() const {
  const std::vector<std::source_location> places = stack();
  std::string text = " name=" + repr_str(name());
  text += " coro=<" + function_name(coroutine_) + "() ";
  text += future().done()
              ? "done, defined at " + file_and_line(coroutine_)
              : "running at " + file_and_line(places.empty() ? coroutine_ : places.back());
  text += '>';
  if (waiter_) text += " wait_for=" + waiter_->repr();
  return text;
}

}  // namespace detail

AnyTask current_task() {
  detail::TaskBase* const task = detail::running_scheduler().current_task;
  return task ? AnyTask(*task) : AnyTask();
}

AnyTask current_task(EventLoop& loop) {
  detail::TaskBase* const task = loop.scheduler().current_task;
  return task ? AnyTask(*task) : AnyTask();
}

static std::vector<AnyTask> tasks_of(detail::Scheduler& scheduler) {
  std::vector<AnyTask> tasks;
  for (detail::Links* links = scheduler.tasks.next; links != &scheduler.tasks;
       links = links->next)
    tasks.emplace_back(detail::TaskBase::from_links(*links));
  return tasks;
}

std::vector<AnyTask> all_tasks() { return tasks_of(detail::running_scheduler()); }

std::vector<AnyTask> all_tasks(EventLoop& loop) { return tasks_of(loop.scheduler()); }

AnyTask AnyCoroutine::create_task(EventLoop& loop, const TaskOptions& options) && {
  return coroutine_->create_task(loop.scheduler(), options);
}

AnyTask eager_task_factory(EventLoop& loop, AnyCoroutine coroutine, const TaskOptions& options) {
  TaskOptions eager = options;
  if (!eager.eager_start) eager.eager_start = true;
  return std::move(coroutine).create_task(loop, eager);
}

TaskFactory create_eager_task_factory(TaskFactory custom_task_constructor) {
  return [constructor = std::move(custom_task_constructor)](
             EventLoop& loop, AnyCoroutine coroutine, const TaskOptions& options) {
    TaskOptions eager = options;
    eager.eager_start = true;
    return constructor(loop, std::move(coroutine), eager);
  };
}

}  // namespace asyncio::inline v1
