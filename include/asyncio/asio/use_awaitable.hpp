// SPDX-License-Identifier: BSL-1.0
// Asio from asyncio: any asynchronous operation can be awaited, or made a future.
//
//   std::size_t n = co_await socket.async_read_some(buffer, asyncio::use_awaitable);
//   asyncio::Future<> expired = timer.async_wait(asyncio::use_future);
//   co_await some_boost_asio_awaitable();
//
// Results. An error_code or exception_ptr in front of what the operation completes with is thrown:
// an error_code as the OSError of its family, which keeps the code; an exception as it is. What is
// left is the result: void, the one value, or a std::tuple of several. as_tuple(use_awaitable)
// gives everything as a tuple, redirect_error(use_awaitable, ec) puts the error_code into ec.
//
// Cancellation. Cancelling the task emits cancellation_type::all on the operation's cancellation
// slot, and the task waits on until the operation completes. If that ends as aborted, the await
// throws CancelledError. Anything else, a result that came at the same moment or what comes of an
// operation that does not heed cancellation, is delivered as it is, and CancelledError comes with
// the task's next await; a task that ends before keeps its result. For as_tuple and redirect_error
// an aborted operation is a result too. An operation that somebody else aborted is an OSError
// (ECANCELED). A task that is to be cancelled already does not start the operation.
//
// Lifetimes, as with every token of Asio's: the objects and buffers that an operation refers to
// must live until it completes. An object that is destroyed meanwhile completes it in a later
// handler; between the two, the task must not be cancelled, nor a guest be closed. Closing a guest
// cancels the operations that are under way, as closing any loop does those that take place in
// another context than its own; what comes of them then is dropped. Those must complete before the
// loop's context goes. What is left in a loop's own context goes with that.
//
// Threads. A handler's executor is the loop's, its allocator the loop's pool. With another executor
// bound, bind_executor(other, asyncio::use_awaitable), it may be called in any thread, and the
// outcome finds the loop; but cancellation is emitted in the loop's thread all the same, which the
// operation must allow. With another cancellation slot bound, cancelling the task does not reach
// the operation. If the handler is destroyed without having been called, because its context went,
// the await throws OSError (ECANCELED), or CancelledError if the task was cancelled.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detail/handler_tracking.hpp>

#include <asyncio/asio/operation.hpp>
#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// What tokens of Asio's offer for being the default one.
template <class Token>
struct CompletionToken {
  template <class Executor>
  struct executor_with_default : Executor {
    using default_completion_token_type = Token;

    template <class Inner>
      requires(!std::same_as<Inner, executor_with_default>) && std::convertible_to<Inner, Executor>
    executor_with_default(const Inner& executor) noexcept : Executor(executor) {}
  };
  template <class Object>
  using as_default_on_t = typename Object::template rebind_executor<
      executor_with_default<typename Object::executor_type>>::other;
  template <class Object>
  static as_default_on_t<std::decay_t<Object>> as_default_on(Object&& object) {
    return as_default_on_t<std::decay_t<Object>>(std::forward<Object>(object));
  }
};

}  // namespace detail

/// The type of use_awaitable; use_awaitable_t::as_default_on_t<tcp::socket> is a socket whose
/// operations may be awaited without a token.
struct use_awaitable_t : detail::CompletionToken<use_awaitable_t> {
  explicit constexpr use_awaitable_t() noexcept = default;
};
/// Completion token: the initiating function gives an Operation<T>.
inline constexpr use_awaitable_t use_awaitable{};

/// The type of use_future.
struct use_future_t : detail::CompletionToken<use_future_t> {
  explicit constexpr use_future_t() noexcept = default;
};
/// Completion token: the operation begins at once, and the initiating function gives a Future<T> of
/// the running loop, else of the thread's current one. To be called in the loop's thread.
/// Future::cancel() asks the operation to end and returns true; the future is done when the
/// operation completes, and is cancelled only if that ends as aborted; awaiting it is like awaiting
/// a task, also when the awaiting task is cancelled. The operation goes on when the future is
/// dropped. RuntimeError if there is no loop, "Event loop is closed".
inline constexpr use_future_t use_future{};

namespace detail {

/// An initiation with its arguments.
template <class T>
class Starter : public Pooled {
 public:
  virtual ~Starter() = default;
  virtual void start(OperationState<T>& state) = 0;
};

template <class Signature, class Initiation, class... Args>
class StarterOf final : public Starter<typename Completed<Signature>::Result> {
 public:
  template <class I, class... A>
  explicit StarterOf(std::in_place_t, I&& initiation, A&&... args)
      : initiation_(std::forward<I>(initiation)), args_(std::forward<A>(args)...) {}

 private:
  void start(OperationState<typename Completed<Signature>::Result>& state) override {
    std::apply(
        [&](Args&... args) {
          state.template start<Signature>(std::move(initiation_), std::move(args)...);
        },
        args_);
  }
  Initiation initiation_;
  std::tuple<Args...> args_;
};

}  // namespace detail

/// An asynchronous operation that has not begun. A task, or anything that takes an Awaitable, may
/// await it, once. It begins then, with copies of the arguments that it was made with; dropped
/// without, it never begins. What the initiation throws comes out of the await; RuntimeError
/// "cannot reuse already awaited operation". Results and cancellation: see above. Move-only, until
/// it is awaited.
template <class T>
class [[nodiscard("the operation does not begin before it is awaited")]] Operation {
 public:
  using value_type = T;

