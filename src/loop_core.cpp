// SPDX-License-Identifier: BSL-1.0
#include "loop_core.hpp"

#include <algorithm>
#include <asyncio/asio/operation.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/detail/pool_allocator.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/wait.hpp>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <typeinfo>

#include "descriptors.hpp"
#include "notes.hpp"
#include "places.hpp"

namespace asyncio::inline v1::detail {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

/// What Asio waits with here.
constexpr std::string_view selector =
#if defined(BOOST_ASIO_HAS_IOCP)
    "iocp";
#elif defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
    "io_uring";
#elif defined(BOOST_ASIO_HAS_EPOLL)
    "epoll";
#elif defined(BOOST_ASIO_HAS_KQUEUE)
    "kqueue";
#elif defined(BOOST_ASIO_HAS_DEV_POLL)
    "/dev/poll";
#else
    "select";
#endif

/// Between two looks at the kernel while callbacks are queued.
constexpr Duration longest_between_polls = Duration::from_nanoseconds(1'000'000);

/// Of epoll, by Asio.
constexpr unsigned events_at_once = 128;

/// Python's variable, and the same under our name.
bool debug_by_environment() noexcept {
  for (const char* name : {"ASYNCIO_DEBUG", "PYTHONASYNCIODEBUG"}) {
    const char* const value = std::getenv(name);
    if (value && *value) return true;
  }
  return false;
}

/// Rule 5: timers wake at whole milliseconds, never early.
std::chrono::milliseconds round_up(Duration time) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(time));
}

}  // namespace

// -- Resource

void Resource::register_with(LoopCore& core) noexcept {
  next_ = core.resources_;
  if (next_) next_->previous_ = this;
  core.resources_ = this;
  previous_ = nullptr;
  core_ = &core;
}

void Resource::unregister() noexcept {
  if (!core_) return;
  (previous_ ? previous_->next_ : core_->resources_) = next_;
  if (next_) next_->previous_ = previous_;
  core_ = nullptr;
}

// -- ForeignQueue

bool ForeignQueue::push(ReadyNode& node) {
  const std::lock_guard lock(mutex_);
  if (!core_) return false;
  if (thread_state.running == core_) {
    core_->push(nodes_);  // what came before comes before
    core_->push(node);
    return true;
  }
  nodes_.push_back(node);
  if (!std::exchange(posted_, true)) core_->post([self = shared_from_this()] { self->drain(); });
  return true;
}

bool ForeignQueue::in_thread() const {
  const std::lock_guard lock(mutex_);
  return core_ && core_->in_thread();
}

void ForeignQueue::drain() {
  const std::lock_guard lock(mutex_);
  posted_ = false;
  if (core_) core_->push(nodes_);
}

void ForeignQueue::close() noexcept {
  const std::lock_guard lock(mutex_);
  core_->push(nodes_);
  core_ = nullptr;
}

// -- LoopCore

/// The thread runs this loop, for a scope.
class LoopCore::Running {
 public:
  explicit Running(LoopCore& core) noexcept : core_(core), outer_(thread_state.running) {
    core_.running_ = true;
    core_.set_runner(&thread_state);
    thread_state.running = &core_;
  }
  ~Running() {
    core_.running_ = false;
    core_.set_runner(nullptr);
    thread_state.running = outer_;
  }

 private:
  LoopCore& core_;
  Scheduler* outer_;
};

/// What is left of a guest's pass, also by an exception, has its turn after the host's handlers.
struct LoopCore::Rest {
  ~Rest() { core.rest(); }
  LoopCore& core;
};

/// The guests of a context, which are closed when it is destroyed before them.
class LoopCore::Guests : public boost::asio::execution_context::service {
 public:
  inline static boost::asio::execution_context::id id;

  explicit Guests(boost::asio::execution_context& context) : service(context) {}

  void add(LoopCore& core) {
    const std::lock_guard lock(mutex_);
    cores_.push_back(&core);
  }
  void remove(LoopCore& core) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(cores_, &core);
  }

 private:
  void shutdown() override {
    while (!cores_.empty()) {
      LoopCore& core = *cores_.back();
      core.close();
      core.leave_context();  // which removes it
    }
  }

  std::mutex mutex_;
  std::vector<LoopCore*> cores_;
};

