// SPDX-License-Identifier: BSL-1.0
// SSLContext: its defaults, what it is told, and what it refuses, in Python's words.
#include <asyncio/ssl.hpp>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tls_fixture.hpp"

using namespace tls_tests;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::string load(const std::string& certfile, const std::string& keyfile = {},
                 std::string_view password = {}) {
  return error_of([&] {
    ssl::SSLContext(ssl::PROTOCOL_TLS_SERVER)
        .load_cert_chain(certfile, {.keyfile = keyfile, .password = password});
  });
}

std::string trust(ssl::VerifyLocations locations) {
  return error_of(
      [&] { ssl::SSLContext(ssl::PROTOCOL_TLS_CLIENT).load_verify_locations(locations); });
}

/// Does a client with this context accept the server of server.pem?
bool trusts_our_server(const ssl::SSLContext& context) {
  return Connection(context, server_context()).handshake().first == "done";
}

/// A directory that goes with it.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "asyncio-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string file(const char* file_name) const { return (path_ / file_name).string(); }

 private:
  std::filesystem::path path_;
};

/// A variable of the environment, as it was before again in the end.
class Environment {
 public:
  Environment(const char* variable, const std::string& value) : variable_(variable) {
    if (const char* const old = std::getenv(variable)) old_ = old;
    ::setenv(variable, value.c_str(), 1);
  }
  ~Environment() {
    if (old_) {
      ::setenv(variable_, old_->c_str(), 1);
    } else {
      ::unsetenv(variable_);
    }
  }

 private:
  const char* variable_;
  std::optional<std::string> old_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(ssl_context_tests)

BOOST_AUTO_TEST_CASE(a_context_for_clients_verifies_the_server_and_its_name) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  BOOST_TEST(context.protocol() == ssl::PROTOCOL_TLS_CLIENT);
  BOOST_TEST(context.verify_mode() == ssl::CERT_REQUIRED);
  BOOST_TEST(context.check_hostname());
  BOOST_TEST(context.verify_flags() == ssl::VERIFY_X509_TRUSTED_FIRST);
}

BOOST_AUTO_TEST_CASE(a_context_for_servers_asks_for_no_certificate) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_SERVER);
  BOOST_TEST(context.protocol() == ssl::PROTOCOL_TLS_SERVER);
  BOOST_TEST(context.verify_mode() == ssl::CERT_NONE);
  BOOST_TEST(!context.check_hostname());
  BOOST_TEST(context.num_tickets() == 2U);
}

