// SPDX-License-Identifier: BSL-1.0
// One table: every way to await an operation of Asio's × how it ends × where the loop and the other
// side of the operation live. The other side completes the operation and has the task cancelled.
#include <asyncio/asio.hpp>

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/channel_error.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/asyncio.hpp>

#include "asio_homes.hpp"

namespace asio = boost::asio;
using namespace asyncio;
using namespace asio_homes;
using boost::system::error_code;

namespace {

enum class When { success, error, before, during, at_completion, after };

struct Row {
  When when;
  const char* name;
};
constexpr std::array rows{
    Row{When::success, "success"},
    Row{When::error, "error"},
    Row{When::before, "cancelled before"},
    Row{When::during, "cancelled during"},
    Row{When::at_completion, "cancelled at completion"},
    Row{When::after, "cancelled after"},
};

// Whoever sends waits for a receiver, so what was sent has completed an operation.
using Channel = use_awaitable_t::as_default_on_t<
    asio::experimental::concurrent_channel<void(error_code, int)>>;

/// Runs a loop in a thread, for as long as it lives.
class LoopInThread {
 public:
  LoopInThread() : thread_([this] { loop.run_forever(); }) {}
  ~LoopInThread() {
    loop.call_soon_threadsafe([this] { loop.stop(); });
    thread_.join();
  }
  EventLoop loop;

 private:
  std::thread thread_;
};

/// What one cell of the table is played with.
struct Scene {
  Scene(Home& home, When how)
      : loop(home.loop()),
        caller(home.caller()),
        when(how),
        channel(loop.get_executor()),
        settled(loop),
        guest(loop.get_io_context()) {}

  // -- the other side

  void act() {
    if (when == When::during) return cancel();
    if (when == When::error) return send(asio::error::connection_reset, 0);
    send({}, 42);
  }
  void send(error_code error, int value) {
    if (ended) return;
    if (!channel.try_send(error, value))
      asio::post(caller, [this, error, value] { send(error, value); });
    else if (when == When::at_completion)
      cancel();
  }
  void cancel() {
    asio::dispatch(loop.get_executor(), [this] {
      request();
      if (!settled.done()) settled.set_result();
    });
  }

  EventLoop& loop;
  const asio::any_io_executor caller;
  const When when;
  Channel channel;
  asio::cancellation_signal signal;
  Task<> task{nullptr};
  std::function<void()> request = [this] { task.cancel(); };
  Future<> settled;  // nobody is going to cancel any more
  std::string ending;
  std::atomic<bool> ended = false;
  EventLoop guest;  // another one
  /// Stays until the home has come to its end: who has sent something to a context may still be at
  /// it when that has been dealt with.
  std::optional<LoopInThread> thread;
};

std::string text_of(const error_code& error, int value) {
  if (!error) return std::to_string(value);
  if (error == asio::experimental::error::channel_cancelled) return "aborted";
  return error == asio::error::connection_reset ? "reset" : error.message();
}
std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& caught) {
    return std::string(dynamic_cast<const OSError*>(&caught) ? "OSError " : "") +
           text_of(caught.code(), 0);
  } catch (const CancelledError&) {
    return "CancelledError";
  } catch (...) {
    return repr(error);
  }
}

/// How the rows of a token end. A task that was cancelled too late learns it with its next await.
struct Endings {
  const char* error = "OSError reset";
  const char* during = "CancelledError";
  const char* at_completion = "42, CancelledError";
  const char* after = "42, CancelledError";

  std::string operator[](When when) const {
    switch (when) {
      case When::error: return error;
      case When::before: return "CancelledError";
      case When::during: return during;
      case When::at_completion: return at_completion;
      case When::after: return after;
      default: return "42";
    }
  }
};

// -- tokens

struct UseAwaitable {
  static constexpr const char* name = "use_awaitable";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    const int value = co_await scene.channel.async_receive(asyncio::use_awaitable);
    co_return std::to_string(value);
  }
};

