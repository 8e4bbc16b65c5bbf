// SPDX-License-Identifier: BSL-1.0
//
// How a stream transport ends: closed, aborted, dropped, or with its loop (rules 110, 140-144).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include "transport_fixture.hpp"

using namespace transport_tests;

BOOST_AUTO_TEST_SUITE(transports_closing_tests)

BOOST_AUTO_TEST_CASE(rule_140_close_calls_connection_lost_with_the_next_pass_and_once) {
  Connection c;
  c.established();
  c.transport->close();
  BOOST_TEST(c.transport->is_closing());
  BOOST_TEST(c.protocol->events.empty());
  c.transport->close();
  c.transport->abort();
  c.pass(3);
  BOOST_TEST(c.protocol->events == Events{"lost None"});
  BOOST_TEST(!c.protocol->error);
}

BOOST_AUTO_TEST_CASE(rule_141_what_is_written_while_a_closing_buffer_drains_is_sent) {
  Connection c;
  c.established();
  std::string expected = c.write_until_buffered();
  c.transport->close();
  c.transport->write("more");
  c.transport->writelines({"and", "more"});
  expected += "moreandmore";
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "<EOF>"));
  BOOST_TEST(c.protocol->events.back() == "lost None");
}

BOOST_AUTO_TEST_CASE(rule_143_abort_drops_the_buffer_and_does_not_resume) {
  Connection c;
  c.established();
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  c.transport->abort();
  BOOST_TEST(c.transport->get_write_buffer_size() == 0u);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.pass(3);
  BOOST_TEST(c.protocol->events == (Events{"pause", "lost None"}));
  BOOST_TEST(c.received().size() < large.size());
}

BOOST_AUTO_TEST_CASE(rule_144_after_connection_lost_socket_and_protocol_are_let_go) {
  Connection c;
  c.established();
  const std::weak_ptr<Recorder> watched = c.protocol;
  bool open_inside = false;
  c.protocol->on_lost = [&] {
    open_inside = c.transport->get_extra_info(asyncio::socket).fileno() >= 0 &&
                  c.transport->get_protocol() != nullptr;
  };
  c.transport->close();
  c.pass();
  BOOST_TEST(open_inside);
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(c.transport->get_protocol() == nullptr);
  BOOST_TEST(c.protocol.use_count() == 1);
  // Harmless from here on.
  c.transport->close();
  c.transport->abort();
  c.transport->pause_reading();
  c.transport->resume_reading();
  c.transport->write_eof();
  c.transport->set_write_buffer_limits({.high = 7});
  c.transport->set_protocol(c.protocol);
  BOOST_TEST(c.transport->get_protocol() == nullptr);
  BOOST_TEST(!c.transport->is_reading());
}

BOOST_AUTO_TEST_CASE(rule_144_a_failing_connection_lost_is_reported_and_the_socket_closed) {
  for (const bool after_flush : {false, true}) {
    Connection c;
    c.established();
    c.protocol->on_lost = [] { throw ValueError("late"); };
    if (after_flush) c.write_until_buffered();
    c.transport->close();
    c.run_until([&] {
      c.received();
      return c.protocol->lost();
    });
    BOOST_REQUIRE(c.reports.size() == 1);
    BOOST_TEST(c.reports[0].find("Exception in callback") == 0u);
    c.received();
    BOOST_TEST(c.peer_at_eof);
    BOOST_TEST(c.transport->get_protocol() == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(rule_110_a_transport_dropped_while_open_warns_and_closes_its_socket) {
  const CapturedLog log;
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->pause_reading(); };
  c.open(c.protocol);
  c.pass();
  BOOST_TEST(log.records.empty());
  c.protocol->transport.reset();
  BOOST_REQUIRE(log.records.size() == 1);
  BOOST_TEST(log.lines()[0].find("WARNING:asyncio:unclosed transport <StreamTransport fd=") == 0u);
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(c.protocol->events == Events{"made"});
}

BOOST_AUTO_TEST_CASE(a_transport_that_reads_lives_without_being_held) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport.reset(); };
  c.open(c.protocol);
  c.pass(3);
  c.peer.send("x");
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
}

