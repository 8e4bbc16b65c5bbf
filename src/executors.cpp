// SPDX-License-Identifier: BSL-1.0
#include <asyncio/executors.hpp>

#include <algorithm>
#include <asyncio/constants.hpp>
#include <asyncio/logging.hpp>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#if defined(__linux__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace detail {

// -- ConcurrentBase

struct ConcurrentBase::Sync {
  std::mutex mutex;
  std::condition_variable completed;
  std::vector<Callback> callbacks;
};

ConcurrentBase::ConcurrentBase() : sync_(new Sync) {}
ConcurrentBase::~ConcurrentBase() = default;

bool ConcurrentBase::cancel() {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(sync_->mutex);
    if (state_ == State::cancelled) return true;
    if (state_ != State::pending) return false;
    callbacks = become_done(State::cancelled);
  }
  call(callbacks);
  return true;
}

bool ConcurrentBase::cancelled() const {
  const std::lock_guard lock(sync_->mutex);
  return state_ == State::cancelled;
}

bool ConcurrentBase::running() const {
  const std::lock_guard lock(sync_->mutex);
  return state_ == State::running;
}

bool ConcurrentBase::done() const {
  const std::lock_guard lock(sync_->mutex);
  return state_ >= State::cancelled;
}

bool ConcurrentBase::set_running_or_notify_cancel() {
  const std::lock_guard lock(sync_->mutex);
  if (state_ == State::cancelled) return false;
  if (state_ != State::pending) throw RuntimeError("Future in unexpected state");
  state_ = State::running;
  return true;
}

bool ConcurrentBase::begins() noexcept {
  try {
    return set_running_or_notify_cancel();
  } catch (...) {
    get_logger("concurrent.futures").critical("Exception in worker\n{}",
                                              asyncio::repr(std::current_exception()));
    return false;
  }
}

void ConcurrentBase::set_exception(std::exception_ptr exception) {
  complete([&] { exception_ = std::move(exception); });
}

std::exception_ptr ConcurrentBase::exception(std::optional<Duration> timeout) const {
  std::unique_lock lock(sync_->mutex);
  const auto is_done = [this] { return state_ >= State::cancelled; };
  if (!timeout || *timeout == Duration::max()) {
    sync_->completed.wait(lock, is_done);
  } else {
    using Clock = std::chrono::steady_clock;
    const std::chrono::nanoseconds now = Clock::now().time_since_epoch();
    const TimePoint deadline = TimePoint::from_nanoseconds(now.count()) + *timeout;
    const Clock::time_point when{std::chrono::nanoseconds(deadline.nanoseconds())};
    if (!sync_->completed.wait_until(lock, when, is_done)) throw TimeoutError();
  }
  if (state_ == State::cancelled) throw CancelledError();
  return exception_;
}

void ConcurrentBase::check_result(std::optional<Duration> timeout) const {
  if (std::exception_ptr error = exception(timeout)) std::rethrow_exception(std::move(error));
}

void ConcurrentBase::add_done_callback(Callback callback) {
  {
    const std::lock_guard lock(sync_->mutex);
    if (state_ < State::cancelled) {
      sync_->callbacks.push_back(std::move(callback));
      return;
    }
  }
  call(callback);
}

void ConcurrentBase::complete(const std::function<void()>& store) {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(sync_->mutex);
    if (state_ >= State::cancelled) {
      throw InvalidStateError((state_ == State::cancelled ? "CANCELLED: " : "FINISHED: ") +
                              repr_locked());
    }
    store();
    callbacks = become_done(State::finished);
  }
  call(callbacks);
}

// Our caller's caller keeps the future alive: whoever waits for it may drop it at once.
std::vector<ConcurrentBase::Callback> ConcurrentBase::become_done(State state) {
  state_ = state;
  sync_->completed.notify_all();
  return std::exchange(sync_->callbacks, {});
}

