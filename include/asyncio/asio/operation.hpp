// SPDX-License-Identifier: BSL-1.0
// An asynchronous operation of Asio's as a future of a loop: what use_awaitable and use_future have
// in common.
//
// The future is the loop's: made, counted, completed and destroyed in its thread. The operation is
// Asio's: its handler may be called, or destroyed, in any thread, and long after the loop is closed.
// Between the two stands a Completion, which belongs to the handler.
#pragma once

#include <atomic>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/error_code.hpp>

#include <asyncio/detail/pool_allocator.hpp>
#include <asyncio/futures.hpp>

namespace boost::asio::detail {
template <typename Executor>
class initiate_co_spawn;
}

namespace asyncio::inline v1::detail {

class ForeignQueue;
class LoopCore;
class OperationBase;

/// Does it begin a coroutine of Asio's? Without a get_executor(): on that of its handler.
template <class Initiation>
inline constexpr bool spawns = false;
template <class Executor>
inline constexpr bool spawns<boost::asio::detail::initiate_co_spawn<Executor>> = true;

/// Carries an operation's outcome from the handler to the future.
class Completion : public ReadyNode, public Pooled {
 public:
  /// RuntimeError "Event loop is closed".
  explicit Completion(OperationBase& operation);
  /// What is going to begin the operation says where that takes place.
  template <class Initiation>
  void will_begin(const Initiation& initiation) {
    if constexpr (requires { initiation.initiation_; }) {  // of a token that adapts another
      will_begin(initiation.initiation_);
    } else if constexpr (requires {
                           boost::asio::query(initiation.get_executor(),
                                              boost::asio::execution::context);
                         }) {
      const auto executor = initiation.get_executor();
      own_context_ = is_own(boost::asio::query(executor, boost::asio::execution::context));
      if constexpr (spawns<Initiation> &&
                    std::convertible_to<decltype(executor), boost::asio::any_io_executor>)
        spawned_on_ = executor;
    } else if constexpr (spawns<Initiation>) {
      own_context_ = true;
      spawned_on_ = executor_;
    }
  }

  // -- for the handler; any thread

  boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }
  const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
  /// The handler was called and has left an outcome, or was destroyed and has left none. It gives
  /// the object up. In the loop's own thread the future is done when this returns.
  void arrive() noexcept;

  // -- for the future; the loop's thread

  /// Asks the operation to end, unless it has; it may do so before this returns.
  void cancel();
  /// The loop is being closed. What takes place in a context of the loop's own is not asked: nobody
  /// runs that any more, and the object of the operation may be gone already.
  void cancel_elsewhere();
  /// Nobody is interested any more.
  void forget() noexcept { operation_ = nullptr; }

  /// Why there is no value; neither is set if the handler was destroyed.
  boost::system::error_code code;
  std::exception_ptr error;

 protected:
  virtual ~Completion();

 private:
  struct Release {
    void operator()(Completion* completion) const noexcept { completion->release(); }
  };
  using Kept = std::unique_ptr<Completion, Release>;

  void run() final;
  void drop() noexcept final { release(); }
  void release() noexcept;
  void emit();
  LoopCore& core() const noexcept;
  bool is_own(const boost::asio::execution_context& context) const noexcept;

  OperationBase* operation_;  // the loop's thread only
  std::atomic<bool> arrived_ = false;
  std::atomic<unsigned> owners_ = 1;
  const std::shared_ptr<ForeignQueue> queue_;
  const boost::asio::any_io_executor executor_;
  boost::asio::any_io_executor spawned_on_;  // empty: no coroutine of co_spawn's
  bool own_context_ = false;                 // the loop's, whether that is its own or a host's
  boost::asio::cancellation_signal signal_;
};

template <class T>
class CompletionOf final : public Completion {
 public:
  using Completion::Completion;

  /// What the handler was called with.
  template <class... Values>
  void set(Values&&... values) {
    value.emplace(std::forward<Values>(values)...);
  }
  template <class... Values>
  void set(boost::system::error_code&& failure, Values&&... values) {
    if (failure)
      code = failure;
    else
      value.emplace(std::forward<Values>(values)...);
  }
  template <class... Values>
  void set(std::exception_ptr&& failure, Values&&... values) {
    if (failure)
      error = std::move(failure);
    else if constexpr (std::is_void_v<T> || sizeof...(Values) != 0)
      value.emplace(std::forward<Values>(values)...);
    // otherwise it is there already
  }

