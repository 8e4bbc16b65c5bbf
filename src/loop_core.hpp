// SPDX-License-Identifier: BSL-1.0
// The loop behind the facade: the scheduler, driven by Asio. Private to the library.
#pragma once

#include <asyncio/event_loop.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace asyncio::inline v1::detail {

/// Something that holds Asio objects on behalf of the loop: a transport, a server, a signal. The
/// loop knows them all, so that closing it closes them.
class Resource {
 public:
  /// The loop is being closed: release every Asio object, call nobody.
  virtual void loop_closing() noexcept = 0;

 protected:
  Resource() = default;
  Resource(const Resource&) = delete;
  Resource& operator=(const Resource&) = delete;
  ~Resource() { unregister(); }

  void register_with(LoopCore& core) noexcept;
  /// Harmless if it is not registered.
  void unregister() noexcept;

 private:
  friend class LoopCore;
  LoopCore* core_ = nullptr;  // null: not registered
  Resource* previous_ = nullptr;
  Resource* next_ = nullptr;
};

/// What other threads have queued for a loop. It outlives the loop as long as a thread needs it.
class ForeignQueue : public std::enable_shared_from_this<ForeignQueue> {
 public:
  explicit ForeignQueue(LoopCore& core) noexcept : core_(&core) {}

  /// Any thread. Takes over the node's reference; false if the loop is closed, the reference is
  /// then still the caller's.
  bool push(ReadyNode& node);
  /// The loop's thread: hands everything to the ready queue.
  void drain();
  /// The loop's thread: takes no more; hands over what is there.
  void close() noexcept;
  /// The loop's thread.
  bool open() const noexcept { return core_ != nullptr; }

 private:
  std::mutex mutex_;
  ReadyList nodes_;
  LoopCore* core_;       // null when closed
  bool posted_ = false;  // a drain is on its way
};

class LoopCore final : public Scheduler {
 public:
  using Executor = boost::asio::io_context::executor_type;

  LoopCore(LoopOptions options, boost::asio::io_context* host);
  ~LoopCore() override;

  // -- running

  void check_runnable() const;
  void run_forever();
  void close();
  /// The facade goes: nobody can run the loop any more, futures may still refer to it.
  void facade_destroyed() noexcept;
  void set_observer(LoopObserver* observer) noexcept { observer_ = observer; }
  Handle push_threadsafe(Ref<HandleNode> node);
  bool push_foreign(ReadyNode& node) { return foreign_->push(node); }

  // -- for transports and servers

  boost::asio::io_context& context() noexcept { return *context_; }
  Executor executor() noexcept { return context_->get_executor(); }
  /// Where every connection reads into; the data is consumed before the next one reads.
  std::span<char> read_buffer();
  bool debug() const noexcept { return debug_; }
  void set_debug(bool enabled) noexcept { debug_ = enabled; }

  /// Calls f() in a thread of the loop's pool; the future gets what it returns or throws. Cancelling
  /// the future does not stop a call that has begun; its result is dropped.
  template <class F>
  Future<std::invoke_result_t<F&>> run_in_thread(F function);

  // -- errors

  void report(const Report& report) override;
  void call_exception_handler(const ExceptionContext& context);
  void default_exception_handler(const ExceptionContext& context) const;

  // -- signals

  void add_signal_handler(int signal_number, Ref<HandleNode> callback);
  bool remove_signal_handler(int signal_number);
  /// What add_signal_handler was given; null if nothing.
  const HandleNode* signal_callback(int signal_number) const noexcept;

  Coroutine<> shutdown_default_executor(std::optional<Duration> timeout);

  AnyTask call_task_factory(AnyCoroutine coroutine, const TaskOptions& options) override;

  ExceptionHandler exception_handler;
  TaskFactory task_factory;

 private:
  friend class Resource;
  friend class ForeignQueue;
  class Running;
  class SignalWatch;

  void attend() noexcept override;
  void earliest_timer_changed() noexcept override;
  void poll();
  void wait(Duration time);
  void pump();
  void arm_timer();
  void abandon_tasks() noexcept;
  void drop_everything() noexcept;
  boost::asio::thread_pool& threads();

  std::unique_ptr<boost::asio::io_context> owned_context_;  // null in a guest
  boost::asio::io_context* context_;
  const bool exact_timers_;
  bool debug_ = false;
  unsigned passes_since_poll_ = 0;
  TimePoint last_poll_;
  std::shared_ptr<ForeignQueue> foreign_;
  /// Wakes a guest for its earliest timer, and an owned loop with exact timers.
  std::optional<boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>>
      timer_;
  TimePoint timer_deadline_ = TimePoint::max();
  std::unique_ptr<char[]> read_buffer_;
  std::map<int, std::shared_ptr<SignalWatch>> signals_;
  std::unique_ptr<boost::asio::thread_pool> threads_;
  bool threads_shut_down_ = false;
  Resource* resources_ = nullptr;
};

inline LoopCore& core_of(Scheduler& scheduler) noexcept {
  return static_cast<LoopCore&>(scheduler);  // every scheduler is a loop's
}

// -- run_in_thread

/// A call in another thread. The loop's thread makes and destroys it; the other thread only calls.
template <class F>
class ThreadJob final : public ReadyNode, public Pooled {
 public:
  using T = std::invoke_result_t<F&>;

  ThreadJob(Scheduler& scheduler, F function)
      : function_(std::move(function)), future_(adopt_ref, new FutureState<T>(scheduler)) {}

  const Ref<FutureState<T>>& future() const noexcept { return future_; }

  /// In the other thread.
  void call() noexcept {
    try {
      if constexpr (std::is_void_v<T>)
        function_();
      else
        value_.emplace(function_());
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  void run() override {
    const std::unique_ptr<ThreadJob> job(this);
    if (future_->done()) return;
    if (error_)
      future_->set_exception(std::move(error_));
    else if constexpr (std::is_void_v<T>)
      future_->set_result();
    else
      future_->set_result(std::move(*value_));
  }
  void drop() noexcept override { delete this; }

 private:
  F function_;
  std::optional<value_or_monostate<T>> value_;
  std::exception_ptr error_;
  Ref<FutureState<T>> future_;
};

template <class F>
Future<std::invoke_result_t<F&>> LoopCore::run_in_thread(F function) {
  check_closed();
  boost::asio::thread_pool& pool = threads();
  auto* const job = new ThreadJob<F>(*this, std::move(function));
  Future<std::invoke_result_t<F&>> future(job->future());
  boost::asio::post(pool, [job, this] {
    job->call();
    // The loop joins its threads before it closes the queue.
    foreign_->push(*job);
  });
  return future;
}

}  // namespace asyncio::inline v1::detail
