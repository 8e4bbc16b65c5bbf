// SPDX-License-Identifier: BSL-1.0
//
// Running, stopping and closing a loop, which loop is mine, and callbacks from other threads:
// surface A2, A3, A23; rules 15-22 and 118; the loop as a guest.
#include <asyncio/event_loop.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

const auto closed = says("Event loop is closed");

Coroutine<int> value(int result) { co_return result; }

/// One, if something stops it before.
int passes_until_the_second_stops(EventLoop& loop) {
  int passes = 0;
  loop.call_soon([&] {
    ++passes;
    loop.call_soon([&] {
      ++passes;
      loop.stop();
    });
  });
  loop.run_forever();
  return passes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_loop_tests)

// -- running

BOOST_AUTO_TEST_CASE(lc4_a_loop_knows_whether_it_runs) {
  VirtualLoop loop;
  BOOST_TEST(!loop.is_running());
  loop.call_soon([&] { BOOST_TEST(loop.is_running()); });
  loop.pass();
  BOOST_TEST(!loop.is_running());
}

BOOST_AUTO_TEST_CASE(rule_15_a_closed_loop_cannot_run) {
  VirtualLoop loop;
  loop.close();
  BOOST_CHECK_EXCEPTION(loop.run_forever(), RuntimeError, closed);
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(value(1)), RuntimeError, closed);
}

BOOST_AUTO_TEST_CASE(rule_15_a_running_loop_cannot_be_run_again) {
  VirtualLoop loop;
  const auto text = says("This event loop is already running");
  loop.call_soon([&] {
    BOOST_CHECK_EXCEPTION(loop.run_forever(), RuntimeError, text);
    BOOST_CHECK_EXCEPTION(loop.run_until_complete(value(1)), RuntimeError, text);
    BOOST_TEST(all_tasks(loop).empty());  // the checks come before anything is scheduled
  });
  loop.pass();
}

BOOST_AUTO_TEST_CASE(rule_15_no_loop_runs_inside_another) {
  VirtualLoop loop;
  VirtualLoop other;
  const auto text = says("Cannot run the event loop while another loop is running");
  loop.call_soon([&] {
    BOOST_CHECK_EXCEPTION(other.run_forever(), RuntimeError, text);
    BOOST_CHECK_EXCEPTION(other.run_until_complete(value(1)), RuntimeError, text);
    BOOST_TEST(all_tasks(other).empty());
  });
  loop.pass();
  BOOST_TEST(other.run_until_complete(value(1)) == 1);
}

BOOST_AUTO_TEST_CASE(loops_of_different_threads_run_side_by_side) {
  std::atomic<int> sum = 0;
  const auto run = [&](int number) {
    EventLoop loop;
    sum += loop.run_until_complete(value(number));
  };
  std::thread first(run, 1);
  std::thread second(run, 2);
  first.join();
  second.join();
  BOOST_TEST(sum == 3);
}

BOOST_AUTO_TEST_CASE(rule_16_while_running_it_is_the_threads_running_loop) {
  VirtualLoop loop;
  loop.call_soon([&] { BOOST_TEST((&get_running_loop() == &loop)); });
  loop.pass();
  BOOST_CHECK_THROW((void)get_running_loop(), RuntimeError);
}

BOOST_AUTO_TEST_CASE(rule_16_any_exit_clears_the_stopping_flag) {
  VirtualLoop loop;
  loop.call_soon([&] {
    loop.stop();
    throw KeyboardInterrupt();
  });
  BOOST_CHECK_THROW(loop.run_forever(), KeyboardInterrupt);
  BOOST_TEST(!loop.is_running());
  BOOST_TEST(passes_until_the_second_stops(loop) == 2);
}

