// SPDX-License-Identifier: BSL-1.0
// Generator<T>: what `async def` with a `yield` gives. Lazy, single pass, move-only.
//
//   asyncio::Generator<int> countdown(int from) {
//     for (; from > 0; --from) {
//       co_yield from;
//       co_await asyncio::sleep(1);
//     }
//   }
//
//   asyncio::Coroutine<> launch() {
//     auto numbers = countdown(3);
//     while (auto number = co_await numbers.next()) std::cout << *number << '\n';
//   }
//
// That loop is Python's `async for`; C++20 has no statement for it. next() gives an optional, empty
// at the end, so that one awaited call says both whether there is a value and which. break, return,
// exceptions and awaits work in the loop as in any other. g++ 12 compiles a co_await in a condition
// right as long as the condition declares what it gives. There is no for_each(): a callable in
// place of the loop's body could do none of that.
//
// A generator that is left half way needs nothing: its destructor destroys the locals of the body
// at once, without running it. Only cleanup that awaits needs aclose(), as with Python's
// contextlib.aclosing. In the body such cleanup follows a try block, for a handler cannot await:
//
//   asyncio::Generator<std::string> rows(Connection connection) {
//     std::exception_ptr error;
//     try {
//       while (auto row = co_await connection.fetch()) co_yield *row;
//     } catch (...) {  // GeneratorExit, from aclose(), is one of them
//       error = std::current_exception();
//     }
//     co_await connection.close();
//     if (error) std::rethrow_exception(error);
//   }
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <asyncio/coroutine.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/detail/ref.hpp>
#include <asyncio/detail/thread_state.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

template <class T>
class Generator;

namespace detail {

class GeneratorState;

/// The part of a generator's promise that does not depend on T.
class GeneratorFrame : public Frame {
 public:
  void return_void() const noexcept {}

  GeneratorState* owner = nullptr;
  std::exception_ptr thrown;  // to be thrown at the co_yield where it is suspended
  bool started = false;
  bool running = false;  // somebody awaits it: the body runs, or is suspended in an await
  bool closed = false;   // aclose() was awaited, which its body may have ignored

 protected:
  GeneratorFrame() noexcept {}  // as Frame's
  ~GeneratorFrame();
};

/// Suspends a generator at a co_yield. `Held` is a reference to the operand, which stays where it
/// is until the generator is resumed, or a T that was made of it.
template <class Held, class Promise>
class GeneratorYield {
 public:
  template <class U>
  GeneratorYield(Promise& promise, U&& value) : promise_(promise), value_(std::forward<U>(value)) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) noexcept {
    promise_.value = std::addressof(value_);
    promise_.leave();
  }
  void await_resume() {
    if (promise_.thrown) [[unlikely]]
      std::rethrow_exception(std::move(promise_.thrown));
  }

 private:
  Promise& promise_;
  Held value_;
};

template <class T>
class GeneratorPromise final : public GeneratorFrame {
 public:
  GeneratorPromise() noexcept {
    if constexpr (!std::is_reference_v<T>) {
      static_assert(has_plain_alignment<T>,
                    "asyncio: compilers misplace what is aligned beyond 16 bytes in a coroutine; "
                    "yield a reference, or a std::unique_ptr of it");
    }
  }
  Generator<T> get_return_object();

  /// co_yield of a value: moved from if it is an rvalue, else copied or converted.
  template <class U = T>
    requires(!std::is_reference_v<T> && std::convertible_to<U, T>)
  auto yield_value(U&& operand,
                   std::source_location place = std::source_location::current()) {
    static_assert(require_inline_yield<U, T>());
    where = place;
    return GeneratorYield<std::conditional_t<std::is_same_v<U, T>, T&&, T>, GeneratorPromise>(
        *this, std::forward<U>(operand));
  }
  /// co_yield of what a Generator<T&> refers to; only a reference to const binds to a temporary.
  template <class U>
    requires(std::is_reference_v<T> && std::convertible_to<U, T>)
  auto yield_value(U&& operand,
                   std::source_location place = std::source_location::current()) {
    static_assert(require_inline_yield<U, std::remove_cvref_t<T>>());
    where = place;
    static_assert(std::is_convertible_v<std::remove_reference_t<U>*, std::remove_reference_t<T>*>,
                  "asyncio: the converted value would be gone before the consumer sees it");
    return GeneratorYield<T, GeneratorPromise>(*this, operand);
  }

