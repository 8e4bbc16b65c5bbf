// SPDX-License-Identifier: BSL-1.0
// Whose certificate is accepted, what is said of the others, and how certificates are shown. The
// texts are those of CPython 3.13 with OpenSSL 3.0.
#include <string>
#include <utility>
#include <vector>

#include "tls_fixture.hpp"

using namespace tls_tests;

namespace {

/// The handshake of a client that trusts `authority` and expects `host`.
std::pair<std::string, std::string> meet(const ssl::SSLContext& server, std::string_view host,
                                         const std::string& authority = "ca") {
  return Connection(client_context(authority), server, host).handshake();
}

/// The error of a client that refuses the server's certificate.
std::string refusal(const std::string& certificate, std::string_view host = "localhost",
                    const std::string& authority = "ca") {
  const auto [of_client, of_server] = meet(server_context(certificate), host, authority);
  const std::string start =
      "SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: ";
  if (!of_client.starts_with(start)) return of_client;
  // The server was told.
  BOOST_TEST(of_server.starts_with("SSLError: [SSL: "));
  BOOST_TEST(of_server.find("alert") != of_server.npos);
  return of_client.substr(start.size());
}

/// What a client is shown of the server's certificate.
ssl::Certificate shown(const std::string& certificate) {
  const ssl::SSLContext context = client_context(certificate == "lonely" ? "lonely" : "ca");
  context.set_check_hostname(false);
  context.set_verify_flags(ssl::VERIFY_DEFAULT);
  Connection connection(context, server_context(certificate));
  connection.connect();
  return connection.client.engine.object().getpeercert();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ssl_certificates_tests)

BOOST_AUTO_TEST_CASE(a_certificate_of_a_trusted_authority_for_the_right_name_is_accepted) {
  for (const char* const host : {"localhost", "LOCALHOST", "127.0.0.1", "::1"}) {
    BOOST_TEST(meet(server_context(), host).first == "done");
  }
  for (const char* const host : {"other.test", "a.wild.test"}) {
    BOOST_TEST(meet(server_context("other"), host).first == "done");
  }
}

BOOST_AUTO_TEST_CASE(a_certificate_for_another_name_is_refused) {
  BOOST_TEST(refusal("server", "example.org") ==
             "Hostname mismatch, certificate is not valid for 'example.org'.");
  BOOST_TEST(refusal("server", "10.0.0.1") ==
             "IP address mismatch, certificate is not valid for '10.0.0.1'.");
  BOOST_TEST(refusal("other", "a.b.wild.test") ==
             "Hostname mismatch, certificate is not valid for 'a.b.wild.test'.");
  BOOST_TEST(refusal("other", "wild.test") ==
             "Hostname mismatch, certificate is not valid for 'wild.test'.");
}

BOOST_AUTO_TEST_CASE(a_certificate_outside_its_time_is_refused) {
  BOOST_TEST(refusal("expired") == "certificate has expired");
  BOOST_TEST(refusal("future") == "certificate is not yet valid");
}

BOOST_AUTO_TEST_CASE(a_certificate_that_no_trusted_authority_signed_is_refused) {
  BOOST_TEST(refusal("lonely") == "self-signed certificate");
  BOOST_TEST(refusal("server", "localhost", "stranger") ==
             "unable to get local issuer certificate");
}

BOOST_AUTO_TEST_CASE(a_clients_certificate_does_not_make_a_server) {
  BOOST_TEST(refusal("client") == "unsuitable certificate purpose");
}

BOOST_AUTO_TEST_CASE(the_error_carries_openssls_number_and_words) {
  End client(client_context(), false, "example.org");
  End server(server_context(), true, std::nullopt);
  client.handshake();
  client.send(server);
  server.receive(whole);
  server.handshake();
  server.send(client);
  client.receive(whole);
  BOOST_CHECK_EXCEPTION(
      client.engine.handshake(), ssl::SSLCertVerificationError,
      [](const ssl::SSLCertVerificationError& error) {
        return error.verify_code() == 62 &&
               error.verify_message() ==
                   "Hostname mismatch, certificate is not valid for 'example.org'." &&
               error.library() == "SSL" && error.reason() == "CERTIFICATE_VERIFY_FAILED" &&
               error.errno_value() == 1;
      });
}

BOOST_AUTO_TEST_CASE(without_a_name_any_name_is_accepted_but_no_other_authority) {
  for (const auto host : {std::optional<std::string_view>(), std::optional<std::string_view>("")}) {
    BOOST_TEST(Connection(client_context(), server_context("other"), host).handshake().first ==
               "done");
    Connection connection(client_context("stranger"), server_context(), host);
    BOOST_TEST(connection.handshake().first.starts_with("SSLCertVerificationError: "));
    BOOST_TEST(!connection.client.engine.object().server_hostname());
  }
}

BOOST_AUTO_TEST_CASE(a_context_that_does_not_check_names_accepts_any) {
  const ssl::SSLContext context = client_context();
  context.set_check_hostname(false);
  BOOST_TEST(Connection(context, server_context(), "example.org").handshake().first == "done");
}

BOOST_AUTO_TEST_CASE(who_verifies_nothing_accepts_all_and_is_shown_nothing) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  context.set_check_hostname(false);
  context.set_verify_mode(ssl::CERT_NONE);
  Connection connection(context, server_context("expired"), "example.org");
  connection.connect();
  const ssl::SSLObject object = connection.client.engine.object();
  BOOST_TEST(object.getpeercert().empty());
  BOOST_TEST(to_string(object.getpeercert()) == "{}");
  BOOST_TEST(!object.getpeercert_der().empty());
  BOOST_TEST(object.get_unverified_chain().size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_demanding_server_gets_the_clients_certificate) {
  Connection connection(client_with_certificate(), demanding_context());
  connection.connect();
  const ssl::SSLObject server = connection.server.engine.object();
  BOOST_TEST(to_string(server.getpeercert()) ==
             "{'subject': ((('organizationName', 'asyncio tests'),), (('commonName', 'client'),)), "
             "'issuer': ((('countryName', 'XY'),), (('organizationName', 'asyncio tests'),), "
             "(('commonName', 'Test authority'),)), 'version': 3, 'serialNumber': 'C0FFEE02', "
             "'notBefore': 'Jan  1 00:00:00 2020 GMT', 'notAfter': 'Jan  1 00:00:00 2120 GMT'}");
  BOOST_TEST(server.get_unverified_chain().at(0) == server.getpeercert_der());
  const std::vector<Bytes> chain = server.get_verified_chain();
  BOOST_REQUIRE(chain.size() == 2U);
  BOOST_TEST(chain[0] == server.getpeercert_der());
  BOOST_TEST(chain[1] == connection.client.engine.object().get_verified_chain().at(1));
}

BOOST_AUTO_TEST_CASE(a_demanding_server_refuses_a_client_without_a_certificate) {
  const std::string refused =
      "SSLError: [SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate";
  const ssl::SSLContext client = client_context();
  {
    // With TLS 1.3 the client is done before the server has seen that it has none.
    Connection connection(client, demanding_context());
    BOOST_TEST(connection.handshake().second == refused);
    BOOST_TEST(connection.receive(connection.client) ==
               "|SSLError: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate "
               "required");
  }
  client.set_maximum_version(ssl::TLSVersion::TLSv1_2);
  const auto [of_client, of_server] = Connection(client, demanding_context()).handshake();
  BOOST_TEST(of_server == refused);
  BOOST_TEST(of_client == handshake_failure());
}

BOOST_AUTO_TEST_CASE(a_server_refuses_a_client_of_an_unknown_authority) {
  const ssl::SSLContext client = client_context();
  const std::string key = file("lonely.key");
  client.load_cert_chain(file("lonely.pem"), {.keyfile = key});
  BOOST_TEST(
      Connection(client, demanding_context()).handshake().second ==
      "SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
      "self-signed certificate");
}

BOOST_AUTO_TEST_CASE(a_server_may_leave_it_to_the_client) {
  const ssl::SSLContext server = demanding_context();
  server.set_verify_mode(ssl::CERT_OPTIONAL);
  Connection without(client_context(), server);
  without.connect();
  BOOST_TEST(without.server.engine.object().getpeercert().empty());
  BOOST_TEST(without.server.engine.object().getpeercert_der().empty());
  BOOST_TEST(without.server.engine.object().get_verified_chain().empty());
  Connection with(client_with_certificate(), server);
  with.connect();
  BOOST_TEST(with.server.engine.object().getpeercert().serialNumber == "C0FFEE02");
}

BOOST_AUTO_TEST_CASE(a_certificate_is_shown_as_python_shows_it) {
  BOOST_TEST(to_string(shown("rich")) ==
             "{'subject': ((('countryName', 'XY'),), (('organizationName', 'asyncio tests'),), "
             "(('commonName', 'rich'),), (('emailAddress', 'rich@example.org'),)), 'issuer': "
             "((('countryName', 'XY'),), (('organizationName', 'asyncio tests'),), "
             "(('commonName', 'Test authority'),)), 'version': 3, 'serialNumber': 'C0FFEE05', "
             "'notBefore': 'Jan  1 00:00:00 2020 GMT', 'notAfter': 'Jan  1 00:00:00 2120 GMT', "
             "'subjectAltName': (('DNS', 'rich.test'), ('email', 'rich@example.org'), ('URI', "
             "'https://rich.test/'), ('IP Address', '10.1.2.3'), ('IP Address', "
             "'2001:DB8:0:0:0:0:0:7'), ('Registered ID', '1.2.3.4'), ('DirName', "
             "((('countryName', 'XY'),), (('commonName', 'directory'),))), ('othername', "
             "'<unsupported>')), 'OCSP': ('http://ocsp.test/',), 'caIssuers': "
             "('http://issuers.test/ca.cer',), 'crlDistributionPoints': "
             "('http://crl.test/one.crl', 'http://crl.test/two.crl')}");
}

BOOST_AUTO_TEST_CASE(the_fields_of_a_certificate_can_be_used_one_by_one) {
  const ssl::Certificate certificate = shown("server");
  BOOST_TEST(!certificate.empty());
  const ssl::Certificate::Name subject{{{"organizationName", "asyncio tests"}},
                                       {{"commonName", "localhost"}}};
  BOOST_TEST((certificate.subject == subject));
  const std::vector<std::pair<std::string, std::string>> names{
      {"DNS", "localhost"}, {"IP Address", "127.0.0.1"}, {"IP Address", "0:0:0:0:0:0:0:1"}};
  BOOST_TEST((certificate.subjectAltName == names));
  BOOST_TEST(ssl::cert_time_to_seconds(certificate.notAfter) == 4733510400);
  BOOST_TEST(certificate.OCSP.empty());

  const ssl::Certificate lonely = shown("lonely");
  BOOST_TEST((lonely.subject == lonely.issuer));
  BOOST_TEST((lonely != certificate));
}

BOOST_AUTO_TEST_CASE(before_the_handshake_there_is_no_certificate_to_show) {
  const End client(client_context(), false, "localhost");
  const ssl::SSLObject object = client.engine.object();
  BOOST_TEST(error_of([&] { object.getpeercert(); }) == "ValueError: handshake not done yet");
  BOOST_TEST(error_of([&] { object.getpeercert_der(); }) == "ValueError: handshake not done yet");
  BOOST_TEST(object.get_verified_chain().empty());
  BOOST_TEST(object.get_unverified_chain().empty());
}

BOOST_AUTO_TEST_SUITE_END()
