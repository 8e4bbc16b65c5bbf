// SPDX-License-Identifier: BSL-1.0
// What two ends agree on: versions, ciphers, ALPN, server names, sessions. The texts are those of
// CPython 3.13 with OpenSSL 3.0.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <openssl/ssl.h>

#include "captured_log.hpp"
#include "ssl/object.hpp"
#include "tls_fixture.hpp"

using namespace tls_tests;

namespace {

using Outcome = std::pair<std::string, std::string>;

void limit(const ssl::SSLContext& context, ssl::TLSVersion version) {
  context.set_minimum_version(version);
  context.set_maximum_version(version);
}

ssl::SSLObject client_of(const Connection& connection) { return connection.client.engine.object(); }
ssl::SSLObject server_of(const Connection& connection) { return connection.server.engine.object(); }

/// `first`, but `second` for those who ask for localhost.
ssl::SSLContext switching(const ssl::SSLContext& first, const ssl::SSLContext& second) {
  first.set_sni_callback([second](const ssl::SSLObject& object,
                                  std::optional<std::string_view> host, const ssl::SSLContext&) {
    if (host == "localhost") object.set_context(second);
    return std::nullopt;
  });
  return first;
}

/// The session of a connection whose client has read what there was.
ssl::SSLSession session_of(const ssl::SSLContext& client, const ssl::SSLContext& server,
                           std::string_view host = "localhost") {
  Connection connection(client, server, host);
  connection.connect();
  connection.receive(connection.client);
  return client_of(connection).session();
}

/// A connection that is to resume it.
struct Resuming : Connection {
  Resuming(const ssl::SSLContext& of_client, const ssl::SSLContext& of_server,
           const ssl::SSLSession& session)
      : Connection(of_client, of_server) {
    client_of(*this).set_session(session);
    connect();
  }
};

std::optional<std::string> chosen_protocol(std::initializer_list<std::string_view> of_client,
                                           std::initializer_list<std::string_view> of_server) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  client.set_alpn_protocols(of_client);
  server.set_alpn_protocols(of_server);
  Connection connection(client, server);
  connection.connect();
  BOOST_TEST((client_of(connection).selected_alpn_protocol() ==
              server_of(connection).selected_alpn_protocol()));
  return client_of(connection).selected_alpn_protocol();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_negotiation_tests)

// -- versions and ciphers

BOOST_AUTO_TEST_CASE(the_newest_version_of_both_is_spoken) {
  Connection connection(client_context(), server_context());
  BOOST_TEST(!client_of(connection).version());
  BOOST_TEST(!client_of(connection).cipher());
  connection.connect();
  const std::string cipher = "('TLS_AES_256_GCM_SHA384', 'TLSv1.3', 256)";
  for (const ssl::SSLObject& object : {client_of(connection), server_of(connection)}) {
    BOOST_TEST(object.version().value() == "TLSv1.3");
    BOOST_TEST(to_string(object.cipher().value()) == cipher);
    BOOST_TEST(!object.compression());
    BOOST_TEST(!object.selected_alpn_protocol());
  }

  const ssl::SSLContext old = server_context();
  old.set_maximum_version(ssl::TLSVersion::TLSv1_2);
  Connection older(client_context(), old);
  older.connect();
  BOOST_TEST(client_of(older).version().value() == "TLSv1.2");
  BOOST_TEST(to_string(client_of(older).cipher().value()) ==
             "('ECDHE-ECDSA-AES256-GCM-SHA384', 'TLSv1.2', 256)");
}

BOOST_AUTO_TEST_CASE(the_ends_say_which_they_are) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  const Connection connection(client, server);
  BOOST_TEST(!client_of(connection).server_side());
  BOOST_TEST(server_of(connection).server_side());
  BOOST_TEST(client_of(connection).server_hostname().value() == "localhost");
  BOOST_TEST(!server_of(connection).server_hostname());
  BOOST_TEST((client_of(connection).context() == client));
  BOOST_TEST((server_of(connection).context() == server));
  BOOST_TEST(to_string(client_of(connection)).starts_with("<ssl.SSLObject object at 0x"));
}