  std::remove_reference_t<T>* value;  // while it is suspended at a co_yield
};

/// What a Generator shares with its awaitables. It owns the frame, until the body has ended or the
/// task that runs it is abandoned; so an awaitable may outlive the Generator, and both the frame.
class GeneratorState final : public Pooled {
 public:
  explicit GeneratorState(GeneratorFrame& frame) noexcept : frame_(&frame) { frame.owner = this; }
  GeneratorState(const GeneratorState&) = delete;
  GeneratorState& operator=(const GeneratorState&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ != 0) return;
    destroy_frame();
    delete this;
  }

  /// Null when the generator is finished.
  GeneratorFrame* frame() const noexcept { return frame_; }
  /// Runs the body, in the task of the caller, to its next co_yield or its end.
  void run(Frame& caller) noexcept {
    frame()->started = true;
    frame()->running = true;
    frame()->enter(caller);
  }
  /// Was it run, and has yielded?
  bool has_yielded() noexcept {
    return frame() && std::exchange(frame()->running, false) && !frame()->handle().done();
  }
  /// If it was run to its end: destroys the frame and returns what the body threw.
  std::exception_ptr end() noexcept {
    std::exception_ptr error;
    if (frame() && frame()->handle().done()) {
      error = Frame::task().take_next_throw();
      destroy_frame();
    }
    return error;
  }
  void destroy_frame() noexcept {
    if (GeneratorFrame* const frame = std::exchange(frame_, nullptr)) frame->destroy();
  }

 private:
  friend GeneratorFrame;
  ~GeneratorState() = default;

  GeneratorFrame* frame_;
  unsigned references_ = 0;
};

inline GeneratorFrame::~GeneratorFrame() {
  if (owner) owner->frame_ = nullptr;
}

/// What the awaitables of a generator have in common. They are used up by awaiting (rule 50).
class GeneratorAwaiter {
 public:
  GeneratorAwaiter(GeneratorAwaiter&&) noexcept = default;
  GeneratorAwaiter& operator=(GeneratorAwaiter&&) noexcept = default;

  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> caller) noexcept {
    state_->run(caller.promise());
  }

 protected:
  enum class Method { next, athrow, aclose };

  explicit GeneratorAwaiter(Ref<GeneratorState> state) noexcept : state_(std::move(state)) {}

  /// The frame if it can be run; null if the generator is finished.
  GeneratorFrame* frame_to_run(Method method) {
    if (!state_ || (state_->frame() && state_->frame()->running)) [[unlikely]]
      throw_refused(method);
    return state_->frame();
  }
  /// Makes the co_yield throw at which the generator is suspended. False if there is nothing to
  /// run: the generator is finished, or aclose() has been awaited before.
  bool throw_in(Method method, std::exception_ptr error);

  Ref<GeneratorState> state_;  // null once it was awaited, also in vain, or moved from

 private:
  [[noreturn]] void throw_refused(Method method);
};

template <class T>
class [[nodiscard("next() does nothing until it is awaited")]] GeneratorNext
    : public GeneratorAwaiter {
 public:
  using Item = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*,
                                  std::optional<T>>;

  explicit GeneratorNext(Ref<GeneratorState> state) noexcept : GeneratorAwaiter(std::move(state)) {}

  bool await_ready() { return !frame_to_run(Method::next); }
  Item await_resume() {
    const Ref<GeneratorState> state = std::move(state_);
    if (state->has_yielded()) {
      auto* const value = static_cast<GeneratorPromise<T>*>(state->frame())->value;
      if constexpr (std::is_reference_v<T>)
        return value;
      else
        return Item(std::in_place, std::move(*value));
    }
    if (const std::exception_ptr error = state->end()) std::rethrow_exception(error);
    return Item();
  }
};

template <class T>
class [[nodiscard("athrow() does nothing until it is awaited")]] GeneratorThrow final
    : public GeneratorNext<T> {
 public:
  GeneratorThrow(Ref<GeneratorState> state, std::exception_ptr error) noexcept
      : GeneratorNext<T>(std::move(state)), error_(std::move(error)) {}

  bool await_ready() {
    return !this->throw_in(GeneratorAwaiter::Method::athrow, std::move(error_));
  }

 private:
  std::exception_ptr error_;
};

class [[nodiscard("aclose() does nothing until it is awaited")]] GeneratorClose final
    : public GeneratorAwaiter {
 public:
  explicit GeneratorClose(Ref<GeneratorState> state) noexcept
      : GeneratorAwaiter(std::move(state)) {}

  bool await_ready();
  void await_resume();
};

}  // namespace detail

