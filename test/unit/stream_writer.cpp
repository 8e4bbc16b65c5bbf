// SPDX-License-Identifier: BSL-1.0
//
// StreamWriter without a socket (rules 211-213, 216).
#include <asyncio/streams.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include "stream_ends.hpp"

using namespace stream_end_tests;

BOOST_AUTO_TEST_SUITE(stream_writer_tests)

// -- the transport's own

BOOST_AUTO_TEST_CASE(st16_to_st21_it_hands_on_to_its_transport) {
  Stream s;
  const StreamWriter& writer = *s.writer;
  writer.write("one");
  writer.writelines({"two", "three"});
  writer.writelines(std::vector<std::string>{"four"});
  BOOST_TEST(writer.can_write_eof());
  writer.write_eof();
  BOOST_TEST(!writer.is_closing());
  writer.close();
  BOOST_TEST(writer.is_closing());
  const Lines expected{"write one", "writelines two three", "writelines four", "write_eof",
                       "close"};
  BOOST_TEST(s.wire->calls == expected, boost::test_tools::per_element());
  BOOST_TEST((writer.transport() == s.wire));
  BOOST_TEST(to_string(writer.get_extra_info(peername)) == "('10.0.0.1', 7)");
  BOOST_TEST(to_string(writer.get_extra_info(sockname, Address("10.0.0.2", 8))) ==
             "('10.0.0.2', 8)");
  BOOST_TEST(!writer.get_extra_info("nothing").has_value());
}

BOOST_AUTO_TEST_CASE(repr_is_pythons) {
  Stream s;
  BOOST_TEST(to_string(*s.writer) ==
             "<StreamWriter transport=<Wire> reader=<StreamReader transport=<Wire>>>");
  const StreamWriter alone(s.wire, s.protocol, std::nullopt, s.loop);
  BOOST_TEST(to_string(alone) == "<StreamWriter transport=<Wire>>");
  s.wire->closing = true;
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_writer) {
  Stream s;
  const StreamWriter copy = *s.writer;
  BOOST_TEST((copy == *s.writer));
  s.wire->closing = true;
  BOOST_TEST((copy != StreamWriter(s.wire, s.protocol, s.reader, s.loop)));
}

// -- drain (rule 211)

BOOST_AUTO_TEST_CASE(r211_drain_does_not_yield_when_not_paused) {
  Stream s;
  const Ending drained = s.end(s.writer->drain());
  BOOST_TEST(drained.what() == "None");
  BOOST_TEST(drained.passes == 0u);
}

BOOST_AUTO_TEST_CASE(r211_drain_waits_until_writing_is_resumed) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> drain = s.start(s.writer->drain());
  BOOST_TEST(!drain.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(drain) == "None");
}

BOOST_AUTO_TEST_CASE(r211_any_number_may_wait) {
  Stream s;
  s.protocol->pause_writing();
  std::vector<Task<Ending>> drains;
  for (int i = 0; i < 10; ++i) drains.push_back(s.start(s.writer->drain()));
  s.protocol->resume_writing();
  s.loop.pass();
  for (const Task<Ending>& drain : drains) BOOST_TEST(drain.result().what() == "None");
}

BOOST_AUTO_TEST_CASE(r211_who_comes_after_the_resumption_does_not_wait) {
  Stream s;
  s.protocol->pause_writing();
  s.protocol->resume_writing();
  BOOST_TEST(s.end(s.writer->drain()).passes == 0u);
}

BOOST_AUTO_TEST_CASE(r211_who_is_woken_goes_on_although_writing_is_paused_again) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  s.protocol->resume_writing();
  s.protocol->pause_writing();
  const Task<Ending> second = s.start(s.writer->drain());
  BOOST_TEST(first.done());
  BOOST_TEST(!second.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(second) == "None");
}

BOOST_AUTO_TEST_CASE(r211_cancelling_one_leaves_the_others) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  const Task<Ending> second = s.start(s.writer->drain());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  BOOST_TEST(!second.done());
  s.protocol->resume_writing();
  BOOST_TEST(s.finish(second) == "None");
}

BOOST_AUTO_TEST_CASE(r211_drain_throws_what_reading_failed_with) {
  Stream s;
  s.reader->set_exception(ValueError("bad"));
  BOOST_TEST(s.end(s.writer->drain()).what() == "ValueError('bad')");
  const StreamWriter alone(s.wire, s.protocol, std::nullopt, s.loop);
  BOOST_TEST(s.end(alone.drain()).what() == "None");
  s.wire->closing = true;
}

BOOST_AUTO_TEST_CASE(r211_a_closing_transport_costs_a_pass) {
  Stream s;
  s.wire->closing = true;
  const Ending drained = s.end(s.writer->drain());
  BOOST_TEST(drained.what() == "None");
  BOOST_TEST(drained.passes == 1u);
}

BOOST_AUTO_TEST_CASE(r211_in_that_pass_the_loss_may_arrive) {
  Stream s;
  s.wire->closing = true;
  const Task<Ending> drain = s.loop.create_task(ending(s.writer->drain()));
  s.loop.call_soon([&] { s.protocol->connection_lost(nullptr); });
  BOOST_TEST(s.finish(drain) == "ConnectionResetError('Connection lost')");
}

BOOST_AUTO_TEST_CASE(r211_after_a_loss_drain_throws) {
  Stream s;
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->drain()).what() == "ConnectionResetError('Connection lost')");
}

