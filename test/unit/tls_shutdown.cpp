// SPDX-License-Identifier: BSL-1.0
// How a TLS connection ends: in order, cut off, or with the loop (rules 191, 195, 196).
#include <asyncio/ssl.hpp>
#include <asyncio/transports.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tls_pair.hpp"

using namespace tls_tests;

namespace {

void drain(Pair& pair) {
  pair.settle();
  pair.loop.pass();
}

/// Brings a fresh pair into some state before the client does something.
struct Situation {
  std::string name;
  std::function<void(Pair&)> prepare;
};

const std::vector<Situation>& situations() {
  static const std::vector<Situation> all{
      {"before connection_made", [](Pair&) {}},
      {"handshake", [](Pair& pair) { pair.begin(); }},
      {"handshake, half way",
       [](Pair& pair) {
         pair.begin();
         for (int i = 0; i != 600; ++i) pair.step(1);
       }},
      {"open", [](Pair& pair) { pair.connect(); }},
      {"open, written",
       [](Pair& pair) {
         pair.connect();
         pair.client.tls->write("x");
       }},
      {"open, reading paused",
       [](Pair& pair) {
         pair.connect();
         pair.client.tls->pause_reading();
         pair.server.tls->write("x");
         pair.settle();
       }},
      {"open, writing paused",
       [](Pair& pair) {
         pair.connect();
         for (int i = 0; i != 10; ++i) pair.client.tls->write(noise(100'000));
       }},
      {"flushing",
       [](Pair& pair) {
         pair.connect();
         pair.client.tls->pause_reading();
         pair.server.tls->write("x");
         pair.server.wire->end_writing();
         while (pair.client.wire->receive()) {
         }
       }},
      {"closing",
       [](Pair& pair) {
         pair.connect();
         pair.client.tls->close();
       }},
      {"closed by the peer",
       [](Pair& pair) {
         pair.connect();
         pair.server.tls->close();
         pair.client.wire->receive();
       }},
      {"closed",
       [](Pair& pair) {
         pair.connect();
         pair.client.tls->close();
         drain(pair);
       }},
      {"lost",
       [](Pair& pair) {
         pair.connect();
         pair.client.wire->lose(nullptr);
       }},
  };
  return all;
}

template <class Test>
void in_all_situations(Test test) {
  for (const Situation& situation : situations()) {
    BOOST_TEST_CONTEXT(situation.name) {
      Pair pair;
      situation.prepare(pair);
      test(pair);
    }
  }
}

std::size_t count_of(const std::string& word, const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_shutdown_tests)

// -- close()

BOOST_FIXTURE_TEST_CASE(r195_close_is_answered_and_then_the_connection_closes, Connected) {
  client.tls->close();
  BOOST_TEST(client.tls->is_closing());
  BOOST_TEST(!client.tls->is_reading());
  BOOST_TEST(!client.wire->closed);  // until the peer has answered
  BOOST_TEST(client.protocol->log == "made");
  settle();
  BOOST_TEST(server.protocol->log == "made eof lost None");
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(closed());
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(r195_in_pieces_of_one_byte_too, Connected) {
  client.tls->write("last words");
  client.tls->close();
  settle(1);
  BOOST_TEST(server.protocol->data == "last words");
  BOOST_TEST(server.protocol->log == "made eof lost None");
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(both_may_close_at_once, Connected) {
  client.tls->write("to server");
  client.tls->close();
  server.tls->write("to client");
  server.tls->close();
  settle();
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
  BOOST_TEST(client.protocol->data == "");  // after close() nothing is told
  BOOST_TEST(server.protocol->data == "");
}

BOOST_FIXTURE_TEST_CASE(what_was_written_goes_before_the_end, Connected) {
  const std::string text = noise(3'000'000);
  for (std::size_t at = 0; at != text.size(); at += 100'000)
    client.tls->write(text.substr(at, 100'000));
  client.tls->close();
  settle(50'000);
  BOOST_TEST((server.protocol->data == text));
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(what_waits_while_the_wire_is_full_is_sent_when_the_peer_closes,
                        Connected) {
  client.tls->write(noise(100'000));
  client.tls->write(noise(100'000));
  server.tls->pause_reading();  // it is not the server's TLS that lets it wait
  server.tls->close();          // but its end comes first
  client.wire->receive();
  loop.pass();
  BOOST_TEST(client.protocol->log == "made eof");
  settle();
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log.ends_with("lost None"));
  BOOST_TEST(client.wire->sent == "");
}

BOOST_FIXTURE_TEST_CASE(what_comes_after_close_is_dropped_and_does_not_pile_up, Connected) {
  client.tls->close();
  for (int i = 0; i != 30; ++i) server.tls->write(noise(50'000));
  for (int i = 0; i != 200; ++i) {
    client.wire->receive(20'000);
    BOOST_TEST_REQUIRE(client.tls->get_read_buffer_size() < 20'000u);
  }
  settle();
  BOOST_TEST(client.protocol->data == "");
  BOOST_TEST(client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(data_that_was_not_read_when_it_closes_is_dropped, Connected) {
  client.tls->pause_reading();
  server.tls->write(noise(2'000'000));
  settle(50'000);
  BOOST_TEST(!client.wire->is_reading());
  client.tls->close();
  settle(50'000);
  BOOST_TEST(client.protocol->data == "");
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(it_may_close_in_data_received, Connected) {
  client.protocol->on_data = [&] {
    client.tls->write("enough");
    client.tls->close();
  };
  server.tls->write("one");
  client.wire->receive();
  server.tls->write("two");
  settle();
  BOOST_TEST(client.protocol->data == "one");
  BOOST_TEST(server.protocol->data == "enough");
  BOOST_TEST(client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(it_may_abort_in_data_received, Connected) {
  client.protocol->on_data = [&] { client.tls->abort(); };
  server.tls->write("one");
  settle();
  BOOST_TEST(client.protocol->log == "made lost None");
  BOOST_TEST(server.protocol->log == "made lost " + truncated);
}

// -- the peer's close_notify

BOOST_FIXTURE_TEST_CASE(r195_true_from_eof_received_is_of_no_use, Connected) {
  const CapturedLog log;
  client.protocol->keeps_open = true;
  server.tls->close();
  settle();
  BOOST_TEST(log.messages() ==
             Lines{"returning true from eof_received() has no effect when using ssl"});
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(eof_received_may_write_its_last_words, Connected) {
  client.protocol->on_eof = [&] { client.tls->write("good bye"); };
  server.protocol->on_eof = [&] { server.protocol->data += "|"; };
  server.wire->automatic = true;
  server.tls->write("hello");
  server.tls->close();
  settle();
  BOOST_TEST(client.protocol->data == "hello");
  BOOST_TEST(server.protocol->data == "|");  // it has closed: what comes then is not told
  BOOST_TEST(client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(what_eof_received_throws_is_reported_and_the_error_of_the_loss, Connected) {
  client.protocol->on_eof = [] { throw ValueError("bad end"); };
  server.tls->close();
  settle();
  BOOST_TEST(loop.reports() == Lines{"Error calling eof_received(): ValueError('bad end')"});
  BOOST_TEST(client.protocol->log == "made eof lost ValueError('bad end')");
}

BOOST_FIXTURE_TEST_CASE(the_end_waits_behind_data_that_is_not_read_yet, Connected) {
  client.tls->pause_reading();
  server.tls->write("late");
  server.tls->close();
  client.wire->receive();
  loop.pass();
  BOOST_TEST(client.protocol->log == "made");
  client.tls->resume_reading();
  settle();
  BOOST_TEST(client.protocol->data == "late");
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_has_also_ended_the_connection_below_gets_our_close_notify,
                        Connected) {
  client.tls->pause_reading();
  server.tls->close();
  server.wire->end_writing();
  while (client.wire->receive()) {
  }
  BOOST_TEST(!client.wire->closed);  // not yet told
  client.tls->resume_reading();
  settle();
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");  // in order for both
}

// -- truncation

BOOST_FIXTURE_TEST_CASE(a_stream_without_close_notify_is_lost_with_an_error, Connected) {
  server.tls->write("some");
  server.wire->end_writing();
  settle();
  BOOST_TEST(client.protocol->data == "some");
  BOOST_TEST(client.protocol->log == "made lost " + truncated);
  BOOST_TEST(loop.reports().empty());
}

BOOST_FIXTURE_TEST_CASE(a_record_cut_in_two_is_no_data, Connected) {
  server.tls->write("whole");
  server.tls->write("half");
  server.wire->sent.resize(server.wire->sent.size() - 2);
  server.wire->end_writing();
  settle();
  BOOST_TEST(client.protocol->data == "whole");
  BOOST_TEST(client.protocol->log == "made lost " + truncated);
}

BOOST_AUTO_TEST_CASE(unless_the_context_ignores_it) {
  const SSLContext lenient = client_context();
  lenient.set_options(lenient.options() | ssl::OP_IGNORE_UNEXPECTED_EOF);
  Pair pair(std::make_shared<Plain>(), {}, lenient);
  pair.connect();
  pair.server.tls->write("some");
  pair.server.wire->end_writing();
  pair.settle();
  BOOST_TEST(pair.client.protocol->data == "some");
  BOOST_TEST(pair.client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(data_and_truncation_wait_for_a_program_that_does_not_read, Connected) {
  client.tls->pause_reading();
  server.tls->write("some");
  server.wire->end_writing();
  settle();
  BOOST_TEST(client.protocol->log == "made");
  client.tls->resume_reading();
  settle();
  BOOST_TEST(client.protocol->data == "some");
  BOOST_TEST(client.protocol->log == "made lost " + truncated);
}

BOOST_FIXTURE_TEST_CASE(a_program_that_does_not_read_may_close_behind_a_truncation, Connected) {
  client.tls->pause_reading();
  server.tls->write("some");
  server.wire->end_writing();
  settle();
  client.tls->close();
  settle();
  BOOST_TEST(client.protocol->data == "");
  BOOST_TEST(client.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_ends_the_connection_in_place_of_an_answer_will_do, Connected) {
  client.tls->close();
  server.wire->end_writing();
  client.wire->receive();
  loop.pass();
  BOOST_TEST(client.wire->closed);
  settle();
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(a_connection_that_breaks_tells_its_error, Connected) {
  server.tls->write("too late");
  client.wire->lose(std::make_exception_ptr(ConnectionResetError(104, "reset")));
  loop.pass();
  BOOST_TEST(client.protocol->log == "made lost ConnectionResetError(104, 'reset')");
}

// -- a peer that does not answer

BOOST_FIXTURE_TEST_CASE(r191_a_shutdown_may_take_so_long, Connected) {
  client.tls->close();
  loop.run_for(29.9);
  BOOST_TEST(client.protocol->log == "made");
  loop.run_for(0.2);
  BOOST_TEST(client.protocol->log == "made lost TimeoutError('SSL shutdown timed out')");
  BOOST_TEST(client.wire->closed);
  BOOST_TEST(loop.reports().empty());
}

BOOST_FIXTURE_TEST_CASE(r191_also_when_it_does_not_take_what_was_written, Connected) {
  for (int i = 0; i != 3; ++i) client.tls->write(noise(100'000));
  client.tls->close();
  loop.run_for(31);
  BOOST_TEST(client.protocol->log == "made lost TimeoutError('SSL shutdown timed out')");
  BOOST_TEST(client.wire->sent == "");  // dropped
}

BOOST_AUTO_TEST_CASE(r191_the_times_are_those_that_were_asked_for) {
  EndOptions options;
  options.handshake_timeout = 2;
  options.shutdown_timeout = 3;
  Pair pair(std::make_shared<Plain>(), options);
  pair.client.tls->connection_made(pair.client.wire);
  pair.loop.run_for(2.1);
  BOOST_TEST(pair.client.outcome() ==
             "ConnectionAbortedError('SSL handshake is taking longer than 2.0 seconds: aborting "
             "the connection')");
  Pair second(std::make_shared<Plain>(), options);
  second.connect();
  second.client.tls->close();
  second.loop.run_for(3.1);
  BOOST_TEST(second.client.protocol->log == "made lost TimeoutError('SSL shutdown timed out')");
}

BOOST_FIXTURE_TEST_CASE(an_open_connection_has_no_timer, Connected) {
  loop.run_for(1000);
  BOOST_TEST(!client.tls->is_closing());
  client.tls->write("still there");
  settle();
  BOOST_TEST(server.protocol->data == "still there");
}

// -- abort()

BOOST_FIXTURE_TEST_CASE(r195_abort_ends_at_once_but_never_inside_the_call, Connected) {
  client.tls->write("dropped");
  client.tls->abort();
  BOOST_TEST(client.protocol->log == "made");
  BOOST_TEST(client.wire->sent == "");
  BOOST_TEST(client.tls->is_closing());
  loop.pass();
  BOOST_TEST(client.protocol->log == "made lost None");
  settle();
  BOOST_TEST(server.protocol->log == "made lost " + truncated);
}

BOOST_AUTO_TEST_CASE(it_ends_once_whatever_was_before_when_it_is_aborted) {
  in_all_situations([](Pair& pair) {
    pair.client.tls->abort();
    BOOST_TEST(pair.client.tls->is_closing());
    pair.client.tls->abort();
    pair.client.tls->close();
    if (!pair.begun) pair.begin();
    pair.loop.pass();
    const std::string& log = pair.client.protocol->log;
    BOOST_TEST(count_of("lost", log) == count_of("made", log));
    BOOST_TEST(pair.client.outcome() != "waiting");
    BOOST_TEST(pair.client.wire->closed);
    drain(pair);
    BOOST_TEST(count_of("lost", log) == count_of("made", log));
    pair.server.tls->abort();
    BOOST_TEST(pair.loop.leftovers().empty());
  });
}

BOOST_AUTO_TEST_CASE(it_ends_once_whatever_was_before_when_it_is_closed) {
  in_all_situations([](Pair& pair) {
    pair.client.tls->close();
    BOOST_TEST(pair.client.tls->is_closing());
    pair.client.tls->close();
    if (!pair.begun) pair.begin();
    drain(pair);
    const std::string& log = pair.client.protocol->log;
    BOOST_TEST(count_of("lost", log) == count_of("made", log));
    BOOST_TEST(pair.client.outcome() != "waiting");
    BOOST_TEST(pair.client.wire->closed);
    pair.server.tls->abort();
    pair.loop.pass();
    BOOST_TEST(pair.loop.leftovers().empty());
  });
}

BOOST_AUTO_TEST_CASE(it_ends_once_whatever_was_before_when_the_connection_breaks) {
  in_all_situations([](Pair& pair) {
    if (!pair.begun) pair.begin();
    pair.client.wire->lose(std::make_exception_ptr(ConnectionResetError(104, "reset")));
    pair.loop.pass();
    const std::string& log = pair.client.protocol->log;
    BOOST_TEST(count_of("lost", log) == count_of("made", log));
    BOOST_TEST(pair.client.outcome() != "waiting");
    pair.server.tls->abort();
    pair.loop.pass();
    BOOST_TEST(pair.loop.leftovers().empty());
  });
}

BOOST_AUTO_TEST_CASE(a_close_during_the_handshake_is_an_abort_for_who_waits) {
  Pair pair;
  pair.begin();
  pair.client.tls->close();
  BOOST_TEST(pair.client.wire->closed);
  drain(pair);
  BOOST_TEST(pair.client.outcome() == "ConnectionAbortedError('SSL handshake was aborted')");
  BOOST_TEST(pair.server.outcome() == "ConnectionResetError()");
  BOOST_TEST(pair.client.protocol->log == "");
  BOOST_TEST(pair.server.protocol->log == "");
}

// -- afterwards

BOOST_FIXTURE_TEST_CASE(r196_the_program_is_told_a_pass_after_the_transport, Connected) {
  client.wire->lose(nullptr);
  loop.pass(1);
  BOOST_TEST(client.protocol->log == "made");
  BOOST_TEST(client.tls->get_protocol() == nullptr);
  loop.pass(1);
  BOOST_TEST(client.protocol->log == "made lost None");
}

BOOST_AUTO_TEST_CASE(the_protocol_is_dropped_after_connection_lost_and_a_late_one_too) {
  Pair pair;
  pair.connect();
  pair.client.tls->abort();
  pair.loop.pass();
  const std::weak_ptr<Plain> first = std::exchange(pair.client.protocol, nullptr);
  BOOST_TEST(first.expired());
  auto late = std::make_shared<Plain>();
  pair.client.tls->set_protocol(late);
  const std::weak_ptr<Plain> second = std::exchange(late, nullptr);
  BOOST_TEST(second.expired());
}

BOOST_AUTO_TEST_CASE(a_connection_that_nobody_holds_is_held_by_its_wire_until_it_ends) {
  Pair pair;
  pair.connect();
  const std::weak_ptr<detail::TlsTransport> tls = std::exchange(pair.client.tls, nullptr);
  pair.client.protocol->transport.reset();
  BOOST_TEST(!tls.expired());
  pair.server.tls->close();
  drain(pair);
  BOOST_TEST(tls.expired());
}

BOOST_FIXTURE_TEST_CASE(r196_writes_after_close_are_counted_and_then_logged, Connected) {
  const CapturedLog log;
  client.tls->close();
  for (int i = 0; i != 5; ++i) client.tls->write("dropped");
  client.tls->write("");
  client.tls->writelines({"", ""});
  BOOST_TEST(log.records.empty());
  client.tls->write("dropped");
  client.tls->writelines({"dropped"});
  BOOST_TEST(log.messages() == (Lines{"SSL connection is closed", "SSL connection is closed"}));
  settle();
  BOOST_TEST(server.protocol->data == "");
}

BOOST_FIXTURE_TEST_CASE(r196_the_loss_counts_as_one, Connected) {
  const CapturedLog log;
  client.tls->abort();
  loop.pass();
  for (int i = 0; i != 4; ++i) client.tls->write("dropped");
  BOOST_TEST(log.records.empty());
  client.tls->write("dropped");
  BOOST_TEST(log.messages() == Lines{"SSL connection is closed"});
}

BOOST_FIXTURE_TEST_CASE(every_call_on_a_closed_one_is_harmless, Connected) {
  client.tls->abort();
  loop.pass();
  client.tls->pause_reading();
  client.tls->resume_reading();
  client.tls->write("x");
  client.tls->close();
  client.tls->abort();
  client.tls->set_write_buffer_limits({.high = 0});
  client.tls->set_read_buffer_limits({.high = 0});
  client.tls->data_received("late");
  BOOST_TEST(!client.tls->eof_received());
  loop.pass();
  BOOST_TEST(client.tls->get_write_buffer_size() == 0u);
  BOOST_TEST(!client.tls->is_reading());
  BOOST_TEST(client.protocol->log == "made lost None");
}

BOOST_AUTO_TEST_CASE(a_transport_outlives_its_loop_in_every_state) {
  in_all_situations([](Pair& pair) {
    pair.loop.close();
    const std::string before = pair.client.protocol->log;
    BOOST_TEST(pair.client.tls->get_protocol() == nullptr);
    BOOST_TEST(pair.client.tls->is_closing());
    pair.client.tls->write("x");
    pair.client.tls->pause_reading();
    pair.client.tls->resume_reading();
    pair.client.tls->set_write_buffer_limits({.high = 0});
    pair.client.tls->close();
    pair.client.tls->abort();
    BOOST_TEST(pair.client.protocol->log == before);
    const std::weak_ptr<Plain> protocol = pair.client.protocol;
    pair.client.protocol->transport.reset();
    pair.client.protocol.reset();
    BOOST_TEST(protocol.expired());
  });
}

BOOST_AUTO_TEST_SUITE_END()
