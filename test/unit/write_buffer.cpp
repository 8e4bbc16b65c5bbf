// SPDX-License-Identifier: BSL-1.0
//
// The write buffer, without sockets: what waits to be sent, and when to pause (rule 138).
#include "transports/write_buffer.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/exceptions.hpp>

#include "core_helpers.hpp"

using namespace asyncio;
using core_tests::says;

namespace {

std::string joined(const detail::WriteBuffer& buffer) {
  std::vector<BytesView> pieces(100);
  pieces.resize(buffer.pieces(pieces));
  std::string all;
  for (const BytesView piece : pieces) all += piece.str();
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(write_buffer_tests)

BOOST_AUTO_TEST_CASE(buffer_gives_back_what_was_appended_less_what_was_sent) {
  detail::WriteBuffer buffer;
  BOOST_TEST(buffer.empty());
  buffer.append("abc");
  buffer.append("");
  buffer.append(std::string(detail::WriteBuffer::chunk_size, 'x'));
  buffer.append("def");
  BOOST_TEST(buffer.size() == detail::WriteBuffer::chunk_size + 6);
  buffer.consume(2);
  BOOST_TEST(joined(buffer).substr(0, 3) == "cxx");
  buffer.consume(1 + detail::WriteBuffer::chunk_size + 1);
  BOOST_TEST(joined(buffer) == "ef");
  buffer.append("gh");
  BOOST_TEST(joined(buffer) == "efgh");
  buffer.consume(4);
  BOOST_TEST(buffer.empty());
  BOOST_TEST(joined(buffer) == "");
}

BOOST_AUTO_TEST_CASE(buffer_joins_small_pieces_and_keeps_large_ones_apart) {
  detail::WriteBuffer buffer;
  BytesView pieces[10];
  for (int i = 0; i < 1000; ++i) buffer.append("0123456789");
  BOOST_TEST(buffer.pieces(pieces) == 1u);
  buffer.append(std::string(detail::WriteBuffer::chunk_size, 'x'));
  BOOST_TEST(buffer.pieces(pieces) == 2u);
  BOOST_TEST(buffer.pieces(std::span(pieces, 1)) == 1u);
}

BOOST_AUTO_TEST_CASE(buffer_keeps_order_over_many_partial_sends) {
  detail::WriteBuffer buffer;
  std::string expected, sent;
  for (int i = 0; i < 200; ++i) {
    const std::string data(static_cast<std::size_t>(i) * 997 % 40'000,
                           static_cast<char>('a' + i % 26));
    expected += data;
    buffer.append(data);
    BytesView piece[1];
    if (i % 3 == 0 && buffer.pieces(piece) == 1) {
      const std::size_t count = piece[0].size() - piece[0].size() / 3;
      sent += piece[0].subview(0, count).str();
      buffer.consume(count);
    }
  }
  BOOST_TEST(buffer.size() == expected.size() - sent.size());
  BytesView piece[1];
  while (buffer.pieces(piece) == 1) {
    sent += piece[0].str();
    buffer.consume(piece[0].size());
  }
  BOOST_TEST((sent == expected));
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(rule_138_limits_default_and_derive_from_each_other) {
  detail::WriteBuffer buffer;
  const auto limits = [&] { return std::pair(buffer.low(), buffer.high()); };
  using Limits = std::pair<std::size_t, std::size_t>;
  BOOST_TEST((limits() == Limits(16384, 65536)));
  buffer.set_limits({.high = 1000});
  BOOST_TEST((limits() == Limits(250, 1000)));
  buffer.set_limits({.low = 50});
  BOOST_TEST((limits() == Limits(50, 200)));
  buffer.set_limits({.high = 0});
  BOOST_TEST((limits() == Limits(0, 0)));
  buffer.set_limits({});
  BOOST_TEST((limits() == Limits(16384, 65536)));
}

BOOST_AUTO_TEST_CASE(limits_in_the_wrong_order_are_a_value_error_and_change_nothing) {
  detail::WriteBuffer buffer;
  BOOST_CHECK_EXCEPTION(buffer.set_limits({.high = 10, .low = 20}), ValueError,
                        says("high (10) must be >= low (20) must be >= 0"));
  BOOST_TEST(buffer.high() == 65536u);
  BOOST_TEST(buffer.low() == 16384u);
}

BOOST_AUTO_TEST_CASE(rule_138_pause_strictly_above_high_and_resume_at_low_in_turns) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 10, .low = 4});
  buffer.append("0123456789");
  BOOST_TEST(!buffer.pause_due());
  BOOST_TEST(!buffer.resume_due());
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  BOOST_TEST(!buffer.pause_due());
  buffer.consume(6);
  BOOST_TEST(!buffer.resume_due());
  buffer.consume(1);
  BOOST_TEST(buffer.resume_due());
  BOOST_TEST(!buffer.resume_due());
}

BOOST_AUTO_TEST_CASE(rule_138_high_0_pauses_for_a_single_byte) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 0});
  BOOST_TEST(!buffer.pause_due());
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  buffer.consume(1);
  BOOST_TEST(buffer.resume_due());
}

BOOST_AUTO_TEST_CASE(a_cleared_buffer_stays_paused) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 0});
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  buffer.clear();
  BOOST_TEST(buffer.empty());
  buffer.append("y");
  BOOST_TEST(!buffer.pause_due());
}

BOOST_AUTO_TEST_SUITE_END()
