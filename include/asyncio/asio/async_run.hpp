// SPDX-License-Identifier: BSL-1.0
// asyncio from Asio: coroutines, futures and tasks as asynchronous operations, for any completion
// token.
//
//   int answer = co_await asyncio::async_run(loop, compute(), boost::asio::use_awaitable);
//
//   future.async_wait([](std::exception_ptr error, int answer) { ... });
//
// As operations of Asio they have this in common:
//
// Completion: the handler is called with (std::exception_ptr, T), as co_spawn's is; T, which must
// be default constructible, is T() if there is an exception. For void it is called with the
// std::exception_ptr alone. It is posted to its associated executor, by default the loop's: it is
// never called by the initiating function, and never within a pass of the loop, so what it throws
// leaves whoever runs that executor's context. (use_future needs no executor: its future is ready at
// once, and use_future(f) calls f where the outcome comes to be.) From initiation to completion there
// is outstanding work for that executor and the loop's.
//
// Cancellation: an emission of the handler's cancellation slot, of any type, asks what is waited
// for to cancel itself, as its cancel() does; a task may catch it and go on. To be emitted where
// the handler's executor runs, which may be in another thread than the loop. Too late it is without
// effect: what has a result delivers it.
//
// Errors: what ends with CancelledError is boost::system::system_error of operation_aborted here,
// because code made for Asio catches std::exception, and CancelledError is none. So is what was not
// done when the loop was closed. All other exceptions are passed on as they are; SystemExit and
// KeyboardInterrupt leave the loop, too. RuntimeError "Event loop is closed" if it was closed
// before. The signature has no error_code: redirect_error has nothing to redirect.
//
// Memory: one block by the handler's associated allocator, given back before the handler is called.
// Whatever executor the handler has, its context must exist until then.
//
// yield_context: async_run(loop, f(), yield). Asio 1.81 itself cannot resume one with an
// exception_ptr, so within adapters it takes as_tuple(yield).
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asyncio/asio/sets_promise.hpp>
#include <asyncio/event_loop.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

namespace boost::asio {
template <class Executor>
class basic_yield_context;
namespace detail {
template <class T, class Blocking>
class promise_executor;
}
}  // namespace boost::asio

namespace asyncio::inline v1 {

namespace detail {

/// A cancellation slot's way to what is to be cancelled. The slot and the operation share it, and
/// the loop's queue while a request is on its way.
class CancelRequest final : public ReadyNode, public Pooled {
 public:
  explicit CancelRequest(Scheduler& loop);

  void add_ref() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Any thread, at any time: also when there is nothing to cancel yet, or any more.
  void emit();

  // -- the loop's thread

  /// This is what is to be cancelled: at once, if it was requested before.
  void attach(FutureBase& future);
  void detach() noexcept { future_ = nullptr; }

 private:
  ~CancelRequest() = default;
  void run() override;
  void drop() noexcept override { release(); }
  void deliver();

  std::atomic<std::uint32_t> references_ = 1;
  std::atomic<bool> queued_ = false;
  const std::shared_ptr<ForeignQueue> queue_;
  FutureBase* future_ = nullptr;
  bool requested_ = false;  // before there was anything to cancel
};

/// What a cancellation slot calls.
class Canceller {
 public:
  explicit Canceller(Ref<CancelRequest> request) noexcept : request_(std::move(request)) {}
  void operator()(boost::asio::cancellation_type_t type) const {
    if (type != boost::asio::cancellation_type::none) request_->emit();
  }

 private:
  Ref<CancelRequest> request_;
};

/// An operation of Asio that waits for a task or future. As an entry of the ready queue it is its
/// own beginning; from then on it is for the loop's thread only.
class WaitOperation : public Arrival {
 public:
  /// Any thread: it begins in the loop's thread, in this call if that is this one.
  void launch();
  /// The loop's thread.
  void begin();

 protected:
  WaitOperation(Scheduler& loop, Ref<CancelRequest> cancel_request)
      : loop_(loop), context_(capture_context()), cancel_request_(std::move(cancel_request)) {}
  ~WaitOperation() = default;

