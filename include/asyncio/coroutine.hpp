// SPDX-License-Identifier: BSL-1.0
// Coroutine<T>: what `async def` gives. Lazy, single use, move-only.
//
//   asyncio::Coroutine<int> f(int x) { co_return x + 1; }
//
// Nothing of it runs before it is awaited or made a task. Awaiting it is a nested call in the same
// task: no pass of the loop (rule 39). A task keeps the chain of its frames explicitly and resumes
// the innermost one from a loop, so nesting and looping cost no native stack, in any build.
#pragma once

#include <bit>
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <asyncio/detail/compiler.hpp>
#include <asyncio/detail/thread_state.hpp>
#include <asyncio/exceptions.hpp>

namespace asyncio::inline v1 {

template <class T = void>
class Coroutine;

namespace detail {

class TaskBase;

/// A link in a task's chain of frames: the part of every promise that does not depend on T. There is
/// one for each call that waits, so it is small: what only the innermost frame needs, such as the
/// exception that leaves it, is the task's.
class Frame {
 public:
  static void* operator new(std::size_t size) { return allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { deallocate(memory, size); }

  InitialSuspend<Frame> initial_suspend() noexcept { return InitialSuspend<Frame>(*this); }
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
      frame.promise().leave();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
#if defined(__GNUC__) && !defined(__clang__)
  // The place as the compiler has it, a pointer: an object would take room in the frame.
  template <class A>
  decltype(auto) await_transform(A&& awaitable,
                                 const void* place = __builtin_source_location()) noexcept {
    where = std::bit_cast<std::source_location>(place);
#else
  template <class A>
  decltype(auto) await_transform(
      A&& awaitable, std::source_location place = std::source_location::current()) noexcept {
    where = place;
#endif
    return pass_awaitable(static_cast<A&&>(awaitable));
  }
  /// What the body threw: its caller throws it on, or it is the task's end.
  void unhandled_exception() noexcept;

  /// Makes this frame, not started yet, the innermost one of the running task, for `caller`.
  void enter(Frame& caller) noexcept;
  /// The frame is finished: its caller goes on, or the task is at its end.
  void leave() noexcept;
  /// Destroys the coroutine with all that it owns, and the frames it awaits with it.
  void destroy() noexcept { handle().destroy(); }
  /// Destroys the suspended innermost frame of an abandoned task, ahead of the caller that owns it:
  /// a caller that destroyed it would need native stack for every level. The caller, next to be
  /// destroyed, begins with what it awaits.
  void destroy_ahead() noexcept {
    destroy();
    gone_ = this;
  }
  /// Asked by its owner: is it destroyed already?
  static bool gone(const Frame* frame) noexcept {
    if (frame != gone_) [[likely]]
      return false;
    gone_ = nullptr;
    return true;
  }

  /// The frame is where every promise begins, and a promise has its place in the coroutine.
  std::coroutine_handle<> handle() noexcept {
    return std::coroutine_handle<Frame>::from_promise(*this);
  }
  /// The one that runs. A frame is asked for it only while it is awaited, or awaits.
  static TaskBase& task() noexcept;

  Frame* caller = nullptr;     // the frame that awaits this one; null for a task's outermost
  std::source_location where;  // the co_await it has come to; at first, the coroutine itself

  /// Nobody is going to ask any more.
  static void forget_gone() noexcept { gone_ = nullptr; }

 protected:
  Frame() noexcept {
    if (gone_ == this) [[unlikely]]  // this one is new
      forget_gone();
  }
  ~Frame() = default;

 private:
#if defined(__GNUC__) && !defined(_WIN32)
  [[gnu::tls_model("initial-exec")]]
#endif
  static constinit thread_local const Frame* gone_;
};

/// Are the promises with a T where Frame::handle() expects them?
template <class T>
inline constexpr bool has_plain_alignment = alignof(T) <= 2 * sizeof(void*);

template <class T>
class Promise final : public Frame {
 public:
  static_assert(has_plain_alignment<T>,
                "asyncio: compilers misplace what is aligned beyond 16 bytes in a coroutine; "
                "return a std::unique_ptr of it");

  Promise() noexcept {}
  Coroutine<T> get_return_object() noexcept;

  template <class U = T>
    requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    result_.emplace(std::forward<U>(value));
  }
  /// The coroutine has returned.
  T take_result() { return std::move(*result_); }

 private:
  std::optional<T> result_;
};

template <>
class Promise<void> final : public Frame {
 public:
  Promise() noexcept {}
  Coroutine<void> get_return_object() noexcept;

