// SPDX-License-Identifier: BSL-1.0
//
// A loop that is closed, or destroyed, in the middle of everything: all is released, nothing runs,
// what was pending is reported, and what outlives the loop is harmless. The address sanitizer build
// proves that nothing leaks.
#include <asyncio/event_loop.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/taskgroups.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "../unit/core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

/// Set by a coroutine that goes on where it should have been destroyed.
bool went_on = false;

Coroutine<> nested(AnyFuture future, int depth) {
  const Counted counted;
  if (depth == 0) {
    co_await future;
  } else {
    co_await nested(future, depth - 1);
  }
  went_on = true;
}

Coroutine<> sleeps() {
  const Counted counted;
  co_await asyncio::sleep(3600);
  went_on = true;
}

Coroutine<> yields_for_ever() {
  const Counted counted;
  for (;;) co_await asyncio::sleep(0);
}

Coroutine<> holds(Lock lock, Future<> future) {
  const Counted counted;
  const LockGuard guard = co_await lock.scoped();
  co_await future;
  went_on = true;
}

Coroutine<> gathers(Future<> future) {
  const Counted counted;
  co_await gather(nested(future, 1), nested(future, 2));
  went_on = true;
}

Coroutine<> waits(Future<> future) {
  const Counted counted;
  const std::vector<Future<>> futures{future, Future<>()};
  (void)co_await asyncio::wait(futures, {.timeout = 1000});
  went_on = true;
}

Coroutine<> shields(Future<> future) {
  const Counted counted;
  co_await shield(nested(future, 1));
  went_on = true;
}

Coroutine<> waits_for(Future<> future) {
  const Counted counted;
  co_await asyncio::wait_for(nested(future, 1), 1000);
  went_on = true;
}

Coroutine<> has_a_timeout(Future<> future) {
  const Counted counted;
  co_await asyncio::timeout(1000, [&]() -> Coroutine<> { co_await nested(future, 1); });
  went_on = true;
}

Coroutine<> has_a_group(Future<> future) {
  const Counted counted;
  co_await task_group([&](TaskGroup& group) -> Coroutine<> {
    group.create_task(nested(future, 1));
    co_await future;
  });
  went_on = true;
}

Coroutine<> never_started(Counted) {
  went_on = true;
  co_return;
}

Coroutine<> awaits_task(Task<> task) {
  const Counted counted;
  co_await task;
  went_on = true;
}

/// A thousand tasks of all kinds, all of them blocked. The helper tasks of gather are exempt from
/// the report, so they are counted apart.
struct Crowd {
  explicit Crowd(EventLoop& loop) : future(loop.create_future()) {
    for (int i = 0; i != 100; ++i) {
      keep(loop.create_task(nested(future, i)));
      keep(loop.create_task(nested(loop.create_future(), 3)));
      keep(loop.create_task(sleeps()));
      keep(loop.create_task(yields_for_ever()));
      keep(loop.create_task(holds(lock, future)));
      keep(loop.create_task(gathers(future)));
      keep(loop.create_task(i % 2 ? shields(future) : waits(future)));
      keep(loop.create_task(i % 2 ? waits_for(future) : has_a_timeout(future)));
      keep(loop.create_task(has_a_group(future)));
      keep(loop.create_task(awaits_task(tasks[0])));
    }
  }
  void keep(Task<> task) { tasks.push_back(std::move(task)); }

  Future<> future;
  Lock lock;
  std::vector<Task<>> tasks;
};

/// The program's open descriptors.
std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator descriptors("/proc/self/fd");
  return std::distance(begin(descriptors), end(descriptors));
}

/// Both ends of the connections below.
class Peer : public Protocol {
 public:
  void connection_made(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    ++made;
  }
  void connection_lost(std::exception_ptr) override { ++lost; }
  static inline int made = 0;
  static inline int lost = 0;

 private:
  std::shared_ptr<Transport> transport_;  // a cycle, which closing the loop has to break
  Counted counted_;
};

/// The pending tasks that report themselves: all but the 200 children of gather.
constexpr std::size_t reporting = 1000 + 50 /* shielded */ + 100 /* of groups */;

}  // namespace

