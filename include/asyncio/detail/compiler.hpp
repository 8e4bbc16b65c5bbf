// SPDX-License-Identifier: BSL-1.0
//
// What g++ 12 gets wrong about coroutines, turned into errors: at compile time where the types show
// the mistake, otherwise when the miscompiled coroutine is created. On compilers without the faults
// every check of what a *user* may write accepts everything and costs nothing.
//
// g++ 12 destroys a closure, or an aggregate, that owns something twice when it is written inside a
// statement that contains a `co_await`. A function that takes a callable and is awaited in place is
// therefore a template over a forwarding reference, so that it can tell a named callable from a
// temporary, and its body begins with one line:
//
//   template <class Factory>
//   Coroutine<Server> create_server(Factory&& factory, std::string_view host, int port) {
//     static_assert(detail::require_inline_callable<Factory>());
//     ...
//   }
//
// A static_assert is used, not a constraint with a deleted overload: its text says what to do,
// whereas the overload ends in "use of deleted function" and the reader has to open the header.
// Such functions never take `std::function`: the conversion would hide the closure written inline.
//
// Functions whose result is usually not awaited in the same statement (`create_task`, `call_soon`)
// do not carry the line: it would refuse their natural use. cmake/coroutine_lint.py finds those.
#pragma once

#include <bit>
#include <coroutine>
#include <source_location>
#include <type_traits>

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#define ASYNCIO_COROUTINES_BITE 1
#else
#define ASYNCIO_COROUTINES_BITE 0
#endif

namespace asyncio::inline v1 {

/// True for a class whose objects come from its constructors only, and which is therefore safe
/// inside an awaiting statement on g++ 12. Classes that are default constructible and no aggregates
/// (`std::function` is one) are recognised: no closure that owns something is like that. Any other
/// class with a constructor may be announced:
/// `template <> inline constexpr bool asyncio::has_constructor<MyFactory> = true;`
/// Never announce a closure type.
template <class F>
inline constexpr bool has_constructor =
    std::is_class_v<F> && !std::is_aggregate_v<F> && std::is_default_constructible_v<F>;

namespace detail {

/// May an argument deduced as `F` for a parameter `F&&` be written inside an awaiting statement?
/// Yes for anything that has a name (`F` is an lvalue reference), for what needs no destruction
/// (`[&]`, `[this]`, function pointers, captured numbers) and for classes with constructors.
/// `std::move(named)` and `std::bind_front(...)` are refused although they would be safe: their
/// types do not show it.
template <class F>
concept inline_callable =
    std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<std::remove_reference_t<F>> ||
    has_constructor<std::remove_cvref_t<F>> || !ASYNCIO_COROUTINES_BITE;

/// The same question for the operand of `co_await`, deduced as `A` for a parameter `A&&` of
/// `await_transform`. Only aggregates are at risk here, and closures are not awaitable.
template <class A>
concept inline_awaitable =
    std::is_lvalue_reference_v<A> || std::is_trivially_destructible_v<std::remove_reference_t<A>> ||
    !std::is_aggregate_v<std::remove_cvref_t<A>> ||
    !ASYNCIO_COROUTINES_BITE;

/// The same question for the operand of `co_yield`, deduced as `U` for a parameter `U&&` of
/// `yield_value`, where values of type `T` are yielded. A closure is at risk if it is converted to
/// T; an operand that is a T already cannot be a closure written inline.
template <class U, class T>
concept inline_yield = inline_awaitable<U> && (std::is_same_v<U, T> || inline_callable<U>);

/// A struct meant for designated initialisers: it owns nothing. Checked by every compiler, for a
/// struct written with clang must not break its users on g++ 12. The compilers' own words: those of
/// <type_traits> instantiate a dozen classes for every struct that is checked.
template <class O>
concept inline_options = __is_aggregate(O) && __is_trivially_copyable(O);

/// To be written as `static_assert(require_inline_callable<F>());` first in the function's body.
template <class F>
consteval bool require_inline_callable() {
  constexpr bool accepted = inline_callable<F>;  // the bare concept would add notes to the error
  static_assert(accepted,
                "asyncio: g++ 12 destroys a closure that owns something twice when it is written "
                "inside a co_await expression; give it a name in its own statement first and pass "
                "the name");
  return true;
}

/// To be written as `static_assert(require_inline_awaitable<A>());` first in `await_transform`.
template <class A>
consteval bool require_inline_awaitable() {
  constexpr bool accepted = inline_awaitable<A>;
  static_assert(accepted,
                "asyncio: g++ 12 destroys an awaitable aggregate that owns something twice when it "
                "is written after co_await; give the type a constructor, or the object a name in "
                "its own statement first");
  return true;
}

/// To be written as `static_assert(require_inline_yield<U, T>());` first in `yield_value`.
template <class U, class T>
consteval bool require_inline_yield() {
  constexpr bool accepted = inline_yield<U, T>;
  static_assert(accepted,
                "asyncio: g++ 12 destroys an aggregate or a closure that owns something twice when "
                "it is written after co_yield; give the type a constructor, or the object a name "
                "in its own statement first and yield the name");
  return true;
}

/// To be written as `static_assert(require_inline_options<O>());` after the struct's definition.
template <class O>
consteval bool require_inline_options() {
  static_assert(__is_aggregate(O),
                "asyncio: an options struct is written with designated initialisers, so it must be "
                "an aggregate: declare no constructor and no private member");
  static_assert(__is_trivially_copyable(O),
                "asyncio: g++ 12 destroys an options struct with an owning member twice inside a "
                "co_await expression; use string_view, numbers, pointers or optional<number>");
  return true;
}

/// Says on stderr that the coroutine ending near `line` of `file` was miscompiled and how to write
/// it, then aborts.
[[noreturn]] void report_miscompiled_coroutine(const char* file, unsigned line) noexcept;

/// What a promise returns from `initial_suspend`: it always suspends, so the coroutine is lazy. It
/// leaves in the promise's member `where`, a source_location, which coroutine this is.
///
///   auto initial_suspend() noexcept { return detail::InitialSuspend(*this); }
///
/// g++ 12.2 puts a variable of its own in front of the promise when the coroutine awaits in a bare
/// condition and declares nothing, `if (co_await x()) ...`. `from_promise` and `promise()` then
/// miss frame and promise by that distance, and the first resumption runs wild. This awaiter sees
/// it in time: the handle given to the first `await_suspend` carries the frame's true address, and
/// until then the promise keeps its own, in `where`, for an awaiter with a member would take room in
/// every frame. Both belong to one coroutine, so neither allocators nor coroutines created meanwhile
/// disturb the comparison. The report comes when the coroutine is called, before anybody can resume
/// it, whether or not the condition would have been reached.
template <class Promise>
class InitialSuspend {
 public:
  explicit InitialSuspend([[maybe_unused]] Promise& promise) noexcept {
#if ASYNCIO_COROUTINES_BITE
    promise.where = std::bit_cast<std::source_location>(&promise);
#endif
  }