BOOST_AUTO_TEST_CASE(without_a_common_version_there_is_no_connection) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  client.set_maximum_version(ssl::TLSVersion::TLSv1_2);
  server.set_minimum_version(ssl::TLSVersion::TLSv1_3);
  BOOST_TEST((Connection(client, server).handshake() ==
              Outcome("SSLError: [SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version",
                      "SSLError: [SSL: UNSUPPORTED_PROTOCOL] unsupported protocol")));
}

BOOST_AUTO_TEST_CASE(without_a_common_cipher_there_is_no_connection) {
  const Outcome refused(handshake_failure(), "SSLError: [SSL: NO_SHARED_CIPHER] no shared cipher");
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  client.set_maximum_version(ssl::TLSVersion::TLSv1_2);
  client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384");
  server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256");
  BOOST_TEST((Connection(client, server).handshake() == refused));
  // Nor with a server that has no certificate.
  const ssl::SSLContext bare(ssl::PROTOCOL_TLS_SERVER);
  BOOST_TEST((Connection(client_context(), bare).handshake() == refused));
}

// -- ALPN

BOOST_AUTO_TEST_CASE(the_servers_favourite_of_the_clients_protocols_is_chosen) {
  BOOST_TEST(chosen_protocol({"http/1.1", "h2"}, {"h2", "http/1.1"}).value() == "h2");
  BOOST_TEST(chosen_protocol({"h2", "http/1.1"}, {"http/1.1"}).value() == "http/1.1");
}

BOOST_AUTO_TEST_CASE(without_a_common_protocol_none_is_chosen) {
  BOOST_TEST(!chosen_protocol({"h2"}, {"http/1.1"}));
  BOOST_TEST(!chosen_protocol({"h2"}, {}));
  BOOST_TEST(!chosen_protocol({}, {"h2"}));
}

// -- server names