BOOST_AUTO_TEST_CASE(the_defaults_are_pythons_and_no_renegotiation) {
  for (const ssl::Protocol protocol : {ssl::PROTOCOL_TLS_CLIENT, ssl::PROTOCOL_TLS_SERVER}) {
    const ssl::SSLContext context(protocol);
    BOOST_TEST(context.options() == (0x82520050 | ssl::OP_NO_RENEGOTIATION));
    BOOST_TEST(int(context.minimum_version()) == int(ssl::TLSVersion::TLSv1_2));
    BOOST_TEST(int(context.maximum_version()) == int(ssl::TLSVersion::MAXIMUM_SUPPORTED));
    BOOST_TEST(!context.post_handshake_auth());
    BOOST_TEST(context.keylog_filename().empty());
    BOOST_TEST((context.session_stats() == ssl::SessionStats()));
    // What CPython 3.13 with OpenSSL 3.0 says.
    const std::vector<std::string> ciphers{
        "TLS_AES_256_GCM_SHA384",      "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",      "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES256-SHA384",     "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-RSA-AES128-SHA256",     "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",   "DHE-RSA-AES256-SHA256",
        "DHE-RSA-AES128-SHA256"};
    BOOST_TEST(context.get_ciphers() == ciphers, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_default_context_is_strict) {
  const unsigned long strict =
      ssl::VERIFY_X509_TRUSTED_FIRST | ssl::VERIFY_X509_PARTIAL_CHAIN | ssl::VERIFY_X509_STRICT;
  const ssl::SSLContext client = ssl::create_default_context();
  BOOST_TEST(client.protocol() == ssl::PROTOCOL_TLS_CLIENT);
  BOOST_TEST(client.verify_mode() == ssl::CERT_REQUIRED);
  BOOST_TEST(client.check_hostname());
  BOOST_TEST(client.verify_flags() == strict);

  const ssl::SSLContext server = ssl::create_default_context(ssl::Purpose::CLIENT_AUTH);
  BOOST_TEST(server.protocol() == ssl::PROTOCOL_TLS_SERVER);
  BOOST_TEST(server.verify_mode() == ssl::CERT_NONE);
  BOOST_TEST(server.verify_flags() == strict);
}

BOOST_AUTO_TEST_CASE(a_default_context_trusts_what_the_system_does_unless_told_whom) {
  const Environment environment("SSL_CERT_FILE", file("ca.pem"));
  BOOST_TEST(trusts_our_server(ssl::create_default_context()));
  BOOST_TEST(!trusts_our_server(client_context("stranger")));
}

BOOST_AUTO_TEST_CASE(a_certificate_chain_is_loaded_or_refused_in_pythons_words) {
  const std::string pem = file("server.pem");
  BOOST_TEST(load(pem, file("server.key")) == "");
  BOOST_TEST(load("/nonexistent") == "FileNotFoundError: [Errno 2] No such file or directory");
  BOOST_TEST(load("/tmp") == "IsADirectoryError: [Errno 21] Is a directory");
  BOOST_TEST(load(pem, "/nonexistent") == "FileNotFoundError: [Errno 2] No such file or directory");
  BOOST_TEST(load(pem) == "SSLError: [SSL] PEM lib");  // there is no key in it
  BOOST_TEST(load(file("make.sh")) == "SSLError: [SSL] PEM lib");
  BOOST_TEST(load(pem, file("client.key")) ==
             "SSLError: [X509: KEY_VALUES_MISMATCH] key values mismatch");
}

BOOST_AUTO_TEST_CASE(an_encrypted_key_needs_its_password_and_nobody_is_asked) {
  const std::string pem = file("server.pem");
  const std::string key = file("server_encrypted.key");
  BOOST_TEST(load(pem, key, "secret") == "");
  BOOST_TEST(load(pem, key, "wrong") == "SSLError: [SSL] PEM lib");
  BOOST_TEST(load(pem, key) == "SSLError: [SSL] PEM lib");
  BOOST_TEST(load(pem, key, std::string(1025, 'x')) ==
             "ValueError: password cannot be longer than 1024 bytes");
  // The password is for this one call.
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_SERVER);
  context.load_cert_chain(pem, {.keyfile = key, .password = "secret"});
  BOOST_TEST(error_of([&] { context.load_cert_chain(pem, {.keyfile = key}); }) ==
             "SSLError: [SSL] PEM lib");
}

BOOST_AUTO_TEST_CASE(authorities_come_from_files_or_are_refused_in_pythons_words) {
  const std::string ca = file("ca.pem");
  const std::string no_ca = file("make.sh");
  BOOST_TEST(trust({.cafile = ca}) == "");
  BOOST_TEST(trust({.capath = "/nonexistent"}) == "");
  BOOST_TEST(trust({}) == "TypeError: cafile, capath and cadata cannot be all omitted");
  BOOST_TEST(trust({.cafile = "/nonexistent"}) ==
             "FileNotFoundError: [Errno 2] No such file or directory");
  BOOST_TEST(trust({.cafile = no_ca}) ==
             "SSLError: [X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found");
}

BOOST_AUTO_TEST_CASE(authorities_come_from_memory_in_pem_and_der) {
  const std::string pem = content_of(file("ca.pem"));
  const std::string stranger = content_of(file("stranger.pem"));
  const auto context = [](const std::string& data) {
    return ssl::create_default_context(ssl::Purpose::SERVER_AUTH, {.cadata = data});
  };
  BOOST_TEST(!trusts_our_server(context(stranger)));
  BOOST_TEST(trusts_our_server(context(stranger + "some words\n" + pem + pem + "the end")));

  Connection connection(context(pem), server_context());
  connection.connect();
  const std::string der = connection.client.engine.object().get_verified_chain().at(1);
  BOOST_TEST(trusts_our_server(context(der + der)));
  BOOST_TEST(trust({.cadata = der + "junk"}) ==
             "SSLError: [ASN1: NOT_ENOUGH_DATA] not enough data");
}

BOOST_AUTO_TEST_CASE(data_that_holds_no_authority_is_refused_in_pythons_words) {
  BOOST_TEST(trust({.cadata = ""}) == "ValueError: Empty certificate data");
  const char* const no_pem = "SSLError: no start line: cadata does not contain a certificate";
  BOOST_TEST(trust({.cadata = "junk"}) == no_pem);
  BOOST_TEST(trust({.cadata = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) ==
             no_pem);
  BOOST_TEST(trust({.cadata = "\x30\x82\x01"}) ==
             "SSLError: not enough data: cadata does not contain a certificate");
}

BOOST_AUTO_TEST_CASE(names_are_checked_only_with_certificates) {
  const ssl::SSLContext client(ssl::PROTOCOL_TLS_CLIENT);
  BOOST_TEST(error_of([&] { client.set_verify_mode(ssl::CERT_NONE); }) ==
             "ValueError: Cannot set verify_mode to CERT_NONE when check_hostname is enabled.");
  BOOST_TEST(client.verify_mode() == ssl::CERT_REQUIRED);
  client.set_check_hostname(false);
  client.set_verify_mode(ssl::CERT_NONE);
  BOOST_TEST(client.verify_mode() == ssl::CERT_NONE);
  client.set_check_hostname(true);
  BOOST_TEST(client.verify_mode() == ssl::CERT_REQUIRED);

  client.set_verify_mode(ssl::CERT_OPTIONAL);
  client.set_check_hostname(true);
  BOOST_TEST(client.verify_mode() == ssl::CERT_OPTIONAL);
}

BOOST_AUTO_TEST_CASE(versions_may_be_limited) {
  using enum ssl::TLSVersion;
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  const auto minimum = [&](ssl::TLSVersion version) {
    context.set_minimum_version(version);
    return int(context.minimum_version());
  };
  const auto maximum = [&](ssl::TLSVersion version) {
    context.set_maximum_version(version);
    return int(context.maximum_version());
  };
  for (const auto version : {MINIMUM_SUPPORTED, TLSv1, TLSv1_1, TLSv1_2, TLSv1_3}) {
    BOOST_TEST(minimum(version) == int(version));
  }
  BOOST_TEST(minimum(MAXIMUM_SUPPORTED) == int(TLSv1_3));
  for (const auto version : {TLSv1, TLSv1_1, TLSv1_2, TLSv1_3, MAXIMUM_SUPPORTED}) {
    BOOST_TEST(maximum(version) == int(version));
  }
  BOOST_TEST(maximum(MINIMUM_SUPPORTED) == int(TLSv1));
  BOOST_TEST(error_of([&] { minimum(static_cast<ssl::TLSVersion>(0x999)); }) ==
             "ValueError: Unsupported protocol version 2457");
}

BOOST_AUTO_TEST_CASE(flags_and_options_may_be_set_and_cleared) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_SERVER);
  const std::uint64_t options = context.options();
  context.set_options(options | ssl::OP_NO_TICKET);
  BOOST_TEST(context.options() == (options | ssl::OP_NO_TICKET));
  context.set_options(options & ~ssl::OP_NO_RENEGOTIATION);
  BOOST_TEST(context.options() == (options & ~ssl::OP_NO_RENEGOTIATION));

  context.set_verify_flags(ssl::VERIFY_X509_STRICT | ssl::VERIFY_CRL_CHECK_LEAF);
  BOOST_TEST(context.verify_flags() == (ssl::VERIFY_X509_STRICT | ssl::VERIFY_CRL_CHECK_LEAF));
  context.set_verify_flags(ssl::VERIFY_DEFAULT);
  BOOST_TEST(context.verify_flags() == ssl::VERIFY_DEFAULT);
}