struct DefaultToken {
  static constexpr const char* name = "the default token";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    const int value = co_await scene.channel.async_receive();
    co_return std::to_string(value);
  }
};

/// The future is cancelled. Too late, that is without effect.
struct UseFuture {
  static constexpr const char* name = "use_future";
  static constexpr Endings endings{.at_completion = "42", .after = "42"};
  static Coroutine<std::string> receive(Scene& scene) {
    const Future<int> future = scene.channel.async_receive(asyncio::use_future);
    scene.request = [future] { future.cancel(); };
    const int value = co_await future;
    co_return std::to_string(value);
  }
};

struct AsTuple {
  static constexpr const char* name = "as_tuple(use_awaitable)";
  static constexpr Endings endings{.error = "reset", .during = "aborted, CancelledError"};
  static Coroutine<std::string> receive(Scene& scene) {
    const auto [error, value] =
        co_await scene.channel.async_receive(asio::as_tuple(asyncio::use_awaitable));
    co_return text_of(error, value);
  }
};

struct RedirectError {
  static constexpr const char* name = "redirect_error";
  static constexpr Endings endings = AsTuple::endings;
  static Coroutine<std::string> receive(Scene& scene) {
    error_code error;
    const int value = co_await scene.channel.async_receive(
        asio::redirect_error(asyncio::use_awaitable, error));
    co_return text_of(error, value);
  }
};

struct BindExecutor {
  static constexpr const char* name = "bind_executor";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    const auto other = asio::make_strand(scene.caller);
    const int value = co_await scene.channel.async_receive(
        asio::bind_executor(other, asyncio::use_awaitable));
    BOOST_TEST((&get_running_loop() == &scene.loop));
    co_return std::to_string(value);
  }
};

std::atomic<int> blocks = 0;  // not given back yet
std::atomic<int> blocks_taken = 0;

template <class T>
class CountingAllocator {
 public:
  using value_type = T;
  CountingAllocator() = default;
  template <class U>
  CountingAllocator(const CountingAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    ++blocks;
    ++blocks_taken;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, std::size_t n) noexcept {
    --blocks;
    std::allocator<T>().deallocate(memory, n);
  }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) = default;
};

struct BindAllocator {
  static constexpr const char* name = "bind_allocator";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    const int before = blocks_taken;
    const int value = co_await scene.channel.async_receive(
        asio::bind_allocator(CountingAllocator<int>(), asyncio::use_awaitable));
    BOOST_TEST(blocks_taken > before);
    BOOST_TEST(blocks == 0);
    co_return std::to_string(value);
  }
};

/// What cancels is not the task, so there is no CancelledError.
struct BindCancellationSlot {
  static constexpr const char* name = "bind_cancellation_slot";
  static constexpr Endings endings{
      .during = "OSError aborted", .at_completion = "42", .after = "42"};
  static Coroutine<std::string> receive(Scene& scene) {
    scene.request = [&scene] { scene.signal.emit(asio::cancellation_type::terminal); };
    const int value = co_await scene.channel.async_receive(
        asio::bind_cancellation_slot(scene.signal.slot(), asyncio::use_awaitable));
    co_return std::to_string(value);
  }
};

struct AwaitableOfAsio {
  static constexpr const char* name = "boost::asio::awaitable";
  static constexpr Endings endings{.error = "reset"};
  static Coroutine<std::string> receive(Scene& scene) {
    const int value = co_await awaitable(scene);
    co_return std::to_string(value);
  }

 private:
  static asio::awaitable<int> awaitable(Scene& scene) {
    const int value = co_await scene.channel.async_receive(asio::use_awaitable);
    co_return value;
  }
};

Coroutine<int> received(Scene& scene) {
  const int value = co_await scene.channel.async_receive(asyncio::use_awaitable);
  co_return value;
}

/// Both ways in one: the operation is a task of another loop, on a strand of the same context.
struct RunInGuestOfTheContext {
  static constexpr const char* name = "async_run(another guest, ..., use_awaitable)";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    const int value = co_await async_run(scene.guest, received(scene), asyncio::use_awaitable);
    co_return std::to_string(value);
  }
};

