// SPDX-License-Identifier: BSL-1.0
// Task<T>: a coroutine that the loop runs (surface A5, rules 38-63).
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asyncio/coroutine.hpp>
#include <asyncio/detail/box.hpp>
#include <asyncio/futures.hpp>

namespace asyncio::inline v1 {

/// Options of create_task.
struct TaskOptions {
  std::string_view name{};            ///< default: "Task-N", N counted over the whole process
  const Context* context = nullptr;   ///< null: a copy of the current one
  std::optional<bool> eager_start{};  ///< run the first step inside create_task (rule 51)
  /// Does not keep the context of a guest's host from running out of work, and is destroyed with
  /// its loop without a report. As Python's daemon threads.
  bool daemon = false;
  std::source_location where = std::source_location::current();  ///< for debug mode
};
static_assert(detail::require_inline_options<TaskOptions>());

namespace detail {

class Sleeper;

/// The part of a task that does not depend on the type of its result. It is its own entry in the
/// ready queue and in the callback lists of the futures it waits for.
class TaskBase : public ReadyNode, private Links {
 public:
  FutureBase& future() const noexcept { return future_; }
  Scheduler& scheduler() const noexcept { return future_.scheduler(); }
  static TaskBase& from_links(Links& links) noexcept { return static_cast<TaskBase&>(links); }

  std::string name() const;
  void set_name(std::string_view name);
  int cancelling() const noexcept {
    const FutureBase::Extras* const extras = future().extras_if_any();
    return extras ? extras->cancel_requests : 0;
  }
  /// Is a CancelledError to be thrown at the next step?
  bool must_cancel() const noexcept { return must_cancel_; }
  int uncancel() noexcept;
  /// A request to cancel came too late for what the task waited for: it holds for its next await. A
  /// task that ends without one keeps its result.
  void cancel_at_next_await() noexcept { must_cancel_ = put_off_ = true; }
  Ref<ContextState>& context() noexcept { return context_; }

  // -- for awaiters: the running step is about to suspend

  /// Wait for `awaited`: its completion makes the next step (rule 40). The awaiter keeps it alive.
  void wait_for(FutureBase& awaited);
  /// Wait until it is woken.
  void wait_for(Sleeper& sleeper);
  /// It belongs to another loop: RuntimeError at the next step.
  void refuse(Awaited& foreign);
  /// When the innermost frame goes on, it throws this in place of a result.
  void throw_next(std::exception_ptr error) {
    future().extras().next_throw = std::move(error);
    throws_next_ = true;
  }
  /// A bare yield: the next step comes in the next pass.
  void yield() noexcept {
    step_ = Step::suspended;
    future().add_ref();
    scheduler().push(*this);
  }
  /// The innermost frame goes on: throws what is to be thrown in place of a result (rules 41, 54).
  /// In the coroutine's own function, and in its cold part, as FutureBase::check_result does.
  [[gnu::always_inline]] void resumed() {
    if (throws_next_) [[unlikely]]
      std::rethrow_exception(take_next_throw());
  }
  /// The same, if what it waited for has an outcome that must not get lost: that goes ahead of a
  /// request to cancel that found it done, or was passed on to it (`asked`, with the message) and
  /// did not end it.
  void resumed_with_outcome(bool asked, const std::string* message) {
    if (throws_next_ || asked) [[unlikely]]
      put_off_cancel(message);
  }

  // -- for frames

  void enter(Frame& frame) noexcept { innermost_ = &frame; }
  void leave(Frame* caller) noexcept {
    if (caller)
      innermost_ = caller;
    else
      step_ = Step::ended;
  }
  /// What the frame has thrown that has just ended; null if it returned.
  [[gnu::cold]] std::exception_ptr take_next_throw() noexcept;

  /// Queues the first step, or runs it at once if `eager` (rules 38, 51).
  void start(bool eager);
  /// The loop closes: destroys the frames of a task that is not done, without running them.
  void abandon() noexcept;
  void set_log_destroy_pending(bool value) noexcept { log_destroy_pending_ = value; }
  /// If the coroutine fails, it stays with its arguments: whoever says so drops it.
  void keep_failed_coroutine() noexcept { keeps_failed_ = true; }
  void drop_failed_coroutine() noexcept {
    if (innermost_) destroy_frame();
  }
  /// The innermost frame; null when done, unless that has failed and is kept.
  const Frame* innermost() const noexcept { return innermost_; }
  /// Where the frames stand, the innermost first; empty when done. Frames without a place, which
  /// only keep things for those that they await, are left out.
  std::vector<std::source_location> stack() const;
  /// The coroutine that it is the task of, if the outermost frame only keeps things for that.
  void set_coroutine(const std::source_location& place) noexcept {
    coroutine_ = place;
    if (!started_) innermost_->where = {};
  }
  /// What its repr says beside what a future's does.
  std::string repr_info() const;