BOOST_AUTO_TEST_CASE(ciphers_are_chosen_in_openssls_language) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256");
  const std::vector<std::string> chosen{"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
                                        "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"};
  BOOST_TEST(context.get_ciphers() == chosen, boost::test_tools::per_element());
  for (const char* const none : {"foo", ""}) {
    BOOST_TEST(error_of([&] { context.set_ciphers(none); }) ==
               "SSLError: No cipher can be selected.");
  }
}

BOOST_AUTO_TEST_CASE(alpn_names_have_1_to_255_bytes) {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  const std::string longest(255, 'x');
  const std::string too_long(256, 'x');
  context.set_alpn_protocols({"h2", longest});
  context.set_alpn_protocols({});
  for (const std::string_view wrong : {std::string_view(), std::string_view(too_long)}) {
    BOOST_TEST(error_of([&] {
                 context.set_alpn_protocols({"h2", wrong});
               }) == "SSLError: ALPN protocols must be 1 to 255 in length");
  }
}

BOOST_AUTO_TEST_CASE(tickets_are_a_servers_matter) {
  const ssl::SSLContext server(ssl::PROTOCOL_TLS_SERVER);
  server.set_num_tickets(0);
  BOOST_TEST(server.num_tickets() == 0U);
  const ssl::SSLContext client(ssl::PROTOCOL_TLS_CLIENT);
  BOOST_TEST(error_of([&] { client.set_num_tickets(1); }) ==
             "ValueError: SSLContext is not a server context.");
}