void ConcurrentBase::call(const std::vector<Callback>& callbacks) noexcept {
  for (const Callback& callback : callbacks) call(callback);
}

void ConcurrentBase::call(const Callback& callback) noexcept {
  try {
    callback(shared_from_this());
  } catch (...) {
    get_logger("concurrent.futures")
        .error("exception calling callback for {}: {}", repr(), std::current_exception());
  }
}

std::string ConcurrentBase::repr() const {
  const std::lock_guard lock(sync_->mutex);
  return repr_locked();
}

std::string ConcurrentBase::repr_locked() const {
  static constexpr const char* names[] = {"pending", "running", "cancelled", "finished"};
  return "<Future at " + address_of(this) + " state=" + names[static_cast<int>(state_)] + '>';
}

// -- ThreadPool

namespace {

void name_this_thread(const std::string& name) noexcept {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());  // as much as Linux keeps
#elif defined(__APPLE__)
  pthread_setname_np(name.c_str());
#else
  (void)name;
#endif
}

}  // namespace

/// The threads of a ThreadPoolExecutor.
class ThreadPool {
 public:
  ThreadPool(std::size_t threads, std::string_view name) : name_(name), threads_(threads) {}
  ~ThreadPool() { threads_.join(); }  // its own destructor would drop what is queued

  void execute(Executor::Job job) {
    const std::lock_guard lock(mutex_);  // until the threads, which shutdown() lets end, have it
    if (shut_down_) throw RuntimeError("cannot schedule new futures after shutdown");
    boost::asio::post(threads_, [this, job = std::move(job)]() mutable {
      name_thread();
      job();
      const std::lock_guard lock(mutex_);
      --unfinished_;
    });
    ++unfinished_;
  }

  void shutdown(bool wait) {
    {
      const std::lock_guard lock(mutex_);
      shut_down_ = true;
    }
    if (!wait || is_own_thread()) return;
    const std::lock_guard lock(joining_);  // who comes second waits, too
    threads_.join();
  }

  bool idle() const {
    const std::lock_guard lock(mutex_);
    return unfinished_ == 0;
  }
  bool is_own_thread() noexcept { return threads_.get_executor().running_in_this_thread(); }

 private:
  void name_thread() {
    static thread_local const ThreadPool* named_by = nullptr;
    if (name_.empty() || std::exchange(named_by, this) == this) return;
    name_this_thread(name_ + '_' + std::to_string(named_++));
  }

  const std::string name_;
  std::atomic<unsigned> named_ = 0;
  mutable std::mutex mutex_;
  std::size_t unfinished_ = 0;  // jobs
  bool shut_down_ = false;
  std::mutex joining_;
  boost::asio::thread_pool threads_;
};

// -- dismiss

