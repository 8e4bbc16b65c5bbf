// SPDX-License-Identifier: BSL-1.0
// One table: every completion token × how it ends × where the loop and its user live × what is
// waited for.
#include <asyncio/asio.hpp>
#include <asyncio/wait.hpp>

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <tuple>

#include "asio_homes.hpp"
#include "sanitized.hpp"

namespace asio = boost::asio;
using namespace asyncio;
using namespace asio_homes;

namespace {

enum class When { success, error, before_first_step, during, at_completion, after };

struct Row {
  When when;
  const char* name;
  const char* expected;
};
constexpr std::array rows{
    Row{When::success, "success", "42"},
    Row{When::error, "error", "ValueError('x')"},
    Row{When::before_first_step, "cancelled before the first step", "operation_aborted"},
    Row{When::during, "cancelled during", "operation_aborted"},
    Row{When::at_completion, "cancelled at completion", "42"},
    Row{When::after, "cancelled after", "42"},
};

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& caught) {
    return caught.code() == asio::error::operation_aborted ? "operation_aborted" : caught.what();
  } catch (...) {
    return repr(error);
  }
}

/// What one cell of the table is played with.
class Stage {
 public:
  Stage(Home& home, bool any_thread, When how)
      : loop(home.loop()),
        caller(home.caller()),
        initiator(any_thread ? caller : loop.get_executor()),
        executor(loop.get_executor()),
        when(how) {}

  /// Cancels, where the handler runs.
  void emit() {
    asio::dispatch(executor, [this] { signal.emit(asio::cancellation_type::terminal); });
  }
  /// The same; returns when it is done.
  void emit_and_wait() {
    std::latch done(1);
    asio::dispatch(executor, [&] {
      signal.emit(asio::cancellation_type::terminal);
      done.count_down();
    });
    done.wait();
  }
  auto slot() { return signal.slot(); }
  /// What a handler is called with.
  void end(const std::exception_ptr& error, int value) {
    end(error ? text_of(error) : std::to_string(value));
  }
  void end(std::string how) {
    ending = std::move(how);
    if (when == When::after) signal.emit(asio::cancellation_type::terminal);
    ++endings;
  }
  bool ended() const {
    if (!begun) return false;
    return future.valid() ? future.wait_for(std::chrono::seconds(0)) == std::future_status::ready
                          : endings != 0;
  }

  EventLoop& loop;
  const asio::any_io_executor caller;
  const asio::any_io_executor initiator;
  asio::any_io_executor executor;  // the handler's
  const When when;
  asio::cancellation_signal signal;
  std::future<int> future;  // of use_future
  bool ends_with_the_frame = false;
  std::atomic<bool> begun = false;  // by the initiator
  bool started = false;             // by the loop
  std::string ending;
  std::atomic<int> endings = 0;
};

/// Lives as long as the coroutine's frame.
class Presence {
 public:
  explicit Presence(Stage& stage) : stage_(&stage) { ++alive; }
  Presence(Presence&& other) noexcept
      : ending(std::move(other.ending)), stage_(std::exchange(other.stage_, nullptr)) {}
  ~Presence() {
    if (!stage_) return;
    --alive;
    if (stage_->ends_with_the_frame) stage_->end(ending);
  }
  static inline std::atomic<int> alive = 0;
  std::string ending = "operation_aborted";

 private:
  Stage* stage_;
};

Coroutine<int> play(Stage& stage, Presence presence) {
  stage.started = true;
  co_await asyncio::sleep(0);
  switch (stage.when) {
    case When::error: presence.ending = "ValueError('x')"; throw ValueError("x");
    case When::during: stage.loop.call_soon([&] { stage.emit(); }); [[fallthrough]];
    case When::before_first_step: co_await Future<>(stage.loop); break;
    case When::at_completion: stage.loop.call_soon([&] { stage.emit(); }); break;
    default: break;
  }
  presence.ending = "42";
  co_return 42;
}
Coroutine<int> play(Stage& stage) { return play(stage, Presence(stage)); }

// -- what is waited for: a callable that makes the operation of a token, and in which thread

