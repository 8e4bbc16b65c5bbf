// SPDX-License-Identifier: BSL-1.0
//
// add_signal_handler and remove_signal_handler: surface SG1, SG2, rules 180 and 181.
#include <asyncio/event_loop.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

volatile std::sig_atomic_t usual_action_calls = 0;

/// What SIGUSR1 does in this process when no loop handles it.
struct UsualAction {
  UsualAction() {
    usual_action_calls = 0;
    previous = std::signal(SIGUSR1, [](int) { usual_action_calls = usual_action_calls + 1; });
  }
  ~UsualAction() { std::signal(SIGUSR1, previous); }
  void (*previous)(int);
};

}  // namespace

BOOST_AUTO_TEST_SUITE(signals_tests)

BOOST_AUTO_TEST_CASE(sg1_the_callback_runs_in_the_loop_with_its_arguments) {
  EventLoop loop;
  int seen = 0;
  bool in_loop = false;
  loop.add_signal_handler(
      SIGUSR1,
      [&](int number) {
        seen = number;
        in_loop = &get_running_loop() == &loop;
        loop.stop();
      },
      5);
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(seen == 5);
  BOOST_TEST(in_loop);
}

BOOST_AUTO_TEST_CASE(rule_180_the_callback_runs_in_the_pass_after_the_one_that_noticed) {
  EventLoop loop;
  std::uint64_t raised_in = 0;
  std::uint64_t ran_in = 0;
  loop.add_signal_handler(SIGUSR1, [&] {
    ran_in = loop.passes();
    loop.stop();
  });
  loop.call_soon([&] {
    raised_in = loop.passes();
    std::raise(SIGUSR1);
  });
  loop.run_forever();
  BOOST_TEST(ran_in == raised_in + 2);
}

BOOST_AUTO_TEST_CASE(rule_180_a_signal_wakes_a_loop_that_waits) {
  EventLoop loop;
  Trace trace;
  loop.add_signal_handler(SIGUSR1, [&] {
    trace.push_back("signal");
    loop.stop();
  });
  struct Observer : LoopObserver {
    void pass_begins() override {
      if (++passes == 2) std::raise(SIGUSR1);  // nothing is queued: this pass waits
    }
    int passes = 0;
  } observer;
  loop.set_observer(&observer);
  loop.call_soon([&] { trace.push_back("callback"); });
  loop.run_forever();
  loop.set_observer(nullptr);
  BOOST_TEST(joined(trace) == "callback signal");
}

