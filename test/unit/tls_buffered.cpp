// SPDX-License-Identifier: BSL-1.0
// BufferedProtocol over TLS (rule 193).
#include <asyncio/protocols.hpp>
#include <asyncio/ssl.hpp>

#include <cstddef>
#include <memory>
#include <string>

#include <boost/test/unit_test.hpp>

#include "tls_pair.hpp"

using namespace tls_tests;

namespace {

/// The client's protocol offers so many bytes.
struct WithBuffer : Ends<Buffered> {
  explicit WithBuffer(std::size_t size) : Ends(std::make_shared<Buffered>(size)) { connect(); }
  /// A small buffer is filled once in a pass.
  void settle_slowly() {
    settle();
    loop.pass(200);
    settle();
  }
};
struct Large : WithBuffer {
  Large() : WithBuffer(100'000) {}
};
struct Small : WithBuffer {
  Small() : WithBuffer(100) {}
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_buffered_tests)

BOOST_FIXTURE_TEST_CASE(what_came_together_fills_one_buffer, Large) {
  const int before = client.protocol->updates;
  server.tls->writelines({"one ", "two ", "three"});
  settle();
  BOOST_TEST(client.protocol->data == "one two three");
  BOOST_TEST(client.protocol->updates == before + 1);
}

BOOST_FIXTURE_TEST_CASE(the_hint_is_what_waits_to_be_decrypted, Large) {
  client.tls->pause_reading();
  server.tls->write(noise(5000));
  settle();
  const auto waiting = static_cast<std::ptrdiff_t>(client.tls->get_read_buffer_size());
  BOOST_TEST(waiting > 5000);
  std::ptrdiff_t first = 0;
  client.protocol->on_get = [&] {
    if (first == 0) first = client.protocol->sizehint;
  };
  client.tls->resume_reading();
  loop.pass();
  BOOST_TEST(first == waiting);
}

BOOST_FIXTURE_TEST_CASE(data_comes_whole_through_a_buffer_that_is_small, Small) {
  const std::string text = noise(10'050);
  server.tls->write(text);
  settle_slowly();
  BOOST_TEST((client.protocol->data == text));
  BOOST_TEST(client.protocol->updates == 101);
}

BOOST_FIXTURE_TEST_CASE(a_small_buffer_is_filled_again_in_the_next_pass, Small) {
  server.tls->write(noise(250));
  client.wire->receive();
  BOOST_TEST(client.protocol->data.size() == 100u);
  loop.pass(1);
  BOOST_TEST(client.protocol->data.size() == 200u);
  client.tls->pause_reading();
  loop.pass();
  BOOST_TEST(client.protocol->data.size() == 200u);
  client.tls->resume_reading();
  loop.pass();
  BOOST_TEST(client.protocol->data.size() == 250u);
}

BOOST_FIXTURE_TEST_CASE(nothing_is_lost_when_the_end_comes_at_once, Small) {
  const std::string text = noise(10'000);
  server.tls->write(text);
  server.tls->close();
  server.wire->end_writing();
  while (client.wire->receive()) {
  }
  settle_slowly();
  BOOST_TEST((client.protocol->data == text));
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(nor_when_the_stream_is_truncated_which_is_told, Small) {
  const std::string text = noise(10'000);
  server.tls->write(text);
  server.wire->end_writing();
  while (client.wire->receive()) {
  }
  settle_slowly();
  BOOST_TEST((client.protocol->data == text));
  BOOST_TEST(client.protocol->log == "made lost " + truncated);
}

BOOST_FIXTURE_TEST_CASE(closing_drops_what_does_not_fit, Small) {
  client.protocol->on_data = [&] { client.tls->close(); };
  server.tls->write(noise(10'000));
  settle();
  BOOST_TEST(client.protocol->updates == 1);
  BOOST_TEST(client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(set_protocol_from_buffered_to_plain_and_back, Small) {
  const auto plain = std::make_shared<Plain>();
  client.protocol->on_data = [&] { client.tls->set_protocol(plain); };
  server.tls->write(noise(250));
  settle();
  BOOST_TEST(client.protocol->data.size() == 100u);
  BOOST_TEST(plain->data.size() == 150u);
  client.protocol->on_data = {};
  client.tls->set_protocol(client.protocol);
  server.tls->write("back");
  settle();
  BOOST_TEST(client.protocol->data.ends_with("back"));
  BOOST_TEST(plain->data.size() == 150u);
}

BOOST_FIXTURE_TEST_CASE(a_failing_get_buffer_is_reported_and_fatal, Large) {
  client.protocol->on_get = [] { throw ValueError("no room"); };
  server.tls->write("x");
  settle();
  BOOST_TEST(loop.reports() == Lines{"Fatal error on SSL protocol: ValueError('no room')"});
  BOOST_TEST(client.protocol->log == "made lost ValueError('no room')");
}

BOOST_FIXTURE_TEST_CASE(an_empty_buffer_is_fatal, Large) {
  client.protocol->memory.clear();
  server.tls->write("x");
  settle();
  BOOST_TEST(loop.reports() == Lines{"Fatal error on SSL protocol: RuntimeError('get_buffer() "
                                     "returned an empty buffer')"});
  BOOST_TEST(closed());
}

BOOST_FIXTURE_TEST_CASE(a_failing_buffer_updated_is_reported_and_fatal, Large) {
  client.protocol->on_data = [] { throw ValueError("bad data"); };
  server.tls->write("x");
  settle();
  BOOST_TEST(loop.reports() == Lines{"Fatal error on SSL protocol: ValueError('bad data')"});
  BOOST_TEST(client.protocol->log == "made lost ValueError('bad data')");
}

BOOST_FIXTURE_TEST_CASE(a_failing_eof_received_is_reported_and_fatal, Large) {
  client.protocol->on_eof = [] { throw ValueError("bad end"); };
  server.tls->close();
  settle();
  BOOST_TEST(loop.reports() == Lines{"Error calling eof_received(): ValueError('bad end')"});
  BOOST_TEST(client.protocol->log == "made eof lost ValueError('bad end')");
}

BOOST_FIXTURE_TEST_CASE(it_may_abort_while_its_buffer_is_asked_for_or_filled, Large) {
  client.protocol->on_get = [&] { client.tls->abort(); };
  server.tls->write("x");
  settle();
  BOOST_TEST(client.protocol->log == "made lost None");
}

BOOST_AUTO_TEST_SUITE_END()
