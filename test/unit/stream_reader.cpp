// SPDX-License-Identifier: BSL-1.0
// StreamReader without a socket: what it is fed and what the reads make of it (surface A18, rules
// 206-210, 217).
#include <asyncio/streams.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "stream_fixture.hpp"

using namespace stream_tests;

namespace {

const std::string data = "line1\nline2\nline3\n";

const std::string not_found =
    "LimitOverrunError('Separator is not found, and chunk exceed the limit')";
const std::string found_too_late =
    "LimitOverrunError('Separator is found, but chunk is longer than limit')";

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_reader_tests)

// -- the object

BOOST_AUTO_TEST_CASE(st5_the_limit_must_be_positive) {
  Loop loop;
  const std::string refused = "ValueError('Limit cannot be <= 0')";
  BOOST_TEST(thrown_by([&] { StreamReader(loop, 0); }) == refused);
  BOOST_TEST(thrown_by([&] { StreamReader(loop, -1); }) == refused);
  BOOST_TEST(to_string(StreamReader(loop, 1)) == "<StreamReader limit=1>");
}

BOOST_AUTO_TEST_CASE(st5_it_is_of_the_running_loop_else_of_the_current_one) {
  BOOST_TEST(thrown_by([] { StreamReader(); }) ==
             "RuntimeError('There is no current event loop in this thread')");
  Loop current, running;
  set_event_loop(&current);
  const StreamReader of_current;
  const auto make = []() -> Coroutine<StreamReader> { co_return StreamReader(); };
  const StreamReader of_running = running.run(make);
  set_event_loop(nullptr);
  current.call_soon([&] { of_current.feed_data("c"); });
  BOOST_TEST(current.run_until_complete(of_current.read(1)) == "c");
  running.call_soon([&] { of_running.feed_data("r"); });
  BOOST_TEST(running.run_until_complete(of_running.read(1)) == "r");
}

BOOST_AUTO_TEST_CASE(it_cannot_be_waited_for_in_another_loop) {
  Stream s;
  Loop other;
  const std::string error = thrown_by([&] { other.run_until_complete(s.reader.read(1)); });
  BOOST_TEST(error.starts_with("RuntimeError("));
  BOOST_TEST(error.find("attached to a different loop") != error.npos);
  s.feed_soon({"x"});
  BOOST_TEST(s.get(s.reader.read(1)) == "x");
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_reader) {
  Stream s;
  const StreamReader copy = s.reader;
  BOOST_TEST((copy == s.reader));
  BOOST_TEST((copy != StreamReader(s.loop)));
  copy.feed_data("abc");
  BOOST_TEST(s.get(s.reader.read(9)) == "abc");
}

BOOST_AUTO_TEST_CASE(a_read_keeps_the_reader_and_owns_what_it_was_given) {
  Loop loop;
  std::optional<StreamReader> reader(std::in_place, loop);
  const auto task = loop.create_task(reader->readuntil(std::string(100, 'x')));
  loop.call_soon([other = *reader] { other.feed_data("ab" + std::string(100, 'x')); });
  reader.reset();
  BOOST_TEST(loop.run_until_complete(task).size() == 102u);
}

BOOST_AUTO_TEST_CASE(nothing_is_read_before_it_is_awaited) {
  Stream s;
  s.feed({"abc"});
  { [[maybe_unused]] const auto dropped = s.reader.read(1); }
  { [[maybe_unused]] const auto dropped = s.reader.readexactly(-1); }
  { [[maybe_unused]] const auto dropped = s.reader.readuntil(""); }
  BOOST_TEST(s.rest() == "abc");
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  Stream s(123);
  BOOST_TEST(to_string(StreamReader(s.loop)) == "<StreamReader>");
  BOOST_TEST(to_string(s.reader) == "<StreamReader limit=123>");
  const auto task = s.start(s.reader.readexactly(9));
  BOOST_TEST(to_string(s.reader) ==
             "<StreamReader limit=123 waiter=<Future pending cb=[Task.task_wakeup()]>>");
  s.feed({"data"});
  BOOST_TEST(to_string(s.reader) == "<StreamReader 4 bytes limit=123>");
  s.reader.feed_eof();
  s.reader.set_exception(RuntimeError());
  s.connect();
  BOOST_TEST(to_string(s.reader) ==
             "<StreamReader 4 bytes eof limit=123 exception=RuntimeError() transport=<Tap>>");
  s.loop.pass();
}

