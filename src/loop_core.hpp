// SPDX-License-Identifier: BSL-1.0
// The loop behind the facade: the scheduler, driven by Asio. Private to the library.
#pragma once

#include <asyncio/asio/host.hpp>
#include <asyncio/event_loop.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <span>

namespace asyncio::inline v1::detail {

/// Something that holds Asio objects on behalf of the loop: a transport, a server, a signal. The
/// loop knows them all, so that closing it closes them.
class Resource {
 public:
  /// The loop is being closed: release every Asio object, call nobody.
  virtual void loop_closing() noexcept = 0;
  /// The transport that this is, if it uses the descriptor and is not closing.
  virtual const BaseTransport* transport_on(NativeSocket) const noexcept { return nullptr; }

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

class Descriptors;

/// What other threads have queued for a loop. It outlives the loop as long as a thread needs it.
class ForeignQueue : public std::enable_shared_from_this<ForeignQueue> {
 public:
  explicit ForeignQueue(LoopCore& core) noexcept : core_(&core) {}

  /// Any thread; in the loop's own, while it runs, as call_soon does. Takes over the node's
  /// reference; false if the loop is closed, the reference is then still the caller's.
  bool push(ReadyNode& node);
  /// Is this thread the loop's just now? False if the loop is closed.
  bool in_thread() const;
  /// The loop's thread: hands everything to the ready queue.
  void drain();
  /// The loop's thread: takes no more; hands over what is there.
  void close() noexcept;
  /// The loop's thread.
  bool open() const noexcept { return core_ != nullptr; }

 private:
  mutable std::mutex mutex_;
  ReadyList nodes_;
  LoopCore* core_;       // null when closed
  bool posted_ = false;  // a drain is on its way
};

/// How an owned loop and a guest are driven. An owned one makes its passes in run_forever, and asks
/// the kernel in between. A guest makes them in a handler, the pump, which is posted when something
/// is queued while none is posted; what it shares with the host are turns. Several threads may run
/// the host's context: then the pump and all handlers of Asio run on a strand.
class LoopCore final : public Scheduler {
 public:
  using Executor = boost::asio::io_context::executor_type;

  explicit LoopCore(LoopOptions options);
  LoopCore(LoopOptions options, const Host& host);
  ~LoopCore() override;

  // -- running

  void check_runnable() const;
  void run_forever();
  void close();
  /// The facade goes: nobody can run the loop any more, futures may still refer to it.
  void facade_destroyed() noexcept;
  void set_observer(LoopObserver* observer) noexcept {
    observer_ = observer;
    only_callbacks_ = false;
  }
  Handle push_threadsafe(Ref<HandleNode> node);
  const std::shared_ptr<ForeignQueue>& foreign_queue() const noexcept { return foreign_; }

  // -- for transports and servers

  boost::asio::io_context& context() noexcept { return *context_; }
  /// For objects of Asio. Their handlers do not run in the loop's thread by themselves: see
  /// async_wait.
  Executor io_executor() noexcept { return context_->get_executor(); }
  /// In the loop's thread.
  boost::asio::any_io_executor executor() const;
  /// Not a guest.
  bool owns_context() const noexcept { return owned_context_ != nullptr; }
  /// object.async_wait(what, handler), or without `what`; the handler comes in the loop's thread.
  template <class Object, class What, class Handler>
  void async_wait(Object& object, What what, Handler handler,
                  [[maybe_unused]] const std::source_location& where =
                      std::source_location::current()) {
    BOOST_ASIO_HANDLER_LOCATION(
        (where.file_name(), static_cast<int>(where.line()), where.function_name()));
    if (strand_)
      object.async_wait(what, boost::asio::bind_executor(*strand_, std::move(handler)));
    else
      object.async_wait(what, std::move(handler));
  }
  template <class Object, class Handler>
  void async_wait(Object& object, Handler handler,
                  [[maybe_unused]] const std::source_location& where =
                      std::source_location::current()) {
    BOOST_ASIO_HANDLER_LOCATION(
        (where.file_name(), static_cast<int>(where.line()), where.function_name()));
    if (strand_)
      object.async_wait(boost::asio::bind_executor(*strand_, std::move(handler)));
    else
      object.async_wait(std::move(handler));
  }
  /// For Asio's handlers: queues what has come. `more` if the same descriptor is waited for to
  /// become readable, too: of what came at once, Asio reports the readiness to write first.
  void push_event(ReadyNode& node, bool more = false);
  /// Names the events that came at once, while one of them is handled and Asio may hold others;
  /// 0 if there are none. What is asked for now is not for them.
  std::uint64_t open_batch() const noexcept { return batch_open_ ? passes() : 0; }
  bool is_open_batch(std::uint64_t batch) const noexcept {
    return batch != 0 && batch == open_batch();
  }
  /// See in_loop_thread.
  bool in_thread() const noexcept;
  /// Where every connection reads into; the data is consumed before the next one reads.
  std::span<char> read_buffer();
  /// The same for a system call that may be made while the program is given what stands in there.
  std::span<char> scratch_buffer();
  /// What is watched for the program; made at the first call.
  Descriptors& descriptors();
  /// A transport or a server takes a descriptor over, or has closed it: the program watches it no
  /// more.
  void descriptor_taken_over(NativeSocket descriptor) noexcept;
  /// RuntimeError "File descriptor N is used by transport ..." (rule 124).
  void refuse_if_used(NativeSocket descriptor) const;

  // -- threads

