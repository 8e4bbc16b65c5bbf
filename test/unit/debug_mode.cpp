// SPDX-License-Identifier: BSL-1.0
//
// Debug mode: surface A17, rules 104-110; and what is never awaited.
#include <asyncio/event_loop.hpp>

#include <asyncio/asyncio.hpp>
#include <cstdlib>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

/// A loop in debug mode whose callbacks take as long as they say.
class DebugLoop : public VirtualLoop {
 public:
  DebugLoop() { set_debug(true); }
  ~DebugLoop() { close(); }
  void take(Duration time) { scheduler().advance(time); }
};

struct Slow {
  DebugLoop* loop;
  void operator()() const { loop->take(0.25); }
};

constexpr unsigned line(std::source_location where = std::source_location::current()) {
  return where.line();
}

/// The messages at WARNING.
Trace warnings(const CapturedLog& log) {
  Trace messages;
  for (const CapturedLog::Record& entry : log.records) {
    if (entry.level == LogLevel::warning) messages.push_back(entry.message);
  }
  return messages;
}

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

constexpr const char* wrong_thread =
    "Non-thread-safe operation invoked on an event loop other than the current one";

/// What the callable throws in another thread, while the loop runs.
template <class F>
std::string thrown_in_another_thread(EventLoop& loop, F action) {
  std::string text = "nothing";
  loop.call_soon([&] {
    std::thread([&] {
      if (const std::exception_ptr error = exception_of(action)) text = to_string(error);
    }).join();
    loop.stop();
  });
  loop.run_forever();
  return text;
}

Coroutine<> nothing() { co_return; }
Coroutine<> sleeps(double seconds) { co_await asyncio::sleep(seconds); }

}  // namespace

BOOST_AUTO_TEST_SUITE(debug_mode_tests)

BOOST_AUTO_TEST_CASE(db1_it_is_off_until_it_is_set) {
  EventLoop loop;
  BOOST_TEST(!loop.get_debug());
  loop.set_debug(true);
  BOOST_TEST(loop.get_debug());
  loop.set_debug(false);
  BOOST_TEST(!loop.get_debug());
}

BOOST_AUTO_TEST_CASE(db5_a_new_loop_names_its_selector) {
  const CapturedLog log;
  const Logger logger = get_logger("asyncio");
  EventLoop silent;
  logger.set_level(LogLevel::debug);
  EventLoop loop;
  logger.set_level(LogLevel::notset);
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].name == "asyncio");
  BOOST_TEST((log.records[0].level == LogLevel::debug));
  BOOST_TEST(log.records[0].message == "Using selector: epoll");
}

BOOST_AUTO_TEST_CASE(db4_the_environment_sets_it) {
  for (const char* name : {"ASYNCIO_DEBUG", "PYTHONASYNCIODEBUG"}) {
    {
      const Environment set(name, "1");
      VirtualLoop loop;
      BOOST_TEST(loop.get_debug());
      loop.set_debug(false);
    }
    const Environment empty(name, "");
    BOOST_TEST(!EventLoop().get_debug());
  }
}

BOOST_AUTO_TEST_CASE(db4_run_sets_it) {
  const auto body = []() -> Coroutine<bool> { co_return get_running_loop().get_debug(); };
  BOOST_TEST(asyncio::run(body(), {.debug = true}));
  BOOST_TEST(!asyncio::run(body()));
  const Environment set("ASYNCIO_DEBUG", "1");
  BOOST_TEST(asyncio::run(body()));
  BOOST_TEST(!asyncio::run(body(), {.debug = false}));
}

BOOST_AUTO_TEST_CASE(r104_a_slow_callback_is_named_with_the_place_where_it_was_made) {
  DebugLoop loop;
  const CapturedLog log;
  const unsigned made = line() + 1;
  loop.call_soon(Slow{&loop});
  loop.pass();
  BOOST_TEST(warnings(log) ==
             Trace(1, "Executing <Handle (anonymous namespace)::Slow() created at " +
                          std::string(__FILE__) + ':' + std::to_string(made) +
                          "> took 0.250 seconds"));
  BOOST_TEST(log.records[0].name == "asyncio");
}

BOOST_AUTO_TEST_CASE(r104_of_a_slow_step_the_task_is_named_and_where_it_stands) {
  DebugLoop loop;
  const CapturedLog log;
  unsigned stands = 0;
  const auto body = [&]() -> Coroutine<> {
    loop.take(0.125);
    stands = line() + 1;
    co_await asyncio::sleep(1);
  };
  const auto task = loop.create_task(body(), {.name = "worker"});
  loop.run_until_complete(task);
  BOOST_REQUIRE(warnings(log).size() == 1u);
  const std::string text = warnings(log)[0];
  BOOST_TEST(text.starts_with("Executing <Task pending name='worker' coro=<"));
  BOOST_TEST(text.find("() running at " + std::string(__FILE__) + ':' + std::to_string(stands) +
                       "> wait_for=<Future pending cb=[Task.task_wakeup()]> cb=["
                       "_run_until_complete_cb()] created at " + __FILE__ + ':') != text.npos);
  BOOST_TEST(text.ends_with("> took 0.125 seconds"));
}

