// SPDX-License-Identifier: BSL-1.0
// A TLS connection that stands: its handshake, its data, and how both are held back (rules 190-194).
#include <asyncio/ssl.hpp>
#include <asyncio/transports.hpp>

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tls_pair.hpp"

using namespace tls_tests;

namespace {

constexpr std::size_t whole = std::string::npos;

/// Both may speak this version only.
struct Versioned : Pair {
  static SSLContext only(SSLContext context, ssl::TLSVersion version) {
    context.set_minimum_version(version);
    context.set_maximum_version(version);
    return context;
  }
  explicit Versioned(ssl::TLSVersion version)
      : Pair(std::make_shared<Plain>(), {}, only(client_context(), version),
             only(server_context(), version)) {}
};

/// For each version, and pieces of each size.
template <class Test>
void for_all(Test test) {
  for (const auto version : {ssl::TLSVersion::TLSv1_2, ssl::TLSVersion::TLSv1_3}) {
    for (const std::size_t size : {whole, std::size_t(1), std::size_t(1000)}) {
      BOOST_TEST_CONTEXT("version " << int(version) << ", pieces of " << size) {
        test(version, size);
      }
    }
  }
}

std::string limits(const std::pair<std::size_t, std::size_t>& low_and_high) {
  return std::to_string(low_and_high.first) + " " + std::to_string(low_and_high.second);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_transport_tests)

// -- the handshake

BOOST_AUTO_TEST_CASE(r192_the_handshake_stands_in_pieces_of_any_size) {
  for_all([](ssl::TLSVersion version, std::size_t size) {
    Versioned pair(version);
    pair.begin();
    BOOST_TEST(pair.client.protocol->log == "");
    pair.settle(size);
    BOOST_TEST(pair.client.outcome() == "None");
    BOOST_TEST(pair.server.outcome() == "None");
    BOOST_TEST(pair.client.protocol->log == "made");
    BOOST_TEST(pair.server.protocol->log == "made");
    BOOST_TEST((pair.client.protocol->transport == pair.client.tls));
    BOOST_TEST(pair.loop.leftovers().empty());  // also no timer
  });
}

BOOST_FIXTURE_TEST_CASE(r192_the_program_is_told_directly_and_the_waiter_right_after, Pair) {
  begin();
  std::string before;
  client.protocol->on_made = [&] { before = client.outcome(); };
  while (client.protocol->log.empty()) {
    server.wire->receive();
    client.wire->receive();
  }
  BOOST_TEST(before == "waiting");
  BOOST_TEST(client.outcome() == "None");  // without a pass in between
}

BOOST_FIXTURE_TEST_CASE(r192_what_connection_made_throws_ends_the_connection, Pair) {
  client.protocol->on_made = [] { throw ValueError("no"); };
  begin();
  settle();
  BOOST_TEST(client.protocol->log == "made lost ValueError('no')");
  BOOST_TEST(client.outcome() == "ValueError('no')");
  BOOST_TEST(loop.reports() ==
             Lines{"Fatal error: protocol.connection_made() call failed.: ValueError('no')"});
  BOOST_TEST(closed());
}

BOOST_FIXTURE_TEST_CASE(connection_made_may_write_pause_and_close, Pair) {
  server.protocol->on_made = [&] {
    server.protocol->transport->pause_reading();
    server.protocol->transport->write("welcome");
  };
  client.protocol->on_made = [&] {
    client.protocol->transport->write("bye");
    client.protocol->transport->close();
  };
  begin();
  settle();
  BOOST_TEST(client.protocol->data == "");  // it closed before
  BOOST_TEST(server.protocol->data == "");
  server.tls->resume_reading();
  settle();
  BOOST_TEST(server.protocol->data == "bye");
  BOOST_TEST(server.protocol->log == "made eof lost None");
  BOOST_TEST(client.protocol->log.ends_with("lost None"));
}

BOOST_FIXTURE_TEST_CASE(connection_made_may_abort, Pair) {
  client.protocol->on_made = [&] { client.tls->abort(); };
  begin();
  settle();
  BOOST_TEST(client.protocol->log == "made lost None");
  BOOST_TEST(client.outcome() == "None");
  BOOST_TEST(closed());
}

BOOST_AUTO_TEST_CASE(r192_a_failed_handshake_is_told_to_the_waiter_only_and_its_alert_is_sent) {
  EndOptions options;
  options.server_hostname = "elsewhere.test";
  Pair pair(std::make_shared<Plain>(), options);
  pair.begin();
  pair.settle();
  BOOST_TEST(pair.client.outcome().starts_with("SSLCertVerificationError(1, "));
  BOOST_TEST(pair.client.protocol->log == "");
  BOOST_TEST((pair.closed()));
  BOOST_TEST(pair.loop.reports().empty());
  BOOST_TEST(pair.loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(r192_the_end_of_the_peer_in_a_handshake_is_a_reset, Pair) {
  begin();
  client.wire->end_writing();
  while (server.wire->receive()) {
  }
  loop.pass();
  BOOST_TEST(server.outcome() == "ConnectionResetError()");
  BOOST_TEST(server.protocol->log == "");
  BOOST_TEST(server.wire->closed);
}

BOOST_FIXTURE_TEST_CASE(a_connection_lost_in_a_handshake_is_told_to_the_waiter, Pair) {
  begin();
  client.wire->lose(std::make_exception_ptr(ConnectionResetError(104, "reset")));
  server.wire->lose(nullptr);
  loop.pass();
  BOOST_TEST(client.outcome() == "ConnectionResetError(104, 'reset')");
  BOOST_TEST(server.outcome() == "ConnectionAbortedError('SSL handshake was aborted')");
  BOOST_TEST(client.protocol->log == "");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(r191_a_handshake_may_take_so_long, Pair) {
  server.tls->connection_made(server.wire);
  loop.run_for(59.9);
  BOOST_TEST(server.outcome() == "waiting");
  loop.run_for(0.2);
  BOOST_TEST(server.outcome() ==
             "ConnectionAbortedError('SSL handshake is taking longer than 60.0 seconds: aborting "
             "the connection')");
  BOOST_TEST(server.wire->closed);
  BOOST_TEST(server.protocol->log == "");
  BOOST_TEST(loop.reports().empty());
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_speaks_no_tls_is_an_error, Pair) {
  server.tls->connection_made(server.wire);
  client.wire->write("GET / HTTP/1.1\r\n\r\n");
  server.wire->receive();
  loop.pass();
  BOOST_TEST(server.outcome() == "SSLError(1, '[SSL: HTTP_REQUEST] http request')");
  BOOST_TEST(server.wire->closed);
  BOOST_TEST(loop.reports().empty());
}

BOOST_FIXTURE_TEST_CASE(a_waiter_that_was_cancelled_is_left_alone, Pair) {
  begin();
  client.ready.cancel();
  settle();
  BOOST_TEST(client.outcome() == "cancelled");
  BOOST_TEST(client.protocol->log == "made");
  client.tls->abort();
}

BOOST_FIXTURE_TEST_CASE(r194_what_is_written_before_the_handshake_is_done_is_sent_then, Pair) {
  begin();
  client.tls->write("early ");
  client.tls->writelines({"bird", "!"});
  BOOST_TEST(client.tls->get_write_buffer_size() == 11u);
  client.protocol->on_made = [&] {
    client.tls->pause_reading();
    client.tls->write(" late");
  };
  settle();
  BOOST_TEST(server.protocol->data == "early bird! late");
  BOOST_TEST(client.tls->get_write_buffer_size() == 0u);
}

BOOST_AUTO_TEST_CASE(in_debug_mode_the_log_tells_how_long_the_handshake_took) {
  const auto lines_of = [](bool debug) {
    const CapturedLog log(LogLevel::debug);
    Pair pair;
    pair.loop.set_debug(debug);
    pair.begin();
    pair.loop.run_for(0.0125);
    pair.settle();
    Lines lines = log.messages();
    std::erase_if(lines, [](const std::string& line) { return !line.ends_with(" ms"); });
    return lines;
  };
  const std::string line = "<TlsTransport over <WireEnd>>: SSL handshake took 12.5 ms";
  BOOST_TEST(lines_of(true) == (Lines{line, line}), boost::test_tools::per_element());
  BOOST_TEST(lines_of(false).empty());
}

// -- extra info (TR33-TR37)

BOOST_FIXTURE_TEST_CASE(tr36_the_context_is_known_before_the_handshake_and_the_rest_after, Pair) {
  begin();
  const auto& transport = *client.tls;
  BOOST_TEST(bool(transport.get_extra_info(sslcontext)));
  BOOST_TEST(!transport.get_extra_info(ssl_object));
  BOOST_TEST(!transport.get_extra_info(cipher.name).has_value());
  BOOST_TEST(!transport.get_extra_info(peercert.name).has_value());
  BOOST_TEST(!transport.get_extra_info(compression.name).has_value());
  settle();
  BOOST_TEST(transport.get_extra_info(ssl_object).version().value() == "TLSv1.3");
  BOOST_TEST(transport.get_extra_info(cipher).protocol == "TLSv1.3");
  BOOST_TEST(transport.get_extra_info(compression.name).has_value());
  const ssl::Certificate certificate = transport.get_extra_info(peercert);
  BOOST_TEST(certificate.subject.back().front().second == "localhost");
  BOOST_TEST(server.tls->get_extra_info(peercert).empty());  // the client has shown none
}

BOOST_FIXTURE_TEST_CASE(r197_the_rest_is_what_the_transport_below_knows, Connected) {
  BOOST_TEST(to_string(client.tls->get_extra_info(peername)) == "('10.0.0.1', 7)");
  BOOST_TEST(!client.tls->get_extra_info("nothing").has_value());
  client.tls->abort();
  loop.pass();
  BOOST_TEST(!client.tls->get_extra_info(peername.name).has_value());
  BOOST_TEST(bool(client.tls->get_extra_info(sslcontext)));
}

BOOST_FIXTURE_TEST_CASE(its_repr_shows_what_it_is_over, Connected) {
  BOOST_TEST(to_string(*client.tls) == "<TlsTransport over <WireEnd>>");
  client.tls->close();
  BOOST_TEST(to_string(*client.tls) == "<TlsTransport closing over <WireEnd>>");
  settle();
  BOOST_TEST(to_string(*client.tls) == "<TlsTransport closed>");
}

// -- data

BOOST_AUTO_TEST_CASE(data_comes_whole_in_pieces_of_any_size) {
  for_all([](ssl::TLSVersion version, std::size_t size) {
    Versioned pair(version);
    pair.connect();
    const std::string question = noise(20'000);
    const std::string answer = noise(33'333);
    Plain& server = *pair.server.protocol;
    server.on_data = [&] {
      if (server.data.size() == question.size()) server.transport->write(answer);
    };
    pair.client.tls->write(question);
    pair.settle(size);
    BOOST_TEST((server.data == question));
    BOOST_TEST((pair.client.protocol->data == answer));
  });
}

BOOST_FIXTURE_TEST_CASE(data_comes_whole_in_random_pieces_both_ways_at_once, Connected) {
  std::minstd_rand random(7);
  const std::string text = noise(300'000);
  for (std::size_t done = 0; done < text.size();) {
    const std::string piece = text.substr(done, random() % 50'000);
    client.tls->write(piece);
    server.tls->write(piece);
    done += piece.size();
    step(random() % 20'000 + 1);
  }
  while (step(random() % 20'000 + 1)) {
  }
  BOOST_TEST((client.protocol->data == text));
  BOOST_TEST((server.protocol->data == text));
}

BOOST_FIXTURE_TEST_CASE(r193_what_came_together_is_told_together, Connected) {
  int calls = 0;
  server.protocol->on_data = [&] { ++calls; };
  const std::string text = noise(400'000);  // more than the loop's buffer takes
  client.tls->write(text);
  server.wire->receive();
  BOOST_TEST((server.protocol->data == text));
  BOOST_TEST(calls == 1);
}

BOOST_FIXTURE_TEST_CASE(writelines_sends_all_lines, Connected) {
  client.tls->writelines({"one ", "", "two ", "three"});
  client.tls->writelines(std::vector<std::string>{});
  settle();
  BOOST_TEST(server.protocol->data == "one two three");
}

BOOST_FIXTURE_TEST_CASE(data_received_may_answer_and_replace_the_protocol, Connected) {
  const auto next = std::make_shared<Plain>();
  server.protocol->on_data = [&] {
    server.tls->set_protocol(next);
    server.tls->write("switched");
  };
  client.tls->write("switch");
  settle();
  client.tls->write("more");
  settle();
  BOOST_TEST(server.protocol->data == "switch");
  BOOST_TEST(next->data == "more");
  BOOST_TEST(next->log == "");  // connection_made is not called again
  BOOST_TEST(client.protocol->data == "switched");
  BOOST_TEST((server.tls->get_protocol() == next));
}

BOOST_FIXTURE_TEST_CASE(a_protocol_of_another_kind_is_refused, Connected) {
  BOOST_CHECK_THROW(client.tls->set_protocol(nullptr), TypeError);
  struct Datagrams : DatagramProtocol {};
  BOOST_CHECK_THROW(client.tls->set_protocol(std::make_shared<Datagrams>()), TypeError);
  BOOST_TEST((client.tls->get_protocol() == client.protocol));
}

BOOST_FIXTURE_TEST_CASE(what_data_received_throws_is_reported_and_ends_the_connection, Connected) {
  server.protocol->on_data = [] { throw ValueError("bad data"); };
  client.tls->write("x");
  settle();
  BOOST_TEST(loop.reports() == Lines{"Fatal error on SSL protocol: ValueError('bad data')"});
  BOOST_TEST(server.protocol->log == "made lost ValueError('bad data')");
  BOOST_TEST(closed());
}

BOOST_FIXTURE_TEST_CASE(an_os_error_of_data_received_is_not_reported, Connected) {
  server.protocol->on_data = [] { throw FileNotFoundError(2, "none"); };
  client.tls->write("x");
  settle();
  BOOST_TEST(loop.reports().empty());
  BOOST_TEST(server.protocol->log == "made lost FileNotFoundError(2, 'none')");
}

BOOST_FIXTURE_TEST_CASE(garbage_is_an_error_behind_what_came_before_it, Connected) {
  client.tls->write("good");
  client.wire->sent += "\x17\x03\x03\x00\x20" + std::string(32, 'x');
  settle();
  BOOST_TEST(server.protocol->data == "good");
  BOOST_TEST(server.protocol->log.starts_with("made lost SSLError(1, "));
  BOOST_TEST(loop.reports().empty());
  BOOST_TEST(closed());
}

// -- holding back what comes

BOOST_FIXTURE_TEST_CASE(nothing_is_told_while_reading_is_paused, Connected) {
  BOOST_TEST(server.tls->is_reading());
  server.tls->pause_reading();
  server.tls->pause_reading();
  BOOST_TEST(!server.tls->is_reading());
  client.tls->write("waits");
  settle();
  BOOST_TEST(server.protocol->data == "");
  server.tls->resume_reading();
  BOOST_TEST(server.protocol->data == "");  // not from inside the call
  server.tls->resume_reading();
  loop.pass();
  BOOST_TEST(server.protocol->data == "waits");
  BOOST_TEST(server.tls->is_reading());
}

BOOST_FIXTURE_TEST_CASE(paused_again_before_its_turn_nothing_is_told, Connected) {
  server.tls->pause_reading();
  client.tls->write("waits");
  settle();
  server.tls->resume_reading();
  server.tls->pause_reading();
  loop.pass();
  BOOST_TEST(server.protocol->data == "");
}

BOOST_FIXTURE_TEST_CASE(r193_a_program_that_does_not_read_holds_the_peer_back, Connected) {
  server.tls->pause_reading();
  const std::string text = noise(2'000'000);
  client.tls->write(text.substr(0, 100'000));  // fills the wire
  client.tls->write(text.substr(100'000));
  settle(10'000);
  const std::size_t held = server.tls->get_read_buffer_size();
  BOOST_TEST(held >= 256u * 1024);
  BOOST_TEST(held < 256u * 1024 + 10'000);
  BOOST_TEST(!server.wire->is_reading());
  BOOST_TEST(client.wire->sent.size() > 1'700'000u);
  server.tls->resume_reading();
  settle(10'000);
  BOOST_TEST((server.protocol->data == text));
  BOOST_TEST(server.tls->get_read_buffer_size() == 0u);
  BOOST_TEST(server.wire->is_reading());
}

BOOST_FIXTURE_TEST_CASE(tr27_the_limits_of_reading_can_be_set, Connected) {
  const std::shared_ptr<Transport> transport = server.protocol->transport;
  const auto over_tls = std::dynamic_pointer_cast<SSLTransport>(transport);
  BOOST_TEST_REQUIRE(bool(over_tls));
  BOOST_TEST(limits(over_tls->get_read_buffer_limits()) == "65536 262144");
  over_tls->set_read_buffer_limits({.high = 4000});
  BOOST_TEST(limits(over_tls->get_read_buffer_limits()) == "1000 4000");
  over_tls->set_read_buffer_limits({.low = 100});
  BOOST_TEST(limits(over_tls->get_read_buffer_limits()) == "100 400");
  BOOST_CHECK_THROW(over_tls->set_read_buffer_limits({.high = 1, .low = 2}), ValueError);
  over_tls->set_read_buffer_limits();
  BOOST_TEST(limits(over_tls->get_read_buffer_limits()) == "65536 262144");

  transport->pause_reading();
  client.tls->write(noise(5000));
  settle();
  BOOST_TEST(server.wire->is_reading());
  over_tls->set_read_buffer_limits({.high = 5000, .low = 4900});
  BOOST_TEST(!server.wire->is_reading());
  over_tls->set_read_buffer_limits({.high = 20'000, .low = 10'000});
  BOOST_TEST(server.wire->is_reading());
  over_tls->abort();
  loop.pass();
  over_tls->set_read_buffer_limits({.high = 0});  // harmless
}

BOOST_FIXTURE_TEST_CASE(tr27_a_limit_of_0_pauses_only_when_something_waits, Connected) {
  const std::shared_ptr<Transport> transport = server.protocol->transport;
  std::dynamic_pointer_cast<SSLTransport>(transport)->set_read_buffer_limits({.high = 0});
  BOOST_TEST(server.wire->is_reading());
  client.tls->write("still heard");
  settle();
  BOOST_TEST(server.protocol->data == "still heard");
}

// -- holding back what goes

BOOST_FIXTURE_TEST_CASE(r194_the_limits_of_writing, Connected) {
  BOOST_TEST(limits(client.tls->get_write_buffer_limits()) == "131072 524288");
  client.tls->set_write_buffer_limits({.high = 4000});
  BOOST_TEST(limits(client.tls->get_write_buffer_limits()) == "1000 4000");
  client.tls->set_write_buffer_limits({.low = 100});
  BOOST_TEST(limits(client.tls->get_write_buffer_limits()) == "100 400");
  BOOST_CHECK_THROW(client.tls->set_write_buffer_limits({.high = 1, .low = 2}), ValueError);
  client.tls->set_write_buffer_limits();
  BOOST_TEST(limits(client.tls->get_write_buffer_limits()) == "131072 524288");
}

BOOST_FIXTURE_TEST_CASE(r194_a_peer_that_does_not_read_pauses_the_program, Connected) {
  const std::string block = noise(100'000);
  client.tls->write(block);  // fills the wire
  BOOST_TEST(client.tls->get_write_buffer_size() == 0u);
  for (int i = 0; i < 5; ++i) client.tls->write(block);
  BOOST_TEST(client.protocol->log == "made");
  BOOST_TEST(!client.tls->writing_paused());
  client.tls->write(block);
  BOOST_TEST(client.protocol->log == "made pause");
  BOOST_TEST(client.tls->writing_paused());
  BOOST_TEST(client.tls->get_write_buffer_size() >= 600'000u);
  settle(8000);
  BOOST_TEST(client.protocol->log == "made pause resume");
  BOOST_TEST(server.protocol->data.size() == 700'000u);
}

BOOST_FIXTURE_TEST_CASE(a_program_that_obeys_keeps_the_buffers_bounded, Connected) {
  const std::string block = noise(50'000);
  bool paused = false;
  std::size_t written = 0;
  std::size_t most = 0;
  const auto write = [&] {
    for (paused = false; !paused && written < 5'000'000; written += block.size()) {
      client.tls->write(block);
      most = std::max(most, client.tls->get_write_buffer_size());
    }
  };
  client.protocol->on_pause = [&] { paused = true; };
  client.protocol->on_resume = write;
  write();
  settle(10'000);
  BOOST_TEST(server.protocol->data.size() == 5'000'000u);
  BOOST_TEST(most < 600'000u);
}

BOOST_FIXTURE_TEST_CASE(a_high_mark_of_zero_pauses_whenever_something_waits, Connected) {
  client.tls->set_write_buffer_limits({.high = 0});
  BOOST_TEST(client.protocol->log == "made");
  client.tls->write("taken at once");
  BOOST_TEST(client.protocol->log == "made");
  client.tls->write(noise(100'000));
  client.tls->write("waits");
  BOOST_TEST(client.protocol->log == "made pause");
  settle();
  BOOST_TEST(client.protocol->log == "made pause resume");
}

BOOST_FIXTURE_TEST_CASE(limits_that_are_set_lower_pause_at_once, Connected) {
  client.tls->write(noise(100'000));
  client.tls->write(noise(100'000));
  BOOST_TEST(client.protocol->log == "made");
  client.tls->set_write_buffer_limits({.high = 50'000});
  BOOST_TEST(client.protocol->log == "made pause");
  client.tls->set_write_buffer_limits();
  BOOST_TEST(client.protocol->log == "made pause resume");
}

BOOST_FIXTURE_TEST_CASE(what_pause_and_resume_throw_is_reported_and_the_connection_goes_on,
                        Connected) {
  client.protocol->on_pause = [] { throw ValueError("pause"); };
  client.protocol->on_resume = [] { throw ValueError("resume"); };
  client.tls->write(noise(1'000'000));
  client.tls->write(noise(1'000'000));
  settle();
  BOOST_TEST(server.protocol->data.size() == 2'000'000u);
  BOOST_TEST(loop.reports() == (Lines{"protocol.pause_writing() failed: ValueError('pause')",
                                      "protocol.resume_writing() failed: ValueError('resume')"}));
  BOOST_TEST(!client.tls->is_closing());
}

BOOST_FIXTURE_TEST_CASE(r197_there_is_no_half_closed_tls, Connected) {
  BOOST_TEST(!client.tls->can_write_eof());
  BOOST_CHECK_THROW(client.tls->write_eof(), NotImplementedError);
  client.tls->write("goes on");
  settle();
  BOOST_TEST(server.protocol->data == "goes on");
}

// -- what it cannot do

BOOST_FIXTURE_TEST_CASE(its_socket_cannot_be_released, Connected) {
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(client.tls->release_socket()), NotImplementedError,
      [&](const NotImplementedError& error) {
        return error.what() ==
               "release_socket is not supported for transport " + to_string(*client.tls);
      });
  BOOST_TEST(!client.tls->is_closing());
}

BOOST_AUTO_TEST_SUITE_END()
