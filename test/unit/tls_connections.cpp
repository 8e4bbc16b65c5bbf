// SPDX-License-Identifier: BSL-1.0
// The ways to a TLS connection: create_connection, create_server, their Unix kin,
// connect_accepted_socket, streams, and files over them (CN2-CN8, CN16-CN25, rules 159, 169, 198).
#include <asyncio/connections.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/wait.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "error_of.hpp"
#include "socket_helpers.hpp"
#include "stream_sockets.hpp"
#include "tls_pair.hpp"

using namespace tls_tests;
using unit_tests::error_of;
using SocketLoop = stream_socket_tests::Loop;

namespace {

/// Sends back what it gets.
struct Echo : Protocol {
  void connection_made(std::shared_ptr<Transport> made) override { transport = std::move(made); }
  void data_received(BytesView data) override { transport->write(data); }
  void connection_lost(std::exception_ptr) override { transport.reset(); }
  std::shared_ptr<Transport> transport;
};

/// A Plain that one can wait for.
struct Visitor : Plain {
  void data_received(BytesView piece) override {
    Plain::data_received(piece);
    if (!answered.done()) answered.set_result();
  }
  void connection_lost(std::exception_ptr error) override {
    Plain::connection_lost(error);
    if (!lost.done()) lost.set_result();
  }
  Future<> answered, lost;
};

/// Says something, hears it again, and leaves.
template <class Connection>
Coroutine<std::string> visit(Connection connection) {
  const std::shared_ptr<Transport> transport = connection.first;
  const std::shared_ptr<Visitor> visitor = connection.second;
  BOOST_TEST(transport->get_extra_info(cipher).protocol == "TLSv1.3");
  BOOST_TEST(transport->get_extra_info(asyncio::socket).fileno() >= 0);
  transport->write("hello");
  co_await visitor->answered;
  transport->close();
  co_await visitor->lost;
  co_return visitor->data + ", " + visitor->log;
}

struct Contexts {
  const SSLContext clients = client_context();
  const SSLContext servers = server_context();
  SocketLoop loop;

  template <class T>
  std::string error(Coroutine<T> coroutine) {
    return error_of(loop, std::move(coroutine));
  }
};

int port_of(const Server& server) { return server.sockets()[0].getsockname().port(); }

const std::string met = "hello, made eof lost None";

/// Ends the stream of its socket, without a word of TLS.
void cut_off(const BaseTransport& transport) {
  ::shutdown(transport.get_extra_info(asyncio::socket).fileno(), SHUT_WR);
}

Coroutine<> listen_and_cut_off(StreamReader reader, StreamWriter writer) {
  co_await reader.readexactly(5);
  cut_off(*writer.transport());
  co_await error_of(reader.read());
  writer.transport()->abort();
}

/// What the calls of a stream end with.
Coroutine<std::string> speak_and_listen(StreamReader reader, StreamWriter writer) {
  writer.write("hello");
  const std::string read = co_await error_of(reader.read());
  writer.close();
  const std::string closed = co_await error_of(writer.wait_closed());
  co_return read + ", " + closed;
}

/// A client and a server, one of which is cut off from the other.
struct CutOff : Contexts {
  /// What the protocol of the other end was told.
  std::string protocol(bool of_server) { return loop.run_until_complete(protocol_of(of_server)); }
  /// What the stream of the other end was told.
  std::string stream(bool of_server) { return loop.run_until_complete(stream_of(of_server)); }

  Coroutine<std::string> protocol_of(bool of_server) {
    std::shared_ptr<Visitor> accepted;
    const auto accept = [&] { return accepted = std::make_shared<Visitor>(); };
    const Server server = co_await loop.create_server(accept, "127.0.0.1", 0, {.ssl = &servers});
    const auto connection =
        co_await loop.create_connection<Visitor>("127.0.0.1", port_of(server), {.ssl = &clients});
    const std::shared_ptr<Visitor> connected = connection.second;
    connected->transport->write("hello");
    co_await accepted->answered;
    accepted->transport->write("hello");
    co_await connected->answered;
    const Visitor& other = of_server ? *accepted : *connected;
    cut_off(*(of_server ? connected : accepted)->transport);
    co_await other.lost;
    server.close();
    co_await server.wait_closed();
    co_return other.data + ", " + other.log;
  }

