// SPDX-License-Identifier: BSL-1.0
// create_connection and connect_accepted_socket (surface A10, B16, rules 159-166).
#include <asyncio/connections.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include "captured_log.hpp"
#include "connect.hpp"
#include "connection_helpers.hpp"
#include "sock_connect.hpp"
#include "socket_helpers.hpp"

using namespace connection_tests;
using namespace socket_tests;

namespace {

std::string hosts_of(const std::vector<AddressInfo>& infos) {
  std::string hosts;
  for (const AddressInfo& one : infos) hosts += one.address.host() + " ";
  return hosts;
}

std::string connect_error(std::vector<std::exception_ptr> errors, bool all_errors = false) {
  try {
    detail::throw_connect_errors(std::move(errors), all_errors);
  } catch (...) {
    return repr(std::current_exception());
  }
}

template <class E>
std::exception_ptr error(E e) {
  return std::make_exception_ptr(std::move(e));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(connections_tests)

// -- argument errors (rule 159): they come when the coroutine is awaited

BOOST_AUTO_TEST_CASE(rule_159_arguments_that_exclude_each_other) {
  EventLoop loop;
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, ConnectionOptions{})) ==
             "ValueError('host and port was not specified and no sock specified')");
  Socket sock(AF_INET, SOCK_STREAM);
  BOOST_TEST(
      error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", 80, {.sock = &sock})) ==
      "ValueError('host/port and sock can not be specified at the same time')");
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, ServerOptions{})) ==
             "ValueError('Neither host/port nor sock were specified')");
  sock = Socket(AF_INET, SOCK_STREAM);
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, "127.0.0.1", 0, {.sock = &sock})) ==
             "ValueError('host/port and sock can not be specified at the same time')");
}

BOOST_AUTO_TEST_CASE(rule_159_only_stream_sockets_are_adopted) {
  EventLoop loop;
  const auto refused = [](const Socket& sock) {
    return "ValueError(" + repr_str("A Stream Socket was expected, got " + to_string(sock)) + ")";
  };
  Socket sock(AF_INET, SOCK_DGRAM);
  std::string expected = refused(sock);
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, {.sock = &sock})) == expected);
  BOOST_TEST(!sock);
  sock = Socket(AF_INET, SOCK_DGRAM);
  expected = refused(sock);
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, {.sock = &sock})) == expected);
  sock = Socket(AF_INET, SOCK_DGRAM);
  expected = refused(sock);
  BOOST_TEST(error_of(loop, loop.connect_accepted_socket(make_protocol, std::move(sock))) ==
             expected);
}

BOOST_AUTO_TEST_CASE(a_port_out_of_range_is_a_value_error) {
  EventLoop loop;
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", 65536)) ==
             "ValueError('port must be 0-65535.')");
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, "127.0.0.1", -1)) ==
             "ValueError('port must be 0-65535.')");
}

// -- create_connection

BOOST_AUTO_TEST_CASE(create_connection_over_loopback_takes_four_passes) {
  EventLoop loop;
  const Socket listener = listening_socket();
  auto body = [&]() -> Coroutine<std::uint64_t> {
    const int port = listener.getsockname().port();
    const std::uint64_t before = loop.passes();
    auto [transport, protocol] = co_await loop.create_connection<Recorder>("127.0.0.1", port);
    const std::uint64_t passes = loop.passes() - before;
    BOOST_TEST(protocol->log == "made ");
    BOOST_TEST((protocol->transport_ == transport));
    BOOST_TEST((transport->get_extra_info(peername) == listener.getsockname()));
    transport->abort();
    co_await asyncio::sleep(0);
    co_await asyncio::sleep(0);
    BOOST_TEST(protocol->log == "made lost");
    co_return passes;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 4u);
}

BOOST_AUTO_TEST_CASE(adopting_a_connected_socket_takes_two_passes) {
  EventLoop loop;
  auto [mine, peer] = Socket::pair();
  peer.send("hello");
  auto body = [&]() -> Coroutine<std::uint64_t> {
    const std::uint64_t before = loop.passes();
    auto [transport, protocol] =
        co_await loop.create_connection(&std::make_shared<Recorder>, {.sock = &mine});
    const std::uint64_t passes = loop.passes() - before;
    BOOST_TEST(!mine);
    while (protocol->log == "made ") co_await asyncio::sleep(0);
    BOOST_TEST(protocol->log == "made hello ");
    transport->abort();
    co_return passes;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 2u);
}

