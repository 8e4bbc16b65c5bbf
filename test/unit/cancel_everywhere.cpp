// SPDX-License-Identifier: BSL-1.0
//
// A task that uses an object together with others is cancelled at every place where it can be
// suspended: whatever the object promises to the others stays true (rules 64-99). That the task
// itself leaves nothing behind is checked here, and in the tests of each header.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/as_completed.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/taskgroups.hpp>
#include <asyncio/threads.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// Counts who is inside.
class Inside {
 public:
  explicit Inside(int& count) : count_(count) { ++count_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { --count_; }

 private:
  int& count_;
};

template <class Object>
std::string state(const Object& object) {
  const std::string text = to_string(object);
  return text.substr(text.find('['));
}

/// How a piece of work ended, without letting it out; then the body can clean up.
Coroutine<std::exception_ptr> exception_of(Coroutine<> work) {
  const Ending end = co_await ending(std::move(work));
  co_return end.error;
}
void let_out(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

/// Lets everybody come as far as he can.
void settle(Loop& loop) { loop.run_until_complete(asyncio::sleep(100)); }

}  // namespace

BOOST_AUTO_TEST_SUITE(cancel_everywhere_tests)

// -- locks

/// Several tasks take turns at something of which there are `units`, now with a guard, now by hand.
template <class Primitive>
struct Turns {
  Turns(Primitive primitive, int units) : primitive(std::move(primitive)), units(units) {}

  Coroutine<> take_turns(int& taken) {
    for (int i = 0; i != 3; ++i) {
      {
        const auto guard = co_await primitive.scoped();
        const Inside turn(inside);
        BOOST_TEST(inside <= units);
        co_await asyncio::sleep(0);
      }
      co_await primitive.acquire();
      {
        const Inside turn(inside);
        BOOST_TEST(inside <= units);
      }
      primitive.release();
      ++taken;
    }
  }

  Primitive primitive;
  const int units;
  int inside = 0;
  int mine = 0;
  int others = 0;
};

template <class Primitive>
void everybody_else_has_all_turns(Primitive (*make)(), int units, const std::string& at_the_end) {
  std::optional<Turns<Primitive>> turns;
  const auto passes = cancel_everywhere(
      [&](Loop& loop) {
        turns.emplace(make(), units);
        for (int i = 0; i != 3; ++i) loop.create_task(turns->take_turns(turns->others));
        return turns->take_turns(turns->mine);
      },
      [&](Loop& loop) {
        settle(loop);
        BOOST_TEST(turns->others == 9);
        BOOST_TEST(state(turns->primitive) == at_the_end);
      });
  BOOST_TEST(passes > 6u);
}

BOOST_AUTO_TEST_CASE(a_lock_is_held_by_one_and_free_in_the_end) {
  everybody_else_has_all_turns<Lock>([] { return Lock(); }, 1, "[unlocked]>");
}

BOOST_AUTO_TEST_CASE(a_semaphore_has_all_its_units_in_the_end) {
  everybody_else_has_all_turns<Semaphore>([] { return Semaphore(2); }, 2, "[unlocked, value:2]>");
}

BOOST_AUTO_TEST_CASE(a_bounded_semaphore_has_all_its_units_in_the_end) {
  everybody_else_has_all_turns<BoundedSemaphore>([] { return BoundedSemaphore(1); }, 1,
                                                 "[unlocked, value:1]>");
}

BOOST_AUTO_TEST_CASE(the_lock_of_a_condition_is_held_by_one_and_free_in_the_end) {
  everybody_else_has_all_turns<Condition>([] { return Condition(); }, 1, "[unlocked]>");
}

// -- Event

BOOST_AUTO_TEST_CASE(an_event_wakes_all_others) {
  std::optional<Event> event;
  int woken = 0;
  const auto waits = [&]() -> Coroutine<> {
    for (int i = 0; i != 2; ++i) {
      co_await event->wait();
      event->clear();
      co_await asyncio::sleep(0.5);
      ++woken;
    }
  };
  cancel_everywhere(
      [&](Loop& loop) {
        event.emplace();
        for (int i = 0; i != 2; ++i) loop.create_task(waits());
        for (int i = 1; i != 3; ++i) loop.call_later(i, [&] { event->set(); });
        woken = 0;
        return waits();
      },
      [&](Loop& loop) {
        settle(loop);
        BOOST_TEST(woken >= 4);
        BOOST_TEST(state(*event) == "[unset]>");
      });
}

// -- Condition

/// Items that tasks take out under a condition.
struct Shelf {
  Coroutine<> take(int& taken) {
    const auto guard = co_await condition.scoped();
    std::exception_ptr error;
    try {
      co_await condition.wait_for([&] { return items != 0; });
      --items;
      ++taken;
    } catch (const CancelledError&) {
      error = std::current_exception();
    }
    BOOST_TEST(condition.locked());
    const Inside alone(inside);
    BOOST_TEST(inside == 1);
    co_await asyncio::sleep(0);
    let_out(error);
  }
  Coroutine<> put() {
    const auto guard = co_await condition.scoped();
    const Inside alone(inside);
    BOOST_TEST(inside == 1);
    ++items;
    condition.notify();
    co_await asyncio::sleep(0);
  }