  Coroutine<std::string> stream_of(bool of_server) {
    const Future<std::string> told;
    const auto serve = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      if (of_server) {
        const std::string end = co_await speak_and_listen(reader, writer);
        told.set_result(end);
      } else {
        co_await listen_and_cut_off(reader, writer);
      }
    };
    const Server server = co_await start_server(serve, "127.0.0.1", 0, {.ssl = &servers});
    auto [reader, writer] =
        co_await open_connection("127.0.0.1", port_of(server), {.ssl = &clients});
    if (of_server) {
      co_await listen_and_cut_off(reader, writer);
    } else {
      const std::string end = co_await speak_and_listen(reader, writer);
      told.set_result(end);
    }
    std::string result = co_await told;
    server.close();
    co_await server.wait_closed();
    co_return result;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_connections_tests)

// -- options

BOOST_FIXTURE_TEST_CASE(cn6_the_options_of_create_connection, Contexts) {
  const auto with = [&](ConnectionOptions options, const std::string& host = "127.0.0.1") {
    return error(loop.create_connection<Echo>(host, 1, options));
  };
  BOOST_TEST(with({.server_hostname = "x"}) ==
             "ValueError('server_hostname is only meaningful with ssl')");
  BOOST_TEST(with({.server_hostname = ""}) ==
             "ValueError('server_hostname is only meaningful with ssl')");
  BOOST_TEST(with({.ssl_handshake_timeout = Duration(1)}) ==
             "ValueError('ssl_handshake_timeout is only meaningful with ssl')");
  BOOST_TEST(with({.ssl_shutdown_timeout = Duration(1)}) ==
             "ValueError('ssl_shutdown_timeout is only meaningful with ssl')");
  BOOST_TEST(with({.ssl = &clients}, "") ==
             "ValueError('You must set server_hostname when using ssl without a host')");
  BOOST_TEST(with({.ssl = true}, "") ==
             "ValueError('You must set server_hostname when using ssl without a host')");
  BOOST_TEST(with({.ssl = &clients, .ssl_handshake_timeout = Duration(0)}) ==
             "ValueError('ssl_handshake_timeout should be a positive number, got 0.0')");
  BOOST_TEST(with({.ssl = &clients, .ssl_shutdown_timeout = Duration(-1)}) ==
             "ValueError('ssl_shutdown_timeout should be a positive number, got -1.0')");
}

BOOST_FIXTURE_TEST_CASE(cn23_the_options_of_create_unix_connection, Contexts) {
  const auto with = [&](UnixConnectionOptions options) {
    return error(loop.create_unix_connection<Echo>("/nowhere", options));
  };
  BOOST_TEST(with({.ssl = &clients}) ==
             "ValueError('you have to pass server_hostname when using ssl')");
  BOOST_TEST(with({.server_hostname = "x"}) ==
             "ValueError('server_hostname is only meaningful with ssl')");
  BOOST_TEST(with({.ssl_handshake_timeout = Duration(1)}) ==
             "ValueError('ssl_handshake_timeout is only meaningful with ssl')");
  BOOST_TEST(with({.ssl_shutdown_timeout = Duration(1)}) ==
             "ValueError('ssl_shutdown_timeout is only meaningful with ssl')");
}

BOOST_FIXTURE_TEST_CASE(cn20_the_options_of_the_servers, Contexts) {
  const SSLContext none;
  const auto tcp = [&](ServerOptions options) {
    return error(loop.create_server<Echo>("127.0.0.1", 0, options));
  };
  const auto at_path = [&](UnixServerOptions options) {
    return error(loop.create_unix_server<Echo>("/nowhere/x", options));
  };
  const auto accepted = [&](AcceptedSocketOptions options) {
    auto [mine, theirs] = Socket::pair();
    const auto factory = [] { return std::make_shared<Echo>(); };
    return error(loop.connect_accepted_socket(factory, std::move(mine), options));
  };
  const std::string handshake = "ValueError('ssl_handshake_timeout is only meaningful with ssl')";
  BOOST_TEST(tcp({.ssl_handshake_timeout = Duration(1)}) == handshake);
  BOOST_TEST(at_path({.ssl_handshake_timeout = Duration(1)}) == handshake);
  BOOST_TEST(accepted({.ssl_handshake_timeout = Duration(1)}) == handshake);
  const std::string shutdown = "ValueError('ssl_shutdown_timeout is only meaningful with ssl')";
  BOOST_TEST(tcp({.ssl_shutdown_timeout = Duration(1)}) == shutdown);
  BOOST_TEST(at_path({.ssl_shutdown_timeout = Duration(1)}) == shutdown);
  BOOST_TEST(accepted({.ssl_shutdown_timeout = Duration(1)}) == shutdown);
  const std::string context = "ValueError('Server side SSL needs a valid SSLContext')";
  BOOST_TEST(tcp({.ssl = &none}) == context);
  BOOST_TEST(at_path({.ssl = &none}) == context);
  BOOST_TEST(accepted({.ssl = &none}) == context);
}

// -- connections

BOOST_FIXTURE_TEST_CASE(cn2_a_client_and_a_server_over_tcp, Contexts) {
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
    auto connection =
        co_await loop.create_connection<Visitor>("127.0.0.1", port_of(server), {.ssl = &clients});
    std::string result = co_await visit(std::move(connection));
    server.close();
    co_await server.wait_closed();
    co_return result;
  };
  BOOST_TEST(loop.run(body) == met);
  BOOST_TEST(loop.reports.empty());
}

