// SPDX-License-Identifier: BSL-1.0
// sleep, gather, wait, wait_for, shield: one task waits for several things (surface A6, rules
// 64-72).
#pragma once

#include <concepts>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <asyncio/detail/ranges.hpp>
#include <asyncio/detail/watcher.hpp>
#include <asyncio/tasks.hpp>
#include <asyncio/timeouts.hpp>

namespace asyncio::inline v1 {

// -- sleep

namespace detail {

/// The part of Sleep that does not depend on T.
class SleepBase {
 public:
  bool await_ready() const {
    if (task_) [[unlikely]]  // used up, as a coroutine is (rule 50)
      throw_reused();
    return false;
  }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) {
    task_ = &frame.promise().task();
    if (delay_ <= Duration())
      task_->yield();
    else
      wait();
  }

 protected:
  explicit SleepBase(Duration delay) noexcept : delay_(delay) {}
  [[gnu::always_inline]] void resumed() {
    const Ref<FutureBase> future = std::move(future_);  // the timer goes with it
    task_->resumed();
    if (future) future->check_result();
  }

 private:
  class Waking;
  void wait();

  Duration delay_;
  TaskBase* task_ = nullptr;  // until it is awaited
  Ref<FutureBase> future_;  // null if it only yields
};

}  // namespace detail

/// What sleep() gives: await it.
template <class T = void>
class [[nodiscard("sleep does nothing until it is awaited")]] Sleep : public detail::SleepBase {
 public:
  using value_type = T;
  template <class... Value>
  explicit Sleep(Duration delay, Value&&... value)
      : SleepBase(delay), value_(std::forward<Value>(value)...) {}

  [[gnu::always_inline]] T await_resume() {
    resumed();
    if constexpr (!std::is_void_v<T>) return std::move(value_);
  }

 private:
  detail::value_or_none<T> value_;
};

/// Suspends the task for `delay` (seconds as a number, or a chrono duration). Not positive: until
/// the next pass, exactly one yield. NaN is a ValueError. On cancel the timer is taken back.
/// Python: asyncio.sleep.
inline Sleep<> sleep(Duration delay) { return Sleep<>(delay); }
/// The same; co_await gives `result`.
template <class T>
Sleep<std::decay_t<T>> sleep(Duration delay, T&& result) {
  return Sleep<std::decay_t<T>>(delay, std::forward<T>(result));
}

// -- gather

/// A value, or the exception that came instead: what gather(return_exceptions, ...) collects.
template <class T = void>
class Result {
 public:
  using value_type = detail::value_or_none<T>;

  Result(value_type value) : value_(std::move(value)) {}
  Result(std::exception_ptr exception) noexcept : exception_(std::move(exception)) {}

  bool has_value() const noexcept { return !exception_; }
  explicit operator bool() const noexcept { return has_value(); }
  /// Throws the exception if there is one.
  const value_type& value() const& {
    if (exception_) std::rethrow_exception(exception_);
    return *value_;
  }
  value_type value() && {
    if (exception_) std::rethrow_exception(exception_);
    return std::move(*value_);
  }
  const value_type& operator*() const noexcept { return *value_; }
  const value_type* operator->() const noexcept { return &*value_; }
  /// Null if there is a value.
  const std::exception_ptr& exception() const noexcept { return exception_; }

 private:
  std::optional<value_type> value_;
  std::exception_ptr exception_;
};

struct return_exceptions_t {
  explicit return_exceptions_t() = default;
};
/// gather(return_exceptions, ...): failures become entries of the result.
inline constexpr return_exceptions_t return_exceptions{};

namespace detail {

template <class T>
FutureState<T>& typed(FutureBase& future) noexcept {
  return static_cast<FutureState<T>&>(future);
}

/// What gather knows without knowing the types of the results.
class Gathering : protected Watcher {
 protected:
  Gathering(FutureBase& self, std::vector<Ref<FutureBase>> children, bool return_exceptions);
  Gathering(FutureBase& self, std::size_t count, bool return_exceptions);

  /// Either all children come with the constructor, then to be called once the object is complete.
  void begin(bool may_repeat);
  /// Or they come one after another, each watched before the next is made, which may start at once
  /// and complete an earlier one; then seal().
  void add(Ref<FutureBase> child);
  void seal();
  bool cancel_children(const std::string* message);
  bool stays() noexcept { return sealed_ && Watcher::stays(); }
  /// All children are done, without failure or with failures wanted: set the result.
  virtual void collect() = 0;
  std::exception_ptr exception_of(FutureBase& child) const;

  std::vector<Ref<FutureBase>> children_;  // in the order of the arguments

 private:
  void child_done(Ref<FutureBase> child) override;
  const char* callback_name() const noexcept override { return "gather._done_callback()"; }
  void wait_for(FutureBase& child);

