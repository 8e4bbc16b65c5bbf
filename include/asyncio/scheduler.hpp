// SPDX-License-Identifier: BSL-1.0
// The scheduler: all that futures and tasks know of a loop. Ready queue, timer heap, passes, clock.
//
// One pass, as CPython makes it (rules 2-14):
//   begin_pass()   sweep cancelled timers
//   (the loop polls, for as long as wait_time() says; what is ready is queued)
//   run_pass()     queue the due timers, then run exactly what is queued now
// The scheduler knows nothing of Asio; the loop that drives it does.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <string>
#include <utility>

#include <asyncio/detail/box.hpp>
#include <asyncio/detail/heapq.hpp>
#include <asyncio/handles.hpp>

namespace asyncio::inline v1 {

class AnyCoroutine;
class AnyTask;
class EventLoop;
struct TaskOptions;

/// What a test may want to see of a loop's passes. Exceptions thrown here leave run_forever.
class LoopObserver {
 public:
  virtual ~LoopObserver() = default;
  /// A pass begins; before timers are looked at and before polling.
  virtual void pass_begins() {}
  /// The pass would wait without limit: nothing is ready, no timer is set.
  virtual void waits_for_ever() {}
};

namespace detail {

class FutureBase;
class Notes;
struct Subject;
class TaskBase;

/// What the lower floors tell the loop's exception handler. Valid during the call only.
struct Report {
  std::string message;
  std::exception_ptr exception{};
  FutureBase* future = nullptr;
  TaskBase* task = nullptr;
  HandleNode* handle = nullptr;
};

/// A link of a ring. One of them is the ring itself.
struct Links {
  Links* previous = this;
  Links* next = this;

  bool alone() const noexcept { return next == this; }

  void link_before(Links& place) noexcept {
    previous = std::exchange(place.previous, this);
    next = &place;
    previous->next = this;
  }
  void unlink() noexcept {
    previous->next = next;
    next->previous = previous;
    previous = next = this;
  }
};

/// A timer that is set. Compared by time alone, so that timers with equal deadlines leave the heap
/// in the order in which they do in CPython (rule 12).
struct Timer {
  std::int64_t when;
  HandleNode* node;  // counted

  friend bool operator<(const Timer& a, const Timer& b) noexcept { return a.when < b.when; }
};

class Scheduler {
 public:
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Futures that outlive the loop still refer to its scheduler.
  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  /// May something be queued from this thread? RuntimeError "Event loop is closed" if it is; in
  /// debug mode "Non-thread-safe operation invoked on an event loop other than the current one" if
  /// the loop runs in another thread (rule 106).
  void check_usable() const {
    if (guarded_) [[unlikely]]
      check_guarded();
  }
  /// Is there anything that check_usable would look at?
  bool guarded() const noexcept { return guarded_; }
  bool closed() const noexcept { return closed_; }
  /// The loop is being closed, or is closed: nobody is called any more.
  bool closing() const noexcept { return closing_; }
  bool running() const noexcept { return running_; }

  /// Queues an entry; the queue takes over one reference to what it belongs to.
  void push(ReadyNode& node) noexcept {
    ready_.push_back(node);
    if (!attended_) [[unlikely]]
      attend();
  }
  void push(ReadyList& list) noexcept {
    ready_.splice_back(list);
    if (!attended_) [[unlikely]]
      attend();
  }
  /// Queues an entry where I/O comes in the coming pass: behind what is queued by then, ahead of
  /// the timers (rule 9).
  void push_io(ReadyNode& node) noexcept {
    io_ready_.push_back(node);
    only_callbacks_ = false;
    if (!attended_) [[unlikely]]
      attend();
  }
  /// Queues an entry that looks for I/O nobody has announced. A pass runs only some of these, so that
  /// what they find is worked on before it leaves the processor's cache.
  void push_early(ReadyNode& node) noexcept {
    early_.push_back(node);
    only_callbacks_ = false;
    if (!attended_) [[unlikely]]
      attend();
  }