BOOST_FIXTURE_TEST_CASE(cn6_the_host_is_the_name_unless_another_is_given, Contexts) {
  const auto body = [&](ConnectionOptions options) -> Coroutine<std::string> {
    const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
    std::string result = co_await error_of(
        loop.create_connection<Visitor>("127.0.0.1", port_of(server), options));
    server.close();
    server.close_clients();
    co_await server.wait_closed();
    co_return result;
  };
  const auto with = [&](ConnectionOptions options) {
    return loop.run_until_complete(body(options));
  };
  const std::string mismatch =
      "SSLCertVerificationError(1, \"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
      "Hostname mismatch, certificate is not valid for 'elsewhere.test'.\")";
  BOOST_TEST(with({.ssl = &clients}) == "None");
  BOOST_TEST(with({.ssl = &clients, .server_hostname = "localhost"}) == "None");
  BOOST_TEST(with({.ssl = &clients, .server_hostname = "elsewhere.test"}) == mismatch);
  BOOST_TEST(with({.ssl = &clients, .server_hostname = ""}) == "None");
  BOOST_TEST(with({.ssl = true}).starts_with("SSLCertVerificationError(1, "));  // nobody we know
  BOOST_TEST(loop.reports.empty());
}

BOOST_FIXTURE_TEST_CASE(r198_the_default_context_checks_the_name_unless_it_is_empty, Contexts) {
  struct Trusted {
    Trusted() { ::setenv("SSL_CERT_FILE", ASYNCIO_TEST_CERTIFICATES "/ca.pem", 1); }
    ~Trusted() { ::unsetenv("SSL_CERT_FILE"); }
  } const trusted;
  const auto with = [&](ConnectionOptions options) {
    const auto body = [&]() -> Coroutine<std::string> {
      const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
      std::string result = "None";
      try {
        const auto connection =
            co_await loop.create_connection<Visitor>("127.0.0.1", port_of(server), options);
        const auto context = connection.first->get_extra_info(sslcontext);
        if (!context.check_hostname()) result = "None, unchecked";
        connection.first->close();
        co_await connection.second->lost;
      } catch (const ssl::SSLError& error) {
        result = error.type_name();
      }
      server.close();
      server.close_clients();
      co_await server.wait_closed();
      co_return result;
    };
    return loop.run_until_complete(body());
  };
  BOOST_TEST(with({.ssl = true}) == "None");
  BOOST_TEST(with({.ssl = true, .server_hostname = "localhost"}) == "None");
  BOOST_TEST(with({.ssl = true, .server_hostname = "elsewhere.test"}) ==
             "SSLCertVerificationError");
  BOOST_TEST(with({.ssl = true, .server_hostname = ""}) == "None, unchecked");
}

BOOST_FIXTURE_TEST_CASE(r158_connections_over_tls_count_and_close_clients_reaches_them, Contexts) {
  const auto body = [&]() -> Coroutine<> {
    const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
    auto connection = co_await loop.create_connection<Visitor>("127.0.0.1", port_of(server),
                                                               {.ssl = &clients});
    connection.first->write("hello");
    co_await connection.second->answered;
    server.close();
    const auto waiting = loop.create_task(server.wait_closed());
    for (int i = 0; i != 20; ++i) co_await asyncio::sleep(0);
    BOOST_TEST(!waiting.done());
    server.close_clients();
    co_await waiting;
    co_await connection.second->lost;
    BOOST_TEST(connection.second->log.ends_with("eof lost None"));
  };
  loop.run(body);
}