  std::vector<FutureBase*> done_before_;  // children that are seen to by seal()
  std::size_t waiting_ = 0;  // children that are not done, each counted once
  const bool return_exceptions_;
  bool cancel_requested_ = false;
  bool sealed_ = false;
};

/// ValueError if the future belongs to another loop.
void check_same_loop(const Scheduler& loop, const FutureBase& future);

template <class T>
value_or_none<T> take_child(FutureBase& child) {
  if constexpr (std::is_void_v<T>) {  // or of another type that nobody here knows
    child.check_result();
    return {};
  } else {
    return take_result(typed<T>(child));
  }
}

/// gather() of a fixed number of awaitables.
template <bool Exceptions, class... T>
class GatherTuple final
    : public FutureState<std::tuple<
          std::conditional_t<Exceptions, Result<T>, value_or_none<T>>...>>,
      private Gathering {
 public:
  using Results =
      std::tuple<std::conditional_t<Exceptions, Result<T>, value_or_none<T>>...>;

  explicit GatherTuple(Scheduler& loop)
      : FutureState<Results>(loop), Gathering(*this, sizeof...(T), Exceptions) {}
  using Gathering::add;
  using Gathering::seal;
  const char* type_name() const noexcept override { return "_GatheringFuture"; }
  bool cancel(const std::string* message) override { return this->cancel_children(message); }

 private:
  void dispose() noexcept override {
    if (!this->stays()) FutureState<Results>::dispose();
  }
  void collect() override { collect(std::index_sequence_for<T...>()); }
  template <std::size_t... I>
  void collect(std::index_sequence<I...>) {
    this->set_result(Results{entry<T>(*this->children_[I])...});
  }
  template <class U>
  auto entry(FutureBase& child) {
    if constexpr (Exceptions) {
      if (auto exception = this->exception_of(child)) return Result<U>(std::move(exception));
      return Result<U>(take_child<U>(child));
    } else {
      return take_child<U>(child);
    }
  }
};

/// gather() of a range of awaitables of one type.
template <bool Exceptions, class T>
class GatherVector final : public FutureState<std::vector<std::conditional_t<
                               Exceptions, Result<T>, value_or_none<T>>>>,
                           private Gathering {
 public:
  using Entry = std::conditional_t<Exceptions, Result<T>, value_or_none<T>>;

  GatherVector(Scheduler& loop, std::vector<Ref<FutureBase>> children, bool may_repeat)
      : FutureState<std::vector<Entry>>(loop), Gathering(*this, std::move(children), Exceptions) {
    this->begin(may_repeat);
  }
  const char* type_name() const noexcept override { return "_GatheringFuture"; }
  bool cancel(const std::string* message) override { return this->cancel_children(message); }

 private:
  void dispose() noexcept override {
    if (!this->stays()) FutureState<std::vector<Entry>>::dispose();
  }
  void collect() override {
    std::vector<Entry> results;
    results.reserve(this->children_.size());
    for (const Ref<FutureBase>& child : this->children_) {
      if constexpr (Exceptions) {
        if (auto exception = this->exception_of(*child)) {
          results.emplace_back(std::move(exception));
          continue;
        }
      }
      results.emplace_back(take_child<T>(*child));
    }
    this->set_result(std::move(results));
  }
};

/// A child of gather: a task made here does not report its own destruction.
template <class A>
Ref<FutureBase> gather_child(Scheduler& loop, A&& awaitable) {
  auto future = ensure_future(loop, std::forward<A>(awaitable));
  if constexpr (a_future<A>)
    check_same_loop(loop, *future.state());
  else
    static_cast<TaskState<await_result<A>>&>(*future.state()).set_log_destroy_pending(false);
  return std::move(future).state();
}

inline Scheduler& loop_of() { return default_scheduler(); }
/// The loop of the first argument; that of this thread if it is no future.
template <class A, class... More>
Scheduler& loop_of(const A& first, const More&...) {
  if constexpr (a_future<A>)
    return first.state()->scheduler();
  else
    return default_scheduler();
}

template <class Range>
Scheduler& loop_of_range(Range& awaitables) {
  if constexpr (a_future<std::ranges::range_value_t<Range>>) {
    if (std::ranges::begin(awaitables) != std::ranges::end(awaitables))
      return loop_of(*std::ranges::begin(awaitables));
  }
  return default_scheduler();
}

template <bool Exceptions, class... A>
auto gather_all(A&&... awaitables) {
  using State = GatherTuple<Exceptions, await_result<A>...>;
  Scheduler& loop = loop_of(awaitables...);
  const Ref<State> state(adopt_ref, new State(loop));
  (state->add(gather_child(loop, std::forward<A>(awaitables))), ...);
  state->seal();
  return Future<typename State::Results>(Ref<FutureBase>(state));
}

template <bool Exceptions, class Range>
auto gather_range(Range&& awaitables) {
  using A = std::ranges::range_value_t<Range>;
  using State = GatherVector<Exceptions, await_result<A>>;
  Scheduler& loop = loop_of_range(awaitables);
  std::vector<Ref<FutureBase>> children;
  if constexpr (std::ranges::sized_range<Range>) children.reserve(std::ranges::size(awaitables));
  for (auto&& awaitable : awaitables) {
    if constexpr (std::is_lvalue_reference_v<Range> && a_future<A>)
      children.push_back(gather_child(loop, awaitable));
    else
      children.push_back(gather_child(loop, std::move(awaitable)));
  }
  return Future<std::vector<typename State::Entry>>(
      Ref<FutureBase>(adopt_ref, new State(loop, std::move(children), a_future<A>)));
}

/// gather(return_exceptions, tasks) for tasks of different types: only waits.
Future<void> gather_states(Scheduler& loop, const std::vector<AnyTask>& tasks);

template <class R>
concept awaitable_range = std::ranges::input_range<R> && Awaitable<std::ranges::range_value_t<R>>;

}  // namespace detail