BOOST_AUTO_TEST_CASE(r104_a_slow_last_step_is_that_of_a_finished_task) {
  DebugLoop loop;
  const CapturedLog log;
  const auto body = [&]() -> Coroutine<int> {
    loop.take(1);
    co_return 42;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 42);
  BOOST_REQUIRE(warnings(log).size() == 1u);
  BOOST_TEST(warnings(log)[0].find(" result=42>") != std::string::npos);
  BOOST_TEST(warnings(log)[0].ends_with("> took 1.000 seconds"));
}

BOOST_AUTO_TEST_CASE(r104_timers_and_done_callbacks_are_named_too) {
  DebugLoop loop;
  const CapturedLog log;
  const Future<> future = loop.create_future();
  future.add_done_callback(Slow{&loop});
  loop.call_later(1, Slow{&loop});
  future.set_result();
  loop.run_until_complete(sleeps(2));
  BOOST_REQUIRE(warnings(log).size() == 2u);
  BOOST_TEST(warnings(log)[0].starts_with("Executing <Handle (anonymous namespace)::Slow() "));
  BOOST_TEST(warnings(log)[1].starts_with(
      "Executing <TimerHandle when=1.0 (anonymous namespace)::Slow() "));
}

BOOST_AUTO_TEST_CASE(db3_what_is_slow_may_be_set) {
  DebugLoop loop;
  BOOST_TEST((loop.slow_callback_duration() == Duration(0.1)));
  loop.set_slow_callback_duration(0.5);
  const CapturedLog log;
  loop.call_soon(Slow{&loop});
  loop.pass();
  BOOST_TEST(warnings(log).empty());
  loop.set_slow_callback_duration(0.25);
  loop.call_soon(Slow{&loop});
  loop.pass();
  BOOST_TEST(warnings(log).size() == 1u);
}

BOOST_AUTO_TEST_CASE(r104_without_debug_mode_nothing_is_slow) {
  DebugLoop loop;
  loop.set_debug(false);
  const CapturedLog log;
  loop.call_soon(Slow{&loop});
  loop.pass();
  BOOST_TEST(warnings(log).empty());
}

BOOST_AUTO_TEST_CASE(r105_reprs_tell_where_things_were_made) {
  DebugLoop loop;
  const std::string file = std::string(" created at ") + __FILE__ + ':';
  const auto made_at = [&](const std::string& repr, unsigned where) {
    return repr.ends_with(file + std::to_string(where) + '>');
  };
  const Future<> future = loop.create_future();
  BOOST_TEST(made_at(to_string(future), line() - 1));
  const Future<int> own(loop);
  BOOST_TEST(made_at(to_string(own), line() - 1));
  const Task<> task = loop.create_task(nothing());
  BOOST_TEST(made_at(to_string(task), line() - 1));
  const Task<> named = loop.create_task(nothing(), {.name = "n"});
  BOOST_TEST(made_at(to_string(named), line() - 1));
  const Task<> called = loop.create_task(nothing);
  BOOST_TEST(made_at(to_string(called), line() - 1));
  const Handle soon = loop.call_soon([] {});
  BOOST_TEST(made_at(to_string(soon), line() - 1));
  TimerHandle later = loop.call_later(5, Slow{&loop});
  BOOST_TEST(made_at(to_string(later), line() - 1));
  const TimerHandle at = loop.call_at(loop.time() + Duration(5), [] {});
  BOOST_TEST(made_at(to_string(at), line() - 1));
  later.cancel();
  BOOST_TEST(to_string(later).starts_with("<TimerHandle cancelled when=5.0 (anonymous "
                                          "namespace)::Slow() created at "));
  loop.pass();
}

BOOST_AUTO_TEST_CASE(r105_without_debug_mode_no_place_is_kept) {
  VirtualLoop loop;
  BOOST_TEST(to_string(loop.create_future()) == "<Future pending>");
  loop.set_debug(true);
  const Future<> future = loop.create_future();
  loop.set_debug(false);
  BOOST_TEST(to_string(future).find("created at") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(r105_handles_may_outlive_a_loop_in_debug_mode) {
  Handle handle;
  {
    DebugLoop loop;
    handle = loop.call_soon([] {});
  }
  BOOST_TEST(to_string(handle).starts_with("<Handle cancelled") == false);
}

BOOST_AUTO_TEST_CASE(r105_reports_tell_where_things_were_made) {
  CapturedLog log;
  unsigned made = 0;
  {
    DebugLoop loop;
    made = line() + 1;
    loop.create_future().set_exception(ValueError("x"));
  }
  const auto& message = log.records.at(0).message;
  const std::string place = std::string(__FILE__) + ':' + std::to_string(made);
  BOOST_TEST(message.starts_with("Future exception was never retrieved\n"
                                 "future: <Future finished exception=ValueError('x') created at " +
                                 place + ">\nsource_traceback: Object created at (most recent call "
                                 "last):\n  File \"" + __FILE__ + "\", line " +
                                 std::to_string(made) + ", in "));
  BOOST_TEST(message.ends_with("\nValueError('x')"));
}

BOOST_AUTO_TEST_CASE(r105_the_context_of_a_report_has_the_place_in_debug_mode_only) {
  for (const bool debug : {true, false}) {
    std::optional<StackFrame> place;
    unsigned made = 0;
    {
      VirtualLoop loop;
      loop.set_debug(debug);
      loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
        BOOST_TEST(context.message == "Task was destroyed but it is pending!");
        place = context.source_traceback;
      });
      made = line() + 1;
      (void)loop.create_task(sleeps(1));
      loop.pass();
      loop.close();
    }
    BOOST_TEST(place.has_value() == debug);
    if (place) BOOST_TEST(place->line == made);
  }
}

