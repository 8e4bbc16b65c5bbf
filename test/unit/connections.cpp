// SPDX-License-Identifier: BSL-1.0
// Name resolution, create_connection, create_server, connect_accepted_socket
// (surface A10, A12, B16, rules 159-168).
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <asyncio/connections.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/wait.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "connect.hpp"
#include "resolver.hpp"
#include "sock_connect.hpp"
#include "staggered.hpp"

using namespace asyncio;
using namespace std::string_literals;

namespace {

/// A protocol that notes what it is told.
struct Recorder : Protocol {
  void connection_made(std::shared_ptr<Transport> transport) override {
    log += "made ";
    transport_ = std::move(transport);
  }
  void data_received(BytesView data) override { log += data.str() + " "; }
  void connection_lost(std::exception_ptr error) override {
    log += error ? "lost " + repr(error) : "lost";
    transport_.reset();
  }
  std::string log;
  std::shared_ptr<Transport> transport_;
};

std::shared_ptr<Protocol> make_protocol() { return std::make_shared<Recorder>(); }

using Hosts = std::vector<std::string>;

/// What a coroutine throws, as Python prints it; "" if nothing.
template <class T>
std::string error_of(EventLoop& loop, Coroutine<T> coroutine) {
  try {
    (void)loop.run_until_complete(std::move(coroutine));
  } catch (...) {
    return repr(std::current_exception());
  }
  return "";
}
template <>
std::string error_of(EventLoop& loop, Coroutine<void> coroutine) {
  try {
    loop.run_until_complete(std::move(coroutine));
  } catch (...) {
    return repr(std::current_exception());
  }
  return "";
}

Socket listening_socket() {
  Socket socket(AF_INET, SOCK_STREAM);
  socket.bind(Address("127.0.0.1", 0));
  socket.listen();
  return socket;
}

/// Nobody listens there.
int unused_port() {
  Socket socket(AF_INET, SOCK_STREAM);
  socket.bind(Address("127.0.0.1", 0));
  return socket.getsockname().port();
}

int open_descriptors() {
  int count = 0;
  for (int descriptor = 0; descriptor != 256; ++descriptor)
    count += ::fcntl(descriptor, F_GETFD) != -1;
  return count;
}

AddressInfo info(const char* host, int port) {
  const Address address(host, port);
  return {address.family(), SOCK_STREAM, IPPROTO_TCP, "", address};
}

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

// -- Port, literals (rule 160)

BOOST_AUTO_TEST_CASE(a_port_is_a_number_a_service_or_none) {
  BOOST_TEST(to_string(Port()) == "None");
  BOOST_TEST(!Port());
  BOOST_TEST(bool(Port(0)));
  BOOST_TEST(to_string(Port(80)) == "80");
  BOOST_TEST(to_string(Port(static_cast<unsigned short>(65535))) == "65535");
  BOOST_TEST(to_string(Port("http")) == "'http'");
  BOOST_TEST(to_string(Port("http"s)) == "'http'");
  BOOST_TEST(Port(1ll << 40).number() == -1);
}

BOOST_AUTO_TEST_CASE(rule_160_a_literal_and_a_numeric_port_need_no_resolver) {
  const auto literal = [](const std::string& host, const Port& port, ResolveOptions options) {
    const auto found = detail::literal_address(host, port, options);
    return found ? to_string(found->address) + " " + std::to_string(found->proto) : "no";
  };
  const ResolveOptions stream{.type = SOCK_STREAM};
  BOOST_TEST(literal("127.0.0.1", 80, stream) == "('127.0.0.1', 80) 6");
  BOOST_TEST(literal("127.0.0.1", "80", stream) == "('127.0.0.1', 80) 6");
  BOOST_TEST(literal("127.0.0.1", "", stream) == "('127.0.0.1', 0) 6");
  BOOST_TEST(literal("127.0.0.1", Port(), stream) == "('127.0.0.1', 0) 6");
  BOOST_TEST(literal("::1", 80, stream) == "('::1', 80, 0, 0) 6");
  BOOST_TEST(literal("::1", 80, {.type = SOCK_DGRAM}) == "('::1', 80, 0, 0) 17");
  BOOST_TEST(literal("127.0.0.1", "http", stream) == "no");
  BOOST_TEST(literal("localhost", 80, stream) == "no");
  BOOST_TEST(literal("", 80, stream) == "no");
  BOOST_TEST(literal("fe80::1%lo", 80, stream) == "no");
  BOOST_TEST(literal("::1", 80, {.family = AF_INET, .type = SOCK_STREAM}) == "no");
  BOOST_TEST(literal("127.0.0.1", 80, {}) == "no");
  BOOST_TEST(literal("127.0.0.1", 80, {.type = SOCK_STREAM, .proto = IPPROTO_SCTP}) == "no");
}

BOOST_AUTO_TEST_CASE(rule_160_a_literal_does_not_yield) {
  EventLoop loop;
  auto body = [&]() -> Coroutine<std::uint64_t> {
    const std::uint64_t before = loop.passes();
    std::vector<AddressInfo> infos =
        co_await detail::ensure_resolved(loop.core(), "127.0.0.1", 80, {.type = SOCK_STREAM});
    BOOST_TEST(infos.size() == 1u);
    co_return loop.passes() - before;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 0u);
}

// -- getaddrinfo, getnameinfo

BOOST_AUTO_TEST_CASE(getaddrinfo_asks_the_system) {
  EventLoop loop;
  const auto infos = loop.run_until_complete(
      loop.getaddrinfo("127.0.0.1", 80, {.type = SOCK_STREAM, .flags = AI_NUMERICHOST}));
  BOOST_TEST_REQUIRE(infos.size() == 1u);
  BOOST_TEST((infos[0] == info("127.0.0.1", 80)));
  const auto wildcard = loop.run_until_complete(
      loop.getaddrinfo("", 80, {.family = AF_INET, .type = SOCK_STREAM, .flags = AI_PASSIVE}));
  BOOST_TEST_REQUIRE(wildcard.size() == 1u);
  BOOST_TEST(wildcard[0].address.host() == "0.0.0.0");
  const auto local = loop.run_until_complete(
      loop.getaddrinfo("localhost", 80, {.family = AF_INET, .type = SOCK_STREAM}));
  BOOST_TEST_REQUIRE(!local.empty());
  BOOST_TEST((local[0] == info("127.0.0.1", 80)));
}

BOOST_AUTO_TEST_CASE(getaddrinfo_failures_are_gaierrors_with_the_system_s_text) {
  EventLoop loop;
  const std::string expected =
      "gaierror(" + std::to_string(EAI_NONAME) + ", '" + gai_strerror(EAI_NONAME) + "')";
  BOOST_TEST(error_of(loop, loop.getaddrinfo("no name", 80, {.flags = AI_NUMERICHOST})) ==
             expected);
  BOOST_TEST(error_of(loop, loop.getaddrinfo("", Port())) == expected);
}

BOOST_AUTO_TEST_CASE(getaddrinfo_refuses_what_cannot_be_asked) {
  EventLoop loop;
  BOOST_TEST(error_of(loop, loop.getaddrinfo("localhost", 65536)) ==
             "ValueError('port must be 0-65535.')");
  BOOST_TEST(error_of(loop, loop.getaddrinfo(std::string_view("a\0b", 3), 80)) ==
             "ValueError('embedded null character')");
}

BOOST_AUTO_TEST_CASE(getaddrinfo_cancelled_throws_at_once_and_drops_the_answer) {
  EventLoop loop;
  auto body = [&]() -> Coroutine<bool> {
    auto task = loop.create_task(loop.getaddrinfo("127.0.0.1", 80, {.flags = AI_NUMERICHOST}));
    co_await asyncio::sleep(0);
    task.cancel();
    try {
      (void)co_await task;
    } catch (const CancelledError&) {
      co_return true;
    }
    co_return false;
  };
  BOOST_TEST(loop.run_until_complete(body()));
}

BOOST_AUTO_TEST_CASE(rule_108_in_debug_mode_getaddrinfo_logs_question_and_answer) {
  std::string log;
  EventLoop loop;
  loop.set_debug(true);
  const Logger logger = get_logger("asyncio");
  logger.set_level(LogLevel::debug);
  set_log_sink([&](const LogRecord& record) { log.append(record.message).append("\n"); });
  loop.run_until_complete(
      loop.getaddrinfo("127.0.0.1", 80, {.type = SOCK_STREAM, .flags = AI_NUMERICHOST}));
  set_log_sink(nullptr);
  logger.set_level(LogLevel::notset);
  BOOST_TEST(log.find("Get address info 127.0.0.1:'80', type=1, flags=4\n") != log.npos, log);
  BOOST_TEST(log.find("Getting address info 127.0.0.1:'80', type=1, flags=4 took ") != log.npos,
             log);
  BOOST_TEST(log.find("ms: [('127.0.0.1', 80)]\n") != log.npos, log);
}

BOOST_AUTO_TEST_CASE(getnameinfo_gives_host_and_service) {
  EventLoop loop;
  const auto [host, service] = loop.run_until_complete(
      loop.getnameinfo(Address("127.0.0.1", 80), NI_NUMERICHOST | NI_NUMERICSERV));
  BOOST_TEST(host == "127.0.0.1");
  BOOST_TEST(service == "80");
  BOOST_TEST(error_of(loop, loop.getnameinfo(Address("localhost", 80))).starts_with("gaierror("));
}

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
  const std::string port = std::to_string(unused_port());
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port)) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', " + port + ")\")");
  const int before = open_descriptors();
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port)) != "");
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(rule_164_all_errors_gives_a_group) {
  EventLoop loop;
  const std::string port = std::to_string(unused_port());
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
  const int port = unused_port();
  std::string expected;
  for (const AddressInfo& one :
       loop.run_until_complete(loop.getaddrinfo("", port, {.type = SOCK_STREAM}))) {
    if (!expected.empty()) expected += ", ";
    expected +=
        "ConnectionRefusedError(111, \"Connect call failed " + to_string(one.address) + "\")";
  }
  expected = "ExceptionGroup('create_connection failed', [" + expected + "])";
  for (const ConnectionOptions& options :
       {ConnectionOptions{.all_errors = true},
        ConnectionOptions{.happy_eyeballs_delay = 10, .all_errors = true}}) {
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
  error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", unused_port()));  // warm up
  int made = 0;
  const auto factory = [&] {
    ++made;
    return make_protocol();
  };
  auto body = [&]() -> Coroutine<std::string> {
    const int before = open_descriptors();
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
  const int before = open_descriptors();
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
  std::string text;
  while (text.empty() && clients.size() < 10) {
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
  const std::string port = std::to_string(unused_port());
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port,
                                                   {.happy_eyeballs_delay = 0.25})) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', " + port + ")\")");
}

// -- happy eyeballs (rule 162), without sockets and in virtual time

namespace {

/// Attempts that take so long and then fail, or succeed.
struct FakeAttempts {
  struct Plan {
    double seconds;
    bool succeeds;
  };
  explicit FakeAttempts(EventLoop& loop, std::vector<Plan> plans)
      : loop(loop), plans(std::move(plans)) {}

  std::string run(Duration delay) {
    detail::Attempt attempt = [this](std::size_t index) { return one(*this, index); };
    const auto winner = loop.run_until_complete(
        detail::staggered_race(loop.scheduler(), plans.size(), attempt, delay));
    return log + (winner ? "winner " + std::to_string(*winner) : "no winner") + now();
  }
  std::string now() const { return "@" + repr_float(loop.time().seconds() - begin); }

  static Coroutine<> one(FakeAttempts& self, std::size_t index) {
    const std::string name = std::to_string(index);
    const Plan plan = self.plans[index];
    self.log += "start " + name + self.now() + " ";
    try {
      co_await asyncio::sleep(plan.seconds);
    } catch (const CancelledError&) {
      self.log += "cancelled " + name + self.now() + " ";
      throw;
    }
    if (!plan.succeeds) throw OSError("failed");
  }

  EventLoop& loop;
  std::vector<Plan> plans;
  double begin = loop.time().seconds();
  std::string log;
};

}  // namespace

BOOST_AUTO_TEST_CASE(rule_162_the_first_success_cancels_the_rest) {
  EventLoop loop({.clock = Clock::virtual_time});
  FakeAttempts attempts(loop, {{10, true}, {3, true}, {10, true}, {10, true}});
  BOOST_TEST(attempts.run(2) ==
             "start 0@0.0 start 1@2.0 start 2@4.0 cancelled 0@5.0 cancelled 2@5.0 winner 1@5.0");
}

BOOST_AUTO_TEST_CASE(rule_162_the_next_attempt_starts_when_one_fails_or_after_the_delay) {
  EventLoop loop({.clock = Clock::virtual_time});
  FakeAttempts attempts(loop, {{1, false}, {5, false}, {0, false}, {1, true}});
  BOOST_TEST(attempts.run(2) ==
             "start 0@0.0 start 1@1.0 start 2@3.0 start 3@3.0 cancelled 1@4.0 winner 3@4.0");
}

BOOST_AUTO_TEST_CASE(rule_162_without_success_all_attempts_run_to_their_end) {
  EventLoop loop({.clock = Clock::virtual_time});
  FakeAttempts attempts(loop, {{5, false}, {1, false}});
  BOOST_TEST(attempts.run(2) == "start 0@0.0 start 1@2.0 no winner@5.0");
  FakeAttempts none(loop, {});
  BOOST_TEST(none.run(2) == "no winner@0.0");
}

BOOST_AUTO_TEST_CASE(rule_162_with_delay_zero_all_attempts_start_at_once) {
  EventLoop loop({.clock = Clock::virtual_time});
  FakeAttempts attempts(loop, {{3, true}, {2, true}, {1, true}});
  BOOST_TEST(attempts.run(0) ==
             "start 0@0.0 start 1@0.0 start 2@0.0 cancelled 0@1.0 cancelled 1@1.0 winner 2@1.0");
}

BOOST_AUTO_TEST_CASE(rule_162_a_race_works_with_eager_tasks) {
  EventLoop loop({.clock = Clock::virtual_time});
  loop.set_task_factory(eager_task_factory);
  FakeAttempts attempts(loop, {{10, true}, {3, true}, {10, true}});
  BOOST_TEST(attempts.run(2) ==
             "start 0@0.0 start 1@2.0 start 2@4.0 cancelled 0@5.0 cancelled 2@5.0 winner 1@5.0");
}

BOOST_AUTO_TEST_CASE(rule_162_cancelling_the_race_cancels_every_attempt_and_waits_for_them) {
  EventLoop loop({.clock = Clock::virtual_time});
  FakeAttempts attempts(loop, {{10, true}, {10, true}, {10, true}});
  detail::Attempt attempt = [&](std::size_t index) { return FakeAttempts::one(attempts, index); };
  auto body = [&]() -> Coroutine<std::string> {
    auto race = loop.create_task(detail::staggered_race(loop.scheduler(), 3, attempt, 2));
    co_await asyncio::sleep(3);
    race.cancel();
    std::string outcome;
    try {
      (void)co_await race;
    } catch (const CancelledError&) {
      outcome = "cancelled";
    }
    BOOST_TEST(all_tasks().size() == 1u);
    co_return outcome;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled");
  BOOST_TEST(attempts.log == "start 0@0.0 start 1@2.0 cancelled 0@3.0 cancelled 1@3.0 ");
}

BOOST_AUTO_TEST_CASE(rule_162_a_loop_closed_during_a_race_destroys_all_of_it) {
  EventLoop loop({.clock = Clock::virtual_time});
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  FakeAttempts attempts(loop, {{10, true}, {10, true}, {10, true}});
  detail::Attempt attempt = [&](std::size_t index) { return FakeAttempts::one(attempts, index); };
  auto race = loop.create_task(detail::staggered_race(loop.scheduler(), 3, attempt, 2));
  loop.call_later(3, [&] { loop.stop(); });
  loop.run_forever();
  loop.close();
  BOOST_TEST(attempts.log == "start 0@0.0 start 1@2.0 ");
}

// -- create_server

BOOST_AUTO_TEST_CASE(create_server_with_a_literal_host_takes_four_passes) {
  EventLoop loop;
  auto body = [&]() -> Coroutine<std::uint64_t> {
    const std::uint64_t before = loop.passes();
    Server server = co_await loop.create_server<Recorder>("127.0.0.1", 0);
    const std::uint64_t passes = loop.passes() - before;
    BOOST_TEST(server.is_serving());
    server.close();
    co_return passes;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 4u);
}

BOOST_AUTO_TEST_CASE(create_server_with_a_socket_takes_one_pass) {
  EventLoop loop;
  Socket sock(AF_INET, SOCK_STREAM);
  sock.bind(Address("127.0.0.1", 0));
  const Address address = sock.getsockname();
  auto body = [&]() -> Coroutine<std::uint64_t> {
    const std::uint64_t before = loop.passes();
    Server server = co_await loop.create_server(make_protocol, {.sock = &sock});
    const std::uint64_t passes = loop.passes() - before;
    BOOST_TEST(!sock);
    BOOST_TEST_REQUIRE(server.sockets().size() == 1u);
    BOOST_TEST((server.sockets()[0].getsockname() == address));
    server.close();
    co_return passes;
  };
  BOOST_TEST(loop.run_until_complete(body()) == 1u);
}

BOOST_AUTO_TEST_CASE(rule_167_hosts_that_are_the_same_are_bound_once) {
  EventLoop loop;
  Server server = loop.run_until_complete(
      loop.create_server(make_protocol, Hosts{"127.0.0.1", "127.0.0.1"}, 0));
  BOOST_TEST(server.sockets().size() == 1u);
}

// The kernel draws each port, so two addresses may get the same by chance: eight times in a row they
// do only when the second was not asked for.
BOOST_AUTO_TEST_CASE(rule_167_port_0_gives_each_address_a_port_of_its_own) {
  EventLoop loop;
  constexpr int servers = 8;
  int with_one_port = 0;
  for (int i = 0; i < servers; ++i) {
    Server server = loop.run_until_complete(
        loop.create_server(make_protocol, Hosts{"127.0.0.1", "127.0.0.2"}, 0));
    const auto sockets = server.sockets();
    BOOST_TEST_REQUIRE(sockets.size() == 2u);
    BOOST_TEST(sockets[0].getsockname().host() == "127.0.0.1");
    BOOST_TEST(sockets[1].getsockname().host() == "127.0.0.2");
    with_one_port += sockets[0].getsockname().port() == sockets[1].getsockname().port();
  }
  BOOST_TEST(with_one_port < servers);
}

BOOST_AUTO_TEST_CASE(rule_167_a_name_is_every_address_it_has) {
  EventLoop loop;
  std::set<std::string> expected;
  for (const AddressInfo& one :
       loop.run_until_complete(loop.getaddrinfo("localhost", 0, {.type = SOCK_STREAM}))) {
    try {
      Socket(one.family, SOCK_STREAM).bind(one.address);
      expected.insert(one.address.host());
    } catch (const OSError&) {  // a system without IPv6
    }
  }
  BOOST_TEST(!expected.empty());
  Server server = loop.run_until_complete(loop.create_server(make_protocol, "localhost", 0));
  std::multiset<std::string> hosts;
  for (const TransportSocket& socket : server.sockets()) hosts.insert(socket.getsockname().host());
  BOOST_TEST(hosts == (std::multiset<std::string>(expected.begin(), expected.end())),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rule_167_no_host_is_every_interface) {
  EventLoop loop;
  Server server =
      loop.run_until_complete(loop.create_server(make_protocol, "", 0, {.family = AF_INET}));
  BOOST_TEST_REQUIRE(server.sockets().size() == 1u);
  BOOST_TEST(server.sockets()[0].getsockname().host() == "0.0.0.0");
}

BOOST_AUTO_TEST_CASE(rule_167_socket_options_of_a_server) {
  EventLoop loop;
  const auto options = [&](ServerOptions wanted) {
    Server server =
        loop.run_until_complete(loop.create_server(make_protocol, "127.0.0.1", 0, wanted));
    const TransportSocket sock = server.sockets()[0];
    std::string set;
    if (sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)) set += "address ";
    if (sock.getsockopt(SOL_SOCKET, SO_REUSEPORT)) set += "port ";
    if (sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE)) set += "keepalive ";
    server.close();
    return set;
  };
  BOOST_TEST(ServerOptions().backlog == 100);
  BOOST_TEST(options({}) == "address ");
  BOOST_TEST(options({.reuse_address = false}) == "");
  BOOST_TEST(options({.reuse_port = true}) == "address port ");
  BOOST_TEST(options({.keep_alive = true}) == "address keepalive ");
}

BOOST_AUTO_TEST_CASE(rule_167_ipv6_sockets_serve_ipv6_only) {
  EventLoop loop;
  Server server;
  try {
    server = loop.run_until_complete(loop.create_server(make_protocol, "::1", 0));
  } catch (const OSError&) {
    return;  // a system without IPv6
  }
  BOOST_TEST(server.sockets()[0].getsockopt(IPPROTO_IPV6, IPV6_V6ONLY) == 1);
}

BOOST_AUTO_TEST_CASE(rule_168_an_address_in_use_closes_everything) {
  EventLoop loop;
  const Socket listener = listening_socket();
  const Address address = listener.getsockname();
  const auto serve = [&] {
    return loop.create_server(make_protocol, Hosts{"127.0.0.2", "127.0.0.1"}, address.port());
  };
  const std::string expected = "OSError(98, \"error while attempting to bind on address " +
                               to_string(address) + ": [errno 98] address already in use\")";
  BOOST_TEST(error_of(loop, serve()) == expected);
  const int before = open_descriptors();
  BOOST_TEST(error_of(loop, serve()) == expected);
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(rule_168_an_address_that_is_not_here_is_skipped) {
  EventLoop loop;
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, "203.0.113.1", 0)) ==
             "OSError(\"could not bind on any address out of [('203.0.113.1', 0)]\")");
  Server server = loop.run_until_complete(
      loop.create_server(make_protocol, Hosts{"203.0.113.1", "127.0.0.1"}, 0));
  BOOST_TEST(server.sockets().size() == 1u);
  BOOST_TEST(error_of(loop, loop.create_server(make_protocol, Hosts(), 0)) ==
             "OSError('could not bind on any address out of []')");
}