BOOST_AUTO_TEST_CASE(rule_19_run_until_complete_makes_one_more_pass_after_completion) {
  VirtualLoop loop;
  Trace trace;
  const auto body = [&]() -> Coroutine<int> {
    loop.call_soon([&] {
      trace.push_back("next");
      loop.call_soon([&] { trace.push_back("too late"); });
    });
    co_return 5;
  };
  BOOST_TEST(loop.run(body) == 5);
  BOOST_TEST(joined(trace) == "next");
  loop.pass();
  BOOST_TEST(joined(trace) == "next too late");
}

BOOST_AUTO_TEST_CASE(rule_19_run_until_complete_takes_futures_and_tasks) {
  VirtualLoop loop;
  const Future<std::string> future = loop.create_future<std::string>();
  loop.call_soon([&] { future.set_result("text"); });
  BOOST_TEST(loop.run_until_complete(future) == "text");
  BOOST_TEST(loop.run_until_complete(future) == "text");  // done: a pass, no wait
  const Task<int> task = loop.create_task(value(5));
  BOOST_TEST(loop.run_until_complete(task) == 5);
}

BOOST_AUTO_TEST_CASE(rule_19_stopped_before_completion_is_a_runtime_error) {
  VirtualLoop loop;
  const Future<int> future = loop.create_future<int>();
  loop.call_soon([&] { loop.stop(); });
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(future), RuntimeError,
                        says("Event loop stopped before Future completed."));
  // The done-callback was removed: completing the future now stops nothing.
  future.set_result(5);
  BOOST_TEST(passes_until_the_second_stops(loop) == 2);
}

BOOST_AUTO_TEST_CASE(rule_19_a_task_that_stopped_the_loop_can_be_run_to_its_end_later) {
  VirtualLoop loop;
  int rounds = 0;
  const auto body = [&]() -> Coroutine<> {
    while (rounds < 10) {
      co_await asyncio::sleep(1);
      ++rounds;
      if (rounds == 2) loop.stop();
    }
  };
  const Task<> task = loop.create_task(body());
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(task), RuntimeError,
                        says("Event loop stopped before Future completed."));
  BOOST_TEST(!task.done());
  BOOST_TEST(rounds == 2);
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  BOOST_TEST(rounds == 2);
}

BOOST_AUTO_TEST_CASE(rule_19_a_stop_in_the_pass_of_completion_leaves_a_queued_callback_behind) {
  VirtualLoop loop;
  const auto body = [&]() -> Coroutine<std::unique_ptr<int>> {
    loop.stop();
    co_return std::make_unique<int>(5);
  };
  BOOST_TEST(*loop.run(body) == 5);
  // As in CPython it stops the loop when its turn comes; the future it speaks of is gone by then.
  int passes = 0;
  loop.call_soon([&] {
    ++passes;
    loop.call_soon([&] { ++passes; });
  });
  loop.run_forever();
  BOOST_TEST(passes == 1);
}

BOOST_AUTO_TEST_CASE(rule_19_a_future_of_another_loop_is_a_value_error) {
  VirtualLoop loop;
  VirtualLoop other;
  const Future<int> future = other.create_future<int>();
  BOOST_CHECK_EXCEPTION(
      loop.run_until_complete(future), ValueError,
      says("The future belongs to a different loop than the one specified as the loop argument"));
}

BOOST_AUTO_TEST_CASE(lc2_exceptions_and_cancellations_come_out_of_run_until_complete) {
  VirtualLoop loop;
  const auto fails = []() -> Coroutine<> {
    throw ValueError("text");
    co_return;
  };
  BOOST_CHECK_EXCEPTION(loop.run(fails), ValueError, says("text"));
  const Future<> future = loop.create_future();
  loop.call_soon([&] { future.cancel("message"); });
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(future), CancelledError, says("message"));
}

// -- closing

BOOST_AUTO_TEST_CASE(rule_20_a_running_loop_cannot_be_closed) {
  VirtualLoop loop;
  loop.call_soon([&] {
    BOOST_CHECK_EXCEPTION(loop.close(), RuntimeError, says("Cannot close a running event loop"));
  });
  loop.pass();
  BOOST_TEST(!loop.is_closed());
}

