// SPDX-License-Identifier: BSL-1.0
#include <asyncio/runners.hpp>

#include <asyncio/constants.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/wait.hpp>
#include <atomic>
#include <csignal>
#include <thread>

#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace {

const std::thread::id main_thread = std::this_thread::get_id();  // static initialisation

/// Does SIGINT have its default action, so that nobody else cares for it?
bool interrupt_is_default() {
#ifdef _WIN32
  const auto previous = std::signal(SIGINT, SIG_DFL);
  if (previous != SIG_DFL) std::signal(SIGINT, previous);
  return previous == SIG_DFL;
#else
  struct sigaction action {};
  return sigaction(SIGINT, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
#endif
}

/// Counts the interrupts that arrive, whether or not the loop comes to notice them: it may end
/// before it looks at the kernel again. Stands in front of the handler that Asio has installed, and
/// goes with it.
class InterruptCounter {
 public:
#ifndef _WIN32
  void start() noexcept {
    arrived_ = 0;
    sigaction(SIGINT, nullptr, &behind_);
    struct sigaction ours = behind_;
    ours.sa_handler = arrived;
    sigaction(SIGINT, &ours, nullptr);
  }
  int count() const noexcept { return arrived_; }
  /// remove(), which may go back to the default action; one that the program has set stays.
  template <class Remove>
  static void stop(Remove remove) noexcept {
    struct sigaction present {};
    sigaction(SIGINT, nullptr, &present);
    remove();
    if (present.sa_handler != arrived) sigaction(SIGINT, &present, nullptr);
  }

 private:
  static void arrived(int number) {
    ++arrived_;
    behind_.sa_handler(number);
  }

  static inline std::atomic<int> arrived_;
  static_assert(std::atomic<int>::is_always_lock_free);
  static inline struct sigaction behind_ {};
#else
  void start() noexcept {}
  int count() const noexcept { return 0; }
  template <class Remove>
  static void stop(Remove remove) noexcept {
    remove();
  }
#endif
};

/// SIGINT cancels the main task; a second time it is a KeyboardInterrupt out of the loop (rule
/// 115).
class InterruptScope {
 public:
  InterruptScope(detail::LoopCore& core, const AnyTask& main_task) : core_(core) {
    if (std::this_thread::get_id() != main_thread || !interrupt_is_default()) return;
    callback_ = core.make_callback(
        [this, main_task] {
          if (++count_ == 1 && !main_task.done())
            main_task.cancel();
          else
            throw KeyboardInterrupt();
        },
        nullptr);
    core.set_interrupt_handler(callback_);
    counter_.start();
  }
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  ~InterruptScope() {
    if (!callback_) return;
    callback_->cancel();  // it may be queued
    InterruptCounter::stop([this] { core_.remove_interrupt_handler(); });
  }
  bool interrupted() const noexcept { return count_ > 0; }
  /// Has one arrived that the loop has not noticed?
  bool overlooked() const noexcept {
    return callback_ && core_.has_interrupt_handler() && counter_.count() > count_;
  }

 private:
  detail::LoopCore& core_;
  detail::Ref<detail::HandleNode> callback_;
  InterruptCounter counter_;
  int count_ = 0;
};

void cancel_all_tasks(EventLoop& loop) {
  const std::vector<AnyTask> leftovers = all_tasks(loop);
  if (leftovers.empty()) return;
  for (const AnyTask& task : leftovers) task.cancel();
  loop.run_until_complete(detail::gather_states(loop.scheduler(), leftovers));
  for (const AnyTask& task : leftovers) {
    if (task.cancelled()) continue;
    if (const std::exception_ptr error = task.exception()) {
      loop.call_exception_handler({.message = "unhandled exception during asyncio.run() shutdown",
                                   .exception = error,
                                   .task = task});
    }
  }
}

}  // namespace

void detail::check_no_running_loop(const char* what) {
  if (thread_state.running)
    throw RuntimeError(std::string(what) + " cannot be called from a running event loop");
}

Runner::Runner(RunnerOptions options) : debug_(options.debug) {
  if (options.loop_factory) loop_factory_ = *options.loop_factory;
}

Runner::~Runner() {
  try {
    close();
  } catch (...) {
    get_logger("asyncio").error("Exception ignored while closing a Runner: {}",
                                std::current_exception());
  }
}

EventLoop& Runner::get_loop() {
  if (state_ == State::closed) throw RuntimeError("Runner is closed");
  if (state_ == State::created) {
    loop_.reset((loop_factory_ ? loop_factory_() : new_event_loop()).release());
    if (!loop_factory_) set_event_loop(loop_.get());
    if (debug_) loop_->set_debug(*debug_);
    context_.reset(new Context(copy_context()));
    state_ = State::initialized;
  }
  return *loop_;
}

void Runner::run_task(const AnyTask& task) {
  const InterruptScope interrupt(loop_->core(), task);
  loop_->run_until_done(*task.state(), false);
  // Rule 116: only if nobody else cancelled it.
  if (interrupt.interrupted() && task.state()->ended_by_cancelled_error() && task.uncancel() == 0)
    throw KeyboardInterrupt();
  // Noticed in time, it would have left no value; an error of the task's own comes first.
  if (interrupt.overlooked() && !task.cancelled() && !task.state()->failed())
    throw KeyboardInterrupt();
}

void Runner::close() {
  if (state_ != State::initialized) return;
  std::exception_ptr error;
  try {
    cancel_all_tasks(*loop_);
    loop_->run_until_complete(loop_->shutdown_asyncgens());
    loop_->run_until_complete(loop_->shutdown_default_executor(constants::thread_join_timeout));
  } catch (...) {
    error = std::current_exception();
  }
  if (!loop_factory_) set_event_loop(nullptr);
  loop_->close();
  loop_.reset();
  state_ = State::closed;
  if (error) std::rethrow_exception(error);
}

}  // namespace asyncio::inline v1
