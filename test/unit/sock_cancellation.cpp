// SPDX-License-Identifier: BSL-1.0
// After a sock_* operation was cancelled, or has failed, the next one misses nothing (rule 126).
#include <asyncio/event_loop.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "sock_fixture.hpp"

using namespace sock_tests;

BOOST_AUTO_TEST_SUITE(sock_cancellation_tests)

BOOST_FIXTURE_TEST_CASE(r126_a_reader_that_replaced_the_wait_stays, Pair) {
  const auto receiving = start(loop.sock_recv(a, 100));
  int calls = 0;
  loop.add_reader(a, [&] { ++calls; });
  receiving.cancel();
  loop.pass();
  BOOST_TEST(receiving.cancelled());
  b.send("x");
  loop.pass(2);
  BOOST_TEST(calls == 2);
  BOOST_TEST(loop.remove_reader(a));
}

BOOST_FIXTURE_TEST_CASE(a_cancelled_operation_watches_nothing_any_more, Pair) {
  fill(a);
  for (const int kind : {0, 1}) {
    const auto body = [&]() -> Coroutine<> {
      if (kind == 0) {
        const Bytes data = co_await loop.sock_recv(a, 1);
        BOOST_TEST(data == "never");
      } else {
        co_await loop.sock_sendall(a, "x");
      }
    };
    const auto task = start(body());
    task.cancel();
    loop.pass();
    BOOST_TEST(task.cancelled());
    BOOST_TEST(!loop.remove_reader(a));
    BOOST_TEST(!loop.remove_writer(a));
  }
}

BOOST_FIXTURE_TEST_CASE(r126_another_operation_may_follow_in_the_step_that_cancels_one, Pair) {
  const auto first = start(loop.sock_recv(a, 100));
  const auto receive_again = [&]() -> Coroutine<Bytes> {
    first.cancel();
    Bytes data = co_await loop.sock_recv(a, 100);
    co_return data;
  };
  const auto second = start(receive_again());
  BOOST_TEST(first.cancelled());
  b.send("hello");
  BOOST_TEST(loop.run_until_complete(second) == "hello");

  const std::size_t before = fill(a);
  const auto lost = start(loop.sock_sendall(a, "lost"));
  const auto send_again = [&]() -> Coroutine<> {
    lost.cancel();
    co_await loop.sock_sendall(a, "sent");
  };
  const auto sending = start(send_again());
  BOOST_TEST(lost.cancelled());
  Bytes received = read_all(b);
  loop.run_until_complete(sending);
  received += read_all(b);
  BOOST_TEST(received.size() == before + 4);
  BOOST_TEST(received.ends_with("sent"));
}

BOOST_AUTO_TEST_CASE(after_a_refused_connection_the_socket_may_try_again) {
  const NoDescriptorLeft check;
  EventLoop loop;
  Socket listener(AF_INET, SOCK_STREAM);
  listener.bind(Address("127.0.0.1", 0));
  const Socket client(AF_INET, SOCK_STREAM);
  const Address there = listener.getsockname();
  const auto attempt = [&] {
    return loop.run_until_complete(ending(loop.sock_connect(client, there))).what();
  };
  BOOST_TEST(attempt().starts_with("ConnectionRefusedError(111, \"Connect call failed "));
  listener.listen();
  std::string result = attempt();
  if (result != "None") result = attempt();  // Linux: the second one
  BOOST_TEST(result == "None");
}

BOOST_AUTO_TEST_CASE(r126_another_attempt_may_follow_in_the_step_that_cancels_a_connection) {
  const NoDescriptorLeft check;
  EventLoop loop;
  Socket listener(AF_INET, SOCK_STREAM);
  listener.bind(Address("127.0.0.1", 0));
  const Socket client(AF_INET, SOCK_STREAM);
  const auto body = [&]() -> Coroutine<std::string> {
    const Address there = listener.getsockname();
    const Task<> first = loop.create_task(loop.sock_connect(client, there));
    co_await asyncio::sleep(0);
    const bool cancelled = first.cancel();
    BOOST_TEST(cancelled);
    listener.listen();
    std::string result;
    for (int i = 0; i != 3 && result != "None"; ++i) {  // Linux tells the first one's failure first
      const Ending end = co_await ending(loop.sock_connect(client, there));
      result = end.what();
    }
    BOOST_TEST(first.cancelled());
    co_return result;
  };
  BOOST_TEST(loop.run_until_complete(body()) == "None");
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_under_way_is_waited_for_after_a_cancellation) {
  const NoDescriptorLeft check;
  EventLoop loop;
  Socket listener(AF_INET, SOCK_STREAM);
  listener.bind(Address("127.0.0.1", 0));
  listener.listen(0);
  const Address there = listener.getsockname();
  const auto pass = [&] {
    loop.stop();
    loop.run_forever();
  };
  // The backlog is full when the kernel lets one wait.
  std::vector<Socket> clients;
  Task<> connecting = loop.create_task(nothing());
  do {
    clients.emplace_back(AF_INET, SOCK_STREAM);
    connecting = loop.create_task(loop.sock_connect(clients.back(), there));
    for (int i = 0; i < 5; ++i) pass();
  } while (connecting.done());
  connecting.cancel();
  pass();
  pass();
  BOOST_TEST(connecting.cancelled());
  connecting = loop.create_task(loop.sock_connect(clients.back(), there));
  for (int i = 0; i < 5; ++i) pass();
  BOOST_TEST(!connecting.done());
  connecting.cancel();
  pass();
  pass();
}