BOOST_FIXTURE_TEST_CASE(r192_a_server_goes_on_after_clients_that_fail, Contexts) {
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
    const int port = port_of(server);
    const auto without_tls = co_await loop.create_connection<Visitor>("127.0.0.1", port);
    without_tls.first->write("GET / HTTP/1.1\r\n\r\n");
    co_await without_tls.second->lost;
    const std::string refused = co_await error_of(loop.create_connection<Visitor>(
        "127.0.0.1", port, {.ssl = &clients, .server_hostname = "elsewhere.test"}));
    BOOST_TEST(refused.starts_with("SSLCertVerificationError("));
    auto connection =
        co_await loop.create_connection<Visitor>("127.0.0.1", port, {.ssl = &clients});
    std::string result = co_await visit(std::move(connection));
    server.close();
    co_await server.wait_closed();
    co_return result;
  };
  BOOST_TEST(loop.run(body) == met);
  BOOST_TEST(loop.reports.empty());
}

BOOST_FIXTURE_TEST_CASE(rule_153_in_debug_mode_a_failed_handshake_is_told, Contexts) {
  const CapturedLog log;
  loop.set_debug(true);
  const auto body = [&]() -> Coroutine<> {
    const Server server = co_await loop.create_server<Echo>("127.0.0.1", 0, {.ssl = &servers});
    const auto without_tls =
        co_await loop.create_connection<Visitor>("127.0.0.1", port_of(server));
    without_tls.first->write("GET / HTTP/1.1\r\n\r\n");
    co_await without_tls.second->lost;
    server.close();
    co_await server.wait_closed();
  };
  loop.run(body);
  BOOST_REQUIRE(loop.reports.size() == 1u);
  BOOST_TEST(loop.reports[0].starts_with("Error on transport creation for incoming connection"));
}

BOOST_FIXTURE_TEST_CASE(cn24_a_client_and_a_server_over_a_unix_socket, Contexts) {
  const socket_tests::Folder folder;
  const std::string path = folder / "socket";
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await loop.create_unix_server<Echo>(path, {.ssl = &servers});
    auto connection = co_await loop.create_unix_connection<Visitor>(
        path, {.ssl = &clients, .server_hostname = "localhost"});
    std::string result = co_await visit(std::move(connection));
    server.close();
    co_await server.wait_closed();
    co_return result;
  };
  BOOST_TEST(loop.run(body) == met);
}

BOOST_FIXTURE_TEST_CASE(cn25_sockets_that_were_connected_elsewhere, Contexts) {
  const auto body = [&]() -> Coroutine<std::string> {
    auto [mine, theirs] = Socket::pair();
    const auto echo = [] { return std::make_shared<Echo>(); };
    const auto visitor = [] { return std::make_shared<Visitor>(); };
    const auto serving = loop.create_task(
        loop.connect_accepted_socket(echo, std::move(theirs), {.ssl = &servers}));
    auto connection = co_await loop.create_connection(
        visitor, {.sock = &mine, .ssl = &clients, .server_hostname = "localhost"});
    const auto accepted = co_await serving;
    BOOST_TEST(accepted.first->get_extra_info(ssl_object).server_side());
    co_return co_await visit(std::move(connection));
  };
  BOOST_TEST(loop.run(body) == met);
}

BOOST_FIXTURE_TEST_CASE(streams_over_tls, Contexts) {
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await start_server(stream_socket_tests::answer_one_line, "127.0.0.1",
                                                0, {.ssl = &servers});
    auto [reader, writer] =
        co_await open_connection("127.0.0.1", port_of(server), {.ssl = &clients});
    BOOST_TEST(!writer.can_write_eof());
    BOOST_TEST(writer.get_extra_info(peercert).subjectAltName.front().second == "localhost");
    writer.write("line\nmore");
    co_await writer.drain();
    Bytes answer = co_await reader.read();
    writer.close();
    co_await writer.wait_closed();
    server.close();
    co_await server.wait_closed();
    co_return answer;
  };
  BOOST_TEST(loop.run(body) == "line\n");
  BOOST_TEST(loop.reports.empty());
}

