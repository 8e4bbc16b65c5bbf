// SPDX-License-Identifier: BSL-1.0
// Ports, literal addresses, getaddrinfo and getnameinfo (surface A12, rule 160).
#include "resolver.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include "captured_log.hpp"
#include "connection_helpers.hpp"

using namespace connection_tests;
using namespace std::string_literals;
using unit_tests::CapturedLog;

BOOST_AUTO_TEST_SUITE(resolver_tests)

// -- ports and literals

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

BOOST_AUTO_TEST_CASE(rule_160_a_literal_keeps_flow_and_scope) {
  const auto literal = [](const Address& address) {
    const LocalAddress local(address);
    const auto found = detail::literal_address(std::string(local.host()), local.port(),
                                               {.type = SOCK_STREAM}, local.ipv6());
    return to_string(found->address);
  };
  BOOST_TEST(literal(Address("fe80::1", 80, 3, 2)) == "('fe80::1', 80, 3, 2)");
  BOOST_TEST(literal(Address("127.0.0.1", 80, 3, 2)) == "('127.0.0.1', 80)");
  const DatagramAddress datagram(Address("fe80::1", 80, 3, 2));
  BOOST_TEST(datagram.ipv6().flowinfo == 3u);
  BOOST_TEST(datagram.ipv6().scope_id == 2u);
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
  const CapturedLog log(LogLevel::debug);
  EventLoop loop;
  loop.set_debug(true);
  loop.run_until_complete(
      loop.getaddrinfo("127.0.0.1", 80, {.type = SOCK_STREAM, .flags = AI_NUMERICHOST}));
  const std::vector<std::string> messages = log.messages();
  BOOST_TEST_REQUIRE(messages.size() == 3u);  // the first of the loop
  const std::string question = "127.0.0.1:80, type=<SocketKind.SOCK_STREAM: 1>, flags=4";
  BOOST_TEST(messages[1] == "Get address info " + question);
  const std::string begin = "Getting address info " + question + " took ";
  BOOST_TEST_REQUIRE(messages[2].starts_with(begin));
  const std::string rest = messages[2].substr(begin.size());
  const std::size_t point = rest.find('.');
  BOOST_TEST(rest.substr(0, point).find_first_not_of("0123456789") == std::string::npos);
  BOOST_TEST(rest.substr(point + 4) ==  // behind three digits
             "ms: [(<AddressFamily.AF_INET: 2>, <SocketKind.SOCK_STREAM: 1>, 6, '', "
             "('127.0.0.1', 80))]");
}

BOOST_AUTO_TEST_CASE(rule_108_what_takes_long_for_the_loop_is_an_info) {
  const CapturedLog log(LogLevel::info);
  EventLoop loop;
  loop.set_debug(true);
  loop.set_slow_callback_duration(0);
  loop.run_until_complete(
      loop.getaddrinfo("127.0.0.1", "80", {.family = AF_INET, .flags = AI_NUMERICHOST}));
  BOOST_TEST(std::any_of(log.records.begin(), log.records.end(), [](const auto& record) {
    return record.message.starts_with(
        "Getting address info 127.0.0.1:'80', family=<AddressFamily.AF_INET: 2>, flags=4 took ");
  }));
}

BOOST_AUTO_TEST_CASE(getnameinfo_gives_host_and_service) {
  EventLoop loop;
  const auto [host, service] = loop.run_until_complete(
      loop.getnameinfo(Address("127.0.0.1", 80), NI_NUMERICHOST | NI_NUMERICSERV));
  BOOST_TEST(host == "127.0.0.1");
  BOOST_TEST(service == "80");
  BOOST_TEST(error_of(loop, loop.getnameinfo(Address("localhost", 80))).starts_with("gaierror("));
}

BOOST_AUTO_TEST_SUITE_END()
