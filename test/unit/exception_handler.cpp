// SPDX-License-Identifier: BSL-1.0
//
// Who calls the loop's exception handler, with what, and what the default one logs: surface A16,
// rules 13, 101 and 102.
#include <asyncio/exception_context.hpp>

#include <asyncio/connections.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <any>
#include <memory>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"

namespace {

using namespace asyncio;
using namespace core_tests;

struct Raising {
  void operator()() const { throw ValueError("text"); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(exception_handler_tests)

BOOST_AUTO_TEST_CASE(eh2_the_handler_is_what_was_set) {
  VirtualLoop loop;
  BOOST_TEST(!loop.get_exception_handler());
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  BOOST_TEST(bool(loop.get_exception_handler()));
  loop.set_exception_handler(nullptr);
  BOOST_TEST(!loop.get_exception_handler());
}

BOOST_AUTO_TEST_CASE(rule_101_a_raising_callback_is_reported_with_exception_and_handle) {
  VirtualLoop loop;
  Reports reports(loop);
  const Handle handle = loop.call_soon(Raising());
  loop.pass();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(to_string(handle) == "<Handle (anonymous namespace)::Raising()>");
  BOOST_TEST(reports[0].message == "Exception in callback (anonymous namespace)::Raising()");
  BOOST_TEST(reports[0].keys == "exception handle");
  BOOST_TEST(repr(reports[0].exception) == "ValueError('text')");
}

BOOST_AUTO_TEST_CASE(rule_101_a_raising_timer_is_reported_as_such) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.call_later(0, Raising());
  loop.pass();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Exception in callback (anonymous namespace)::Raising()");
}

BOOST_AUTO_TEST_CASE(rule_101_a_failing_protocol_is_reported_with_its_transport) {
  struct Failing : Protocol {
    void data_received(BytesView) override { throw ValueError("text"); }
    void connection_lost(std::exception_ptr) override { get_running_loop().stop(); }
  };
  EventLoop loop;
  Reports reports(loop);
  auto [ours, theirs] = Socket::pair();
  (void)loop.run_until_complete(loop.create_connection(make<Failing>(), {.sock = &ours}));
  theirs.send("x");
  loop.run_forever();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Fatal error: protocol.data_received() call failed.");
  BOOST_TEST(reports[0].keys == "exception protocol transport");
}

BOOST_AUTO_TEST_CASE(rule_101_the_handler_is_told_of_foreign_exceptions_too) {
  VirtualLoop loop;
  Reports reports(loop);
  loop.call_soon([] { throw std::runtime_error("foreign"); });
  loop.call_soon([] { throw CancelledError("message"); });
  loop.pass();
  BOOST_REQUIRE(reports.size() == 2u);
  BOOST_TEST(repr(reports[0].exception) == "runtime_error('foreign')");
  BOOST_TEST(repr(reports[1].exception) == "CancelledError('message')");
}

BOOST_AUTO_TEST_CASE(rule_101_the_handler_gets_its_loop) {
  VirtualLoop loop;
  EventLoop* seen = nullptr;
  loop.set_exception_handler([&](EventLoop& which, const ExceptionContext&) { seen = &which; });
  loop.call_soon([] { throw ValueError("text"); });
  loop.pass();
  BOOST_TEST((seen == &loop));
}

BOOST_AUTO_TEST_CASE(rule_101_the_handler_runs_in_the_context_of_the_handle) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const Context context;
  std::vector<int> seen;
  loop.set_exception_handler(
      [&](EventLoop&, const ExceptionContext&) { seen.push_back(variable.get()); });
  loop.call_soon(CallbackOptions{.context = &context}, [&] {
    (void)variable.set(5);
    throw ValueError("text");
  });
  loop.pass();
  const std::vector<int> expected{5};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_101_the_handler_runs_in_the_context_of_the_task) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  std::vector<int> seen;
  loop.set_exception_handler(
      [&](EventLoop&, const ExceptionContext&) { seen.push_back(variable.get()); });
  const auto body = [&]() -> Coroutine<> {
    (void)variable.set(7);
    co_await asyncio::sleep(0);
  };
  AnyTask task = loop.create_task(body());
  loop.pass();
  loop.call_exception_handler({.message = "text", .task = task});
  loop.call_exception_handler({.message = "text", .future = task});
  loop.pass();
  const std::vector<int> expected{7, 7};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_101_without_task_future_and_handle_the_current_context_stays) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  int seen = 0;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { seen = variable.get(); });
  loop.call_soon([&] {
    (void)variable.set(9);
    loop.call_exception_handler({.message = "text"});
  });
  loop.pass();
  BOOST_TEST(seen == 9);
}