LoopCore::LoopCore(LoopOptions options)
    : LoopCore(options, std::make_unique<boost::asio::io_context>(1)) {}

LoopCore::LoopCore(LoopOptions options, std::unique_ptr<boost::asio::io_context> context)
    : LoopCore(options, *context) {
  owned_context_ = std::move(context);
}

LoopCore::LoopCore(LoopOptions options, boost::asio::io_context& context)
    : Scheduler(options.clock == Clock::virtual_time),
      context_(&context),
      exact_timers_(options.exact_timers),
      foreign_(std::make_shared<ForeignQueue>(*this)) {
  set_debug(debug_by_environment());
  logger().debug("Using selector: {}", selector);
}

LoopCore::LoopCore(LoopOptions options, const Host& host) : LoopCore(options, host.context) {
  strand_ = host.strand;
  attended_ = false;  // the host runs the context, so the pump is to be posted
  // Services are shut down in the reverse order of their making: the reactor after the guests.
  timer_.emplace(io_executor());
  guests_ = &boost::asio::use_service<Guests>(host.context);
  guests_->add(*this);
}

LoopCore::~LoopCore() = default;

boost::asio::any_io_executor LoopCore::executor() const {
  if (strand_) return *strand_;
  return context_->get_executor();
}

template <class Handler>
void LoopCore::post(Handler handler, [[maybe_unused]] const std::source_location& where) {
  BOOST_ASIO_HANDLER_LOCATION(
      (where.file_name(), static_cast<int>(where.line()), where.function_name()));
  if (strand_)
    boost::asio::post(*strand_, std::move(handler));
  else
    boost::asio::post(*context_, std::move(handler));
}

/// A context must not run out of work while there may be some for the loop.
void LoopCore::hold_context() noexcept {
  const bool needed = !closing() && (thread_work_ != 0 || (guests_ && live_tasks != 0));
  if (needed == context_work_.has_value()) return;
  if (needed)
    context_work_.emplace(io_executor());
  else
    context_work_.reset();
}

std::span<char> LoopCore::read_buffer() {
  if (!read_buffer_)
    read_buffer_ = std::make_unique_for_overwrite<char[]>(constants::max_read_size);
  return {read_buffer_.get(), constants::max_read_size};
}

Descriptors& LoopCore::descriptors() {
  if (!descriptors_) descriptors_ = std::make_unique<Descriptors>(*this);
  return *descriptors_;
}

void LoopCore::descriptor_taken_over(NativeSocket descriptor) noexcept {
  if (descriptors_) descriptors_->forget(descriptor);
}

void LoopCore::refuse_if_used(NativeSocket descriptor) const {
  for (const Resource* resource = resources_; resource; resource = resource->next_) {
    if (const BaseTransport* const transport = resource->transport_on(descriptor)) {
      throw RuntimeError("File descriptor " + std::to_string(descriptor) +
                         " is used by transport " + to_string(*transport));
    }
  }
}

void LoopCore::check_runnable() const {
  check_usable();
  if (running_ || in_run_host_) throw RuntimeError("This event loop is already running");
  if (thread_state.running)
    throw RuntimeError("Cannot run the event loop while another loop is running");
}

void LoopCore::run_forever() {
  check_runnable();
  struct End {
    ~End() { core.stopping_ = core.in_run_host_ = core.pass_begun_ = false; }
    LoopCore& core;
  } const end{*this};
  if (owned_context_)
    run_owned();
  else
    run_host();
}

void LoopCore::run_owned() {
  const Running running(*this);
  const auto work = boost::asio::make_work_guard(*context_);
  context_->restart();
  budget_ = Budget::used_up();  // the first pass looks at the kernel and other threads
  if (batch_open_) finish_batch();  // an exception came in between
  do {
    const bool plain = only_callbacks();  // no batch is open then: I/O begins one
    if (plain && may_go_on(budget_)) [[likely]] {
      run_callbacks();
      continue;
    }
    begin_pass();
    if (plain || !has_ready() || stopping_ || batch_open_ || !may_go_on(budget_)) poll();
    if (batch_open_)
      run_first_event();
    else
      run_pass();
  } while (!stopping_);
}