BOOST_AUTO_TEST_CASE(r106_other_threads_are_refused_while_the_loop_runs) {
  DebugLoop loop;
  BOOST_TEST(thrown_in_another_thread(loop, [&] { loop.call_soon([] {}); }) == wrong_thread);
  BOOST_TEST(thrown_in_another_thread(loop, [&] { loop.call_later(1, [] {}); }) == wrong_thread);
  BOOST_TEST(thrown_in_another_thread(loop, [&] { loop.call_at(loop.time(), [] {}); }) ==
             wrong_thread);
  BOOST_TEST(thrown_in_another_thread(loop, [&] {
               auto coroutine = nothing();
               (void)loop.create_task(std::move(coroutine));
             }) == wrong_thread);
}

BOOST_AUTO_TEST_CASE(r106_so_is_the_completion_of_a_future_with_callbacks) {
  DebugLoop loop;
  const Future<> future = loop.create_future();
  BOOST_TEST(thrown_in_another_thread(loop, [&] { future.set_result(); }) == "nothing");
  const Future<> watched = loop.create_future();
  watched.add_done_callback([] {});
  BOOST_TEST(thrown_in_another_thread(loop, [&] { watched.set_result(); }) == wrong_thread);
  BOOST_TEST(watched.done());  // as in Python
}

BOOST_AUTO_TEST_CASE(r106_call_soon_threadsafe_is_for_other_threads) {
  DebugLoop loop;
  bool called = false;
  BOOST_TEST(thrown_in_another_thread(
                 loop, [&] { loop.call_soon_threadsafe([&] { called = true; }); }) == "nothing");
  loop.pass();
  BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(r106_a_loop_that_does_not_run_is_not_watched) {
  DebugLoop loop;
  bool called = false;
  std::thread([&] { loop.call_soon([&] { called = true; }); }).join();
  loop.pass();
  BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(r106_without_debug_mode_nobody_is_refused) {
  DebugLoop loop;
  loop.set_debug(false);
  BOOST_TEST(thrown_in_another_thread(loop, [&] { loop.call_soon([] {}); }) == "nothing");
}

BOOST_AUTO_TEST_CASE(r109_a_coroutine_that_was_never_awaited_is_named) {
  const CapturedLog log;
  { const auto unused = sleeps(1); }
  BOOST_REQUIRE(warnings(log).size() == 1u);
  BOOST_TEST(warnings(log)[0].starts_with("coroutine 'sleeps' was never awaited (" __FILE__ ":"));
  BOOST_TEST(log.records[0].name == "asyncio");
}

BOOST_AUTO_TEST_CASE(r109_one_that_another_replaces_was_never_awaited_either) {
  const CapturedLog log;
  auto coroutine = sleeps(1);
  coroutine = nothing();
  BOOST_TEST(warnings(log).size() == 1u);
  coroutine.close();
}

BOOST_AUTO_TEST_CASE(r109_closing_it_is_using_it) {
  const CapturedLog log;
  auto coroutine = nothing();
  coroutine.close();
  auto moved = nothing();
  auto target = std::move(moved);
  asyncio::run(std::move(target));
  BOOST_TEST(warnings(log).empty());
}

BOOST_AUTO_TEST_CASE(an_unclosed_loop_is_told_of) {
  const CapturedLog log;
  {
    EventLoop loop;
    loop.set_debug(true);
  }
  BOOST_TEST(warnings(log) ==
             Trace(1, "unclosed event loop <EventLoop running=False closed=False debug=True>"));
}

BOOST_AUTO_TEST_CASE(a_loop_names_its_state) {
  VirtualLoop loop;
  BOOST_TEST(to_string(loop) == "<EventLoop running=False closed=False debug=False>");
  loop.call_soon([&] {
    BOOST_TEST(to_string(loop) == "<EventLoop running=True closed=False debug=False>");
  });
  loop.pass();
  loop.close();
  BOOST_TEST(to_string(loop) == "<EventLoop running=False closed=True debug=False>");
}

BOOST_AUTO_TEST_SUITE_END()
