// SPDX-License-Identifier: BSL-1.0
// TLS on a connection that stands: EventLoop::start_tls and StreamWriter::start_tls (rule 199, ST22).
#include <asyncio/event_loop.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/wait.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "error_of.hpp"
#include "stream_ends.hpp"
#include "stream_sockets.hpp"
#include "tls_pair.hpp"

using namespace tls_tests;
using unit_tests::error_of;
using SocketLoop = stream_socket_tests::Loop;

namespace {

using Transports = std::pair<std::shared_ptr<Transport>, std::shared_ptr<Transport>>;

/// A connection without TLS and without sockets.
struct Wires {
  explicit Wires(Loop& loop) : loop(loop) {
    for (const auto& wire : {client, server}) wire->automatic = true;
    WireEnd::join(client, server);
    client->set_protocol(client_protocol);
    server->set_protocol(server_protocol);
  }

  Coroutine<std::shared_ptr<Transport>> start_client(StartTlsOptions options = {
                                                         .server_hostname = "localhost"}) {
    return loop.start_tls(client, client_protocol, clients, options);
  }
  Coroutine<std::shared_ptr<Transport>> start_server() {
    return loop.start_tls(server, server_protocol, servers, {.server_side = true});
  }
  Coroutine<Transports> start_both() {
    const auto serving = loop.create_task(start_server());
    std::shared_ptr<Transport> mine = co_await start_client();
    std::shared_ptr<Transport> theirs = co_await serving;
    co_return Transports(mine, theirs);
  }
  /// How the client's handshake ends.
  std::string error(StartTlsOptions options = {.server_hostname = "localhost"}) {
    return loop.run_until_complete(ending(start_client(options))).what();
  }

  Loop& loop;
  const SSLContext clients = client_context();
  const SSLContext servers = server_context();
  const std::shared_ptr<WireEnd> client = std::make_shared<WireEnd>(loop);
  const std::shared_ptr<WireEnd> server = std::make_shared<WireEnd>(loop);
  const std::shared_ptr<Plain> client_protocol = std::make_shared<Plain>();
  const std::shared_ptr<Plain> server_protocol = std::make_shared<Plain>();
};

struct OnLoop {
  Loop loop;
};
struct Wired : OnLoop, Wires {
  Wired() : Wires(OnLoop::loop) {}
  using OnLoop::loop;
};

/// One end of a stream without sockets.
struct StreamEnd {
  StreamEnd(Loop& loop, bool server_side, std::ptrdiff_t limit = constants::stream_limit)
      : reader(loop, limit), wire(std::make_shared<WireEnd>(loop)) {
    ClientConnected connected;
    if (server_side) connected = [this](StreamReader, StreamWriter made) { writer.emplace(made); };
    protocol = std::make_shared<StreamReaderProtocol>(loop, reader, connected);
    wire->automatic = true;
    wire->set_protocol(protocol);
    protocol->connection_made(wire);
    if (!server_side) writer.emplace(wire, protocol, reader, loop);
  }
  Coroutine<> start_tls() const {
    if (protocol->server_side()) return writer->start_tls(server_context());
    return writer->start_tls(client_context(), {.server_hostname = "localhost"});
  }