  Condition condition;
  int items = 0;
  int inside = 0;
  int mine = 0;
  int others = 0;
};

BOOST_AUTO_TEST_CASE(no_notification_of_a_condition_is_lost) {
  std::optional<Shelf> shelf;
  const auto passes = cancel_everywhere(
      [&](Loop& loop) {
        shelf.emplace();
        loop.create_task(shelf->take(shelf->others));
        for (int i = 1; i != 3; ++i) loop.call_later(i, [&] { loop.create_task(shelf->put()); });
        loop.call_soon([&] { loop.create_task(shelf->take(shelf->others)); });
        return shelf->take(shelf->mine);
      },
      [&](Loop& loop) {
        settle(loop);
        const bool somebody_waits = !all_tasks(loop).empty();
        BOOST_TEST((!somebody_waits || shelf->items == 0), "nobody waits for what is there");
        loop.create_task(shelf->put());
        settle(loop);
        BOOST_TEST(shelf->others == 2);
        BOOST_TEST(shelf->others + shelf->mine + shelf->items == 3);
        BOOST_TEST(state(shelf->condition) == "[unlocked]>");
      });
  BOOST_TEST(passes > 4u);
}

// -- Barrier

BOOST_AUTO_TEST_CASE(a_barrier_can_be_used_on) {
  std::optional<Barrier> barrier;
  int mine = 0;
  int others = 0;
  const auto visit = [&](int& rounds) -> Coroutine<> {
    for (int i = 0; i != 3; ++i) {
      co_await barrier->wait();
      ++rounds;
    }
  };
  const auto passes = cancel_everywhere(
      [&](Loop& loop) {
        barrier.emplace(3);
        others = 0;
        for (int i = 0; i != 2; ++i) loop.create_task(visit(others));
        return visit(mine);
      },
      [&](Loop& loop) {
        const std::size_t left = all_tasks(loop).size();
        BOOST_TEST(static_cast<std::size_t>(barrier->n_waiting()) == left, "no ghosts inside");
        // Somebody comes in the place of the one who went.
        for (int i = 0; i != 3 && !all_tasks(loop).empty(); ++i) {
          loop.create_task(barrier->wait());
          settle(loop);
        }
        BOOST_TEST(others == 6);
        BOOST_TEST(state(*barrier) == "[filling, waiters:0/3]>");
      });
  BOOST_TEST(passes > 3u);
}

// -- Queue

/// A queue with room for one, and what went in and out.
struct Traffic {
  Coroutine<> put(int count) {
    for (int i = 0; i != count; ++i) {
      co_await queue.put(i);
      ++in;
      co_await asyncio::sleep(i % 2);
    }
  }
  Coroutine<> get(int count) {
    for (int i = 0; i != count; ++i) {
      co_await queue.get();
      ++out;
      queue.task_done();
      co_await asyncio::sleep(i % 2);
    }
  }
  /// The same, to the end of the queue; nobody cancels it.
  Coroutine<> until_shut(Coroutine<> work) {
    const Ending end = co_await ending(std::move(work));
    if (end.error) BOOST_TEST(end.what() == "QueueShutDown()");
  }
  void check() const {
    BOOST_TEST(in == out + static_cast<int>(queue.qsize()));
    const std::string text = to_string(queue);
    const bool getters = text.find("_getters") != std::string::npos;
    const bool putters = text.find("_putters") != std::string::npos;
    BOOST_TEST((!getters || queue.empty()), "nobody waits for an item that is there");
    BOOST_TEST((!putters || queue.full()), "nobody waits for room that is there");
  }