// The kernel is asked in every pass that would wait, and at least every so many passes and so much
// time; in between, passes follow each other without a system call.
void LoopCore::poll() {
  const Duration time_to_wait = wait_time();
  if (time_to_wait != Duration()) {
    wait(time_to_wait);
    if (!batch_open_) budget_ = Budget(time());
  } else {
    batch_open_ = false;
    take_events();
  }
}

// What has come is for this pass. But the kernel also reports what an early read has taken, or is
// about to take. When it is mostly that, the rest may come with the next pass: a busy loop would
// otherwise go through all of many connections twice, and find none in the processor's cache.
void LoopCore::take_events() {
  do {
    events_ = 0;
    for (unsigned i = 0; i != events_at_once; ++i) {
      if (context_->poll_one() != 0) continue;
      budget_ = Budget(time());
      return;
    }
  } while (events_ >= events_at_once / 2);
  budget_ = Budget::used_up();
}

// The clock costs more than a short pass. It is read after the first, and then when it would be time
// if all passes took as long as those so far, but not later than after four times as many.
bool LoopCore::look_at_clock(Budget& budget) const noexcept {
  if (budget.passes == Budget::most) return false;
  budget.next_look = 4 * budget.passes;
  if (!virtual_time()) {
    const std::int64_t taken = (time() - budget.begin).nanoseconds();
    const std::int64_t most = longest_between_polls.nanoseconds();
    if (taken >= most) return false;
    if (taken * 4 > most)
      budget.next_look = static_cast<unsigned>(budget.passes * most / taken) + 1;
  }
  budget.next_look = std::min(budget.next_look, Budget::most);
  return true;
}

/// The mark behind a batch, as a handler of Asio: runs what was queued of it.
class LoopCore::EndOfBatch {
 public:
  using allocator_type = PoolAllocator<void>;

  explicit EndOfBatch(LoopCore& core) : core_(core) {}
  allocator_type get_allocator() const noexcept { return {}; }
  void operator()() const {
    if (std::exchange(core_.more_expected_, false))
      core_.post(*this);
    else if (std::exchange(core_.batch_open_, false))
      core_.run_events();
  }

 private:
  LoopCore& core_;
};

// What the kernel reports at once is handled in one pass, in its order, timers that are due by then
// behind it (rule 9). Asio hands it over one by one, and finds that there is no more only by looking
// at the kernel again. So the first event is handled alone, and the next in a pass that waits again:
// to the program that is the same as long as there is nothing else to do. Where many come at once
// collecting them is cheaper: each look that finds no second event allows so many without one.
void LoopCore::wait(Duration time_to_wait) {
  const bool for_ever = time_to_wait == Duration::max();
  batch_open_ = false;
  more_expected_ = false;
  if (virtual_time()) {
    if (context_->poll() != 0 || has_ready()) return;
    if (thread_work_ == 0) {  // a thread at work is not waited for in virtual time
      if (!for_ever) return advance(time_to_wait);
      if (observer_) observer_->waits_for_ever();
    }
    context_->run_one();
  } else if (for_ever) {
    context_->run_one();
  } else if (exact_timers_) {
    arm_timer();
    context_->run_one();
  } else if (context_->run_one_for(round_up(time_to_wait)) == 0) {
    return;
  }
  batch_open_ = alone_credit_ != 0 && comes_alone();
  if (batch_open_)
    --alone_credit_;
  else if (context_->poll() == 0)
    alone_credit_ = most_alone;
}

bool LoopCore::comes_alone() const noexcept {
  return !more_expected_ && !virtual_time() && !observer_ && only_events();
}

void LoopCore::run_first_event() {
  run_events();
  if (has_ready() || stopping_) finish_batch();
}

/// What the first event has queued is for the next pass, and so is what the kernel reports from now
/// on, perhaps because of it; the rest of the batch comes before either. In Asio's queue the mark
/// stands between the rest and what is new.
void LoopCore::finish_batch() {
  post(EndOfBatch{*this});
  while (batch_open_ && context_->poll_one() != 0) {  // poll() would look at the kernel once more
  }
  budget_ = Budget(time());
}