BOOST_AUTO_TEST_CASE(the_options_are_taken_at_the_call) {
  EventLoop loop;
  auto [mine, peer] = Socket::pair();
  auto connecting = loop.create_connection(make_protocol, {.sock = &mine});
  BOOST_TEST(!mine);
  mine = Socket();
  auto connection = loop.run_until_complete(std::move(connecting));
  BOOST_TEST(!connection.first->is_closing());
}

BOOST_AUTO_TEST_CASE(rule_165_a_refused_connection_names_the_address) {
  EventLoop loop;
  const std::string port = std::to_string(unused_address().port());
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port)) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', " + port + ")\")");
  const auto before = open_descriptors();
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port)) != "None");
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(rule_164_all_errors_gives_a_group) {
  EventLoop loop;
  const std::string port = std::to_string(unused_address().port());
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port,
                                                   {.all_errors = true})) ==
             "ExceptionGroup('create_connection failed', [ConnectionRefusedError(111, \"Connect "
             "call failed ('127.0.0.1', " +
                 port + ")\")])");
}

// No host means loopback, of every family that the system has: ::1 and 127.0.0.1 as a rule.
BOOST_AUTO_TEST_CASE(rule_161_the_addresses_are_tried_until_one_succeeds) {
  EventLoop loop;
  const Socket listener = listening_socket();
  const int port = listener.getsockname().port();
  for (const ConnectionOptions& options :
       {ConnectionOptions{}, ConnectionOptions{.happy_eyeballs_delay = 10}}) {
    auto connection =
        loop.run_until_complete(loop.create_connection(make_protocol, "", port, options));
    BOOST_TEST((connection.first->get_extra_info(peername) == listener.getsockname()));
  }
}

BOOST_AUTO_TEST_CASE(rule_164_every_address_s_failure_is_told) {
  EventLoop loop;
  const int port = unused_address().port();
  const int family = can_bind("::1") ? AF_UNSPEC : AF_INET;
  std::string expected;
  for (const AddressInfo& one : loop.run_until_complete(
           loop.getaddrinfo("", port, {.family = family, .type = SOCK_STREAM}))) {
    if (!expected.empty()) expected += ", ";
    expected +=
        "ConnectionRefusedError(111, \"Connect call failed " + to_string(one.address) + "\")";
  }
  expected = "ExceptionGroup('create_connection failed', [" + expected + "])";
  for (const ConnectionOptions& options :
       {ConnectionOptions{.family = family, .all_errors = true},
        ConnectionOptions{
            .family = family, .happy_eyeballs_delay = 10, .all_errors = true}}) {
    BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "", port, options)) ==
               expected);
  }
}

BOOST_AUTO_TEST_CASE(rule_164_how_failures_are_put_together) {
  const std::exception_ptr refused = error(ConnectionRefusedError(111, "a"));
  const std::exception_ptr same = error(OSError(111, "a"));
  const std::exception_ptr other = error(OSError("b"));
  BOOST_TEST(connect_error({refused}) == "ConnectionRefusedError(111, 'a')");
  BOOST_TEST(connect_error({refused, same}) == "ConnectionRefusedError(111, 'a')");
  BOOST_TEST(connect_error({refused, other}) == "OSError('Multiple exceptions: [Errno 111] a, b')");
  BOOST_TEST(connect_error({refused, other}, true) ==
             "ExceptionGroup('create_connection failed', [ConnectionRefusedError(111, 'a'), "
             "OSError('b')])");
  BOOST_TEST(connect_error({}) == "TimeoutError('create_connection failed')");
}

BOOST_AUTO_TEST_CASE(rule_161_interleave_puts_some_of_the_first_family_first_then_takes_turns) {
  const std::vector<AddressInfo> infos{info("::1", 1),     info("::2", 1),      info("::3", 1),
                                       info("::4", 1),     info("10.0.0.1", 1), info("10.0.0.2", 1),
                                       info("10.0.0.3", 1)};
  BOOST_TEST(hosts_of(detail::interleave(infos, 1)) ==
             "::1 10.0.0.1 ::2 10.0.0.2 ::3 10.0.0.3 ::4 ");
  BOOST_TEST(hosts_of(detail::interleave(infos, 3)) ==
             "::1 ::2 ::3 10.0.0.1 ::4 10.0.0.2 10.0.0.3 ");
  BOOST_TEST(hosts_of(detail::interleave(infos, 9)) ==
             "::1 ::2 ::3 ::4 10.0.0.1 10.0.0.2 10.0.0.3 ");
  BOOST_TEST(detail::interleave({}, 1).empty());
}

