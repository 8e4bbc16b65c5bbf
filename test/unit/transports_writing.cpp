// SPDX-License-Identifier: BSL-1.0
//
// How a stream transport writes: rules 133-139, 142, 145.
#include <cstddef>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "transport_fixture.hpp"

using namespace transport_tests;

BOOST_AUTO_TEST_SUITE(transports_writing_tests)

BOOST_AUTO_TEST_CASE(rule_134_what_the_kernel_takes_is_sent_at_once) {
  Connection c;
  c.established();
  c.transport->write("hello");
  BOOST_TEST(c.transport->get_write_buffer_size() == 0u);
  BOOST_TEST(c.received() == "hello");
  c.transport->write("");
  BOOST_TEST(c.received() == "");
}

BOOST_AUTO_TEST_CASE(rule_134_the_rest_is_buffered_and_sent_when_the_kernel_takes_more) {
  Connection c;
  c.established();
  std::string expected = c.write_until_buffered();
  BOOST_TEST(c.transport->get_write_buffer_size() > 0u);
  c.transport->write("tail");
  expected += "tail";
  BOOST_TEST((c.drain() == expected));
}

BOOST_AUTO_TEST_CASE(rule_135_behind_what_is_buffered_write_makes_no_attempt_writelines_does) {
  Connection c;
  c.established();
  c.write_until_buffered();
  (void)c.received();  // now the kernel would take more
  const std::size_t before = c.transport->get_write_buffer_size();
  c.transport->write("x");
  BOOST_TEST(c.transport->get_write_buffer_size() == before + 1);
  c.transport->writelines({"y"});
  BOOST_TEST(c.transport->get_write_buffer_size() < before);
}

BOOST_AUTO_TEST_CASE(rule_135_the_caller_may_reuse_its_memory_at_once) {
  Connection c;
  c.established();
  const std::string before = c.write_until_buffered();
  std::string mine = "precious";
  c.transport->write(mine);
  mine = "reused!!";
  BOOST_TEST((c.drain() == before + "precious"));
}

BOOST_AUTO_TEST_CASE(rule_139_pause_and_resume_come_from_inside_write_and_the_flush) {
  Connection c;
  c.established();
  bool paused_inside = false;
  bool writing = false;
  c.protocol->on_pause = [&] { paused_inside = writing; };
  writing = true;
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  writing = false;
  BOOST_TEST(paused_inside);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.transport->write(large);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  BOOST_TEST(c.drain().size() == 2 * large.size());
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(a_failing_pause_or_resume_is_reported_and_the_connection_goes_on) {
  Connection c;
  c.established();
  c.protocol->on_pause = [] { throw ValueError("p"); };
  c.protocol->on_resume = [] { throw ValueError("r"); };
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  BOOST_TEST(c.drain().size() == large.size());
  BOOST_TEST(c.reports == (Events{"protocol.pause_writing() failed: ValueError('p')",
                                  "protocol.resume_writing() failed: ValueError('r')"}));
  BOOST_TEST(!c.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(resume_writing_may_write_more_and_may_close) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 1});
  c.protocol->on_resume = [&] {
    c.transport->write("last");
    c.transport->close();
  };
  std::string expected = c.write_until_buffered();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "last<EOF>"));
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume", "lost None"}));
}

BOOST_AUTO_TEST_CASE(rule_138_new_limits_are_looked_at_at_once) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 100'000'000});
  c.write_until_buffered();
  BOOST_TEST(c.protocol->events.empty());
  c.transport->set_write_buffer_limits({.high = 0});
  BOOST_TEST(c.protocol->events == Events{"pause"});
  BOOST_TEST((c.transport->get_write_buffer_limits() == std::pair<std::size_t, std::size_t>(0, 0)));
}