bool LoopCore::in_thread() const noexcept {
  if (thread_state.running == this) return true;
  if (closed()) return false;
  return strand_ ? strand_->running_in_this_thread()
                 : context_->get_executor().running_in_this_thread();
}

bool in_loop_thread(const Scheduler& loop) noexcept {
  return static_cast<const LoopCore&>(loop).in_thread();
}

// -- as a guest

// The pump does the work of run_forever; what is different is who runs the context.
void LoopCore::run_host() {
  in_run_host_ = true;
  if (!attended_) begin_waiting();
  const auto work = boost::asio::make_work_guard(*context_);
  context_->restart();
  do {
    if (!virtual_time() || context_->poll_one() == 0) wait_as_host();
  } while (in_run_host_);
}

void LoopCore::wait_as_host() {
  if (virtual_time() && thread_work_ == 0) {
    const Duration time_to_wait = time_to_timer();
    if (time_to_wait != Duration::max()) return advance(time_to_wait);
    if (observer_) observer_->waits_for_ever();
  }
  context_->run_one();
}

void LoopCore::attend() noexcept {
  attended_ = true;
  post([foreign = foreign_, this] {
    if (foreign->open()) pump();
  });
}

/// In a guest that waits, the first event is handled at once. If the pump has to be posted then, it
/// is the mark behind the rest of the batch.
void LoopCore::push_event(ReadyNode& node, bool more) {
  ++events_;
  more_expected_ |= more;
  const bool waited = !std::exchange(attended_, true);
  push_io(node);
  if (!waited) return;
  if (in_run_host_ || !comes_alone()) return attend();
  const Running running(*this);
  const Rest rest{*this};
  if (!std::exchange(pass_begun_, false)) begin_pass();
  batch_open_ = true;
  run_events();
  if (!has_ready()) begin_waiting();
}

void LoopCore::earliest_timer_changed() noexcept {
  if (!attended_) arm_timer();
}

void LoopCore::pump() {
  if (running_) return;  // a callback runs the host's context: the pass around it goes on after it
  if (batch_open_ && std::exchange(more_expected_, false)) return attend();
  const Running running(*this);
  const Rest rest{*this};
  Budget budget(time());
  do {
    if (std::exchange(batch_open_, false)) {
      run_events();
    } else {
      if (!std::exchange(pass_begun_, false)) begin_pass();
      run_pass();
    }
    if (in_run_host_ && stopping_) {
      in_run_host_ = false;
      return;
    }
  } while (has_ready() && may_go_on(budget));
  if (!has_ready()) begin_waiting();
}

/// As in run_forever, a pass begins before it waits.
void LoopCore::begin_waiting() {
  if (std::exchange(pass_begun_, true)) return;
  begin_pass();
  if (!attended_) arm_timer();
}

void LoopCore::rest() {
  hold_context();
  if (has_ready()) return attend();
  batch_open_ = false;
  more_expected_ = false;
  attended_ = false;
  arm_timer();
}

void LoopCore::arm_timer() {
  if (virtual_time() && !owned_context_) return;  // whoever runs the host moves the clock
  // stop() is for run_forever: it must not make a guest spin.
  const Duration time_to_wait = time_to_timer();
  if (time_to_wait == Duration::max()) {  // what was waited for was cancelled: it is work no more
    if (timer_deadline_ != TimePoint::max()) timer_->cancel();
    timer_deadline_ = TimePoint::max();
    return;
  }
  const TimePoint deadline = time() + time_to_wait;
  if (!timer_) timer_.emplace(io_executor());
  if (timer_deadline_ <= deadline && timer_deadline_ > time()) return;  // wakes early enough
  timer_deadline_ = deadline;
  if (exact_timers_)
    timer_->expires_after(std::chrono::nanoseconds(time_to_wait));
  else
    timer_->expires_after(round_up(time_to_wait));
  async_wait(*timer_, [foreign = foreign_, this](const boost::system::error_code& error) {
    if (error || !foreign->open()) return;
    timer_deadline_ = TimePoint::max();
    if (!attended_) {
      attended_ = true;
      pump();
    }
  });
}

// -- the end

