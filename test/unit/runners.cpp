// SPDX-License-Identifier: BSL-1.0
//
// run() and Runner (surface A1, rules 48, 111-117, B2).
#include <asyncio/runners.hpp>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>

#include "captured_log.hpp"
#include "on_virtual_time.hpp"

using namespace on_virtual_time;
using unit_tests::CapturedLog;

namespace {

/// SIGINT has its default action, as in a program started from a terminal; a test runner may have
/// been started with the signal ignored.
struct DefaultInterrupt {
  DefaultInterrupt() : outer(std::signal(SIGINT, SIG_DFL)) {}
  ~DefaultInterrupt() { std::signal(SIGINT, outer); }
  void (*outer)(int);
};

void interrupt() { ::kill(::getpid(), SIGINT); }

bool interrupt_is_default() {
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  return action.sa_handler == SIG_DFL;
}

Coroutine<std::string> name_of_the_task() { co_return current_task().get_name(); }

int number_of(const std::string& name) { return std::stoi(name.substr(name.find('-') + 1)); }

/// Notes when it is cancelled.
Coroutine<> background(Lines& log, std::string name) {
  const Ending end = co_await ending(asyncio::sleep(1000));
  log.push_back(name + ' ' + end.what());
  std::rethrow_exception(end.error);
}

Coroutine<> fails_when_cancelled() {
  const Ending end = co_await ending(asyncio::sleep(1000));
  throw ValueError("late");
}

/// Counts passes, from outside of the loop.
class PassCounter : public LoopObserver {
 public:
  void pass_begins() override { ++count; }
  int count = 0;
};

const LoopFactory on_virtual_clock = [] {
  return std::make_unique<EventLoop>(LoopOptions{.clock = Clock::virtual_time});
};

}  // namespace

BOOST_AUTO_TEST_SUITE(runners_tests, *boost::unit_test::fixture<DefaultInterrupt>())

BOOST_AUTO_TEST_CASE(rn1_run_gives_what_main_returns) {
  BOOST_TEST(asyncio::run(returns(3)) == 3);
  asyncio::run(nothing());
  const auto owned = [](int value) -> Coroutine<std::unique_ptr<int>> {
    co_return std::make_unique<int>(value);
  };
  BOOST_TEST(*asyncio::run(owned(4)) == 4);
  BOOST_TEST(*asyncio::run(owned, 5) == 5, "a callable and its arguments");
}

BOOST_AUTO_TEST_CASE(rn1_run_throws_what_main_throws) {
  BOOST_TEST(thrown_by([] { asyncio::run(fails("x")); }) == "ValueError('x')");
  BOOST_TEST(thrown_by([] {
               asyncio::run([]() -> Coroutine<> {
                 throw CancelledError("mine");
                 co_return;
               });
             }) == "CancelledError('mine')");
}

BOOST_AUTO_TEST_CASE(rn1_any_awaitable_may_be_run_as_from_3_14_on) {
  BOOST_TEST(asyncio::run(asyncio::sleep(0, 5)) == 5);
  Runner runner;
  const auto future = runner.get_loop().create_future<int>();
  future.set_result(6);
  BOOST_TEST(runner.run(future) == 6);
}

BOOST_AUTO_TEST_CASE(rn1_the_factory_makes_the_loop_once) {
  std::vector<EventLoop*> made;
  const LoopFactory factory = [&] {
    auto loop = std::make_unique<EventLoop>();
    made.push_back(loop.get());
    return loop;
  };
  EventLoop* seen = nullptr;
  asyncio::run(
      [&]() -> Coroutine<> {
        seen = &get_running_loop();
        co_return;
      }(),
      {.loop_factory = &factory});
  BOOST_TEST_REQUIRE(made.size() == 1u);
  BOOST_TEST(made[0] == seen);
}

BOOST_AUTO_TEST_CASE(b2_run_of_a_main_that_returns_at_once_takes_six_passes) {
  PassCounter counter;
  const LoopFactory factory = [&] {
    auto loop = std::make_unique<EventLoop>();
    loop->set_observer(&counter);
    return loop;
  };
  asyncio::run(nothing(), {.loop_factory = &factory});
  BOOST_TEST(counter.count == 6);
}

