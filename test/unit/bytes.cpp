// SPDX-License-Identifier: BSL-1.0
//
// Views of bytes, and Python's printed forms.
#include <asyncio/bytes.hpp>

#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/test/unit_test.hpp>

namespace {

using namespace asyncio;

std::string text(BytesView bytes) { return bytes.str(); }
std::size_t room(MutableBytes buffer) { return buffer.size(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(bytes_tests)

BOOST_AUTO_TEST_CASE(view_is_made_of_whatever_holds_bytes) {
  static_assert(std::is_trivially_copyable_v<BytesView>);
  const std::string string = "abc";
  const std::vector<unsigned char> vector = {'a', 'b', 'c'};
  const std::array<std::byte, 3> array = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  BOOST_TEST(text("abc") == "abc");
  BOOST_TEST(text(string) == "abc");
  BOOST_TEST(text(std::string_view(string)) == "abc");
  BOOST_TEST(text(std::string("abc")) == "abc");
  BOOST_TEST(text(vector) == "abc");
  BOOST_TEST(text(array) == "abc");
  BOOST_TEST(text(std::span(vector)) == "abc");
  BOOST_TEST(text(std::as_bytes(std::span(string))) == "abc");
  BOOST_TEST(text(boost::asio::buffer(string)) == "abc");
  BOOST_TEST(text(boost::asio::const_buffer("abcd", 3)) == "abc");
  BOOST_TEST(text({string.data(), 2}) == "ab");
}

BOOST_AUTO_TEST_CASE(view_refuses_what_holds_no_bytes) {
  static_assert(!std::is_convertible_v<std::vector<int>, BytesView>);
  static_assert(!std::is_convertible_v<std::u16string, BytesView>);
  static_assert(!std::is_convertible_v<int, BytesView>);
  static_assert(!std::is_constructible_v<BytesView, std::nullptr_t>);
  BOOST_TEST(BytesView().empty());
}

BOOST_AUTO_TEST_CASE(view_becomes_bytes_on_demand) {
  const BytesView view = "abc";
  const Bytes copy(view);
  const std::string_view text = view;
  BOOST_TEST(copy == "abc");
  BOOST_TEST(static_cast<Bytes>(view) == "abc");
  BOOST_TEST(view.str() == "abc");
  BOOST_TEST(text == "abc");
  BOOST_TEST((Bytes("x") += view) == "xabc");
  static_assert(!std::is_convertible_v<BytesView, Bytes>);
}

BOOST_AUTO_TEST_CASE(views_compare_by_content) {
  const BytesView view = "abc";
  BOOST_TEST((view == "abc"));
  BOOST_TEST((view == std::string("abc")));
  BOOST_TEST((std::string("abc") == view));
  BOOST_TEST((view != BytesView("abd")));
  BOOST_TEST((BytesView(std::string_view("a\0b", 3)) != "a"));
  BOOST_TEST((BytesView() == ""));
}

BOOST_AUTO_TEST_CASE(subview_leaves_out_what_lies_outside) {
  const BytesView view = "abcdef";
  BOOST_TEST(text(view.subview(2)) == "cdef");
  BOOST_TEST(text(view.subview(2, 2)) == "cd");
  BOOST_TEST(text(view.substr(4, 9)) == "ef");
  BOOST_TEST(view.subview(9).empty());
  BOOST_TEST(view[1] == 'b');
  BOOST_TEST(std::string(view.begin(), view.end()) == "abcdef");
}

BOOST_AUTO_TEST_CASE(mutable_bytes_are_made_of_what_may_be_written) {
  static_assert(std::is_trivially_copyable_v<MutableBytes>);
  static_assert(!std::is_convertible_v<const std::string&, MutableBytes>);
  static_assert(!std::is_convertible_v<std::string_view, MutableBytes>);
  static_assert(!std::is_convertible_v<BytesView, MutableBytes>);
  std::string string(3, ' ');
  std::vector<std::byte> vector(4);
  std::array<char, 5> array{};
  BOOST_TEST(room(string) == 3u);
  BOOST_TEST(room(vector) == 4u);
  BOOST_TEST(room(array) == 5u);
  BOOST_TEST(room(std::span(vector).subspan(1)) == 3u);
  BOOST_TEST(room(boost::asio::buffer(array)) == 5u);
  MutableBytes buffer = string;
  buffer[1] = 'x';
  BOOST_TEST(string == " x ");
  BOOST_TEST(text(buffer) == " x ");
  BOOST_TEST(buffer.subview(1, 9).str() == "x ");
}

BOOST_AUTO_TEST_CASE(views_of_asio_are_made_of_ours) {
  const BytesView view = "abc";
  BOOST_TEST(boost::asio::buffer(view.data(), view.size()).size() == 3u);
}

BOOST_AUTO_TEST_CASE(bytes_print_as_in_python) {
  BOOST_TEST(repr("hello") == "b'hello'");
  BOOST_TEST(repr(BytesView()) == "b''");
  BOOST_TEST(repr("a\r\n\tb\\") == "b'a\\r\\n\\tb\\\\'");
  BOOST_TEST(repr(std::string_view("\0\x7f\xff", 3)) == "b'\\x00\\x7f\\xff'");
  BOOST_TEST(repr("it's") == "b\"it's\"");
  BOOST_TEST(repr("say \"x\"") == "b'say \"x\"'");
  BOOST_TEST(repr("it's \"x\"") == "b'it\\'s \"x\"'");
}

BOOST_AUTO_TEST_CASE(text_prints_as_in_python) {
  BOOST_TEST(repr_str("hello") == "'hello'");
  BOOST_TEST(repr_str("it's") == "\"it's\"");
  BOOST_TEST(repr_str("it's \"x\"") == "'it\\'s \"x\"'");
  BOOST_TEST(repr_str("\x1b\n") == "'\\x1b\\n'");
  BOOST_TEST(repr_str("\u00e9\u4e2d\U0001f600") == "'\u00e9\u4e2d\U0001f600'");
  BOOST_TEST(repr_str("\u00a0") == "'\\xa0'");
  BOOST_TEST(repr_str("\u2028") == "'\\u2028'");
  BOOST_TEST(repr_str("\U000e0001") == "'\\U000e0001'");
}

BOOST_AUTO_TEST_CASE(text_that_is_not_utf8_prints_its_bytes) {
  BOOST_TEST(repr_str("a\xff") == "'a\\xff'");
  BOOST_TEST(repr_str("\xc3") == "'\\xc3'");
  BOOST_TEST(repr_str("\xc0\xaf") == "'\\xc0\\xaf'");
  BOOST_TEST(repr_str("\xed\xa0\x80") == "'\\xed\\xa0\\x80'");
}

BOOST_AUTO_TEST_CASE(floats_print_as_in_python) {
  BOOST_TEST(repr_float(0) == "0.0");
  BOOST_TEST(repr_float(-0.0) == "-0.0");
  BOOST_TEST(repr_float(10) == "10.0");
  BOOST_TEST(repr_float(0.1) == "0.1");
  BOOST_TEST(repr_float(100000) == "100000.0");
  BOOST_TEST(repr_float(123456.789) == "123456.789");
  BOOST_TEST(repr_float(0.0001) == "0.0001");
  BOOST_TEST(repr_float(0.00001) == "1e-05");
  BOOST_TEST(repr_float(1e15) == "1000000000000000.0");
  BOOST_TEST(repr_float(1e16) == "1e+16");
  BOOST_TEST(repr_float(1.5e300) == "1.5e+300");
  BOOST_TEST(repr_float(-std::numeric_limits<double>::infinity()) == "-inf");
  BOOST_TEST(repr_float(std::numeric_limits<double>::quiet_NaN()) == "nan");
}

BOOST_AUTO_TEST_SUITE_END()
