// SPDX-License-Identifier: BSL-1.0
//
// How a stream transport reads: rules 131, 132, 146 and what fails while it does.
#include <cstddef>
#include <memory>
#include <string>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "transport_fixture.hpp"

using namespace transport_tests;

BOOST_AUTO_TEST_SUITE(transports_reading_tests)

BOOST_AUTO_TEST_CASE(rule_131_one_read_of_at_most_256_kib_in_a_pass) {
  Connection c;
  c.established();
  c.peer.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 20);  // for more than one read
  const std::string block(100'000, 'x');
  std::size_t sent = 0;
  c.transport->pause_reading();
  try {
    for (;;) sent += c.peer.send(block);
  } catch (const BlockingIOError&) {
  }
  BOOST_REQUIRE(sent > 262144u);
  c.transport->resume_reading();
  std::size_t reads = 0;
  while (c.protocol->data.size() < sent) {
    c.pass();
    BOOST_REQUIRE(c.protocol->events.size() == ++reads);
    BOOST_TEST(std::stoul(c.protocol->events.back().substr(5)) <= 262144u);
  }
}

BOOST_AUTO_TEST_CASE(data_is_delivered_in_the_pass_that_sees_it_for_any_number_of_rounds) {
  Connection c;
  c.established();
  for (int round = 0; round < 300; ++round) {  // with early reads, without, and tried again
    c.protocol->data.clear();
    c.peer.send("ping");
    c.pass();
    BOOST_REQUIRE(c.protocol->data == "ping");
    if (round % 7 == 0) c.pass(2);
  }
}

BOOST_AUTO_TEST_CASE(rule_132_eof_with_a_false_answer_closes) {
  Connection c;
  c.established();
  c.peer.shutdown(SHUT_WR);
  bool closing_after_eof = false;
  c.protocol->on_eof = [&] {
    c.loop.call_soon([&] { closing_after_eof = c.transport->is_closing(); });
    return false;
  };
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"eof"});
  c.pass();
  BOOST_TEST(c.protocol->events == (Events{"eof", "lost None"}));
  BOOST_TEST(closing_after_eof);  // rule 148
}

BOOST_AUTO_TEST_CASE(rule_132_eof_with_a_true_answer_keeps_it_open_and_resuming_tells_it_again) {
  Connection c;
  c.established();
  c.protocol->on_eof = [] { return true; };
  c.peer.shutdown(SHUT_WR);
  c.pass(5);
  BOOST_TEST(c.protocol->events == Events{"eof"});
  BOOST_TEST(c.transport->is_reading());
  c.transport->write("still");
  BOOST_TEST(c.received() == "still");
  c.transport->pause_reading();
  c.transport->resume_reading();
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"eof", "eof"}));
}

BOOST_AUTO_TEST_CASE(rule_146_pausing_skips_what_is_due_in_this_very_pass) {
  Connection c;
  c.established();
  c.peer.send("x");
  c.loop.call_soon([&] { c.transport->pause_reading(); });  // runs ahead of the I/O of its pass
  c.pass(5);
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(!c.transport->is_reading());
  c.transport->resume_reading();
  BOOST_TEST(c.transport->is_reading());
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_146_resumed_in_the_same_pass_data_comes_with_the_next) {
  Connection c;
  c.established();
  c.peer.send("x");
  c.loop.call_soon([&] {
    c.transport->pause_reading();
    c.transport->resume_reading();
  });
  c.pass();
  BOOST_TEST(c.protocol->events.empty());
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_146_pausing_in_data_received_leaves_the_rest_in_the_kernel) {
  Connection c;
  c.established();
  c.protocol->on_data = [&] { c.transport->pause_reading(); };
  c.peer.send("first");
  c.pass();
  c.peer.send("second");
  c.pass(5);
  BOOST_TEST(c.protocol->data == "first");
  c.transport->pause_reading();  // idempotent
  c.transport->resume_reading();
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->data == "firstsecond");
}

BOOST_AUTO_TEST_CASE(pausing_and_resuming_for_ever_loses_nothing) {
  Connection c;
  c.established();
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    if (i % 2) c.transport->pause_reading();
    if (i % 3 == 0) expected += c.peer.send("0123456789") == 10 ? "0123456789" : "";
    if (i % 5 < 3) c.transport->resume_reading();
    c.pass(i % 4);
  }
  c.transport->resume_reading();
  c.run_until([&] { return c.protocol->data.size() >= expected.size(); });
  BOOST_TEST(c.protocol->data == expected);
}

BOOST_AUTO_TEST_CASE(a_paused_transport_hears_of_no_eof) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  c.peer.close();
  c.pass(5);
  BOOST_TEST(c.protocol->events.empty());
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"eof"});
}