BOOST_AUTO_TEST_CASE(a_callback_is_given_the_name_the_client_asked_for) {
  std::vector<std::string> names;
  const ssl::SSLContext server = server_context();
  server.set_sni_callback([&](const ssl::SSLObject& object, std::optional<std::string_view> host,
                              const ssl::SSLContext& context) {
    BOOST_TEST(object.server_side());
    BOOST_TEST((object.context() == context));
    BOOST_TEST((context == server));
    names.push_back(host ? std::string(*host) : "none");
    return std::nullopt;
  });
  Connection(client_context(), server, "localhost").connect();
  Connection(client_context(), server, "127.0.0.1").connect();  // an address is no name
  Connection(client_context(), server, std::nullopt).connect();
  const std::vector<std::string> expected{"localhost", "none", "none"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());

  server.set_sni_callback(nullptr);
  Connection(client_context(), server, "localhost").connect();
  BOOST_TEST(names.size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_callback_may_give_the_connection_another_context) {
  const ssl::SSLContext second = server_context();
  second.set_alpn_protocols({"second"});
  const ssl::SSLContext first = switching(server_context("other"), second);
  const ssl::SSLContext client = client_context();
  client.set_alpn_protocols({"second"});
  Connection switched(client, first, "localhost");
  switched.connect();
  BOOST_TEST((server_of(switched).context() == second));
  BOOST_TEST(client_of(switched).selected_alpn_protocol().value() == "second");
  Connection plain(client, first, "other.test");
  plain.connect();
  BOOST_TEST((server_of(plain).context() == first));
  BOOST_TEST(!client_of(plain).selected_alpn_protocol());
}

BOOST_AUTO_TEST_CASE(a_context_that_is_switched_to_verifies_the_client) {
  const ssl::SSLContext server = switching(server_context("other"), demanding_context());
  Connection without(client_context(), server);
  BOOST_TEST(
      without.handshake().second ==
      "SSLError: [SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate");
  Connection with(client_with_certificate(), server);
  with.connect();
  BOOST_TEST(server_of(with).getpeercert().serialNumber == "C0FFEE02");
  Connection elsewhere(client_context(), server, "other.test");
  elsewhere.connect();
}

BOOST_AUTO_TEST_CASE(switching_to_a_context_that_does_not_verify_changes_nothing) {
  const ssl::SSLContext server = switching(demanding_context(), server_context());
  Connection connection(client_context(), server);
  BOOST_TEST(connection.handshake().second.starts_with("SSLError: "));
}

BOOST_AUTO_TEST_CASE(a_context_that_asks_later_does_not_make_another_one_wait) {
  const ssl::SSLContext later = demanding_context();
  later.set_post_handshake_auth(true);
  const ssl::SSLContext server = switching(later, demanding_context());
  const ssl::SSLContext client = client_context();
  client.set_check_hostname(false);
  client.set_post_handshake_auth(true);
  Connection without(client, server);
  BOOST_TEST(
      without.handshake().second ==
      "SSLError: [SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate");
  Connection elsewhere(client, server, "other.test");
  BOOST_TEST(elsewhere.handshake().second == "done");
}

BOOST_AUTO_TEST_CASE(no_session_leads_around_the_verification_of_another_context) {
  for (const auto version : {ssl::TLSVersion::TLSv1_2, ssl::TLSVersion::TLSv1_3}) {
    const ssl::SSLContext client = client_context();
    client.set_check_hostname(false);
    limit(client, version);
    const ssl::SSLContext server = switching(server_context("other"), demanding_context());
    const ssl::SSLSession session = session_of(client, server, "other.test");
    BOOST_REQUIRE(session);
    {
      Connection same(client, server, "other.test");
      client_of(same).set_session(session);
      same.connect();
      BOOST_TEST(client_of(same).session_reused());
    }
    Connection demanding(client, server, "localhost");
    client_of(demanding).set_session(session);
    const std::string outcome = demanding.handshake().second;
    // With TLS 1.2 a resumed connection goes on with the name, and so the context, of its session.
    if (version == ssl::TLSVersion::TLSv1_2) {
      BOOST_TEST(outcome == "done");
      BOOST_TEST((server_of(demanding).context() == server));
    } else {
      BOOST_TEST(outcome == "SSLError: [SSL: CALLBACK_FAILED] callback failed");
    }
  }
}

BOOST_AUTO_TEST_CASE(no_context_is_nothing_to_switch_to) {
  const ssl::SSLContext server = switching(server_context(), ssl::SSLContext());
  Connection connection(client_context(), server);
  BOOST_TEST(connection.handshake().second.starts_with("SSLError: "));
  BOOST_CHECK_EXCEPTION(connection.server.engine.handshake(), ssl::SSLError,
                        [](const ssl::SSLError& error) {
                          return to_string(error.cause()) == "The value must be a SSLContext";
                        });
}

BOOST_AUTO_TEST_CASE(a_callback_may_refuse_with_an_alert) {
  const ssl::SSLContext server = server_context();
  server.set_sni_callback(
      [](const ssl::SSLObject&, std::optional<std::string_view>, const ssl::SSLContext&) {
        return ssl::ALERT_DESCRIPTION_ACCESS_DENIED;
      });
  BOOST_TEST((Connection(client_context(), server).handshake() ==
              Outcome("SSLError: [SSL: TLSV1_ALERT_ACCESS_DENIED] tlsv1 alert access denied",
                      "SSLError: [SSL: CALLBACK_FAILED] callback failed")));
}

BOOST_AUTO_TEST_CASE(what_a_callback_throws_is_the_cause) {
  const ssl::SSLContext server = server_context();
  server.set_sni_callback([](const ssl::SSLObject&, std::optional<std::string_view>,
                             const ssl::SSLContext&) -> std::optional<ssl::AlertDescription> {
    throw ValueError("no such name");
  });
  Connection connection(client_context(), server);
  BOOST_TEST((connection.handshake() ==
              Outcome(handshake_failure(), "SSLError: [SSL: CALLBACK_FAILED] callback failed")));
  BOOST_CHECK_EXCEPTION(
      connection.server.engine.handshake(), ssl::SSLError,
      [](const ssl::SSLError& error) { return to_string(error.cause()) == "no such name"; });
}

// -- sessions

BOOST_AUTO_TEST_CASE(a_session_makes_the_next_connection_shorter) {
  for (const auto version : {ssl::TLSVersion::TLSv1_2, ssl::TLSVersion::TLSv1_3}) {
    const ssl::SSLContext client = client_context();
    const ssl::SSLContext server = server_context();
    limit(client, version);
    const ssl::SSLSession session = session_of(client, server);
    BOOST_REQUIRE(session);
    BOOST_TEST(!session.id().empty());
    BOOST_TEST(session.time() > 1'700'000'000);
    BOOST_TEST(session.timeout() == 7200);
    BOOST_TEST(session.has_ticket());
    BOOST_TEST(session.ticket_lifetime_hint() == 7200U);
    BOOST_TEST((session == ssl::SSLSession(session)));
    BOOST_TEST(to_string(session).starts_with("<_ssl.SSLSession object at 0x"));
    BOOST_TEST((session != session_of(client, server)));

    Resuming connection(client, server, session);
    BOOST_TEST(client_of(connection).session_reused());
    BOOST_TEST(server_of(connection).session_reused());
    BOOST_TEST(client_of(connection).getpeercert().serialNumber == "C0FFEE00");
    BOOST_TEST(server.session_stats().accept == 3);
    BOOST_TEST(server.session_stats().accept_good == 3);
    BOOST_TEST(server.session_stats().hits == 1);
  }
}

BOOST_AUTO_TEST_CASE(a_session_the_server_does_not_know_is_a_whole_handshake) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLSession session = session_of(client, server_context());
  Resuming connection(client, server_context(), session);
  BOOST_TEST(!client_of(connection).session_reused());
}

BOOST_AUTO_TEST_CASE(a_server_without_tickets_gives_no_session_to_resume) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  server.set_num_tickets(0);
  Resuming connection(client, server, session_of(client, server));
  BOOST_TEST(!client_of(connection).session_reused());
}