/// An asynchronous generator: the body of a function that awaits and yields, run piece by piece by
/// whoever asks for the next value, in the task that asks. T is a type that can be moved, or U& or
/// const U&: then next() gives a pointer to what was yielded, and nothing is copied. A co_yield
/// gives nothing back: there is no asend().
///
/// Asking is a nested call, as awaiting a coroutine is: no pass of the loop, unless the body waits
/// for something (rule 39). Cancelling the task that asks throws CancelledError at the await inside
/// the body. Several tasks may ask in turn, but not at the same time.
///
/// Destroying it destroys the locals of a body that is suspended at a co_yield, and runs nothing.
/// (Generators that are locals of each other take native stack for that, but for nothing else.) A
/// body that somebody waits for at that moment goes on to its next co_yield first. A body suspended
/// in an await is destroyed with the loop, like every frame of a pending task; whoever still holds
/// the generator finds it finished. Nobody keeps track of generators, so loop.shutdown_asyncgens()
/// has nothing to do. The loop's thread only.
/// Python: what a function with `async def` and `yield` returns.
template <class T>
class [[nodiscard("a generator does nothing until next() is awaited")]] Generator {
  static_assert((std::is_object_v<T> && !std::is_const_v<T>) || std::is_lvalue_reference_v<T>,
                "asyncio: a generator yields values, U& or const U&");

 public:
  /// The same for Generator<U>, Generator<U&> and Generator<const U&>.
  using value_type = std::remove_cvref_t<T>;
  using promise_type = detail::GeneratorPromise<T>;

  Generator(Generator&&) noexcept = default;
  Generator& operator=(Generator&&) noexcept = default;

  /// Runs the body to its next co_yield. Gives std::optional<T>, empty when the body has ended, or
  /// did before; for Generator<U&> a U*, null at the end, good until the generator is asked again
  /// or destroyed. What the body throws comes out here, and the generator is finished.
  /// RuntimeError "anext(): asynchronous generator is already running" while somebody awaits it.
  /// On cancel the body gets the CancelledError, which ends it if it lets it out.
  /// Python: await anext(generator), generator.__anext__().
  detail::GeneratorNext<T> next() { return detail::GeneratorNext<T>(state()); }

  /// Throws the exception at the co_yield where the body is suspended, and goes on like next(). A
  /// generator that has not begun is finished by it, and the exception comes out; one that is
  /// finished gives "no value". TypeError for null.
  /// RuntimeError "athrow(): asynchronous generator is already running".
  detail::GeneratorThrow<T> athrow(std::exception_ptr error);
  /// athrow(ValueError("...")), as in Python.
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  detail::GeneratorThrow<T> athrow(E error) {
    return athrow(std::make_exception_ptr(std::move(error)));
  }

  /// Ends the body: throws GeneratorExit at the co_yield where it is suspended, and completes when
  /// the body has ended, by letting that out or by returning; its cleanup may await. Nothing runs
  /// if the body has not begun, or has ended. Another exception of the body comes out. On cancel
  /// the cleanup gets the CancelledError.
  /// RuntimeError "async generator ignored GeneratorExit" if it yields once more;
  /// "aclose(): asynchronous generator is already running".
  detail::GeneratorClose aclose() { return detail::GeneratorClose(state()); }

  /// Python's repr: `<async_generator object f at 0x7f...>`.
  friend std::string to_string(const Generator& generator) {
    return detail::frame_repr("async_generator",
                              generator.state_ ? generator.state_->frame() : nullptr);
  }

 private:
  friend promise_type;
  explicit Generator(promise_type& promise) : state_(new detail::GeneratorState(promise)) {}

  const detail::Ref<detail::GeneratorState>& state() const {
    if (!state_) throw RuntimeError("the generator has been moved from");
    return state_;
  }

  detail::Ref<detail::GeneratorState> state_;
};

template <class T>
detail::GeneratorThrow<T> Generator<T>::athrow(std::exception_ptr error) {
  if (!error) throw TypeError("invalid exception object: null");
  return detail::GeneratorThrow<T>(state(), std::move(error));
}

template <class T>
Generator<T> detail::GeneratorPromise<T>::get_return_object() {
  return Generator<T>(*this);
}

}  // namespace asyncio::inline v1