void LoopCore::close() {
  if (running_ || in_run_host_) throw RuntimeError("Cannot close a running event loop");
  if (closed()) return;
  if (debug() && facade) logger().debug("Close {}", to_string(*facade));
  attended_ = true;  // what destructors queue from here on is dropped
  closing_ = true;
  OperationBase::give_up_all(operations);  // while what they work on still exists
  Watcher::let_all_go(*this);
  abandon_tasks();
  signals_.clear();
  if (descriptors_) descriptors_->clear();
  while (resources_) {
    Resource& resource = *resources_;
    resource.unregister();
    resource.loop_closing();
  }
  timer_.reset();
  drop_everything();
  OperationBase::give_up_all(operations);
  foreign_->close();
  drop_everything();
  context_work_.reset();
  if (default_executor_) dismiss(std::move(default_executor_));
  set_closed();
  exception_handler = nullptr;
  task_factory = nullptr;
  has_task_factory = false;
}

void LoopCore::abandon_tasks() noexcept {
  while (tasks.next != &tasks) TaskBase::from_links(*tasks.next).abandon();
}

// The destructors of callbacks may make tasks, those of tasks may queue callbacks.
void LoopCore::drop_everything() noexcept {
  do {
    drop_all();
    abandon_tasks();
    foreign_->drain();
    if (!foreign_->open()) Arrival::drop_all(arrivals);
  } while (has_ready());
}

// Other threads may ask for the executor until now, also when the loop is closed.
void LoopCore::leave_context() noexcept {
  strand_.reset();
  if (guests_) std::exchange(guests_, nullptr)->remove(*this);
}

void LoopCore::facade_destroyed() noexcept {
  facade = nullptr;
  leave_context();
  owned_context_.reset();
}

Handle LoopCore::push_threadsafe(Ref<HandleNode> node) {
  if (thread_state.running != this) share(*node);
  node->add_ref();
  if (!foreign_->push(*node)) {
    node->release();
    throw_closed();
  }
  return Handle(std::move(node));
}

// -- threads

ThreadPoolExecutor& LoopCore::default_executor() {
  check_usable();
  if (executor_shut_down_) throw RuntimeError("Executor shutdown has been called");
  if (!default_executor_) {
    default_executor_ =
        std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.thread_name_prefix = "asyncio"});
  }
  return *default_executor_;
}

void LoopCore::set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor) {
  if (!executor) throw TypeError("executor must be ThreadPoolExecutor instance");
  std::swap(default_executor_, executor);
  // The last owner of the old one must not wait for its threads here.
  if (executor && executor.use_count() == 1) dismiss(std::move(executor));
}

Coroutine<> LoopCore::shutdown_default_executor(std::optional<Duration> timeout) {
  executor_shut_down_ = true;
  if (!default_executor_) co_return;
  // Joining blocks, so a thread of its own does it.
  struct Joiner {
    ~Joiner() { dismiss(std::move(thread)); }
    std::shared_ptr<ThreadPoolExecutor> thread =
        std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1});
  } const joiner;
  const auto join = [executor = default_executor_] { executor->shutdown(); };
  const Future<> joined = run_in_executor(*this, *joiner.thread, join);
  try {
    co_await asyncio::timeout(timeout, [&]() -> Coroutine<> { co_await joined; });
    joiner.thread->shutdown();
  } catch (const TimeoutError&) {
    logger().warning("The executor did not finishing joining its threads within {} seconds.",
                     *timeout);
  }
}

AnyTask LoopCore::call_task_factory(AnyCoroutine coroutine, const TaskOptions& options) {
  if (!facade) throw_closed();
  return task_factory(*facade, std::move(coroutine), options);
}

// -- errors (rules 101, 102)

void LoopCore::report(const Report& report) {
  ExceptionContext context{.message = report.message, .exception = report.exception};
  if (report.future) context.future = AnyFuture(Ref<FutureBase>(report.future));
  if (report.task) context.task = AnyTask(*report.task);
  if (report.handle) context.handle = Handle(Ref<HandleNode>(report.handle));
  if (const Notes* const known_places = notes_if_any()) {
    const std::source_location place =
        report.handle ? known_places->origin_of(*report.handle)
        : report.task ? known_places->origin_of(report.task->future())
        : report.future ? known_places->origin_of(*report.future)
                        : std::source_location();
    if (known(place)) context.source_traceback = stack_frame(place);
  }
  call_exception_handler(context);
}