  /// Queues a callback (rule 2). Python: call_soon.
  template <class F>
  Ref<HandleNode> call_soon(F&& callback) {
    return call_soon(std::forward<F>(callback), capture_context());
  }
  template <class F>
  [[gnu::always_inline]] Ref<HandleNode> call_soon(F&& callback, Ref<ContextState> context,
                                                   std::source_location place = {}) {
    check_usable();
    Ref<HandleNode> node = make_callback(std::forward<F>(callback), std::move(context));
    Ref<HandleNode> entry = node;  // counted at once: so both are one store
    note_origin(*node, place);
    push(*entry.detach());
    return node;
  }
  /// Sets a timer. Python: call_at.
  template <class F>
  Ref<TimerNode> call_at(TimePoint when, F&& callback) {
    return call_at(when, std::forward<F>(callback), capture_context());
  }
  template <class F>
  Ref<TimerNode> call_at(TimePoint when, F&& callback, Ref<ContextState> context,
                         std::source_location place = {}) {
    check_usable();
    Ref<TimerNode> node(adopt_ref,
                        new CallbackNode<std::decay_t<F>, TimerNode>(
                            std::forward<F>(callback), *this, std::move(context), when));
    note_origin(*node, place);
    add_timer(*node);
    return node;
  }
  template <class F>
  Ref<HandleNode> make_callback(F&& callback, Ref<ContextState> context) {
    return {adopt_ref, new CallbackNode<std::decay_t<F>>(std::forward<F>(callback), *this,
                                                         std::move(context))};
  }

  /// The loop's clock; read anew at every call (rule 14).
  TimePoint time() const noexcept {
    return TimePoint::from_nanoseconds(virtual_ ? virtual_now_ : steady_now());
  }
  bool virtual_time() const noexcept { return virtual_; }
  /// Virtual time only: waits by moving the clock.
  void advance(Duration by) noexcept {
    virtual_now_ += by.nanoseconds();
    if (!attended_) attend();
  }

  // -- passes, for the loop that drives them

  void begin_pass() {
    ++passes_;
    if (observer_) [[unlikely]]
      observer_->pass_begins();
    if (!timers_.empty()) sweep_timers();
  }
  /// How long the pass may wait for I/O (rule 4): nothing if something is ready or stop() was
  /// called, never more than a day; Duration::max() stands for "without limit".
  Duration wait_time() const noexcept;
  /// Until the earliest timer is due, within the same limits.
  Duration time_to_timer() const noexcept;
  bool has_ready() const noexcept {
    return !ready_.empty() || !io_ready_.empty() || !early_.empty();
  }
  void run_pass() {
    for (int left = most_early; left != 0 && !early_.empty(); --left)
      ready_.push_back(early_.pop_front());
    ready_.splice_back(io_ready_);
    if (!timers_.empty()) queue_due_timers();
    only_callbacks_ = !observer_ && timers_.empty() && early_.empty();
    run_ready();
  }
  /// Is the coming pass nothing but callbacks that are queued? Then run_callbacks() makes it.
  bool only_callbacks() const noexcept { return only_callbacks_ && !ready_.empty(); }
  void run_callbacks() {
    ++passes_;
    run_ready();
  }
  /// A part of a pass: the I/O that is queued now, ahead of all else. What an exception leaves
  /// behind goes to the front.
  void run_events();
  std::uint64_t passes() const noexcept { return passes_; }
  void stop() noexcept {
    stopping_ = true;
    if (!attended_) attend();
  }
  bool stopping() const noexcept { return stopping_; }

  // -- debug mode (surface A17)

  bool debug() const noexcept { return debug_; }
  void set_debug(bool enabled) noexcept;
  /// In debug mode it is noted where things are made; `place` may be nobody's.
  template <class T>
  void note_origin(T& object, std::source_location place) {
    if (debug_) [[unlikely]]
      add_origin(object, place);
  }
  /// What is kept beside the objects, because few loops need it; made at the first call.
  Notes& notes();
  /// Null if nothing was noted.
  Notes* notes_if_any() const noexcept { return notes_.get(); }
  /// A callback that takes longer is named in the log.
  Duration slow_callback_duration;

