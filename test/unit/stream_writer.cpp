// SPDX-License-Identifier: BSL-1.0
//
// StreamWriter, FlowControlMixin and StreamReaderProtocol without a socket (rules 211-216).
#include <asyncio/streams.hpp>

#include <any>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/timeouts.hpp>

#include "on_virtual_time.hpp"

namespace {

using namespace on_virtual_time;

/// Writes down what it is asked for.
class Wire : public Transport {
 public:
  Lines calls;
  bool tls = false;
  bool closing = false;

  void close() override {
    calls.push_back("close");
    closing = true;
  }
  bool is_closing() const override { return closing; }
  std::any get_extra_info(std::string_view name) const override {
    if (name == "sslcontext" && tls) return 1;
    if (name == peername.name) return Address("10.0.0.1", 7);
    return {};
  }
  void set_protocol(std::shared_ptr<BaseProtocol>) override {}
  std::shared_ptr<BaseProtocol> get_protocol() const override { return nullptr; }
  std::string repr() const override { return "<Wire>"; }
  bool is_reading() const override { return true; }
  void pause_reading() override { calls.push_back("pause"); }
  void resume_reading() override { calls.push_back("resume"); }
  void write(BytesView data) override { calls.push_back("write " + data.str()); }
  void writelines(std::span<const BytesView> lines) override {
    std::string call = "writelines";
    for (const BytesView line : lines) call += " " + line.str();
    calls.push_back(call);
  }
  void write_eof() override { calls.push_back("write_eof"); }
  bool can_write_eof() const override { return true; }
  void abort() override { calls.push_back("abort"); }
  std::size_t get_write_buffer_size() const override { return 0; }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override { return {}; }
  void set_write_buffer_limits(WriteBufferLimits) override {}
};

/// What is logged on "asyncio" meanwhile.
class Logged {
 public:
  explicit Logged(LogLevel level = LogLevel::warning) {
    get_logger("asyncio").set_level(level);
    set_log_sink([this](const LogRecord& record) { lines.emplace_back(record.message); });
  }
  ~Logged() {
    set_log_sink(nullptr);
    get_logger("asyncio").set_level(LogLevel::notset);
  }
  Lines lines;
};

/// Both ends of a stream whose transport is a Wire.
struct Stream {
  Stream() { protocol->connection_made(wire); }
  ~Stream() { wire->closing = true; }  // nothing to warn of

  /// How an awaitable ends, and after how many passes.
  Ending end(Coroutine<> awaitable) {
    return loop.run_until_complete(ending(std::move(awaitable)));
  }
  Task<Ending> start(Coroutine<> awaitable) {
    const Task<Ending> task = loop.create_task(ending(std::move(awaitable)));
    loop.pass();
    return task;
  }
  std::string finish(const Task<Ending>& task) { return loop.run_until_complete(task).what(); }

  Loop loop;
  const std::shared_ptr<Wire> wire = std::make_shared<Wire>();
  std::optional<StreamReader> reader{std::in_place, loop};
  std::shared_ptr<StreamReaderProtocol> protocol =
      std::make_shared<StreamReaderProtocol>(loop, *reader);
  std::optional<StreamWriter> writer{std::in_place, wire, protocol, reader, loop};
};

const std::exception_ptr reset =
    std::make_exception_ptr(ConnectionResetError(104, "Connection reset by peer"));

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_writer_tests)

// -- the transport's own

BOOST_AUTO_TEST_CASE(st16_to_st21_it_hands_on_to_its_transport) {
  Stream s;
  const StreamWriter& writer = *s.writer;
  writer.write("one");
  writer.writelines({"two", "three"});
  writer.writelines(std::vector<std::string>{"four"});
  BOOST_TEST(writer.can_write_eof());
  writer.write_eof();
  BOOST_TEST(!writer.is_closing());
  writer.close();
  BOOST_TEST(writer.is_closing());
  const Lines expected{"write one", "writelines two three", "writelines four", "write_eof",
                       "close"};
  BOOST_TEST(s.wire->calls == expected, boost::test_tools::per_element());
  BOOST_TEST((writer.transport() == s.wire));
  BOOST_TEST(to_string(writer.get_extra_info(peername)) == "('10.0.0.1', 7)");
  BOOST_TEST(to_string(writer.get_extra_info(sockname, Address("10.0.0.2", 8))) ==
             "('10.0.0.2', 8)");
  BOOST_TEST(!writer.get_extra_info("nothing").has_value());
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  Stream s;
  BOOST_TEST(to_string(*s.writer) ==
             "<StreamWriter transport=<Wire> reader=<StreamReader transport=<Wire>>>");
  const StreamWriter alone(s.wire, s.protocol, std::nullopt, s.loop);
  BOOST_TEST(to_string(alone) == "<StreamWriter transport=<Wire>>");
  s.wire->closing = true;
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_writer) {
  Stream s;
  const StreamWriter copy = *s.writer;
  BOOST_TEST((copy == *s.writer));
  s.wire->closing = true;
  BOOST_TEST((copy != StreamWriter(s.wire, s.protocol, s.reader, s.loop)));
}