BOOST_AUTO_TEST_CASE(data_that_comes_after_close_is_not_delivered) {
  Connection c;
  c.established();
  c.protocol->on_data = [&] { c.transport->close(); };
  c.peer.send("first");
  c.pass();
  BOOST_TEST(!c.transport->is_reading());
  try {
    c.peer.send("second");
  } catch (const OSError&) {
  }
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"data 5", "lost None"}));
}

BOOST_AUTO_TEST_CASE(a_reset_is_a_connection_lost_with_its_error_and_no_report) {
  Connection c;
  c.established_tcp();
  const linger abort{1, 0};
  c.peer.setsockopt(SOL_SOCKET, SO_LINGER, BytesView(&abort, sizeof abort));
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
  BOOST_TEST(c.protocol->events == Events{"lost ConnectionResetError"});
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(a_failing_data_received_is_reported_and_fatal) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw ValueError("bad data"); };
  c.peer.send("x");
  c.pass();
  BOOST_TEST(c.reports ==
             Events{"Fatal error: protocol.data_received() call failed.: ValueError('bad data')"});
  BOOST_TEST(c.transport->is_closing());
  c.pass();
  BOOST_TEST(c.protocol->events == (Events{"data 1", "lost ValueError"}));
}

BOOST_AUTO_TEST_CASE(a_failing_eof_received_is_reported_and_fatal) {
  Connection c;
  c.established();
  c.protocol->on_eof = []() -> bool { throw ValueError("bad end"); };
  c.peer.close();
  c.pass(2);
  BOOST_TEST(c.reports ==
             Events{"Fatal error: protocol.eof_received() call failed.: ValueError('bad end')"});
  BOOST_TEST(c.protocol->events == (Events{"eof", "lost ValueError"}));
}

BOOST_AUTO_TEST_CASE(an_os_error_out_of_data_received_is_fatal_and_not_reported) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw ConnectionAbortedError("enough"); };
  c.peer.send("x");
  c.pass(2);
  BOOST_TEST(c.reports.empty());
  BOOST_TEST(c.protocol->events == (Events{"data 1", "lost ConnectionAbortedError"}));
}

BOOST_AUTO_TEST_CASE(rule_13_system_exit_out_of_data_received_leaves_the_loop_and_nothing_is_lost) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw SystemExit(3); };
  c.peer.send("x");
  c.loop.stop();
  BOOST_CHECK_THROW(c.loop.run_forever(), SystemExit);
  c.protocol->on_data = nullptr;
  c.peer.send("y");
  c.pass(2);
  BOOST_TEST(c.protocol->data == "xy");
}

BOOST_AUTO_TEST_CASE(
    rule_13_system_exit_out_of_resume_writing_leaves_the_loop_and_nothing_is_lost) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 300'000, .low = 299'999});
  c.protocol->on_resume = [] { throw SystemExit(3); };
  const std::string large(2'000'000, 'x');
  c.transport->write(large);
  std::string all;
  try {
    c.run_until([&] {
      all += c.received();
      return false;
    });
  } catch (const SystemExit&) {
  }
  BOOST_TEST(c.transport->get_write_buffer_size() > 0u);
  all += c.drain();
  BOOST_TEST((all == large));
}

BOOST_AUTO_TEST_CASE(rule_131_a_buffered_protocol_gets_the_data_where_it_says) {
  Connection c;
  const auto protocol = std::make_shared<BufferedRecorder>(4);
  c.transport = c.open(protocol);
  c.peer.send("abcdefghij");
  c.pass(4);
  BOOST_TEST(protocol->hint == -1);
  BOOST_TEST(protocol->events == (Events{"updated 4", "updated 4", "updated 2"}));
  BOOST_TEST(protocol->data == "abcdefghij");
  BOOST_TEST(protocol->asked == 3);
  c.peer.close();
  c.pass(2);
  BOOST_TEST(protocol->asked == 4);
  BOOST_TEST(protocol->events.back() == "lost None");
}

BOOST_AUTO_TEST_CASE(rule_131_an_empty_buffer_is_a_fatal_runtime_error) {
  Connection c;
  const auto protocol = std::make_shared<BufferedRecorder>(0);
  c.transport = c.open(protocol);
  c.peer.send("x");
  c.pass(3);
  BOOST_TEST(c.reports == Events{"Fatal error: protocol.get_buffer() call failed.: "
                                 "RuntimeError('get_buffer() returned an empty buffer')"});
  BOOST_TEST(protocol->events == Events{"lost RuntimeError"});
}

BOOST_AUTO_TEST_SUITE_END()