BOOST_AUTO_TEST_CASE(rule_163_the_local_end_is_bound) {
  EventLoop loop;
  const Socket listener = listening_socket();
  auto [transport, protocol] = loop.run_until_complete(loop.create_connection(
      make_protocol, "127.0.0.1", listener.getsockname().port(), {.local_addr = {"127.0.0.2", 0}}));
  BOOST_TEST(transport->get_extra_info(sockname).host() == "127.0.0.2");
}

BOOST_AUTO_TEST_CASE(rule_163_a_local_end_that_cannot_be_bound) {
  EventLoop loop;
  const Socket listener = listening_socket();
  const Address address = listener.getsockname();
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", address.port(),
                                                   {.local_addr = address})) ==
             "OSError(98, \"error while attempting to bind on address " + to_string(address) +
                 ": [errno 98] address already in use\")");
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", address.port(),
                                                   {.local_addr = {"::1", 0}})) ==
             "OSError('no matching local address with family=<AddressFamily.AF_INET: 2> found')");
}

BOOST_AUTO_TEST_CASE(rule_166_a_factory_that_fails_closes_the_socket) {
  EventLoop loop;
  auto [mine, peer] = Socket::pair();
  const auto fails = []() -> std::shared_ptr<Protocol> { throw RuntimeError("no"); };
  BOOST_TEST(error_of(loop, loop.create_connection(fails, {.sock = &mine})) ==
             "RuntimeError('no')");
  BOOST_TEST(peer.recv(1) == "");
}

BOOST_AUTO_TEST_CASE(a_factory_that_gives_null_is_a_type_error) {
  EventLoop loop;
  auto [mine, peer] = Socket::pair();
  const auto null = [] { return std::shared_ptr<Protocol>(); };
  BOOST_TEST(error_of(loop, loop.create_connection(null, {.sock = &mine}))
                 .starts_with("TypeError(\"the protocol factory returned a null pointer"));
  BOOST_TEST(peer.recv(1) == "");
}