 protected:
  /// Owns the frame from then on.
  TaskBase(FutureBase& future, Frame& outermost, const TaskOptions& options);
  ~TaskBase() = default;

  void run() final;
  void drop() noexcept final { future().release(); }
  std::string callback_name() const final { return "Task.task_wakeup()"; }
  FutureBase* awaiter() noexcept final { return &future(); }
  void keep_subject(Subject& subject) final;
  bool request_cancel(const std::string* message);

  /// The outermost frame ended with a value: destroy the frame, make the value the result.
  virtual void take_value() = 0;
  /// Of the frame that has ended.
  Frame& outermost() const noexcept { return *innermost_; }
  void destroy_frame() noexcept { std::exchange(innermost_, nullptr)->destroy(); }

 private:
  class CurrentTask;
  void cancel_step();
  void cancel_awaited(FutureBase& awaited);
  void report_nested_step();
  void end_unstarted();
  void resume();
  [[noreturn]] void bad_yield() noexcept;
  void finish();
  void fail(std::exception_ptr error);
  void end() noexcept;
  void put_off_cancel(const std::string* message);
  void schedule_throw(std::exception_ptr error);

  enum class Step : std::uint8_t { suspended, running, ended };

  FutureBase& future_;              // this very task, as a future
  std::source_location coroutine_;  // the outermost
  Frame* innermost_;                // the frame to resume; when done, one that is kept
  Awaited* waiter_ = nullptr;       // what it waits for
  Ref<ContextState> context_;
  std::uint64_t number_ : 48 = 0;   // of the default name
  Step step_ = Step::suspended;
  bool throws_next_ : 1 = false;    // the innermost frame goes on with a throw
  bool must_cancel_ : 1 = false;    // CancelledError is to be thrown at the next step
  bool put_off_ : 1 = false;        // ... for a request that came before the running one
  bool started_ : 1 = false;
  bool log_destroy_pending_ : 1 = true;
  bool daemon_ : 1 = false;
  bool in_cancel_ : 1 = false;      // asks what it waits for to be cancelled
  bool keeps_failed_ : 1 = false;
};

template <class T>
class TaskState final : public FutureState<T>, public TaskBase {
 public:
  TaskState(Scheduler& scheduler, FrameOwner<T> frame, const TaskOptions& options)
      : FutureState<T>(scheduler), TaskBase(*this, *frame, options) {
    frame.release();
  }

  TaskBase* as_task() noexcept override { return this; }
  const char* type_name() const noexcept override { return "Task"; }
  bool cancel(const std::string* message) override { return request_cancel(message); }

 private:
  ~TaskState() override = default;
  void take_value() override {
    if constexpr (std::is_void_v<T>) {
      destroy_frame();
      this->set_result();
    } else {
      T value = static_cast<Promise<T>&>(outermost()).take_result();
      destroy_frame();
      this->set_result(std::move(value));
    }
  }
};

inline TaskBase& Frame::task() noexcept { return *thread_state.running->current_task; }
inline void Frame::unhandled_exception() noexcept { task().throw_next(std::current_exception()); }
inline void Frame::enter(Frame& caller_frame) noexcept {
  caller = &caller_frame;
  task().enter(*this);
}
inline void Frame::leave() noexcept { task().leave(caller); }

template <class T>
[[gnu::always_inline]] inline T CoroutineAwaiter<T>::await_resume() {
  Frame::task().resumed();
  return frame_->take_result();
}

/// Suspends the task until a future is done. See Future.
template <class T>
class FutureAwaiter {
 public:
  explicit FutureAwaiter(Ref<FutureBase> future) noexcept : future_(std::move(future)) {}
  FutureAwaiter(Ref<FutureBase> future, bool take) noexcept
      : future_(std::move(future)), take_(take) {}