BOOST_AUTO_TEST_CASE(a_session_belongs_to_a_client_of_its_context_before_the_handshake) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  const ssl::SSLSession session = session_of(client, server);
  Connection connection(client, server);
  BOOST_TEST(!client_of(connection).session());
  connection.connect();
  BOOST_TEST(error_of([&] { client_of(connection).set_session(session); }) ==
             "ValueError: Cannot set session after handshake.");
  const ssl::SSLSession of_server = server_of(connection).session();
  BOOST_TEST(error_of([&] { server_of(connection).set_session(of_server); }) ==
             "ValueError: Cannot set session for server-side SSLSocket.");
  Connection another(client_context(), server);
  for (const ssl::SSLSession& foreign : {session, ssl::SSLSession()}) {
    BOOST_TEST(error_of([&] { client_of(another).set_session(foreign); }) ==
               "ValueError: Session refers to a different SSLContext.");
  }
}

BOOST_AUTO_TEST_CASE(a_session_proves_no_more_than_what_was_verified_when_it_began) {
  const ssl::SSLContext server = server_context();
  const ssl::SSLContext client = client_context();
  {
    client.set_check_hostname(false);
    client.set_verify_mode(ssl::CERT_NONE);
    const ssl::SSLSession session = session_of(client, server);
    client.set_verify_mode(ssl::CERT_REQUIRED);
    Connection connection(client, server);
    client_of(connection).set_session(session);
    connection.connect();
    BOOST_TEST(!client_of(connection).session_reused());
  }
  client.set_check_hostname(true);
  const ssl::SSLSession session = session_of(client, server);
  Connection elsewhere(client, server, "elsewhere.test");
  client_of(elsewhere).set_session(session);
  BOOST_TEST(elsewhere.handshake().first.starts_with("SSLCertVerificationError: "));
}

