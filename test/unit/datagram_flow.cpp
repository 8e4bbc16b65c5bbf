// SPDX-License-Identifier: BSL-1.0
// What a datagram transport does with datagrams that the kernel does not take at once (surface B17,
// rules 138 and 175).
#include <asyncio/transports.hpp>

#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "datagram_fixture.hpp"

using namespace datagram_fixture;

BOOST_AUTO_TEST_SUITE(datagram_flow_tests)

BOOST_AUTO_TEST_CASE(r175_what_the_kernel_does_not_take_is_copied_and_sent_later_in_order) {
  Fixture f;
  f.open_pair();
  const int count = f.send_until_buffered();
  std::string data = "later";
  f.transport->sendto(data);
  data = "wrong";
  f.transport->sendto("");
  Lines all = received(f.peer);
  f.run_until([&] {
    for (std::string& one : received(f.peer)) all.push_back(std::move(one));
    return f.transport->get_write_buffer_size() == 0;
  });
  for (std::string& one : received(f.peer)) all.push_back(std::move(one));
  BOOST_TEST_REQUIRE(all.size() == static_cast<std::size_t>(count) + 2);
  for (int i = 0; i < count; ++i) BOOST_TEST(all[static_cast<std::size_t>(i)] == std::to_string(i));
  BOOST_TEST(all[all.size() - 2] == "later");
  BOOST_TEST(all.back() == "");
}

BOOST_AUTO_TEST_CASE(r175_a_waiting_datagram_counts_8_bytes_more_until_it_is_sent) {
  Fixture f;
  f.open_pair();
  const int count = f.send_until_buffered();
  std::size_t size = std::to_string(count - 1).size() + 8;
  BOOST_TEST(f.transport->get_write_buffer_size() == size);
  f.transport->sendto("12345");
  f.transport->sendto("");
  size += 5 + 8 + 8;
  BOOST_TEST(f.transport->get_write_buffer_size() == size);
  received(f.peer);
  f.run_until([&] { return f.transport->get_write_buffer_size() != size; });
  BOOST_TEST(f.transport->get_write_buffer_size() == 0u);
}

BOOST_AUTO_TEST_CASE(r138_pause_above_high_and_resume_at_low) {
  Fixture f;
  f.open_pair();
  f.transport->set_write_buffer_limits({.high = 40, .low = 0});
  f.send_until_buffered();
  while (f.transport->get_write_buffer_size() <= 40) {
    BOOST_TEST(f.protocol->events.empty());
    f.transport->sendto("x");
  }
  BOOST_TEST(f.protocol->news() == Lines{"pause"});
  f.transport->sendto("x");
  BOOST_TEST(f.protocol->events.empty());
  received(f.peer);
  f.run_until_event("resume");
  BOOST_TEST(f.protocol->news() == Lines{"resume"});
  BOOST_TEST(f.transport->get_write_buffer_size() == 0u);
}

BOOST_AUTO_TEST_CASE(r138_limits_default_derive_and_are_checked) {
  Fixture f;
  f.open_pair();
  using Limits = std::pair<std::size_t, std::size_t>;
  BOOST_TEST((f.transport->get_write_buffer_limits() == Limits(16384, 65536)));
  f.transport->set_write_buffer_limits({.high = 1000});
  BOOST_TEST((f.transport->get_write_buffer_limits() == Limits(250, 1000)));
  BOOST_TEST(thrown_by([&] { f.transport->set_write_buffer_limits({.high = 1, .low = 2}); }) ==
             "ValueError('high (1) must be >= low (2) must be >= 0')");
  f.send_until_buffered();
  f.transport->set_write_buffer_limits({.high = 0});
  BOOST_TEST(f.protocol->news() == Lines{"pause"});
}

BOOST_AUTO_TEST_CASE(what_pause_and_resume_writing_throw_is_reported) {
  Fixture f;
  f.open_pair();
  f.transport->set_write_buffer_limits({.high = 0});
  f.protocol->on_pause = [] { throw ValueError("p"); };
  f.protocol->on_resume = [] { throw ValueError("r"); };
  f.send_until_buffered();
  received(f.peer);
  f.run_until_event("resume");
  BOOST_TEST(f.reports == (Lines{"protocol.pause_writing() failed: ValueError('p')",
                                 "protocol.resume_writing() failed: ValueError('r')"}));
}

BOOST_AUTO_TEST_CASE(more_may_be_sent_from_resume_writing) {
  Fixture f;
  f.open_pair();
  f.transport->set_write_buffer_limits({.high = 0});
  f.send_until_buffered();
  f.protocol->on_resume = [&] { f.transport->sendto("more"); };
  received(f.peer);
  f.run_until_event("resume");
  BOOST_TEST(received(f.peer).back() == "more");
}

BOOST_AUTO_TEST_CASE(r174_a_buffered_datagram_that_fails_is_error_received_one_a_pass) {
  Fixture f;
  f.open_pair();
  f.transport->set_write_buffer_limits({.high = 0});
  f.send_until_buffered();
  f.transport->pause_reading();  // which would learn of the loss, too
  f.transport->sendto("x");
  BOOST_TEST(f.protocol->news() == Lines{"pause"});
  f.peer.close();
  f.run_until_event("error ConnectionRefusedError");
  BOOST_TEST(f.transport->get_write_buffer_size() == 9u);
  f.pass();
  BOOST_TEST(f.protocol->news() == (Lines{"error ConnectionRefusedError", "error OSError"}));
  f.run_until_event("resume");
  BOOST_TEST(!f.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(what_error_received_throws_while_flushing_is_reported_and_the_rest_is_sent) {
  Fixture f;
  f.open_pair();
  f.send_until_buffered();
  f.transport->pause_reading();
  f.transport->close();
  f.protocol->on_error = [] { throw ValueError("no"); };
  f.peer.close();
  f.run_until_event("lost None");
  BOOST_TEST(f.protocol->news() == (Lines{"error ConnectionRefusedError", "lost None"}));
  BOOST_TEST(f.reports ==
             Lines{"Exception in callback DatagramTransport::write_ready(): ValueError('no')"});
}

BOOST_AUTO_TEST_CASE(a_system_exit_while_flushing_does_not_stop_the_end) {
  Fixture f;
  f.open_pair();
  f.send_until_buffered();
  f.transport->close();
  f.protocol->on_error = [] { throw SystemExit(1); };
  f.peer.close();
  BOOST_CHECK_THROW(f.loop.run_forever(), SystemExit);
  f.run_until_event("lost None");
}

BOOST_AUTO_TEST_SUITE_END()