  /// What is to be waited for; throws if that cannot be.
  virtual Ref<FutureBase> start(Scheduler& loop) = 0;
  /// Posts the handler, with what the future holds if there is no error. Destroys the operation.
  virtual void complete(std::exception_ptr error) noexcept = 0;

  Ref<FutureBase> future_;  // null before it has begun

 private:
  /// The future's done-callback.
  class Completion final : public ReadyNode {
   public:
    void run() override { operation->done(); }
    /// The loop is being closed, or the future is given up.
    void drop() noexcept override { operation->abort(); }
    WaitOperation* operation = nullptr;
  };

  void run() final;
  void drop() noexcept final;
  void done() noexcept;
  void abort() noexcept;
  void end(std::exception_ptr error) noexcept;

  Scheduler& loop_;
  Ref<ContextState> context_;                // the initiator's
  const Ref<CancelRequest> cancel_request_;  // null if the handler has no slot
  Completion completion_;
};

/// Calls a handler with the outcome, once its turn has come.
template <class T, class Handler>
class HandlerCall {
 public:
  using allocator_type = boost::asio::associated_allocator_t<Handler>;
  using Value = std::optional<value_or_none<T>>;

  HandlerCall(Handler&& handler, std::exception_ptr error, Value value)
      : handler_(std::move(handler)), error_(std::move(error)), value_(std::move(value)) {}

  allocator_type get_allocator() const noexcept {
    return boost::asio::get_associated_allocator(handler_);
  }
  void operator()() {
    boost::asio::get_associated_cancellation_slot(handler_).clear();
    if constexpr (std::is_void_v<T>)
      std::move(handler_)(std::move(error_));
    else
      std::move(handler_)(std::move(error_), value_ ? T(std::move(*value_)) : T());
  }

 private:
  Handler handler_;
  std::exception_ptr error_;
  Value value_;
};

/// An executor that counts as outstanding work. Unlike an executor_work_guard it may be of a
/// strand<any_io_executor>.
template <class Executor>
using Tracked = std::decay_t<typename boost::asio::prefer_result<
    const Executor&, boost::asio::execution::outstanding_work_t::tracked_t>::type>;
template <class Executor>
Tracked<Executor> track(const Executor& executor) {
  return boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
}

/// Source: what is waited for; see RunSource and WaitSource.
template <class Source, class Handler>
class WaitOperationOf final : public WaitOperation {
 public:
  using T = typename Source::value_type;
  using Executor = boost::asio::any_io_executor;
  using HandlerExecutor = boost::asio::associated_executor_t<Handler, Executor>;

  /// Begins when launch() or begin() is called.
  template <class H>
  static WaitOperationOf& make(EventLoop& loop, const Executor& executor, H&& handler,
                           Source&& source) {
    Ref<CancelRequest> cancel_request;
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
      cancel_request = Ref(adopt_ref, new CancelRequest(loop.scheduler()));
      slot.template emplace<Canceller>(cancel_request);
    }
    auto allocator = allocator_for(handler);
    const auto memory = std::allocator_traits<decltype(allocator)>::allocate(allocator, 1);
    try {
      return *::new (static_cast<void*>(std::to_address(memory))) WaitOperationOf(
          loop, executor, std::forward<H>(handler), std::move(source), std::move(cancel_request));
    } catch (...) {
      std::allocator_traits<decltype(allocator)>::deallocate(allocator, memory, 1);
      throw;
    }
  }

 private:
  template <class H>
  WaitOperationOf(EventLoop& loop, const Executor& executor, H&& handler, Source&& source,
              Ref<CancelRequest> cancel_request)
      : WaitOperation(loop.scheduler(), std::move(cancel_request)),
        loop_work_(track(executor)),
        handler_work_(track(boost::asio::get_associated_executor(handler, executor))),
        source_(std::move(source)),
        handler_(std::forward<H>(handler)) {}
  ~WaitOperationOf() = default;