BOOST_AUTO_TEST_CASE(repr_says_that_it_is_paused) {
  Stream s(1);
  s.connect();
  s.feed({"abc"});
  BOOST_TEST(to_string(s.reader) == "<StreamReader 3 bytes limit=1 transport=<Tap> paused>");
}

// -- feeding

BOOST_AUTO_TEST_CASE(st11_what_is_fed_is_there) {
  Stream s;
  s.feed({""});
  BOOST_TEST(s.rest() == "");
  s.feed({data});
  BOOST_TEST(s.rest() == data);
}

BOOST_AUTO_TEST_CASE(st11_no_bytes_wake_nobody) {
  Stream s;
  const auto task = s.start(s.reader.read(4));
  s.feed({""});
  s.loop.pass();
  BOOST_TEST(!task.done());
  s.feed({"x"});
  s.loop.pass(1);
  BOOST_TEST(task.result() == "x");
}

BOOST_AUTO_TEST_CASE(st11_a_copy_of_it_is_kept) {
  Stream s;
  std::string given = "abc";
  s.reader.feed_data(given);
  given = "xyz";
  BOOST_TEST(s.rest() == "abc");
}

BOOST_AUTO_TEST_CASE(r217_nothing_may_be_fed_after_the_end) {
  Stream s;
  s.reader.feed_eof();
  for (const char* const late : {"x", ""}) {
    BOOST_TEST(thrown_by([&] { s.feed({late}); }) == "AssertionError('feed_data after feed_eof')");
  }
  s.reader.feed_eof();  // again is harmless
  BOOST_TEST(s.reader.at_eof());
}

BOOST_AUTO_TEST_CASE(st10_at_eof_when_the_end_was_fed_and_all_is_read) {
  Stream s;
  BOOST_TEST(!s.reader.at_eof());
  s.feed({"some data\n"});
  BOOST_TEST(!s.reader.at_eof());
  s.get(s.reader.readline());
  BOOST_TEST(!s.reader.at_eof());
  s.feed({"some data\n"});
  s.reader.feed_eof();
  BOOST_TEST(!s.reader.at_eof());
  s.get(s.reader.readline());
  BOOST_TEST(s.reader.at_eof());
}