  const StreamReader reader;
  const std::shared_ptr<WireEnd> wire;
  std::shared_ptr<StreamReaderProtocol> protocol;
  std::optional<StreamWriter> writer;
};

/// The first may write again, and then the second goes on with TLS.
Coroutine<> follow(const StreamEnd& first, const StreamEnd& second) {
  co_await asyncio::sleep(1);
  first.protocol->resume_writing();
  co_await asyncio::sleep(1);
  co_await second.start_tls();
}

/// One end goes on with TLS, when what it has written is gone. Cancelled before that, it leaves the
/// connection as it was; later, closed.
Coroutine<> upgrade_one(Loop& loop, bool server_side) {
  const Counted local;
  const StreamEnd client(loop, false);
  const StreamEnd server(loop, true);
  WireEnd::join(client.wire, server.wire);
  const StreamEnd& mine = server_side ? server : client;
  const StreamEnd& theirs = server_side ? client : server;
  mine.protocol->pause_writing();
  theirs.wire->pause_reading();  // until it begins
  const auto following = loop.create_task(follow(mine, theirs));

  const Ending end = co_await ending(mine.start_tls());
  const bool begun = mine.wire->get_protocol() != mine.protocol;
  BOOST_TEST((!begun || mine.protocol->may_write()));  // it has drained
  BOOST_TEST(mine.wire->closed == (begun && end.error));
  BOOST_TEST((mine.writer->transport() == mine.wire) == bool(end.error));
  if (!begun) {
    following.cancel();
    theirs.wire->resume_reading();
    mine.writer->write("as before");
    const Bytes received = co_await theirs.reader.readexactly(9);
    BOOST_TEST(received == "as before");
  } else if (end.error) {
    co_await mine.writer->wait_closed();
    const Bytes rest = co_await mine.reader.read();
    BOOST_TEST(rest == "");
    theirs.wire->abort();
  }
  co_await ending(following);
  client.wire->abort();
  server.wire->abort();
  if (end.error) std::rethrow_exception(end.error);
}

/// Answers a line without TLS, and one with it.
Coroutine<> upgrade(const SSLContext& context, StreamReader reader, StreamWriter writer) {
  const Bytes plain = co_await reader.readline();
  writer.write("go " + plain);
  co_await writer.start_tls(context);
  const Bytes secret = co_await reader.readline();
  writer.write("secret " + secret);
  writer.close();
  co_await writer.wait_closed();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(start_tls_tests)

BOOST_FIXTURE_TEST_CASE(r199_both_ends_go_on_with_tls, Wired) {
  const auto [mine, theirs] = loop.run_until_complete(start_both());
  BOOST_TEST((client->get_protocol() != client_protocol));
  BOOST_TEST((mine->get_protocol() == client_protocol));
  BOOST_TEST(mine->get_extra_info(cipher).protocol == "TLSv1.3");
  mine->write("question");
  theirs->write("answer");
  loop.pass(10);
  BOOST_TEST(server_protocol->data == "question");
  BOOST_TEST(client_protocol->data == "answer");
  mine->close();
  loop.pass(10);
  BOOST_TEST(client_protocol->log == "eof lost None");  // connection_made was not called
  BOOST_TEST(server_protocol->log == "eof lost None");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(what_the_peer_has_sent_already_is_its_handshake, Wired) {
  server->pause_reading();
  const auto connecting = loop.create_task(start_client());
  loop.pass(10);
  BOOST_TEST(client->sent.size() > 100u);
  const auto theirs = loop.run_until_complete(start_server());
  const auto mine = loop.run_until_complete(connecting);
  theirs->write("hello");
  loop.pass(10);
  BOOST_TEST(client_protocol->data == "hello");
  BOOST_TEST(server_protocol->data == "");
  mine->abort();
  theirs->abort();
}

BOOST_FIXTURE_TEST_CASE(wrong_arguments_change_nothing, Wired) {
  const auto error_with = [&](const std::shared_ptr<Transport>& transport, StartTlsOptions options,
                              const SSLContext& context) {
    return on_virtual_time::thrown_by([&] {
      loop.run_until_complete(loop.start_tls(transport, client_protocol, context, options));
    });
  };
  BOOST_TEST(error_with(nullptr, {}, clients) ==
             "TypeError('transport None is not supported by start_tls()')");
  BOOST_TEST(error_with(std::make_shared<stream_end_tests::Wire>(), {}, clients) ==
             "TypeError('transport <Wire> is not supported by start_tls()')");
  BOOST_TEST(error_with(client, {}, SSLContext())
                 .starts_with("TypeError('sslcontext is expected to be an instance of "
                              "ssl.SSLContext, got "));
  BOOST_TEST(error_with(client, {.ssl_handshake_timeout = Duration(0)}, clients) ==
             "ValueError('ssl_handshake_timeout should be a positive number, got 0.0')");
  BOOST_TEST(error_with(client, {.ssl_handshake_timeout = Duration(-10)}, clients) ==
             "ValueError('ssl_handshake_timeout should be a positive number, got -10.0')");
  BOOST_TEST(error_with(client, {.ssl_shutdown_timeout = Duration(0)}, clients) ==
             "ValueError('ssl_shutdown_timeout should be a positive number, got 0.0')");
  BOOST_TEST(error_with(client, {.server_hostname = ".x"}, clients) ==
             "ValueError('server_hostname cannot be an empty string or start with a leading "
             "dot.')");
  BOOST_TEST((client->get_protocol() == client_protocol));
  BOOST_TEST(!client->closed);
}

BOOST_FIXTURE_TEST_CASE(a_failed_handshake_closes_the_connection_and_the_protocol_is_told, Wired) {
  const auto serving = loop.create_task(ending(start_server()));
  const std::string error = this->error({.server_hostname = "elsewhere.test"});
  BOOST_TEST(error.starts_with("SSLCertVerificationError(1, "));
  BOOST_TEST(error.find("certificate is not valid for 'elsewhere.test'") != std::string::npos);
  loop.pass(10);
  BOOST_TEST(client->closed);
  BOOST_TEST(client_protocol->log == "lost " + error);
  BOOST_TEST(!loop.run_until_complete(serving).what().starts_with("None"));
  BOOST_TEST(server_protocol->log.starts_with("lost "));
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(without_a_server_hostname_any_certificate_of_the_authority_will_do, Wired) {
  const auto serving = loop.create_task(start_server());
  const auto mine = loop.run_until_complete(start_client({}));
  const auto theirs = loop.run_until_complete(serving);
  BOOST_TEST(!mine->get_extra_info(ssl_object).server_hostname().has_value());
  mine->abort();
  theirs->abort();
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_is_silent_is_given_up, Wired) {
  const TimePoint before = loop.time();
  BOOST_TEST(error({.server_hostname = "localhost", .ssl_handshake_timeout = Duration(5)}) ==
             "ConnectionAbortedError('SSL handshake is taking longer than 5.0 seconds: aborting "
             "the connection')");
  BOOST_TEST((loop.time() - before >= Duration(5)));
  loop.pass();
  BOOST_TEST(client->closed);
  BOOST_TEST(client_protocol->log.starts_with("lost ConnectionAbortedError("));
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_goes_is_a_reset, Wired) {
  server->end_writing();
  BOOST_TEST(error() == "ConnectionResetError()");
}

BOOST_FIXTURE_TEST_CASE(a_connection_that_is_lost_already_fails_at_once, Wired) {
  client->abort();
  loop.pass();
  BOOST_TEST(client_protocol->log == "lost None");
  BOOST_TEST(error() == "ConnectionResetError('Connection lost')");
  BOOST_TEST(client_protocol->log == "lost None");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(one_that_is_closing_is_an_aborted_handshake, Wired) {
  server->pause_reading();
  client->write("last words");
  client->close();
  loop.call_later(1, [&] { server->resume_reading(); });
  BOOST_TEST(error() == "ConnectionAbortedError('SSL handshake was aborted')");
  loop.pass();
  BOOST_TEST(client_protocol->log == "lost None");
}

BOOST_FIXTURE_TEST_CASE(a_cancelled_handshake_closes_the_connection, Wired) {
  const auto starting = loop.create_task(start_client());
  loop.pass(3);
  starting.cancel();
  loop.pass(10);
  BOOST_TEST(starting.cancelled());
  BOOST_TEST(client->closed);
  BOOST_TEST(client_protocol->log == "lost None");
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_AUTO_TEST_CASE(cancelled_anywhere_nothing_is_left) {
  const auto serve = [](Wires& wires) -> Coroutine<> {
    const Ending end = co_await ending(wires.start_server());
    wires.server->abort();
    if (end.error) std::rethrow_exception(end.error);
  };
  const auto body = [&](Loop& loop) -> Coroutine<> {
    Wires wires(loop);
    const auto serving = loop.create_task(serve, std::ref(wires));
    const Ending mine = co_await ending(wires.start_client());
    wires.client->abort();
    const Ending theirs = co_await ending(serving);
    if (mine.error) std::rethrow_exception(mine.error);
    if (theirs.error) std::rethrow_exception(theirs.error);
  };
  BOOST_TEST(cancel_everywhere(body) > 5u);
}

// -- TLS in TLS

BOOST_FIXTURE_TEST_CASE(tls_runs_over_tls, Connected) {
  client.wire->automatic = server.wire->automatic = true;
  const SSLContext clients = client_context();
  const SSLContext servers = server_context();
  const auto inner_client = std::make_shared<Plain>();
  const auto inner_server = std::make_shared<Plain>();
  const auto serving = loop.create_task(
      loop.start_tls(server.tls, inner_server, servers, {.server_side = true}));
  const auto mine = loop.run_until_complete(
      loop.start_tls(client.tls, inner_client, clients, {.server_hostname = "localhost"}));
  const auto theirs = loop.run_until_complete(serving);
  const std::string text = noise(500'000);
  mine->write(text);
  theirs->write("hello");
  loop.pass(20);
  BOOST_TEST((inner_server->data == text));
  BOOST_TEST(inner_client->data == "hello");
  BOOST_TEST(to_string(mine->get_extra_info(peername)) == "('10.0.0.1', 7)");
  mine->close();
  loop.pass(20);
  BOOST_TEST(inner_client->log == "eof lost None");
  BOOST_TEST(inner_server->log == "eof lost None");
  BOOST_TEST(closed());
  BOOST_TEST(loop.leftovers().empty());
}

BOOST_FIXTURE_TEST_CASE(an_inner_handshake_fails_when_the_outer_connection_closes, Connected) {
  client.wire->automatic = server.wire->automatic = true;
  const SSLContext clients = client_context();
  const auto inner = std::make_shared<Plain>();
  const auto starting = loop.create_task(ending(
      loop.start_tls(client.tls, inner, clients, {.server_hostname = "localhost"})));
  loop.pass(3);
  client.tls->close();
  loop.pass(20);
  BOOST_TEST(loop.run_until_complete(starting).what() ==
             "ConnectionResetError()");
  BOOST_TEST(inner->log == "lost ConnectionResetError()");
  BOOST_TEST(closed());
}

// -- streams

BOOST_AUTO_TEST_CASE(st22_both_ends_of_a_stream_go_on_with_tls) {
  SocketLoop loop;
  const SSLContext servers = server_context();
  const SSLContext clients = client_context();
  const auto serve = [&](StreamReader reader, StreamWriter writer) {
    return upgrade(servers, std::move(reader), std::move(writer));
  };
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await start_server(serve, "127.0.0.1", 0);
    const int port = server.sockets()[0].getsockname().port();
    auto [reader, writer] = co_await open_connection("127.0.0.1", port);
    const auto before = writer.transport();
    writer.write("one\n");
    const Bytes plain = co_await reader.readline();
    co_await writer.start_tls(clients, {.server_hostname = "localhost"});
    BOOST_TEST((writer.transport() != before));
    BOOST_TEST(writer.get_extra_info(cipher).protocol == "TLSv1.3");
    BOOST_TEST(!writer.can_write_eof());
    writer.write("two\n");
    const Bytes secret = co_await reader.read();
    writer.close();
    co_await writer.wait_closed();
    server.close();
    co_await server.wait_closed();
    co_return plain + secret;
  };
  BOOST_TEST(loop.run(body) == "go one\nsecret two\n");
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st22_a_certificate_that_is_not_for_the_host_fails_the_upgrade) {
  SocketLoop loop;
  const SSLContext servers = server_context();
  const SSLContext clients = client_context();
  std::string served;
  const auto serve = [&](StreamReader, StreamWriter writer) -> Coroutine<> {
    served = co_await error_of(writer.start_tls(servers));
  };
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await start_server(serve, "127.0.0.1", 0);
    const int port = server.sockets()[0].getsockname().port();
    auto [reader, writer] = co_await open_connection("127.0.0.1", port);
    const std::string error =
        co_await error_of(writer.start_tls(clients, {.server_hostname = "elsewhere.test"}));
    BOOST_TEST(writer.is_closing());
    server.close();
    co_await server.wait_closed();
    co_return error;
  };
  BOOST_TEST(loop.run(body).starts_with("SSLCertVerificationError(1, "));
  BOOST_TEST(served.starts_with("SSLError(1, '[SSL: SSLV3_ALERT_BAD_CERTIFICATE]"));
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st22_cancelled_anywhere_the_connection_is_as_before_or_closed) {
  for (const bool server_side : {false, true}) {
    BOOST_TEST_CONTEXT((server_side ? "the server" : "the client")) {
      const auto points =
          cancel_everywhere([=](Loop& loop) { return upgrade_one(loop, server_side); },
                            [](Loop& loop) { loop.pass(); });
      BOOST_TEST(points > 6u);
    }
  }
}

BOOST_AUTO_TEST_CASE(st22_what_comes_with_the_end_of_the_handshake_may_be_too_much_for_the_reader) {
  Loop loop;
  const StreamEnd client(loop, false);
  const StreamEnd server(loop, true, 10);
  WireEnd::join(client.wire, server.wire);
  const auto serving = loop.create_task(server.start_tls());
  server.wire->automatic = false;
  const auto connecting = loop.create_task(client.start_tls());
  loop.pass();
  while (!connecting.done()) {  // up to the client's last flight
    server.wire->receive();
    loop.pass();
  }
  client.writer->write(std::string(30, 'x'));
  loop.pass();
  server.wire->receive();
  loop.run_until_complete(serving);
  BOOST_TEST(loop.run_until_complete(server.reader.readexactly(30)) == std::string(30, 'x'));
  client.writer->write("more");
  server.wire->automatic = true;
  loop.pass();
  server.wire->receive();
  BOOST_TEST(loop.run_until_complete(server.reader.read(4)) == "more");
}

BOOST_AUTO_TEST_SUITE_END()
