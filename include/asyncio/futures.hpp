// SPDX-License-Identifier: BSL-1.0
// Future<T>: a result that is not there yet (surface A4, rules 24-37).
//
// A Future is a small handle; copies stand for the same future. Futures belong to a loop and are
// for that loop's thread only.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/detail/box.hpp>
#include <asyncio/detail/repr.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/none.hpp>
#include <asyncio/scheduler.hpp>

namespace asyncio::inline v1 {

class AnyFuture;
template <class T>
class Future;

namespace detail {

class TaskBase;
template <class T>
class FutureAwaiter;

/// What stands for a result of type void where a value is needed.
template <class T>
using value_or_none = std::conditional_t<std::is_void_v<T>, NoneType, T>;

/// A future's callbacks, in the order in which they came: a ring, known by its last.
class CallbackRing {
 public:
  CallbackRing() = default;
  CallbackRing(const CallbackRing&) = delete;
  CallbackRing& operator=(const CallbackRing&) = delete;

  bool empty() const noexcept { return last_ == nullptr; }
  ReadyNode& front() const noexcept { return *last_->next; }
  ReadyNode& back() const noexcept { return *last_; }
  void push_back(ReadyNode& node) noexcept {
    node.next = last_ ? std::exchange(last_->next, &node) : &node;
    last_ = &node;
  }
  ReadyNode& pop_front() noexcept {
    ReadyNode& node = *last_->next;
    if (&node == last_)
      last_ = nullptr;
    else
      last_->next = node.next;
    return node;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    if (!last_) return;
    ReadyNode* node = last_;
    do visit(*(node = node->next));
    while (node != last_);
  }
  /// Moves every entry for which `match` is true to `removed`; returns how many.
  template <class Match>
  std::size_t remove_if(Match match, ReadyList& removed) {
    std::size_t count = 0;
    const ReadyNode* const end = last_;
    ReadyNode* before = last_;
    for (bool more = last_ != nullptr; more;) {
      ReadyNode& node = *before->next;
      more = &node != end;
      if (!match(node)) {
        before = &node;
        continue;
      }
      before->next = node.next;
      if (&node == last_) last_ = before == &node ? nullptr : before;
      removed.push_back(node);
      ++count;
    }
    return count;
  }
  /// False if it is not here. As a rule it is the first.
  bool remove(ReadyNode& node) noexcept {
    ReadyNode* const before = find_before(node);
    if (!before) return false;
    before->next = node.next;
    if (&node == last_) last_ = before == &node ? nullptr : before;
    return true;
  }
  /// Puts `fresh` where `old` stands, if it does.
  void replace(ReadyNode& old, ReadyNode& fresh) noexcept {
    ReadyNode* const before = find_before(old);
    if (!before) return;
    fresh.next = old.next == &old ? &fresh : old.next;
    before->next = &fresh;
    if (last_ == &old) last_ = &fresh;
  }

 private:
  ReadyNode* find_before(const ReadyNode& node) const noexcept {
    ReadyNode* before = last_;
    while (before && before->next != &node) {
      before = before->next;
      if (before == last_) return nullptr;
    }
    return before;
  }

  ReadyNode* last_ = nullptr;
};

/// What a task may wait for: a future, or its place in a line.
class Awaited {
 public:
  /// The task is cancelled: ends the wait, unless it is over.
  virtual bool cancel(const std::string* message) = 0;
  /// Is a CancelledError what comes of it?
  virtual bool ended_by_cancelled_error() const = 0;
  /// Something else is thrown in place of its outcome.
  virtual void mark_retrieved() noexcept {}
  /// The task's turn has come, and it finds that it has to wait on.
  virtual bool wait_again() noexcept { return false; }
  /// The task is gone: it is not to be woken any more.
  virtual void forget(TaskBase& task) noexcept = 0;
  virtual std::string repr() = 0;

 protected:
  ~Awaited() = default;
};

/// The shared state of futures and tasks, as far as it does not depend on the type of the result.
class FutureBase : public Awaited, public Pooled {
 public:
  enum class State : std::uint8_t { pending, cancelled, finished };

