// SPDX-License-Identifier: BSL-1.0
#include <asyncio/event_loop.hpp>

#include <asyncio/logging.hpp>
#include <boost/asio/any_io_executor.hpp>

#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace {

constinit thread_local EventLoop* current_loop = nullptr;  // set_event_loop

/// Stops the loop when the future of run_until_complete is done (rule 19).
class StopWhenDone final : public detail::ReadyNode, public detail::Pooled {
 public:
  void completed_by(detail::FutureBase& future) noexcept override {
    future_ = detail::Ref<detail::FutureBase>(&future);
  }
  void run() override {
    const std::unique_ptr<StopWhenDone> entry(this);
    // SystemExit and KeyboardInterrupt have ended the loop already.
    if (future_->failed() && is_base_exit(future_->exception())) return;
    future_->scheduler().stop();
  }
  void drop() noexcept override { delete this; }
  std::string callback_name() const override { return "_run_until_complete_cb()"; }

 private:
  detail::Ref<detail::FutureBase> future_;  // from its completion on
};

}  // namespace

std::vector<std::string> detail::strings(std::initializer_list<std::string_view> texts) {
  return {texts.begin(), texts.end()};
}

EventLoop::EventLoop(LoopOptions options)
    : scheduler_(detail::adopt_ref, new detail::LoopCore(options)) {
  scheduler_->facade = this;
}

EventLoop::EventLoop(const detail::Host& host, LoopOptions options)
    : scheduler_(detail::adopt_ref, new detail::LoopCore(options, host)) {
  scheduler_->facade = this;
}

EventLoop::EventLoop(boost::asio::io_context& context, LoopOptions options)
    : EventLoop(detail::Host{context, options.single_threaded
                                          ? std::nullopt
                                          : std::optional(boost::asio::make_strand(context))},
                options) {}

EventLoop::~EventLoop() {
  if (get_debug() && !is_closed())
    get_logger("asyncio").warning("unclosed event loop {}", to_string(*this));
  core().close();
  core().facade_destroyed();
  if (current_loop == this) current_loop = nullptr;
}

detail::LoopCore& EventLoop::core() const noexcept { return detail::core_of(*scheduler_); }

void EventLoop::check_runnable() const { core().check_runnable(); }

void EventLoop::run_forever() { core().run_forever(); }

void EventLoop::run_until_done(detail::FutureBase& future, bool new_task) {
  if (&future.scheduler() != scheduler_.get())
    throw ValueError("The future belongs to a different loop than the one specified as the loop "
                     "argument");
  if (new_task) future.as_task()->set_log_destroy_pending(false);
  auto* const stop_when_done = new StopWhenDone;
  future.add_callback(*stop_when_done, true);
  struct RemoveCallback {
    ~RemoveCallback() { future.remove_callback(callback); }
    detail::FutureBase& future;
    detail::ReadyNode& callback;
  } const remove_callback{future, *stop_when_done};
  try {
    run_forever();
  } catch (...) {
    // The coroutine raised, and nobody will ask the task that we made for it.
    if (new_task) future.mark_retrieved();
    throw;
  }
  if (!future.done()) throw RuntimeError("Event loop stopped before Future completed.");
}

void EventLoop::close() { core().close(); }

Coroutine<> EventLoop::shutdown_asyncgens() { co_return; }

Executor& EventLoop::default_executor() { return core().default_executor(); }

void EventLoop::set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor) {
  core().set_default_executor(std::move(executor));
}

Coroutine<> EventLoop::shutdown_default_executor(std::optional<Duration> timeout) {
  return core().shutdown_default_executor(timeout);
}

void EventLoop::set_task_factory(TaskFactory factory) {
  scheduler_->has_task_factory = bool(factory);
  core().task_factory = std::move(factory);
}

const TaskFactory& EventLoop::get_task_factory() const noexcept { return core().task_factory; }

Handle EventLoop::push_threadsafe(detail::Ref<detail::HandleNode> node) {
  return core().push_threadsafe(std::move(node));
}

void EventLoop::add_signal_callback(int signal_number, detail::Ref<detail::HandleNode> callback) {
  core().add_signal_handler(signal_number, std::move(callback));
}

bool EventLoop::remove_signal_handler(int signal_number) {
  return core().remove_signal_handler(signal_number);
}

void EventLoop::set_exception_handler(ExceptionHandler handler) {
  core().exception_handler = std::move(handler);
}

const ExceptionHandler& EventLoop::get_exception_handler() const noexcept {
  return core().exception_handler;
}

void EventLoop::default_exception_handler(const ExceptionContext& context) const {
  core().default_exception_handler(context);
}

void EventLoop::call_exception_handler(const ExceptionContext& context) {
  core().call_exception_handler(context);
}

void EventLoop::set_debug(bool enabled) noexcept { scheduler_->set_debug(enabled); }
bool EventLoop::get_debug() const noexcept { return scheduler_->debug(); }

boost::asio::io_context& EventLoop::get_io_context() noexcept { return core().context(); }

boost::asio::any_io_executor EventLoop::get_executor() const { return core().executor(); }

void EventLoop::set_observer(LoopObserver* observer) noexcept { core().set_observer(observer); }

EventLoop& AnyFuture::get_loop() const {
  EventLoop* const loop = state_->scheduler().facade;
  if (!loop) throw RuntimeError("Event loop is closed");
  return *loop;
}

Context Handle::get_context() const { return detail::context_in(node_->context); }

std::string to_string(const EventLoop& loop) {
  const auto spelled = [](bool value) { return value ? "True" : "False"; };
  return std::string("<EventLoop running=") + spelled(loop.is_running()) +
         " closed=" + spelled(loop.is_closed()) + " debug=" + spelled(loop.get_debug()) + '>';
}

std::string to_string(const Handle& handle) {
  return handle ? handle.node()->repr() : "<Handle cancelled>";
}

// -- which loop is mine

namespace detail {

Scheduler& running_scheduler() {
  if (!thread_state.running) throw RuntimeError("no running event loop");
  return *thread_state.running;
}

Scheduler& default_scheduler() {
  return thread_state.running ? *thread_state.running : get_event_loop().scheduler();
}

}  // namespace detail

EventLoop& get_running_loop() {
  EventLoop* const loop = detail::running_scheduler().facade;
  if (!loop) throw RuntimeError("no running event loop");
  return *loop;
}

EventLoop& get_event_loop() {
  if (detail::thread_state.running) return get_running_loop();
  if (!current_loop) throw RuntimeError("There is no current event loop in this thread");
  return *current_loop;
}

void set_event_loop(EventLoop* loop) noexcept { current_loop = loop; }

std::unique_ptr<EventLoop> new_event_loop() { return std::make_unique<EventLoop>(); }

}  // namespace asyncio::inline v1
