// SPDX-License-Identifier: BSL-1.0
// The sock_* operations (surface A11, rules 125, 127, 128).
#include <asyncio/event_loop.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "sock_fixture.hpp"

using namespace sock_tests;

BOOST_AUTO_TEST_SUITE(sock_operations_tests)

// -- receiving

BOOST_FIXTURE_TEST_CASE(r125_what_is_there_is_received_without_a_pass, Pair) {
  b.send("hello");
  BOOST_TEST(passes(loop.sock_recv(a, 0)) == 0);
  BOOST_TEST(passes(loop.sock_recv(a, 2)) == 0);
  BOOST_TEST(get(loop.sock_recv(a, 100)) == "llo");
}

BOOST_FIXTURE_TEST_CASE(r125_what_comes_later_is_received_two_passes_after_it_came, Pair) {
  const auto send = [&] { b.send("hello"); };
  BOOST_TEST(passes_after(send, loop.sock_recv(a, 100)) == 3);
}

BOOST_FIXTURE_TEST_CASE(sock_recv_gives_nothing_at_the_end, Pair) {
  const auto reading = start(loop.sock_recv(a, 100));
  b.close();
  BOOST_TEST(loop.run_until_complete(reading) == "");
  BOOST_TEST(get(loop.sock_recv(a, 100)) == "");
}

BOOST_FIXTURE_TEST_CASE(sock_recv_may_ask_for_more_than_the_loop_has_memory_for, Pair) {
  b.send("hello");
  BOOST_TEST(get(loop.sock_recv(a, 1 << 20)) == "hello");
}

BOOST_FIXTURE_TEST_CASE(sock_recv_into_fills_the_callers_buffer, Pair) {
  std::array<char, 4> buffer{};
  b.send("hello");
  BOOST_TEST(get(loop.sock_recv_into(a, buffer)) == 4);
  BOOST_TEST(std::string(buffer.data(), 4) == "hell");
  BOOST_TEST(get(loop.sock_recv_into(a, buffer)) == 1);
  BOOST_TEST(std::string(buffer.data(), 4) == "oell");
  const auto reading = start(loop.sock_recv_into(a, buffer));
  b.send("later");
  BOOST_TEST(loop.run_until_complete(reading) == 4);
  BOOST_TEST(std::string(buffer.data(), 4) == "late");
}

BOOST_FIXTURE_TEST_CASE(sock_recvfrom_tells_the_sender, Pair) {
  const Socket receiver = udp_socket(), sender = udp_socket();
  const auto receiving = start(loop.sock_recvfrom(receiver, 5));
  BOOST_TEST(get(loop.sock_sendto(sender, "datagram", receiver.getsockname())) == 8);
  const auto [data, address] = loop.run_until_complete(receiving);
  BOOST_TEST(data == "datag");  // the rest of a datagram is lost
  BOOST_TEST(to_string(address) == to_string(sender.getsockname()));
  BOOST_TEST(get(loop.sock_sendto(sender, "", receiver.getsockname())) == 0);
  BOOST_TEST(get(loop.sock_recvfrom(receiver, 5)).first == "");
}

BOOST_FIXTURE_TEST_CASE(sock_recvfrom_of_a_connection_has_no_address, Pair) {
  b.send("abc");
  const auto [data, address] = get(loop.sock_recvfrom(a, 2));
  BOOST_TEST(data == "ab");
  BOOST_TEST(address.empty());
}

