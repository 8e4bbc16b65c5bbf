// SPDX-License-Identifier: BSL-1.0
//
// Handle and TimerHandle: surface CB6-CB11, rule 11.
#include <asyncio/handles.hpp>

#include <memory>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

struct Doubled {
  void operator()(int* number) const { *number *= 2; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(handles_tests)

BOOST_AUTO_TEST_CASE(rule_11_a_cancelled_handle_never_runs) {
  VirtualLoop loop;
  bool ran = false;
  Handle handle = loop.call_soon([&] { ran = true; });
  handle.cancel();
  BOOST_TEST(handle.cancelled());
  loop.pass();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(rule_11_an_earlier_callback_cancels_a_later_one_of_the_same_pass) {
  VirtualLoop loop;
  Trace trace;
  Handle victim;
  TimerHandle timer;
  loop.call_soon([&] {
    trace.push_back("a");
    victim.cancel();
    timer.cancel();
  });
  victim = loop.call_soon([&] { trace.push_back("b"); });
  timer = loop.call_later(0, [&] { trace.push_back("c"); });
  loop.call_soon([&] { trace.push_back("d"); });
  loop.pass();
  BOOST_TEST(joined(trace) == "a d");
}

BOOST_AUTO_TEST_CASE(cb7_cancel_drops_callback_and_arguments_at_once_and_is_idempotent) {
  VirtualLoop loop;
  Handle soon = loop.call_soon([](const Counted&) {}, Counted());
  TimerHandle later = loop.call_later(1, [counted = Counted()] {});
  BOOST_TEST(Counted::alive == 2);
  soon.cancel();
  BOOST_TEST(Counted::alive == 1);
  later.cancel();
  BOOST_TEST(Counted::alive == 0);
  soon.cancel();
  later.cancel();
  BOOST_TEST(later.cancelled());
}

BOOST_AUTO_TEST_CASE(callback_dies_with_the_last_handle_once_it_ran) {
  VirtualLoop loop;
  Handle kept = loop.call_soon([counted = Counted()] {});
  loop.call_soon([counted = Counted()] {});
  loop.pass();
  BOOST_TEST(Counted::alive == 1);
  kept = Handle();
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(cancel_after_the_callback_ran_is_harmless_and_drops_it) {
  VirtualLoop loop;
  Handle handle = loop.call_soon([counted = Counted()] {});
  loop.pass();
  BOOST_TEST(!handle.cancelled());
  handle.cancel();
  BOOST_TEST(handle.cancelled());
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(callback_that_cancels_itself_lives_until_it_returns) {
  VirtualLoop loop;
  Handle handle;
  int alive_after_cancel = 0;
  handle = loop.call_soon([&, counted = Counted()] {
    handle.cancel();
    alive_after_cancel = Counted::alive;
  });
  loop.pass();
  BOOST_TEST(alive_after_cancel == 1);
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(handle.cancelled());
}

BOOST_AUTO_TEST_CASE(handle_may_be_dropped_by_its_own_callback) {
  VirtualLoop loop;
  auto handle = std::make_unique<Handle>();
  bool ran = false;
  *handle = loop.call_soon([&, counted = Counted()] {
    handle.reset();
    ran = Counted::alive == 1;
  });
  loop.pass();
  BOOST_TEST(ran);
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(destructor_of_a_cancelled_callback_may_queue_another) {
  VirtualLoop loop;
  bool ran = false;
  const auto queue = [&] { loop.call_soon([&] { ran = true; }); };
  auto guard = std::make_shared<AtExit<decltype(queue)>>(queue);
  Handle handle = loop.call_soon([guard = std::move(guard)] {});
  handle.cancel();
  loop.pass();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(cb11_a_timer_knows_its_deadline) {
  VirtualLoop loop;
  loop.scheduler().advance(10);
  BOOST_TEST((loop.call_at(12.5, [] {}).when() == 12.5));
  TimerHandle later = loop.call_later(0.5, [] {});
  BOOST_TEST((later.when() == 10.5));
  later.cancel();
  BOOST_TEST((later.when() == 10.5));
}

BOOST_AUTO_TEST_CASE(copies_of_a_handle_stand_for_the_same_callback) {
  VirtualLoop loop;
  bool ran = false;
  const Handle first = loop.call_soon([&] { ran = true; });
  Handle second = first;
  BOOST_TEST((first == second));
  BOOST_TEST((first != loop.call_soon([] {})));
  second.cancel();
  BOOST_TEST(first.cancelled());
  loop.pass();
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(empty_handle_is_harmless) {
  Handle handle;
  handle.cancel();
  BOOST_TEST(handle.cancelled());
  BOOST_TEST(!handle);
  BOOST_TEST(to_string(handle) == "<Handle cancelled>");
  BOOST_TEST((TimerHandle().when() == TimePoint()));
}

BOOST_AUTO_TEST_CASE(cb9_a_handle_gives_the_context_of_its_callback) {
  VirtualLoop loop;
  const Context context;
  const Handle given = loop.call_soon(CallbackOptions{.context = &context}, [] {});
  BOOST_TEST((given.get_context().state() == context.state()));
  const Handle captured = loop.call_soon([] {});
  BOOST_TEST((captured.get_context().state() == captured.get_context().state()));
  BOOST_TEST(captured.get_context().size() == 0u);
}

BOOST_AUTO_TEST_CASE(arguments_are_kept_with_the_callback) {
  VirtualLoop loop;
  std::string seen;
  int counter = 0;
  struct Object {
    std::string* seen;
    void method(const std::string& text, int number) const {
      *seen = text + std::to_string(number);
    }
  };
  loop.call_soon(&Object::method, Object{&seen}, "text", 5);
  loop.call_later(
      0, [](int& i) { ++i; }, std::ref(counter));
  loop.call_soon([](std::unique_ptr<int>& owned, int* out) { *out += *owned; },
                 std::make_unique<int>(10), &counter);
  loop.pass();
  BOOST_TEST(seen == "text5");
  BOOST_TEST(counter == 11);
}

BOOST_AUTO_TEST_CASE(repr_names_the_kind_the_state_and_the_callable) {
  VirtualLoop loop;
  int counter = 1;
  const Handle soon = loop.call_soon(Doubled(), &counter);
  TimerHandle later = loop.call_later(1.5, Doubled(), &counter);
  BOOST_TEST(to_string(soon) == "<Handle (anonymous namespace)::Doubled()>");
  BOOST_TEST(to_string(later) == "<TimerHandle when=1.5 (anonymous namespace)::Doubled()>");
  later.cancel();
  BOOST_TEST(to_string(later) == "<TimerHandle cancelled when=1.5>");
}

BOOST_AUTO_TEST_SUITE_END()