BOOST_AUTO_TEST_CASE(rule_20_close_is_idempotent_and_runs_nothing) {
  VirtualLoop loop;
  bool ran = false;
  loop.call_soon([&, counted = Counted()] { ran = true; });
  loop.call_later(1, [&, counted = Counted()] { ran = true; });
  std::thread([&] { loop.call_soon_threadsafe([&, counted = Counted()] { ran = true; }); }).join();
  BOOST_TEST(Counted::alive == 3);
  loop.close();
  BOOST_TEST(loop.is_closed());
  BOOST_TEST(!loop.is_running());
  BOOST_TEST(Counted::alive == 0);
  loop.close();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(rule_21_after_close_nothing_is_accepted) {
  VirtualLoop loop;
  loop.close();
  BOOST_CHECK_EXCEPTION(loop.call_soon([counted = Counted()] {}), RuntimeError, closed);
  BOOST_CHECK_EXCEPTION(loop.call_later(1, [counted = Counted()] {}), RuntimeError, closed);
  BOOST_CHECK_EXCEPTION(loop.call_at(1, [counted = Counted()] {}), RuntimeError, closed);
  BOOST_CHECK_EXCEPTION(loop.call_soon_threadsafe([counted = Counted()] {}), RuntimeError, closed);
  BOOST_CHECK_EXCEPTION((void)loop.create_task(value(1)), RuntimeError, closed);
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(all_tasks(loop).empty());
  loop.stop();
  BOOST_TEST(loop.get_debug() == false);
}

BOOST_AUTO_TEST_CASE(rule_20_destructors_that_run_in_close_may_use_the_loop) {
  VirtualLoop loop;
  Reports reports(loop);
  bool ran = false;
  const auto last_words = [&] {
    loop.call_soon([&] { ran = true; });
    loop.call_later(1, [&] { ran = true; });
    loop.call_soon_threadsafe([&] { ran = true; });
    const auto body = [&](Counted) -> Coroutine<> {
      ran = true;
      co_return;
    };
    (void)loop.create_task(body(Counted()));
  };
  using LastWords = AtExit<decltype(last_words)>;
  auto from_callback = std::make_shared<LastWords>(last_words);
  loop.call_soon([last = std::move(from_callback)] {});
  auto from_timer = std::make_shared<LastWords>(last_words);
  loop.call_later(1, [last = std::move(from_timer)] {});
  const auto waits = [&](std::shared_ptr<LastWords>) -> Coroutine<> {
    co_await loop.create_future();
  };
  (void)loop.create_task(waits(std::make_shared<LastWords>(last_words)));
  loop.close();
  BOOST_TEST(!ran);
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(reports.size() == 4u);
}

BOOST_AUTO_TEST_CASE(rule_20_a_foreign_callback_dropped_by_close_may_call_back) {
  VirtualLoop loop;
  bool ran = false;
  const auto call = [&] { loop.call_soon_threadsafe([&, counted = Counted()] { ran = true; }); };
  auto guard = std::make_shared<AtExit<decltype(call)>>(call);
  std::thread([&] { loop.call_soon_threadsafe([guard = std::move(guard)] {}); }).join();
  loop.close();  // neither throws nor deadlocks
  BOOST_TEST(!ran);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(rule_22_the_destructor_closes) {
  {
    VirtualLoop loop;
    loop.call_soon([counted = Counted()] {});
    BOOST_TEST(Counted::alive == 1);
  }
  BOOST_TEST(Counted::alive == 0);
}

// -- which loop is mine

BOOST_AUTO_TEST_CASE(gl1_no_running_loop_is_a_runtime_error) {
  BOOST_CHECK_EXCEPTION((void)get_running_loop(), RuntimeError, says("no running event loop"));
}

BOOST_AUTO_TEST_CASE(gl2_get_event_loop_gives_the_running_one_else_the_current_one) {
  VirtualLoop loop;
  VirtualLoop other;
  BOOST_CHECK_THROW((void)get_event_loop(), RuntimeError);
  set_event_loop(&other);
  BOOST_TEST((&get_event_loop() == &other));
  loop.call_soon([&] { BOOST_TEST((&get_event_loop() == &loop)); });
  loop.pass();
  bool refused = false;
  std::thread([&] {
    refused = isinstance<RuntimeError>(exception_of([] { (void)get_event_loop(); }));
  }).join();
  BOOST_TEST(refused);  // it is the thread's own
  set_event_loop(nullptr);
  BOOST_CHECK_THROW((void)get_event_loop(), RuntimeError);
}

BOOST_AUTO_TEST_CASE(gl3_a_destroyed_loop_is_nobodys_current_one) {
  {
    VirtualLoop loop;
    set_event_loop(&loop);
  }
  BOOST_CHECK_THROW((void)get_event_loop(), RuntimeError);
}

BOOST_AUTO_TEST_CASE(gl4_new_event_loop_is_not_made_current) {
  const std::unique_ptr<EventLoop> loop = new_event_loop();
  BOOST_TEST(loop->run_until_complete(value(5)) == 5);
  BOOST_CHECK_THROW((void)get_event_loop(), RuntimeError);
}

// -- other threads

// The handle's last copy may be in another thread.
BOOST_AUTO_TEST_CASE(what_a_thread_has_handed_over_is_destroyed_when_it_ran) {
  EventLoop loop;
  const auto object = std::make_shared<int>();
  Handle handle = loop.call_soon_threadsafe([object] {});
  BOOST_TEST(object.use_count() == 2);
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(object.use_count() == 1);
  BOOST_TEST(!handle.cancelled());
  handle.cancel();
  BOOST_TEST(handle.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_118_call_soon_threadsafe_wakes_a_waiting_loop) {
  EventLoop loop;
  std::thread::id ran_in;
  std::atomic<bool> waits = false;
  struct Observer : LoopObserver {
    explicit Observer(std::atomic<bool>& flag) : flag(flag) {}
    void pass_begins() override {
      flag = true;
      flag.notify_all();
    }
    std::atomic<bool>& flag;
  } observer(waits);
  loop.set_observer(&observer);
  std::thread thread([&] {
    waits.wait(false);
    loop.call_soon_threadsafe([&] {
      ran_in = std::this_thread::get_id();
      loop.stop();
    });
  });
  loop.run_forever();
  thread.join();
  loop.set_observer(nullptr);
  BOOST_TEST((ran_in == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(rule_118_calls_of_each_thread_keep_their_order) {
  constexpr int threads = 4;
  constexpr int calls = 500;
  EventLoop loop;
  std::vector<std::vector<int>> seen(threads);
  int total = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t != threads; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i != calls; ++i) {
        loop.call_soon_threadsafe([&, t, i] {
          seen[t].push_back(i);
          if (++total == threads * calls) loop.stop();
        });
      }
    });
  }
  loop.run_forever();
  for (std::thread& thread : callers) thread.join();
  for (const std::vector<int>& order : seen) {
    BOOST_TEST(order.size() == static_cast<std::size_t>(calls));
    BOOST_TEST(std::ranges::is_sorted(order));
  }
}

BOOST_AUTO_TEST_CASE(rule_118_from_the_loops_own_thread_it_is_the_same_fifo) {
  VirtualLoop loop;
  Trace trace;
  loop.call_soon([&] {
    loop.call_soon([&] { trace.push_back("a"); });
    loop.call_soon_threadsafe([&] { trace.push_back("b"); });
    loop.call_soon([&] { trace.push_back("c"); });
  });
  loop.pass();
  loop.pass();
  BOOST_TEST(joined(trace) == "a b c");
}

BOOST_AUTO_TEST_CASE(rule_118_what_was_queued_before_the_run_is_in_its_first_pass) {
  VirtualLoop loop;
  Trace trace;
  loop.call_soon([&] { trace.push_back("local"); });
  std::thread([&] { loop.call_soon_threadsafe([&] { trace.push_back("foreign"); }); }).join();
  loop.pass();
  BOOST_TEST(joined(trace) == "local foreign");
}

BOOST_AUTO_TEST_CASE(rule_118_other_threads_get_through_to_a_loop_that_is_always_busy) {
  EventLoop loop;
  struct Again {
    EventLoop& loop;
    void operator()() const { loop.call_soon(*this); }
  };
  loop.call_soon(Again{loop});
  std::thread thread([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); });
  loop.run_forever();
  thread.join();
  BOOST_TEST(loop.passes() >= 1u);
}

BOOST_AUTO_TEST_CASE(rule_118_handles_may_be_dropped_in_the_thread_that_made_them) {
  EventLoop loop;
  int ran = 0;
  std::thread thread([&] {
    for (int i = 0; i != 200; ++i) {
      const Handle handle = loop.call_soon_threadsafe([&, counted = std::make_shared<int>()] {
        if (++ran == 200) loop.stop();
      });
    }
  });
  loop.run_forever();
  thread.join();
  BOOST_TEST(ran == 200);
}

BOOST_AUTO_TEST_CASE(rule_118_a_foreign_callback_can_be_cancelled_in_the_loop) {
  VirtualLoop loop;
  Handle handle;
  bool ran = false;
  std::thread([&] {
    handle = loop.call_soon_threadsafe([&, counted = Counted()] { ran = true; });
  }).join();
  loop.call_soon([&] { handle.cancel(); });
  loop.pass();
  BOOST_TEST(!ran);
  BOOST_TEST(Counted::alive == 0);
}

// -- as a guest

BOOST_AUTO_TEST_CASE(a_guest_runs_when_its_host_does) {
  boost::asio::io_context io;
  EventLoop loop(io);
  Trace trace;
  loop.call_soon([&] {
    BOOST_TEST((&get_running_loop() == &loop));
    trace.push_back("callback");
  });
  loop.call_later(0.001, [&] { trace.push_back("timer"); });
  const auto body = [&]() -> Coroutine<> {
    co_await asyncio::sleep(0);
    trace.push_back("task");
  };
  const Task<> task = loop.create_task(body());
  io.run();
  BOOST_TEST(task.done());
  BOOST_TEST(joined(trace) == "callback task timer");
}

BOOST_AUTO_TEST_CASE(a_guest_and_the_hosts_handlers_take_turns) {
  boost::asio::io_context io;
  EventLoop loop(io);
  struct Again {
    EventLoop& loop;
    bool& enough;
    void operator()() const {
      if (!enough) loop.call_soon(*this);
    }
  };
  bool enough = false;
  loop.call_soon(Again{loop, enough});
  boost::asio::post(io, [&] { boost::asio::post(io, [&] { enough = true; }); });
  io.run();
  BOOST_TEST(enough);
}

BOOST_AUTO_TEST_CASE(a_guest_wakes_for_a_timer_set_by_a_handler_of_the_host) {
  boost::asio::io_context io;
  EventLoop loop(io);
  Trace trace;
  loop.call_later(3600, [&] { trace.push_back("never"); });
  boost::asio::post(io, [&] {
    loop.call_later(0.001, [&] {
      trace.push_back("timer");
      io.stop();
    });
  });
  io.run();
  BOOST_TEST(joined(trace) == "timer");
}

BOOST_AUTO_TEST_CASE(a_guest_can_be_run_itself) {
  boost::asio::io_context io;
  EventLoop loop(io);
  bool hosts = false;
  boost::asio::post(io, [&] { hosts = true; });
  BOOST_TEST(loop.run_until_complete(value(5)) == 5);
  loop.run_until_complete(some_passes());
  BOOST_TEST(hosts);
  Trace trace;
  loop.call_soon([&] { trace.push_back("later"); });
  io.run();
  BOOST_TEST(joined(trace) == "later");
}

BOOST_AUTO_TEST_CASE(a_timer_left_by_a_guests_own_run_fires_in_the_hosts) {
  boost::asio::io_context io;
  EventLoop loop(io);
  Trace trace;
  loop.call_later(0.001, [&] { trace.push_back("timer"); });
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  io.run();
  BOOST_TEST(joined(trace) == "timer");
}

BOOST_AUTO_TEST_CASE(a_host_that_stops_its_context_ends_the_guests_own_run) {
  boost::asio::io_context io;
  EventLoop loop(io);
  boost::asio::post(io, [&] { io.stop(); });
  loop.run_forever();
  BOOST_TEST(io.stopped());
  loop.call_soon([&] { io.stop(); });
  BOOST_CHECK_EXCEPTION(loop.run_until_complete(asyncio::sleep(3600)), RuntimeError,
                        says("Event loop stopped before Future completed."));
  BOOST_TEST(loop.run_until_complete(value(5)) == 5);
}

BOOST_AUTO_TEST_CASE(who_stops_the_context_of_a_loop_stops_the_loop) {
  EventLoop loop;
  const auto stop = [&] { loop.get_io_context().stop(); };
  loop.call_soon(stop);
  loop.run_forever();
  loop.call_later(3600, [] {});
  loop.call_soon(stop);
  loop.run_forever();
  const std::function<void()> busy = [&] { loop.call_soon(busy); };
  busy();
  loop.call_soon(stop);
  loop.run_forever();
  BOOST_TEST(!loop.is_running());
}

BOOST_AUTO_TEST_CASE(stop_does_not_make_a_guest_spin) {
  boost::asio::io_context io;
  EventLoop loop(io);
  loop.call_soon([&] { loop.stop(); });  // meant for a run_forever that nobody called
  loop.call_later(0.02, [&] { io.stop(); });
  io.run();
  BOOST_TEST(loop.passes() <= 5u);
}

BOOST_AUTO_TEST_CASE(exits_leave_the_hosts_run_and_the_rest_stays_queued) {
  boost::asio::io_context io;
  EventLoop loop(io);
  Trace trace;
  loop.call_soon([] { throw SystemExit(1); });
  loop.call_soon([&] { trace.push_back("rest"); });
  BOOST_CHECK_THROW(io.run(), SystemExit);
  io.run();
  BOOST_TEST(joined(trace) == "rest");
}

BOOST_AUTO_TEST_CASE(a_host_may_have_handlers_for_a_guest_that_is_gone) {
  boost::asio::io_context io;
  {
    EventLoop loop(io);
    loop.call_soon([counted = Counted()] {});
    loop.call_later(0.001, [counted = Counted()] {});
    loop.call_soon_threadsafe([counted = Counted()] {});
    io.poll_one();
    loop.call_soon([counted = Counted()] {});
  }
  BOOST_TEST(Counted::alive == 0);
  io.restart();
  io.run();
}

BOOST_AUTO_TEST_CASE(rule_2_handlers_that_always_post_another_leave_the_loop_its_passes) {
  struct Spin {
    EventLoop& loop;
    Future<> enough;
    int times = 0;
    void operator()() {
      if (++times == 1000) enough.set_result();
      boost::asio::post(loop.get_io_context(), std::ref(*this));
    }
  };
  EventLoop loop;
  Spin spin{loop, loop.create_future()};
  boost::asio::post(loop.get_io_context(), std::ref(spin));
  loop.run_until_complete(spin.enough);
  BOOST_TEST(spin.times >= 1000);
}

BOOST_AUTO_TEST_SUITE_END()