  Queue<int> queue{1};
  int in = 0;
  int out = 0;
};

BOOST_AUTO_TEST_CASE(no_item_of_a_queue_is_lost) {
  for (const bool puts : {true, false}) {
    std::optional<Traffic> traffic;
    const auto passes = cancel_everywhere(
        [&](Loop& loop) {
          Traffic& t = traffic.emplace();
          loop.create_task(t.until_shut(t.put(3)));
          loop.create_task(t.until_shut(t.get(3)));
          loop.create_task(t.until_shut(puts ? t.get(3) : t.put(3)));
          return puts ? t.put(3) : t.get(3);
        },
        [&](Loop& loop) {
          settle(loop);
          traffic->check();
          traffic->queue.shutdown();
          loop.pass(8);
        });
    BOOST_TEST(passes > 4u);
  }
}

BOOST_AUTO_TEST_CASE(no_wake_up_of_a_queue_is_lost) {
  for (const bool puts : {true, false}) {
    std::optional<Traffic> traffic;
    const auto passes = cancel_everywhere(
        [&](Loop& loop) {
          Traffic& t = traffic.emplace();
          // The victim is first in line, the other one second, and there is one turn to be had.
          loop.call_soon([&] { loop.create_task(t.until_shut(puts ? t.put(1) : t.get(1))); });
          if (puts) loop.create_task(t.put(1));
          loop.call_later(1, [&] { loop.create_task(puts ? t.get(1) : t.put(1)); });
          return puts ? t.put(1) : t.get(1);
        },
        [&](Loop& loop) {
          settle(loop);
          traffic->check();
          BOOST_TEST(traffic->out == 1);
          traffic->queue.shutdown();
          loop.pass(8);
        });
    BOOST_TEST(passes > 2u);
  }
}

BOOST_AUTO_TEST_CASE(join_and_shutdown_of_a_queue_end_for_all_others) {
  std::optional<Queue<int>> queue;
  int joined = 0;
  const auto put_until_shut = [&]() -> Coroutine<> {
    for (bool shut = false; !shut;) {
      try {
        co_await queue->put(1);
      } catch (const QueueShutDown&) {
        shut = true;
      }
    }
  };
  const auto put_and_join = [&]() -> Coroutine<> {
    co_await put_until_shut();
    co_await queue->join();
    ++joined;
  };
  for (const bool immediate : {true, false}) {
    const auto passes = cancel_everywhere(
        [&](Loop& loop) {
          queue.emplace(1);
          joined = 0;
          loop.create_task(put_and_join());
          loop.call_later(1, [&queue, immediate] { queue->shutdown(immediate); });
          loop.call_later(2, [&queue] {
            if (queue->empty()) return;
            (void)queue->get_nowait();
            queue->task_done();
          });
          return put_and_join();
        },
        [&](Loop& loop) {
          settle(loop);
          BOOST_TEST(joined >= 1);
          BOOST_TEST(to_string(*queue).ends_with(" maxsize=1 shutdown>"));
        });
    BOOST_TEST(passes > 2u);
  }
}

// -- combinators

BOOST_AUTO_TEST_CASE(no_child_outlives_its_group) {
  int running = 0;
  const auto child = [&](double seconds) -> Coroutine<> {
    const Inside here(running);
    const Ending end = co_await ending(asyncio::sleep(seconds));
    co_await asyncio::sleep(0.5);  // it takes its time to go
    let_out(end.error);
  };
  const auto groups = [&]() -> Coroutine<> {
    co_await task_group([&](TaskGroup& outer) -> Coroutine<> {
      outer.create_task(child(3));
      const std::exception_ptr expiry = co_await exception_of(timeout(1, [&] {
        return task_group([&](TaskGroup& inner) -> Coroutine<> {
          inner.create_task(child(2));
          inner.create_task(child(0));
          co_return;
        });
      }));
      BOOST_TEST(running <= 1, "only the outer group's child is left");
      if (!isinstance<TimeoutError>(expiry)) let_out(expiry);
      co_await task_group([&](TaskGroup& inner) -> Coroutine<> {
        inner.create_task(child(5));
        co_await asyncio::sleep(0);
        inner.cancel();
        co_await asyncio::sleep(5);
      });
      BOOST_TEST(running <= 1);
    });
  };
  const auto passes = cancel_everywhere([&](Loop&) -> Coroutine<> {
    const std::exception_ptr error = co_await exception_of(groups());
    BOOST_TEST(running == 0);
    BOOST_TEST(current_task().cancelling() == (error ? 1 : 0));
    let_out(error);
  });
  BOOST_TEST(passes > 8u);
}

BOOST_AUTO_TEST_CASE(gather_cancels_all_and_shield_nothing) {
  int started = 0;
  int ended = 0;
  const auto work = [&](double seconds) -> Coroutine<> {
    ++started;
    co_await asyncio::sleep(seconds);
    ++ended;
  };
  const auto gathers = [&]() -> Coroutine<> {
    const auto kept = create_task(work(3));
    co_await gather(shield(kept), shield(work(1)), asyncio::sleep(2));
  };
  const auto passes = cancel_everywhere(
      [&](Loop&) {
        started = ended = 0;
        return gathers();
      },
      [&](Loop& loop) {
        settle(loop);
        BOOST_TEST(ended == started, "what was shielded comes to its end");
      });
  BOOST_TEST(passes > 5u);
}

BOOST_AUTO_TEST_CASE(wait_and_as_completed_leave_the_tasks_alone) {
  int cancelled = 0;
  const auto work = [&](double seconds) -> Coroutine<> {
    try {
      co_await asyncio::sleep(seconds);
    } catch (const CancelledError&) {
      ++cancelled;
      throw;
    }
  };
  const auto passes = cancel_everywhere(
      [&](Loop&) -> Coroutine<> {
        std::vector<Task<>> tasks;
        for (const double seconds : {1, 2, 2, 4}) tasks.push_back(create_task(work(seconds)));
        co_await asyncio::wait(tasks, {.timeout = 1.5, .return_when = FIRST_COMPLETED});
        for (auto next : as_completed(tasks)) co_await next;
        auto completions = as_completed(tasks, {.timeout = 5});
        while (auto task = co_await completions.next()) BOOST_TEST(task.done());
      },
      [&](Loop& loop) {
        settle(loop);
        BOOST_TEST(cancelled == 0);
      });
  BOOST_TEST(passes > 5u);
}

BOOST_AUTO_TEST_CASE(a_call_in_a_thread_is_made_or_not_made) {
  struct Calls {
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
  };
  std::shared_ptr<Calls> calls;
  const auto call_three_times = [&]() -> Coroutine<> {
    const auto call = [calls = calls] {
      ++calls->begun;
      return ++calls->ended;
    };
    for (int i = 1; i != 4; ++i) {
      const int count = co_await to_thread(call);
      BOOST_TEST(count == i);
    }
  };
  const auto passes = cancel_everywhere(
      [&](Loop&) {
        calls = std::make_shared<Calls>();
        return call_three_times();
      },
      [&](Loop& loop) {
        loop.run_until_complete(loop.shutdown_default_executor());
        BOOST_TEST(calls->begun == calls->ended);
      });
  BOOST_TEST(passes > 3u);
}

BOOST_AUTO_TEST_SUITE_END()
