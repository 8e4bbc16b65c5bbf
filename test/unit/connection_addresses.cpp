// SPDX-License-Identifier: BSL-1.0
// Which addresses connections and servers use: services, zones, local ends, both families (rules
// 160, 161, 163, 167).
#include <asyncio/connections.hpp>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>

#include "error_of.hpp"
#include "on_virtual_time.hpp"
#include "resolver.hpp"
#include "socket_helpers.hpp"

using namespace on_virtual_time;
using namespace socket_tests;
using unit_tests::error_of;

namespace {

struct Silent : Protocol {
  void data_received(BytesView) override {}
};

std::shared_ptr<Protocol> make_protocol() { return std::make_shared<Silent>(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(connection_addresses_tests)

BOOST_AUTO_TEST_CASE(rule_160_a_service_is_known_by_its_name) {
  EventLoop loop;
  auto connecting = loop.create_connection(make_protocol, "127.0.0.1", "nonsense");
  const std::string error = loop.run_until_complete(ending(std::move(connecting))).what();
  BOOST_TEST(error ==
             "gaierror(" + std::to_string(EAI_SERVICE) + ", '" + gai_strerror(EAI_SERVICE) + "')");
  if (!::getservbyname("http", "tcp")) return;  // a system without a list of services
  const auto infos = loop.run_until_complete(
      detail::ensure_resolved(loop.core(), "127.0.0.1", "http", {.type = SOCK_STREAM}));
  BOOST_TEST_REQUIRE(infos.size() == 1u);
  BOOST_TEST(to_string(infos[0].address) == "('127.0.0.1', 80)");
}

// getaddrinfo is asked for what the options name (N24).
BOOST_AUTO_TEST_CASE(rule_161_family_proto_and_flags_choose_the_addresses) {
  EventLoop loop;
  const Socket listener = listening_socket();
  const int port = listener.getsockname().port();
  const auto outcome = [&](const char* host, const ConnectionOptions& options) {
    return error_of(loop, loop.create_connection(make_protocol, host, port, options));
  };
  const auto resolver_error = [](int code) {
    return "gaierror(" + std::to_string(code) + ", '" + gai_strerror(code) + "')";
  };
  BOOST_TEST(outcome("127.0.0.1", {.family = AF_INET}) == "None");
  BOOST_TEST(outcome("127.0.0.1", {.family = AF_INET6}) == resolver_error(EAI_ADDRFAMILY));
  BOOST_TEST(outcome("localhost", {.family = AF_INET}) == "None");
  BOOST_TEST(outcome("localhost", {.family = AF_INET, .proto = IPPROTO_TCP}) == "None");
  BOOST_TEST(outcome("localhost", {.proto = IPPROTO_UDP}) == resolver_error(EAI_SOCKTYPE));
  BOOST_TEST(outcome("127.0.0.1", {.proto = IPPROTO_UDP}) == "None");  // a literal: TCP, as always
  BOOST_TEST(outcome("localhost", {.flags = AI_NUMERICHOST}) == resolver_error(EAI_NONAME));
}

BOOST_AUTO_TEST_CASE(rule_160_a_zone_is_the_scope_of_the_address) {
  EventLoop loop;
  const auto infos = loop.run_until_complete(
      detail::ensure_resolved(loop.core(), "fe80::1%1", 80, {.type = SOCK_STREAM}));
  BOOST_TEST_REQUIRE(infos.size() == 1u);
  BOOST_TEST(to_string(infos[0].address) == "('fe80::1', 80, 0, 1)");
}

// No host means loopback, of every family that the system has: ::1 and 127.0.0.1 as a rule.
BOOST_AUTO_TEST_CASE(rule_163_local_addresses_of_another_family_are_skipped) {
  EventLoop loop;
  Socket listener = bound_socket("127.0.0.1");
  listener.listen();
  auto [transport, protocol] = loop.run_until_complete(loop.create_connection(
      make_protocol, "127.0.0.1", listener.getsockname().port(), {.local_addr = {"", 0}}));
  BOOST_TEST(transport->get_extra_info(sockname).host() == "127.0.0.1");
  transport->close();
}

// A port that is free for IPv4 may be taken for IPv6: then another one is tried.
BOOST_AUTO_TEST_CASE(rule_167_without_a_host_one_port_serves_both_families) {
  EventLoop loop;
  std::optional<Server> server;
  int port = 0;
  for (int attempt = 0; !server && attempt < 5; ++attempt) {
    port = bound_socket("127.0.0.1").getsockname().port();
    try {
      server = loop.run_until_complete(loop.create_server(make_protocol, "", port));
    } catch (const OSError& error) {
      BOOST_TEST_REQUIRE(error.code().value() == EADDRINUSE);
    }
  }
  BOOST_TEST_REQUIRE(server.has_value());
  BOOST_TEST(server->sockets().size() == (can_bind("::") ? 2u : 1u));
  for (const char* host : {"127.0.0.1", "::1"}) {
    if (!can_bind(host)) continue;
    auto [transport, protocol] =
        loop.run_until_complete(loop.create_connection(make_protocol, host, port));
    BOOST_TEST(to_string(transport->get_extra_info(peername)) == to_string(Address(host, port)));
    transport->close();
  }
}

BOOST_AUTO_TEST_SUITE_END()