  explicit Operation(std::unique_ptr<detail::Starter<T>> starter) noexcept
      : starter_(std::move(starter)) {}

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<detail::Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) {
    if (!starter_) throw RuntimeError("cannot reuse already awaited operation");
    const auto starter = std::move(starter_);
    task_ = &frame.promise().task();
    state_ = detail::Ref<State>(detail::adopt_ref, new State(task_->scheduler()));
    if (!task_->must_cancel()) {
      [[maybe_unused]] const std::source_location& where = frame.promise().where;
      BOOST_ASIO_HANDLER_LOCATION(
          (where.file_name(), static_cast<int>(where.line()), where.function_name()));
      starter->start(*state_);
    }
    task_->wait_for(*state_);
  }
  T await_resume() {
    if (!state_->cancelled())
      task_->resumed_with_outcome(state_->asked(), state_->cancel_message());
    if constexpr (std::is_void_v<T>)
      state_->check_result();
    else
      return detail::take_result(*state_);
  }

 private:
  using State = detail::OperationState<T>;

  std::unique_ptr<detail::Starter<T>> starter_;  // null once it was awaited
  detail::TaskBase* task_ = nullptr;
  detail::Ref<State> state_;
};

namespace detail {

/// What use_awaitable does.
template <class Signature, class Initiation, class... Args>
Operation<typename Completed<Signature>::Result> make_operation(Initiation&& initiation,
                                                                Args&&... args) {
  using S = StarterOf<Signature, std::decay_t<Initiation>, std::decay_t<Args>...>;
  return Operation<typename Completed<Signature>::Result>(std::make_unique<S>(
      std::in_place, std::forward<Initiation>(initiation), std::forward<Args>(args)...));
}

/// What use_future does.
template <class Signature, class Initiation, class... Args>
Future<typename Completed<Signature>::Result> start_operation(Initiation&& initiation,
                                                              Args&&... args) {
  using Result = typename Completed<Signature>::Result;
  Scheduler& loop = default_scheduler();
  loop.check_usable();
  const Ref<OperationState<Result>> state(adopt_ref, new OperationState<Result>(loop));
  state->template start<Signature>(std::forward<Initiation>(initiation),
                                   std::forward<Args>(args)...);
  return Future<Result>(Ref<FutureBase>(state));
}

// -- Asio's own awaitables

/// The loop's executor as the type that the awaitable wants.
template <class Executor>
Executor executor_as(const boost::asio::any_io_executor& executor) {
  if constexpr (std::convertible_to<boost::asio::any_io_executor, Executor>) {
    return executor;
  } else {
    if (const auto* const target = executor.target<Executor>()) return *target;
    throw TypeError("the awaitable is for another type of executor than the loop's");
  }
}

/// co_spawn wants a result that can be made out of nothing, so it is given none: the value goes
/// ahead of the handler.
template <class T, class Executor>
boost::asio::awaitable<void, Executor> deliver(boost::asio::awaitable<T, Executor> awaitable,
                                               CompletionOf<T>& completion) {
  T value = co_await std::move(awaitable);
  completion.value.emplace(std::move(value));
}
/// Stands for the signature of that.
template <class T>
struct Delivered;
template <class T>
struct Completed<Delivered<T>> {
  using Result = T;
  using Handler = OperationHandler<T, std::exception_ptr>;
};
template <>
struct Completed<Delivered<void>> : Completed<void(std::exception_ptr)> {};

/// The initiation of an awaitable.
struct Spawn {
  template <class Handler, class T, class Executor>
  void operator()(Handler handler, boost::asio::awaitable<T, Executor> awaitable) const {
    if (!awaitable.valid()) throw_reused();
    const Executor executor = executor_as<Executor>(handler.get_executor());
    if constexpr (std::is_void_v<T>) {
      boost::asio::co_spawn(executor, std::move(awaitable), std::move(handler));
    } else {
      auto delivery = deliver(std::move(awaitable), handler.completion());
      boost::asio::co_spawn(executor, std::move(delivery), std::move(handler));
    }
  }
};
template <>
inline constexpr bool spawns<Spawn> = true;

/// Awaiting a boost::asio::awaitable spawns it where the loop runs. It is used up.
template <class T, class Executor>
struct AwaitableAdapter<boost::asio::awaitable<T, Executor>> {
  static Operation<T> adapt(boost::asio::awaitable<T, Executor>& awaitable) {
    return make_operation<Delivered<T>>(Spawn(), std::move(awaitable));
  }
};

}  // namespace detail
}  // namespace asyncio::inline v1

template <class Signature>
class boost::asio::async_result<asyncio::use_awaitable_t, Signature> {
 public:
  using return_type = asyncio::Operation<typename asyncio::detail::Completed<Signature>::Result>;

  template <class Initiation, class... Args>
  static return_type initiate(Initiation&& initiation, asyncio::use_awaitable_t, Args&&... args) {
    return asyncio::detail::make_operation<Signature>(std::forward<Initiation>(initiation),
                                                      std::forward<Args>(args)...);
  }
};

template <class Signature>
class boost::asio::async_result<asyncio::use_future_t, Signature> {
 public:
  using return_type = asyncio::Future<typename asyncio::detail::Completed<Signature>::Result>;

  template <class Initiation, class... Args>
  static return_type initiate(Initiation&& initiation, asyncio::use_future_t, Args&&... args) {
    return asyncio::detail::start_operation<Signature>(std::forward<Initiation>(initiation),
                                                       std::forward<Args>(args)...);
  }
};
