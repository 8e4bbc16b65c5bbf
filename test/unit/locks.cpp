// SPDX-License-Identifier: BSL-1.0
//
// Lock (surface SY, rules 83-86, B2).
#include <asyncio/locks.hpp>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// Takes the lock, notes its name, and gives the lock back after so many passes.
Coroutine<> holder(Lock lock, Lines& log, std::string name, int passes = 1) {
  const auto guard = co_await lock.scoped();
  log.push_back(name);
  while (passes-- != 0) co_await asyncio::sleep(0);
}

/// The repr without the address.
std::string shape(std::string repr) {
  const auto at = repr.find(" at 0x");
  if (at == std::string::npos) return repr;
  return repr.erase(at + 3, repr.find(' ', at + 4) - at - 3);
}

// What Python refuses at run time, with a TypeError, does not compile.
template <class... Primitive>
constexpr bool takes_no_loop_and_is_not_awaitable =
    ((!std::is_constructible_v<Primitive, EventLoop&> && !Awaitable<Primitive>)&&...);
static_assert(takes_no_loop_and_is_not_awaitable<Lock, Event, Condition, Semaphore,
                                                 BoundedSemaphore, Barrier>);

}  // namespace

BOOST_AUTO_TEST_SUITE(locks_tests)

BOOST_AUTO_TEST_CASE(b2_a_free_lock_takes_no_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    const Ending end = co_await ending(lock.acquire());
    BOOST_TEST(end.passes == 0u);
    BOOST_TEST(lock.locked());
    lock.release();
    const bool acquired = co_await lock.acquire();
    BOOST_TEST(acquired);
    lock.release();
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(nothing_happens_before_the_await) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    (void)lock.acquire();
    auto later = lock.acquire();
    BOOST_TEST(!lock.locked());
    co_await std::move(later);
    BOOST_TEST(lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(b2_the_hand_over_takes_one_pass) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    std::uint64_t acquired = 0;
    const auto waiter = create_task([&]() -> Coroutine<bool> {
      const bool got_it = co_await lock.acquire();
      acquired = loop.passes();
      co_return got_it;
    });
    co_await asyncio::sleep(0);
    const auto released = loop.passes();
    lock.release();
    BOOST_TEST(!lock.locked(), "rule 84: the waiter takes it when it runs");
    const bool got_it = co_await waiter;
    BOOST_TEST(got_it);
    BOOST_TEST(acquired - released == 1u);
    BOOST_TEST(lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(a_guard_releases_at_the_end_of_its_scope) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    {
      const auto guard = co_await lock.scoped();
      BOOST_TEST(lock.locked());
    }
    BOOST_TEST(!lock.locked());
    {
      auto guard = co_await lock.scoped();
      const auto other = std::move(guard);
      BOOST_TEST(lock.locked());
    }
    BOOST_TEST(!lock.locked());
    {
      const Lock other;
      auto guard = co_await lock.scoped();
      auto of_other = co_await other.scoped();
      guard = std::move(of_other);  // gives up what it held
      BOOST_TEST(!lock.locked());
      BOOST_TEST(other.locked());
    }
    {
      const auto guard = co_await lock.scoped();
      lock.release();  // by hand; the guard has nothing left to do
    }
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(a_guard_releases_when_the_scope_is_left_by_an_exception) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    const auto body = [&]() -> Coroutine<> {
      const auto guard = co_await lock.scoped();
      throw ValueError("x");
    };
    const Ending end = co_await ending(body());
    BOOST_TEST(end.what() == "ValueError('x')");
    BOOST_TEST(!lock.locked());
  });
}

using Scoped = std::tuple<Lock, Condition, Semaphore, BoundedSemaphore>;
BOOST_AUTO_TEST_CASE_TEMPLATE(scoped_holds_each_of_them_across_suspensions, Primitive, Scoped) {
  Loop loop;
  const Primitive primitive;
  loop.run([&]() -> Coroutine<> {
    {
      const auto guard = co_await primitive.scoped();
      BOOST_TEST(primitive.locked());
      co_await asyncio::sleep(1);
      BOOST_TEST(primitive.locked());
    }
    BOOST_TEST(!primitive.locked());
  });
}

