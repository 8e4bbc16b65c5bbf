// SPDX-License-Identifier: BSL-1.0
// Executors: work in other threads, and futures for threads (surface A15, rules 37, 119-121).
//
//   int lines = co_await loop.run_in_executor(nullptr, count_lines, path);
//
// What Python has in concurrent.futures, as far as asyncio needs it. All of it may be used from any
// thread; only what ties it to a loop (detail::Arrival and below) is for that loop's thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/detail/box.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/futures.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// What a concurrent future is, whatever the type of its result.
class ConcurrentBase : public std::enable_shared_from_this<ConcurrentBase> {
 public:
  using Callback = std::function<void(const std::shared_ptr<ConcurrentBase>&)>;

  ConcurrentBase();
  ConcurrentBase(const ConcurrentBase&) = delete;
  ConcurrentBase& operator=(const ConcurrentBase&) = delete;
  virtual ~ConcurrentBase();

  bool cancel();
  bool cancelled() const;
  bool running() const;
  bool done() const;
  bool set_running_or_notify_cancel();
  /// The same in a worker's thread; false, and a line in the log, if somebody else has begun.
  bool begins() noexcept;
  void set_exception(std::exception_ptr exception);
  /// Waits; null if there is a value. CancelledError, TimeoutError.
  std::exception_ptr exception(std::optional<Duration> timeout = {}) const;
  /// The same, and throws the exception if there is one.
  void check_result(std::optional<Duration> timeout) const;
  void add_done_callback(Callback callback);
  std::string repr() const;

  /// Of one that is done, if nobody else will ask.
  std::exception_ptr take_exception() noexcept { return std::move(exception_); }

 protected:
  /// Calls store() and completes the future. InvalidStateError if it is done.
  void complete(const std::function<void()>& store);

 private:
  enum class State : std::uint8_t { pending, running, cancelled, finished };

  /// What threads wait with, and the callbacks. Apart, because <condition_variable> is large.
  struct Sync;

  /// Locked. The callbacks are to be called when it is not.
  std::vector<Callback> become_done(State state);
  void call(const std::vector<Callback>& callbacks) noexcept;
  void call(const Callback& callback) noexcept;
  std::string repr_locked() const;

  const Box<Sync> sync_;
  State state_ = State::pending;
  std::exception_ptr exception_;  // does not change any more once the future is done
};

template <class T>
class ConcurrentState : public ConcurrentBase {
 public:
  template <class... Args>
  void set_result(Args&&... args) {
    complete([&] { value_.emplace(std::forward<Args>(args)...); });
  }
  /// Of one that is done and has a value; it does not change any more.
  value_or_none<T>& value() noexcept { return *value_; }

 private:
  std::optional<value_or_none<T>> value_;
};

}  // namespace detail

/// A result that another thread will have, or waits for: what Executor::submit() and
/// run_coroutine_threadsafe() give. To be waited for by blocking; a coroutine awaits
/// wrap_future(future) instead. A handle: copies are the same future. Any thread.
/// Python: concurrent.futures.Future.
template <class T = void>
class ConcurrentFuture {
 public:
  using value_type = T;

  /// One that is pending: whoever has the result sets it.
  ConcurrentFuture() : state_(std::make_shared<detail::ConcurrentState<T>>()) {}
  explicit ConcurrentFuture(std::shared_ptr<detail::ConcurrentState<T>> state) noexcept
      : state_(std::move(state)) {}

  /// Work that has not begun will not be done; a task is asked to cancel itself. False if the work
  /// has begun, or if the future is done; true if it is cancelled.
  bool cancel() const { return state_->cancel(); }
  bool cancelled() const { return state_->cancelled(); }
  bool running() const { return state_->running(); }
  bool done() const { return state_->done(); }

  /// Blocks until it is done; the value, or the exception is thrown. CancelledError if it was
  /// cancelled, TimeoutError if it is not done in time. Never to be called in the thread of the
  /// loop that has to do the work. A value that cannot be copied is moved out, so ask once.
  T result(std::optional<Duration> timeout = {}) const {
    state_->check_result(timeout);
    if constexpr (std::is_void_v<T>)
      return;
    else if constexpr (detail::is_copyable<T>)
      return state_->value();
    else
      return std::move(state_->value());
  }
  /// The same, and gives the exception; null if there is a value.
  std::exception_ptr exception(std::optional<Duration> timeout = {}) const {
    return state_->exception(timeout);
  }
  /// Calls `callback(future)` in the thread that completes or cancels it, at once if that has
  /// happened. What it throws is logged. The callable must be copyable.
  template <class F>
    requires std::invocable<std::decay_t<F>&, ConcurrentFuture>
  void add_done_callback(F&& callback) const {
    state_->add_done_callback([callback = std::decay_t<F>(std::forward<F>(callback))](
                                  const std::shared_ptr<detail::ConcurrentBase>& state) mutable {
      callback(ConcurrentFuture(std::static_pointer_cast<detail::ConcurrentState<T>>(state)));
    });
  }

