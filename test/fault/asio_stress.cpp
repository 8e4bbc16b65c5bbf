// SPDX-License-Identifier: BSL-1.0
//
// A guest on a context that four threads run, used through its documented doors from strands and
// threads of others, which cancel what they have started at any moment: at once, a little later,
// when it is done, never. Each operation ends exactly once, with its value or as cancelled. The
// thread sanitizer build looks at it all.
//
// ASYNCIO_STRESS is the number of operations, 20000 if it is not set.
#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace asyncio;

int operations() {
  const char* const wanted = std::getenv("ASYNCIO_STRESS");
  return wanted ? std::atoi(wanted) : 20000;
}

/// How an operation is spent.
enum class Work { value, yields, timer, timer_of_asio, lock, for_ever, count };

/// Used by all operations, so in the loop's thread only.
struct Shared {
  explicit Shared(asio::io_context& io) : io(io), loop(io) {}
  asio::io_context& io;
  EventLoop loop;
  Lock lock;
  int inside = 0;
};

Coroutine<int> operation(Shared& shared, Work work, int number) {
  switch (work) {
    case Work::yields:
      for (int i = 0; i < number % 4; ++i) co_await asyncio::sleep(0);
      break;
    case Work::timer:
      co_await asyncio::sleep(0.0005);
      break;
    case Work::timer_of_asio: {
      asio::steady_timer timer(shared.io, std::chrono::microseconds(number % 50));
      co_await timer.async_wait(asyncio::use_awaitable);
      break;
    }
    case Work::lock: {
      const LockGuard guard = co_await shared.lock.scoped();
      if (++shared.inside != 1) throw std::logic_error("two hold the lock");
      const struct Leave {
        ~Leave() { --shared.inside; }
        Shared& shared;
      } leave{shared};
      co_await asyncio::sleep(0);
      break;
    }
    case Work::for_ever:
      co_await shared.loop.create_future();
      break;
    default:
      break;
  }
  co_return number;
}

/// Starts one operation after the other, from a strand of its own.
class Client {
 public:
  Client(Shared& shared, unsigned seed, int quota)
      : shared_(shared), strand_(asio::make_strand(shared.io)), random_(seed), left_(quota) {}

  void start() {
    asio::post(strand_, [this] { next(); });
  }

  int values = 0;
  int cancelled = 0;
  int wrong = 0;

 private:
  void next() {
    if (left_ == 0) return;
    const int number = left_--;
    const auto work = static_cast<Work>(random_() % static_cast<unsigned>(Work::count));
    auto done = [this, number](std::exception_ptr error, int value) {
      if (!error)
        value == number ? ++values : ++wrong;
      else if (aborted(error))
        ++cancelled;
      else
        ++wrong;
      next();
    };
    async_run(shared_.loop, operation(shared_, work, number),
              asio::bind_cancellation_slot(signal_.slot(),
                                           asio::bind_executor(strand_, std::move(done))));
    cancel_some_time(work);
  }

  void cancel_some_time(Work work) {
    unsigned steps = random_() % 6;
    if (steps == 5 && work != Work::for_ever) return;
    if (steps == 0)
      signal_.emit(asio::cancellation_type::all);
    else
      cancel_after(steps);
  }
  /// So many turns of the loop and of this strand from now. By then it may be the next operation
  /// that is cancelled.
  void cancel_after(unsigned steps) {
    shared_.loop.call_soon_threadsafe([this, steps] {
      asio::post(strand_, [this, steps] {
        if (steps == 1)
          signal_.emit(asio::cancellation_type::all);
        else
          cancel_after(steps - 1);
      });
    });
  }

  static bool aborted(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const boost::system::system_error& thrown) {
      return thrown.code() == asio::error::operation_aborted;
    } catch (...) {
      return false;
    }
  }

  Shared& shared_;
  asio::strand<asio::io_context::executor_type> strand_;
  asio::cancellation_signal signal_;
  std::minstd_rand random_;
  int left_;
};

void run_in_four_threads(asio::io_context& io) {
  std::vector<std::thread> threads;
  for (int i = 1; i < 4; ++i) threads.emplace_back([&] { io.run(); });
  io.run();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(asio_stress_tests)

BOOST_AUTO_TEST_CASE(operations_cancelled_from_other_strands_end_exactly_once) {
  asio::io_context io;
  Shared shared(io);
  constexpr int count = 16;
  const int quota = operations() / 2 / count;
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<Client>(shared, i + 1, quota));
    clients.back()->start();
  }
  run_in_four_threads(io);
  int values = 0;
  int cancelled = 0;
  for (const auto& client : clients) {
    values += client->values;
    cancelled += client->cancelled;
    BOOST_TEST(client->wrong == 0);
  }
  BOOST_TEST(values + cancelled == quota * count);
  BOOST_TEST(values > 0);
  BOOST_TEST(cancelled > 0);
  BOOST_TEST(all_tasks(shared.loop).empty());
}

BOOST_AUTO_TEST_CASE(operations_cancelled_from_other_threads_end_exactly_once) {
  asio::io_context io;
  Shared shared(io);
  auto work = asio::make_work_guard(io);
  std::atomic<int> values = 0;
  std::atomic<int> cancelled = 0;
  constexpr int count = 3;
  const int quota = operations() / 2 / count;
  const auto client = [&](unsigned seed) {
    std::minstd_rand random(seed);
    for (int number = 0; number < quota; ++number) {
      auto kind = static_cast<Work>(random() % static_cast<unsigned>(Work::for_ever));
      const auto future =
          run_coroutine_threadsafe(operation(shared, kind, number), shared.loop);
      if (random() % 2 == 0) future.cancel();
      try {
        if (future.result() == number) ++values;
      } catch (const CancelledError&) {
        ++cancelled;
      }
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 0; i < count; ++i) others.emplace_back(client, i + 1);
  std::thread end([&] {
    for (std::thread& other : others) other.join();
    work.reset();
  });
  run_in_four_threads(io);
  end.join();
  BOOST_TEST(values + cancelled == quota * count);
  BOOST_TEST(values > 0);
  BOOST_TEST(cancelled > 0);
}

BOOST_AUTO_TEST_SUITE_END()