  void return_void() const noexcept {}
  void take_result() const noexcept {}
};

/// Owns a frame that was never started, is suspended, or has ended.
template <class T>
class FrameOwner {
 public:
  constexpr FrameOwner() noexcept = default;
  explicit FrameOwner(Promise<T>& promise) noexcept : frame_(&promise) {}
  FrameOwner(FrameOwner&& other) noexcept : frame_(other.release()) {}
  FrameOwner& operator=(FrameOwner&& other) noexcept {
    FrameOwner taken(std::move(other));
    std::swap(frame_, taken.frame_);
    return *this;
  }
  ~FrameOwner() { reset(); }

  void reset() noexcept {
    Promise<T>* const frame = release();
    if (frame && !Frame::gone(frame)) frame->destroy();
  }
  Promise<T>* release() noexcept { return std::exchange(frame_, nullptr); }
  Promise<T>* operator->() const noexcept { return frame_; }
  Promise<T>& operator*() const noexcept { return *frame_; }
  explicit operator bool() const noexcept { return frame_ != nullptr; }

 private:
  Promise<T>* frame_ = nullptr;
};

/// RuntimeError "cannot reuse already awaited coroutine"; also of what is used up as a coroutine is.
[[noreturn]] void throw_reused();

template <class T>
class CoroutineAwaiter {
 public:
  [[gnu::always_inline]] explicit CoroutineAwaiter(FrameOwner<T> frame)
      : frame_(std::move(frame)) {
    if (!frame_) [[unlikely]]
      throw_reused();
  }
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> caller) noexcept {
    frame_->enter(caller.promise());
  }
  T await_resume();

 private:
  FrameOwner<T> frame_;
};

/// Says on the logger "asyncio" that a coroutine goes without having run.
void report_never_awaited(const Frame& frame) noexcept;
/// `<KIND object f at 0x7f...>`; without a frame `<KIND object closed>`.
std::string frame_repr(const char* kind, const Frame* frame);

}  // namespace detail

/// The coroutine object. Awaiting it, or making it a task, uses it up; a second time is
/// RuntimeError "cannot reuse already awaited coroutine" (rule 50). Destroying one that was not
/// used destroys its parameters, and is a warning on the logger "asyncio", as in Python: "coroutine
/// 'f' was never awaited". An exception of the body comes out of co_await. Cancelling the task that
/// awaits it throws CancelledError at the innermost await.
template <class T>
class [[nodiscard("a coroutine does nothing until it is awaited or made a task")]] Coroutine {
 public:
  using value_type = T;
  using promise_type = detail::Promise<T>;

  Coroutine(Coroutine&&) noexcept = default;
  Coroutine& operator=(Coroutine&& other) noexcept {
    const Coroutine former(std::move(*this));
    frame_ = std::move(other.frame_);
    return *this;
  }
  [[gnu::always_inline]] ~Coroutine() {
    if (frame_) [[unlikely]]
      detail::report_never_awaited(*frame_);
  }

  /// Destroys it unawaited, without a word about it. Python: coro.close().
  void close() noexcept { frame_.reset(); }
  /// Was it not used yet?
  explicit operator bool() const noexcept { return bool(frame_); }
  /// Python's repr: `<coroutine object f at 0x7f...>`.
  friend std::string to_string(const Coroutine& coroutine) {
    return detail::frame_repr("coroutine", coroutine.frame_ ? &*coroutine.frame_ : nullptr);
  }

  [[gnu::always_inline]] detail::CoroutineAwaiter<T> operator co_await() & {
    return detail::CoroutineAwaiter<T>(std::move(frame_));
  }
  [[gnu::always_inline]] detail::CoroutineAwaiter<T> operator co_await() && {
    return detail::CoroutineAwaiter<T>(std::move(frame_));
  }

  /// For tasks: the frame itself.
  detail::FrameOwner<T> release() && {
    if (!frame_) detail::throw_reused();
    return std::move(frame_);
  }

 private:
  friend detail::Promise<T>;
  explicit Coroutine(detail::Promise<T>& promise) noexcept : frame_(promise) {}
  detail::FrameOwner<T> frame_;
};

namespace detail {

template <class T>
Coroutine<T> Promise<T>::get_return_object() noexcept {
  return Coroutine<T>(*this);
}
inline Coroutine<void> Promise<void>::get_return_object() noexcept {
  return Coroutine<void>(*this);
}

}  // namespace detail
}  // namespace asyncio::inline v1