BOOST_AUTO_TEST_CASE(rule_83_waiters_are_served_in_the_order_of_arrival) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await gather(holder(lock, log, "a"), holder(lock, log, "b"), holder(lock, log, "c"),
                    holder(lock, log, "d"));
    BOOST_TEST(!lock.locked());
  });
  BOOST_TEST(log == Lines({"a", "b", "c", "d"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_84_between_release_and_hand_over_nobody_overtakes) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    const auto waiter = create_task(holder(lock, log, "waiter"));
    co_await asyncio::sleep(0);
    lock.release();
    BOOST_TEST(!lock.locked());
    const Ending end = co_await ending(holder(lock, log, "newcomer"));
    BOOST_TEST(end.passes > 0u);
    co_await waiter;
  });
  BOOST_TEST(log == Lines({"waiter", "newcomer"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_84_if_all_waiters_are_cancelled_a_free_lock_is_taken_at_once) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    Lines log;
    co_await lock.acquire();
    const auto waiter = create_task(holder(lock, log, "waiter"));
    co_await asyncio::sleep(0);
    waiter.cancel();  // its place in the line is cancelled now, it leaves in the next pass
    lock.release();
    const Ending end = co_await ending(lock.acquire());
    BOOST_TEST(end.passes == 0u);
    lock.release();
    co_await ending(waiter);
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(rule_85_a_cancelled_waiter_leaves_the_line) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    const auto a = create_task(holder(lock, log, "a", 3));
    const auto b = create_task(holder(lock, log, "b"));
    const auto c = create_task(holder(lock, log, "c"));
    co_await asyncio::sleep(0);
    b.cancel();
    const Ending end = co_await ending(b);
    BOOST_TEST(end.what() == "CancelledError()");
    co_await c;
    BOOST_TEST(a.done());
    BOOST_TEST(!lock.locked());
  });
  BOOST_TEST(log == Lines({"a", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_85_one_that_is_cancelled_after_it_was_chosen_wakes_the_next) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    const auto b = create_task(holder(lock, log, "b"));
    const auto c = create_task(holder(lock, log, "c"));
    co_await asyncio::sleep(0);
    lock.release();  // b is chosen
    b.cancel();
    const Ending end = co_await ending(b);
    BOOST_TEST(end.what() == "CancelledError()");
    co_await c;
    BOOST_TEST(!lock.locked());
  });
  BOOST_TEST(log == Lines({"c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_85_a_release_that_meets_a_cancelled_waiter_wakes_one_other) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    const auto b = create_task(holder(lock, log, "b"));
    const auto c = create_task(holder(lock, log, "c", 9));
    const auto d = create_task(holder(lock, log, "d"));
    co_await asyncio::sleep(0);
    b.cancel();
    lock.release();
    const Ending end = co_await ending(b);
    BOOST_TEST(end.what() == "CancelledError()");
    co_await asyncio::sleep(0);
    BOOST_TEST(log == Lines({"c"}), boost::test_tools::per_element());
    BOOST_TEST(shape(to_string(lock)) == "<asyncio.locks.Lock object at [locked, waiters:1]>");
    co_await d;
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(rule_85_one_that_is_cancelled_while_the_lock_is_held_wakes_nobody) {
  Loop loop;
  Lines log;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    const auto b = create_task(holder(lock, log, "b"));
    const auto c = create_task(holder(lock, log, "c"));
    co_await asyncio::sleep(0);
    b.cancel();
    co_await ending(b);
    co_await asyncio::sleep(0);
    BOOST_TEST(log == Lines());
    lock.release();
    co_await c;
  });
}

BOOST_AUTO_TEST_CASE(rule_86_any_task_may_release) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    co_await create_task([&]() -> Coroutine<> {
      lock.release();
      co_return;
    });
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(rule_86_it_is_not_recursive) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    co_await lock.acquire();
    const Ending end = co_await ending(wait_for(lock.acquire(), 1));
    BOOST_TEST(end.what() == "TimeoutError()");
    lock.release();
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(releasing_a_free_lock_is_a_runtime_error) {
  const Lock lock;
  BOOST_TEST(thrown_by([&] { lock.release(); }) == "RuntimeError('Lock is not acquired.')");
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_lock) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    const Lock copy = lock;
    co_await lock.acquire();
    BOOST_TEST(copy.locked());
    copy.release();
    BOOST_TEST(!lock.locked());
  });
}

BOOST_AUTO_TEST_CASE(rule_83_it_belongs_to_the_first_loop_in_which_somebody_waited) {
  const Lock lock;
  Lines log;
  Loop first;
  Loop second;
  first.run([&]() -> Coroutine<> { co_await lock.acquire(); });
  lock.release();
  // Nobody had to wait yet.
  second.run([&]() -> Coroutine<> {
    co_await lock.acquire();
    const auto waiter = create_task(holder(lock, log, "waiter"));
    co_await asyncio::sleep(0);
    lock.release();
    co_await waiter;
  });
  first.run([&]() -> Coroutine<> {
    co_await lock.acquire();  // still without waiting
    const Ending end = co_await ending(lock.acquire());
    BOOST_TEST(shape(end.what()) == "RuntimeError('<asyncio.locks.Lock object at [locked]> is "
                                    "bound to a different event loop')");
    lock.release();
  });
}

BOOST_AUTO_TEST_CASE(it_is_printed_as_in_python) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const Lock lock;
    Lines log;
    BOOST_TEST(shape(to_string(lock)) == "<asyncio.locks.Lock object at [unlocked]>");
    co_await lock.acquire();
    BOOST_TEST(shape(to_string(lock)) == "<asyncio.locks.Lock object at [locked]>");
    const auto waiter = create_task(holder(lock, log, "waiter"));
    co_await asyncio::sleep(0);
    BOOST_TEST(shape(to_string(lock)) == "<asyncio.locks.Lock object at [locked, waiters:1]>");
    lock.release();
    BOOST_TEST(shape(to_string(lock)) == "<asyncio.locks.Lock object at [unlocked, waiters:1]>");
    co_await waiter;
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_one_of_them_is_cancelled) {
  for (int victim = 0; victim != 3; ++victim) {
    BOOST_TEST_CONTEXT("victim " << victim) {
      Lines log;
      cancel_everywhere([victim, &log](Loop&) -> Coroutine<> {
        const Lock lock;
        const std::vector tasks{create_task(holder(lock, log, "a", 2)),
                                create_task(holder(lock, log, "b", 2)),
                                create_task(holder(lock, log, "c", 2))};
        std::exception_ptr error;
        try {
          co_await tasks[victim];
        } catch (const CancelledError&) {
          error = std::current_exception();
        }
        co_await asyncio::wait(tasks);
        BOOST_TEST(!lock.locked());
        for (std::size_t i = 0; i != tasks.size(); ++i)
          BOOST_TEST((static_cast<int>(i) == victim || !tasks[i].cancelled()));
        if (error) std::rethrow_exception(error);
      });
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