  explicit FutureBase(Scheduler& scheduler) noexcept : scheduler_(&scheduler) {}
  FutureBase(const FutureBase&) = delete;
  FutureBase& operator=(const FutureBase&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) dispose();
  }
  bool unique() const noexcept { return references_ == 1; }

  Scheduler& scheduler() const noexcept { return *scheduler_; }
  bool done() const noexcept { return state_ != State::pending; }
  bool cancelled() const noexcept { return state_ == State::cancelled; }
  bool failed() const noexcept { return state_ == State::finished && has_exception(); }
  /// The task this future is, if it is one.
  virtual TaskBase* as_task() noexcept { return nullptr; }
  virtual const char* type_name() const noexcept { return "Future"; }
  std::string repr() final;
  /// The futures and tasks that wait for this one, as far as it is known.
  std::vector<Ref<FutureBase>> awaiters() const;

  /// Rule 31; tasks and gathering futures have their own.
  bool cancel(const std::string* message) override;
  /// Ends the future as cancelled, whatever kind it is.
  void set_cancelled(const std::string* message);
  void set_exception(std::exception_ptr exception);
  /// Python's Future.exception(): marks it as retrieved.
  std::exception_ptr exception();
  /// The same of a failed one, without a mark.
  const std::exception_ptr& peek_exception() const noexcept { return extras_->exception; }
  /// Returns if there is a value; throws what result() throws otherwise (rules 24, 32, 35). Thrown
  /// from the coroutine itself: every function in between costs 0.2 us. What calls a cold function
  /// is apart from the rest of the coroutine; there the unwinder has little to read.
  [[gnu::always_inline]] void check_result() {
    if (state_ != State::finished || has_exception()) [[unlikely]]
      std::rethrow_exception(error_to_throw());
    log_exception_ = false;
  }
  /// The CancelledError for the next one who asks (rule 32). The future is cancelled.
  std::exception_ptr make_cancelled_error();
  /// Is there a CancelledError, by cancellation or stored (rule 34)?
  bool ended_by_cancelled_error() const final;
  const std::string* cancel_message() const noexcept {
    return extras_ ? extras_->cancel_message.get() : nullptr;
  }
  void set_cancel_message(const std::string* message);
  void mark_retrieved() noexcept final { log_exception_ = false; }
  void forget(TaskBase& task) noexcept final;
  /// Used by tasks that die of a CancelledError: the first retrieval gives that very object.
  void keep_cancelled_error(std::exception_ptr error) { extras().exception = std::move(error); }

  /// Queues `node` when the future is done, at once if it is already (rules 25, 26). Takes over
  /// one reference to what the node belongs to, also if it throws (the loop is closed).
  /// `wants_future`: the node is to be told which future it was (ReadyNode::completed_by).
  void add_callback(ReadyNode& node, bool wants_future);
  /// Takes out the callbacks for which `match` is true; returns how many (rule 28).
  template <class Match>
  std::size_t remove_callbacks(Match match) {
    DropList removed;
    return callbacks_.remove_if(match, removed);
  }
  /// The same of one.
  void remove_callback(ReadyNode& node) noexcept {
    if (callbacks_.remove(node)) node.drop();
  }
  /// Puts `fresh` where `old` stands among the callbacks.
  void replace_callback(ReadyNode& old, ReadyNode& fresh) noexcept {
    callbacks_.replace(old, fresh);
  }

  /// What few of them have.
  struct Extras : Pooled {
    ~Extras();
    std::exception_ptr exception;  // of a failed one; of a cancelled one: the original
    Box<std::string> cancel_message;
    std::exception_ptr next_throw;  // of a task: what its coroutine throws when it goes on
    Box<std::string> name;          // of a task that was given one
    int cancel_requests = 0;        // of a task
  };
  Extras& extras() { return extras_ ? *extras_ : make_extras(); }
  const Extras* extras_if_any() const noexcept { return extras_.get(); }