/// The same with a loop that has a thread and a context of its own.
struct RunInLoopOfThread {
  static constexpr const char* name = "async_run(a loop in a thread, ..., use_awaitable)";
  static constexpr Endings endings{};
  static Coroutine<std::string> receive(Scene& scene) {
    scene.thread.emplace();
    const int value =
        co_await async_run(scene.thread->loop, received(scene), asyncio::use_awaitable);
    co_return std::to_string(value);
  }
};

using Tokens =
    boost::mp11::mp_list<UseAwaitable, DefaultToken, UseFuture, AsTuple, RedirectError,
                         BindExecutor, BindAllocator, BindCancellationSlot, AwaitableOfAsio,
                         RunInGuestOfTheContext, RunInLoopOfThread>;

// -- the table

template <class Token>
Coroutine<> play(Scene& scene) {
  switch (scene.when) {
    case When::before: current_task().cancel(); [[fallthrough]];
    case When::success:
    case When::error: scene.settled.set_result(); [[fallthrough]];
    default: break;
  }
  scene.loop.call_soon([&] {  // it is awaited by then
    if (scene.when != When::before) asio::post(scene.caller, [&] { scene.act(); });
  });
  try {
    scene.ending = co_await Token::receive(scene);
  } catch (...) {
    scene.ending = text_of(std::current_exception());
  }
  if (scene.when == When::after) scene.cancel();
  try {
    co_await scene.settled;
    co_await asyncio::sleep(0);
  } catch (const CancelledError&) {
    scene.ending += ", CancelledError";
  }
  scene.ended = true;
}

/// The task is made, and goes, where the loop runs.
template <class Token>
void play_cell(Home& home, const Row& row) {
  Scene scene(home, row.when);
  asio::post(scene.loop.get_executor(),
             [&] { scene.task = scene.loop.create_task(play<Token>(scene)); });
  home.run([&] { return scene.ended.load(); });
  BOOST_TEST(scene.ending == Token::endings[row.when]);
  BOOST_TEST(blocks == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_operations_tokens_tests)

BOOST_AUTO_TEST_CASE_TEMPLATE(every_token_tells_how_it_ended, Token, Tokens) {
  for (const Kind& kind : kinds) {
    for (const Row& row : rows) {
      BOOST_TEST_CONTEXT(Token::name << ", " << row.name << ", " << kind.name) {
        play_cell<Token>(*kind.make(), row);
      }
    }
  }
}

// The other end of the wait is cancelled: to who awaits it, that is an operation that somebody else
// has aborted.
BOOST_AUTO_TEST_CASE(a_task_that_another_loop_cancels_is_an_error_here) {
  const auto cancels_itself = []() -> Coroutine<int> {
    current_task().cancel();
    co_await asyncio::sleep(0);
    co_return 42;
  };
  for (const Kind& kind : kinds) {
    BOOST_TEST_CONTEXT(kind.name) {
      const std::unique_ptr<Home> home = kind.make();
      EventLoop& loop = home->loop();
      LoopInThread thread;
      EventLoop guest(loop.get_io_context());
      std::array<error_code, 2> errors;
      std::atomic<int> ended = 0;
      const auto waits = [&](EventLoop& other, error_code& error) -> Coroutine<> {
        try {
          co_await async_run(other, cancels_itself(), asyncio::use_awaitable);
        } catch (const boost::system::system_error& caught) {
          error = caught.code();
        }
        ++ended;
      };
      asio::post(loop.get_executor(), [&] {
        loop.create_task(waits, std::ref(guest), std::ref(errors[0]));
        loop.create_task(waits, std::ref(thread.loop), std::ref(errors[1]));
      });
      home->run([&] { return ended == 2; });
      for (const error_code& error : errors) BOOST_TEST(error == asio::error::operation_aborted);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
