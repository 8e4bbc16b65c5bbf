// SPDX-License-Identifier: BSL-1.0
// Two engines that talk to each other without sockets: data, ends and failures, however the bytes
// between them are cut. The texts are those of CPython 3.13 with the same OpenSSL.
#include "ssl/engine.hpp"

#include <string>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <boost/asio/ssl/error.hpp>

#include "ssl/object.hpp"
#include "tls_fixture.hpp"

using namespace tls_tests;

namespace {

constexpr ssl::TLSVersion versions[] = {ssl::TLSVersion::TLSv1_2, ssl::TLSVersion::TLSv1_3};

ssl::SSLContext client_of(ssl::TLSVersion version) {
  const ssl::SSLContext context = client_context();
  context.set_minimum_version(version);
  context.set_maximum_version(version);
  return context;
}

/// Bytes of which no two near each other are alike.
std::string pattern(std::size_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(generator());
  return bytes;
}

/// A handshake_failure.
const std::string alert("\x15\x03\x01\x00\x02\x02\x28", 7);

/// What a new end makes of these bytes, first and again.
std::string reaction(bool server_side, BytesView bytes, bool then_eof = false) {
  End end(server_side ? server_context() : client_context(), server_side,
          server_side ? std::nullopt : std::optional<std::string_view>("localhost"));
  end.handshake();
  end.engine.feed(bytes);
  if (then_eof) end.engine.feed_eof();
  const std::string first = end.handshake();
  if (first != "wants_input") {
    BOOST_TEST(end.handshake() == first);
    BOOST_TEST(end.read() == '|' + first);
    BOOST_TEST(end.write("data") == first);
    BOOST_TEST(end.shutdown() == first);
    BOOST_TEST(!end.engine.handshake_done());
  }
  return first;
}

struct Connected : Connection {
  explicit Connected(ssl::TLSVersion version = ssl::TLSVersion::TLSv1_3)
      : Connection(client_of(version), server_context()) {
    connect();
    receive(client);  // the tickets of TLS 1.3
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_engine_tests)

BOOST_AUTO_TEST_CASE(a_whole_connection_works_however_its_bytes_are_cut) {
  std::vector<Cut> cuts{whole, byte_by_byte};
  for (unsigned seed = 1; seed <= 20; ++seed) cuts.push_back(at_random(seed));
  for (const ssl::TLSVersion version : versions) {
    for (const Cut& cut : cuts) {
      Connection connection(client_of(version), server_context());
      auto& [client, server, connection_cut] = connection;
      connection_cut = cut;
      connection.connect();
      BOOST_TEST(client.engine.handshake_done());
      BOOST_TEST(server.engine.handshake_done());

      const std::string request = pattern(3000, 1);
      const std::string answer = pattern(5000, 2);
      BOOST_TEST(client.write(request) == "done");
      client.send(server);
      BOOST_TEST((connection.receive(server) == request + "|wants_input"));
      BOOST_TEST(server.write(answer) == "done");
      server.send(client);
      BOOST_TEST((connection.receive(client) == answer + "|wants_input"));

      BOOST_TEST(client.shutdown() == "wants_input");
      client.send(server);
      BOOST_TEST(connection.receive(server) == "|closed");
      BOOST_TEST(server.shutdown() == "done");
      server.send(client);
      connection.move(server, client);
      BOOST_TEST(client.shutdown() == "done");
    }
  }
}

BOOST_AUTO_TEST_CASE(much_data_goes_both_ways_at_once) {
  for (const ssl::TLSVersion version : versions) {
    Connected connection(version);
    const std::string up = pattern(1 << 20, 3);
    const std::string down = pattern((1 << 20) + 12345, 4);
    BOOST_TEST(connection.client.write(up) == "done");
    BOOST_TEST(connection.server.write(down) == "done");
    connection.client.send(connection.server);
    connection.server.send(connection.client);
    connection.cut = [](std::size_t size) { return std::min<std::size_t>(size, 100'000); };
    BOOST_TEST((connection.receive(connection.server) == up + "|wants_input"));
    BOOST_TEST((connection.receive(connection.client) == down + "|wants_input"));
  }
}

BOOST_AUTO_TEST_CASE(one_write_takes_what_is_worth_sending_and_never_nothing) {
  Connected connection;
  std::size_t count = 1;
  const std::string data = pattern(constants::ssl_write_size + 1, 5);
  BOOST_TEST(name(connection.client.engine.write(data, count)) == "done");
  BOOST_TEST(count == constants::ssl_write_size);
  BOOST_TEST(connection.client.engine.output().size() > count);
  BOOST_TEST(name(connection.client.engine.write(BytesView(data).subview(count), count)) == "done");
  BOOST_TEST(count == 1U);
  BOOST_TEST(name(connection.client.engine.write("", count)) == "done");
  BOOST_TEST(count == 0U);
}

BOOST_AUTO_TEST_CASE(one_read_fills_its_buffer_from_many_records) {
  Connected connection;
  const std::string data = pattern(50'000, 6);
  connection.server.write(data);
  connection.move(connection.server, connection.client);
  std::string buffer(40'000, '\0');
  std::size_t count = 0;
  TlsEngine& engine = connection.client.engine;
  BOOST_TEST(name(engine.read(buffer, count)) == "done");
  BOOST_TEST(count == 40'000U);
  BOOST_TEST((buffer == data.substr(0, 40'000)));
  BOOST_TEST(name(engine.read(buffer, count)) == "done");
  BOOST_TEST(count == 10'000U);
  BOOST_TEST((buffer.substr(0, count) == data.substr(40'000)));
  BOOST_TEST(name(engine.read(buffer, count)) == "wants_input");
  BOOST_TEST(count == 0U);
}

BOOST_AUTO_TEST_CASE(what_was_fed_is_counted_until_it_is_consumed) {
  Connected connection;
  connection.server.write(pattern(30'000, 8));
  const std::string sent = connection.server.engine.output().str();
  TlsEngine& engine = connection.client.engine;
  engine.feed(BytesView(sent).subview(0, 20'000));
  BOOST_TEST(engine.undecrypted() == 20'000U);
  engine.feed(BytesView(sent).subview(20'000));
  BOOST_TEST(engine.undecrypted() == sent.size());
  std::array<char, 1> byte;
  std::size_t count = 0;
  engine.read(byte, count);
  BOOST_TEST(engine.undecrypted() < sent.size() - 16'000);
  BOOST_TEST(engine.undecrypted() > 0U);
  connection.client.read();
  BOOST_TEST(engine.undecrypted() == 0U);
}

BOOST_AUTO_TEST_CASE(lent_ciphertext_is_used_in_place_and_only_the_rest_is_kept) {
  Connected connection;
  const std::string data = pattern(40'000, 9);
  connection.server.write(data);
  std::string lent = connection.server.engine.output().str();
  TlsEngine& engine = connection.client.engine;
  // All of it, but for a piece of the last record.
  const std::size_t most = lent.size() - 100;
  engine.lend(BytesView(lent).subview(0, most));
  BOOST_TEST(engine.undecrypted() == most);
  const std::string start = connection.client.read();
  BOOST_TEST(start.ends_with("|wants_input"));
  BOOST_TEST(engine.undecrypted() == 0U);

  engine.lend(BytesView(lent).subview(most, 60));
  engine.lend(BytesView(lent).subview(most + 60));  // keeps what was lent before
  engine.keep();
  lent.assign(lent.size(), 'x');
  BOOST_TEST(engine.undecrypted() == 100U);
  const std::string rest = connection.client.read();
  BOOST_TEST((start.substr(0, start.size() - 12) + rest == data + "|wants_input"));
}

BOOST_AUTO_TEST_CASE(the_peer_may_ask_for_new_keys) {
  Connected connection;
  auto& [client, server, cut] = connection;
  BOOST_REQUIRE(
      SSL_key_update(client.engine.object().state()->native(), SSL_KEY_UPDATE_REQUESTED) == 1);
  client.write("with a new key");
  client.send(server);
  BOOST_TEST(connection.receive(server) == "with a new key|wants_input");
  server.write("and back");
  server.send(client);
  BOOST_TEST(connection.receive(client) == "and back|wants_input");
}

BOOST_AUTO_TEST_CASE(before_the_handshake_operations_want_input) {
  End client(client_context(), false, "localhost");
  BOOST_TEST(client.write("data") == "wants_input");
  BOOST_TEST(client.read() == "|wants_input");
  BOOST_TEST(client.handshake() == "wants_input");
  BOOST_TEST(!client.engine.handshake_done());
  BOOST_TEST(client.shutdown() == "SSLError: [SSL: SHUTDOWN_WHILE_IN_INIT] shutdown while in init");
}

BOOST_AUTO_TEST_CASE(errors_of_others_in_openssls_queue_are_not_ours) {
  Connected connection;
  ERR_raise(ERR_LIB_USER, 1);
  BOOST_TEST(connection.client.read() == "|wants_input");
  ERR_raise(ERR_LIB_USER, 1);
  BOOST_TEST(connection.client.shutdown() == "wants_input");
  BOOST_TEST(ERR_peek_error() == 0U);
}

// -- peers that do not speak TLS

BOOST_AUTO_TEST_CASE(plain_text_is_refused) {
  for (const bool server_side : {true, false}) {
    BOOST_TEST(reaction(server_side, "GET / HTTP/1.1\r\n\r\n") ==
               "SSLError: [SSL: HTTP_REQUEST] http request");
    BOOST_TEST(reaction(server_side, "hello there, server") ==
               "SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number");
    BOOST_TEST(reaction(server_side, "SSH-2.0-OpenSSH\r\n") ==
               "SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number");
  }
}

BOOST_AUTO_TEST_CASE(garbage_is_refused) {
  const std::string too_long = std::string("\x16\x03\x01\xff\xff") + std::string(100, 'x');
  const std::string broken_hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
  for (const bool server_side : {true, false}) {
    BOOST_TEST(reaction(server_side, std::string(100, '\0')) ==
               "SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number");
    BOOST_TEST(reaction(server_side, too_long) ==
               record_error("PACKET_LENGTH_TOO_LONG", SSL_R_PACKET_LENGTH_TOO_LONG));
  }
  BOOST_TEST(reaction(true, alert) == "SSLError: [SSL: UNEXPECTED_MESSAGE] unexpected message");
  BOOST_TEST(reaction(false, alert) == handshake_failure());
  BOOST_TEST(reaction(true, broken_hello) == "SSLError: [SSL: LENGTH_TOO_SHORT] length too short");
  BOOST_TEST(reaction(false, broken_hello) ==
             "SSLError: [SSL: UNEXPECTED_MESSAGE] unexpected message");
}

BOOST_AUTO_TEST_CASE(an_alert_has_pythons_name_whatever_openssl_calls_it) {
  constexpr unsigned long code = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
  // OpenSSL keeps the tables.
  static ERR_STRING_DATA usual[] = {{code, ERR_reason_error_string(code)}, {0, nullptr}};
  static ERR_STRING_DATA older[] = {{code, "sslv3 alert handshake failure"}, {0, nullptr}};
  static ERR_STRING_DATA newer[] = {{code, "ssl/tls alert handshake failure"}, {0, nullptr}};
  for (ERR_STRING_DATA* const table : {older, newer}) {
    ERR_load_strings(ERR_LIB_SSL, table);
    BOOST_TEST(reaction(false, alert) ==
               std::string("SSLError: [SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] ") + table->string);
  }
  ERR_load_strings(ERR_LIB_SSL, usual);
}

BOOST_AUTO_TEST_CASE(random_bytes_never_make_a_handshake) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    // Some with the beginning of a record, to get further.
    const std::string start = seed % 2 == 0 ? std::string("\x16\x03\x01\x00\x40", 5) : "";
    const std::string outcome = reaction(seed % 3 == 0, start + pattern(300, seed));
    BOOST_TEST(outcome.starts_with("SSLError: [SSL: "), outcome);
  }
}

BOOST_AUTO_TEST_CASE(a_bit_changed_in_the_encrypted_handshake_is_found) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    Connection connection(client_context(), server_context());
    auto& [client, server, cut] = connection;
    client.handshake();
    client.send(server);
    server.receive(whole);
    server.handshake();
    server.send(client);
    std::mt19937 generator(seed);
    // Somewhere in the certificate, its proof, or the Finished message.
    const std::size_t from_end = 1 + generator() % 300;
    client.wire[client.wire.size() - from_end] ^= static_cast<char>(1 << generator() % 8);
    const auto [of_client, of_server] = connection.handshake();
    BOOST_TEST(!(of_client == "done" && of_server == "done"), "seed " << seed);
  }
}

// -- the connection's end

BOOST_AUTO_TEST_CASE(a_handshake_that_is_cut_short_is_an_eof_error) {
  const std::string eof =
      "SSLEOFError: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol";
  End client(client_context(), false, "localhost");
  client.handshake();
  const std::string hello = client.engine.output().str();
  for (const std::size_t size : {std::size_t(0), std::size_t(3), hello.size() / 2, hello.size()}) {
    BOOST_TEST(reaction(true, BytesView(hello).subview(0, size), true) == eof);
  }
  BOOST_TEST(reaction(false, "", true) == eof);
}

BOOST_AUTO_TEST_CASE(truncation_is_told_after_the_data_and_for_ever) {
  for (const ssl::TLSVersion version : versions) {
    Connected connection(version);
    connection.server.write("all that came");
    connection.move(connection.server, connection.client);
    connection.client.engine.feed_eof();
    const std::string eof =
        "SSLEOFError: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol";
    BOOST_TEST(connection.client.read() == "all that came|" + eof);
    BOOST_TEST(connection.client.read() == '|' + eof);
    BOOST_TEST(connection.client.write("more") == eof);
    BOOST_TEST(connection.client.shutdown() == eof);
    std::array<char, 1> byte;
    std::size_t count = 0;
    BOOST_CHECK_EXCEPTION(connection.client.engine.read(byte, count), ssl::SSLEOFError,
                          [](const ssl::SSLEOFError& error) {
                            return error.code() == boost::asio::ssl::error::stream_truncated &&
                                   error.errno_value() == 8;
                          });
  }
}

BOOST_AUTO_TEST_CASE(a_record_that_is_cut_short_is_truncation) {
  Connected connection;
  connection.server.write("lost");
  connection.server.send(connection.client);
  connection.client.wire.pop_back();
  connection.client.receive(whole);
  connection.client.engine.feed_eof();
  BOOST_TEST(connection.client.read().starts_with("|SSLEOFError: "));
}

BOOST_AUTO_TEST_CASE(a_closed_direction_is_no_truncation) {
  Connected connection;
  auto& [client, server, cut] = connection;
  server.write("the last words");
  BOOST_TEST(server.shutdown() == "wants_input");
  connection.move(server, client);
  client.engine.feed_eof();
  BOOST_TEST(client.read() == "the last words|closed");
  BOOST_TEST(client.read() == "|closed");
  BOOST_TEST(client.shutdown() == "done");
}

BOOST_AUTO_TEST_CASE(after_the_peers_close_notify_one_may_still_write) {
  for (const ssl::TLSVersion version : versions) {
    Connected connection(version);
    auto& [client, server, cut] = connection;
    BOOST_TEST(client.shutdown() == "wants_input");
    BOOST_TEST(client.shutdown() == "wants_input");
    connection.move(client, server);
    BOOST_TEST(server.read() == "|closed");
    BOOST_TEST(server.write("still here") == "done");
    BOOST_TEST(server.shutdown() == "done");
    connection.move(server, client);
    BOOST_TEST(client.read() == "still here|closed");
    BOOST_TEST(client.shutdown() == "done");
  }
}

BOOST_AUTO_TEST_CASE(after_ones_own_close_notify_one_may_only_read) {
  Connected connection;
  auto& [client, server, cut] = connection;
  client.shutdown();
  BOOST_TEST(client.write("no more") ==
             "SSLError: [SSL: PROTOCOL_IS_SHUTDOWN] protocol is shutdown");
  server.write("read me");
  connection.move(server, client);
  BOOST_TEST(client.read() == "read me|wants_input");
}

BOOST_AUTO_TEST_CASE(data_that_nobody_reads_spoils_the_shutdown) {
  Connected connection;
  auto& [client, server, cut] = connection;
  client.shutdown();
  server.write("unread");
  connection.move(server, client);
  const std::string error =
      "SSLError: [SSL: APPLICATION_DATA_AFTER_CLOSE_NOTIFY] application data after close notify";
  BOOST_TEST(client.shutdown() == error);
  BOOST_TEST(client.read() == '|' + error);
}

BOOST_AUTO_TEST_CASE(close_notify_in_a_handshake_is_an_error) {
  End client(client_context(), false, "localhost");
  client.handshake();
  client.engine.feed(BytesView("\x15\x03\x03\x00\x02\x01\x00", 7));
  BOOST_TEST(client.handshake() == "SSLZeroReturnError: TLS/SSL connection has been closed (EOF)");
}

BOOST_AUTO_TEST_CASE(a_changed_record_is_refused_and_the_peer_told) {
  Connected connection;
  auto& [client, server, cut] = connection;
  server.write("hello");
  server.send(client);
  client.wire.back() ^= 1;
  const std::string error = record_error("DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
                                         SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
  BOOST_TEST(connection.receive(client) == '|' + error);
  BOOST_TEST(client.read() == '|' + error);
  client.send(server);
  BOOST_TEST(connection.receive(server) ==
             '|' + ssl_error("SSLV3_ALERT_BAD_RECORD_MAC", SSL_R_SSLV3_ALERT_BAD_RECORD_MAC));
}

BOOST_AUTO_TEST_CASE(nobody_renegotiates) {
  const ssl::SSLContext context = client_of(ssl::TLSVersion::TLSv1_2);
  context.set_options(context.options() & ~ssl::OP_NO_RENEGOTIATION);
  Connection connection(context, server_context());
  auto& [client, server, cut] = connection;
  connection.connect();
  BOOST_REQUIRE(SSL_renegotiate(client.engine.object().state()->native()) == 1);
  BOOST_TEST(client.handshake() == "wants_input");
  client.send(server);
  BOOST_TEST(connection.receive(server) == "|wants_input");
  server.send(client);
  client.receive(whole);
  BOOST_TEST(client.handshake() == "SSLError: [SSL: NO_RENEGOTIATION] no renegotiation");
  BOOST_TEST(error_of([] {
               Connected strict(ssl::TLSVersion::TLSv1_2);
               BOOST_TEST(SSL_renegotiate(strict.client.engine.object().state()->native()) == 0);
             }) == "");
}

// -- what an engine is made of

BOOST_AUTO_TEST_CASE(an_engine_is_made_for_the_contexts_side) {
  BOOST_TEST(error_of([] { TlsEngine(client_context(), true, std::nullopt); }) ==
             "SSLError: Cannot create a server socket with a PROTOCOL_TLS_CLIENT context");
  BOOST_TEST(error_of([] { TlsEngine(server_context(), false, "localhost"); }) ==
             "SSLError: Cannot create a client socket with a PROTOCOL_TLS_SERVER context");
}

BOOST_AUTO_TEST_CASE(a_name_that_cannot_be_a_hosts_is_refused) {
  const auto with = [](std::string_view host) {
    return error_of([host] { TlsEngine(client_context(), false, host); });
  };
  BOOST_TEST(with(".example.org") ==
             "ValueError: server_hostname cannot be an empty string or start with a leading dot.");
  const std::string umlaut = "b\u00fccher.example";
  BOOST_TEST(with(umlaut) == "ValueError: server_hostname '" + umlaut +
                                 "' is not ASCII; give a name in other letters in its IDNA form, "
                                 "'xn--...'");
  BOOST_TEST(with(std::string_view("localhost\0.example.org", 22)).starts_with("ValueError: "));
  BOOST_TEST(with(std::string(300, 'x')) ==
             "SSLError: [SSL: SSL3_EXT_INVALID_SERVERNAME] ssl3 ext invalid servername");
}

BOOST_AUTO_TEST_CASE(the_object_outlives_its_engine) {
  ssl::SSLObject object;
  BOOST_TEST(!object);
  {
    Connected connection;
    object = connection.client.engine.object();
    BOOST_TEST((object == connection.client.engine.object()));
    BOOST_TEST((object != connection.server.engine.object()));
  }
  BOOST_TEST(object.version().value() == "TLSv1.3");
  BOOST_TEST(object.getpeercert().serialNumber == "C0FFEE00");
}

BOOST_AUTO_TEST_SUITE_END()