 protected:
  virtual ~FutureBase() {
    if (!callbacks_.empty()) drop_callbacks();
  }
  /// Throws InvalidStateError if the future is done.
  void check_pending() {
    if (done()) [[unlikely]]
      throw_done();
  }
  void finish(State state);
  /// The reference count fell to zero: report what nobody saw, then delete.
  virtual void dispose() noexcept;
  /// The value's repr; there is one.
  virtual std::string result_repr() const { return "None"; }

 private:
  friend class Notes;
  bool has_exception() const noexcept { return extras_ && extras_->exception; }
  Extras& make_extras();
  [[gnu::cold]] std::exception_ptr error_to_throw();
  [[noreturn]] void throw_done();
  std::string callbacks_repr() const;
  void drop_callbacks() noexcept;
  [[gnu::cold, gnu::noinline]] bool take_leave() noexcept;

  std::uint32_t references_ = 1;
  State state_ = State::pending;
  bool log_exception_ = false;  // set, and nobody has looked at it yet
  bool tell_callbacks_ = false;
  bool noted_ : 1 = false;    // stands in the scheduler's notes
  bool in_repr_ : 1 = false;  // its repr may come to itself again
  // A byte that is written as a whole need not be read first.
  [[maybe_unused]] std::uint8_t unused_ : 6 = 0;
  Ref<Scheduler> scheduler_;
  CallbackRing callbacks_;
  Box<Extras> extras_;
};

/// In the place of an optional result, if that is void.
class NoResult {
 public:
  void emplace(NoneType = {}) const noexcept {}
  NoneType& operator*() const noexcept { return result_; }

 private:
  inline static NoneType result_;
};

template <class T>
class FutureState : public FutureBase {
 public:
  using Value = value_or_none<T>;
  using FutureBase::FutureBase;

  template <class... Args>
  void set_result(Args&&... args) {
    check_pending();
    value_.emplace(std::forward<Args>(args)...);
    finish(State::finished);
  }
  /// The value, or what stands for it is thrown.
  Value& result() {
    check_result();
    return *value_;
  }

 private:
  std::string result_repr() const override { return repr_value(*value_, true); }
  [[no_unique_address]] std::conditional_t<std::is_void_v<T>, NoResult, std::optional<T>> value_;
};

/// Can a T be copied? A container of things that cannot be claims that it can, until one tries.
template <class T>
inline constexpr bool is_copyable = std::is_copy_constructible_v<T>;
template <class T>
  requires requires {
    typename T::value_type;
    typename T::size_type;
  }
inline constexpr bool is_copyable<T> =
    std::is_copy_constructible_v<T> && is_copyable<typename T::value_type>;
template <class First, class Second>
inline constexpr bool is_copyable<std::pair<First, Second>> =
    is_copyable<First> && is_copyable<Second>;
template <class... T>
inline constexpr bool is_copyable<std::tuple<T...>> = (is_copyable<T> && ...);

/// Hands out a result to somebody who gives up his handle: moved if nobody else holds the future,
/// or if it cannot be copied; copied otherwise.
template <class T>
value_or_none<T> take_result(FutureState<T>& state) {
  auto& value = state.result();
  if constexpr (is_copyable<value_or_none<T>>) {
    if (!state.unique()) return value;
  }
  return std::move(value);
}

// -- callbacks

/// Tells the types of callables apart without RTTI.
template <class F>
inline constexpr char type_tag = 0;

/// A done-callback of a user: called with the future. Equality is that of the callables.
class DoneCallbackNode : public HandleNode {
 public:
  using HandleNode::HandleNode;
  void completed_by(FutureBase& future) noexcept final { future_ = Ref<FutureBase>(&future); }
  virtual bool equals(const void* tag, const void* callback) const = 0;

 protected:
  Ref<FutureBase> future_;
};

template <class F, class Argument>
class DoneCallback final : public DoneCallbackNode {
 public:
  template <class G>
  DoneCallback(Scheduler& scheduler, G&& callback)
      : DoneCallbackNode(scheduler), callback_(std::in_place, std::forward<G>(callback)) {}

