// SPDX-License-Identifier: BSL-1.0
//
// Servers over loopback TCP: accepting, closing, waiting (rules 150-157).
#include <asyncio/server.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <asyncio/wait.hpp>

#include "../../src/server.hpp"
#include "captured_log.hpp"
#include "loop_fixture.hpp"
#include "socket_helpers.hpp"
#include "thrown_by.hpp"

namespace {

using namespace asyncio;
using namespace socket_tests;
using namespace unit_tests;
using Events = std::vector<std::string>;

/// What the next calls of accept4 fail with, in this order.
std::vector<int> accept_errors;

}  // namespace

/// In the library's calls, too: the program's symbols go ahead of the C library's. (Running out of
/// descriptors in earnest would take them from the sanitizers as well.)
extern "C" int accept4(int listener, sockaddr* address, socklen_t* length, int flags) {
  if (!accept_errors.empty()) {
    errno = accept_errors.front();
    accept_errors.erase(accept_errors.begin());
    return -1;
  }
  return static_cast<int>(::syscall(SYS_accept4, listener, address, length, flags));
}

namespace {

struct Fixture : LoopFixture {
  using LoopFixture::LoopFixture;

  class Client : public Protocol {
   public:
    explicit Client(Fixture& fixture) : fixture_(fixture) {}
    void connection_made(std::shared_ptr<Transport> transport) override {
      fixture_.events.push_back("made");
      fixture_.transports.push_back(std::move(transport));
    }
    void data_received(BytesView data) override { fixture_.events.push_back("data " + data.str()); }
    void connection_lost(std::exception_ptr) override {
      fixture_.events.push_back("lost");
      if (fixture_.drop_when_lost) fixture_.transports.clear();
    }

   private:
    Fixture& fixture_;
  };

  Events events;
  std::vector<std::shared_ptr<Transport>> transports;
  bool drop_when_lost = false;
  Address address;