struct RunCoroutine {
  static constexpr const char* name = "async_run(coroutine)";
  static constexpr bool any_thread = true;
  static auto of(Stage& stage) {
    return [&stage, coroutine = play(stage)](auto&& token) mutable -> decltype(auto) {
      return async_run(stage.loop, std::move(coroutine), std::forward<decltype(token)>(token));
    };
  }
};
struct RunCallable {
  static constexpr const char* name = "async_run(callable)";
  static constexpr bool any_thread = true;
  static auto of(Stage& stage) {
    return [&stage](auto&& token) -> decltype(auto) {
      const auto function = [&stage, presence = std::make_shared<Presence>(stage)] {
        return play(stage, std::move(*presence));
      };
      return async_run(stage.loop, function, std::forward<decltype(token)>(token));
    };
  }
};
struct WaitTask {
  static constexpr const char* name = "Task::async_wait";
  static constexpr bool any_thread = false;
  static auto of(Stage& stage) {
    return [task = stage.loop.create_task(play(stage))](auto&& token) -> decltype(auto) {
      return task.async_wait(std::forward<decltype(token)>(token));
    };
  }
};
struct WaitFuture {
  static constexpr const char* name = "Future::async_wait";
  static constexpr bool any_thread = false;
  static auto of(Stage& stage) {
    Future<int> future(stage.loop);
    const Task<> feeder = stage.loop.create_task(feed(play(stage), future));
    future.add_done_callback([feeder] { feeder.cancel(); });
    return [future](auto&& token) mutable -> decltype(auto) {
      return std::move(future).async_wait(std::forward<decltype(token)>(token));
    };
  }

 private:
  static Coroutine<> feed(Coroutine<int> player, Future<int> future) {
    try {
      const int value = co_await std::move(player);
      future.set_result(value);
    } catch (const ValueError&) {
      future.set_exception(std::current_exception());
    }
  }
};

// -- tokens

struct Callback {
  static constexpr const char* name = "callback";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    initiate(asio::bind_cancellation_slot(
        stage.slot(), [&](std::exception_ptr error, int value) {
          BOOST_TEST(!stage.slot().has_handler());
          stage.end(error, value);
        }));
  }
};

struct UseAwaitable {
  static constexpr const char* name = "use_awaitable";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    stage.executor = stage.initiator;
    asio::co_spawn(stage.executor, await(stage, std::move(initiate)),
                   asio::bind_cancellation_slot(stage.slot(), asio::detached));
  }

 private:
  template <class Initiate>
  static asio::awaitable<void> await(Stage& stage, Initiate initiate) {
    std::exception_ptr error;
    int value = 0;
    try {
      value = co_await initiate(asio::use_awaitable);
    } catch (...) {
      error = std::current_exception();
    }
    stage.end(error, value);
  }
};

struct AsTuple {
  static constexpr const char* name = "as_tuple(use_awaitable)";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    stage.executor = stage.initiator;
    asio::co_spawn(stage.executor, await(stage, std::move(initiate)),
                   asio::bind_cancellation_slot(stage.slot(), asio::detached));
  }

 private:
  template <class Initiate>
  static asio::awaitable<void> await(Stage& stage, Initiate initiate) {
    auto [error, value] = co_await initiate(asio::as_tuple(asio::use_awaitable));
    stage.end(error, value);
  }
};

struct UseFuture {
  static constexpr const char* name = "use_future";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    stage.future = initiate(asio::bind_cancellation_slot(stage.slot(), asio::use_future));
  }
};

struct Deferred {
  static constexpr const char* name = "deferred";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    auto operation = initiate(asio::deferred);
    BOOST_TEST(!stage.slot().has_handler());
    std::move(operation)(asio::bind_cancellation_slot(
        stage.slot(),
        [&](std::exception_ptr error, int value) { stage.end(error, value); }));
  }
};

struct Detached {
  static constexpr const char* name = "detached";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    stage.ends_with_the_frame = true;
    initiate(asio::bind_cancellation_slot(stage.slot(), asio::detached));
  }
};

struct YieldContext {
  static constexpr const char* name = "yield_context";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    stage.executor = stage.initiator;
    asio::spawn(
        stage.executor,
        [&stage, initiate = std::move(initiate)](asio::yield_context yield) mutable {
          std::exception_ptr error;
          int value = 0;
          try {
            value = initiate(yield);
          } catch (const std::exception&) {
            error = std::current_exception();
          }
          stage.end(error, value);
        },
        asio::bind_cancellation_slot(stage.slot(), asio::detached));
  }
};

struct BindExecutor {
  static constexpr const char* name = "bind_executor";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    const auto strand = asio::make_strand(stage.caller);
    stage.executor = strand;
    initiate(asio::bind_cancellation_slot(
        stage.slot(),
        asio::bind_executor(strand, [&stage, strand](std::exception_ptr error, int value) {
          BOOST_TEST(strand.running_in_this_thread());
          stage.end(error, value);
        })));
  }
};