  void run() override {
    run_as(*this, [this] {
      if constexpr (std::invocable<F&, Argument>)
        (*callback_)(Argument(std::move(future_)));
      else
        (*callback_)();
    });
  }

  bool equals(const void* tag, const void* callback) const override {
    if constexpr (std::equality_comparable<F>) {
      return tag == &type_tag<F> && callback_ && *callback_ == *static_cast<const F*>(callback);
    } else {
      return false;
    }
  }

 private:
  friend HandleNode;
  void discard() noexcept override {
    callback_.reset();
    future_ = {};
  }
  const std::type_info& callable() const noexcept override { return typeid(F); }
  std::optional<F> callback_;
};

}  // namespace detail

/// Options of add_done_callback.
struct CallbackOptions {
  const Context* context = nullptr;  ///< null: a copy of the current one
  std::source_location where = std::source_location::current();  ///< for debug mode
};

/// Any future or task, whatever its result; nullable. What all of them have in common.
class AnyFuture {
 public:
  AnyFuture() noexcept = default;
  explicit AnyFuture(detail::Ref<detail::FutureBase> state) noexcept : state_(std::move(state)) {}

  /// False for a default-constructed or moved-from handle; nothing else may be called on it then.
  explicit operator bool() const noexcept { return bool(state_); }
  bool done() const noexcept { return state_->done(); }
  bool cancelled() const noexcept { return state_->cancelled(); }
  /// A future is cancelled at once; a task is asked to (rules 31, 52-63). False if it is done.
  bool cancel() const { return state_->cancel(nullptr); }
  bool cancel(const std::string& message) const { return state_->cancel(&message); }
  /// The exception, null if there is a value. Throws CancelledError if cancelled, InvalidStateError
  /// "Exception is not set." if pending.
  std::exception_ptr exception() const { return state_->exception(); }
  /// InvalidStateError if the future is done; RuntimeError on a task (rule 47).
  void set_exception(std::exception_ptr exception) const;
  /// set_exception(ValueError("...")), as in Python.
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E exception) const {
    set_exception(std::make_exception_ptr(std::move(exception)));
  }
  EventLoop& get_loop() const;

  /// Calls `callback(future)`, or `callback()`, through the loop when the future is done; queued
  /// at once if it is already (rules 25-27). An exception of the callback goes to the loop's
  /// exception handler.
  template <class F>
  void add_done_callback(F&& callback, CallbackOptions options = {}) const {
    add_callback<AnyFuture>(std::forward<F>(callback), options);
  }
  /// Removes every callback that equals this one; returns how many. Callbacks that are queued
  /// already cannot be recalled (rule 28). The callable needs operator==, which must not touch the
  /// future: a function pointer, or a class that has one. A lambda has none; give it a name in such
  /// a class.
  template <class F>
  std::size_t remove_done_callback(const F& callback) const {
    using Callback = std::decay_t<F>;
    static_assert(std::equality_comparable<Callback>,
                  "asyncio: remove_done_callback needs a callable with operator==, "
                  "such as a function pointer; a lambda has none");
    const Callback wanted = callback;
    return state_->remove_callbacks([&](detail::ReadyNode& node) {
      const auto* const candidate = dynamic_cast<detail::DoneCallbackNode*>(&node);
      return candidate && candidate->equals(&detail::type_tag<Callback>, &wanted);
    });
  }

  /// Waits as an operation of Asio, for any completion token of signature void(std::exception_ptr);
  /// see <asyncio/asio/async_run.hpp>, which is needed for it. In the loop's thread. Cancelling the
  /// operation cancels the future. RuntimeError "Event loop is closed" if the loop is destroyed.
  template <class CompletionToken>
  decltype(auto) async_wait(CompletionToken&& token) const;

  const detail::Ref<detail::FutureBase>& state() const& noexcept { return state_; }
  detail::Ref<detail::FutureBase> state() && noexcept { return std::move(state_); }
  friend bool operator==(const AnyFuture&, const AnyFuture&) = default;

  /// Waits until it is done; throws what result() would throw.
  detail::FutureAwaiter<void> operator co_await() const;

 protected:
  template <class Argument, class F>
  void add_callback(F&& callback, CallbackOptions options) const {
    using Node = detail::DoneCallback<std::decay_t<F>, Argument>;
    static_assert(std::invocable<std::decay_t<F>&, Argument> || std::invocable<std::decay_t<F>&>,
                  "asyncio: a done-callback is called with the future, or without arguments");
    auto* const node = new Node(state_->scheduler(), std::forward<F>(callback));
    node->context = options.context ? options.context->state() : detail::capture_context();
    state_->scheduler().note_origin(*node, options.where);
    state_->add_callback(*node, true);
  }

  detail::Ref<detail::FutureBase> state_;
};