  bool await_ready() const noexcept { return future_->done(); }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) {
    task_ = &frame.promise().task();
    task_->wait_for(*future_);
  }
  [[gnu::always_inline]] T await_resume() {
    if (task_) task_->resumed();
    if constexpr (std::is_void_v<T>) {
      future_->check_result();  // also of an AnyFuture, whose result has another type
    } else {
      auto& state = static_cast<FutureState<T>&>(*future_);
      if constexpr (is_copyable<T>) {
        if (!take_) return state.result();
      }
      return detail::take_result(state);
    }
  }

 private:
  Ref<FutureBase> future_;
  TaskBase* task_ = nullptr;  // set if it had to wait
  bool take_ = false;
};

/// Gives up the rest of the pass: what `await asyncio.sleep(0)` does.
class YieldAwaiter {
 public:
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) noexcept {
    task_ = &frame.promise().task();
    task_->yield();
  }
  [[gnu::always_inline]] void await_resume() { task_->resumed(); }

 private:
  TaskBase* task_ = nullptr;
};

}  // namespace detail

/// Where a coroutine stands: at the co_await it has come to last.
struct StackFrame {
  std::string file;
  unsigned line;
  std::string function;  ///< without its parameters: "Service::handle"

  friend bool operator==(const StackFrame&, const StackFrame&) = default;
};

namespace detail {
std::vector<StackFrame> get_stack(const TaskBase& task, std::optional<int> limit);
void print_stack(TaskBase& task, std::optional<int> limit, std::ostream* file);
}  // namespace detail

/// What every handle of a task offers beside the future's members.
template <class Handle>
class TaskMembers {
 public:
  /// Outstanding cancellation requests.
  int cancelling() const noexcept { return task().cancelling(); }
  /// Takes one request back and returns what is left; at zero, an undelivered one is withdrawn too.
  int uncancel() const noexcept { return task().uncancel(); }
  std::string get_name() const { return task().name(); }
  void set_name(std::string_view name) const { task().set_name(name); }
  /// The context of all its steps.
  Context get_context() const { return detail::context_in(task().context()); }
  /// Where its coroutines stand, the oldest call first; at most `limit` of them, the newest. Of a
  /// suspended task Python shows the outermost only. Empty when it is done.
  std::vector<StackFrame> get_stack(std::optional<int> limit = {}) const {
    return detail::get_stack(task(), limit);
  }
  /// The stack, or the exception, as Python writes it; to stderr if no stream is given.
  void print_stack(std::optional<int> limit = {}, std::ostream* file = nullptr) const {
    detail::print_stack(task(), limit, file);
  }

 private:
  detail::TaskBase& task() const noexcept {
    return *static_cast<const Handle&>(*this).state()->as_task();
  }
};

/// Any task, whatever its result; nullable.
class AnyTask : public AnyFuture, public TaskMembers<AnyTask> {
 public:
  AnyTask() noexcept = default;
  explicit AnyTask(detail::TaskBase& task) noexcept
      : AnyFuture(detail::Ref<detail::FutureBase>(&task.future())) {}
  explicit AnyTask(detail::Ref<detail::FutureBase> state) noexcept : AnyFuture(std::move(state)) {}
};

/// A coroutine on its way, and a future of its result. Made by create_task. The loop keeps a task
/// alive until it is done, whether or not a handle is kept. A task still pending when its loop is
/// closed is reported ("Task was destroyed but it is pending!") and its frames are destroyed
/// without running. Python: asyncio.Task.
template <class T = void>
class Task : public Future<T>, public TaskMembers<Task<T>> {
 public:
  /// A handle that stands for no task yet.
  Task() noexcept : Future<T>(nullptr) {}
  explicit Task(detail::Ref<detail::FutureBase> state) noexcept : Future<T>(std::move(state)) {}

  operator AnyTask() const noexcept { return AnyTask(this->state_); }

  template <class F>
  void add_done_callback(F&& callback, CallbackOptions options = {}) const {
    this->template add_callback<Task<T>>(std::forward<F>(callback), options);
  }
};

template <class T>
detail::FutureAwaiter<T> Future<T>::operator co_await() const& {
  return detail::FutureAwaiter<T>(state_);
}
template <class T>
detail::FutureAwaiter<T> Future<T>::operator co_await() && {
  return detail::FutureAwaiter<T>(std::move(state_), true);
}

inline detail::FutureAwaiter<void> AnyFuture::operator co_await() const {
  return detail::FutureAwaiter<void>(state_);
}

/// The task whose step runs in this thread; empty in a plain callback.
/// RuntimeError "no running event loop" outside a loop.
AnyTask current_task();
AnyTask current_task(EventLoop& loop);