BOOST_AUTO_TEST_CASE(both_ends_share_bytes_that_no_other_connection_has) {
  const ssl::SSLContext client = client_context();
  const ssl::SSLContext server = server_context();
  limit(client, ssl::TLSVersion::TLSv1_2);
  Connection first(client, server);
  BOOST_TEST(client_of(first).get_channel_binding().empty());
  first.connect();
  const Bytes binding = client_of(first).get_channel_binding();
  BOOST_TEST(binding.size() == 12U);
  BOOST_TEST((server_of(first).get_channel_binding() == binding));
  Resuming second(client, server, client_of(first).session());
  BOOST_TEST(client_of(second).session_reused());
  BOOST_TEST((server_of(second).get_channel_binding() == client_of(second).get_channel_binding()));
  BOOST_TEST((client_of(second).get_channel_binding() != binding));
  BOOST_TEST(error_of([&] { client_of(first).get_channel_binding("tls-exporter"); }) ==
             "ValueError: 'tls-exporter' channel binding type not implemented");
}

// -- certificates after the handshake

BOOST_AUTO_TEST_CASE(a_client_may_be_asked_for_its_certificate_later) {
  const ssl::SSLContext client = client_with_certificate();
  const ssl::SSLContext server = demanding_context();
  client.set_post_handshake_auth(true);
  server.set_post_handshake_auth(true);
  Connection connection(client, server);
  connection.connect();
  BOOST_TEST(server_of(connection).getpeercert().empty());

  server_of(connection).verify_client_post_handshake();
  connection.server.write("who are you?");
  connection.server.send(connection.client);
  BOOST_TEST(connection.receive(connection.client) == "who are you?|wants_input");
  connection.client.write("that is me");
  connection.client.send(connection.server);
  BOOST_TEST(connection.receive(connection.server) == "that is me|wants_input");
  BOOST_TEST(server_of(connection).getpeercert().serialNumber == "C0FFEE02");
}

BOOST_AUTO_TEST_CASE(a_client_that_has_not_offered_it_is_not_asked_later) {
  const ssl::SSLContext server = demanding_context();
  server.set_post_handshake_auth(true);
  Connection connection(client_context(), server);
  connection.connect();
  BOOST_TEST(error_of([&] { server_of(connection).verify_client_post_handshake(); }) ==
             "SSLError: [SSL: EXTENSION_NOT_RECEIVED] extension not received");
}

BOOST_AUTO_TEST_CASE(a_session_belongs_to_the_context_that_was_switched_to) {
  for (const auto version : {ssl::TLSVersion::TLSv1_2, ssl::TLSVersion::TLSv1_3}) {
    const ssl::SSLContext client = client_with_certificate();
    client.set_check_hostname(false);
    limit(client, version);
    const ssl::SSLContext first = demanding_context();
    const ssl::SSLContext server = switching(first, demanding_context());
    const ssl::SSLSession session = session_of(client, server, "localhost");
    BOOST_REQUIRE(session);
    {
      Connection again(client, server, "localhost");
      client_of(again).set_session(session);
      again.connect();  // a whole handshake, for OpenSSL looks at the first context's sessions
      BOOST_TEST((!server_of(again).getpeercert_der().empty()));
    }
    Connection other(client, server, "other.test");  // nobody switches
    client_of(other).set_session(session);
    other.connect();
    BOOST_TEST(!client_of(other).session_reused());
  }
}

BOOST_AUTO_TEST_CASE(what_a_callback_throws_is_logged) {
  const unit_tests::CapturedLog log;
  const ssl::SSLContext server = server_context();
  server.set_sni_callback([](const ssl::SSLObject&, std::optional<std::string_view>,
                             const ssl::SSLContext&) -> std::optional<ssl::AlertDescription> {
    throw ValueError("no such name");
  });
  Connection(client_context(), server).handshake();
  BOOST_REQUIRE(log.messages().size() == 1u);
  BOOST_TEST(log.messages()[0] == "Exception ignored in an SNI callback: no such name");
}

BOOST_AUTO_TEST_SUITE_END()