BOOST_AUTO_TEST_SUITE(teardown_tests)

BOOST_AUTO_TEST_CASE(rule_45_closing_reports_and_releases_a_thousand_pending_tasks) {
  went_on = false;
  VirtualLoop loop;
  Reports reports(loop);
  std::optional<Crowd> crowd(std::in_place, loop);
  for (int i = 0; i != 5; ++i) loop.pass();
  BOOST_TEST(Counted::alive > 1000);
  BOOST_TEST(all_tasks(loop).size() == reporting + 200);
  loop.close();
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!went_on);
  BOOST_TEST(all_tasks(loop).empty());
  BOOST_TEST(reports.size() == reporting);
  for (const Reports::Entry& report : reports.entries()) {
    if (report.message != "Task was destroyed but it is pending!" || report.keys != "task")
      BOOST_ERROR(report.message + " " + report.keys);
  }
  // The handles are still good for questions.
  for (const Task<>& task : crowd->tasks) {
    if (task.done()) BOOST_ERROR("a task got done");
  }
}

BOOST_AUTO_TEST_CASE(the_destructor_does_what_close_does) {
  went_on = false;
  const CapturedLog log;
  std::optional<VirtualLoop> loop(std::in_place);
  std::optional<Crowd> crowd(std::in_place, *loop);
  for (int i = 0; i != 5; ++i) loop->pass();
  loop.reset();
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!went_on);
  BOOST_TEST(log.records.size() == reporting);
  BOOST_TEST(log.records[0].message.starts_with(
      "Task was destroyed but it is pending!\ntask: <Task pending name='Task-"));
  crowd->future.set_result();  // nobody waits for it any more
  crowd.reset();
}

BOOST_AUTO_TEST_CASE(tasks_that_never_started_are_released_too) {
  went_on = false;
  VirtualLoop loop;
  Reports reports(loop);
  for (int i = 0; i != 100; ++i) (void)loop.create_task(never_started(Counted()));
  BOOST_TEST(Counted::alive == 100);
  loop.close();
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!went_on);
  BOOST_TEST(reports.size() == 100u);
}

BOOST_AUTO_TEST_CASE(closing_after_any_number_of_passes_is_clean) {
  for (int passes = 0; passes != 12; ++passes) {
    BOOST_TEST_CONTEXT("after " << passes << " passes") {
      went_on = false;
      VirtualLoop loop;
      const Reports reports(loop);
      const Crowd crowd(loop);
      for (int i = 0; i != passes; ++i) loop.pass();
      loop.close();
      BOOST_TEST(Counted::alive == 0);
      BOOST_TEST(!went_on);
    }
  }
}