BOOST_AUTO_TEST_CASE(rule_111_a_running_loop_is_a_runtime_error) {
  Loop loop;
  Runner runner;
  loop.run([&]() -> Coroutine<> {
    BOOST_TEST(thrown_by([] { asyncio::run(nothing()); }) ==
               "RuntimeError('asyncio.run() cannot be called from a running event loop')");
    BOOST_TEST(thrown_by([&] { runner.run(nothing()); }) ==
               "RuntimeError('Runner.run() cannot be called from a running event loop')");
    co_return;
  });
}

BOOST_AUTO_TEST_CASE(rule_112_the_loop_is_the_threads_current_one_until_the_end) {
  {
    Runner runner;
    EventLoop& loop = runner.get_loop();
    BOOST_TEST(&get_event_loop() == &loop);
    BOOST_TEST(&runner.get_loop() == &loop);
    runner.run([&]() -> Coroutine<> {
      BOOST_TEST(&get_running_loop() == &loop);
      co_return;
    }());
  }
  BOOST_TEST(thrown_by([] { (void)get_event_loop(); }) ==
             "RuntimeError('There is no current event loop in this thread')");
}

BOOST_AUTO_TEST_CASE(closed_in_its_own_loop_a_runner_is_a_runtime_error) {
  Runner runner;
  std::string text;
  const auto body = [&]() -> Coroutine<> {
    text = thrown_by([&] { runner.close(); });
    co_return;
  };
  BOOST_CHECK_THROW(runner.run(body()), CancelledError);  // as all tasks of the loop
  BOOST_TEST(text == "RuntimeError('Cannot close a running event loop')");
  BOOST_TEST(runner.run(returns(5)) == 5);
}

BOOST_AUTO_TEST_CASE(rule_112_a_loop_from_a_factory_does_not_become_the_current_one) {
  Loop current;
  set_event_loop(&current);
  {
    Runner runner({.loop_factory = &on_virtual_clock});
    (void)runner.get_loop();
    BOOST_TEST(&get_event_loop() == &current);
  }
  BOOST_TEST(&get_event_loop() == &current);
  set_event_loop(nullptr);
}

BOOST_AUTO_TEST_CASE(rule_112_the_loop_is_made_the_current_one_once) {
  Runner runner;
  runner.run(nothing());
  set_event_loop(nullptr);
  runner.run(nothing());
  BOOST_TEST(thrown_by([] { (void)get_event_loop(); }) ==
             "RuntimeError('There is no current event loop in this thread')");
}

BOOST_AUTO_TEST_CASE(rule_112_debug_is_set_if_it_is_given) {
  const auto debug = []() -> Coroutine<bool> { co_return get_running_loop().get_debug(); };
  BOOST_TEST(asyncio::run(debug(), {.debug = true}));
  BOOST_TEST(!asyncio::run(debug(), {.debug = false}));
  const LoopFactory factory = [] {
    auto loop = std::make_unique<EventLoop>();
    loop->set_debug(true);
    return loop;
  };
  BOOST_TEST(asyncio::run(debug(), {.loop_factory = &factory}), "not touched");
}

BOOST_AUTO_TEST_CASE(rule_112_all_runs_share_one_loop_and_one_context) {
  const ContextVar<int> variable("variable", 0);
  const auto set = [&](int value) -> Coroutine<> {
    (void)variable.set(value);
    co_return;
  };
  const auto get = [&]() -> Coroutine<int> { co_return variable.get(); };
  Context other;
  {
    Runner runner;
    EventLoop* const loop = &runner.get_loop();
    runner.run(set(1));
    BOOST_TEST(runner.run(get()) == 1);
    runner.run(set(2), &other);
    BOOST_TEST(runner.run(get()) == 1);
    BOOST_TEST(runner.run(get(), &other) == 2);
    BOOST_TEST(&runner.get_loop() == loop);
  }
  BOOST_TEST(variable.get() == 0, "a copy was taken");
}

BOOST_AUTO_TEST_CASE(rn5_a_closed_runner_is_a_runtime_error) {
  Runner runner;
  runner.close();  // not used yet: nothing to close
  BOOST_TEST(runner.run(returns(1)) == 1);
  runner.close();
  runner.close();
  BOOST_TEST(thrown_by([&] { runner.run(nothing()); }) == "RuntimeError('Runner is closed')");
  BOOST_TEST(thrown_by([&] { (void)runner.get_loop(); }) == "RuntimeError('Runner is closed')");
}