/// Every task of the loop that is not done, in the order of creation (Python: in no order).
std::vector<AnyTask> all_tasks();
std::vector<AnyTask> all_tasks(EventLoop& loop);

// -- what may be awaited, and how it becomes a future

namespace detail {

template <class A>
inline constexpr bool is_coroutine = false;
template <class T>
inline constexpr bool is_coroutine<Coroutine<T>> = true;

template <class A>
concept a_coroutine = is_coroutine<std::remove_cvref_t<A>>;
template <class A>
concept a_future = std::derived_from<std::remove_cvref_t<A>, AnyFuture>;
/// Of a result that is not known: an AnyFuture or an AnyTask. Its value is not asked for.
template <class A>
concept an_erased_future =
    a_future<A> && !requires { typename std::remove_cvref_t<A>::value_type; };

template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (adapted_awaitable<A>)
    return AwaitableAdapter<std::remove_cvref_t<A>>::adapt(awaitable);
  else if constexpr (requires { std::forward<A>(awaitable).operator co_await(); })
    return std::forward<A>(awaitable).operator co_await();
  else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); })
    return operator co_await(std::forward<A>(awaitable));
  else
    return std::forward<A>(awaitable);
}

}  // namespace detail

/// What `co_await` accepts: coroutines, futures, tasks, and any type with an awaiter. One of another
/// library must not suspend, which ends the program: it would resume the coroutine behind the task's
/// back.
template <class A>
concept Awaitable = requires(A&& awaitable) {
  { detail::get_awaiter(static_cast<A&&>(awaitable)).await_ready() } -> std::convertible_to<bool>;
  detail::get_awaiter(static_cast<A&&>(awaitable)).await_resume();
};

/// The type of `co_await` on an A.
template <Awaitable A>
using await_result =
    std::remove_cvref_t<decltype(detail::get_awaiter(std::declval<A>()).await_resume())>;

namespace detail {

/// Runs an awaitable that is neither coroutine nor future in a coroutine of its own.
template <class A>
Coroutine<await_result<A>> as_coroutine(A awaitable) {
  co_return co_await std::move(awaitable);
}

template <class F, class... Args>
concept coroutine_function = requires(F& function, Args&... args) {
  { std::invoke(function, args...) } -> a_coroutine;
};
/// Awaits a coroutine in a task's outermost frame, which only keeps things for it: the task is
/// shown as that coroutine's.
template <class T>
class KeeperAwaiter : public CoroutineAwaiter<T> {
 public:
  explicit KeeperAwaiter(Coroutine<T> coroutine)
      : CoroutineAwaiter<T>(std::move(coroutine).release()) {}
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> keeper) noexcept {
    CoroutineAwaiter<T>::await_suspend(keeper);
    Frame& frame = keeper.promise();
    frame.where = {};
    TaskBase& task = frame.task();
    task.set_coroutine(task.innermost()->where);
  }
};

/// Keeps a callable and its arguments alive for as long as the coroutine that it makes runs.
template <class F, class... Args>
auto call_and_keep(F function, Args... args) -> std::invoke_result_t<F&, Args&...> {
  co_return co_await KeeperAwaiter(std::invoke(function, args...));
}

}  // namespace detail

/// A coroutine whose result type was forgotten: what a task factory is given. Move-only.
class AnyCoroutine {
 public:
  template <class T>
  explicit AnyCoroutine(Coroutine<T> coroutine)
      : coroutine_(new Holder<T>(std::move(coroutine))) {}

  /// Makes the task, without asking the loop's task factory. Once only.
  AnyTask create_task(EventLoop& loop, const TaskOptions& options) &&;

 private:
  struct Base {
    virtual ~Base() = default;
    virtual AnyTask create_task(detail::Scheduler& scheduler, const TaskOptions& options) = 0;
  };
  template <class T>
  struct Holder final : Base {
    explicit Holder(Coroutine<T> held) noexcept : coroutine(std::move(held)) {}
    AnyTask create_task(detail::Scheduler& scheduler, const TaskOptions& options) override;
    Coroutine<T> coroutine;
  };
  detail::Box<Base> coroutine_;
};

/// Has a say in how a loop makes tasks; must return the task made of the coroutine it was given.
using TaskFactory = std::function<AnyTask(EventLoop&, AnyCoroutine, const TaskOptions&)>;