BOOST_AUTO_TEST_CASE(a_handler_stays_for_the_next_signal) {
  EventLoop loop;
  int calls = 0;
  loop.add_signal_handler(SIGUSR1, [&] {
    if (++calls == 3)
      loop.stop();
    else
      std::raise(SIGUSR1);
  });
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(handlers_of_different_signals_are_independent) {
  EventLoop loop;
  Trace trace;
  const auto note = [&](const char* name) {
    trace.push_back(name);
    if (trace.size() == 2) loop.stop();
  };
  loop.add_signal_handler(SIGUSR1, note, "one");
  loop.add_signal_handler(SIGUSR2, note, "two");
  loop.call_soon([] { std::raise(SIGUSR2); });
  loop.call_soon([&] { loop.call_soon([] { std::raise(SIGUSR1); }); });
  loop.run_forever();
  std::ranges::sort(trace);
  BOOST_TEST(joined(trace) == "one two");
}

BOOST_AUTO_TEST_CASE(rule_181_add_replaces_silently) {
  EventLoop loop;
  CapturedLog log;
  Trace trace;
  loop.add_signal_handler(SIGUSR1, [&, counted = Counted()] { trace.push_back("old"); });
  loop.add_signal_handler(SIGUSR1, [&] {
    trace.push_back("new");
    loop.stop();
  });
  BOOST_TEST(Counted::alive == 0);
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(joined(trace) == "new");
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(a_handler_may_replace_and_remove_itself) {
  EventLoop loop;
  Trace trace;
  loop.add_signal_handler(SIGUSR1, [&] {
    trace.push_back("first");
    loop.add_signal_handler(SIGUSR1, [&] {
      trace.push_back("second");
      loop.remove_signal_handler(SIGUSR1);
      loop.stop();
    });
    std::raise(SIGUSR1);
  });
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(joined(trace) == "first second");
}

BOOST_AUTO_TEST_CASE(sg2_remove_says_whether_there_was_one_and_restores_the_default) {
  EventLoop loop;
  BOOST_TEST(!loop.remove_signal_handler(SIGUSR1));
  loop.add_signal_handler(SIGUSR1, [counted = Counted()] {});
  BOOST_TEST(loop.remove_signal_handler(SIGUSR1));
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(!loop.remove_signal_handler(SIGUSR1));
  struct sigaction action {};
  ::sigaction(SIGUSR1, nullptr, &action);
  BOOST_TEST((action.sa_handler == SIG_DFL));
}

BOOST_AUTO_TEST_CASE(a_signal_noticed_before_its_handler_was_removed_is_forgotten) {
  EventLoop loop;
  bool ran = false;
  loop.add_signal_handler(SIGUSR1, [&] { ran = true; });
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.call_soon([&] {
    loop.call_soon([&] {  // the pass that notices
      loop.remove_signal_handler(SIGUSR1);
      loop.call_soon([&] { loop.call_soon([&] { loop.stop(); }); });
    });
  });
  loop.run_forever();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(rule_181_a_signal_is_for_the_handler_that_is_there_when_it_is_noticed) {
  for (const bool removed_before : {false, true}) {
    EventLoop loop;
    Trace trace;
    loop.add_signal_handler(SIGUSR1, [&] { trace.push_back("old"); });
    loop.call_soon([] { std::raise(SIGUSR1); });
    loop.call_soon([&] {
      loop.call_soon([&] {  // the pass that notices
        if (removed_before) loop.remove_signal_handler(SIGUSR1);
        loop.add_signal_handler(SIGUSR1, [&] {
          trace.push_back("new");
          loop.stop();
        });
      });
    });
    loop.run_forever();
    BOOST_TEST(joined(trace) == "new");
  }
}

BOOST_AUTO_TEST_CASE(rule_181_what_is_queued_runs_although_it_is_replaced) {
  EventLoop loop;
  Trace trace;
  const auto adds = [&](const char* name) {
    loop.add_signal_handler(SIGUSR1, [&, name] {
      trace.push_back(name);
      loop.stop();
    });
  };
  adds("old");
  loop.add_signal_handler(SIGUSR2, [&] { adds("new"); });
  loop.call_soon([] {
    std::raise(SIGUSR2);
    std::raise(SIGUSR1);
  });
  loop.run_forever();
  BOOST_TEST(joined(trace) == "old");
}

BOOST_AUTO_TEST_CASE(rule_181_closing_the_loop_removes_all) {
  const UsualAction usual;
  EventLoop loop;
  loop.add_signal_handler(SIGUSR1, [counted = Counted()] {});
  loop.close();
  BOOST_TEST(Counted::alive == 0);
  struct sigaction action {};
  ::sigaction(SIGUSR1, nullptr, &action);
  BOOST_TEST((action.sa_handler == SIG_DFL));
}

BOOST_AUTO_TEST_CASE(sg1_bad_numbers_are_value_errors) {
  EventLoop loop;
  BOOST_CHECK_THROW(loop.add_signal_handler(0, [] {}), ValueError);
  BOOST_CHECK_THROW(loop.add_signal_handler(-1, [] {}), ValueError);
  BOOST_CHECK_THROW(loop.remove_signal_handler(0), ValueError);
  BOOST_CHECK_EXCEPTION(loop.add_signal_handler(NSIG, [] {}), ValueError,
                        says("invalid signal number " + std::to_string(NSIG)));
}

BOOST_AUTO_TEST_CASE(sg1_a_signal_that_cannot_be_caught_is_a_runtime_error) {
  EventLoop loop;
  BOOST_CHECK_EXCEPTION(loop.add_signal_handler(SIGKILL, [] {}), RuntimeError,
                        says("sig " + std::to_string(SIGKILL) + " cannot be caught"));
  BOOST_CHECK_THROW(loop.add_signal_handler(SIGSTOP, [] {}), RuntimeError);
}

BOOST_AUTO_TEST_CASE(rule_21_after_close_no_handler_is_accepted) {
  EventLoop loop;
  loop.close();
  BOOST_CHECK_EXCEPTION(loop.add_signal_handler(SIGUSR1, [] {}), RuntimeError,
                        says("Event loop is closed"));
  BOOST_TEST(!loop.remove_signal_handler(SIGUSR1));
}

BOOST_AUTO_TEST_CASE(a_raising_handler_is_reported_and_stays) {
  EventLoop loop;
  Reports reports(loop);
  int calls = 0;
  loop.add_signal_handler(SIGUSR1, [&] {
    if (++calls == 2)
      loop.stop();
    else
      std::raise(SIGUSR1);
    throw ValueError("text");
  });
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(calls == 2);
  BOOST_REQUIRE(reports.size() == 2u);
  BOOST_TEST(reports[0].message.starts_with("Exception in callback signals_tests::"));
  BOOST_TEST(reports[0].keys == "exception handle");
}

BOOST_AUTO_TEST_CASE(rule_218_a_handler_runs_in_the_context_of_its_registration) {
  EventLoop loop;
  const ContextVar<int> variable("variable", 0);
  int seen = 0;
  const Context context;
  context.run([&] {
    (void)variable.set(3);
    loop.add_signal_handler(SIGUSR1, [&] {
      seen = variable.get();
      loop.stop();
    });
  });
  loop.call_soon([] { std::raise(SIGUSR1); });
  loop.run_forever();
  BOOST_TEST(seen == 3);
}

BOOST_AUTO_TEST_CASE(rule_181_what_is_queued_runs_although_it_is_removed) {
  EventLoop loop;
  bool ran = false;
  loop.add_signal_handler(SIGUSR1, [&] {
    ran = true;
    loop.stop();
  });
  loop.add_signal_handler(SIGUSR2, [&] { loop.remove_signal_handler(SIGUSR1); });
  loop.call_soon([] {
    std::raise(SIGUSR2);
    std::raise(SIGUSR1);
  });
  loop.run_forever();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(rule_181_a_handler_may_hold_what_removes_it) {
  struct Service {
    explicit Service(EventLoop& loop) : loop(loop) {}
    ~Service() { still_there = loop.remove_signal_handler(SIGUSR1); }
    EventLoop& loop;
    bool& still_there = *new bool(true);
  };
  EventLoop loop;
  auto service = std::make_shared<Service>(loop);
  const std::unique_ptr<bool> still_there(&service->still_there);
  loop.add_signal_handler(SIGUSR1, [service = std::move(service)] {});
  BOOST_TEST(loop.remove_signal_handler(SIGUSR1));
  BOOST_TEST(!*still_there);

  service = std::make_shared<Service>(loop);
  const std::unique_ptr<bool> again(&service->still_there);
  loop.add_signal_handler(SIGUSR1, [service = std::move(service)] {});
  loop.close();
  BOOST_TEST(!*again);
}

BOOST_AUTO_TEST_CASE(rule_20_a_handler_that_is_added_while_the_loop_closes_goes_with_it) {
  struct Late {
    ~Late() {
      loop.add_signal_handler(SIGUSR1, [kept = std::move(kept)] {});
    }
    EventLoop& loop;
    std::shared_ptr<int> kept;
  };
  const auto kept = std::make_shared<int>();
  EventLoop loop;
  loop.call_soon([late = std::make_unique<Late>(loop, kept)] {});
  loop.close();
  BOOST_TEST(kept.use_count() == 1);
  struct sigaction action {};
  ::sigaction(SIGUSR1, nullptr, &action);
  BOOST_TEST(action.sa_handler == SIG_DFL);
}

BOOST_AUTO_TEST_CASE(rule_181_interrupted_system_calls_are_restarted) {
  EventLoop loop;
  loop.add_signal_handler(SIGUSR1, [] {});
  struct sigaction action {};
  ::sigaction(SIGUSR1, nullptr, &action);
  BOOST_TEST((action.sa_flags & SA_RESTART) != 0);
}

BOOST_AUTO_TEST_SUITE_END()