  /// To the loop's exception handler (B10). Only SystemExit and KeyboardInterrupt of a user's
  /// handler leave it.
  virtual void report(const Report& report) = 0;
  /// The same from a destructor: what a user's handler throws is logged.
  void report_from_destructor(const Report& report) noexcept;
  /// Makes a task through the loop's task factory. Only if has_task_factory.
  virtual AnyTask call_task_factory(AnyCoroutine coroutine, const TaskOptions& options) = 0;
  bool has_task_factory = false;

  EventLoop* facade = nullptr;       // null once the EventLoop is destroyed
  TaskBase* current_task = nullptr;  // the one whose step runs
  Links tasks;     // those that are not done, in the order in which they were made
  std::size_t live_tasks = 0;  // those of them that are no daemons
  Links watchers;  // those that keep themselves; see Watcher

 protected:
  explicit Scheduler(bool virtual_time) noexcept;
  virtual ~Scheduler();

  /// Somebody queued something, or set a timer, and nobody sees to it. Not called again
  /// before `attended_` was set to false.
  virtual void attend() noexcept = 0;
  /// A timer was set that is due before all others.
  virtual void earliest_timer_changed() noexcept {}
  [[noreturn]] static void throw_closed();
  void set_closed() noexcept { closed_ = guarded_ = true; }
  /// The thread that runs the loop from now on; null if none does.
  void set_runner(const ThreadState* thread) noexcept {
    runner_.store(thread, std::memory_order_relaxed);
  }
  /// The node's references are counted in several threads from now on.
  static void share(HandleNode& node) noexcept { node.shared_ = true; }

  /// Drops everything that is queued. Running the destructors of callbacks may queue more;
  /// when this returns, nothing is queued.
  void drop_all() noexcept;
  /// In debug mode, what is being run; otherwise null.
  const Subject* running_subject() const noexcept { return running_subject_; }
  /// Is I/O queued, and nothing else to do?
  bool only_events() const noexcept {
    return ready_.empty() && !io_ready_.empty() && !stopping_ && time_to_timer() != Duration();
  }

  bool attended_ = true;
  bool running_ = false;
  bool stopping_ = false;
  bool closing_ = false;
  /// Neither timers, nor I/O that is queued, nor an observer. Who adds one of them takes it back,
  /// the next pass that has seen to them finds out anew.
  bool only_callbacks_ = false;
  LoopObserver* observer_ = nullptr;

 private:
  friend class HandleNode;
  static constexpr int most_early = 64;

  void add_timer(TimerNode& node);
  void timer_cancelled(const HandleNode& node) noexcept;
  void sweep_timers();
  void queue_due_timers();
  void run_ready() {
    ready_.consume([this](ReadyNode& node) { run(node); });
  }
  void run(ReadyNode& node) {
    if (!debug_) [[likely]]
      node.run();
    else
      run_watched(node);
  }
  void run_watched(ReadyNode& node);
  void check_guarded() const;
  void add_origin(FutureBase& future, std::source_location place);
  void add_origin(HandleNode& node, std::source_location place);
  static std::int64_t steady_now() noexcept;

  ReadyList ready_;
  ReadyList io_ready_;
  ReadyList early_;
  HeapQ<Timer> timers_;
  /// Of the timers in the heap; what CPython counts, which is more when a cancelled timer
  /// becomes due together with others.
  std::int64_t cancelled_timers_ = 0;
  std::uint64_t passes_ = 0;
  std::int64_t virtual_now_ = 0;
  Box<Notes> notes_;
  const Subject* running_subject_ = nullptr;
  std::atomic<const ThreadState*> runner_ = nullptr;
  std::uint32_t references_ = 1;
  bool closed_ = false;
  bool debug_ = false;
  bool guarded_ = false;  // closed, or in debug mode
  const bool virtual_;
};

/// Is this thread the loop's just now? It is inside a handler of the loop's context, or of the
/// strand that the loop lives on.
bool in_loop_thread(const Scheduler& loop) noexcept;
/// The scheduler of the loop that runs in this thread; RuntimeError "no running event loop".
Scheduler& running_scheduler();
/// The running loop's, else the thread's current one (get_event_loop).
Scheduler& default_scheduler();

}  // namespace detail
}  // namespace asyncio::inline v1
