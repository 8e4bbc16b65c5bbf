// SPDX-License-Identifier: BSL-1.0
// StreamReader without a socket: exceptions, competing readers, cancellation and back-pressure
// (surface A18, rules 203-205, 210).
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

using Read = Coroutine<Bytes> (*)(StreamReader);

Coroutine<Bytes> three(StreamReader reader) {
  Bytes bytes;
  try {
    bytes = co_await reader.readexactly(3);
  } catch (const IncompleteReadError& error) {
    bytes = error.partial();
  }
  co_return bytes;
}

template <class Separators>
Coroutine<Bytes> through(StreamReader reader, Separators separators) {
  Bytes bytes;
  try {
    bytes = co_await reader.readuntil(separators);
  } catch (const IncompleteReadError& error) {
    bytes = error.partial();
  }
  co_return bytes;
}

/// Wherever a task that reads is, what it has got and what is buffered is what was fed.
struct Account {
  ~Account() { BOOST_TEST(got + reader.state()->buffer().view().str() == *fed); }
  const StreamReader reader;
  const std::shared_ptr<Bytes> fed = std::make_shared<Bytes>();
  Bytes got{};
};

/// One piece in every other pass, then the end.
Coroutine<> feed_in_turn(StreamReader reader, std::shared_ptr<Bytes> fed, Lines pieces) {
  for (const std::string& piece : pieces) {
    co_await asyncio::sleep(0);
    co_await asyncio::sleep(0);
    *fed += piece;
    reader.feed_data(piece);
  }
  co_await asyncio::sleep(0);
  reader.feed_eof();
}

/// Reads to the end, and stops in between.
Coroutine<> read_everything(Loop& loop, Read read) {
  Account account{StreamReader(loop, 8)};
  Lines pieces{"ab", "c\n", "de;f\ngh", "ij", ";k"};
  loop.create_task(feed_in_turn(account.reader, account.fed, std::move(pieces)));
  for (bool more = true; more;) {
    const Bytes piece = co_await read(account.reader);
    account.got += piece;
    more = !piece.empty();
    co_await asyncio::sleep(0);
  }
  BOOST_TEST(account.got == "abc\nde;f\nghij;k");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_reader_waiting_tests)

// -- exceptions

BOOST_AUTO_TEST_CASE(st12_exception_is_what_was_set) {
  Stream s;
  BOOST_TEST((s.reader.exception() == nullptr));
  const auto error = std::make_exception_ptr(ValueError("x"));
  s.reader.set_exception(error);
  BOOST_TEST((s.reader.exception() == error));
}

BOOST_AUTO_TEST_CASE(r205_every_read_throws_it_whatever_is_buffered) {
  Stream s;
  s.feed({"line\nline\n"});
  BOOST_TEST(s.get(s.reader.read(2)) == "li");
  BOOST_TEST(s.get(s.reader.readline()) == "ne\n");
  s.reader.set_exception(ValueError("x"));
  for (int i = 0; i != 2; ++i) {
    BOOST_TEST(s.error(s.reader.read(0)) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.read(2)) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.read()) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.readexactly(2)) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.readuntil("e")) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.readuntil(std::vector<Bytes>{"e"})) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.readline()) == "ValueError('x')");
    BOOST_TEST(s.error(s.reader.next_line()) == "ValueError('x')");
  }
  BOOST_TEST(s.rest() == "line\n");
}