  // -- for whoever does the work

  /// To be asked before it begins: false if it was cancelled. RuntimeError "Future in unexpected
  /// state" the second time.
  bool set_running_or_notify_cancel() const { return state_->set_running_or_notify_cancel(); }
  /// InvalidStateError if it is done.
  template <class U = T>
    requires(!std::is_void_v<T>) && std::constructible_from<T, U&&>
  void set_result(U&& value) const {
    state_->set_result(std::forward<U>(value));
  }
  void set_result() const
    requires std::is_void_v<T>
  {
    state_->set_result();
  }
  void set_exception(std::exception_ptr exception) const {
    state_->set_exception(std::move(exception));
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E exception) const {
    set_exception(std::make_exception_ptr(std::move(exception)));
  }

  const std::shared_ptr<detail::ConcurrentState<T>>& state() const noexcept { return state_; }
  friend bool operator==(const ConcurrentFuture&, const ConcurrentFuture&) = default;
  /// Python's repr: `<Future at 0x7f... state=pending>`.
  friend std::string to_string(const ConcurrentFuture& future) { return future.state_->repr(); }

 private:
  std::shared_ptr<detail::ConcurrentState<T>> state_;
};

namespace detail {

/// Work, for whoever runs it and does not know the type of its result.
class AnyWork {
 public:
  virtual void run() noexcept = 0;
  /// It will not be run.
  virtual void abandon() noexcept = 0;

 protected:
  ~AnyWork() = default;
};

/// A call in another thread, and the future of its result. The callable and what it holds are
/// destroyed before the future is done, so whoever waits for it finds them gone.
template <class F>
class Work final : public ConcurrentState<std::remove_cvref_t<std::invoke_result_t<F&>>>,
                   public AnyWork {
 public:
  using T = std::remove_cvref_t<std::invoke_result_t<F&>>;

  explicit Work(F function) : function_(std::move(function)) {}

  void run() noexcept override {
    if (!this->begins()) {
      function_.reset();
      return;
    }
    std::optional<value_or_none<T>> value;
    std::exception_ptr error;
    try {
      if constexpr (std::is_void_v<T>) {
        (*function_)();
        value.emplace();
      } else {
        value.emplace((*function_)());
      }
    } catch (...) {
      error = std::current_exception();
    }
    function_.reset();
    try {
      if (value)
        this->set_result(std::move(*value));
      else
        this->set_exception(std::move(error));
    } catch (...) {  // moving the value threw, or somebody else has completed the future
      if (!this->done()) this->set_exception(std::current_exception());
    }
  }
  void abandon() noexcept override {
    function_.reset();
    this->cancel();
  }

 private:
  std::optional<F> function_;
};

/// f(args...) as a callable without arguments, to be called once.
template <class F, class... Args>
auto bind_once(F&& function, Args&&... args) {
  static_assert(std::invocable<std::decay_t<F>, std::decay_t<Args>...>,
                "asyncio: the function cannot be called with these arguments");
  return [function = std::decay_t<F>(std::forward<F>(function)),
          ... args = std::decay_t<Args>(std::forward<Args>(args))]() mutable -> decltype(auto) {
    return std::invoke(std::move(function), std::move(args)...);
  };
}

}  // namespace detail

/// Does work in other threads. For one of your own, override execute() and shutdown(). Any thread.
/// Python: concurrent.futures.Executor.
class Executor {
 public:
  /// A piece of work: to be called once. Destroyed without, it cancels the future of its result.
  class Job {
   public:
    explicit Job(std::shared_ptr<detail::AnyWork> work) noexcept : work_(std::move(work)) {}
    Job(Job&&) noexcept = default;
    Job& operator=(Job&& other) noexcept;
    ~Job();
    /// Does the work; throws nothing.
    void operator()() noexcept;

   private:
    std::shared_ptr<detail::AnyWork> work_;
  };

  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  /// Sees to it that some thread calls job(). Throws if it takes no more work.
  virtual void execute(Job job) = 0;
  /// Takes no more work. `wait`: blocks until all that was accepted is done.
  virtual void shutdown(bool wait) = 0;
  void shutdown() { shutdown(true); }

  /// Calls f(args...) in some thread; the future of what it returns or throws. Callable and
  /// arguments are copied or moved in, moved on to the call, and destroyed before the future is
  /// done; std::ref makes a reference.
  template <class F, class... Args>
  auto submit(F&& function, Args&&... args) {
    auto call = detail::bind_once(std::forward<F>(function), std::forward<Args>(args)...);
    auto work = std::make_shared<detail::Work<decltype(call)>>(std::move(call));
    using T = typename decltype(work)::element_type::T;
    execute(Job(work));
    return ConcurrentFuture<T>(std::move(work));
  }
};