  static auto allocator_for(const Handler& handler) {
    const auto allocator = boost::asio::get_associated_allocator(handler);
    using Allocator = std::remove_const_t<decltype(allocator)>;
    return typename std::allocator_traits<Allocator>::template rebind_alloc<WaitOperationOf>(allocator);
  }

  Ref<FutureBase> start(Scheduler& loop) override { return source_.start(loop); }

  void complete(std::exception_ptr error) noexcept override {
    std::optional<value_or_none<T>> value;
    if (!error) {
      try {
        if constexpr (std::is_void_v<T>)
          source_.take(std::move(future_));
        else
          value.emplace(source_.take(std::move(future_)));
      } catch (...) {  // copying the value threw
        error = std::current_exception();
      }
    }
    source_.close();
    const auto allocator = allocator_for(handler_);  // a handler that was moved from may have none
    HandlerCall<T, Handler> call(std::move(handler_), std::move(error), std::move(value));
    const auto loop_work = std::move(loop_work_);
    const auto handler_work = std::move(handler_work_);
    destroy(allocator);
    BOOST_ASIO_HANDLER_LOCATION((__FILE__, __LINE__, Source::name));
    if constexpr (sets_promise<HandlerExecutor>)
      boost::asio::dispatch(handler_work, std::move(call));
    else if constexpr (takes_posts<HandlerExecutor>)
      boost::asio::post(handler_work, std::move(call));
    else
      boost::asio::post(loop_work, boost::asio::bind_executor(handler_work, std::move(call)));
  }

  template <class Allocator>
  void destroy(Allocator allocator) noexcept {
    using Traits = std::allocator_traits<decltype(allocator)>;
    const auto memory = std::pointer_traits<typename Traits::pointer>::pointer_to(*this);
    this->~WaitOperationOf();
    Traits::deallocate(allocator, memory, 1);
  }

  Tracked<Executor> loop_work_;
  Tracked<HandlerExecutor> handler_work_;
  Source source_;
  Handler handler_;
};

/// A coroutine, to be made a task.
template <class T>
class RunSource {
 public:
  using value_type = T;
  static constexpr const char* name = "async_run";

  explicit RunSource(Coroutine<T> coroutine) noexcept : coroutine_(std::move(coroutine)) {}

  static void begin(WaitOperation& operation) { operation.launch(); }
  Ref<FutureBase> start(Scheduler& loop) {
    return detail::create_task(loop, std::move(coroutine_)).state();
  }
  static T take(Ref<FutureBase> task) {
    return FutureAwaiter<T>(std::move(task), true).await_resume();
  }
  void close() noexcept { coroutine_.close(); }

 private:
  Coroutine<T> coroutine_;
};

/// A future.
template <class T>
class WaitSource {
 public:
  using value_type = T;
  static constexpr const char* name = "async_wait";

  WaitSource(Ref<FutureBase> future, bool take) noexcept
      : future_(std::move(future)), take_(take) {}

  static void begin(WaitOperation& operation) { operation.begin(); }
  Ref<FutureBase> start(Scheduler& loop) {
    loop.check_usable();
    return std::move(future_);
  }
  T take(Ref<FutureBase> future) const {
    return FutureAwaiter<T>(std::move(future), take_).await_resume();
  }
  void close() noexcept { future_ = {}; }

 private:
  Ref<FutureBase> future_;
  bool take_;  // nobody asks through the handle that it came from
};

/// What begins an operation when the token has made a handler of itself.
class Initiation {
 public:
  using executor_type = boost::asio::any_io_executor;

  explicit Initiation(EventLoop& loop) : loop_(&loop), executor_(loop.get_executor()) {}

  executor_type get_executor() const noexcept { return executor_; }
  template <class Handler, class Source>
  void operator()(Handler&& handler, Source&& source) const {
    using Op = WaitOperationOf<std::decay_t<Source>, std::decay_t<Handler>>;
    auto& operation = Op::make(*loop_, executor_, std::forward<Handler>(handler),
                               std::decay_t<Source>(std::forward<Source>(source)));
    std::decay_t<Source>::begin(operation);
  }