// -- drain (rule 211)

BOOST_AUTO_TEST_CASE(r211_drain_does_not_yield_when_not_paused) {
  Stream s;
  const Ending drained = s.end(s.writer->drain());
  BOOST_TEST(drained.what() == "None");
  BOOST_TEST(drained.passes == 0u);
}

BOOST_AUTO_TEST_CASE(r211_drain_waits_until_writing_is_resumed) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> drain = s.start(s.writer->drain());
  BOOST_TEST(!drain.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(drain) == "None");
}

BOOST_AUTO_TEST_CASE(r211_any_number_may_wait) {
  Stream s;
  s.protocol->pause_writing();
  std::vector<Task<Ending>> drains;
  for (int i = 0; i < 10; ++i) drains.push_back(s.start(s.writer->drain()));
  s.protocol->resume_writing();
  s.loop.pass();
  for (const Task<Ending>& drain : drains) BOOST_TEST(drain.result().what() == "None");
}

BOOST_AUTO_TEST_CASE(r211_who_comes_after_the_resumption_does_not_wait) {
  Stream s;
  s.protocol->pause_writing();
  s.protocol->resume_writing();
  BOOST_TEST(s.end(s.writer->drain()).passes == 0u);
}

BOOST_AUTO_TEST_CASE(r211_who_is_woken_goes_on_although_writing_is_paused_again) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  s.protocol->resume_writing();
  s.protocol->pause_writing();
  const Task<Ending> second = s.start(s.writer->drain());
  BOOST_TEST(first.done());
  BOOST_TEST(!second.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(second) == "None");
}

BOOST_AUTO_TEST_CASE(r211_cancelling_one_leaves_the_others) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  const Task<Ending> second = s.start(s.writer->drain());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  BOOST_TEST(!second.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(second) == "None");
}

BOOST_AUTO_TEST_CASE(r211_drain_throws_what_reading_failed_with) {
  Stream s;
  s.reader->set_exception(ValueError("bad"));
  BOOST_TEST(s.end(s.writer->drain()).what() == "ValueError('bad')");
  const StreamWriter alone(s.wire, s.protocol, std::nullopt, s.loop);
  BOOST_TEST(s.end(alone.drain()).what() == "None");
  s.wire->closing = true;
}

BOOST_AUTO_TEST_CASE(r211_a_closing_transport_costs_a_pass) {
  Stream s;
  s.wire->closing = true;
  const Ending drained = s.end(s.writer->drain());
  BOOST_TEST(drained.what() == "None");
  BOOST_TEST(drained.passes == 1u);
}

BOOST_AUTO_TEST_CASE(r211_in_that_pass_the_loss_may_arrive) {
  Stream s;
  s.wire->closing = true;
  const Task<Ending> drain = s.loop.create_task(ending(s.writer->drain()));
  s.loop.call_soon([&] { s.protocol->connection_lost(nullptr); });
  BOOST_TEST(s.finish(drain) == "ConnectionResetError('Connection lost')");
}

BOOST_AUTO_TEST_CASE(r211_after_a_loss_drain_throws) {
  Stream s;
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->drain()).what() == "ConnectionResetError('Connection lost')");
}

BOOST_AUTO_TEST_CASE(r212_a_loss_wakes_drains_with_its_exception) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  const Task<Ending> cancelled = s.start(s.writer->drain());
  cancelled.cancel();
  s.protocol->connection_lost(reset);
  BOOST_TEST(s.finish(first) == "ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(s.finish(cancelled) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(r212_an_orderly_end_wakes_drains_normally) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> drain = s.start(s.writer->drain());
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.finish(drain) == "None");
}

BOOST_AUTO_TEST_CASE(r211_pausing_and_resuming_must_alternate) {
  Stream s;
  BOOST_TEST(thrown_by([&] { s.protocol->resume_writing(); }).starts_with("AssertionError("));
  s.protocol->pause_writing();
  BOOST_TEST(thrown_by([&] { s.protocol->pause_writing(); }).starts_with("AssertionError("));
}