BOOST_AUTO_TEST_CASE(secrets_are_appended_to_the_key_log) {
  const Scratch scratch;
  const std::string log = scratch.file("keys");
  const ssl::SSLContext context = client_context();
  context.set_keylog_filename(log);
  BOOST_TEST(context.keylog_filename() == log);
  const std::string header = "# TLS secrets log file, generated by OpenSSL / asyncio\n";
  BOOST_TEST(content_of(log) == header);
  Connection(context, server_context()).connect();
  const std::string once = content_of(log);
  BOOST_TEST(once.find("\nCLIENT_TRAFFIC_SECRET_0 ") != once.npos);

  context.set_keylog_filename(log);
  BOOST_TEST(content_of(log) == once);
  context.set_keylog_filename("");
  Connection(context, server_context()).connect();
  BOOST_TEST(content_of(log) == once);
  BOOST_TEST(context.keylog_filename().empty());

  const std::string nowhere = scratch.file("no/such/file");
  BOOST_TEST(error_of([&] { context.set_keylog_filename(nowhere); }) ==
             "FileNotFoundError: [Errno 2] No such file or directory: '" + nowhere + "'");
}

BOOST_AUTO_TEST_CASE(the_environment_may_ask_default_contexts_for_a_key_log) {
  const Scratch scratch;
  const Environment environment("SSLKEYLOGFILE", scratch.file("keys"));
  BOOST_TEST(ssl::create_default_context().keylog_filename() == scratch.file("keys"));
  BOOST_TEST(ssl::SSLContext(ssl::PROTOCOL_TLS_CLIENT).keylog_filename().empty());
}

BOOST_AUTO_TEST_CASE(copies_are_the_same_context) {
  const SSLContext none;
  BOOST_TEST(!none);
  const SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  const SSLContext copy = context;
  copy.set_verify_mode(ssl::CERT_OPTIONAL);
  BOOST_TEST(context.verify_mode() == ssl::CERT_OPTIONAL);
  BOOST_TEST((copy == context));
  BOOST_TEST((copy != SSLContext(ssl::PROTOCOL_TLS_CLIENT)));
  BOOST_TEST(to_string(context).starts_with("<ssl.SSLContext object at 0x"));
}

BOOST_AUTO_TEST_CASE(errors_are_os_errors_that_say_which_library_and_why) {
  static_assert(std::is_nothrow_copy_constructible_v<ssl::SSLError>);
  static_assert(std::is_nothrow_copy_constructible_v<ssl::SSLCertVerificationError>);
  std::exception_ptr error;
  try {
    server_context().load_cert_chain(file("server.pem"), {.keyfile = file("client.key")});
  } catch (const OSError&) {
    error = std::current_exception();
  }
  const auto* const mismatch = exception_cast<ssl::SSLError>(error);
  BOOST_REQUIRE(mismatch);
  BOOST_TEST(mismatch->library() == "X509");
  BOOST_TEST(mismatch->reason() == "KEY_VALUES_MISMATCH");
  BOOST_TEST(mismatch->errno_value() == 116);
  BOOST_TEST(mismatch->code().category().name() == "asio.ssl");
  BOOST_TEST(repr(error) == "SSLError(116, '[X509: KEY_VALUES_MISMATCH] key values mismatch')");

  const ssl::SSLError plain("text");
  BOOST_TEST(plain.what() == "text");
  BOOST_TEST(plain.library().empty());
  BOOST_TEST(plain.reason().empty());
  BOOST_TEST(ssl::SSLCertVerificationError("text").verify_message().empty());
}

BOOST_AUTO_TEST_CASE(the_times_of_certificates_are_seconds_since_1970) {
  const auto seconds = [](std::string_view text) { return ssl::cert_time_to_seconds(text); };
  BOOST_TEST(seconds("Jan  5 09:34:43 2018 GMT") == 1515144883);
  BOOST_TEST(seconds("jan 05 09:34:43 2018 GMT") == 1515144883);
  BOOST_TEST(seconds("Jan 5 09:34:60 2018 GMT") == 1515144900);
  BOOST_TEST(seconds("Feb 30 09:34:43 2018 GMT") == 1519983283);  // as Python counts on
  BOOST_TEST(seconds("Jan  1 00:00:00 2120 GMT") == 4733510400);
  for (const char* const wrong :
       {"Jan  5 09:34 2018 GMT", "Jan  5 09:34:43 2018", "Jan  5 09:34:43 2018 UTC",
        "Jan 32 09:34:43 2018 GMT", "Jan  5 24:34:43 2018 GMT", "Jan  5 09:60:43 2018 GMT",
        "Jan  5 09:34:62 2018 GMT", "Jan  5 09:34:43 2018 GMTx", "Foo  5 09:34:43 2018 GMT",
        "J  5 09:34:43 2018 GMT", "anF  5 09:34:43 2018 GMT", ""}) {
    BOOST_TEST(error_of([&] { seconds(wrong); }) ==
               "ValueError: time data '" + std::string(wrong) +
                   "' does not match format \"%b %d %H:%M:%S %Y GMT\"");
  }
}

BOOST_AUTO_TEST_SUITE_END()