void LoopCore::call_exception_handler(const ExceptionContext& context) {
  if (!exception_handler || !facade) {
    default_exception_handler(context);
    return;
  }
  try {
    TaskBase* task = context.task ? context.task.state()->as_task() : nullptr;
    if (!task && context.future) task = context.future.state()->as_task();
    const ContextScope scope(task             ? task->context()
                             : context.handle ? context.handle.node()->context
                                              : context_slot());
    // The handler may replace itself.
    const ExceptionHandler handler = exception_handler;
    handler(*facade, context);
  } catch (const SystemExit&) {
    throw;
  } catch (const KeyboardInterrupt&) {
    throw;
  } catch (...) {
    default_exception_handler({.message = "Unhandled error in exception handler",
                               .exception = std::current_exception(),
                               .context = &context});
  }
}

void LoopCore::default_exception_handler(const ExceptionContext& context) const {
  std::string text =
      context.message.empty() ? "Unhandled exception in event loop" : context.message;
  const auto line = [&](const char* key, const std::string& value) {
    text += '\n';
    text += key;
    text += ": ";
    text += value;
  };
  if (context.context) line("context", repr_str(context.context->message));
  if (context.future) line("future", to_string(context.future));
  if (context.handle) line("handle", to_string(context.handle));
  if (context.protocol) {
    const BaseProtocol& protocol = *context.protocol;
    line("protocol", object_repr(typeid(protocol), &protocol));
  }
  if (context.socket) line("socket", to_string(*context.socket));
  if (const auto& frame = context.source_traceback)
    line("source_traceback",
         "Object created at (most recent call last):\n" + traceback_line(*frame));
  if (context.task) line("task", to_string(context.task));
  if (context.transport) line("transport", to_string(*context.transport));
  if (context.exception) text += '\n' + repr(context.exception);
  logger().error("{}", text);
}

// -- signals

class LoopCore::SignalWatch : public std::enable_shared_from_this<SignalWatch> {
 public:
  SignalWatch(LoopCore& core, int number) : core_(core), signals_(core.io_executor()) {
    boost::system::error_code error;
    signals_.add(number, error);
    if (error) throw RuntimeError("sig " + std::to_string(number) + " cannot be caught");
  }
  ~SignalWatch() {
    if (callback_) callback_->cancel();
  }
  void set_callback(Ref<HandleNode> callback) {
    if (callback_) callback_->cancel();
    callback_ = std::move(callback);
  }
  const HandleNode* callback() const noexcept { return callback_.get(); }
  void listen() {
    const auto arrived = [weak = weak_from_this()](const boost::system::error_code& error, int) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->arrived();
      self->listen();
    };
    core_.async_wait(signals_, arrived);
  }

 private:
  void arrived() {
    // Rule 180: the signal is noticed in one pass, its callback runs in the following.
    core_.call_soon([&core = core_, callback = callback_] {
      core.call_soon([callback] {
        callback->add_ref();
        callback->run();
      });
    });
  }

  LoopCore& core_;
  boost::asio::basic_signal_set<Executor> signals_;
  Ref<HandleNode> callback_;
};

void LoopCore::add_signal_handler(int signal_number, Ref<HandleNode> callback) {
  check_usable();
  if (signal_number < 1 || signal_number >= NSIG)
    throw ValueError("invalid signal number " + std::to_string(signal_number));
  if (signal_number == SIGKILL || signal_number == SIGSTOP)
    throw RuntimeError("sig " + std::to_string(signal_number) + " cannot be caught");
  auto place = signals_.find(signal_number);
  if (place == signals_.end()) {
    auto watch = std::make_shared<SignalWatch>(*this, signal_number);
    watch->listen();
    place = signals_.emplace(signal_number, std::move(watch)).first;
  }
  place->second->set_callback(std::move(callback));
}

const HandleNode* LoopCore::signal_callback(int signal_number) const noexcept {
  const auto place = signals_.find(signal_number);
  return place == signals_.end() ? nullptr : place->second->callback();
}

bool LoopCore::remove_signal_handler(int signal_number) {
  return signals_.erase(signal_number) != 0;
}

}  // namespace asyncio::inline v1::detail