  /// Calls f() in the default executor; see EventLoop::run_in_executor.
  template <class F>
  auto run_in_thread(F function) {
    return run_in_executor(*this, default_executor(), std::move(function));
  }
  /// Made at the first call. RuntimeError if the loop is closed, or if it was shut down.
  ThreadPoolExecutor& default_executor();
  void set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor);
  Coroutine<> shutdown_default_executor(std::optional<Duration> timeout);
  /// A host's context must not run out of work while another thread is at work for this loop.
  void thread_work_begins() noexcept {
    ++thread_work_;
    hold_context();
  }
  void thread_work_ends() noexcept {
    --thread_work_;
    hold_context();
  }
  /// What other threads may still queue.
  Links arrivals;
  /// Asio's operations of which futures wait for the outcome.
  Links operations;

  // -- errors

  void report(const Report& report) override;
  void call_exception_handler(const ExceptionContext& context);
  void default_exception_handler(const ExceptionContext& context) const;

  // -- signals

  void add_signal_handler(int signal_number, Ref<HandleNode> callback);
  bool remove_signal_handler(int signal_number);
  /// A Runner's handler of SIGINT. The program may replace it, and cannot remove it: when it removes
  /// its own, what comes then is a KeyboardInterrupt.
  void set_interrupt_handler(Ref<HandleNode> callback);
  /// Was it not replaced?
  bool has_interrupt_handler() const noexcept;
  /// The program's own stays.
  void remove_interrupt_handler() noexcept;

  AnyTask call_task_factory(AnyCoroutine coroutine, const TaskOptions& options) override;

  ExceptionHandler exception_handler;
  TaskFactory task_factory;

 private:
  friend class Resource;
  friend class ForeignQueue;
  class Running;
  struct Rest;
  class EndOfBatch;
  class Guests;

  LoopCore(LoopOptions options, std::unique_ptr<boost::asio::io_context> context);
  LoopCore(LoopOptions options, boost::asio::io_context& context);
  class SignalWatch;

  void attend() noexcept override;
  void earliest_timer_changed() noexcept override;
  void run_owned();
  void run_host();
  void wait_as_host();
  void begin_waiting();
  template <class Handler>
  void post(Handler handler, [[maybe_unused]] const std::source_location& where =
                                 std::source_location::current()) {
    BOOST_ASIO_HANDLER_LOCATION(
        (where.file_name(), static_cast<int>(where.line()), where.function_name()));
    // On a strand, too, it stands behind what the context holds now, which is yet to join the strand.
    if (strand_)
      boost::asio::post(*context_, boost::asio::bind_executor(*strand_, std::move(handler)));
    else
      boost::asio::post(*context_, std::move(handler));
  }
  void hold_context() noexcept;
  void poll();
  unsigned take_events();
  /// How long passes have followed each other without a look at the kernel.
  struct Budget {
    static constexpr unsigned most = 64;  // passes

    explicit Budget(TimePoint now) noexcept : begin(now) {}
    static Budget used_up() noexcept {
      Budget budget{TimePoint()};
      budget.passes = most - 1;
      budget.next_look = most;
      return budget;
    }

    TimePoint begin;
    unsigned passes = 0;
    unsigned next_look = 1;  // at the clock
  };
  /// May one more pass follow?
  bool may_go_on(Budget& budget) const noexcept {
    return ++budget.passes != budget.next_look || look_at_clock(budget);
  }
  bool look_at_clock(Budget& budget) const noexcept;
  /// Is one event queued that may be handled before it is known what came with it?
  bool comes_alone() const noexcept;
  void run_first_event();
  void finish_batch();
  unsigned wait(Duration time);
  void pump();
  void rest();
  void arm_timer();
  void leave_context() noexcept;
  /// Null if nobody handles it.
  const HandleNode* signal_callback(int signal_number) const noexcept;
  void signal_arrived(int number);
  void forget_signal(int number) noexcept;
  void forget_signals() noexcept;
  void log_unless_that_fails(const ExceptionContext& context, const char* failure) const;
  void abandon_tasks() noexcept;
  void drop_everything();

  std::unique_ptr<boost::asio::io_context> owned_context_;  // null in a guest
  boost::asio::io_context* context_;
  std::optional<Host::Strand> strand_;  // none: one thread at a time runs the context
  Guests* guests_ = nullptr;            // of the same context; null if owned, or left
  const bool exact_timers_;
  bool pass_begun_ = false;  // a guest's pass that waits
  /// The first event of a pass that waited is handled, or about to be, and Asio may still hold
  /// others that came with it.
  bool batch_open_ = false;
  bool more_expected_ = false;  // see push_event
  static constexpr unsigned most_alone = 32;
  unsigned alone_credit_ = most_alone;  // first events that may be handled alone
  bool in_run_host_ = false;
  Budget budget_{TimePoint()};
  std::shared_ptr<ForeignQueue> foreign_;
  /// Wakes a guest for its earliest timer, and an owned loop with exact timers.
  std::optional<boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>>
      timer_;
  TimePoint timer_deadline_ = TimePoint::max();
  std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<char[]> scratch_buffer_;
  std::unique_ptr<Descriptors> descriptors_;
  std::map<int, std::shared_ptr<SignalWatch>> signals_;
  const HandleNode* interrupt_callback_ = nullptr;  // see set_interrupt_handler
  Ref<HandleNode> interrupt_;                       // what comes after one of the program's own
  std::shared_ptr<ThreadPoolExecutor> default_executor_;  // null until it is needed
  bool executor_shut_down_ = false;
  std::size_t thread_work_ = 0;
  std::optional<boost::asio::executor_work_guard<Executor>> context_work_;
  Resource* resources_ = nullptr;
};

inline LoopCore& core_of(Scheduler& scheduler) noexcept {
  return static_cast<LoopCore&>(scheduler);  // every scheduler is a loop's
}

}  // namespace asyncio::inline v1::detail