/// The ready-made factory that starts every task at once (rule 51).
AnyTask eager_task_factory(EventLoop& loop, AnyCoroutine coroutine, const TaskOptions& options);
/// The same around a task constructor of one's own.
TaskFactory create_eager_task_factory(TaskFactory custom_task_constructor);

namespace detail {

template <class T>
Task<T> make_task(Scheduler& scheduler, Coroutine<T>&& coroutine, const TaskOptions& options) {
  Ref<TaskState<T>> state(adopt_ref,
                          new TaskState<T>(scheduler, std::move(coroutine).release(), options));
  state->start(options.eager_start.value_or(false));
  return Task<T>(std::move(state));
}

template <class T>
[[gnu::cold]] Task<T> ask_task_factory(Scheduler& scheduler, Coroutine<T>&& coroutine,
                                       const TaskOptions& options) {
  AnyTask task = scheduler.call_task_factory(AnyCoroutine(std::move(coroutine)), options);
  if (!task || !dynamic_cast<TaskState<T>*>(task.state().get()))
    throw TypeError("the task factory must return the task made of the coroutine it was given");
  return Task<T>(task.state());
}

template <class T>
Task<T> create_task(Scheduler& scheduler, Coroutine<T>&& coroutine,
                    const TaskOptions& options = {.where = {}}) {
  scheduler.check_usable();
  if (scheduler.has_task_factory) [[unlikely]]
    return ask_task_factory(scheduler, std::move(coroutine), options);
  return make_task(scheduler, std::move(coroutine), options);
}

/// The same; a coroutine that the loop refuses is closed, and nobody is warned of it.
template <class T>
Task<T> create_task_or_close(Scheduler& scheduler, Coroutine<T>&& coroutine) {
  try {
    return detail::create_task(scheduler, std::move(coroutine));
  } catch (const RuntimeError&) {
    coroutine.close();
    throw;
  }
}

/// Coroutines and other awaitables become tasks, futures stay what they are.
template <class A>
auto ensure_future(Scheduler& scheduler, A&& awaitable) {
  if constexpr (a_future<A>)
    return std::remove_cvref_t<A>(std::forward<A>(awaitable));
  else if constexpr (a_coroutine<A>)
    return create_task_or_close(scheduler, std::move(awaitable));
  else
    return create_task_or_close(scheduler, as_coroutine(std::forward<A>(awaitable)));
}

}  // namespace detail

template <class T>
AnyTask AnyCoroutine::Holder<T>::create_task(detail::Scheduler& scheduler,
                                             const TaskOptions& options) {
  return detail::make_task(scheduler, std::move(coroutine), options);
}

/// In the running loop: RuntimeError "no running event loop" if there is none.
template <class T>
Task<T> create_task(Coroutine<T> coroutine, TaskOptions options = {}) {
  return detail::create_task(detail::running_scheduler(), std::move(coroutine), options);
}
/// create_task(f, args...): the task keeps the callable and the arguments alive, so a lambda with
/// captures is safe here, which it would not be if it were called at once.
template <class F>
  requires detail::coroutine_function<std::decay_t<F>>
auto create_task(F&& function, TaskOptions options = {}) {
  return asyncio::create_task(detail::call_and_keep<std::decay_t<F>>(std::forward<F>(function)),
                              options);
}
template <class F, class First, class... Args>
  requires detail::coroutine_function<std::decay_t<F>, std::decay_t<First>, std::decay_t<Args>...>
auto create_task(F&& function, First&& first, Args&&... args) {
  return asyncio::create_task(
      detail::call_and_keep<std::decay_t<F>, std::decay_t<First>, std::decay_t<Args>...>(
          std::forward<F>(function), std::forward<First>(first), std::forward<Args>(args)...),
      {.where = {}});
}
/// Of any other awaitable, such as sleep(): a task that awaits it.
template <Awaitable A>
  requires(!detail::a_coroutine<A> && !detail::a_future<A>)
auto create_task(A&& awaitable, TaskOptions options = {}) {
  return asyncio::create_task(
      detail::as_coroutine<std::decay_t<A>>(std::forward<A>(awaitable)), options);
}

/// Futures and tasks are returned unchanged; coroutines and other awaitables become tasks of the
/// running loop, else of the thread's current one.
template <Awaitable A>
auto ensure_future(A&& awaitable) {
  return detail::ensure_future(detail::default_scheduler(), std::forward<A>(awaitable));
}

}  // namespace asyncio::inline v1