BOOST_AUTO_TEST_CASE(rule_102_the_default_logs_the_message_and_the_exception_as_an_error) {
  VirtualLoop loop;
  CapturedLog log;
  loop.call_soon(Raising());
  loop.pass();
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].name == "asyncio");
  BOOST_TEST((log.records[0].level == LogLevel::error));
  BOOST_TEST(log.records[0].message ==
             "Exception in callback (anonymous namespace)::Raising()\n"
             "handle: <Handle (anonymous namespace)::Raising()>\nValueError('text')");
}

BOOST_AUTO_TEST_CASE(rule_102_the_keys_are_in_alphabetical_order) {
  VirtualLoop loop;
  CapturedLog log;
  const Future<int> future = loop.create_future<int>();
  const auto body = []() -> Coroutine<> { co_return; };
  const Task<> task = loop.create_task(body(), {.name = "worker"});
  const Handle handle = loop.call_soon([] {});
  const ExceptionContext inner{.message = "it's inner",
                               .exception = std::make_exception_ptr(ValueError("first")),
                               .handle = handle,
                               .source_traceback = StackFrame{"here.cpp", 7, "main"}};
  loop.default_exception_handler({.message = "text",
                                  .exception = std::make_exception_ptr(TypeError("wrong")),
                                  .future = future,
                                  .task = task,
                                  .handle = handle,
                                  .context = &inner});
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message ==
             "text\ncontext: {'message': \"it's inner\", 'exception': ValueError('first'), "
             "'handle': " +
                 to_string(handle) +
                 ", 'source_traceback': [<FrameSummary file here.cpp, line 7 in main>]}\n"
                 "future: <Future pending>\nhandle: " +
                 to_string(handle) + "\ntask: " + to_string(task) + "\nTypeError('wrong')");
  loop.pass();
}

BOOST_AUTO_TEST_CASE(rule_102_causes_are_told_first) {
  VirtualLoop loop;
  CapturedLog log;
  const auto first = std::make_exception_ptr(ValueError("first"));
  const auto second = std::make_exception_ptr(with_cause(TypeError("second"), first));
  loop.default_exception_handler(
      {.message = "text",
       .exception = std::make_exception_ptr(with_cause(RuntimeError("third"), second))});
  BOOST_REQUIRE(log.records.size() == 1u);
  const std::string because =
      "\n\nThe above exception was the direct cause of the following exception:\n\n";
  BOOST_TEST(log.records[0].message == "text\nValueError('first')" + because +
                                           "TypeError('second')" + because +
                                           "RuntimeError('third')");
}

BOOST_AUTO_TEST_CASE(rule_102_in_debug_mode_the_callback_that_runs_is_told) {
  VirtualLoop loop;
  CapturedLog log;
  loop.set_debug(true);
  loop.call_soon([&] { loop.call_exception_handler({.message = "text"}); });
  loop.pass();
  loop.call_exception_handler({.message = "outside"});
  BOOST_REQUIRE(log.records.size() == 2u);
  BOOST_TEST(log.records[0].message.starts_with(
      "text\nhandle_traceback: Handle created at (most recent call last):\n  File \""));
  BOOST_TEST(log.records[1].message == "outside");
}

BOOST_AUTO_TEST_CASE(rule_101_what_a_repr_throws_is_logged) {
  class Unnamed : public BaseTransport {
   public:
    void close() override {}
    bool is_closing() const override { return false; }
    std::any get_extra_info(std::string_view) const override { return {}; }
    void set_protocol(std::shared_ptr<BaseProtocol>) override {}
    std::shared_ptr<BaseProtocol> get_protocol() const override { return nullptr; }
    std::string repr() const override { throw ValueError("no name"); }
  };
  VirtualLoop loop;
  CapturedLog log;
  const ExceptionContext context{.message = "text", .transport = std::make_shared<Unnamed>()};
  loop.call_exception_handler(context);
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw TypeError("bad"); });
  loop.call_exception_handler(context);
  BOOST_REQUIRE(log.records.size() == 2u);
  BOOST_TEST(log.records[0].message ==
             "Exception in default exception handler\nValueError('no name')");
  BOOST_TEST(log.records[1].message ==
             "Exception in default exception handler while handling an unexpected error in custom "
             "exception handler\nValueError('no name')");
}

