// SPDX-License-Identifier: BSL-1.0
#include "loop_core.hpp"

#include <algorithm>
#include <asyncio/asio/operation.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/wait.hpp>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string_view>
#include <typeinfo>
#include <vector>

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

/// Python's variable, and the same under our name.
bool debug_by_environment() noexcept {
  for (const char* name : {"ASYNCIO_DEBUG", "PYTHONASYNCIODEBUG"}) {
    const char* const value = std::getenv(name);
    if (value && *value) return true;
  }
  return false;
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

// -- LoopCore

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

/// A context must not run out of work while there may be some for the loop.
void LoopCore::hold_context() noexcept {
  const bool needed = !closing() && (thread_work_ != 0 || (guests_ && live_tasks != 0));
  if (needed == context_work_.has_value()) return;
  if (needed)
    context_work_.emplace(io_executor());
  else
    context_work_.reset();
}

static std::span<char> all_of(std::unique_ptr<char[]>& memory) {
  if (!memory) memory = std::make_unique_for_overwrite<char[]>(constants::max_read_size);
  return {memory.get(), constants::max_read_size};
}

std::span<char> LoopCore::read_buffer() { return all_of(read_buffer_); }

std::span<char> LoopCore::scratch_buffer() { return all_of(scratch_buffer_); }

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

bool LoopCore::in_thread() const noexcept {
  if (thread_state.running == this) return true;
  if (closed()) return false;
  return strand_ ? strand_->running_in_this_thread()
                 : context_->get_executor().running_in_this_thread();
}

bool in_loop_thread(const Scheduler& loop) noexcept {
  return static_cast<const LoopCore&>(loop).in_thread();
}

// -- the end

void LoopCore::close() {
  if (running_ || in_run_host_) throw RuntimeError("Cannot close a running event loop");
  if (closed()) return;
  if (debug() && facade) logger().debug("Close {}", to_string(*facade));
  attended_ = true;  // what destructors queue from here on is dropped
  closing_ = true;
  timer_.reset();
  drop_everything();
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
  while (!tasks.alone()) TaskBase::from_links(*tasks.next).abandon();
}

// Destructors, of tasks, protocols, callbacks and what they hold, may make and watch something new.
void LoopCore::drop_everything() {
  do {
    OperationBase::give_up_all(operations);  // while what they work on still exists
    Watcher::let_all_go(*this);
    abandon_tasks();
    forget_signals();
    if (descriptors_) descriptors_->clear();
    while (resources_) {
      Resource& resource = *resources_;
      resource.unregister();
      resource.loop_closing();
    }
    drop_all();
    foreign_->drain();
    // What has arrived is queued, and was dropped there.
    if (!foreign_->open()) Arrival::drop_all(arrivals);
  } while (has_ready() || time_to_timer() != Duration::max() || !operations.alone() ||
           !watchers.alone() || !tasks.alone() || !signals_.empty() ||
           (descriptors_ && !descriptors_->empty()) || resources_);
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

namespace {

/// Key and repr.
using Item = std::pair<std::string, std::string>;

std::string dict_repr(const std::vector<Item>& items) {
  std::string text;
  for (const auto& [key, value] : items) {
    text += text.empty() ? "{" : ", ";
    text += repr_str(key) + ": " + value;
  }
  return text.empty() ? "{}" : text + '}';
}

/// What Python's dictionary would hold.
std::vector<Item> items_of(const ExceptionContext& context) {
  std::vector<Item> items;
  if (!context.message.empty()) items.emplace_back("message", repr_str(context.message));
  if (context.exception) items.emplace_back("exception", repr(context.exception));
  if (context.context) items.emplace_back("context", dict_repr(items_of(*context.context)));
  if (context.future) items.emplace_back("future", to_string(context.future));
  if (context.task) items.emplace_back("task", to_string(context.task));
  if (context.handle) items.emplace_back("handle", to_string(context.handle));
  if (context.protocol) {
    const BaseProtocol& protocol = *context.protocol;
    items.emplace_back("protocol", object_repr(typeid(protocol), &protocol));
  }
  if (context.transport) items.emplace_back("transport", to_string(*context.transport));
  if (context.socket) items.emplace_back("socket", to_string(context.socket));
  if (const auto& frame = context.source_traceback) {
    items.emplace_back("source_traceback", "[<FrameSummary file " + frame->file + ", line " +
                                               std::to_string(frame->line) + " in " +
                                               frame->function + ">]");
  }
  return items;
}

std::string created_at(const StackFrame& frame) {
  return " created at (most recent call last):\n" + traceback_line(frame);
}

/// As Python's log shows an exception, without the lines of the program.
std::string with_causes(const std::exception_ptr& error) {
  std::vector<std::exception_ptr> chain;
  for (std::exception_ptr e = error; e && std::find(chain.begin(), chain.end(), e) == chain.end();
       e = cause(e))
    chain.push_back(e);
  std::string text = repr(chain.back());
  for (auto e = std::next(chain.rbegin()); e != chain.rend(); ++e) {
    text += "\n\nThe above exception was the direct cause of the following exception:\n\n";
    text += repr(*e);
  }
  return text;
}

}  // namespace

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
    log_unless_that_fails(context, "Exception in default exception handler");
    return;
  }
  try {
    const AnyFuture& thing = context.task ? context.task : context.future;
    TaskBase* const task = thing ? thing.state()->as_task() : nullptr;
    const ContextScope scope(task                       ? task->context()
                             : !thing && context.handle ? context.handle.node()->context
                                                        : context_slot());
    // The handler may replace itself.
    const ExceptionHandler handler = exception_handler;
    handler(*facade, context);
  } catch (...) {
    log_unless_that_fails({.message = "Unhandled error in exception handler",
                           .exception = caught_error(),
                           .context = &context},
                          "Exception in default exception handler while handling an unexpected "
                          "error in custom exception handler");
  }
}

/// A repr may be the program's.
void LoopCore::log_unless_that_fails(const ExceptionContext& context, const char* failure) const {
  try {
    default_exception_handler(context);
  } catch (...) {
    logger().error("{}\n{}", failure, with_causes(caught_error()));
  }
}

void LoopCore::default_exception_handler(const ExceptionContext& context) const {
  std::string text =
      context.message.empty() ? "Unhandled exception in event loop" : context.message;
  std::vector<Item> items = items_of(context);
  const Subject* const subject = running_subject();
  if (!context.source_traceback && subject && subject->handle && notes_if_any()) {
    const std::source_location place = notes_if_any()->origin_of(*subject->handle);
    if (known(place))
      items.emplace_back("handle_traceback", "Handle" + created_at(stack_frame(place)));
  }
  std::sort(items.begin(), items.end());
  for (const auto& [key, value] : items) {
    if (key == "source_traceback")
      text += "\nsource_traceback: Object" + created_at(*context.source_traceback);
    else if (key != "message" && key != "exception")
      text += '\n' + key + ": " + value;
  }
  if (context.exception) text += '\n' + with_causes(context.exception);
  logger().error("{}", text);
}

}  // namespace asyncio::inline v1::detail
