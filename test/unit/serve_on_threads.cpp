// SPDX-License-Identifier: BSL-1.0
//
// serve_on_threads: a loop and a server in each of several threads, and their orderly end.
#include <asyncio/serve_on_threads.hpp>

#include <algorithm>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/threads.hpp>
#include <asyncio/wait.hpp>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "core_helpers.hpp"
#include "socket_helpers.hpp"

using namespace asyncio;
using core_tests::says;

namespace {

/// A port of this test's own, on which every thread may listen.
class ReservedPort {
 public:
  ReservedPort() : socket_(AF_INET, SOCK_STREAM) {
    socket_.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    socket_.bind(Address("127.0.0.1", 0));
  }
  Address address() const { return socket_.getsockname(); }

 private:
  Socket socket_;
};

Coroutine<> echo(StreamReader reader, StreamWriter writer) {
  while (auto line = co_await reader.next_line()) {
    writer.write(*line);
    co_await writer.drain();
  }
  writer.close();
}

Coroutine<Server> serve_echo(Address address) {
  return start_server(echo, address.host(), address.port(), {.reuse_port = true});
}

/// A client that blocks.
class Client {
 public:
  explicit Client(const Address& address)
      : streams_(loop_.run_until_complete(open_connection(address.host(), address.port()))) {}
  ~Client() { streams_.second.close(); }

  Bytes ask(const std::string& question) {
    streams_.second.write(question + "\n");
    return read_line();
  }
  /// Empty at the end; ConnectionResetError if the other side has aborted.
  Bytes read_line() { return loop_.run_until_complete(streams_.first.readline()); }