BOOST_AUTO_TEST_CASE(rule_48_the_main_task_of_the_second_run_is_three_numbers_on) {
  const int first = number_of(asyncio::run(name_of_the_task()));
  const int second = number_of(asyncio::run(name_of_the_task()));
  BOOST_TEST(second == first + 3);  // Task-1 and Task-4 in a new process
}

BOOST_AUTO_TEST_CASE(rule_113_what_is_left_is_cancelled_and_waited_for) {
  Lines log;
  asyncio::run([&]() -> Coroutine<> {
    (void)create_task(background(log, "a"));
    (void)create_task(background(log, "b"));
    co_await asyncio::sleep(0);
    log.push_back("main");
  });
  BOOST_TEST(log == Lines({"main", "a CancelledError()", "b CancelledError()"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_113_also_when_main_fails) {
  Lines log;
  BOOST_TEST(thrown_by([&] {
               asyncio::run([&]() -> Coroutine<> {
                 (void)create_task(background(log, "a"));
                 co_await asyncio::sleep(0);
                 throw ValueError("main");
               });
             }) == "ValueError('main')");
  BOOST_TEST(log == Lines({"a CancelledError()"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_113_those_that_fail_meanwhile_are_reported) {
  Lines log;
  asyncio::run([&]() -> Coroutine<> {
    get_running_loop().set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      log.push_back(context.message);
      log.push_back(repr(context.exception));
      log.push_back(context.task.get_name());
    });
    (void)create_task(fails_when_cancelled(), {.name = "failing"});
    (void)create_task(asyncio::sleep(1000), {.name = "sleeping"});
    co_await asyncio::sleep(0);
  });
  BOOST_TEST(log == Lines({"unhandled exception during asyncio.run() shutdown",
                           "ValueError('late')", "failing"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_113_what_fails_meanwhile_does_not_hide_the_failure_of_main) {
  Lines log;
  BOOST_TEST(thrown_by([&] {
               asyncio::run([&]() -> Coroutine<> {
                 get_running_loop().set_exception_handler(
                     [&](EventLoop&, const ExceptionContext& context) {
                       log.push_back(repr(context.exception));
                     });
                 (void)create_task(fails_when_cancelled());
                 co_await asyncio::sleep(0);
                 throw ValueError("main");
               });
             }) == "ValueError('main')");
  BOOST_TEST(log == Lines({"ValueError('late')"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_113_nothing_is_left_of_a_run) {
  asyncio::run([]() -> Coroutine<> {
    (void)create_task(counted(1000));
    (void)create_task(lingers(0));
    (void)gather(counted(1000), counted(0));
    const Counted local;
    co_await asyncio::sleep(0);
  });
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(rule_117_keyboard_interrupt_and_system_exit_come_out_after_the_clean_up) {
  Lines log;
  const auto main = [&](auto error) {
    return thrown_by([&] {
      asyncio::run([&]() -> Coroutine<> {
        (void)create_task(background(log, "a"));
        co_await asyncio::sleep(0);
        throw error;
      });
    });
  };
  BOOST_TEST(main(KeyboardInterrupt()) == "KeyboardInterrupt()");
  BOOST_TEST(main(SystemExit(3)) == "SystemExit(3)");
  BOOST_TEST(log == Lines({"a CancelledError()", "a CancelledError()"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_117_system_exit_of_another_task_cancels_main) {
  const CapturedLog logged;
  Lines log;
  const std::string text = thrown_by([&] {
    asyncio::run([&]() -> Coroutine<> {
      (void)create_task([]() -> Coroutine<> {
        throw SystemExit(3);
        co_return;
      });
      co_await background(log, "main");
    });
  });
  BOOST_TEST(text == "SystemExit(3)");
  BOOST_TEST(log == Lines({"main CancelledError()"}), boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(logged.records.size() == 1u);
  BOOST_TEST(logged.messages()[0].starts_with("Task exception was never retrieved\n"),
             "of the other task");
}

BOOST_AUTO_TEST_CASE(what_the_shutdown_throws_comes_out) {
  const CapturedLog logged;
  BOOST_TEST(thrown_by([] {
               asyncio::run([]() -> Coroutine<> {
                 (void)create_task([]() -> Coroutine<> {
                   const Ending end = co_await ending(asyncio::sleep(1000));
                   throw SystemExit(4);
                 });
                 co_await asyncio::sleep(0);
                 throw ValueError("main");
               });
             }) == "SystemExit(4)");
}

BOOST_AUTO_TEST_CASE(rule_115_the_first_interrupt_cancels_main_and_becomes_keyboard_interrupt) {
  Lines log;
  BOOST_TEST(thrown_by([&] {
               asyncio::run([&]() -> Coroutine<> {
                 interrupt();
                 co_await background(log, "main");
               });
             }) == "KeyboardInterrupt()");
  BOOST_TEST(log == Lines({"main CancelledError()"}), boost::test_tools::per_element());
  BOOST_TEST(interrupt_is_default(), "restored");
}

BOOST_AUTO_TEST_CASE(rule_115_a_loop_that_waits_for_ever_is_woken) {
  BOOST_TEST(thrown_by([&] {
               asyncio::run([&]() -> Coroutine<> {
                 get_running_loop().call_soon(interrupt);
                 co_await Future<>();
               });
             }) == "KeyboardInterrupt()");
}

BOOST_AUTO_TEST_CASE(rule_115_the_future_that_main_waits_for_is_cancelled) {
  Runner runner;
  const Future<> future = runner.get_loop().create_future();
  BOOST_TEST(thrown_by([&] {
               runner.run([&]() -> Coroutine<> {
                 interrupt();
                 const Ending end = co_await ending(future);
                 BOOST_TEST(end.what() == "CancelledError()");
                 throw CancelledError();
               }());
             }) == "KeyboardInterrupt()");
  BOOST_TEST(future.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_115_a_main_that_never_waits_is_interrupted_too) {
  int left = 1'000'000;
  BOOST_TEST(thrown_by([&] {
               asyncio::run([&]() -> Coroutine<> {
                 interrupt();
                 for (; left != 0; --left) co_await asyncio::sleep(0);
               });
             }) == "KeyboardInterrupt()");
  BOOST_TEST(left != 0);
}

BOOST_AUTO_TEST_CASE(rule_115_in_another_thread_the_signal_is_left_alone) {
  const auto is_default = []() -> Coroutine<bool> { co_return interrupt_is_default(); };
  BOOST_TEST(!asyncio::run(is_default()));
  bool in_a_thread = false;
  std::thread([&] { in_a_thread = asyncio::run(is_default()); }).join();
  BOOST_TEST(in_a_thread);
}

BOOST_AUTO_TEST_CASE(rule_115_the_second_interrupt_leaves_the_loop) {
  Lines log;
  const auto main = [&]() -> Coroutine<> {
    interrupt();
    const Ending first = co_await ending(Future<>());
    log.push_back(first.what());
    interrupt();
    const Ending second = co_await ending(Future<>());
    log.push_back(second.what());
  };
  Runner runner;
  BOOST_TEST(thrown_by([&] { runner.run(main()); }) == "KeyboardInterrupt()");
  BOOST_TEST(log == Lines({"CancelledError()"}), boost::test_tools::per_element());
  BOOST_TEST(interrupt_is_default(), "restored after each run");
  runner.close();
  BOOST_TEST(log == Lines({"CancelledError()", "CancelledError()"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_116_a_main_that_swallows_the_cancellation_gives_its_value) {
  const int value = asyncio::run([]() -> Coroutine<int> {
    interrupt();
    const Ending end = co_await ending(Future<>());
    co_return 7;
  });
  BOOST_TEST(value == 7);
}

BOOST_AUTO_TEST_CASE(rule_116_cancelled_by_others_too_it_is_a_cancelled_error) {
  BOOST_TEST(thrown_by([] {
               asyncio::run([]() -> Coroutine<> {
                 interrupt();
                 const Ending end = co_await ending(Future<>());
                 current_task().cancel();
                 std::rethrow_exception(end.error);
               });
             }) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(rule_116_interrupted_when_others_have_cancelled_it_it_is_a_cancelled_error) {
  BOOST_TEST(thrown_by([] {
               asyncio::run([]() -> Coroutine<> {
                 const AnyTask main = current_task();
                 (void)create_task([main]() -> Coroutine<> {
                   main.cancel();
                   interrupt();
                   co_return;
                 });
                 const Ending by_the_task = co_await ending(Future<>());
                 const Ending by_the_signal = co_await ending(Future<>());
                 BOOST_TEST(main.cancelling() == 2);
                 std::rethrow_exception(by_the_signal.error);
               });
             }) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(rule_115_an_interrupt_in_the_last_step_of_main_is_not_lost) {
  const auto main = [](bool fails) -> Coroutine<int> {
    interrupt();
    if (fails) throw ValueError("x");
    co_return 7;
  };
  BOOST_TEST(thrown_by([&] { asyncio::run(main(false)); }) == "KeyboardInterrupt()");
  BOOST_TEST(thrown_by([&] { asyncio::run(main(true)); }) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(rule_115_every_run_of_a_runner_begins_anew) {
  Runner runner;
  for (int i = 0; i != 2; ++i) {
    BOOST_TEST(thrown_by([&] {
                 runner.run([&]() -> Coroutine<> {
                   interrupt();
                   co_await Future<>();
                 }());
               }) == "KeyboardInterrupt()");
  }
}

BOOST_AUTO_TEST_CASE(rule_115_a_program_with_a_handler_of_its_own_keeps_it) {
  static bool seen;
  seen = false;
  std::signal(SIGINT, [](int) { seen = true; });
  const int value = asyncio::run([]() -> Coroutine<int> {
    interrupt();
    co_await asyncio::sleep(0);
    co_return 1;
  });
  BOOST_TEST(value == 1);
  BOOST_TEST(seen);
  std::signal(SIGINT, SIG_DFL);
}

BOOST_AUTO_TEST_CASE(rule_115_a_handler_that_main_sets_takes_over) {
  int count = 0;
  asyncio::run([&]() -> Coroutine<> {
    Future<> arrived;
    get_running_loop().add_signal_handler(SIGINT, [&count, arrived] {
      ++count;
      arrived.set_result();
    });
    interrupt();
    co_await arrived;
  });
  BOOST_TEST(count == 1);
}

BOOST_AUTO_TEST_CASE(rule_115_the_program_cannot_remove_what_it_has_not_added) {
  const auto main = []() -> Coroutine<> {
    BOOST_TEST(!get_running_loop().remove_signal_handler(SIGINT));
    interrupt();
    co_await Future<>();
  };
  BOOST_TEST(thrown_by([&] { asyncio::run(main()); }) == "KeyboardInterrupt()");
  BOOST_TEST(interrupt_is_default());
}

BOOST_AUTO_TEST_CASE(rule_115_without_its_own_handler_main_is_interrupted) {
  bool cleaned_up = false;
  int seen = 0;
  const auto main = [&]() -> Coroutine<> {
    struct CleanUp {
      ~CleanUp() { done = true; }
      bool& done;
    } const clean_up{cleaned_up};
    EventLoop& loop = get_running_loop();
    const Future<> first;
    loop.add_signal_handler(SIGINT, [&] {
      ++seen;
      BOOST_TEST(loop.remove_signal_handler(SIGINT));
      BOOST_TEST(!loop.remove_signal_handler(SIGINT));
      first.set_result();
    });
    interrupt();
    co_await first;
    interrupt();
    co_await Future<>();
  };
  BOOST_TEST(thrown_by([&] { asyncio::run(main()); }) == "KeyboardInterrupt()");
  BOOST_TEST(seen == 1);
  BOOST_TEST(cleaned_up);
  BOOST_TEST(interrupt_is_default());
}

BOOST_AUTO_TEST_CASE(rule_115_an_action_that_main_sets_stays) {
  constexpr auto action = [](int) {};
  void (*const mine)(int) = action;
  asyncio::run([&]() -> Coroutine<> {
    std::signal(SIGINT, mine);
    co_return;
  });
  BOOST_TEST((std::signal(SIGINT, SIG_DFL) == mine));
}

BOOST_AUTO_TEST_CASE(rule_115_an_interrupt_that_is_queued_when_the_run_ends_is_forgotten) {
  Lines log;
  const auto main = [&]() -> Coroutine<> {
    EventLoop& loop = get_running_loop();
    create_task(background(log, "task"));
    loop.add_signal_handler(SIGUSR2, [&loop] {
      loop.add_signal_handler(SIGINT, [] {});
      throw SystemExit(1);
    });
    std::raise(SIGUSR2);
    std::raise(SIGINT);
    co_await Future<>();
  };
  BOOST_TEST(thrown_by([&] { asyncio::run(main()); }) == "SystemExit(1)");
  BOOST_TEST(log == Lines({"task CancelledError()"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