struct AllocationCount {
  int blocks = 0;  // not given back yet
  int taken = 0;
};
template <class T>
class CountingAllocator {
 public:
  using value_type = T;
  explicit CountingAllocator(AllocationCount& count) noexcept : count_(&count) {}
  template <class U>
  CountingAllocator(const CountingAllocator<U>& other) noexcept : count_(&other.count()) {}

  T* allocate(std::size_t n) {
    ++count_->blocks;
    ++count_->taken;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, std::size_t n) noexcept {
    --count_->blocks;
    std::allocator<T>().deallocate(memory, n);
  }
  AllocationCount& count() const noexcept { return *count_; }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) = default;

 private:
  AllocationCount* count_;
};

struct BindAllocator {
  static constexpr const char* name = "bind_allocator";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    const auto count = std::make_shared<AllocationCount>();
    initiate(asio::bind_cancellation_slot(
        stage.slot(), asio::bind_allocator(CountingAllocator<int>(*count),
                                           [&stage, count](std::exception_ptr error, int value) {
                                             BOOST_TEST(count->taken != 0);
                                             BOOST_TEST(count->blocks == 0);
                                             stage.end(error, value);
                                           })));
  }
};

/// There is no error_code to redirect: everything comes as without it.
struct RedirectError {
  static constexpr const char* name = "redirect_error";
  template <class Initiate>
  static void begin(Stage& stage, Initiate initiate) {
    static boost::system::error_code untouched;
    const auto handler = [&](std::exception_ptr error, int value) {
      BOOST_TEST(!untouched);
      stage.end(error, value);
    };
    initiate(asio::redirect_error(asio::bind_cancellation_slot(stage.slot(), handler), untouched));
  }
};

// A Boost.Context that was not built for it does not tell the sanitizers of its stacks, and they
// stop at the first exception on one.
using Tokens = boost::mp11::mp_append<
    boost::mp11::mp_list<Callback, UseAwaitable, AsTuple, UseFuture, Deferred, Detached,
                         BindExecutor, BindAllocator, RedirectError>,
    std::conditional_t<address_sanitized || thread_sanitized, boost::mp11::mp_list<>,
                       boost::mp11::mp_list<YieldContext>>>;

// -- the table

/// "Before the first step" is for sure if the loop waits until the cancellation was emitted, unless
/// that comes from elsewhere for a task that the loop has already.
template <class Source, class Token>
void begin(Stage& stage) {
  const bool elsewhere = stage.initiator != stage.loop.get_executor();
  const bool before = stage.when == When::before_first_step;
  const auto start = [&stage] {
    Token::begin(stage, Source::of(stage));
    stage.begun = true;
  };
  if (elsewhere && before) {
    const auto emitted = std::make_shared<std::latch>(1);
    asio::post(stage.loop.get_executor(), [emitted] { emitted->wait(); });
    asio::post(stage.initiator, [&stage, start, emitted] {
      start();
      stage.emit();
      emitted->count_down();
    });
  } else {
    asio::post(stage.initiator, [&stage, start, before] {
      start();
      if (before) stage.emit_and_wait();
    });
  }
}

template <class Source, class Token>
void play_cell(Home& home, const Row& row) {
  Stage stage(home, Source::any_thread, row.when);
  begin<Source, Token>(stage);
  home.run([&] { return stage.ended(); });
  if (stage.future.valid()) {
    try {
      stage.end(nullptr, stage.future.get());
    } catch (...) {
      stage.end(std::current_exception(), 0);
    }
  }
  BOOST_TEST(stage.ending == row.expected);
  BOOST_TEST(stage.endings == 1);
  const bool surely_before = Source::any_thread || stage.executor == stage.loop.get_executor();
  if (row.when == When::before_first_step && surely_before && !std::is_same_v<Source, WaitFuture>)
    BOOST_TEST(!stage.started);
  BOOST_TEST(Presence::alive == 0);
}

using Sources = boost::mp11::mp_list<RunCoroutine, RunCallable, WaitTask, WaitFuture>;

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_async_run_tokens_tests)

BOOST_AUTO_TEST_CASE_TEMPLATE(every_token_tells_how_it_ended_exactly_once, Source, Sources) {
  boost::mp11::mp_for_each<Tokens>([](auto token) {
    using Token = decltype(token);
    for (const Kind& kind : kinds) {
      for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(Source::name << ", " << Token::name << ", " << row.name << ", "
                                        << kind.name) {
          play_cell<Source, Token>(*kind.make(), row);
        }
      }
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