BOOST_AUTO_TEST_CASE(rule_102_without_a_message_there_is_a_standard_one) {
  VirtualLoop loop;
  CapturedLog log;
  loop.default_exception_handler({});
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message == "Unhandled exception in event loop");
}

BOOST_AUTO_TEST_CASE(rule_102_braces_in_a_report_are_no_format) {
  VirtualLoop loop;
  CapturedLog log;
  loop.default_exception_handler({.message = "{} {0}"});
  BOOST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message == "{} {0}");
}

BOOST_AUTO_TEST_CASE(rule_101_a_failing_handler_is_reported_by_the_default_one) {
  VirtualLoop loop;
  CapturedLog log;
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw TypeError("bad"); });
  bool went_on = false;
  loop.call_soon(Raising());
  loop.call_soon([&] { went_on = true; });
  loop.pass();
  BOOST_TEST(went_on);
  BOOST_REQUIRE(log.records.size() == 1u);
  const std::string& text = log.records[0].message;
  BOOST_TEST(text.starts_with(
      "Unhandled error in exception handler\n"
      "context: {'message': 'Exception in callback (anonymous namespace)::Raising()', 'exception': "
      "ValueError('text'), 'handle': <Handle (anonymous namespace)::Raising()>}\n"));
  BOOST_TEST(text.ends_with("\nTypeError('bad')"));
}

BOOST_AUTO_TEST_CASE(rule_101_exits_pass_through_the_handler) {
  VirtualLoop loop;
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw SystemExit(4); });
  bool ran = false;
  loop.call_soon([] { throw ValueError("text"); });
  loop.call_soon([&] { ran = true; });
  BOOST_CHECK_THROW(loop.run_forever(), SystemExit);
  BOOST_TEST(!ran);
  loop.pass();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(rule_101_a_failing_log_sink_does_not_end_the_loop) {
  VirtualLoop loop;
  set_log_sink([](const LogRecord&) { throw ValueError("sink"); });
  bool ran = false;
  loop.call_soon([] { throw ValueError("text"); });
  loop.call_soon([&] { ran = true; });
  loop.pass();
  set_log_sink({});
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(a_handler_may_replace_itself) {
  VirtualLoop loop;
  std::vector<int> seen;
  const auto kept = std::make_shared<int>(1);
  loop.set_exception_handler([&, kept](EventLoop& which, const ExceptionContext&) {
    which.set_exception_handler(
        [&seen](EventLoop&, const ExceptionContext&) { seen.push_back(2); });
    seen.push_back(*kept);
  });
  loop.call_soon([] { throw ValueError("text"); });
  loop.call_soon([] { throw ValueError("text"); });
  loop.pass();
  const std::vector<int> expected{1, 2};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_handler_may_keep_the_handles_it_is_given) {
  VirtualLoop loop;
  ExceptionContext kept;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) { kept = context; });
  loop.create_future().set_exception(ValueError("never looked at"));
  BOOST_TEST(kept.message == "Future exception was never retrieved");
  BOOST_REQUIRE(bool(kept.future));
  BOOST_TEST(repr(kept.future.exception()) == "ValueError('never looked at')");
  kept = {};  // once only
  BOOST_TEST(kept.message.empty());
}

BOOST_AUTO_TEST_CASE(a_done_callback_that_raises_is_reported_like_any_callback) {
  VirtualLoop loop;
  Reports reports(loop);
  const Future<> future = loop.create_future();
  future.add_done_callback(Raising());
  future.set_result();
  loop.pass();
  BOOST_REQUIRE(reports.size() == 1u);
  BOOST_TEST(reports[0].message == "Exception in callback (anonymous namespace)::Raising()");
  BOOST_TEST(reports[0].keys == "exception handle");
}

BOOST_AUTO_TEST_CASE(rule_101_the_context_is_that_of_the_handle_if_there_is_no_future) {
  VirtualLoop loop;
  const ContextVar<int> variable("variable", 0);
  const Context context;
  context.run([&] { (void)variable.set(5); });
  const Handle handle = loop.call_soon(CallbackOptions{.context = &context}, [] {});
  std::vector<int> seen;
  loop.set_exception_handler(
      [&](EventLoop&, const ExceptionContext&) { seen.push_back(variable.get()); });
  loop.call_exception_handler({.message = "text", .handle = handle});
  loop.call_exception_handler(
      {.message = "text", .future = loop.create_future(), .handle = handle});
  const std::vector<int> expected{5, 0};
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
  loop.pass();
}

BOOST_AUTO_TEST_SUITE_END()