BOOST_FIXTURE_TEST_CASE(a_datagram_to_nobody_leaves_the_socket_usable, Pair) {
  const Socket first = udp_socket(), second = udp_socket();
  const auto receiving = start(loop.sock_recvfrom(first, 100));
  BOOST_TEST(get(loop.sock_sendto(first, "x", unused_address())) == 1);
  loop.pass();
  BOOST_TEST(get(loop.sock_sendto(second, "hello", first.getsockname())) == 5);
  BOOST_TEST(loop.run_until_complete(receiving).first == "hello");
}

BOOST_FIXTURE_TEST_CASE(what_came_when_the_task_was_cancelled_is_not_lost, Pair) {
  const auto task = start(loop.sock_recv(a, 100));
  b.send("precious");
  loop.pass(1);  // the task is told in the next one
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  BOOST_TEST(get(loop.sock_recv(a, 100)) == "precious");
}

BOOST_FIXTURE_TEST_CASE(a_connection_that_came_when_accept_was_cancelled_is_not_lost, Pair) {
  const Folder folder;
  const Address here = Address::from_path(folder / "s");
  const Socket listener = listening_socket(here);
  const auto task = start(loop.sock_accept(listener));
  Socket client(AF_UNIX, SOCK_STREAM);
  client.connect(here);
  loop.pass(1);
  task.cancel();
  loop.pass();
  BOOST_TEST(task.cancelled());
  client.send("hello");
  const auto [connection, address] = get(loop.sock_accept(listener));
  BOOST_TEST(get(loop.sock_recv(connection, 100)) == "hello");
}

BOOST_AUTO_TEST_CASE(cancelled_anywhere_nothing_is_left_open) {
  const Folder folder;
  const NoDescriptorLeft check;
  int run = 0;
  const auto body = [&](Loop& loop) -> Coroutine<> {
    const Address here = Address::from_path(folder / std::to_string(run++));
    const Socket listener = listening_socket(here);
    const Socket client(AF_UNIX, SOCK_STREAM);
    const auto connect = [&] { const_cast<Socket&>(client).connect(here); };
    loop.call_soon(connect);
    auto [server, address] = co_await loop.sock_accept(listener);
    const std::string much(1'000'000, 'x');
    const auto send = [&] { return loop.sock_sendall(client, much); };
    const Task<> sending = loop.create_task(send);
    struct Cancel {
      explicit Cancel(const Task<>& task) : task(task) {}
      ~Cancel() { task.cancel(); }
      const Task<>& task;
    } const cancel(sending);
    std::size_t received = 0;
    while (received != much.size()) {
      const Bytes data = co_await loop.sock_recv(server, 200'000);
      received += data.size();
    }
    co_await sending;
    const auto say_more = [&] { const_cast<Socket&>(client).send("more"); };
    loop.call_soon(say_more);
    std::array<char, 10> buffer;
    const std::size_t size = co_await loop.sock_recv_into(server, buffer);
    BOOST_TEST(size == 4);
  };
  BOOST_TEST(cancel_everywhere(body) >= 4);
}

BOOST_AUTO_TEST_CASE(a_loop_that_closes_ends_the_wait) {
  const NoDescriptorLeft check;
  auto [a, b] = Socket::pair();
  Loop loop;
  loop.create_task(loop.sock_recv(a, 100));
  loop.pass();
  loop.close();
  BOOST_TEST(loop.reports().size() == 1);  // the task was pending
  b.send("x");
  BOOST_TEST(a.recv(10) == "x");
}

BOOST_AUTO_TEST_SUITE_END()