BOOST_FIXTURE_TEST_CASE(streams_over_tls_and_a_unix_socket, Contexts) {
  const socket_tests::Folder folder;
  const std::string path = folder / "socket";
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server =
        co_await start_unix_server(stream_socket_tests::answer_one_line, path, {.ssl = &servers});
    auto [reader, writer] = co_await open_unix_connection(
        path, {.ssl = &clients, .server_hostname = "localhost"});
    writer.write("line\n");
    Bytes answer = co_await reader.read();
    writer.close();
    co_await writer.wait_closed();
    server.close();
    co_await server.wait_closed();
    co_return answer;
  };
  BOOST_TEST(loop.run(body) == "line\n");
}

// -- truncation

BOOST_FIXTURE_TEST_CASE(a_connection_that_is_cut_off_is_lost_with_an_error, CutOff) {
  for (const bool of_server : {false, true}) {
    BOOST_TEST(protocol(of_server) == "hello, made lost " + truncated);
    BOOST_TEST(stream(of_server) == truncated + ", " + truncated);
  }
  BOOST_TEST(loop.reports.empty());
}

BOOST_FIXTURE_TEST_CASE(unless_the_context_ignores_it, CutOff) {
  for (const SSLContext& context : {clients, servers})
    context.set_options(context.options() | ssl::OP_IGNORE_UNEXPECTED_EOF);
  for (const bool of_server : {false, true}) {
    BOOST_TEST(protocol(of_server) == met);
    BOOST_TEST(stream(of_server) == "None, None");
  }
  BOOST_TEST(loop.reports.empty());
}

// -- cancellation

BOOST_AUTO_TEST_CASE(cancelled_anywhere_a_connection_leaves_nothing) {
  const SSLContext clients = client_context();
  const SSLContext servers = server_context();
  const auto factory = [] { return std::make_shared<Plain>(); };
  const auto serve = [&](Loop& loop, Socket* sock) -> Coroutine<> {
    const auto connection = co_await loop.connect_accepted_socket(factory, std::move(*sock),
                                                                  {.ssl = &servers});
    connection.first->abort();
  };
  const auto body = [&](Loop& loop) -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    const auto serving = loop.create_task(serve, std::ref(loop), &theirs);
    std::exception_ptr error;
    try {
      const auto connection = co_await loop.create_connection(
          factory, {.sock = &mine, .ssl = &clients, .server_hostname = "localhost"});
      connection.first->abort();
    } catch (...) {
      error = std::current_exception();
    }
    const Ending ended = co_await ending(serving);
    if (error) std::rethrow_exception(error);
    if (ended.error) std::rethrow_exception(ended.error);
  };
  const socket_tests::NoDescriptorLeft check;
  BOOST_TEST(cancel_everywhere(body) > 5u);
}

// -- files

BOOST_FIXTURE_TEST_CASE(tl2_a_file_goes_over_tls_in_copies, Contexts) {
  const std::string content = noise(700'000);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  std::fwrite(content.data(), 1, content.size(), file.get());
  std::rewind(file.get());
  const auto body = [&]() -> Coroutine<std::string> {
    auto [mine, theirs] = Socket::pair();
    const auto factory = [] { return std::make_shared<Visitor>(); };
    const auto serving = loop.create_task(
        loop.connect_accepted_socket(factory, std::move(theirs), {.ssl = &servers}));
    const auto [transport, protocol] = co_await loop.create_connection(
        factory, {.sock = &mine, .ssl = &clients, .server_hostname = "localhost"});
    const auto accepted = co_await serving;
    const std::string refused =
        co_await error_of(loop.sendfile(transport, file.get(), {.fallback = false}));
    BOOST_TEST(refused.starts_with("RuntimeError('fallback is disabled and native sendfile is not "
                                   "supported for transport <TlsTransport over "));
    const std::uint64_t sent = co_await loop.sendfile(transport, file.get());
    BOOST_TEST(sent == content.size());
    transport->close();
    co_await accepted.second->lost;
    co_await protocol->lost;
    co_return accepted.second->data;
  };
  BOOST_TEST((loop.run(body) == content));
}

BOOST_AUTO_TEST_SUITE_END()