  bool await_ready() const noexcept { return false; }
  /// `Promise` may be a base class of the coroutine's promise type `P`.
  template <class P>
  void await_suspend(std::coroutine_handle<P> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    Promise& promise = frame.promise();
#if ASYNCIO_COROUTINES_BITE
    if (std::bit_cast<Promise*>(promise.where) != &promise) [[unlikely]] {
      report_miscompiled_coroutine(where.file_name(), where.line());
    }
#endif
    promise.where = where;
  }
  void await_resume() const noexcept {}
};

/// Stands for an object that is its own awaiter, of which g++ 12 would await a copy if
/// `await_transform` returned it by reference: `auto s = sleep(1); co_await s;`
template <class Awaiter>
class InPlace {
 public:
  explicit InPlace(Awaiter& awaiter) noexcept : awaiter_(awaiter) {}

  decltype(auto) await_ready() { return awaiter_.await_ready(); }
  template <class P>
  decltype(auto) await_suspend(std::coroutine_handle<P> frame) {
    return awaiter_.await_suspend(frame);
  }
  [[gnu::always_inline]] decltype(auto) await_resume() { return awaiter_.await_resume(); }

 private:
  Awaiter& awaiter_;
};

template <class A>
concept has_co_await = requires(A&& a) { static_cast<A&&>(a).operator co_await(); } ||
                       requires(A&& a) { operator co_await(static_cast<A&&>(a)); };
template <class A>
concept own_awaiter = !has_co_await<A> && requires(A& a) { a.await_ready(); };

/// For awaitables of other libraries, which know nothing of our tasks: a specialisation's static
/// function `adapt(A&)` gives what is awaited in their place. It throws nothing.
template <class A>
struct AwaitableAdapter {};
template <class A>
concept adapted_awaitable =
    requires(A& awaitable) { AwaitableAdapter<std::remove_cvref_t<A>>::adapt(awaitable); };

/// What `await_transform` returns: its argument, or what is awaited in its place.
template <class A>
decltype(auto) pass_awaitable(A&& awaitable) noexcept {
  static_assert(require_inline_awaitable<A>());
  if constexpr (adapted_awaitable<A>)
    return AwaitableAdapter<std::remove_cvref_t<A>>::adapt(awaitable);
  else if constexpr (ASYNCIO_COROUTINES_BITE && own_awaiter<A>)
    return InPlace<std::remove_reference_t<A>>(awaitable);
  else
    return static_cast<A&&>(awaitable);
}

}  // namespace detail
}  // namespace asyncio::inline v1