/// Python's repr: `<Future pending cb=[main()::{lambda()#1}()]>`,
/// `<Task finished name='Task-1' coro=<f() done, defined at x.cpp:12> result=42>`.
std::string to_string(const AnyFuture& future);

/// A future with a result of type T, T = void for Python's None. Python: asyncio.Future.
///
/// `co_await future` completes when the future is done, at once and without yielding if it is
/// already; it returns the value or throws the exception. Cancelling the waiting task cancels the
/// future. Many tasks may wait; they wake in the order in which they came (rule 30).
/// `co_await future` on a named future copies the value; on `std::move(future)` or a temporary it
/// moves it, unless others hold the future too.
template <class T = void>
class [[nodiscard]] Future : public AnyFuture {
 public:
  using value_type = T;

  /// Of the running loop, else of the thread's current one (get_event_loop).
  Future(std::source_location where = std::source_location::current())
      : Future(detail::default_scheduler(), where) {}
  explicit Future(EventLoop& loop, std::source_location where = std::source_location::current());
  explicit Future(detail::Scheduler& scheduler, const std::source_location& where = {})
      : AnyFuture(detail::Ref<detail::FutureBase>(detail::adopt_ref,
                                                  new detail::FutureState<T>(scheduler))) {
    scheduler.note_origin(*state_, where);
  }
  explicit Future(detail::Ref<detail::FutureBase> state) noexcept : AnyFuture(std::move(state)) {}
  /// A handle that stands for no future yet.
  Future(std::nullptr_t) noexcept {}

  /// The value, or what the future holds instead is thrown: its exception, CancelledError, or
  /// InvalidStateError "Result is not ready.".
  T result() const {
    if constexpr (std::is_void_v<T>)
      typed_state().check_result();
    else
      return typed_state().result();
  }
  /// InvalidStateError if the future is done; RuntimeError on a task (rule 47).
  template <class U = T>
    requires(!std::is_void_v<T>) && std::constructible_from<T, U&&>
  void set_result(U&& value) const {
    check_settable();
    typed_state().set_result(std::forward<U>(value));
  }
  void set_result() const
    requires std::is_void_v<T>
  {
    check_settable();
    typed_state().set_result();
  }
  /// As AnyFuture's; the callback may take a Future<T>.
  template <class F>
  void add_done_callback(F&& callback, CallbackOptions options = {}) const {
    this->template add_callback<Future<T>>(std::forward<F>(callback), options);
  }

  /// As AnyFuture's, of signature void(std::exception_ptr, T). As with co_await the value of a
  /// named future is copied, that of std::move(future) or a temporary is moved unless others hold
  /// the future too.
  template <class CompletionToken>
  decltype(auto) async_wait(CompletionToken&& token) const&;
  template <class CompletionToken>
  decltype(auto) async_wait(CompletionToken&& token) &&;

  detail::FutureState<T>& typed_state() const noexcept {
    return static_cast<detail::FutureState<T>&>(*state_);
  }

  detail::FutureAwaiter<T> operator co_await() const&;
  detail::FutureAwaiter<T> operator co_await() &&;

 private:
  void check_settable() const {
    if (state_->as_task()) [[unlikely]]
      throw RuntimeError("Task does not support set_result operation");
  }
};

}  // namespace asyncio::inline v1