BOOST_AUTO_TEST_CASE(without_start_serving_connecting_is_refused) {
  EventLoop loop;
  Server server = loop.run_until_complete(
      loop.create_server(make_protocol, "127.0.0.1", 0, {.start_serving = false}));
  BOOST_TEST(!server.is_serving());
  const int port = server.sockets()[0].getsockname().port();
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port))
                 .starts_with("ConnectionRefusedError("));
  loop.run_until_complete(server.start_serving());
  auto connection =
      loop.run_until_complete(loop.create_connection(make_protocol, "127.0.0.1", port));
  BOOST_TEST(!connection.first->is_closing());
}

BOOST_AUTO_TEST_CASE(create_server_cancelled_closes_its_sockets) {
  EventLoop loop;
  Socket sock(AF_INET, SOCK_STREAM);
  sock.bind(Address("127.0.0.1", 0));
  const int port = sock.getsockname().port();
  auto body = [&]() -> Coroutine<std::string> {
    auto task = loop.create_task(loop.create_server(make_protocol, {.sock = &sock}));
    co_await asyncio::sleep(0);
    task.cancel();
    try {
      (void)co_await task;
    } catch (const CancelledError&) {
      co_return "cancelled";
    }
    co_return "serving";
  };
  BOOST_TEST(loop.run_until_complete(body()) == "cancelled");
  BOOST_TEST(error_of(loop, loop.create_connection(make_protocol, "127.0.0.1", port))
                 .starts_with("ConnectionRefusedError("));
}

// -- connect_accepted_socket

BOOST_AUTO_TEST_CASE(an_accepted_asio_socket_becomes_a_connection) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  Socket client(AF_INET, SOCK_STREAM);
  try {
    client.connect(Address("127.0.0.1", acceptor.local_endpoint().port()));
  } catch (const BlockingIOError&) {
  }
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

BOOST_AUTO_TEST_SUITE_END()