 private:
  EventLoop* loop_;
  executor_type executor_;
};

template <class T>
struct CompletionSignature {
  static_assert(std::is_default_constructible_v<T>,
                "asyncio: the handler is called with T() beside an exception, as co_spawn's is, so "
                "the result must be default constructible; std::optional<T> is");
  using type = void(std::exception_ptr, T);
};
template <>
struct CompletionSignature<void> {
  using type = void(std::exception_ptr);
};
template <class T>
using completion_signature = typename CompletionSignature<T>::type;

/// Is it what a coroutine awaits, of Asio's or of ours?
template <class R>
inline constexpr bool is_awaited = Awaitable<R>;
template <>
inline constexpr bool is_awaited<void> = false;
template <class T, class Executor>
inline constexpr bool is_awaited<boost::asio::awaitable<T, Executor>> = true;

template <class Token>
inline constexpr bool is_yield_context = false;
template <class Executor>
inline constexpr bool is_yield_context<boost::asio::basic_yield_context<Executor>> = true;

template <class Source, class Token>
decltype(auto) initiate(EventLoop& loop, Source source, Token& token) {
  using T = typename Source::value_type;
  if constexpr (is_yield_context<std::remove_const_t<Token>>) {
    // Asio's own handler, in 1.81, does not compile for an exception_ptr with a value, and throws
    // one that is alone even if it is null.
    const auto as_tuple = boost::asio::as_tuple(token);
    auto outcome = initiate(loop, std::move(source), as_tuple);
    if (std::get<0>(outcome)) std::rethrow_exception(std::get<0>(outcome));
    if constexpr (!std::is_void_v<T>) return T(std::get<1>(std::move(outcome)));
  } else {
    return boost::asio::async_initiate<Token, completion_signature<T>>(Initiation(loop), token,
                                                                       std::move(source));
  }
}

}  // namespace detail

/// Makes the coroutine a task of the loop, and calls the handler with its outcome. The task has a
/// copy of the initiator's context; it is made at once in the loop's thread, else when the loop
/// gets to it. A token that begins later keeps the coroutine until then. When the loop is closed
/// before the task is done, its frames are destroyed without running, as those of all tasks are.
/// Any thread, as long as the loop and its context exist.
template <class T, BOOST_ASIO_COMPLETION_TOKEN_FOR(detail::completion_signature<T>) CompletionToken>
decltype(auto) async_run(EventLoop& loop, Coroutine<T> coroutine, CompletionToken&& token) {
  return detail::initiate(loop, detail::RunSource<T>(std::move(coroutine)), token);
}
/// Of f(): the task keeps the callable alive, so a lambda with captures is safe here, which it
/// would not be if it were called at once. It is called in the loop's thread.
template <class F, class CompletionToken>
  requires detail::coroutine_function<std::decay_t<F>>
decltype(auto) async_run(EventLoop& loop, F&& function, CompletionToken&& token) {
  using T = typename std::invoke_result_t<std::decay_t<F>&>::value_type;
  using Result = decltype(asyncio::async_run(loop, std::declval<Coroutine<T>>(),
                                             std::forward<CompletionToken>(token)));
  if constexpr (detail::is_awaited<Result>) static_assert(detail::require_inline_callable<F>());
  return asyncio::async_run(loop, detail::call_and_keep<std::decay_t<F>>(std::forward<F>(function)),
                            std::forward<CompletionToken>(token));
}

template <class CompletionToken>
decltype(auto) AnyFuture::async_wait(CompletionToken&& token) const {
  return detail::initiate(get_loop(), detail::WaitSource<void>(state_, false), token);
}
template <class T>
template <class CompletionToken>
decltype(auto) Future<T>::async_wait(CompletionToken&& token) const& {
  return detail::initiate(get_loop(), detail::WaitSource<T>(state_, false), token);
}
template <class T>
template <class CompletionToken>
decltype(auto) Future<T>::async_wait(CompletionToken&& token) && {
  EventLoop& loop = get_loop();
  return detail::initiate(loop, detail::WaitSource<T>(std::move(state_), true), token);
}

}  // namespace asyncio::inline v1