/// Runs awaitables side by side. A future of all results, in the order of the arguments: a tuple
/// (NoneType for void). Coroutines become tasks at once.
///
/// Done when all are done. The first that fails, or is cancelled, fails it at once; the others go
/// on (rule 66). Cancelling it cancels every child that is not done; it then fails with
/// CancelledError when the first of them ends (rule 68). A future that stands twice in the
/// arguments is waited for once. ValueError if the futures belong to several loops.
/// Python: asyncio.gather.
template <Awaitable... A>
auto gather(A&&... awaitables) {
  return detail::gather_all<false>(std::forward<A>(awaitables)...);
}
/// Failures and cancellations of children become entries: a tuple of Result (rule 67).
template <Awaitable... A>
auto gather(return_exceptions_t, A&&... awaitables) {
  return detail::gather_all<true>(std::forward<A>(awaitables)...);
}
/// Of a container of awaitables of one type: a vector of results.
template <detail::awaitable_range Range>
auto gather(Range&& awaitables) {
  return detail::gather_range<false>(std::forward<Range>(awaitables));
}
template <detail::awaitable_range Range>
auto gather(return_exceptions_t, Range&& awaitables) {
  return detail::gather_range<true>(std::forward<Range>(awaitables));
}

// -- wait

enum class ReturnWhen { first_completed, first_exception, all_completed };
inline constexpr ReturnWhen FIRST_COMPLETED = ReturnWhen::first_completed;
inline constexpr ReturnWhen FIRST_EXCEPTION = ReturnWhen::first_exception;
inline constexpr ReturnWhen ALL_COMPLETED = ReturnWhen::all_completed;

struct WaitOptions {
  std::optional<Duration> timeout{};
  ReturnWhen return_when = ALL_COMPLETED;
};
static_assert(detail::require_inline_options<WaitOptions>());

namespace detail {

class WaitState;

/// Waits as wait() does: puts the callbacks and the timer, and takes them back.
class WaitScope {
 public:
  WaitScope(const std::vector<FutureBase*>& futures, const WaitOptions& options);
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;
  ~WaitScope();
  FutureAwaiter<void> operator co_await() const;

 private:
  Ref<WaitState> state_;
};

/// The futures, each once.
std::vector<FutureBase*> distinct(std::vector<FutureBase*> futures);

template <class F>
Coroutine<std::pair<std::vector<F>, std::vector<F>>> wait(std::vector<F> futures,
                                                          WaitOptions options) {
  if (futures.empty()) throw ValueError("Set of Tasks/Futures is empty.");
  std::vector<FutureBase*> states;
  for (const F& future : futures) states.push_back(future.state().get());
  states = distinct(std::move(states));
  {
    const WaitScope scope(states, options);
    co_await scope;
  }
  std::pair<std::vector<F>, std::vector<F>> result;
  auto next = states.begin();
  for (F& future : futures) {
    if (next == states.end() || future.state().get() != *next) continue;  // stood there before
    ++next;
    (future.done() ? result.first : result.second).push_back(std::move(future));
  }
  co_return result;
}

}  // namespace detail

/// Waits for futures or tasks: until all are done, the first is, the first failed, or the time is
/// over. Gives (done, pending), each in the order of the arguments. Never throws TimeoutError,
/// cancels nothing; on cancel it only stops waiting. Suspends at least once. ValueError "Set of
/// Tasks/Futures is empty.". Python: asyncio.wait.
template <std::ranges::input_range Range>
  requires std::derived_from<std::ranges::range_value_t<Range>, AnyFuture>