BOOST_AUTO_TEST_CASE(in_debug_mode_pausing_is_logged) {
  Stream s;
  s.loop.set_debug(true);
  const Logged logged(LogLevel::debug);
  s.protocol->pause_writing();
  s.protocol->resume_writing();
  BOOST_TEST_REQUIRE(logged.lines.size() == 2u);
  BOOST_TEST(logged.lines[0].find("StreamReaderProtocol object at 0x") != std::string::npos);
  BOOST_TEST(logged.lines[0].ends_with(" pauses writing"));
  BOOST_TEST(logged.lines[1].ends_with(" resumes writing"));
}

// -- wait_closed (rules 212, 213)

BOOST_AUTO_TEST_CASE(r213_wait_closed_waits_for_the_loss) {
  Stream s;
  const Task<Ending> waiting = s.start(s.writer->wait_closed());
  s.writer->close();
  s.loop.pass();
  BOOST_TEST(!waiting.done());
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.finish(waiting) == "None");
  BOOST_TEST(s.end(s.writer->wait_closed()).passes == 0u);
}

BOOST_AUTO_TEST_CASE(r213_wait_closed_throws_what_the_connection_was_lost_by) {
  Stream s;
  const Task<Ending> waiting = s.start(s.writer->wait_closed());
  s.protocol->connection_lost(reset);
  BOOST_TEST(s.finish(waiting) == "ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(s.end(s.writer->wait_closed()).what() ==
             "ConnectionResetError(104, 'Connection reset by peer')");
}

BOOST_AUTO_TEST_CASE(r213_a_loss_that_nobody_asks_for_is_not_reported) {
  Stream s;
  s.protocol->connection_lost(reset);
  s.wire->closing = true;
  s.writer.reset();
  s.reader.reset();
  s.protocol.reset();
  s.loop.pass();
  BOOST_TEST(s.loop.reports().empty());
}

BOOST_AUTO_TEST_CASE(r213_cancelling_wait_closed_cancels_the_close_waiter) {
  Stream s;
  const Task<Ending> first = s.start(s.writer->wait_closed());
  const Task<Ending> second = s.start(s.writer->wait_closed());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  BOOST_TEST(s.finish(second) == "CancelledError()");
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->wait_closed()).what() == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(r213_shield_keeps_it) {
  Stream s;
  const auto shielded = [&]() -> Coroutine<> { co_await shield(s.writer->wait_closed()); };
  const Task<Ending> first = s.start(shielded());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->wait_closed()).what() == "None");
}

// -- the reader's side of the protocol (rules 212, 214, 216)

BOOST_AUTO_TEST_CASE(r212_an_orderly_end_is_the_readers_end) {
  Stream s;
  s.protocol->data_received("rest");
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.loop.run_until_complete(s.reader->read()) == "rest");
  BOOST_TEST(s.reader->at_eof());
}

BOOST_AUTO_TEST_CASE(r205_r212_a_loss_is_the_readers_exception_whatever_is_buffered) {
  Stream s;
  s.protocol->data_received("lost");
  s.protocol->connection_lost(reset);
  BOOST_TEST(thrown_by([&] { (void)s.loop.run_until_complete(s.reader->read()); }) ==
             "ConnectionResetError(104, 'Connection reset by peer')");
}

BOOST_AUTO_TEST_CASE(r214_the_end_of_reading_leaves_writing_open_but_not_over_tls) {
  Stream s;
  BOOST_TEST(s.protocol->eof_received());
  BOOST_TEST(s.reader->at_eof());

  Stream tls;
  tls.wire->tls = true;
  const StreamReader reader(tls.loop);
  StreamReaderProtocol protocol(tls.loop, reader);
  protocol.connection_made(tls.wire);
  BOOST_TEST(!protocol.eof_received());
  BOOST_TEST(reader.at_eof());
}

BOOST_AUTO_TEST_CASE(r203_the_reader_pauses_the_transport) {
  Stream s;
  s.protocol->data_received(std::string(2 * constants::stream_limit + 1, 'x'));
  BOOST_TEST(s.wire->calls == Lines{"pause"}, boost::test_tools::per_element());
  (void)s.loop.run_until_complete(s.reader->readexactly(constants::stream_limit + 1));
  BOOST_TEST(s.wire->calls.back() == "resume");
}