BOOST_AUTO_TEST_CASE(a_reader_goes_on_one_pass_after_data_the_end_or_an_exception) {
  for (const int what : {0, 1, 2}) {
    Stream s;
    const auto task = s.start(s.reader.read(4));
    BOOST_TEST(!task.done());
    if (what == 0) s.feed({"x"});
    if (what == 1) s.reader.feed_eof();
    if (what == 2) s.reader.set_exception(ValueError());
    BOOST_TEST(!task.done());
    s.loop.pass(1);
    BOOST_TEST(task.done());
    BOOST_TEST(bool(task.exception()) == (what == 2));
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_waits_for_more_is_not_done_with_less) {
  Stream s;
  const auto task = s.start(s.reader.readexactly(3));
  s.feed({"ab"});
  s.loop.pass();
  BOOST_TEST(!task.done());
  s.feed({"cd"});
  s.loop.pass(1);
  BOOST_TEST(task.result() == "abc");
  BOOST_TEST(s.rest() == "d");
}

BOOST_AUTO_TEST_CASE(no_read_yields_when_it_need_not_wait) {
  Stream s;
  s.feed({data});
  BOOST_TEST(s.passes(s.reader.read(2)) == 0u);
  BOOST_TEST(s.passes(s.reader.readexactly(2)) == 0u);
  BOOST_TEST(s.passes(s.reader.readline()) == 0u);
  BOOST_TEST(s.passes(s.reader.readuntil("e2")) == 0u);
  BOOST_TEST(s.passes(s.reader.next_line()) == 0u);
  s.reader.feed_eof();
  BOOST_TEST(s.passes(s.reader.read()) == 0u);
  BOOST_TEST(s.passes(s.reader.read(1)) == 0u);
  BOOST_TEST(s.passes(s.reader.readexactly(1)) == 0u);
  BOOST_TEST(s.passes(s.reader.readline()) == 0u);
  BOOST_TEST(s.passes(s.reader.readuntil("x")) == 0u);
  BOOST_TEST(s.passes(s.reader.next_line()) == 0u);
}

// -- read

BOOST_AUTO_TEST_CASE(r206_read_zero_is_empty_at_once) {
  Stream s;
  BOOST_TEST(s.get(s.reader.read(0)) == "");
  s.feed({data});
  BOOST_TEST(s.get(s.reader.read(0)) == "");
  BOOST_TEST(s.rest() == data);
}

BOOST_AUTO_TEST_CASE(r206_read_waits_while_there_is_nothing_and_takes_what_comes) {
  Stream s;
  s.feed_soon({data});
  BOOST_TEST(s.get(s.reader.read(30)) == data);
  BOOST_TEST(s.rest() == "");
}

BOOST_AUTO_TEST_CASE(r206_read_takes_no_more_than_asked_for) {
  Stream s;
  s.feed({"line1", "line2"});
  BOOST_TEST(s.get(s.reader.read(5)) == "line1");
  BOOST_TEST(s.rest() == "line2");
}

BOOST_AUTO_TEST_CASE(r206_read_is_empty_at_the_end) {
  Stream s;
  s.feed_soon({}, true);
  BOOST_TEST(s.get(s.reader.read(1024)) == "");
  BOOST_TEST(s.get(s.reader.read(1024)) == "");
}

BOOST_AUTO_TEST_CASE(r206_read_without_a_size_reads_to_the_end) {
  Stream s;
  s.feed_soon({"chunk1\n", "chunk2"}, true);
  BOOST_TEST(s.get(s.reader.read(-1)) == "chunk1\nchunk2");
  BOOST_TEST(s.rest() == "");
  BOOST_TEST(s.get(s.reader.read()) == "");
}

BOOST_AUTO_TEST_CASE(
    r206_r207_read_to_the_end_is_not_bound_by_the_limit_and_never_pauses_for_good) {
  Stream s(3);
  const auto tap = s.connect();
  const auto task = s.start(s.reader.read());
  for (int i = 0; i != 5; ++i) {
    s.feed({"0123456789"});
    s.loop.pass(1);
    BOOST_TEST(tap->is_reading());
  }
  s.reader.feed_eof();
  s.loop.pass(1);
  BOOST_TEST(task.result().size() == 50u);
}

BOOST_AUTO_TEST_CASE(r207_read_is_not_bound_by_the_limit) {
  Stream s(3);
  s.feed({"chunk"});
  BOOST_TEST(s.get(s.reader.read(5)) == "chunk");
  BOOST_TEST(s.rest() == "");
}

// -- readexactly

BOOST_AUTO_TEST_CASE(r206_readexactly_of_nothing_or_less) {
  Stream s;
  s.feed({data});
  BOOST_TEST(s.get(s.reader.readexactly(0)) == "");
  BOOST_TEST(s.error(s.reader.readexactly(-1)) ==
             "ValueError('readexactly size can not be less than zero')");
  BOOST_TEST(s.rest() == data);
}

BOOST_AUTO_TEST_CASE(st8_readexactly_waits_for_as_many_as_asked_for) {
  Stream s;
  s.feed_soon({data, data, data});
  BOOST_TEST(s.get(s.reader.readexactly(2 * data.size())) == data + data);
  BOOST_TEST(s.rest() == data);
}

BOOST_AUTO_TEST_CASE(r207_readexactly_is_not_bound_by_the_limit) {
  Stream s(3);
  s.feed({"chunk"});
  BOOST_TEST(s.get(s.reader.readexactly(5)) == "chunk");
  BOOST_TEST(s.rest() == "");
}

BOOST_AUTO_TEST_CASE(st8_readexactly_says_what_there_was_before_the_end) {
  Stream s;
  s.feed_soon({data}, true);
  const auto error = caught<IncompleteReadError>(s, s.reader.readexactly(2 * data.size()));
  BOOST_TEST(error.partial() == data);
  BOOST_TEST(error.expected().value() == 36u);
  BOOST_TEST(error.what() == std::string("18 bytes read on a total of 36 expected bytes"));
  BOOST_TEST(s.rest() == "");
}

// -- readuntil

BOOST_AUTO_TEST_CASE(r209_readuntil_needs_separators_that_are_not_empty) {
  Stream s;
  BOOST_TEST(s.error(s.reader.readuntil("")) ==
             "ValueError('Separator should be at least one-byte string')");
  BOOST_TEST(s.error(s.reader.readuntil(std::vector<Bytes>{""})) ==
             "ValueError('Separator should be at least one-byte string')");
  BOOST_TEST(s.error(s.reader.readuntil(std::vector<Bytes>())) ==
             "ValueError('Separator should contain at least one element')");
}

BOOST_AUTO_TEST_CASE(st9_readuntil_takes_all_through_the_separator) {
  Stream s;
  s.feed({"line\nAAAxxx"});
  BOOST_TEST(s.get(s.reader.readuntil()) == "line\n");
  BOOST_TEST(s.get(s.reader.readuntil("AAA")) == "AAA");
  BOOST_TEST(s.rest() == "xxx");
}

BOOST_AUTO_TEST_CASE(st9_a_separator_may_be_of_any_kind_of_bytes) {
  Stream s;
  s.feed({"some data\r\n", std::string("a\0b", 3)});
  const std::vector<unsigned char> separator{'\r', '\n'};
  BOOST_TEST(s.get(s.reader.readuntil(separator)) == "some data\r\n");
  BOOST_TEST(s.get(s.reader.readuntil(std::string(1, '\0'))) == std::string("a\0", 2));
}

BOOST_AUTO_TEST_CASE(r208_a_separator_may_come_in_pieces) {
  Stream s;
  for (const std::vector<std::string>& pieces :
       std::vector<std::vector<std::string>>{{"QWEaa", "XYaa", "a"},
                                             {"QWEaa", "XYa", "aa"},
                                             {"aaa"},
                                             {"Xaaa"},
                                             {"XXX", "a", "a", "a"}}) {
    std::string whole;
    for (const std::string& piece : pieces) whole += piece;
    for (const std::string& piece : pieces) s.feed({piece});
    BOOST_TEST(s.get(s.reader.readuntil("aaa")) == whole);
    BOOST_TEST(s.rest() == "");
    const auto task = s.start(s.reader.readuntil("aaa"));
    for (const std::string& piece : pieces) {
      s.feed({piece});
      s.loop.pass(1);
    }
    BOOST_TEST(task.result() == whole);
    BOOST_TEST(s.rest() == "");
  }
}

BOOST_AUTO_TEST_CASE(r208_readuntil_says_what_there_was_before_the_end) {
  Stream s;
  s.feed({"some dataAA"});
  s.reader.feed_eof();
  const auto error = caught<IncompleteReadError>(s, s.reader.readuntil("AAA"));
  BOOST_TEST(error.partial() == "some dataAA");
  BOOST_TEST(!error.expected());
  BOOST_TEST(error.what() == std::string("11 bytes read on a total of undefined expected bytes"));
  BOOST_TEST(s.rest() == "");
}

BOOST_AUTO_TEST_CASE(r208_what_is_there_is_found_also_at_the_end) {
  Stream s;
  s.feed_soon({"some data", "AAA"}, true);
  BOOST_TEST(s.get(s.reader.readuntil("AAA")) == "some dataAAA");
}

BOOST_AUTO_TEST_CASE(r208_beyond_the_limit_nothing_is_taken_out) {
  Stream s(3);
  s.feed({"some dataAA"});
  BOOST_TEST(s.error(s.reader.readuntil("AAA")) == not_found);
  BOOST_TEST(caught<LimitOverrunError>(s, s.reader.readuntil("AAA")).consumed() == 9u);
  BOOST_TEST(s.rest() == "some dataAA");
  s.feed({"A"});
  BOOST_TEST(s.error(s.reader.readuntil("AAA")) == found_too_late);
  BOOST_TEST(caught<LimitOverrunError>(s, s.reader.readuntil("AAA")).consumed() == 9u);
  BOOST_TEST(s.rest() == "some dataAAA");
}

BOOST_AUTO_TEST_CASE(r208_the_limit_does_not_count_the_separator) {
  Stream s(3);
  s.feed({"abcXYZabcdXYZ"});
  BOOST_TEST(s.get(s.reader.readuntil("XYZ")) == "abcXYZ");
  BOOST_TEST(s.error(s.reader.readuntil("XYZ")) == found_too_late);
}

BOOST_AUTO_TEST_CASE(r208_a_reader_that_waits_gives_up_when_the_limit_is_passed) {
  Stream s(3);
  const auto task = s.start(s.reader.readuntil());
  s.feed({"abc"});
  s.loop.pass(1);
  BOOST_TEST(!task.done());
  s.feed({"d"});
  s.loop.pass(1);
  BOOST_TEST(repr(task.exception()) == not_found);
  BOOST_TEST(s.rest() == "abcd");
}

BOOST_AUTO_TEST_CASE(r209_the_separator_that_ends_first_ends_it) {
  Stream s;
  const std::vector<Bytes> ends{"\r", "\n"};
  s.feed({"line 1\nline 2\r"});
  BOOST_TEST(s.get(s.reader.readuntil(ends)) == "line 1\n");
  BOOST_TEST(s.get(s.reader.readuntil(ends)) == "line 2\r");
  BOOST_TEST(s.rest() == "");
  s.feed({"ABCDEFG"});
  BOOST_TEST(s.get(s.reader.readuntil({"DEF", "BCDE"})) == "ABCDE");
  BOOST_TEST(s.rest() == "FG");
}

BOOST_AUTO_TEST_CASE(r209_the_shortest_of_them_counts_for_the_limit) {
  Stream s(3);
  s.feed({"some dataA"});
  BOOST_TEST(s.error(s.reader.readuntil({"A", "ome dataA"})) == found_too_late);
  BOOST_TEST(s.rest() == "some dataA");
}

BOOST_AUTO_TEST_CASE(r209_fewer_bytes_than_the_longest_separator_are_searched_for_the_others) {
  Stream s;
  s.feed({"data"});
  const auto task = s.start(s.reader.readuntil({"A", "long sep"}));
  s.feed({"Z"});
  s.loop.pass(1);
  s.feed({"Aaaa"});
  s.loop.pass(1);
  BOOST_TEST(task.result() == "dataZA");
  BOOST_TEST(s.rest() == "aaa");
}

// -- readline

BOOST_AUTO_TEST_CASE(st7_readline_waits_for_the_newline) {
  Stream s;
  s.feed({"chunk1 "});
  s.feed_soon({"chunk2 ", "chunk3 ", "\n chunk4"});
  BOOST_TEST(s.get(s.reader.readline()) == "chunk1 chunk2 chunk3 \n");
  BOOST_TEST(s.rest() == " chunk4");
}

BOOST_AUTO_TEST_CASE(st7_readline_takes_one_line) {
  Stream s;
  s.feed({data.substr(0, 6), data.substr(6)});
  BOOST_TEST(s.get(s.reader.readline()) == "line1\n");
  BOOST_TEST(s.rest() == "line2\nline3\n");
  BOOST_TEST(s.get(s.reader.read(7)) == "line2\nl");
  BOOST_TEST(s.rest() == "ine3\n");
}

BOOST_AUTO_TEST_CASE(r210_the_last_line_may_lack_its_newline) {
  Stream s;
  s.feed({"some data"});
  s.reader.feed_eof();
  BOOST_TEST(s.get(s.reader.readline()) == "some data");
  BOOST_TEST(s.get(s.reader.readline()) == "");
}

BOOST_AUTO_TEST_CASE(r210_a_line_that_is_too_long_is_dropped_if_its_end_is_there) {
  Stream s(3);
  s.feed({"li", "ne1\nline2\n"});
  BOOST_TEST(s.error(s.reader.readline()) ==
             "ValueError('Separator is found, but chunk is longer than limit')");
  BOOST_TEST(s.rest() == "line2\n");
}

BOOST_AUTO_TEST_CASE(r210_else_all_that_is_buffered_is_dropped) {
  Stream s(3);
  s.feed({"li", "ne1", "li"});
  BOOST_TEST(s.error(s.reader.readline()) ==
             "ValueError('Separator is not found, and chunk exceed the limit')");
  BOOST_TEST(s.rest() == "");
}

BOOST_AUTO_TEST_CASE(r210_the_same_for_lines_that_come_while_it_waits) {
  Stream s(7);
  s.feed_soon({"chunk1", "chunk2", "chunk3\n"});
  BOOST_TEST(s.error(s.reader.readline()).starts_with("ValueError("));
  BOOST_TEST(s.rest() == "");
  s.feed_soon({"chunk1", "chunk2\n", "chunk3\n"});
  BOOST_TEST(s.error(s.reader.readline()).starts_with("ValueError("));
  BOOST_TEST(s.rest() == "chunk3\n");
}

BOOST_AUTO_TEST_CASE(r210_the_limit_does_not_count_the_newline) {
  Stream s(7);
  s.feed({"1234567\n"});
  BOOST_TEST(s.get(s.reader.readline()) == "1234567\n");
  s.feed({"12345678\n"});
  BOOST_TEST(s.error(s.reader.readline()).starts_with("ValueError("));
  BOOST_TEST(s.rest() == "");
  s.feed({"12345678"});
  BOOST_TEST(s.error(s.reader.readline()).starts_with("ValueError("));
  BOOST_TEST(s.rest() == "");
}

BOOST_AUTO_TEST_CASE(st14_next_line_is_a_loop_over_lines) {
  Stream s;
  s.feed({"line1\n\nline3"});
  s.reader.feed_eof();
  const auto body = [&]() -> Coroutine<Lines> {
    Lines lines;
    while (auto line = co_await s.reader.next_line()) lines.push_back(*line);
    co_return lines;
  };
  const Lines expected{"line1\n", "\n", "line3"};
  BOOST_TEST(s.loop.run(body) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(st14_next_line_fails_as_readline_does) {
  Stream s(3);
  s.feed({"line1\nab\n"});
  BOOST_TEST(s.error(s.reader.next_line()) ==
             "ValueError('Separator is found, but chunk is longer than limit')");
  BOOST_TEST(s.get(s.reader.next_line()).value() == "ab\n");
}

BOOST_AUTO_TEST_CASE(waited_for_in_another_loop_it_wakes_nobody) {
  Stream s;
  Loop other;
  std::string log;
  const Task<Bytes> task = other.create_task(s.reader.read(1));
  other.call_soon([&] {  // in the same pass
    s.reader.feed_data("x");
    other.call_soon([&] { log += "behind it"; });
  });
  other.call_soon([&] { log += "next to it, "; });
  const std::string error = thrown_by([&] { other.run_until_complete(task); });
  BOOST_TEST(error.find("attached to a different loop") != error.npos);
  other.pass(1);
  BOOST_TEST(log == "next to it, behind it");
  BOOST_TEST(s.get(s.reader.read(1)) == "x");
}

BOOST_AUTO_TEST_SUITE_END()