auto wait(Range&& futures, WaitOptions options = {}) {
  using F = std::ranges::range_value_t<Range>;
  std::vector<F> copies;
  for (const auto& future : futures) copies.push_back(future);
  return detail::wait(std::move(copies), options);
}

// -- wait_for

namespace detail {

// Nothing here is called wait_for: a call of asyncio's own with an awaitable of this namespace,
// such as what Lock::acquire() gives, would find both.

/// Asks the future to be cancelled and waits until it is done. The future is not done.
Coroutine<> cancel_and_wait(AnyFuture future);
[[noreturn]] void throw_timeout_error(std::exception_ptr cause);

template <class A>
Coroutine<await_result<A>> wait_at_most(A awaitable, std::optional<Duration> timeout) {
  using T = await_result<A>;
  if (timeout && *timeout <= Duration()) {
    auto future = ensure_future(running_scheduler(), std::move(awaitable));
    if (!future.done()) {
      co_await cancel_and_wait(future);
      if (future.state()->ended_by_cancelled_error()) {
        std::exception_ptr cause;
        try {
          future.state()->check_result();
        } catch (...) {
          cause = std::current_exception();
        }
        throw_timeout_error(std::move(cause));
      }
    }
    if constexpr (std::is_void_v<T>) {
      future.state()->check_result();
      co_return;
    } else {
      co_return take_result(typed<T>(*future.state()));
    }
  }
  Timeout scope(Deadline{timeout, {}}.get());
  scope.enter();
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(awaitable);
      scope.exit(nullptr);
      co_return;
    } else {
      T value = co_await std::move(awaitable);
      scope.exit(nullptr);
      co_return value;
    }
  } catch (...) {
    error = std::current_exception();
  }
  scope.exit(error);
  std::rethrow_exception(error);
}

}  // namespace detail

/// Waits for an awaitable, at most for `timeout`; nullopt: without limit. A coroutine is awaited in
/// the calling task. When the time is over, it is cancelled and waited for, however long that
/// takes; then TimeoutError, unless it gave a result or another error after all (rules 70, 71). A
/// timeout that is not positive: the result if it is there already, else a coroutine is never
/// started. Cancelling the caller cancels the awaitable. Python: asyncio.wait_for.
template <Awaitable A>
auto wait_for(A&& awaitable, std::optional<Duration> timeout) {
  return detail::wait_at_most<std::remove_cvref_t<A>>(std::forward<A>(awaitable), timeout);
}

// -- shield

namespace detail {

/// The outer future of shield(): follows the inner one, but does not pass cancellation on.
class Shield : private Watcher {
 protected:
  Shield(FutureBase& self, Ref<FutureBase> inner);
  ~Shield();
  /// To be called once the object is complete.
  void begin();
  virtual void copy_result(FutureBase& inner) = 0;
  bool stays() noexcept { return Watcher::stays(&detach_); }

 private:
  class Detach final : public ReadyNode {
   public:
    void run() override;
    void drop() noexcept override;
    void completed_by(FutureBase&) noexcept override;
    std::string callback_name() const override { return "shield._outer_done_callback()"; }
    Shield* shield = nullptr;
    bool queued = false;
  };
  void child_done(Ref<FutureBase> inner) override;
  const char* callback_name() const noexcept override { return "shield._inner_done_callback()"; }

  Ref<FutureBase> inner_;
  Detach detach_;  // the outer future's own callback
};

template <class T>
class ShieldState final : public FutureState<T>, private Shield {
 public:
  ShieldState(Scheduler& loop, Ref<FutureBase> inner)
      : FutureState<T>(loop), Shield(*this, std::move(inner)) {
    begin();
  }

 private:
  void dispose() noexcept override {
    if (!this->stays()) FutureState<T>::dispose();
  }
  void copy_result(FutureBase& inner) override { this->set_result(take_child<T>(inner)); }
};

}  // namespace detail

/// A future that follows an awaitable and whose cancellation does not reach it. Already done: the
/// awaitable's own future. Cancelled itself, the outer one; cancelled by others, both (rule 72).
/// Python: asyncio.shield.
template <Awaitable A>
auto shield(A&& awaitable) {
  using T = await_result<A>;
  using Outer = std::conditional_t<detail::an_erased_future<A>, AnyFuture, Future<T>>;
  detail::Scheduler& loop = detail::loop_of(awaitable);
  auto inner = detail::ensure_future(loop, std::forward<A>(awaitable));
  if (inner.done()) return Outer(inner.state());
  return Outer(detail::Ref<detail::FutureBase>(
      detail::adopt_ref, new detail::ShieldState<T>(loop, inner.state())));
}

}  // namespace asyncio::inline v1