BOOST_AUTO_TEST_CASE(r216_the_protocol_does_not_keep_the_reader) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  std::optional<StreamReader> reader(std::in_place, loop);
  StreamReaderProtocol protocol(loop, *reader);
  protocol.connection_made(wire);
  BOOST_TEST(wire.use_count() == 2);
  protocol.data_received("kept by nobody");
  reader.reset();
  BOOST_TEST(wire.use_count() == 1);  // the reader went, and let the transport go
  protocol.data_received("dropped");
  BOOST_TEST(protocol.eof_received());
  protocol.connection_lost(reset);
}

BOOST_AUTO_TEST_CASE(r216_a_reader_that_is_gone_before_the_connection_is_missed_by_nobody) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  StreamReaderProtocol protocol(loop, StreamReader(loop));
  protocol.connection_made(wire);
  protocol.data_received("dropped");
  protocol.connection_lost(nullptr);
  BOOST_TEST(wire->calls.empty());
}

BOOST_AUTO_TEST_CASE(r216_the_writer_keeps_the_reader) {
  Stream s;
  s.protocol->data_received("kept");
  s.reader.reset();
  BOOST_TEST(to_string(*s.writer) ==
             "<StreamWriter transport=<Wire> reader=<StreamReader 4 bytes transport=<Wire>>>");
}

BOOST_AUTO_TEST_CASE(st23_the_protocol_is_of_the_running_loop_else_of_the_current_one) {
  Loop loop;
  const StreamReader reader(loop);
  BOOST_TEST(thrown_by([&] { const StreamReaderProtocol nobodys(reader); }) ==
             "RuntimeError('There is no current event loop in this thread')");
  const auto body = [&]() -> Coroutine<bool> {
    StreamReaderProtocol protocol(reader);
    co_return &protocol.get_close_waiter().get_loop() == &loop;
  };
  BOOST_TEST(loop.run(body));
  set_event_loop(&loop);
  StreamReaderProtocol protocol(reader);
  BOOST_TEST((&protocol.get_close_waiter().get_loop() == &loop));
  set_event_loop(nullptr);
}

// -- the callback of a server (rule 215)

BOOST_AUTO_TEST_CASE(r215_a_plain_callback_is_called_when_the_connection_is_made) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  std::optional<StreamWriter> kept;
  const auto protocol = std::make_shared<StreamReaderProtocol>(
      loop, StreamReader(loop), [&](StreamReader, StreamWriter writer) { kept = writer; });
  protocol->connection_made(wire);
  BOOST_TEST_REQUIRE(kept.has_value());
  BOOST_TEST((kept->transport() == wire));
  BOOST_TEST(wire->calls.empty());
  BOOST_TEST(loop.leftovers().empty());
  kept->close();
}

BOOST_AUTO_TEST_CASE(r215_of_a_coroutine_function_a_task_is_made_which_starts_one_pass_later) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  Lines events;
  const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
    events.push_back("starts");
    const Bytes data = co_await reader.read(10);
    events.push_back(data);
    writer.close();
  };
  const auto callback = [&](StreamReader reader, StreamWriter writer) {
    events.push_back("called");
    return handle(std::move(reader), std::move(writer));
  };
  const auto protocol =
      std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), callback);
  protocol->connection_made(wire);
  BOOST_TEST(events == Lines{"called"}, boost::test_tools::per_element());
  loop.pass(1);
  protocol->data_received("data");
  loop.pass();
  BOOST_TEST(events == (Lines{"called", "starts", "data"}), boost::test_tools::per_element());
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r215_callback_and_arguments_outlive_the_task_also_by_reference) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  std::string got;
  auto protocol = [&] {
    std::string own = "a text that is too long for the object itself";
    auto handle = [own, &got](StreamReader& reader, const StreamWriter& writer) -> Coroutine<int> {
      const Bytes data = co_await reader.read(10);
      got = data + ", " + own;
      writer.close();
      co_return 1;
    };
    return std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), std::move(handle));
  }();
  protocol->connection_made(wire);
  loop.pass();
  protocol->data_received("data");
  protocol->connection_lost(nullptr);
  protocol.reset();
  loop.pass();
  BOOST_TEST(got == "data, a text that is too long for the object itself");
}

BOOST_AUTO_TEST_CASE(r215_a_move_only_callback_will_do) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  bool called = false;
  auto callback = [own = std::make_unique<bool*>(&called)](StreamReader, const StreamWriter& w) {
    **own = true;
    w.close();
  };
  std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), std::move(callback))
      ->connection_made(wire);
  BOOST_TEST(called);
}