BOOST_AUTO_TEST_CASE(r205_the_one_that_waits_gets_it) {
  Stream s;
  const auto task = s.start(s.reader.readline());
  s.reader.set_exception(ValueError("x"));
  s.loop.pass(1);
  BOOST_TEST(repr(task.exception()) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(r205_a_read_that_was_woken_by_data_before_it_gets_the_data) {
  Stream s;
  const auto some = s.start(s.reader.read(4));
  s.feed({"x"});
  s.reader.set_exception(ValueError());
  s.loop.pass(1);
  BOOST_TEST(some.result() == "x");
}

BOOST_AUTO_TEST_CASE(r205_read_to_the_end_looks_for_it_before_every_block) {
  Stream s(2);
  const auto all = s.start(s.reader.read());
  s.feed({"abc"});
  s.reader.set_exception(ValueError("x"));
  s.loop.pass(1);
  BOOST_TEST(repr(all.exception()) == "ValueError('x')");
  BOOST_TEST(s.rest() == "c");
}

BOOST_AUTO_TEST_CASE(an_exception_after_a_cancellation_is_harmless) {
  Stream s;
  const auto task = s.start(s.reader.readline());
  task.cancel();
  s.reader.set_exception(RuntimeError("message"));
  s.loop.pass();
  BOOST_TEST(task.cancelled());
  s.reader.set_exception(RuntimeError("message"));
  BOOST_TEST(to_string(s.reader) == "<StreamReader exception=RuntimeError('message')>");
  BOOST_TEST(s.loop.reports() == Lines());
}

// -- one at a time

BOOST_AUTO_TEST_CASE(r204_only_one_may_wait) {
  Stream s;
  const auto first = s.start(s.reader.read(4));
  const std::string text =
      "() called while another coroutine is already waiting for incoming data')";
  BOOST_TEST(s.error(s.reader.read(1)) == "RuntimeError('read" + text);
  BOOST_TEST(s.error(s.reader.read()) == "RuntimeError('read" + text);
  BOOST_TEST(s.error(s.reader.readexactly(1)) == "RuntimeError('readexactly" + text);
  BOOST_TEST(s.error(s.reader.readuntil("x")) == "RuntimeError('readuntil" + text);
  BOOST_TEST(s.error(s.reader.readline()) == "RuntimeError('readuntil" + text);
  BOOST_TEST(s.error(s.reader.next_line()) == "RuntimeError('readuntil" + text);
  s.feed({"x"});
  s.loop.pass(1);
  BOOST_TEST(first.result() == "x");
}

BOOST_AUTO_TEST_CASE(r204_a_cancelled_one_waits_until_its_task_has_run) {
  Stream s;
  const auto first = s.start(s.reader.read(4));
  Task<Bytes> second;
  s.loop.call_soon([&] {
    first.cancel();
    second = s.loop.create_task(s.reader.read(4), {.eager_start = true});
  });
  s.loop.pass(1);
  BOOST_TEST(second.done());
  BOOST_TEST(repr(second.exception()).starts_with("RuntimeError('read() called while"));
  s.loop.pass(1);
  BOOST_TEST(first.cancelled());
  s.feed_soon({"x"});
  BOOST_TEST(s.get(s.reader.read(4)) == "x");
}

BOOST_AUTO_TEST_CASE(r204_one_that_comes_between_takes_what_another_was_woken_for) {
  Stream s;
  const auto first = s.start(s.reader.read(4));
  Task<Bytes> second;
  s.loop.call_soon([&] {
    s.feed({"x"});
    second = s.loop.create_task(s.reader.read(4), {.eager_start = true});
  });
  s.loop.pass();
  BOOST_TEST(second.result() == "x");
  BOOST_TEST(first.result() == "");  // as in Python
}

BOOST_AUTO_TEST_CASE(r204_one_that_comes_between_and_waits_for_more_is_forgotten) {
  Stream s;
  const auto first = s.start(s.reader.read(4));
  Task<Bytes> second;
  s.loop.call_soon([&] {
    s.feed({"x"});
    second = s.loop.create_task(s.reader.readexactly(1), {.eager_start = true});
    second = s.loop.create_task(s.reader.readexactly(1), {.eager_start = true});
  });
  s.loop.pass();
  BOOST_TEST(first.done());
  s.feed({"y"});
  s.loop.pass();
  BOOST_TEST(!second.done());  // a mistake of Python's, and of its schedule
  BOOST_TEST(s.get(s.reader.read(4)) == "y");
}

// -- cancellation

BOOST_AUTO_TEST_CASE(a_byte_fed_in_the_pass_of_the_cancellation_stays) {
  for (const bool cancelled_first : {true, false}) {
    Stream s;
    const auto task = s.start(s.reader.read(4));
    if (cancelled_first) task.cancel();
    s.feed({"x"});
    if (!cancelled_first) task.cancel();
    s.loop.pass();
    BOOST_TEST(task.cancelled());
    BOOST_TEST(s.rest() == "x");
    BOOST_TEST(s.get(s.reader.read(4)) == "x");
  }
}

BOOST_AUTO_TEST_CASE(after_a_timeout_the_next_read_gets_every_byte) {
  Stream s;
  s.loop.call_later(1, [&] { s.feed({"ab"}); });
  s.loop.call_later(3, [&] { s.feed({"cd\n"}); });
  BOOST_TEST(s.error(asyncio::wait_for(s.reader.readline(), 2)) == "TimeoutError()");
  BOOST_TEST(s.get(s.reader.readline()) == "abcd\n");
}

BOOST_AUTO_TEST_CASE(a_cancelled_read_to_the_end_drops_what_it_has_collected) {
  Stream s;
  const auto task = s.start(s.reader.read());
  s.feed({"collected"});
  s.loop.pass();
  s.feed({"not yet"});
  task.cancel();
  s.loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(s.rest() == "not yet");
}

BOOST_AUTO_TEST_CASE(no_byte_is_lost_wherever_a_read_is_cancelled) {
  const std::pair<const char*, Read> reads[] = {
      {"read", [](StreamReader reader) { return reader.read(3); }},
      {"readexactly", three},
      {"readline", [](StreamReader reader) { return reader.readline(); }},
      {"readuntil", [](StreamReader reader) { return through(reader, std::string("f\ng")); }},
      {"readuntil several",
       [](StreamReader reader) {
         return through(reader, std::vector<Bytes>{"\n", ";"});
       }},
  };
  for (const auto& [name, read] : reads) {
    BOOST_TEST_CONTEXT(name) {
      const auto passes =
          cancel_everywhere([read = read](Loop& loop) { return read_everything(loop, read); });
      BOOST_TEST(passes > 10u);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_left_behind_wherever_reading_to_the_end_or_by_lines_is_cancelled) {
  cancel_everywhere([](Loop& loop) -> Coroutine<> {
    const StreamReader reader(loop);
    const Counted local;
    Lines pieces{"a\nb", "a\nb"};
    loop.create_task(feed_in_turn(reader, std::make_shared<Bytes>(), std::move(pieces)));
    const auto line = co_await reader.next_line();
    BOOST_TEST(line.value() == "a\n");
    const Bytes rest = co_await reader.read();
    BOOST_TEST(rest == "ba\nb");
    const auto none = co_await reader.next_line();
    BOOST_TEST(!none);
  });
}

BOOST_AUTO_TEST_CASE(the_reader_may_outlive_the_loop_in_which_a_task_waits) {
  std::optional<Stream> s(std::in_place);
  const StreamReader reader = s->reader;
  s->start(reader.readline());
  s.reset();
  reader.feed_data("x");
  reader.set_exception(ValueError());
  BOOST_TEST(to_string(reader) == "<StreamReader 1 bytes exception=ValueError()>");
}

// -- back-pressure

BOOST_AUTO_TEST_CASE(st13_a_transport_is_set_once) {
  Stream s;
  s.connect();
  BOOST_TEST(thrown_by([&] { s.connect(); }) == "AssertionError('Transport already set')");
}

BOOST_AUTO_TEST_CASE(r203_paused_above_twice_the_limit_and_resumed_at_the_limit) {
  Stream s(4);
  const auto tap = s.connect();
  s.feed({"01234567"});
  BOOST_TEST(tap->calls == Lines());
  s.feed({"8", "9"});
  BOOST_TEST(tap->calls == Lines({"pause"}));
  s.get(s.reader.read(5));
  BOOST_TEST(tap->calls == Lines({"pause"}));
  s.get(s.reader.read(1));
  BOOST_TEST(s.rest() == "6789");
  BOOST_TEST(tap->calls == Lines({"pause", "resume"}));
  s.get(s.reader.read(1));
  BOOST_TEST(tap->calls == Lines({"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(r203_every_kind_of_read_resumes) {
  using Take = Coroutine<Bytes> (*)(const StreamReader&);
  const Take takes[] = {
      [](const StreamReader& reader) { return reader.read(5); },
      [](const StreamReader& reader) { return reader.readexactly(5); },
      [](const StreamReader& reader) { return reader.readuntil(); },
      [](const StreamReader& reader) { return reader.readuntil(std::vector<Bytes>{"\n"}); },
      [](const StreamReader& reader) { return reader.readline(); },
  };
  for (const Take take : takes) {
    Stream s(4);
    const auto tap = s.connect();
    s.feed({"abcd\nefgh"});
    BOOST_TEST(tap->calls == Lines({"pause"}));
    BOOST_TEST(s.get(take(s.reader)) == "abcd\n");
    BOOST_TEST(tap->calls == Lines({"pause", "resume"}));
  }
}

BOOST_AUTO_TEST_CASE(r203_r210_dropping_a_line_resumes) {
  Stream s(4);
  const auto tap = s.connect();
  s.feed({"0123456789\nab"});
  BOOST_TEST(tap->calls == Lines({"pause"}));
  BOOST_TEST(s.error(s.reader.readline()).starts_with("ValueError("));
  BOOST_TEST(tap->calls == Lines({"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(r203_resumed_when_a_task_has_to_wait) {
  Stream s(1);
  const auto tap = s.connect();
  s.feed({"0123"});
  BOOST_TEST(tap->calls == Lines({"pause"}));
  const auto task = s.start(s.reader.readexactly(6));
  BOOST_TEST(tap->calls == Lines({"pause", "resume"}));
  s.feed({"45"});
  BOOST_TEST(tap->calls == Lines({"pause", "resume", "pause"}));
  s.loop.pass(1);
  BOOST_TEST(task.result() == "012345");
  BOOST_TEST(tap->calls == Lines({"pause", "resume", "pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(a_transport_that_cannot_pause_is_let_go) {
  Stream s(1);
  const auto tap = s.connect();
  tap->can_pause = false;
  s.feed({"0123", "4567"});
  BOOST_TEST(tap.use_count() == 1);
  BOOST_TEST(s.get(s.reader.readexactly(8)) == "01234567");
  BOOST_TEST(tap->calls == Lines());
}

BOOST_AUTO_TEST_SUITE_END()