BOOST_AUTO_TEST_CASE(r212_a_loss_wakes_drains_with_its_exception) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> first = s.start(s.writer->drain());
  const Task<Ending> cancelled = s.start(s.writer->drain());
  cancelled.cancel();
  s.protocol->connection_lost(reset);
  BOOST_TEST(s.finish(first) == "ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(s.finish(cancelled) == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(r212_an_orderly_end_wakes_drains_normally) {
  Stream s;
  s.protocol->pause_writing();
  const Task<Ending> drain = s.start(s.writer->drain());
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.finish(drain) == "None");
}

BOOST_AUTO_TEST_CASE(r211_pausing_and_resuming_must_alternate) {
  Stream s;
  BOOST_TEST(thrown_by([&] { s.protocol->resume_writing(); }).starts_with("AssertionError("));
  s.protocol->pause_writing();
  BOOST_TEST(thrown_by([&] { s.protocol->pause_writing(); }).starts_with("AssertionError("));
}

BOOST_AUTO_TEST_CASE(in_debug_mode_pausing_is_logged) {
  Stream s;
  s.loop.set_debug(true);
  const CapturedLog log(LogLevel::debug);
  s.protocol->pause_writing();
  s.protocol->resume_writing();
  BOOST_TEST_REQUIRE(log.records.size() == 2u);
  BOOST_TEST(log.messages()[0].find("StreamReaderProtocol object at 0x") != std::string::npos);
  BOOST_TEST(log.messages()[0].ends_with(" pauses writing"));
  BOOST_TEST(log.messages()[1].ends_with(" resumes writing"));
}

// -- wait_closed (rules 212, 213)

BOOST_AUTO_TEST_CASE(r213_wait_closed_waits_for_the_loss) {
  Stream s;
  const Task<Ending> waiting = s.start(s.writer->wait_closed());
  s.writer->close();
  s.loop.pass();
  BOOST_TEST(!waiting.done());
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.finish(waiting) == "None");
  BOOST_TEST(s.end(s.writer->wait_closed()).passes == 0u);
}

BOOST_AUTO_TEST_CASE(r213_wait_closed_throws_what_the_connection_was_lost_by) {
  Stream s;
  const Task<Ending> waiting = s.start(s.writer->wait_closed());
  s.protocol->connection_lost(reset);
  BOOST_TEST(s.finish(waiting) == "ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(s.end(s.writer->wait_closed()).what() ==
             "ConnectionResetError(104, 'Connection reset by peer')");
}

BOOST_AUTO_TEST_CASE(r213_a_loss_that_nobody_asks_for_is_not_reported) {
  Stream s;
  s.protocol->connection_lost(reset);
  s.wire->closing = true;
  s.writer.reset();
  s.reader.reset();
  s.protocol.reset();
  s.loop.pass();
  BOOST_TEST(s.loop.reports().empty());
}

BOOST_AUTO_TEST_CASE(r213_cancelling_wait_closed_cancels_the_close_waiter) {
  Stream s;
  const Task<Ending> first = s.start(s.writer->wait_closed());
  const Task<Ending> second = s.start(s.writer->wait_closed());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  BOOST_TEST(s.finish(second) == "CancelledError()");
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->wait_closed()).what() == "CancelledError()");
}

BOOST_AUTO_TEST_CASE(r213_shield_keeps_it) {
  Stream s;
  const auto shielded = [&]() -> Coroutine<> { co_await shield(s.writer->wait_closed()); };
  const Task<Ending> first = s.start(shielded());
  first.cancel();
  BOOST_TEST(s.finish(first) == "CancelledError()");
  s.protocol->connection_lost(nullptr);
  BOOST_TEST(s.end(s.writer->wait_closed()).what() == "None");
}

// -- the last handle (rule 216)

BOOST_AUTO_TEST_CASE(r216_the_last_handle_closes_with_a_warning) {
  Stream s;
  const CapturedLog log;
  std::optional<StreamWriter> copy = s.writer;
  s.writer.reset();
  BOOST_TEST(s.wire->calls.empty());
  copy.reset();
  BOOST_TEST(s.wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(log.messages() == Lines{"unclosed <StreamWriter transport=<Wire> reader=<StreamReader "
                                     "transport=<Wire>>>"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r216_a_writer_that_was_closed_goes_silently) {
  Stream s;
  const CapturedLog log;
  s.writer->close();
  s.writer.reset();
  BOOST_TEST(s.wire->calls == Lines{"close"}, boost::test_tools::per_element());
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(r216_when_the_loop_is_closed_nothing_can_be_closed_any_more) {
  Stream s;
  const CapturedLog log;
  s.loop.close();
  s.writer.reset();
  BOOST_TEST(s.wire->calls.empty());
  BOOST_TEST(log.messages() == Lines{"loop is closed"}, boost::test_tools::per_element());
}

// -- every suspension

BOOST_AUTO_TEST_CASE(drain_and_wait_closed_may_be_cancelled_wherever_they_wait) {
  const auto points = cancel_everywhere(
      [](Loop& loop) -> Coroutine<> {
        const Counted local;
        const auto wire = std::make_shared<Wire>();
        const StreamReader reader(loop);
        const auto protocol = std::make_shared<StreamReaderProtocol>(loop, reader);
        protocol->connection_made(wire);
        const StreamWriter writer(wire, protocol, reader, loop);
        wire->closing = true;
        protocol->pause_writing();
        loop.call_later(1, [protocol] { protocol->resume_writing(); });
        co_await writer.drain();
        loop.call_later(1, [protocol] { protocol->connection_lost(nullptr); });
        co_await writer.wait_closed();
      },
      [](Loop& loop) { loop.run_for(10); });
  BOOST_TEST(points > 5u);
}

BOOST_AUTO_TEST_SUITE_END()