BOOST_AUTO_TEST_CASE(a_transport_that_flushes_lives_without_being_held) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  const std::string expected = c.write_until_buffered();
  c.transport->close();
  c.transport.reset();
  c.protocol->transport.reset();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "<EOF>"));
}

BOOST_AUTO_TEST_CASE(closing_the_loop_closes_connections_without_a_word) {
  const CapturedLog log;
  Connection c;
  c.established();
  c.write_until_buffered();
  c.protocol->events.clear();
  c.loop.close();
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(c.received().find("<EOF>") != std::string::npos);
  BOOST_TEST(c.transport->is_closing());
  c.transport->write("x");
  c.transport->writelines({"x"});
  c.transport->write_eof();
  c.transport->close();
  c.transport->abort();
  c.transport->pause_reading();
  c.transport->resume_reading();
  BOOST_TEST(to_string(*c.transport).find("<StreamTransport closed fd=") == 0u);
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(rule_104_of_a_slow_protocol_the_transport_is_named) {
  const CapturedLog log;
  Connection c;
  c.established();
  c.loop.set_debug(true);
  c.loop.set_slow_callback_duration(0);  // then everything is slow
  c.peer.send("x");
  c.run_until([&] { return !c.protocol->data.empty(); });
  const auto names_it = [](const std::string& line) {
    return line.starts_with("WARNING:asyncio:Executing <StreamTransport fd=");
  };
  BOOST_TEST(std::ranges::count_if(log.lines(), names_it) > 0);
}

BOOST_AUTO_TEST_CASE(rule_110_in_debug_mode_closing_the_loop_warns_of_an_open_connection) {
  const CapturedLog log;
  Connection c;
  c.loop.set_debug(true);
  c.established();
  c.loop.close();
  const auto warns = [](const std::string& line) {
    return line.starts_with("WARNING:asyncio:unclosed transport <StreamTransport fd=");
  };
  BOOST_TEST(std::ranges::count_if(log.lines(), warns) == 1);
}

BOOST_AUTO_TEST_CASE(a_transport_outlives_its_loop_harmlessly) {
  auto protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  {
    Connection c;
    transport = c.open(protocol);
    c.pass(2);
    transport->close();  // connection_lost is queued, and dropped
  }
  BOOST_TEST(protocol->events == Events{"made"});
  transport->write("x");
  transport->close();
}

BOOST_AUTO_TEST_CASE(a_guest_on_somebody_elses_io_context_serves_its_transports) {
  boost::asio::io_context io;
  std::shared_ptr<Transport> transport;
  auto protocol = std::make_shared<Recorder>();
  auto [ours, theirs] = Socket::pair();
  {
    EventLoop loop(io);
    transport =
        detail::make_stream_transport(loop.core(), std::move(ours), protocol, nullptr, {}, nullptr);
    theirs.send("ping");
    protocol->on_data = [&] { protocol->transport->write("pong"); };
    while (protocol->data.empty()) io.run_one();
    BOOST_TEST(theirs.recv(10) == "pong");
  }
  BOOST_TEST(theirs.recv(10).empty());
  io.poll();  // the aborted wait finds nothing to do
  transport->write("x");
  BOOST_TEST(protocol->events == (Events{"made", "data 4"}));
  protocol->on_data = nullptr;
}

BOOST_AUTO_TEST_CASE(the_addresses_are_known_for_ever) {
  Connection c;
  c.established_tcp();
  const auto transport = c.transport;
  const Address ours = c.peer.getpeername();
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
  BOOST_TEST((transport->get_extra_info(sockname) == ours));
  BOOST_TEST(!transport->get_extra_info(peername).empty());
}

BOOST_AUTO_TEST_SUITE_END()
