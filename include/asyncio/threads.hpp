// SPDX-License-Identifier: BSL-1.0
// to_thread, run_coroutine_threadsafe, wrap_future: between loops and threads (surface CO19, CO20,
// FU16, rules 37, 82, 121).
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <asyncio/event_loop.hpp>
#include <asyncio/executors.hpp>

namespace asyncio::inline v1 {

// -- to_thread

namespace detail {

/// Calls the function in a thread, with a copy of the current context.
template <class F, class... Args>
auto start_in_thread(EventLoop& loop, F function, Args... args) {
  auto call = [context = capture_context(),
               call = bind_once(std::move(function), std::move(args)...)]() mutable
      -> decltype(auto) {
    const ContextScope scope(context);
    return call();
  };
  return run_in_executor(loop.scheduler(), loop.default_executor(), std::move(call));
}

template <class F, class... Args>
Coroutine<std::remove_cvref_t<std::invoke_result_t<F, Args...>>> to_thread(F function,
                                                                           Args... args) {
  auto future = start_in_thread(get_running_loop(), std::move(function), std::move(args)...);
  co_return co_await std::move(future);
}

}  // namespace detail

/// Calls f(args...) in a thread of the loop's default executor, with a copy of the current context
/// (rule 121); gives what it returns or throws. Nothing happens before it is awaited; callable and
/// arguments are copied or moved in, moved on to the call, and destroyed in that thread before it
/// completes; std::ref makes a reference.
/// On cancel it stops waiting: a call that has not begun is cancelled, one that has goes on, and
/// its result is dropped. RuntimeError "Executor shutdown has been called".
/// Python: asyncio.to_thread.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
auto to_thread(F&& function, Args&&... args) {
  static_assert(detail::require_inline_callable<F>());
  return detail::to_thread<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(function),
                                                                   std::forward<Args>(args)...);
}

// -- run_coroutine_threadsafe

namespace detail {

/// A task whose outcome is copied to a concurrent future (rule 37); cancelling that one cancels the
/// task. As an entry of the ready queue it is the request to cancel, which comes if the concurrent
/// future was cancelled, and only then. It belongs to itself: it goes when neither that request nor
/// the task's completion can come any more.
class Publisher : public Arrival {
 protected:
  Publisher(Ref<FutureBase> task, std::shared_ptr<ConcurrentBase> destination) noexcept;
  virtual ~Publisher() = default;
  /// To be called once the object is complete.
  void begin();
  virtual void copy_result() = 0;

  Ref<FutureBase> task_;  // null when it is done
  const std::shared_ptr<ConcurrentBase> destination_;

 private:
  /// The task's done-callback.
  class Completion final : public ReadyNode {
   public:
    void run() override;
    void drop() noexcept override;
    Publisher* publisher = nullptr;
  };

  void run() final;
  void drop() noexcept final;
  void publish();
  void task_ended();
  void request_ended() noexcept;

  Completion completion_;
  bool requested_ = false;  // the request to cancel has come, or cannot come
};

template <class T>
class PublisherOf final : public Publisher {
 public:
  PublisherOf(const Task<T>& task, std::shared_ptr<ConcurrentState<T>> destination)
      : Publisher(task.state(), std::move(destination)) {
    begin();
  }

 private:
  void copy_result() override {
    static_cast<ConcurrentState<T>&>(*destination_).set_result(take_result(typed(*task_)));
  }
  static FutureState<T>& typed(FutureBase& future) noexcept {
    return static_cast<FutureState<T>&>(future);
  }
};

/// A coroutine on its way to a loop. If it does not get there, its future is cancelled.
template <class T>
class Submission {
 public:
  Submission(Coroutine<T> coroutine, std::shared_ptr<ConcurrentState<T>> future) noexcept
      : coroutine_(std::move(coroutine)), future_(std::move(future)) {}
  Submission(Submission&&) noexcept = default;
  ~Submission() {
    if (future_) future_->cancel();
  }

  void operator()() {
    const auto future = std::move(future_);
    try {
      new PublisherOf<T>(detail::create_task(running_scheduler(), std::move(coroutine_)), future);
    } catch (...) {
      if (future->set_running_or_notify_cancel()) future->set_exception(std::current_exception());
      throw;
    }
  }

 private:
  Coroutine<T> coroutine_;
  std::shared_ptr<ConcurrentState<T>> future_;
};

}  // namespace detail

/// Makes the coroutine a task of a loop that runs in another thread; its outcome comes with the
/// future. Cancelling that one cancels the task. If the task cannot be made, the reason comes with
/// the future, too, and is reported to the loop. If the loop is closed before the task is done, the
/// future is cancelled (Python's stays pending for ever). The task has a copy of the caller's
/// context. Any thread. RuntimeError "Event loop is closed".
/// Python: asyncio.run_coroutine_threadsafe.
template <class T>
ConcurrentFuture<T> run_coroutine_threadsafe(Coroutine<T> coroutine, EventLoop& loop) {
  ConcurrentFuture<T> future;
  loop.call_soon_threadsafe(detail::Submission<T>(std::move(coroutine), future.state()));
  return future;
}
/// Of f(): the task keeps the callable alive, so a lambda with captures is safe here, which it
/// would not be if it were called at once. It is called in the loop's thread.
template <class F>
  requires detail::coroutine_function<std::decay_t<F>>
auto run_coroutine_threadsafe(F&& function, EventLoop& loop) {
  return asyncio::run_coroutine_threadsafe(
      detail::call_and_keep<std::decay_t<F>>(std::forward<F>(function)), loop);
}

// -- wrap_future

/// A future of the loop that follows a concurrent one (rule 37): its outcome comes in one pass, who
/// waits for it goes on in the next. Cancelling it cancels the concurrent one, if that can still be
/// cancelled; its outcome is dropped otherwise. For the loop's thread. RuntimeError "Event loop is
/// closed". Python: asyncio.wrap_future.
template <class T>
Future<T> wrap_future(const ConcurrentFuture<T>& future, EventLoop& loop) {
  return detail::follow(loop.scheduler(), future.state(), false);
}
/// Of the running loop, else of the thread's current one.
template <class T>
Future<T> wrap_future(const ConcurrentFuture<T>& future) {
  return detail::follow(detail::default_scheduler(), future.state(), false);
}
/// Futures of a loop are returned unchanged.
template <class F>
  requires std::derived_from<F, AnyFuture>
F wrap_future(F future) noexcept {
  return future;
}

}  // namespace asyncio::inline v1