 private:
  EventLoop loop_;
  std::pair<StreamReader, StreamWriter> streams_;
};

bool accepts(const Address& address) {
  try {
    const Client client(address);
    return true;
  } catch (const OSError&) {
    return false;
  }
}
void wait_until_refused(const Address& address) {
  while (accepts(address)) std::this_thread::yield();
}

/// Is the connection at its end, one way or the other?
bool ended(Client& client) {
  try {
    return client.read_line().empty();
  } catch (const ConnectionResetError&) {
    return true;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(serve_on_threads_tests)

BOOST_AUTO_TEST_CASE(each_thread_has_a_loop_and_a_server_of_its_own) {
  const socket_tests::NoDescriptorLeft check;
  const ReservedPort port;
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::set<EventLoop*> loops;
  {
    const ServerThreads servers = serve_on_threads(3, [&](EventLoop& loop) {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      if (&loop == &get_running_loop()) loops.insert(&loop);
      return serve_echo(port.address());
    });
    BOOST_TEST(threads.size() == 3u);
    BOOST_TEST(threads.count(std::this_thread::get_id()) == 0u);
    BOOST_TEST(loops.size() == 3u);
    for (int i = 0; i != 8; ++i) BOOST_TEST(Client(port.address()).ask("spam") == "spam\n");
  }
  BOOST_TEST(!accepts(port.address()));
}

BOOST_AUTO_TEST_CASE(none_stands_for_as_many_threads_as_there_are_processors) {
  const ReservedPort port;
  std::atomic<unsigned> count = 0;
  const ServerThreads servers = serve_on_threads(0, [&](EventLoop&) {
    ++count;
    return serve_echo(port.address());
  });
  BOOST_TEST(count == std::max(1u, std::thread::hardware_concurrency()));
}

BOOST_AUTO_TEST_CASE(all_threads_may_share_one_listening_socket) {
  Socket shared(AF_INET, SOCK_STREAM);
  shared.bind(Address("127.0.0.1", 0));
  const Address address = shared.getsockname();
  {
    const ServerThreads servers = serve_on_threads(2, [&](EventLoop&) {
      Socket mine = shared.dup();
      return start_server(echo, {.sock = &mine});
    });
    shared.close();
    BOOST_TEST(Client(address).ask("spam") == "spam\n");
  }
  BOOST_TEST(!accepts(address));
}

BOOST_AUTO_TEST_CASE(the_program_learns_where_the_first_thread_listens) {
  const ServerThreads servers =
      serve_on_threads(1, [](EventLoop&) { return start_server(echo, "127.0.0.1", 0); });
  BOOST_TEST_REQUIRE(servers.addresses().size() == 1u);
  BOOST_TEST(Client(servers.addresses()[0]).ask("spam") == "spam\n");
}

BOOST_AUTO_TEST_CASE(the_factory_lives_as_long_as_the_servers_that_refer_to_it) {
  const std::string greeting = "hello\n";
  const ServerThreads servers = serve_on_threads(2, [greeting](EventLoop&) -> Coroutine<Server> {
    auto greet = [&](StreamReader, StreamWriter writer) {
      writer.write(greeting);
      writer.close();
    };
    Server server = co_await start_server(greet, "127.0.0.1", 0);
    co_return server;
  });
  BOOST_TEST(Client(servers.addresses()[0]).read_line() == greeting);
}

// -- failing to start

BOOST_AUTO_TEST_CASE(when_one_factory_fails_the_others_are_stopped_and_the_exception_comes_out) {
  const socket_tests::NoDescriptorLeft check;
  const ReservedPort port;
  std::atomic<int> number = 0;
  std::atomic<bool> cancelled = false;
  std::latch others(2);
  const auto factory = [&](EventLoop&) -> Coroutine<Server> {
    Server server;
    switch (number++) {
      case 0:
        server = co_await serve_echo(port.address());
        others.count_down();
        break;
      case 1:
        others.count_down();
        try {
          const Future<> never;
          co_await never;
        } catch (const CancelledError&) {
          cancelled = true;
          throw;
        }
        break;
      default:
        others.wait();
        throw ValueError("no server today");
    }
    co_return server;
  };
  BOOST_CHECK_EXCEPTION(static_cast<void>(serve_on_threads(3, factory)), ValueError,
                        says("no server today"));
  BOOST_TEST(cancelled);
  BOOST_TEST(!accepts(port.address()));
}

BOOST_AUTO_TEST_CASE(exceptions_beside_the_first_are_logged) {
  const core_tests::CapturedLog log;
  const auto factory = [](EventLoop&) -> Coroutine<Server> { throw ValueError("no"); };
  BOOST_CHECK_EXCEPTION(static_cast<void>(serve_on_threads(2, factory)), ValueError, says("no"));
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message ==
             "Exception ignored in a thread of serve_on_threads: ValueError('no')");
}

BOOST_AUTO_TEST_CASE(a_factory_has_to_give_a_server) {
  const auto factory = [](EventLoop&) -> Coroutine<Server> { co_return Server(); };
  BOOST_CHECK_EXCEPTION(static_cast<void>(serve_on_threads(1, factory)), ValueError,
                        says("the factory of serve_on_threads() gave no server"));
}

// -- the end

BOOST_AUTO_TEST_CASE(connections_go_on_after_stop_until_they_are_done) {
  const ReservedPort port;
  ServerThreads servers = serve_on_threads(
      2, [&](EventLoop&) { return serve_echo(port.address()); }, {.drain_timeout = std::nullopt});
  {
    Client client(port.address());
    BOOST_TEST(client.ask("before") == "before\n");
    servers.stop();
    wait_until_refused(port.address());
    BOOST_TEST(client.ask("after") == "after\n");
  }
  servers.join();
}

BOOST_AUTO_TEST_CASE(what_is_connected_when_the_time_is_over_is_aborted) {
  const ReservedPort port;
  std::atomic<int> lost = 0;
  ServerThreads servers = serve_on_threads(
      1,
      [&](EventLoop& loop) {
        struct Listener : Protocol {
          explicit Listener(std::atomic<int>& lost) : lost(lost) {}
          void connection_made(std::shared_ptr<Transport> transport) override {
            transport->write("hello\n");
          }
          void connection_lost(std::exception_ptr) override { ++lost; }
          std::atomic<int>& lost;
        };
        return loop.create_server([&] { return std::make_shared<Listener>(lost); }, "127.0.0.1",
                                  port.address().port(), {.reuse_port = true});
      },
      {.drain_timeout = 0});
  Client client(port.address());
  BOOST_TEST(client.read_line() == "hello\n");
  servers.stop();
  BOOST_TEST(ended(client));
  servers.join();
  BOOST_TEST(lost == 1);
}

BOOST_AUTO_TEST_CASE(tasks_that_are_left_are_cancelled_and_waited_for) {
  const ReservedPort port;
  std::atomic<int> cleaned_up = 0;
  ServerThreads servers = serve_on_threads(2, [&](EventLoop& loop) -> Coroutine<Server> {
    loop.create_task([&]() -> Coroutine<> {
      try {
        const Future<> never;
        co_await never;
      } catch (const CancelledError&) {
      }
      co_await asyncio::sleep(0);
      ++cleaned_up;
    });
    Server server = co_await serve_echo(port.address());
    co_return server;
  });
  servers.stop();
  servers.join();
  BOOST_TEST(cleaned_up == 2);
}

BOOST_AUTO_TEST_CASE(work_in_the_default_executor_is_waited_for) {
  const ReservedPort port;
  std::latch at_work(1), go_on(1);
  std::atomic<bool> done = false;
  ServerThreads servers = serve_on_threads(1, [&](EventLoop& loop) {
    static_cast<void>(loop.run_in_executor(nullptr, [&] {
      at_work.count_down();
      go_on.wait();
      done = true;
    }));
    return serve_echo(port.address());
  });
  at_work.wait();
  servers.stop();
  go_on.count_down();
  servers.join();
  BOOST_TEST(done);
}

BOOST_AUTO_TEST_CASE(stop_may_come_from_any_thread_and_more_than_once) {
  const ReservedPort port;
  ServerThreads servers =
      serve_on_threads(2, [&](EventLoop&) { return serve_echo(port.address()); });
  std::thread other([&] { servers.stop(); });
  servers.stop();
  other.join();
  servers.join();
  servers.stop();
  servers.join();
  BOOST_TEST(!accepts(port.address()));
}

BOOST_AUTO_TEST_CASE(a_connection_may_stop_the_servers) {
  const ReservedPort port;
  std::optional<ServerThreads> servers;
  std::latch known(1);
  servers = serve_on_threads(2, [&](EventLoop&) {
    auto quit = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      const Bytes line = co_await reader.readline();
      known.wait();
      servers->stop();
      writer.write("bye\n");
      writer.close();
    };
    return start_server(quit, "127.0.0.1", port.address().port(), {.reuse_port = true});
  });
  known.count_down();
  BOOST_TEST(Client(port.address()).ask("quit") == "bye\n");
  servers->join();
}

BOOST_AUTO_TEST_CASE(an_exception_that_leaves_one_loop_stops_all_and_comes_out_of_join_once) {
  const ReservedPort port;
  ServerThreads servers = serve_on_threads(3, [&](EventLoop&) {
    auto exit = [](StreamReader, StreamWriter) -> Coroutine<> {
      throw SystemExit(3);
      co_return;
    };
    return start_server(exit, "127.0.0.1", port.address().port(), {.reuse_port = true});
  });
  Client client(port.address());
  BOOST_TEST(ended(client));
  BOOST_CHECK_EXCEPTION(servers.join(), SystemExit,
                        [](const SystemExit& exit) { return exit.code() == 3; });
  servers.join();
  BOOST_TEST(!accepts(port.address()));
}

BOOST_AUTO_TEST_CASE(the_destructor_logs_what_join_would_throw) {
  const core_tests::CapturedLog log;
  {
    const ServerThreads servers = serve_on_threads(1, [](EventLoop&) {
      const auto exit = [](StreamReader, StreamWriter) { throw SystemExit(3); };
      return start_server(exit, "127.0.0.1", 0);
    });
    Client client(servers.addresses()[0]);
    BOOST_TEST(ended(client));
  }
  BOOST_TEST_REQUIRE(!log.records.empty());
  BOOST_TEST(log.records.back().message ==
             "Exception ignored in a thread of serve_on_threads: SystemExit(3)");
}

BOOST_AUTO_TEST_CASE(the_handle_moves_and_what_it_is_assigned_over_ends) {
  const ReservedPort first_port, second_port;
  const auto on = [](const ReservedPort& port) {
    return serve_on_threads(1, [&](EventLoop&) { return serve_echo(port.address()); });
  };
  ServerThreads servers = on(first_port);
  servers = on(second_port);
  BOOST_TEST(!accepts(first_port.address()));
  const ServerThreads moved = std::move(servers);
  BOOST_TEST(accepts(second_port.address()));
}

BOOST_AUTO_TEST_SUITE_END()