  ProtocolFactory recording() {
    return [this] {
      events.push_back("factory");
      return std::make_shared<Client>(*this);
    };
  }
  Server bind(ProtocolFactory factory, int backlog = 100) {
    Socket socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    socket.bind(Address("127.0.0.1", 0));
    address = socket.getsockname();
    std::vector<Socket> sockets;
    sockets.push_back(std::move(socket));
    return Server(std::make_shared<detail::ServerState>(loop.core(), std::move(sockets),
                                                        std::move(factory), backlog));
  }
  Server serve(int backlog = 100) {
    Server server = bind(recording(), backlog);
    loop.run_until_complete(server.start_serving());
    return server;
  }
  /// A client whose connection_made was called.
  Socket connected() {
    const std::size_t before = transports.size();
    Socket socket = connected_socket(address);
    run_until([&] { return transports.size() > before; });
    return socket;
  }
  static bool at_eof(Socket& socket) {
    try {
      return socket.recv(1).empty();
    } catch (const BlockingIOError&) {
      return false;
    } catch (const ConnectionResetError&) {
      return true;
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(server_tests)

BOOST_AUTO_TEST_CASE(rule_150_connections_are_refused_before_start_serving) {
  Fixture f;
  const Server server = f.bind(f.recording());
  BOOST_TEST(!server.is_serving());
  BOOST_CHECK_THROW(connected_socket(f.address), ConnectionRefusedError);
  f.loop.run_until_complete(server.start_serving());
  BOOST_TEST(server.is_serving());
  BOOST_CHECK_NO_THROW(connected_socket(f.address));
}

BOOST_AUTO_TEST_CASE(start_serving_takes_one_pass_and_is_idempotent) {
  Fixture f;
  const Server server = f.bind(f.recording());
  const auto main = [&]() -> Coroutine<std::uint64_t> {
    const std::uint64_t before = f.loop.passes();
    co_await server.start_serving();
    const std::uint64_t after = f.loop.passes();
    co_await server.start_serving();
    co_return after - before;
  };
  BOOST_TEST(f.loop.run_until_complete(main()) == 1u);
  const Socket client = f.connected();
  BOOST_TEST(f.events == (Events{"factory", "made"}));
}

BOOST_AUTO_TEST_CASE(rule_152_factory_one_pass_after_the_accept_connection_made_one_later) {
  Fixture f;
  const Server server = f.serve();
  Socket client = connected_socket(f.address);
  client.send("x");
  f.pass();
  BOOST_TEST(f.events.empty());
  f.pass();
  BOOST_TEST(f.events == Events{"factory"});
  f.pass();
  BOOST_TEST(f.events == (Events{"factory", "made"}));
  f.pass();
  BOOST_TEST(f.events == (Events{"factory", "made", "data x"}));
  BOOST_TEST(to_string(f.transports[0]->get_extra_info(peername)) ==
             to_string(client.getsockname()));
  f.transports.clear();
}

BOOST_AUTO_TEST_CASE(rule_152_the_peer_is_known_also_if_it_is_gone) {
  Fixture f;
  const Server server = f.serve();
  Address peer;
  {
    Socket client = connected_socket(f.address);
    peer = client.getsockname();
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    BOOST_TEST_REQUIRE(
        ::setsockopt(client.fileno(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  }
  f.run_until([&] { return !f.transports.empty(); });
  BOOST_TEST((f.transports[0]->get_extra_info(peername) == peer));
  f.transports.clear();
}

BOOST_AUTO_TEST_CASE(rule_151_all_that_wait_are_accepted_in_one_pass) {
  Fixture f;
  const Server server = f.serve();
  std::vector<Socket> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connected_socket(f.address));
  f.pass(2);
  BOOST_TEST(f.events == Events(10, "factory"));
  f.pass(2);
  f.transports.clear();
}

BOOST_AUTO_TEST_CASE(rule_151_a_pass_accepts_one_more_than_the_backlog) {
  Fixture f;
  const Server server = f.serve(2);
  BOOST_TEST_REQUIRE(::listen(server.sockets()[0].fileno(), 10) == 0);  // so that more may wait
  std::vector<Socket> clients;
  for (int i = 0; i < 7; ++i) clients.push_back(connected_socket(f.address));
  std::vector<std::size_t> accepted;
  while (f.transports.size() < 7) {
    f.pass();
    accepted.push_back(
        static_cast<std::size_t>(std::count(f.events.begin(), f.events.end(), "factory")));
  }
  const auto first = std::find(accepted.begin(), accepted.end(), 3u);
  BOOST_TEST_REQUIRE((accepted.end() - first >= 3));
  BOOST_TEST((std::vector(first, first + 3) == std::vector<std::size_t>{3, 6, 7}));
  f.transports.clear();
}

BOOST_AUTO_TEST_CASE(a_backlog_of_0_accepts_one_after_another) {
  Fixture f;
  const Server server = f.serve(0);
  const Socket first = f.connected();
  const Socket second = f.connected();
  BOOST_TEST(f.events == (Events{"factory", "made", "factory", "made"}));
}

BOOST_AUTO_TEST_CASE(an_accepted_socket_is_not_inherited_and_not_blocking) {
  Fixture f;
  const Server server = f.serve();
  const Socket client = f.connected();
  const int descriptor = f.transports[0]->get_extra_info(asyncio::socket).fileno();
  BOOST_TEST((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
  BOOST_TEST((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
}

BOOST_AUTO_TEST_CASE(a_failing_factory_is_reported_and_the_connection_closed_at_once) {
  Fixture f;
  int calls = 0;
  const Server server = f.bind([&]() -> std::shared_ptr<BaseProtocol> {
    if (++calls == 1) throw ValueError("no protocol");
    return nullptr;
  });
  f.loop.run_until_complete(server.start_serving());
  Socket first = connected_socket(f.address);
  f.pass(3);
  BOOST_TEST(f.at_eof(first));
  Socket second = connected_socket(f.address);
  f.pass(3);
  BOOST_TEST(f.at_eof(second));
  BOOST_TEST(
      f.reports ==
      (Events{"Error on transport creation for incoming connection: ValueError('no protocol')",
              "Error on transport creation for incoming connection: TypeError('a Protocol or "
              "BufferedProtocol was expected, got None')"}));
}

BOOST_AUTO_TEST_CASE(rule_151_without_resources_one_report_and_another_try_a_second_later) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    Events reports;
    Address reported;
    Fixture f({.clock = Clock::virtual_time});
    f.loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(report_text(context));
      reported = context.socket.getsockname();
    });
    const Server server = f.serve();
    const Socket client = connected_socket(f.address);
    accept_errors = {error};
    f.pass(5);  // takes no time
    BOOST_TEST(accept_errors.empty());
    BOOST_TEST(reports == Events{"socket.accept() out of system resource: " +
                                 repr(make_os_error(error))});
    BOOST_TEST((reported == f.address));
    f.loop.run_until_complete(asyncio::sleep(0.999));
    f.pass(5);
    BOOST_TEST(f.events.empty());
    f.loop.run_until_complete(asyncio::sleep(0.001));
    f.pass(5);
    BOOST_TEST(f.events == (Events{"factory", "made"}));
    BOOST_TEST(reports.size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_server_closed_while_it_waits_for_resources_stays_closed) {
  Fixture f({.clock = Clock::virtual_time});
  const Server server = f.serve();
  const Socket client = connected_socket(f.address);
  accept_errors = {ENFILE};
  f.pass(2);
  server.close();
  f.loop.run_until_complete(asyncio::sleep(2));
  BOOST_TEST(f.events.empty());
  BOOST_TEST(f.reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_aborted_in_the_queue_does_not_stop_the_others) {
  Fixture f;
  const Server server = f.serve();
  const Socket first = connected_socket(f.address);
  const Socket second = connected_socket(f.address);
  accept_errors = {ECONNABORTED};
  f.pass(3);
  BOOST_TEST(f.events == (Events{"factory", "factory", "made", "made"}));
  BOOST_TEST(f.reports.empty());
}

BOOST_AUTO_TEST_CASE(
    rule_151_another_error_of_accept_is_reported_as_of_a_callback_and_serving_goes_on) {
  Fixture f;
  const Server server = f.serve();
  const Socket client = connected_socket(f.address);
  accept_errors = {EPERM};
  f.pass();
  BOOST_REQUIRE(f.reports.size() == 1);
  BOOST_TEST(f.reports[0].find("Exception in callback") == 0u);
  f.run_until([&] { return f.events.size() == 2; });
  BOOST_TEST(f.events.back() == "made");
}

BOOST_AUTO_TEST_CASE(rule_154_close_ends_listening_and_leaves_connections_alone) {
  Fixture f;
  const Server server = f.serve();
  Socket client = f.connected();
  BOOST_TEST(server.sockets().size() == 1u);
  BOOST_TEST(to_string(server.sockets()[0].getsockname()) == to_string(f.address));
  server.close();
  server.close();
  BOOST_TEST(server.sockets().empty());
  BOOST_TEST(!server.is_serving());
  BOOST_CHECK_THROW(connected_socket(f.address), ConnectionRefusedError);
  client.send("still");
  f.run_until([&] { return f.events.size() == 3; });
  BOOST_TEST(f.events.back() == "data still");
}

BOOST_AUTO_TEST_CASE(what_was_accepted_when_the_server_closes_is_closed) {
  Fixture f;
  const Server server = f.serve();
  Socket client = connected_socket(f.address);
  f.pass();  // accepted; the factory is called with the next pass
  server.close();
  f.pass(3);
  BOOST_TEST(f.events.empty());
  BOOST_TEST(f.at_eof(client));
}

BOOST_AUTO_TEST_CASE(rule_155_wait_closed_waits_for_close_and_for_the_last_connection) {
  Fixture f;
  f.drop_when_lost = true;
  const Server server = f.serve();
  Socket client = f.connected();
  auto early = f.loop.create_task(server.wait_closed());
  f.pass(3);
  server.close();
  auto late = f.loop.create_task(server.wait_closed());
  f.pass(3);
  BOOST_TEST(!early.done());
  BOOST_TEST(!late.done());
  client.close();
  f.run_until([&] { return early.done() && late.done(); });
  BOOST_TEST(f.events.back() == "lost");
  f.loop.run_until_complete(server.wait_closed());
}

BOOST_AUTO_TEST_CASE(rule_155_wait_closed_waits_for_close_also_without_connections) {
  Fixture f;
  const Server server = f.serve();
  auto waiter = f.loop.create_task(server.wait_closed());
  f.pass(3);
  BOOST_TEST(!waiter.done());
  server.close();
  f.loop.run_until_complete(waiter);
}

BOOST_AUTO_TEST_CASE(rule_155_the_last_connection_may_end_in_the_pass_that_closes_the_server) {
  Fixture f;
  f.drop_when_lost = true;
  const Server server = f.serve();
  const Socket client = f.connected();
  auto waiter = f.loop.create_task(server.wait_closed());
  f.pass(2);
  f.loop.call_soon([&] { server.close(); });
  f.loop.call_soon([&] { f.transports[0]->close(); });
  f.run_until([&] { return waiter.done(); });
  BOOST_TEST(f.events.back() == "lost");
}

BOOST_AUTO_TEST_CASE(cancelling_one_who_waits_leaves_the_others_and_the_server) {
  Fixture f;
  const Server server = f.serve();
  auto first = f.loop.create_task(server.wait_closed());
  auto second = f.loop.create_task(server.wait_closed());
  f.pass(2);
  first.cancel();
  f.pass(2);
  BOOST_TEST(first.cancelled());
  BOOST_TEST(server.is_serving());
  server.close();
  f.loop.run_until_complete(second);
}

BOOST_AUTO_TEST_CASE(rule_156_serve_forever_ends_with_cancelled_error_when_the_server_closes) {
  Fixture f;
  const Server server = f.bind(f.recording());
  auto task = f.loop.create_task(server.serve_forever());
  f.pass(2);
  BOOST_TEST(server.is_serving());
  BOOST_TEST(!task.done());
  server.close();
  f.run_until([&] { return task.done(); });
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_156_a_cancelled_serve_forever_closes_and_waits_for_connections) {
  Fixture f;
  f.drop_when_lost = true;
  const Server server = f.serve();
  Socket client = f.connected();
  auto task = f.loop.create_task(server.serve_forever());
  f.pass(2);
  task.cancel();
  f.pass(5);
  BOOST_TEST(!task.done());
  BOOST_TEST(!server.is_serving());
  client.close();
  f.run_until([&] { return task.done(); });
  BOOST_TEST(task.cancelled());
}

BOOST_AUTO_TEST_CASE(rule_156_serve_forever_of_two_or_after_close_is_a_runtime_error) {
  Fixture f;
  const Server server = f.serve();
  auto task = f.loop.create_task(server.serve_forever());
  f.pass(2);
  BOOST_TEST(thrown_by([&] { f.loop.run_until_complete(server.serve_forever()); }) ==
             "RuntimeError(\"server " + to_string(server) +
                 " is already being awaited on serve_forever()\")");
  server.close();
  f.run_until([&] { return task.done(); });
  BOOST_TEST(thrown_by([&] { f.loop.run_until_complete(server.serve_forever()); }) ==
             "RuntimeError('server <Server sockets=()> is closed')");
  BOOST_TEST(thrown_by([&] { f.loop.run_until_complete(server.start_serving()); }) ==
             "RuntimeError('server <Server sockets=()> is closed')");
}

BOOST_AUTO_TEST_CASE(rule_157_close_clients_closes_those_that_are_there) {
  Fixture f;
  const Server server = f.serve();
  Socket first = f.connected();
  Socket second = f.connected();
  server.close_clients();
  BOOST_TEST(f.events.size() == 4u);
  f.pass();
  BOOST_TEST(f.events.size() == 6u);
  BOOST_TEST(f.at_eof(first));
  BOOST_TEST(f.at_eof(second));
  const Socket third = f.connected();
  BOOST_TEST(f.events.back() == "made");
}

BOOST_AUTO_TEST_CASE(rule_157_close_clients_frees_wait_closed_in_two_passes) {
  Fixture f;
  const Server server = f.serve();
  const Socket client = f.connected();
  auto waiter = f.loop.create_task(server.wait_closed());
  f.pass(2);
  server.close();
  server.close_clients();
  f.pass();
  BOOST_TEST(!waiter.done());
  f.pass();
  BOOST_TEST(waiter.done());
}

BOOST_AUTO_TEST_CASE(rule_157_abort_clients_aborts_them_and_frees_wait_closed) {
  Fixture f;
  const Server server = f.serve();
  const Socket client = f.connected();
  f.transports[0]->write(std::string(10'000'000, 'x'));
  server.close();
  server.close_clients();  // waits for the buffer
  auto waiter = f.loop.create_task(server.wait_closed());
  f.pass(5);
  BOOST_TEST(!waiter.done());
  server.abort_clients();
  f.loop.run_until_complete(waiter);
  BOOST_TEST(f.events.back() == "lost");
}

BOOST_AUTO_TEST_CASE(the_loop_keeps_a_server_that_listens) {
  Fixture f;
  f.serve();
  const Socket client = f.connected();
  BOOST_TEST(f.events.back() == "made");
}

BOOST_AUTO_TEST_CASE(a_server_that_never_listened_goes_with_its_last_handle) {
  Fixture f;
  std::weak_ptr<detail::ServerState> watched;
  {
    const Server server = f.bind(f.recording());
    watched = server.state();
  }
  BOOST_TEST(watched.expired());
}

BOOST_AUTO_TEST_CASE(closing_frees_what_the_factory_holds_even_from_inside_it) {
  Fixture f;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  Server server;
  int seen = 0;
  server = f.bind([held = std::move(held), &server, &seen]() -> std::shared_ptr<BaseProtocol> {
    server.close();
    seen = *held;  // still there
    return nullptr;
  });
  f.loop.run_until_complete(server.start_serving());
  Socket client = connected_socket(f.address);
  f.pass(3);
  BOOST_TEST(seen == 1);
  BOOST_TEST(watched.expired());
  BOOST_TEST(f.at_eof(client));
}

BOOST_AUTO_TEST_CASE(a_loop_that_closes_takes_its_servers_along_without_a_word) {
  Server server;
  Socket client;
  Events events;
  {
    Fixture f;
    server = f.serve();
    client = f.connected();
    f.events.clear();
    f.loop.close();
    BOOST_TEST(f.events.empty());
    BOOST_CHECK_THROW(connected_socket(f.address), ConnectionRefusedError);
    BOOST_TEST(f.at_eof(client));
  }
  BOOST_TEST(!server.is_serving());
  BOOST_TEST(server.sockets().empty());
  server.close();
  server.close_clients();
  server.abort_clients();
  BOOST_TEST(thrown_by([&] { server.get_loop(); }) == "RuntimeError('Event loop is closed')");
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_dropped_unclosed_leaves_the_server) {
  Fixture f;
  const Server server = f.serve();
  const Socket client = connected_socket(f.address);
  f.run_until([&] { return f.transports.size() == 1; });
  f.transports[0]->pause_reading();
  const CapturedLog log;
  f.transports.clear();
  server.close();
  auto waiter = f.loop.create_task(server.wait_closed());
  f.pass(3);
  BOOST_TEST(waiter.done());
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.messages()[0].starts_with("unclosed transport "));
}

BOOST_AUTO_TEST_CASE(get_loop_and_the_repr) {
  Fixture f;
  const Server server = f.serve();
  BOOST_TEST(&server.get_loop() == &f.loop);
  BOOST_TEST(to_string(server) == "<Server sockets=(" + to_string(server.sockets()[0]) + ",)>");
  BOOST_TEST(bool(server));
  BOOST_TEST(!Server());
}

BOOST_AUTO_TEST_CASE(rule_157_close_clients_in_a_protocols_destructor) {
  struct Careless : Protocol {
    explicit Careless(const Server& server) : server(server) {}
    ~Careless() override { server.close_clients(); }
    void connection_made(std::shared_ptr<Transport> made) override { made->pause_reading(); }
    Server server;
  };
  const CapturedLog log;
  EventLoop loop;
  Server server;
  int made = 0;
  server = loop.run_until_complete(loop.create_server(
      [&] {
        ++made;
        return std::make_shared<Careless>(server);
      },
      "127.0.0.1", 0));
  const Socket client = connected_socket(server.sockets()[0].getsockname());
  while (made == 0) {
    loop.stop();
    loop.run_forever();
  }
  for (int i = 0; i != 4; ++i) {
    loop.stop();
    loop.run_forever();
  }
  server.close();
  BOOST_TEST(made == 1);
}

BOOST_AUTO_TEST_SUITE_END()