  std::optional<value_or_none<T>> value;
};

/// The part of OperationState that does not depend on the type of the result. While the operation
/// is under way, it keeps the future alive; the loop knows it, and gives it up when it is closed.
class OperationBase : private Links {
 public:
  /// Was it asked to end?
  bool asked() const noexcept { return asked_; }
  /// The handler was called, or destroyed.
  void ended(Completion& completion);
  /// The loop is being closed: tells all of them to end, and forgets them.
  static void give_up_all(Links& operations);

 protected:
  explicit OperationBase(FutureBase& self) noexcept : self_(self) {}
  ~OperationBase() = default;
  void begin(Completion& completion);
  bool request_cancel(const std::string* message);
  /// Whatever comes is dropped.
  void give_up() noexcept;

 private:
  friend Completion;
  /// Makes the value that has come the result; false if none has.
  virtual bool take_value(Completion& completion) = 0;
  void fail(Completion& completion);

  FutureBase& self_;
  Completion* completion_ = nullptr;  // set while it is under way
  bool asked_ = false;
};

/// What an operation calls in the end. It runs where the loop does, takes memory from the loop's
/// pool, and passes cancellation on; the operation may have wrapped it, and do otherwise.
template <class T, class... Parameters>
class OperationHandler {
 public:
  using executor_type = boost::asio::any_io_executor;
  using allocator_type = PoolAllocator<void>;
  using cancellation_slot_type = boost::asio::cancellation_slot;

  explicit OperationHandler(CompletionOf<T>& completion) noexcept : completion_(&completion) {}

  executor_type get_executor() const noexcept { return completion_->executor(); }
  allocator_type get_allocator() const noexcept { return {}; }
  cancellation_slot_type get_cancellation_slot() const noexcept { return completion_->slot(); }
  CompletionOf<T>& completion() const noexcept { return *completion_; }

  void operator()(Parameters... outcome) {
    completion_->set(std::move(outcome)...);
    completion_.reset();
  }

 private:
  struct Arrive {
    void operator()(Completion* completion) const noexcept { completion->arrive(); }
  };
  std::unique_ptr<CompletionOf<T>, Arrive> completion_;
};

template <class... Values>
struct ResultOf {
  using type = std::tuple<Values...>;
};
template <class T>
struct ResultOf<T> {
  using type = T;
};
template <>
struct ResultOf<> {
  using type = void;
};

/// The same of all that a handler is called with: an error in front is thrown.
template <class... Parameters>
struct OutcomeOf : ResultOf<Parameters...> {};
template <class... Values>
struct OutcomeOf<boost::system::error_code, Values...> : ResultOf<Values...> {};
template <class... Values>
struct OutcomeOf<std::exception_ptr, Values...> : ResultOf<Values...> {};

/// What becomes of a completion signature.
template <class Signature>
struct Completed;
template <class... Parameters>
struct Completed<void(Parameters...)> {
  using Result = typename OutcomeOf<std::decay_t<Parameters>...>::type;
  using Handler = OperationHandler<Result, std::decay_t<Parameters>...>;
};

/// A future that an operation completes. Before the operation has begun it is like any other.
/// cancel() asks the operation to end, as that of a task does, and the future is done when the
/// handler comes: cancelled if the operation was aborted by that, otherwise with what came.
template <class T>
class OperationState final : public FutureState<T>, public OperationBase {
 public:
  explicit OperationState(Scheduler& loop)
      : FutureState<T>(loop), OperationBase(static_cast<FutureBase&>(*this)) {}

  /// Calls the initiation with the handler of a Signature; throws what that throws.
  template <class Signature, class Initiation, class... Args>
  void start(Initiation&& initiation, Args&&... args) {
    auto* const completion = new CompletionOf<T>(*this);
    typename Completed<Signature>::Handler handler(*completion);
    begin(*completion);
    try {
      completion->will_begin(initiation);
      std::forward<Initiation>(initiation)(std::move(handler), std::forward<Args>(args)...);
    } catch (...) {
      give_up();
      throw;
    }
  }
  bool cancel(const std::string* message) override { return request_cancel(message); }

 private:
  bool take_value(Completion& completion) override {
    auto& value = static_cast<CompletionOf<T>&>(completion).value;
    if (value) this->set_result(std::move(*value));
    return value.has_value();
  }
};

}  // namespace asyncio::inline v1::detail