BOOST_AUTO_TEST_CASE(rule_133_writing_after_write_eof_is_a_runtime_error) {
  Connection c;
  c.established();
  BOOST_TEST(c.transport->can_write_eof());
  c.transport->write("end");
  c.transport->write_eof();
  c.transport->write_eof();
  BOOST_TEST(thrown_by([&] { c.transport->write("x"); }) ==
             "RuntimeError('Cannot call write() after write_eof()')");
  BOOST_TEST(thrown_by([&] { c.transport->writelines({"x"}); }) ==
             "RuntimeError('Cannot call writelines() after write_eof()')");
  BOOST_TEST(c.received() == "end<EOF>");
}

BOOST_AUTO_TEST_CASE(rule_145_write_eof_waits_for_the_buffer_and_reading_goes_on) {
  Connection c;
  c.established();
  const std::string expected = c.write_until_buffered();
  c.transport->write_eof();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return all.size() > 5 && all.substr(all.size() - 5) == "<EOF>";
  });
  BOOST_TEST((all == expected + "<EOF>"));
  c.peer.send("answer");
  c.pass();
  BOOST_TEST(c.protocol->data == "answer");
}

BOOST_AUTO_TEST_CASE(rule_137_writelines_sends_pieces_in_order_and_skips_empty_ones) {
  Connection c;
  c.established();
  c.transport->writelines({"a", "", "bc", "def"});
  BOOST_TEST(c.received() == "abcdef");
  const std::vector<std::string> many(200, "xy");  // more than one gathered send takes
  c.transport->writelines(many);
  std::string all;
  c.run_until([&] { return (all += c.received()).size() == 400; });
  c.transport->writelines(std::vector<std::string>{});
  c.transport->writelines({"", ""});
  c.pass(2);
  BOOST_TEST(c.received() == "");
}

BOOST_AUTO_TEST_CASE(writelines_checks_the_high_water_mark) {
  Connection c;
  c.established();
  const std::vector<std::string> many(100, std::string(50'000, 'x'));
  c.transport->writelines(many);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.transport->writelines({"y", "z"});
  std::string expected(5'000'000, 'x');
  BOOST_TEST((c.drain() == expected + "yz"));
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(rule_134_a_write_error_loses_the_connection_with_the_next_pass) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  c.peer.close();
  c.transport->write("x");
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(c.transport->is_closing());
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"lost BrokenPipeError"});
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_142_writes_to_a_lost_connection_warn_from_the_fifth_on) {
  Connection c;
  c.established();
  const CapturedLog log;
  c.transport->close();
  for (int i = 0; i < 4; ++i) c.transport->write("x");
  BOOST_TEST(log.records.empty());
  c.transport->write("x");
  c.pass();
  c.transport->writelines({"x"});
  BOOST_TEST(log.lines() == (Events{"WARNING:asyncio:socket.send() raised exception.",
                                    "WARNING:asyncio:socket.send() raised exception."}));
  BOOST_TEST(c.received() == "<EOF>");
}

BOOST_AUTO_TEST_CASE(rule_6_of_both_directions_reading_goes_first) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 1});
  const std::string expected = c.write_until_buffered();
  // Both in one pass: the peer makes room and sends before the loop looks.
  c.peer.send("x");
  std::string all = c.received();
  c.run_until([&] {
    all += c.received();
    return c.protocol->events.size() == 3;
  });
  BOOST_TEST(c.protocol->events == (Events{"pause", "data 1", "resume"}));
}

BOOST_AUTO_TEST_CASE(rule_137_what_the_kernel_takes_is_sent_at_once_however_many_pieces) {
  Connection c;
  c.established();
  c.transport->writelines(std::vector<std::string>(200, "xy"));
  BOOST_TEST(c.transport->get_write_buffer_size() == 0u);
  BOOST_TEST(c.received().size() == 400u);
}

BOOST_AUTO_TEST_CASE(rule_137_pieces_may_be_made_on_the_way) {
  Connection c;
  c.established();
  const std::vector<std::string> words{"one", "two", "a word that is longer than any small string"};
  const auto lines = words | std::views::transform([](const std::string& word) { return word + '\n'; });
  c.transport->writelines(lines);
  BOOST_TEST(c.received() == "one\ntwo\na word that is longer than any small string\n");
}

BOOST_AUTO_TEST_SUITE_END()
