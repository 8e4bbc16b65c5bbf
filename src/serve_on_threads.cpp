// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/serve_on_threads.hpp>
#include <asyncio/threads.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>
#include <atomic>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>

namespace asyncio::inline v1 {

namespace detail {

namespace {

void log_ignored(const std::exception_ptr& error) {
  get_logger("asyncio").error("Exception ignored in a thread of serve_on_threads: {}", repr(error));
}

/// Stops accepting, waits for the connections, and then no longer.
Coroutine<> shut_down(Server server, std::optional<Duration> drain_timeout) {
  server.close();
  try {
    co_await timeout(drain_timeout, [&]() -> Coroutine<> { co_await server.wait_closed(); });
  } catch (const TimeoutError&) {
    server.abort_clients();
  }
  co_await server.wait_closed();
}

}  // namespace

class ServerThreadsState {
 public:
  explicit ServerThreadsState(unsigned count) : count_(count), ready_(count) {
    stop_.set_running_or_notify_cancel();  // nobody may cancel it
    threads_.reserve(count);
  }
  ServerThreadsState(const ServerThreadsState&) = delete;
  ServerThreadsState& operator=(const ServerThreadsState&) = delete;
  ~ServerThreadsState() {
    stop();
    wait();
    if (error_) log_ignored(error_);
  }

  void start(const ServerFactory& factory, std::optional<Duration> drain_timeout) {
    while (threads_.size() != count_) {
      const bool first = threads_.empty();
      threads_.emplace_back(
          [this, first, factory, drain_timeout] { run(factory, drain_timeout, first); });
    }
    ready_.wait();
    if (failed()) join();
  }
  void stop() {
    if (!stopped_.exchange(true)) stop_.set_result();
  }
  void join() {
    wait();
    if (const std::exception_ptr error = std::exchange(error_, nullptr))
      std::rethrow_exception(error);
  }
  const std::vector<Address>& addresses() const noexcept { return addresses_; }

 private:
  /// Of one thread: its server is made, or never will be.
  class Readiness {
   public:
    explicit Readiness(std::latch& all) noexcept : all_(all) {}
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;
    ~Readiness() { announce(); }
    void announce() noexcept {
      if (!std::exchange(announced_, true)) all_.count_down();
    }

   private:
    std::latch& all_;
    bool announced_ = false;
  };

  void run(const ServerFactory& factory, std::optional<Duration> drain_timeout,
           bool first) noexcept {
    Readiness readiness(ready_);
    try {
      asyncio::run(serve(factory, drain_timeout, first, readiness));
    } catch (...) {
      fail(std::current_exception());
    }
  }

  Coroutine<> serve(const ServerFactory& factory, std::optional<Duration> drain_timeout, bool first,
                    Readiness& readiness) {
    EventLoop& loop = get_running_loop();
    const Future<> stopped = wrap_future(stop_, loop);
    const Task<Server> starting = loop.create_task(factory(loop));
    const std::vector<AnyFuture> either{starting, stopped};
    co_await asyncio::wait(either, {.return_when = FIRST_COMPLETED});
    if (!starting.done()) co_return;  // another thread has failed
    const Server server = starting.result();
    if (!server) throw ValueError("the factory of serve_on_threads() gave no server");
    if (first) {
      for (const TransportSocket& socket : server.sockets())
        addresses_.push_back(socket.getsockname());
    }
    readiness.announce();
    co_await stopped;
    co_await shut_down(server, drain_timeout);
  }

  void fail(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_.swap(error);
    }
    if (error) log_ignored(error);
    stop();
  }
  bool failed() {
    const std::lock_guard lock(mutex_);
    return error_ != nullptr;
  }
  void wait() {
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

  const unsigned count_;
  const ConcurrentFuture<> stop_;
  std::atomic<bool> stopped_ = false;
  std::latch ready_;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::vector<Address> addresses_;
  std::vector<std::thread> threads_;
};

}  // namespace detail

ServerThreads::ServerThreads(detail::Box<detail::ServerThreadsState> state) noexcept
    : state_(std::move(state)) {}
ServerThreads::ServerThreads(ServerThreads&&) noexcept = default;
ServerThreads& ServerThreads::operator=(ServerThreads&&) noexcept = default;
ServerThreads::~ServerThreads() = default;

void ServerThreads::stop() const { state_->stop(); }
void ServerThreads::join() { state_->join(); }
const std::vector<Address>& ServerThreads::addresses() const noexcept {
  return state_->addresses();
}

ServerThreads serve_on_threads(unsigned n, ServerFactory factory, ServeOnThreadsOptions options) {
  if (n == 0) n = std::max(1u, std::thread::hardware_concurrency());
  detail::Box state(new detail::ServerThreadsState(n));
  state->start(factory, options.drain_timeout);
  return ServerThreads(std::move(state));
}

}  // namespace asyncio::inline v1