BOOST_FIXTURE_TEST_CASE(sock_recvfrom_into_uses_so_much_of_the_buffer, Pair) {
  const Socket receiver = udp_socket(), sender = udp_socket();
  const Address there = receiver.getsockname();
  std::array<char, 8> buffer{};
  get(loop.sock_sendto(sender, "datagram", there));
  get(loop.sock_sendto(sender, "datagram", there));
  const auto [size, address] = get(loop.sock_recvfrom_into(receiver, buffer, 3));
  BOOST_TEST(size == 3);
  BOOST_TEST(to_string(address) == to_string(sender.getsockname()));
  BOOST_TEST(std::string(buffer.data(), 4) == std::string("dat\0", 4));
  BOOST_TEST(get(loop.sock_recvfrom_into(receiver, buffer)).first == 8);
  BOOST_TEST(error(loop.sock_recvfrom_into(receiver, buffer, 9)) ==
             "ValueError('nbytes is greater than the length of the buffer')");
  const auto receiving = start(loop.sock_recvfrom_into(receiver, buffer));
  get(loop.sock_sendto(sender, "late", there));
  BOOST_TEST(loop.run_until_complete(receiving).first == 4);
}

// -- sending

BOOST_FIXTURE_TEST_CASE(r125_what_fits_is_sent_without_a_pass, Pair) {
  BOOST_TEST(passes(loop.sock_sendall(a, "hello")) == 0);
  BOOST_TEST(passes(loop.sock_sendall(a, "")) == 0);
  BOOST_TEST(b.recv(100) == "hello");
}

BOOST_FIXTURE_TEST_CASE(r127_sendall_sends_all_with_one_send_for_each_readiness, Pair) {
  std::string data;
  for (int i = 0; data.size() < 2'000'000; ++i) data += std::to_string(i) + ' ';
  const auto sending = start(loop.sock_sendall(a, data));
  Bytes received;
  while (!sending.done()) {
    received += read_all(b);
    loop.pass(1);
  }
  loop.run_until_complete(sending);
  received += read_all(b);
  BOOST_TEST((received == data));
}

BOOST_FIXTURE_TEST_CASE(a_lost_connection_is_an_error_of_sendall_and_no_signal, Pair) {
  const std::string data(2'000'000, 'x');
  const auto sending = start(loop.sock_sendall(a, data));
  b.close();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "BrokenPipeError(32, 'Broken pipe')");
  BOOST_TEST(error(loop.sock_sendall(a, "x")) == "BrokenPipeError(32, 'Broken pipe')");
}

BOOST_FIXTURE_TEST_CASE(sock_sendto_resolves_a_name, Pair) {
  const Socket receiver = udp_socket(), sender = udp_socket();
  const int port = receiver.getsockname().port();
  BOOST_TEST(get(loop.sock_sendto(sender, "hello", Address("localhost", port))) == 5);
  BOOST_TEST(get(loop.sock_recv(receiver, 10)) == "hello");
}

BOOST_FIXTURE_TEST_CASE(sock_sendto_waits_for_room, Pair) {
  const Folder folder;
  Socket receiver(AF_UNIX, SOCK_DGRAM), sender(AF_UNIX, SOCK_DGRAM);
  const Address there = Address::from_path(folder / "s");
  receiver.bind(there);
  std::size_t sent = 0;
  std::optional<Task<std::size_t>> waiting;
  while (!waiting) {  // a Unix socket has room for a few datagrams only
    auto sending = loop.create_task(loop.sock_sendto(sender, "datagram", there));
    loop.pass();
    if (sending.done())
      ++sent;
    else
      waiting = sending;
  }
  BOOST_TEST(sent > 0);
  BOOST_TEST(receiver.recv(100) == "datagram");
  BOOST_TEST(loop.run_until_complete(*waiting) == 8);
}

// -- connecting

Coroutine<> echo_one(const Socket& listener) {
  EventLoop& loop = get_running_loop();
  auto [connection, address] = co_await loop.sock_accept(listener);
  BOOST_TEST(to_string(address) == to_string(connection.getpeername()));
  BOOST_TEST(!connection.get_inheritable());
  for (;;) {
    const Bytes data = co_await loop.sock_recv(connection, 1000);
    if (data.empty()) break;
    co_await loop.sock_sendall(connection, data);
  }
}

