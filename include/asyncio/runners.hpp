// SPDX-License-Identifier: BSL-1.0
// run() and Runner: a program's way in (surface A1, rules 111-117).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <asyncio/detail/box.hpp>
#include <asyncio/event_loop.hpp>

namespace asyncio::inline v1 {

using LoopFactory = std::function<std::unique_ptr<EventLoop>()>;

struct RunnerOptions {
  std::optional<bool> debug{};
  /// Makes the loop; null: new_event_loop, which then is the thread's current loop as well.
  const LoopFactory* loop_factory = nullptr;
};
static_assert(detail::require_inline_options<RunnerOptions>());

namespace detail {
/// RuntimeError "WHAT cannot be called from a running event loop" if one runs in this thread.
void check_no_running_loop(const char* what);
}  // namespace detail

/// Runs coroutines one after another in one loop and one context, and cleans up behind them.
/// The first SIGINT cancels the running coroutine; run() then throws KeyboardInterrupt, also if it
/// came too late to cancel and there is a value. A second one throws KeyboardInterrupt out of the
/// loop at once. (Only in the main thread, only if SIGINT has its default action; while no callback
/// returns to the loop, neither can take effect.)
/// One thread. Python: asyncio.Runner.
class Runner {
 public:
  explicit Runner(RunnerOptions options = {});
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  /// close(); what it would throw is logged.
  ~Runner();

  /// Runs until the awaitable is done; its value, or what it threw. RuntimeError "Runner.run()
  /// cannot be called from a running event loop", "Runner is closed".
  template <Awaitable A>
  await_result<A> run(A&& awaitable, const Context* context = nullptr) {
    detail::check_no_running_loop("Runner.run()");
    EventLoop& loop = get_loop();
    const TaskOptions options{.context = context ? context : context_.get()};
    auto task = [&] {
      if constexpr (detail::a_coroutine<A>)
        return loop.create_task(std::move(awaitable), options);
      else
        return loop.create_task(
            detail::as_coroutine<std::remove_cvref_t<A>>(std::forward<A>(awaitable)), options);
    }();
    run_task(task);
    if constexpr (std::is_void_v<await_result<A>>)
      task.result();
    else
      return detail::take_result(task.typed_state());
  }
  /// The loop, made if there is none yet.
  EventLoop& get_loop();
  /// Cancels what is left and waits for it, then closes the loop. Tasks that fail meanwhile are
  /// reported. Idempotent; the runner cannot be used afterwards.
  void close();

 private:
  void run_task(const AnyTask& task);

  enum class State { created, initialized, closed } state_ = State::created;
  std::optional<bool> debug_;
  LoopFactory loop_factory_;
  detail::Box<EventLoop> loop_;
  detail::Box<Context> context_;
};

/// Makes a loop, runs the awaitable in it, cancels what is left, closes the loop. RuntimeError
/// "asyncio.run() cannot be called from a running event loop". Python: asyncio.run.
template <Awaitable A>
await_result<A> run(A&& main, RunnerOptions options = {}) {
  detail::check_no_running_loop("asyncio.run()");
  Runner runner(options);
  try {
    if constexpr (std::is_void_v<await_result<A>>) {
      runner.run(std::forward<A>(main));
      runner.close();
    } else {
      auto result = runner.run(std::forward<A>(main));
      runner.close();
      return result;
    }
  } catch (...) {
    runner.close();  // what this throws comes out instead, as from Python's `with`
    throw;
  }
}
/// run(f, args...): the callable and the arguments live as long as the coroutine that they make.
template <class F, class... Args>
  requires detail::coroutine_function<std::decay_t<F>, std::decay_t<Args>...>
auto run(F&& main, Args&&... args) {
  return asyncio::run(detail::call_and_keep<std::decay_t<F>, std::decay_t<Args>...>(
      std::forward<F>(main), std::forward<Args>(args)...));
}

}  // namespace asyncio::inline v1