struct ThreadPoolOptions {
  std::optional<int> max_workers{};       ///< default: number of processors + 4, at most 32
  std::string_view thread_name_prefix{};  ///< threads are PREFIX_0, PREFIX_1...; default: no names
};
static_assert(detail::require_inline_options<ThreadPoolOptions>());

namespace detail {
class ThreadPool;
}

/// An executor with threads of its own, a boost::asio::thread_pool. The destructor is shutdown():
/// it waits for all that was submitted; in one of those threads it does not wait.
/// Python: concurrent.futures.ThreadPoolExecutor.
class ThreadPoolExecutor final : public Executor {
 public:
  /// ValueError "max_workers must be greater than 0".
  explicit ThreadPoolExecutor(ThreadPoolOptions options = {});
  ~ThreadPoolExecutor() override;

  /// RuntimeError "cannot schedule new futures after shutdown".
  void execute(Job job) override;
  /// What was submitted is still done. Idempotent. In a thread of the executor it does not wait.
  void shutdown(bool wait) override;
  using Executor::shutdown;

  /// Is nothing submitted that is not done?
  bool idle() const;

 private:
  explicit ThreadPoolExecutor(std::shared_ptr<detail::ThreadPool> pool) noexcept
      : pool_(std::move(pool)) {}
  std::shared_ptr<detail::ThreadPool> pool_;
};

// -- ties to a loop

namespace detail {

class ForeignQueue;

/// Shuts the executor down without waiting. Threads that are still at work then are waited for at
/// the end of the process, as Python does.
void dismiss(std::shared_ptr<ThreadPoolExecutor> executor) noexcept;

/// An entry of a loop's ready queue that another thread will queue, once, or never. It is the
/// loop's thread that makes and destroys it; what the other thread has is a Ticket, which is void
/// when the loop is closed. The loop knows of all that are expected, and drops them then.
class Arrival : public ReadyNode, private Links {
 public:
  /// The right to queue the entry. Any thread.
  class Ticket {
   public:
    /// Once only.
    void use() const;

   private:
    friend Arrival;
    Ticket(std::shared_ptr<ForeignQueue> queue, Arrival& arrival) noexcept
        : queue_(std::move(queue)), arrival_(&arrival) {}
    std::shared_ptr<ForeignQueue> queue_;
    Arrival* arrival_;
  };

  /// The loop is being closed, and tickets are void.
  static void drop_all(Links& expected) noexcept;

 protected:
  Arrival() = default;
  ~Arrival() = default;
  Ticket expect(Scheduler& loop);
  /// To be called by run() and drop(), or if the ticket will never be used.
  void expect_no_more() noexcept { unlink(); }
};

/// A loop's future that follows a concurrent one, both ways (rule 37): the outcome of that one is
/// copied to it, in a pass of the loop; cancelling it cancels that one, in the pass after.
class Follower : public Arrival {
 protected:
  Follower(FutureBase& self, std::shared_ptr<ConcurrentBase> source, bool sole) noexcept;
  ~Follower();
  /// To be called once the object is complete.
  void begin();
  virtual void copy_result(ConcurrentBase& source) = 0;

  /// Nobody else will ask the concurrent future: move what it has.
  const bool sole_;

 private:
  /// The future's own done-callback.
  class CancelCheck final : public ReadyNode {
   public:
    void run() override;
    void drop() noexcept override;
    void completed_by(FutureBase&) noexcept override;
    Follower* follower = nullptr;
    bool queued = false;
  };

  void run() final;
  void drop() noexcept final;
  void copy_outcome();
  void end() noexcept;

  FutureBase& self_;
  std::shared_ptr<ConcurrentBase> source_;  // null when it has arrived
  CancelCheck cancel_check_;
};

template <class T>
class FollowerState final : public FutureState<T>, private Follower {
 public:
  FollowerState(Scheduler& loop, std::shared_ptr<ConcurrentState<T>> source, bool sole)
      : FutureState<T>(loop), Follower(*this, std::move(source), sole) {
    begin();
  }

 private:
  void copy_result(ConcurrentBase& source) override {
    auto& value = static_cast<ConcurrentState<T>&>(source).value();
    if constexpr (is_copyable<value_or_none<T>>) {
      if (!sole_) return this->set_result(std::as_const(value));
    }
    this->set_result(std::move(value));
  }
};

template <class T>
Future<T> follow(Scheduler& loop, std::shared_ptr<ConcurrentState<T>> source, bool sole) {
  loop.check_usable();
  return Future<T>(Ref<FutureBase>(
      adopt_ref, new FollowerState<T>(loop, std::move(source), sole)));
}

/// Calls f(args...) in the executor. The loop is not closed.
template <class F, class... Args>
auto run_in_executor(Scheduler& loop, Executor& executor, F&& function, Args&&... args) {
  auto future = executor.submit(std::forward<F>(function), std::forward<Args>(args)...);
  return follow(loop, future.state(), true);
}

}  // namespace detail

}  // namespace asyncio::inline v1
