// SPDX-License-Identifier: BSL-1.0
// TLS connections with peers that do what the protocol allows and nobody else does, and programs
// that end a connection in the middle of it.
#include <asyncio/ssl.hpp>

#include <cstddef>
#include <string>

#include <boost/test/unit_test.hpp>

#include <openssl/ssl.h>

#include "ssl/object.hpp"
#include "tls_pair.hpp"

using namespace tls_tests;

namespace {

SSLContext with_later_certificate(const SSLContext& context) {
  context.set_post_handshake_auth(true);
  return context;
}

SSLContext client_with_certificate() {
  const SSLContext context = client_context();
  const std::string key = certificate("client.key");
  context.load_cert_chain(certificate("client.pem"), {.keyfile = key});
  return with_later_certificate(context);
}

SSLContext curious_context() {
  const SSLContext context = server_context();
  context.load_verify_locations({.cafile = certificate("ca.pem")});
  context.set_verify_mode(ssl::CERT_REQUIRED);
  return with_later_certificate(context);
}

/// The server has asked for the client's certificate.
struct Asked : Pair {
  Asked() : Pair(std::make_shared<Plain>(), {}, client_with_certificate(), curious_context()) {
    connect();
    server.protocol->transport->get_extra_info(ssl_object).verify_client_post_handshake();
    server.tls->write("who are you?");
  }
  /// The client answers, and the first message of that comes to the server.
  void half_answer() {
    client.wire->receive();
    BOOST_TEST_REQUIRE(client.wire->sent.size() > record_size());
    server.wire->receive(record_size());
    loop.pass();
  }
  /// Of the first record on the way to the server.
  std::size_t record_size() const {
    const std::string& sent = client.wire->sent;
    return 5 + (static_cast<unsigned char>(sent.at(3)) << 8) +
           static_cast<unsigned char>(sent.at(4));
  }
};

struct HalfAnswered : Asked {
  HalfAnswered() { half_answer(); }
};

void ask_for_keys(const detail::TlsTransport& transport) {
  SSL* const native = transport.get_extra_info(ssl_object).state()->native();
  BOOST_REQUIRE(SSL_key_update(native, SSL_KEY_UPDATE_REQUESTED) == 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_hostile_tests)

// -- messages of the handshake behind the handshake

BOOST_FIXTURE_TEST_CASE(what_is_written_between_two_messages_of_the_peer_is_sent, HalfAnswered) {
  server.tls->write("hello");
  settle();
  BOOST_TEST(client.protocol->data == "who are you?hello");
  BOOST_TEST(server.tls->get_write_buffer_size() == 0u);
  const auto object = server.protocol->transport->get_extra_info(ssl_object);
  BOOST_TEST(object.getpeercert().serialNumber == "C0FFEE02");
}

BOOST_FIXTURE_TEST_CASE(it_is_sent_too_when_the_program_does_not_read, HalfAnswered) {
  server.tls->pause_reading();
  server.tls->write("hello");
  settle();
  BOOST_TEST(client.protocol->data == "who are you?hello");
}

BOOST_FIXTURE_TEST_CASE(the_connection_is_known_between_two_messages_of_the_peer, HalfAnswered) {
  const auto transport = server.protocol->transport;
  BOOST_TEST_REQUIRE(bool(transport->get_extra_info(ssl_object)));
  BOOST_TEST(transport->get_extra_info(ssl_object).version().value() == "TLSv1.3");
  BOOST_TEST(transport->get_extra_info(asyncio::cipher).protocol == "TLSv1.3");
}

BOOST_FIXTURE_TEST_CASE(a_certificate_is_not_shown_before_the_peer_has_proved_it, HalfAnswered) {
  const auto transport = server.protocol->transport;
  BOOST_TEST(transport->get_extra_info(peercert).empty());
  BOOST_TEST(transport->get_extra_info(ssl_object).getpeercert_der() == "");
  settle();
  BOOST_TEST(transport->get_extra_info(peercert).serialNumber == "C0FFEE02");
}

BOOST_FIXTURE_TEST_CASE(an_answer_that_comes_in_two_pieces_after_close_is_no_error, Asked) {
  server.tls->close();
  half_answer();
  settle();
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log.starts_with("made eof"));
  BOOST_TEST(server.wire->closed);
  BOOST_TEST(!server.wire->error);
}

BOOST_FIXTURE_TEST_CASE(a_close_between_two_messages_of_the_peer_sends_all_and_close_notify,
                        HalfAnswered) {
  server.tls->write("goodbye");
  server.tls->close();
  settle();
  BOOST_TEST(client.protocol->data == "who are you?goodbye");
  BOOST_TEST(client.protocol->log == "made eof lost None");
  BOOST_TEST(server.protocol->log == "made eof lost None");
}

BOOST_FIXTURE_TEST_CASE(a_close_does_not_wait_for_ever_for_the_rest, HalfAnswered) {
  server.tls->close();
  loop.run_for(31);
  BOOST_TEST(server.protocol->log == "made lost TimeoutError('SSL shutdown timed out')");
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_goes_between_two_messages_ends_the_close, HalfAnswered) {
  server.tls->write("goodbye");
  server.tls->close();
  client.wire->force_close(nullptr);
  settle();
  BOOST_TEST(server.protocol->log.starts_with("made lost SSLEOFError("));
}

// -- answers

BOOST_FIXTURE_TEST_CASE(a_peer_that_makes_us_answer_and_never_reads_is_dropped, Connected) {
  for (int i = 0; i < 20'000 && !server.wire->closed; ++i) {
    ask_for_keys(*client.tls);
    client.tls->write("x");
    server.wire->receive();
    client.wire->sent.clear();
  }
  BOOST_TEST(server.wire->closed);
  loop.pass();
  BOOST_TEST(server.protocol->log.starts_with("made lost SSLError("));
}

BOOST_FIXTURE_TEST_CASE(answers_that_the_peer_reads_are_no_reason_to_drop_it, Connected) {
  for (int i = 0; i < 20'000; ++i) {
    ask_for_keys(*client.tls);
    client.tls->write("x");
    step();
  }
  settle();
  BOOST_TEST(server.protocol->data.size() == 20'000u);
  BOOST_TEST(server.protocol->log == "made");
}

BOOST_FIXTURE_TEST_CASE(a_peer_whose_data_is_spoilt_is_told, Connected) {
  const std::size_t before = server.wire->written;
  client.tls->write("x");
  client.wire->sent.back() ^= 1;
  settle();
  BOOST_TEST(server.protocol->log.find("BAD_RECORD_MAC") != std::string::npos);
  BOOST_TEST(server.wire->written > before);
}

// -- ends in the middle

BOOST_FIXTURE_TEST_CASE(nothing_is_told_after_an_abort_in_data_received, Connected) {
  client.protocol->on_data = [&] { client.tls->abort(); };
  server.tls->write("last words");
  server.tls->close();
  settle();
  BOOST_TEST(client.protocol->log == "made lost None");
}

BOOST_AUTO_TEST_CASE(nothing_is_told_after_an_abort_in_get_buffer) {
  Ends<Buffered> ends(std::make_shared<Buffered>(1000));
  ends.connect();
  ends.client.protocol->on_get = [&] { ends.client.tls->abort(); };
  ends.server.tls->write("too late");
  ends.settle();
  BOOST_TEST(ends.client.protocol->updates == 0);
  BOOST_TEST(ends.client.protocol->log == "made lost None");
}

BOOST_AUTO_TEST_SUITE_END()