BOOST_AUTO_TEST_CASE(rule_166_cancelled_before_connection_made_the_transport_is_closed) {
  EventLoop loop;
  auto [mine, peer] = Socket::pair();
  auto recorder = std::make_shared<Recorder>();
  const auto factory = [&] { return recorder; };
  auto body = [&]() -> Coroutine<std::string> {
    auto task = loop.create_task(loop.create_connection(factory, {.sock = &mine}));
    co_await asyncio::sleep(0);
    task.cancel();
    std::string outcome = "connected";
    try {
      (void)co_await task;
    } catch (const CancelledError&) {
      outcome = "cancelled";
    }
    for (int pass = 0; pass != 3; ++pass) co_await asyncio::sleep(0);
    co_return outcome;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled");
  BOOST_TEST(recorder->log == "made lost");
  BOOST_TEST(peer.recv(1) == "");
}

BOOST_AUTO_TEST_CASE(cancelled_while_connecting_the_socket_is_closed) {
  EventLoop loop;
  const Socket listener = listening_socket();
  const int nobody = unused_address().port();
  error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", nobody));  // warm up
  int made = 0;
  const auto factory = [&] {
    ++made;
    return make_protocol();
  };
  auto body = [&]() -> Coroutine<std::string> {
    const auto before = open_descriptors();
    const int port = listener.getsockname().port();
    auto task = loop.create_task(loop.create_connection(factory, "127.0.0.1", port));
    co_await asyncio::sleep(0);  // the task waits for the connection now
    BOOST_TEST(open_descriptors() == before + 1);
    task.cancel();
    std::string outcome = "connected";
    try {
      (void)co_await task;
    } catch (const CancelledError&) {
      outcome = "cancelled";
    }
    BOOST_TEST(open_descriptors() == before);
    co_return outcome;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled");
  BOOST_TEST(made == 0);
}

BOOST_AUTO_TEST_CASE(sock_connect_cancelled_stops_watching_and_leaves_the_socket_open) {
  EventLoop loop;
  const Socket listener = listening_socket();
  Socket client(AF_INET, SOCK_STREAM);
  auto body = [&]() -> Coroutine<> {
    auto task = loop.create_task(detail::sock_connect(loop.core(), client, listener.getsockname()));
    co_await asyncio::sleep(0);
    task.cancel();
    try {
      co_await task;
    } catch (const CancelledError&) {
    }
    client.close();  // nobody watches it
    for (int pass = 0; pass != 3; ++pass) co_await asyncio::sleep(0);
  };
  loop.run_until_complete(body());
  BOOST_TEST(!client);
}

BOOST_AUTO_TEST_CASE(a_loop_closed_while_connecting_releases_the_socket) {
  const Socket listener = listening_socket();
  const auto before = open_descriptors();
  {
    EventLoop loop;
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    auto task = loop.create_task(
        loop.create_connection(make_protocol, "127.0.0.1", listener.getsockname().port()));
    loop.stop();
    loop.run_forever();
    BOOST_TEST(!task.done());
    loop.close();
  }
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(a_unix_server_s_full_backlog_is_an_error) {
  EventLoop loop;
  Socket listener(AF_UNIX, SOCK_STREAM);
  listener.bind(Address::from_path(""));  // the system chooses an abstract name
  listener.listen(0);
  std::vector<Socket> clients;
  std::string text = "None";
  while (text == "None" && clients.size() < 10) {
    clients.emplace_back(AF_UNIX, SOCK_STREAM);
    text =
        error_of(loop, detail::sock_connect(loop.core(), clients.back(), listener.getsockname()));
  }
  BOOST_TEST(text == "BlockingIOError(11, 'Resource temporarily unavailable')");
}

BOOST_AUTO_TEST_CASE(happy_eyeballs_with_one_address_is_an_ordinary_connection) {
  EventLoop loop;
  const Socket listener = listening_socket();
  auto connection = loop.run_until_complete(loop.create_connection(
      make_protocol, "127.0.0.1", listener.getsockname().port(), {.happy_eyeballs_delay = 0.25}));
  BOOST_TEST(!connection.first->is_closing());
  const std::string port = std::to_string(unused_address().port());
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port,
                                                   {.happy_eyeballs_delay = 0.25})) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', " + port + ")\")");
}

// -- connect_accepted_socket

BOOST_AUTO_TEST_CASE(an_accepted_asio_socket_becomes_a_connection) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  Socket client = connected_socket(Address("127.0.0.1", acceptor.local_endpoint().port()));
  boost::asio::ip::tcp::socket accepted = acceptor.accept();
  client.send("hello");

  EventLoop loop;
  auto body = [&]() -> Coroutine<std::string> {
    auto [transport, protocol] =
        co_await loop.connect_accepted_socket(&std::make_shared<Recorder>, std::move(accepted));
    while (protocol->log == "made ") co_await asyncio::sleep(0);
    BOOST_TEST((transport->get_extra_info(peername) == client.getsockname()));
    transport->abort();
    co_return protocol->log;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "made hello ");
  BOOST_TEST(!accepted.is_open());
}

// -- debug mode

BOOST_AUTO_TEST_CASE(rule_108_in_debug_mode_the_log_follows_a_connection) {
  const unit_tests::CapturedLog log(LogLevel::debug);
  EventLoop loop;
  loop.set_debug(true);
  Server server = loop.run_until_complete(loop.create_server(make_protocol, "127.0.0.1", 0));
  const int port = server.sockets()[0].getsockname().port();
  const auto connection =
      loop.run_until_complete(loop.create_connection(make_protocol, "127.0.0.1", port));
  auto [mine, peer] = Socket::pair();
  const auto accepted =
      loop.run_until_complete(loop.connect_accepted_socket(make_protocol, std::move(mine)));
  connection.first->abort();
  accepted.first->abort();
  server.close();
  server.close_clients();
  for (int i = 0; i != 8; ++i) loop.run_until_complete(asyncio::sleep(0));
  loop.close();
  const auto told = [&](const std::string& begin, const std::string& part) {
    return std::any_of(log.records.begin(), log.records.end(), [&](const auto& record) {
      return record.message.starts_with(begin) && record.message.find(part) != std::string::npos;
    });
  };
  const std::string address = "127.0.0.1:" + std::to_string(port) + ": (<StreamTransport fd=";
  BOOST_TEST(told("<Server sockets=", " is serving"));
  BOOST_TEST(told("<Server sockets=", " got a new connection from ('127.0.0.1', "));
  BOOST_TEST(told("<asyncio.TransportSocket fd=", " connected to " + address));
  BOOST_TEST(told("<asyncio.TransportSocket fd=", " handled: (<StreamTransport fd="));
  BOOST_TEST(told("Close <", "EventLoop"));
}

BOOST_AUTO_TEST_SUITE_END()