BOOST_AUTO_TEST_CASE(closing_while_everybody_is_being_woken_is_clean) {
  for (int passes = 0; passes != 4; ++passes) {
    BOOST_TEST_CONTEXT(passes << " passes after the wake-up") {
      VirtualLoop loop;
      const Reports reports(loop);
      const Crowd crowd(loop);
      for (int i = 0; i != 5; ++i) loop.pass();
      crowd.future.set_result();
      for (int i = 0; i != passes; ++i) loop.pass();
      loop.close();
      BOOST_TEST(Counted::alive == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(closing_while_everybody_is_being_cancelled_is_clean) {
  for (int passes = 0; passes != 5; ++passes) {
    BOOST_TEST_CONTEXT(passes << " passes after the cancellation") {
      went_on = false;
      VirtualLoop loop;
      const Reports reports(loop);
      const Crowd crowd(loop);
      for (int i = 0; i != 5; ++i) loop.pass();
      for (const Task<>& task : crowd.tasks) task.cancel();
      for (int i = 0; i != passes; ++i) loop.pass();
      loop.close();
      BOOST_TEST(Counted::alive == 0);
      BOOST_TEST(!went_on);
    }
  }
}

BOOST_AUTO_TEST_CASE(cancelling_everybody_ends_everybody) {
  went_on = false;
  VirtualLoop loop;
  const Reports reports(loop);
  {
    const Crowd crowd(loop);
    for (int i = 0; i != 5; ++i) loop.pass();
    for (const AnyTask& task : all_tasks(loop)) task.cancel();
    for (int i = 0; i != 10 && !all_tasks(loop).empty(); ++i) loop.pass();
    for (const Task<>& task : crowd.tasks) {
      if (!task.cancelled()) BOOST_ERROR(to_string(AnyFuture(task)));
    }
  }
  BOOST_TEST(all_tasks(loop).empty());
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!went_on);
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(frames_are_destroyed_innermost_first_without_running) {
  Trace trace;
  const auto note = [&](const char* name) {
    return AtExit([&trace, name] { trace.push_back(name); });
  };
  {
    VirtualLoop loop;
    const Reports reports(loop);
    const auto inner = [&]() -> Coroutine<> {
      const auto a = note("inner-a");
      const auto b = note("inner-b");
      try {
        co_await asyncio::sleep(1);
      } catch (...) {
        trace.push_back("ran");
        throw;
      }
    };
    const auto outer = [&]() -> Coroutine<> {
      const auto a = note("outer-a");
      co_await inner();
      trace.push_back("ran");
    };
    (void)loop.create_task(outer());
    loop.pass();
  }
  BOOST_TEST(joined(trace) == "inner-b inner-a outer-a");
}

BOOST_AUTO_TEST_CASE(futures_tasks_and_handles_that_outlive_the_loop_are_harmless) {
  std::optional<VirtualLoop> loop(std::in_place);
  Reports reports(*loop);
  const Future<int> pending = loop->create_future<int>();
  const Future<int> done = loop->create_future<int>();
  const Future<> with_callback = loop->create_future();
  with_callback.add_done_callback([counted = Counted()] {});
  done.set_result(5);
  Handle soon = loop->call_soon([counted = Counted()] {});
  TimerHandle later = loop->call_later(1, [counted = Counted()] {});
  const Context context = soon.get_context();
  const Task<> blocked = loop->create_task(nested(pending, 3));
  const Task<> sleeping = loop->create_task(sleeps());
  loop->pass();
  loop.reset();

  BOOST_TEST(Counted::alive == 2);  // the callbacks of the future and of the handle still there
  BOOST_TEST(reports.size() == 2u);
  BOOST_CHECK_EXCEPTION((void)pending.get_loop(), RuntimeError, says("Event loop is closed"));
  BOOST_TEST(done.result() == 5);
  pending.set_result(1);  // it wakes nobody
  BOOST_TEST(pending.result() == 1);
  BOOST_CHECK_THROW(with_callback.cancel(), RuntimeError);
  BOOST_TEST(Counted::alive == 1);
  soon.cancel();
  BOOST_TEST(Counted::alive == 0);
  later.cancel();
  BOOST_TEST((later.when() == 1));
  BOOST_TEST(!to_string(later).empty());
  BOOST_TEST(!blocked.done());
  BOOST_TEST(blocked.cancel());
  BOOST_TEST(sleeping.cancel());
  BOOST_TEST(sleeping.cancelling() == 1);
  BOOST_TEST(blocked.get_name().starts_with("Task-"));
  BOOST_TEST(blocked.get_context().size() == 0u);
}

BOOST_AUTO_TEST_CASE(an_exception_never_retrieved_is_reported_also_after_the_loop) {
  const CapturedLog log;
  std::optional<Future<>> future;
  {
    VirtualLoop loop;
    future = loop.create_future();
    future->set_exception(ValueError("text"));
  }
  BOOST_TEST(log.records.empty());
  future.reset();
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message ==
             "Future exception was never retrieved\nfuture: <Future finished "
             "exception=ValueError('text')>\nValueError('text')");
}

BOOST_AUTO_TEST_CASE(a_loop_left_by_an_exception_can_be_closed) {
  VirtualLoop loop;
  const Reports reports(loop);
  const Crowd crowd(loop);
  for (int i = 0; i != 3; ++i) loop.pass();
  loop.call_soon([] { throw KeyboardInterrupt(); });
  BOOST_CHECK_THROW(loop.run_forever(), KeyboardInterrupt);
  loop.close();
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_handler_that_keeps_what_it_is_told_and_acts_on_it_is_harmless) {
  VirtualLoop loop;
  std::vector<ExceptionContext> kept;
  loop.set_exception_handler([&](EventLoop& which, const ExceptionContext& context) {
    kept.push_back(context);
    context.task.cancel();
    which.call_soon([] {});
  });
  {
    const Crowd crowd(loop);
    for (int i = 0; i != 5; ++i) loop.pass();
    loop.close();
  }
  BOOST_TEST(kept.size() == reporting);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(tasks_of_a_closed_loop_may_be_dropped_in_any_order) {
  std::optional<VirtualLoop> loop(std::in_place);
  const Reports reports(*loop);
  std::vector<Task<>> chain{loop->create_task(nested(loop->create_future(), 2))};
  for (int i = 0; i != 100; ++i) chain.push_back(loop->create_task(awaits_task(chain.back())));
  loop->pass();
  loop.reset();
  BOOST_TEST(Counted::alive == 0);
  for (std::size_t i = 0; i < chain.size(); i += 2) chain[i] = {};
  chain.clear();
}

BOOST_AUTO_TEST_CASE(threads_that_still_call_a_closed_loop_get_an_error) {
  VirtualLoop loop;
  loop.close();
  std::string error;
  std::thread([&] {
    error = thrown_by([&] { loop.call_soon_threadsafe([counted = Counted()] {}); });
  }).join();
  BOOST_TEST(error == "RuntimeError('Event loop is closed')");
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(closing_releases_a_hundred_open_connections_without_a_word) {
  constexpr int connections = 100;
  const std::ptrdiff_t before = open_descriptors();
  Peer::made = 0;
  Peer::lost = 0;
  {
    EventLoop loop;
    const Reports reports(loop);
    const auto connect = [&]() -> Coroutine<> {
      const Server server = co_await loop.create_server<Peer>("127.0.0.1", 0);
      const int port = server.sockets().front().getsockname().port();
      for (int i = 0; i != connections; ++i) {
        const auto connection = co_await loop.create_connection<Peer>("127.0.0.1", port);
        // More than the kernel takes: the rest is in the transport's buffer.
        if (i % 2 == 0) connection.first->write(Bytes(1 << 20, 'x'));
      }
      while (Peer::made != 2 * connections) co_await asyncio::sleep(0);
    };
    loop.run_until_complete(connect());
    BOOST_TEST(Counted::alive == 2 * connections);
    BOOST_TEST(open_descriptors() > before + 2 * connections);
    const auto waits = [&]() -> Coroutine<> {
      const Server server = co_await loop.create_server<Peer>("127.0.0.1", 0);
      co_await server.serve_forever();
    };
    const Task<> serving = loop.create_task(waits());
    for (int i = 0; i != 10; ++i) {
      loop.stop();
      loop.run_forever();
    }
    loop.close();
    BOOST_TEST(reports.size() == 1u);  // of the task that serves
  }
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(Peer::lost == 0);
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(closing_in_the_middle_of_connecting_is_clean) {
  const std::ptrdiff_t before = open_descriptors();
  for (int passes = 0; passes != 12; ++passes) {
    BOOST_TEST_CONTEXT("after " << passes << " passes") {
      {
        EventLoop loop;
        const Reports reports(loop);
        const Server server = loop.run_until_complete(loop.create_server<Peer>("127.0.0.1", 0));
        const int port = server.sockets().front().getsockname().port();
        const auto connect = [&]() -> Coroutine<> {
          (void)co_await loop.create_connection<Peer>("127.0.0.1", port);
        };
        for (int i = 0; i != 10; ++i) (void)loop.create_task(connect());
        for (int i = 0; i != passes; ++i) {
          loop.stop();
          loop.run_forever();
        }
      }
      BOOST_TEST(Counted::alive == 0);
      BOOST_TEST(open_descriptors() == before);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