namespace {

/// Executors that were given up while they were at work, or in a thread of their own.
class Leftovers {
 public:
  static Leftovers& get() {
    static Leftovers leftovers;  // destroyed, and waited for, at the end of the process
    return leftovers;
  }
  void add(std::shared_ptr<ThreadPoolExecutor> executor) {
    std::vector<std::shared_ptr<ThreadPoolExecutor>> finished;  // destroyed outside of the lock
    const std::lock_guard lock(mutex_);
    const auto end = std::ranges::partition(busy_, [](const auto& each) { return !each->idle(); });
    finished.assign(std::move_iterator(end.begin()), std::move_iterator(end.end()));
    busy_.erase(end.begin(), end.end());
    busy_.push_back(std::move(executor));
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<ThreadPoolExecutor>> busy_;
};

}  // namespace

void dismiss(std::shared_ptr<ThreadPoolExecutor> executor) noexcept {
  executor->shutdown(false);
  if (!executor->idle()) Leftovers::get().add(std::move(executor));
}

// -- Arrival

void Arrival::Ticket::use() const { queue_->push(*arrival_); }

Arrival::Ticket Arrival::expect(Scheduler& loop) {
  LoopCore& core = core_of(loop);
  link_before(core.arrivals);
  return Ticket(core.foreign_queue(), *this);
}

void Arrival::drop_all(Links& expected) noexcept {
  while (!expected.alone()) static_cast<Arrival&>(*expected.next).drop();
}

// -- Follower

Follower::Follower(FutureBase& self, std::shared_ptr<ConcurrentBase> source, bool sole) noexcept
    : sole_(sole), self_(self), source_(std::move(source)) {}

Follower::~Follower() {
  self_.remove_callback(cancel_check_);
}

void Follower::begin() {
  self_.add_ref();  // until it arrives
  core_of(self_.scheduler()).thread_work_begins();
  cancel_check_.follower = this;
  self_.add_callback(cancel_check_, true);
  const Ticket ticket = expect(self_.scheduler());
  source_->add_done_callback([ticket](const std::shared_ptr<ConcurrentBase>&) { ticket.use(); });
}

void Follower::run() {
  const Ref<FutureBase> entry(adopt_ref, &self_);
  if (!self_.done()) copy_outcome();
  end();
}

void Follower::drop() noexcept {
  const Ref<FutureBase> entry(adopt_ref, &self_);
  end();
}

void Follower::copy_outcome() {
  if (source_->cancelled()) {
    self_.cancel(nullptr);
    return;
  }
  try {
    if (std::exception_ptr error = sole_ ? source_->take_exception() : source_->exception())
      self_.set_exception(std::move(error));
    else
      copy_result(*source_);
  } catch (...) {  // copying the value threw
    self_.set_exception(std::current_exception());
  }
}

void Follower::end() noexcept {
  expect_no_more();
  source_.reset();
  core_of(self_.scheduler()).thread_work_ends();
}

void Follower::CancelCheck::run() {
  const Ref<FutureBase> entry(adopt_ref, &follower->self_);
  if (follower->source_ && follower->self_.cancelled()) follower->source_->cancel();
}

void Follower::CancelCheck::drop() noexcept {
  if (queued) follower->self_.release();
}

void Follower::CancelCheck::completed_by(FutureBase&) noexcept {
  queued = true;
  follower->self_.add_ref();
}

}  // namespace detail

// -- Executor

Executor::Job& Executor::Job::operator=(Job&& other) noexcept {
  Job replaced(std::exchange(work_, std::exchange(other.work_, nullptr)));
  return *this;
}

Executor::Job::~Job() {
  if (work_) work_->abandon();
}

void Executor::Job::operator()() noexcept {
  if (const auto work = std::exchange(work_, nullptr)) work->run();
}

// -- ThreadPoolExecutor

namespace {

std::size_t number_of_threads(const ThreadPoolOptions& options) {
  if (!options.max_workers)
    return std::min<std::size_t>(constants::max_threads,
                                 std::thread::hardware_concurrency() + constants::extra_threads);
  if (*options.max_workers <= 0) throw ValueError("max_workers must be greater than 0");
  return static_cast<std::size_t>(*options.max_workers);
}

}  // namespace

ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolOptions options)
    : pool_(std::make_shared<detail::ThreadPool>(number_of_threads(options),
                                                 options.thread_name_prefix)) {}

ThreadPoolExecutor::~ThreadPoolExecutor() {
  shutdown(true);
  if (!pool_->is_own_thread()) return;
  // The last owner is one of the jobs: its thread cannot wait for itself.
  detail::dismiss(std::shared_ptr<ThreadPoolExecutor>(new ThreadPoolExecutor(std::move(pool_))));
}

void ThreadPoolExecutor::execute(Job job) { pool_->execute(std::move(job)); }

void ThreadPoolExecutor::shutdown(bool wait) { pool_->shutdown(wait); }

bool ThreadPoolExecutor::idle() const { return pool_->idle(); }

}  // namespace asyncio::inline v1