Coroutine<Bytes> exchange(Bytes question) {
  EventLoop& loop = get_running_loop();
  const Socket listener = listening_socket();
  const Socket client(AF_INET, SOCK_STREAM);
  const Task<> serving = loop.create_task(echo_one, std::cref(listener));
  co_await loop.sock_connect(client, listener.getsockname());
  co_await loop.sock_sendall(client, question);
  Bytes answer = co_await loop.sock_recv(client, 1000);
  client.shutdown(SHUT_WR);
  co_await serving;
  co_return answer;
}

BOOST_AUTO_TEST_CASE(a_client_and_a_server_of_sockets) {
  const NoDescriptorLeft check;
  EventLoop loop;  // not on virtual time: a connection may take some
  BOOST_TEST(loop.run_until_complete(exchange("hello")) == "hello");
}

BOOST_AUTO_TEST_CASE(sock_connect_resolves_a_name) {
  const NoDescriptorLeft check;
  EventLoop loop;
  const Socket listener = listening_socket();
  const Socket client(AF_INET, SOCK_STREAM);
  loop.run_until_complete(
      loop.sock_connect(client, Address("localhost", listener.getsockname().port())));
  BOOST_TEST(to_string(client.getpeername()) == to_string(listener.getsockname()));
  const Socket lost(AF_INET, SOCK_STREAM);
  BOOST_CHECK_THROW(
      loop.run_until_complete(loop.sock_connect(lost, Address("no.such.name.invalid", 1))),
      gaierror);
}

BOOST_AUTO_TEST_CASE(a_failed_connection_names_the_address) {
  const NoDescriptorLeft check;
  EventLoop loop;
  const Address nobody = unused_address();
  const Socket client(AF_INET, SOCK_STREAM);
  BOOST_TEST(loop.run_until_complete(ending(loop.sock_connect(client, nobody))).what() ==
             "ConnectionRefusedError(111, \"Connect call failed " + to_string(nobody) + "\")");
  const Socket unix_client(AF_UNIX, SOCK_STREAM);
  BOOST_TEST(loop.run_until_complete(
                     ending(loop.sock_connect(unix_client, Address::from_path("/no/such"))))
                 .what() == "FileNotFoundError(2, 'No such file or directory')");
}

BOOST_FIXTURE_TEST_CASE(r125_sock_accept_tries_first_and_then_waits, Pair) {
  const Folder folder;
  const Address here = Address::from_path(folder / "s");
  const Socket listener = listening_socket(here);
  Socket first(AF_UNIX, SOCK_STREAM), second(AF_UNIX, SOCK_STREAM);
  first.connect(here);
  BOOST_TEST(passes(loop.sock_accept(listener)) == 0);
  const auto connect = [&] { second.connect(here); };
  BOOST_TEST(passes_after(connect, loop.sock_accept(listener)) == 3);
}

// -- errors, and several operations at once

