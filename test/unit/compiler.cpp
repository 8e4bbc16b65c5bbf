// SPDX-License-Identifier: BSL-1.0
//
// The checks of detail/compiler.hpp: what they let pass, and the report on a miscompiled coroutine.
// Wrong uses that must not compile are in test/compiler/refuse_*.cpp.
#include <asyncio/detail/compiler.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace {

namespace detail = asyncio::detail;

class Base {
 public:
  auto initial_suspend() noexcept { return detail::InitialSuspend(*this); }
  std::suspend_always final_suspend() noexcept { return {}; }
  void return_void() {}
  void unhandled_exception() {}

  std::source_location where;
};

class Lazy {
 public:
  struct First {
    long padding = 0;
  };
  struct promise_type : First, Base {
    Lazy get_return_object() { return Lazy(Handle::from_promise(*this)); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Lazy(Handle handle) : handle_(handle) {}
  Lazy(const Lazy&) = delete;
  ~Lazy() { handle_.destroy(); }

  void run() {
    while (!handle_.done()) handle_.resume();
  }

 private:
  Handle handle_;
};

class Later {
 public:
  explicit Later(bool value) : value_(value) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const {}
  bool await_resume() const { return value_; }

 private:
  bool value_;
};

int entered = 0;

Lazy bare_condition() {
  // The house rule is broken on purpose.
  if (co_await Later(true)) ++entered;  // coroutine-lint: allow(bare-condition) what is tested
}

Lazy declared_condition() {
  if (bool ok = co_await Later(true); ok) ++entered;
}

/// Its copy runs a whole coroutine between the allocation of a frame and the making of its promise.
class Busy {
 public:
  Busy() = default;
  Busy(const Busy&) { declared_condition().run(); }
};

Lazy busy_parameter(Busy) {
  if (bool ok = co_await Later(true); ok) ++entered;
}

struct Outcome {
  int status;
  std::string errors;
};

/// Runs `function` in a child; its exit status is what `function` returns.
template <class Function>
Outcome in_child(Function function) {
  int ends[2];
  BOOST_REQUIRE_EQUAL(::pipe(ends), 0);
  const pid_t child = ::fork();
  BOOST_REQUIRE_GE(child, 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::_exit(function());
  }
  ::close(ends[1]);
  Outcome outcome{};
  char buffer[512];
  for (ssize_t count; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    outcome.errors.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  BOOST_REQUIRE_EQUAL(::waitpid(child, &outcome.status, 0), child);
  return outcome;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

class Constructed {
 public:
  explicit Constructed(std::string text) : text_(std::move(text)) {}

 private:
  std::string text_;
};

class Announced : public Constructed {
 public:
  using Constructed::Constructed;
  Announced(int);
};

struct OwningAggregate {
  std::string text;
};

struct Options {
  std::string_view host = "localhost";
  std::optional<int> port = {};
  const void* ssl = nullptr;
};

}  // namespace

template <>
inline constexpr bool asyncio::has_constructor<Announced> = true;

BOOST_AUTO_TEST_SUITE(compiler_tests)

BOOST_AUTO_TEST_CASE(callables_that_own_nothing_may_be_inline) {
  int number = 1;
  auto by_reference = [&] { return number; };
  auto by_value = [number] { return number; };
  BOOST_TEST(detail::inline_callable<decltype(by_reference)>);
  BOOST_TEST(detail::inline_callable<decltype(by_value)>);
  BOOST_TEST((detail::inline_callable<void (*)()>));
  BOOST_TEST((detail::inline_callable<void (&)()>));
}

BOOST_AUTO_TEST_CASE(named_callables_may_own) {
  auto owning = [owned = std::string()] { return owned; };
  BOOST_TEST(detail::inline_callable<decltype(owning)&>);
  BOOST_TEST(detail::inline_callable<const decltype(owning)&>);
}

BOOST_AUTO_TEST_CASE(inline_closures_that_own_are_refused_where_they_are_destroyed_twice) {
  auto owning = [owned = std::string()] { return owned; };
  constexpr bool bites = ASYNCIO_COROUTINES_BITE;
  BOOST_TEST(detail::inline_callable<decltype(owning)> == !bites);
  BOOST_TEST(detail::inline_callable<decltype(owning)&&> == !bites);
  BOOST_TEST(detail::inline_callable<const decltype(owning)> == !bites);
  BOOST_TEST(detail::inline_callable<OwningAggregate> == !bites);
}

BOOST_AUTO_TEST_CASE(classes_with_constructors_may_be_inline) {
  BOOST_TEST(detail::inline_callable<std::function<void()>>);
  BOOST_TEST(detail::inline_callable<const std::function<void()>>);
  BOOST_TEST(detail::inline_callable<std::reference_wrapper<std::string>>);
  BOOST_TEST(detail::inline_callable<Announced>);
  constexpr bool bites = ASYNCIO_COROUTINES_BITE;
  BOOST_TEST(detail::inline_callable<Constructed> == !bites);  // nobody announced it
}

BOOST_AUTO_TEST_CASE(awaitables_may_be_inline_unless_they_are_owning_aggregates) {
  constexpr bool bites = ASYNCIO_COROUTINES_BITE;
  BOOST_TEST(detail::inline_awaitable<Constructed>);
  BOOST_TEST(detail::inline_awaitable<std::suspend_always>);
  BOOST_TEST(detail::inline_awaitable<OwningAggregate&>);
  BOOST_TEST(detail::inline_awaitable<OwningAggregate> == !bites);
}

BOOST_AUTO_TEST_CASE(options_are_trivially_copyable_aggregates_on_every_compiler) {
  BOOST_TEST(detail::inline_options<Options>);
  BOOST_TEST(!detail::inline_options<OwningAggregate>);
  BOOST_TEST(!detail::inline_options<Constructed>);
}

BOOST_AUTO_TEST_CASE(the_first_suspension_makes_a_coroutine_lazy) {
  entered = 0;
  Lazy coroutine = declared_condition();
  BOOST_TEST(entered == 0);
  coroutine.run();
  BOOST_TEST(entered == 1);
}

BOOST_AUTO_TEST_CASE(coroutines_created_for_parameters_do_not_disturb_the_check) {
  entered = 0;
  Busy busy;
  busy_parameter(busy).run();
  BOOST_TEST(entered >= 2);
}

BOOST_AUTO_TEST_CASE(a_miscompiled_coroutine_is_reported_when_it_is_called) {
  // The report comes before the coroutine is resumed; a compiler without the fault just returns.
  const Outcome called = in_child([] {
    bare_condition();
    return 0;
  });
  if (called.status == 0) {
    entered = 0;
    bare_condition().run();
    BOOST_TEST(entered == 1);
    return;
  }
  BOOST_TEST(ASYNCIO_COROUTINES_BITE == 1);
  BOOST_REQUIRE(WIFSIGNALED(called.status));
  BOOST_TEST(WTERMSIG(called.status) == SIGABRT);
  BOOST_TEST(contains(called.errors, "compiler.cpp:"), called.errors);
  BOOST_TEST(contains(called.errors, "if (bool ok = co_await x(); ok)"), called.errors);
}

BOOST_AUTO_TEST_CASE(the_report_names_the_place_and_the_remedy_and_aborts) {
  const Outcome reported =
      in_child([]() -> int { detail::report_miscompiled_coroutine("somewhere.cpp", 42); });
  BOOST_REQUIRE(WIFSIGNALED(reported.status));
  BOOST_TEST(WTERMSIG(reported.status) == SIGABRT);
  BOOST_TEST(contains(reported.errors, "somewhere.cpp:42:"), reported.errors);
  BOOST_TEST(contains(reported.errors, "if (bool ok = co_await x(); ok)"), reported.errors);
}

BOOST_AUTO_TEST_SUITE_END()
