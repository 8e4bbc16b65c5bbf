// SPDX-License-Identifier: BSL-1.0
// create_datagram_endpoint (surface CN22, rules 171 and 172).
#include <asyncio/connections.hpp>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "datagram_fixture.hpp"
#include "on_virtual_time.hpp"

namespace {

using namespace datagram_fixture;
using socket_tests::Folder;

/// What create_datagram_endpoint throws, as Python prints it; "None" if nothing. Whatever happens,
/// no descriptor may be left.
std::string error_of(DatagramOptions options) {
  const auto before = socket_tests::open_descriptors() - (options.sock ? 1 : 0);
  std::string text = "None";
  {
    EventLoop loop;
    try {
      loop.run_until_complete(loop.create_datagram_endpoint<Recorder>(options));
    } catch (...) {
      text = repr(std::current_exception());
    }
  }
  BOOST_TEST(socket_tests::open_descriptors() == before);
  return text;
}

int option(const DatagramTransport& transport, int name) {
  return transport.get_extra_info(asyncio::socket).getsockopt(SOL_SOCKET, name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(datagrams_tests)

// -- UDP

BOOST_AUTO_TEST_CASE(cn22_a_server_and_a_client_talk) {
  EventLoop loop;
  auto [server, server_protocol] = loop.run_until_complete(
      loop.create_datagram_endpoint<Recorder>({.local_addr = {"127.0.0.1", 0}}));
  BOOST_TEST(server_protocol->events == Lines{"made"});
  BOOST_TEST((server == server_protocol->transport));
  auto [client, client_protocol] = loop.run_until_complete(
      loop.create_datagram_endpoint<Recorder>({.remote_addr = server->get_extra_info(sockname)}));
  client->sendto("ping");
  server_protocol->on_datagram = [&, transport = server.get(), protocol = server_protocol.get()] {
    transport->sendto("pong", protocol->senders.back());
  };
  client_protocol->on_datagram = [&] { loop.stop(); };
  loop.run_forever();
  BOOST_TEST(server_protocol->news() == (Lines{"made", "got ping"}));
  BOOST_TEST(client_protocol->news() == (Lines{"made", "got pong"}));
  BOOST_TEST((server_protocol->senders[0] == client->get_extra_info(sockname)));
  BOOST_TEST((client_protocol->senders[0] == server->get_extra_info(sockname)));
  client->close();
  server->close();
  loop.run_until_complete(asyncio::sleep(0));
}

BOOST_FIXTURE_TEST_CASE(a_literal_address_does_not_yield_before_connection_made, LoopFixture) {
  const auto protocol = std::make_shared<Recorder>();
  const auto task = loop.create_task(
      loop.create_datagram_endpoint([&] { return protocol; }, {.local_addr = {"127.0.0.1", 0}}));
  pass();  // its first step
  BOOST_TEST(protocol->events.empty());
  pass();
  BOOST_TEST(protocol->events == Lines{"made"});
  BOOST_TEST(!task.done());
  pass();
  BOOST_TEST(task.done());
  protocol->transport->close();
  pass();
}

BOOST_AUTO_TEST_CASE(a_protocol_that_overrides_nothing_is_one) {
  struct Plain : DatagramProtocol {};
  Fixture f;
  Socket peer = udp_socket();
  auto [transport, protocol] = f.loop.run_until_complete(
      f.loop.create_datagram_endpoint<Plain>({.remote_addr = peer.getsockname()}));
  peer.connect(transport->get_extra_info(sockname));
  peer.send("x");
  transport->sendto(std::string(70'000, 'x'));  // fails, and nobody minds
  transport->sendto("y");
  BOOST_TEST(received(peer) == Lines{"y"});
  f.pass(3);
  transport->close();
  f.pass();
  BOOST_TEST(!transport->get_protocol());
  BOOST_TEST(f.reports.empty());
}

BOOST_AUTO_TEST_CASE(a_name_is_resolved) {
  Fixture f;
  f.open({.local_addr = {"localhost", 0}, .family = AF_INET});
  BOOST_TEST(f.transport->get_extra_info(sockname).host() == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(both_ends_may_be_given) {
  Fixture f;
  f.peer = udp_socket();
  const Address local = unused_address();
  f.open({.local_addr = local, .remote_addr = f.peer.getsockname()});
  BOOST_TEST((f.transport->get_extra_info(sockname) == local));
  BOOST_TEST((f.transport->get_extra_info(peername) == f.peer.getsockname()));
}

BOOST_AUTO_TEST_CASE(r171_only_a_family_that_all_addresses_have_is_used) {
  // The empty host is loopback of every family, and the first is ::1 as a rule.
  Fixture f;
  f.peer = udp_socket();
  f.open({.local_addr = {"", 0}, .remote_addr = f.peer.getsockname()});
  BOOST_TEST(f.transport->get_extra_info(sockname).family() == AF_INET);
}

BOOST_AUTO_TEST_CASE(r171_the_first_place_that_works_is_used_else_the_first_error_told) {
  if (!socket_tests::can_bind("::1")) return;
  const auto bound = [](const char* host, int port) {
    Socket socket(Address(host, 0).family(), SOCK_DGRAM);
    socket.bind(Address(host, port));
    return socket;
  };
  const Socket six = bound("::1", 0);
  const int port = six.getsockname().port();
  {
    Fixture f;
    f.open({.local_addr = {"", port}});
    BOOST_TEST(f.transport->get_extra_info(sockname).host() == "127.0.0.1");
  }
  const Socket four = bound("127.0.0.1", port);
  BOOST_TEST(error_of({.local_addr = {"", port}}).starts_with("OSError(98, "));
}

BOOST_AUTO_TEST_CASE(a_family_alone_is_enough_to_send) {
  Fixture f;
  f.peer = udp_socket();
  f.open({.family = AF_INET});
  f.transport->sendto("x", f.peer.getsockname());
  BOOST_TEST(received(f.peer) == Lines{"x"});
}

BOOST_AUTO_TEST_CASE(ipv6) {
  Socket probe(AF_INET6, SOCK_DGRAM);
  try {
    probe.bind(Address("::1", 0));
  } catch (const OSError&) {
    BOOST_TEST_MESSAGE("there is no IPv6 here");
    return;
  }
  Fixture f;
  f.open({.local_addr = {"::1", 0}});
  probe.connect(f.transport->get_extra_info(sockname));
  probe.send("x");
  f.run_until_event("got x");
  f.transport->sendto("y", f.protocol->senders.back());
  BOOST_TEST(received(probe) == Lines{"y"});
}

// -- options

BOOST_AUTO_TEST_CASE(socket_options_are_set_only_when_asked_for) {
  Fixture plain, asked;
  plain.open({.local_addr = {"127.0.0.1", 0}});
  asked.open({.local_addr = {"127.0.0.1", 0}, .reuse_port = true, .allow_broadcast = true});
  for (const int name : {SO_REUSEPORT, SO_BROADCAST}) {
    BOOST_TEST(option(*plain.transport, name) == 0);
    BOOST_TEST(option(*asked.transport, name) == 1);
  }
  BOOST_TEST(option(*asked.transport, SO_REUSEADDR) == 0);
}

BOOST_AUTO_TEST_CASE(reuse_port_lets_two_endpoints_share_a_port) {
  Fixture first, second;
  first.open({.local_addr = {"127.0.0.1", 0}, .reuse_port = true});
  const Address taken = first.transport->get_extra_info(sockname);
  BOOST_TEST(error_of({.local_addr = taken}) == "OSError(98, 'Address already in use')");
  second.open({.local_addr = taken, .reuse_port = true});
}

BOOST_AUTO_TEST_CASE(r172_allow_broadcast_remembers_the_remote_address_and_does_not_connect) {
  Fixture f;
  f.peer = udp_socket();
  f.open({.remote_addr = f.peer.getsockname(), .allow_broadcast = true});
  BOOST_TEST(f.transport->get_extra_info(peername).empty());
  f.transport->sendto("x");
  BOOST_TEST(received(f.peer) == Lines{"x"});
  BOOST_TEST(thrown_by([&] { f.transport->sendto("y", Address("127.0.0.1", 9)); }) ==
             "ValueError(\"Invalid address: must be None or " + to_string(f.peer.getsockname()) +
                 "\")");
  Socket other = udp_socket();
  const TransportSocket view = f.transport->get_extra_info(asyncio::socket);
  other.connect(Address("127.0.0.1", view.getsockname().port()));
  other.send("from elsewhere");
  f.run_until_event("got from elsewhere");
}

BOOST_AUTO_TEST_CASE(without_allow_broadcast_a_broadcast_address_is_refused) {
  // Without a network there is no way to it.
  const std::string error = error_of({.remote_addr = {"255.255.255.255", 9}});
  BOOST_TEST((error == "PermissionError(13, 'Permission denied')" ||
              error == "OSError(101, 'Network is unreachable')"));
  Fixture f;
  f.open({.remote_addr = {"255.255.255.255", 9}, .allow_broadcast = true});
}

// -- sock

BOOST_AUTO_TEST_CASE(a_socket_that_exists_is_adopted) {
  Fixture f;
  Socket sock = udp_socket();
  const Address address = sock.getsockname();
  f.open({.sock = &sock});
  BOOST_TEST(!sock);
  BOOST_TEST((f.transport->get_extra_info(sockname) == address));
}

BOOST_AUTO_TEST_CASE(a_stream_socket_is_a_value_error) {
  Socket sock(AF_INET, SOCK_STREAM);
  const std::string shown = to_string(sock);
  BOOST_TEST(error_of({.sock = &sock}) ==
             "ValueError(" + repr_str("A datagram socket was expected, got " + shown) + ")");
}

BOOST_AUTO_TEST_CASE(r172_sock_takes_no_other_option_and_all_of_them_are_named) {
  const auto refused = [](DatagramOptions options) {
    Socket sock(AF_INET, SOCK_DGRAM);
    options.sock = &sock;
    std::string text = error_of(options);
    const std::string begin =
        "socket modifier keyword arguments can not be used when sock is specified. (";
    const auto at = text.find(begin);
    BOOST_TEST_REQUIRE(at != text.npos);
    BOOST_TEST(text.starts_with("ValueError("));
    return text.substr(at + begin.size(), text.rfind(')', text.size() - 2) - at - begin.size());
  };
  BOOST_TEST(refused({.local_addr = {"127.0.0.1", 0},
                      .remote_addr = "/x",
                      .family = 2,
                      .proto = 17,
                      .flags = 4,
                      .reuse_port = true,
                      .allow_broadcast = true}) ==
             "local_addr=('127.0.0.1', 0), remote_addr=/x, family=2, proto=17, flags=4, "
             "reuse_port=True, allow_broadcast=True");
  BOOST_TEST(refused({.remote_addr = {"::1", 9}}) == "remote_addr=('::1', 9)");
  BOOST_TEST(refused({.family = 1}) == "family=1");
  BOOST_TEST(refused({.proto = 1}) == "proto=1");
  BOOST_TEST(refused({.flags = 1}) == "flags=1");
  BOOST_TEST(refused({.reuse_port = true}) == "reuse_port=True");
  BOOST_TEST(refused({.reuse_port = false, .allow_broadcast = true}) == "allow_broadcast=True");
}

BOOST_AUTO_TEST_CASE(a_closed_socket_is_an_os_error) {
  Socket closed;
  EventLoop loop;
  BOOST_CHECK_THROW(
      loop.run_until_complete(loop.create_datagram_endpoint<Recorder>({.sock = &closed})), OSError);
}

// -- errors

BOOST_AUTO_TEST_CASE(r171_what_does_not_fit_together_is_refused) {
  BOOST_TEST(error_of({}) == "ValueError('unexpected address family')");
  BOOST_TEST(error_of({.local_addr = {"127.0.0.1", 0}, .remote_addr = {"::1", 9}}) ==
             "ValueError('can not get address information')");
  BOOST_TEST(error_of({.local_addr = "/x"}) == "TypeError('2-tuple is expected')");
  BOOST_TEST(error_of({.remote_addr = "/x", .family = AF_INET}) ==
             "TypeError('2-tuple is expected')");
  BOOST_TEST(error_of({.local_addr = {"127.0.0.1", 0}, .family = AF_UNIX}) ==
             "TypeError('string is expected')");
  BOOST_TEST(error_of({.remote_addr = {"127.0.0.1", 0}, .family = AF_UNIX}) ==
             "TypeError('string is expected')");
  BOOST_TEST(error_of({.local_addr = {"127.0.0.1", 65536}}) ==
             "ValueError('port must be 0-65535.')");
}

BOOST_AUTO_TEST_CASE(the_systems_errors_come_as_they_are) {
  BOOST_TEST(error_of({.local_addr = {"192.0.2.1", 0}}) ==
             "OSError(99, 'Cannot assign requested address')");
  BOOST_TEST(error_of({.family = AF_INET, .proto = IPPROTO_TCP}) ==
             "OSError(93, 'Protocol not supported')");
  BOOST_TEST(
      error_of({.local_addr = {"127.0.0.1", 0}, .family = AF_INET6}).starts_with("gaierror("));
}

BOOST_AUTO_TEST_CASE(a_factory_that_throws_or_makes_nothing_leaves_no_socket) {
  const NoDescriptorLeft checked;
  EventLoop loop;
  const auto thrown = [&](auto factory) {
    return thrown_by([&] {
      loop.run_until_complete(
          loop.create_datagram_endpoint(factory, {.local_addr = {"127.0.0.1", 0}}));
    });
  };
  BOOST_TEST(thrown([]() -> std::shared_ptr<Recorder> { throw ValueError("mine"); }) ==
             "ValueError('mine')");
  BOOST_TEST(thrown([] {
               return std::shared_ptr<Recorder>();
             }).starts_with("TypeError(\"the protocol factory returned a null pointer"));
  struct Stream : Protocol {};
  BOOST_TEST(thrown([] {
               return std::make_shared<Stream>();
             }).starts_with("TypeError('a DatagramProtocol was expected, got "));
}

// -- Unix

BOOST_AUTO_TEST_CASE(unix_endpoints_have_paths) {
  const Folder folder;
  const std::string here = folder / "here", there = folder / "there";
  Fixture f, g;
  f.open({.local_addr = here, .family = AF_UNIX});
  g.open({.local_addr = there, .remote_addr = here, .family = AF_UNIX});
  BOOST_TEST(f.transport->get_extra_info(sockname).path() == here);
  BOOST_TEST(g.transport->get_extra_info(peername).path() == here);
  g.transport->sendto("ping");
  f.run_until_event("got ping");
  BOOST_TEST(f.protocol->senders.back().path() == there);
  f.transport->sendto("pong", f.protocol->senders.back());
  g.run_until_event("got pong");
  f.transport->close();
  f.pass();
  BOOST_TEST(std::filesystem::exists(here));
}

BOOST_AUTO_TEST_CASE(a_unix_client_without_a_name_is_nowhere) {
  const Folder folder;
  const std::string path = folder / "s";
  Fixture f, client;
  f.open({.local_addr = path, .family = AF_UNIX});
  client.open({.remote_addr = path, .family = AF_UNIX});
  client.transport->sendto("x");
  f.run_until_event("got x");
  BOOST_TEST(f.protocol->senders.back().empty());
}

BOOST_AUTO_TEST_CASE(a_stale_socket_file_is_replaced_and_no_other) {
  const Folder folder;
  const std::string path = folder / "s", plain = folder / "plain";
  for (int i = 0; i < 2; ++i) {
    Fixture f;
    f.open({.local_addr = path, .family = AF_UNIX});
  }
  std::ofstream(plain) << "text";
  BOOST_TEST(error_of({.local_addr = plain, .family = AF_UNIX}) ==
             "OSError(98, 'Address already in use')");
  BOOST_TEST(std::filesystem::file_size(plain) == 4u);
}

BOOST_AUTO_TEST_CASE(what_hinders_the_look_at_the_file_is_logged_and_binding_fails) {
  const CapturedLog log;
  const Folder folder;
  std::ofstream(folder / "plain") << "text";
  const std::string path = folder / "plain/s";
  BOOST_TEST(error_of({.local_addr = path, .family = AF_UNIX}) ==
             "NotADirectoryError(20, 'Not a directory')");
  BOOST_TEST(log.lines() == Lines{"ERROR:asyncio:Unable to check or remove stale UNIX socket " +
                                  repr_str(path) + ": NotADirectoryError(20, 'Not a directory')"});
}

BOOST_AUTO_TEST_CASE(abstract_names_have_no_file) {
  const std::string name = std::string(1, '\0') + "asyncio-datagrams-" + std::to_string(::getpid());
  Fixture f, client;
  f.open({.local_addr = name, .family = AF_UNIX});
  client.open({.remote_addr = name, .family = AF_UNIX});
  client.transport->sendto("x");
  f.run_until_event("got x");
}

BOOST_AUTO_TEST_CASE(a_missing_unix_peer_is_told_at_once) {
  BOOST_TEST(error_of({.remote_addr = "/nonexistent/s", .family = AF_UNIX}) ==
             "FileNotFoundError(2, 'No such file or directory')");
  BOOST_TEST(error_of({.local_addr = "/nonexistent/s", .family = AF_UNIX}) ==
             "FileNotFoundError(2, 'No such file or directory')");
}

// -- cancelling

BOOST_AUTO_TEST_CASE(cancelled_at_any_suspension_it_leaves_no_socket) {
  const NoDescriptorLeft checked;
  const auto points = on_virtual_time::cancel_everywhere(
      [](on_virtual_time::Loop& loop) -> Coroutine<> {
        auto [transport, protocol] = co_await loop.create_datagram_endpoint<Recorder>(
            {.local_addr = {"127.0.0.1", 0}, .remote_addr = {"127.0.0.1", 9}});
        const on_virtual_time::Counted counted;
        transport->close();
      },
      [](on_virtual_time::Loop& loop) { loop.pass(); });
  BOOST_TEST(points >= 2u);
}

BOOST_AUTO_TEST_CASE(cancelled_while_a_name_is_resolved_no_protocol_is_made) {
  EventLoop loop;
  // The only thread is busy: the name has to wait.
  loop.set_default_executor(
      std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1}));
  std::promise<void> gate;
  const auto busy = loop.run_in_executor(nullptr, [&] { gate.get_future().wait(); });
  bool made = false;
  const auto factory = [&] {
    made = true;
    return std::make_shared<Recorder>();
  };
  auto task =
      loop.create_task(loop.create_datagram_endpoint(factory, {.remote_addr = {"localhost", 9}}));
  loop.run_until_complete(asyncio::sleep(0));
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  gate.set_value();
  loop.run_until_complete(busy);
  loop.run_until_complete(loop.shutdown_default_executor());
  BOOST_TEST(!made);
}

BOOST_AUTO_TEST_CASE(r166_cancelled_while_connection_made_is_awaited_the_transport_is_closed) {
  EventLoop loop;
  const auto protocol = std::make_shared<Recorder>();
  auto task = loop.create_task(
      loop.create_datagram_endpoint([&] { return protocol; }, {.family = AF_INET}));
  protocol->on_made = [&] { task.cancel(); };
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  loop.run_until_complete(asyncio::sleep(0));
  BOOST_TEST(protocol->events == (Lines{"made", "lost None"}));
}

// -- debug mode

BOOST_AUTO_TEST_CASE(debug_mode_logs_the_creation) {
  const CapturedLog log(LogLevel::debug);
  {
    Fixture f, g;
    f.loop.set_debug(true);
    g.loop.set_debug(true);
    f.open({.local_addr = {"127.0.0.1", 0}});
    g.open({.remote_addr = {"127.0.0.1", 9}});
  }
  const Lines lines = log.lines();
  BOOST_TEST_REQUIRE(lines.size() >= 4u);  // the first two of the loops
  BOOST_TEST(
      lines[2].starts_with("INFO:asyncio:Datagram endpoint local_addr=('127.0.0.1', 0) "
                           "remote_addr=None created: (<DatagramTransport fd="));
  BOOST_TEST(lines[2].ends_with("Recorder)"));
  BOOST_TEST(
      lines[3].starts_with("DEBUG:asyncio:Datagram endpoint remote_addr=('127.0.0.1', 9) "
                           "created: (<DatagramTransport fd="));
}

BOOST_AUTO_TEST_CASE(cn22_the_name_of_an_endpoint_is_the_one_it_began_with) {
  EventLoop loop;
  const auto [transport, protocol] =
      loop.run_until_complete(loop.create_datagram_endpoint<Recorder>({.family = AF_INET}));
  transport->sendto("x", Address("127.0.0.1", 9));  // the kernel gives it a port
  BOOST_TEST((transport->get_extra_info(sockname) == Address("0.0.0.0", 0)));
}

BOOST_AUTO_TEST_SUITE_END()
