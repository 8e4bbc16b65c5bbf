// SPDX-License-Identifier: BSL-1.0
// create_server: which sockets it listens on (surface A10, B16, rules 167, 168).
#include <asyncio/connections.hpp>

#include <cerrno>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include "captured_log.hpp"
#include "connection_helpers.hpp"
#include "socket_helpers.hpp"

using namespace connection_tests;
using namespace socket_tests;
using unit_tests::CapturedLog;

namespace {

/// A family that the system is to know nothing of.
int unknown_family = -1;

}  // namespace

/// In the library's calls, too: the program's symbols go ahead of the C library's.
extern "C" int socket(int family, int type, int protocol) noexcept {
  if (family != unknown_family)
    return static_cast<int>(::syscall(SYS_socket, family, type, protocol));
  errno = EAFNOSUPPORT;
  return -1;
}

BOOST_AUTO_TEST_SUITE(create_server_tests)

using Hosts = std::vector<std::string>;

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

// The kernel draws each port, so two addresses may get the same by chance: eight times in a row
// they do only when the second was not asked for.
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
  const auto before = open_descriptors();
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

BOOST_AUTO_TEST_CASE(rule_168_a_family_that_the_system_does_not_know_is_skipped) {
  struct WithoutIpv6 {
    WithoutIpv6() { unknown_family = AF_INET6; }
    ~WithoutIpv6() { unknown_family = -1; }
  } const without_ipv6;
  EventLoop loop;
  loop.set_debug(true);
  const CapturedLog log;
  const Server server = loop.run_until_complete(
      loop.create_server(make_protocol, Hosts{"::1", "127.0.0.1"}, 0));
  BOOST_TEST_REQUIRE(server.sockets().size() == 1u);
  BOOST_TEST(server.sockets()[0].getsockname().host() == "127.0.0.1");
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message.starts_with(
      "create_server() failed to create socket.socket(<AddressFamily.AF_INET6: 10>, "
      "<SocketKind.SOCK_STREAM: 1>, 6): "));
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

BOOST_AUTO_TEST_SUITE_END()