/// What becomes of a connection whose handler is `body`; it keeps the writer.
struct Handled {
  template <class Body>
  explicit Handled(Body body) {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + ": " + repr(context.exception));
      transport = context.transport;
    });
    const auto handle = [this, body](StreamReader, StreamWriter connected) -> Coroutine<> {
      writer = connected;
      co_await body();
    };
    const auto protocol =
        std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
    protocol->connection_made(wire);
    loop.pass();
  }
  ~Handled() { wire->closing = true; }

  Loop loop;
  const std::shared_ptr<Wire> wire = std::make_shared<Wire>();
  std::optional<StreamWriter> writer;
  Lines reports;
  std::shared_ptr<BaseTransport> transport;
};

BOOST_AUTO_TEST_CASE(r215_a_failure_is_reported_and_closes_the_transport) {
  Handled handled([]() -> Coroutine<> { co_await fails("test"); });
  BOOST_TEST(handled.reports ==
                 Lines{"Unhandled exception in client_connected_cb: ValueError('test')"},
             boost::test_tools::per_element());
  BOOST_TEST((handled.transport == handled.wire));
  BOOST_TEST(handled.wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r215_cancellation_closes_the_transport_without_a_word) {
  Handled handled([]() -> Coroutine<> {
    current_task().cancel();
    co_await asyncio::sleep(0);
  });
  BOOST_TEST(handled.reports.empty());
  BOOST_TEST(handled.wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r215_a_normal_end_leaves_the_connection_alone) {
  Handled handled(nothing);
  BOOST_TEST(handled.reports.empty());
  BOOST_TEST(handled.wire->calls.empty());
}

BOOST_AUTO_TEST_CASE(r215_a_plain_callback_that_throws_fails_connection_made) {
  Loop loop;
  const Logged logged;
  const auto wire = std::make_shared<Wire>();
  const auto protocol = std::make_shared<StreamReaderProtocol>(
      loop, StreamReader(loop), [](StreamReader, StreamWriter) { throw ValueError("x"); });
  BOOST_TEST(thrown_by([&] { protocol->connection_made(wire); }) == "ValueError('x')");
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

// -- the last handle (rule 216)

BOOST_AUTO_TEST_CASE(r216_the_last_handle_closes_with_a_warning) {
  Stream s;
  const Logged logged;
  std::optional<StreamWriter> copy = s.writer;
  s.writer.reset();
  BOOST_TEST(s.wire->calls.empty());
  copy.reset();
  BOOST_TEST(s.wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(logged.lines ==
                 Lines{"unclosed <StreamWriter transport=<Wire> reader=<StreamReader "
                       "transport=<Wire>>>"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r216_a_writer_that_was_closed_goes_silently) {
  Stream s;
  const Logged logged;
  s.writer->close();
  s.writer.reset();
  BOOST_TEST(s.wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(logged.lines.empty());
}

BOOST_AUTO_TEST_CASE(r216_when_the_loop_is_closed_nothing_can_be_closed_any_more) {
  Stream s;
  const Logged logged;
  s.loop.close();
  s.writer.reset();
  BOOST_TEST(s.wire->calls.empty());
  BOOST_TEST(logged.lines == Lines{"loop is closed"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r216_a_handler_that_drops_its_writer_closes_the_connection) {
  Loop loop;
  const Logged logged;
  const auto wire = std::make_shared<Wire>();
  const auto handle = [](StreamReader, StreamWriter writer) -> Coroutine<> {
    { const StreamWriter dropped = std::move(writer); }
    co_await asyncio::sleep(1000);
  };
  const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
  protocol->connection_made(wire);
  loop.pass(1);
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(logged.lines.size() == 1u);
}

// -- every suspension

BOOST_AUTO_TEST_CASE(drain_and_wait_closed_may_be_cancelled_wherever_they_wait) {
  const auto points = cancel_everywhere([](Loop& loop) -> Coroutine<> {
    const Counted local;
    const auto wire = std::make_shared<Wire>();
    const StreamReader reader(loop);
    const auto protocol = std::make_shared<StreamReaderProtocol>(loop, reader);
    protocol->connection_made(wire);
    const StreamWriter writer(wire, protocol, reader, loop);
    wire->closing = true;
    protocol->pause_writing();
    loop.call_later(1, [protocol] { protocol->resume_writing(); });
    co_await writer.drain();
    loop.call_later(1, [protocol] { protocol->connection_lost(nullptr); });
    co_await writer.wait_closed();
  }, [](Loop& loop) { loop.run_for(10); });
  BOOST_TEST(points > 5u);
}

BOOST_AUTO_TEST_SUITE_END()