BOOST_FIXTURE_TEST_CASE(errors_of_the_system_are_its_own, Pair) {
  const Socket alone(AF_INET, SOCK_STREAM);
  BOOST_TEST(error(loop.sock_recv(alone, 1)) ==
             "OSError(107, 'Transport endpoint is not connected')");
  BOOST_TEST(error(loop.sock_accept(alone)) == "OSError(22, 'Invalid argument')");
  BOOST_TEST(error(loop.sock_recv(Socket(), 1)) == "OSError(9, 'Bad file descriptor')");
  BOOST_TEST(error(loop.sock_sendto(udp_socket(), std::string(70'000, 'x'), unused_address())) ==
             "OSError(90, 'Message too long')");
}

BOOST_FIXTURE_TEST_CASE(only_debug_mode_asks_whether_the_socket_blocks, Pair) {
  ::fcntl(a.fileno(), F_SETFL, 0);
  b.send("hello");
  BOOST_TEST(get(loop.sock_recv(a, 100)) == "hello");
  loop.set_debug(true);
  std::array<char, 4> buffer{};
  const std::string refused = "ValueError('the socket must be non-blocking')";
  BOOST_TEST(error(loop.sock_recv(a, 100)) == refused);
  BOOST_TEST(error(loop.sock_recv_into(a, buffer)) == refused);
  BOOST_TEST(error(loop.sock_recvfrom(a, 100)) == refused);
  BOOST_TEST(error(loop.sock_recvfrom_into(a, buffer)) == refused);
  BOOST_TEST(error(loop.sock_sendall(a, "x")) == refused);
  BOOST_TEST(error(loop.sock_sendto(a, "x", unused_address())) == refused);
  BOOST_TEST(error(loop.sock_connect(a, unused_address())) == refused);
  BOOST_TEST(error(loop.sock_accept(a)) == refused);
  BOOST_TEST(error(loop.sock_sendall(b, "x")) == "None");
}

BOOST_FIXTURE_TEST_CASE(r124_a_transports_socket_is_refused_when_there_is_nothing_yet, Pair) {
  struct Silent : Protocol {
    void data_received(BytesView) override {}
  };
  const auto factory = [] { return std::make_shared<Silent>(); };
  auto connection = get(loop.create_connection(factory, {.sock = &a}));
  const TransportSocket view = connection.first->get_extra_info(asyncio::socket);
  BOOST_TEST(error(loop.sock_recv(view, 1))
                 .starts_with("RuntimeError('File descriptor " + std::to_string(view.fileno()) +
                              " is used by transport <StreamTransport fd="));
}

BOOST_FIXTURE_TEST_CASE(r128_of_two_operations_in_one_direction_the_first_never_completes, Pair) {
  const auto first = start(loop.sock_recv(a, 100));
  const auto second = start(loop.sock_recv(a, 100));
  b.send("hello");
  BOOST_TEST(loop.run_until_complete(second) == "hello");
  b.send("more");
  loop.pass();
  BOOST_TEST(!first.done());
  first.cancel();
  loop.pass();
  BOOST_TEST(first.cancelled());
  BOOST_TEST(get(loop.sock_recv(a, 100)) == "more");
}

BOOST_FIXTURE_TEST_CASE(what_a_protocol_is_given_stays_while_another_socket_is_read, Pair) {
  struct Reader : Protocol {
    void data_received(BytesView data) override {
      meanwhile();
      seen = data.str();
    }
    std::function<void()> meanwhile;
    std::string seen;
  };
  auto [mine, peer] = Socket::pair();
  const auto [transport, protocol] = loop.run_until_complete(
      loop.create_connection([] { return std::make_shared<Reader>(); }, {.sock = &mine}));
  Task<Bytes> receiving;
  protocol->meanwhile = [&] {
    receiving = loop.create_task(loop.sock_recv(a, 100), {.eager_start = true});
  };
  b.send("for the task");
  peer.send("for the protocol");
  loop.pass(2);
  BOOST_TEST(protocol->seen == "for the protocol");
  BOOST_TEST(receiving.result() == "for the task");
  transport->close();
  loop.pass();
}

BOOST_FIXTURE_TEST_CASE(one_task_may_send_while_another_one_receives, Pair) {
  const std::size_t sent = fill(a);
  const auto sending = start(loop.sock_sendall(a, "last"));
  const auto receiving = start(loop.sock_recv(a, 100));
  b.send("answer");
  BOOST_TEST(loop.run_until_complete(receiving) == "answer");
  BOOST_TEST(!sending.done());
  std::size_t received = read_all(b).size();
  loop.run_until_complete(sending);
  received += read_all(b).size();
  BOOST_TEST(received == sent + 4);
}

BOOST_FIXTURE_TEST_CASE(nothing_is_received_at_once_also_if_nothing_is_there, Pair) {
  BOOST_TEST(passes(loop.sock_recv(a, 0)) == 0);
  BOOST_TEST(passes(loop.sock_recv_into(a, MutableBytes())) == 0);
  BOOST_TEST(a.recv(0) == "");
}

BOOST_AUTO_TEST_SUITE_END()
