// SPDX-License-Identifier: BSL-1.0
//
// StreamReaderProtocol without a socket (rules 203, 205, 212, 214-216).
#include <asyncio/streams.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include "loop_fixture.hpp"
#include "stream_ends.hpp"

using namespace stream_end_tests;

BOOST_AUTO_TEST_SUITE(stream_protocol_tests)

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
  const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), callback);
  protocol->connection_made(wire);
  BOOST_TEST(events == Lines{"called"}, boost::test_tools::per_element());
  const AnyTask task = all_tasks(loop).at(0);
  BOOST_TEST(to_string(task).find("streams.hpp") == std::string::npos, to_string(task));
  loop.pass(1);
  BOOST_TEST(task.get_stack().at(0).file.ends_with("stream_protocol.cpp"));
  protocol->data_received("data");
  loop.pass();
  BOOST_TEST(events == (Lines{"called", "starts", "data"}), boost::test_tools::per_element());
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r215_an_eager_task_starts_inside_connection_made) {
  Loop loop;
  loop.set_task_factory(eager_task_factory);
  const auto wire = std::make_shared<Wire>();
  const auto handle = [](StreamReader, StreamWriter writer) -> Coroutine<> {
    writer.close();
    co_return;
  };
  const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
  loop.call_soon([&] {
    protocol->connection_made(wire);
    BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
  });
  loop.pass();
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_AUTO_TEST_CASE(r215_closing_the_loop_destroys_a_handler_that_has_not_started) {
  Loop loop;
  const auto wire = std::make_shared<Wire>();
  const auto handle = [local = Counted()](StreamReader& reader, StreamWriter&) -> Coroutine<> {
    co_await reader.read();
  };
  {
    const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
    protocol->connection_made(wire);
  }
  BOOST_TEST(Counted::alive == 2);
  loop.close();
  BOOST_TEST(Counted::alive == 1);
  BOOST_TEST(wire.use_count() == 1);
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
      reports.push_back(unit_tests::report_text(context));
      transport = context.transport;
    });
    const auto handle = [this, body](StreamReader, StreamWriter connected) -> Coroutine<> {
      writer = connected;
      co_await body();
    };
    const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
    protocol->connection_made(wire);
    loop.pass();
  }
  ~Handled() { wire->closing = true; }

  Lines reports;
  std::shared_ptr<BaseTransport> transport;
  Loop loop;
  const std::shared_ptr<Wire> wire = std::make_shared<Wire>();
  std::optional<StreamWriter> writer;
};

BOOST_AUTO_TEST_CASE(r215_a_failure_is_reported_and_closes_the_transport) {
  Handled handled([]() -> Coroutine<> { co_await fails("test"); });
  BOOST_TEST(
      handled.reports == Lines{"Unhandled exception in client_connected_cb: ValueError('test')"},
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
  const CapturedLog log;
  const auto wire = std::make_shared<Wire>();
  const auto protocol = std::make_shared<StreamReaderProtocol>(
      loop, StreamReader(loop), [](StreamReader, StreamWriter) { throw ValueError("x"); });
  BOOST_TEST(thrown_by([&] { protocol->connection_made(wire); }) == "ValueError('x')");
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r216_a_handler_that_drops_its_writer_closes_the_connection) {
  Loop loop;
  const CapturedLog log;
  const auto wire = std::make_shared<Wire>();
  const auto handle = [](StreamReader, StreamWriter writer) -> Coroutine<> {
    { const StreamWriter dropped = std::move(writer); }
    co_await asyncio::sleep(1000);
  };
  const auto protocol = std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), handle);
  protocol->connection_made(wire);
  loop.pass(1);
  BOOST_TEST(wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(log.records.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
