// SPDX-License-Identifier: BSL-1.0
// add_reader, remove_reader, add_writer, remove_writer (surface A13, rules 123, 124).
#include <asyncio/event_loop.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/test/unit_test.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "on_virtual_time.hpp"
#include "socket_helpers.hpp"

using namespace on_virtual_time;
using namespace socket_tests;

namespace {

struct Silent : Protocol {
  void data_received(BytesView) override {}
};

/// Two connected sockets and a loop, whose passes are made one by one.
struct Pair {
  Pair() { std::tie(a, b) = Socket::pair(); }

  void note(const std::string& what) { log += what + " "; }
  /// Makes a pass; what was noted in it.
  std::string pass() {
    loop.pass(1);
    return std::exchange(log, "");
  }

  NoDescriptorLeft check;
  std::string log;
  Socket a, b;
  Loop loop;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(descriptors_tests)

BOOST_FIXTURE_TEST_CASE(a_reader_is_called_in_each_pass_while_there_is_something_to_read, Pair) {
  loop.add_reader(a, [&] { note("read"); });
  BOOST_TEST(pass() == "");
  b.send("x");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(pass() == "read ");
  a.recv(1);
  BOOST_TEST(pass() == "");
  b.send("y");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(loop.remove_reader(a));
  BOOST_TEST(pass() == "");
}

BOOST_FIXTURE_TEST_CASE(a_writer_is_called_in_each_pass_while_there_is_room, Pair) {
  loop.add_writer(a, [&] { note("write"); });
  BOOST_TEST(pass() == "write ");
  BOOST_TEST(pass() == "write ");
  const std::string much(100'000, 'x');
  std::size_t sent = 0;
  BOOST_CHECK_THROW(for (;;) sent += a.send(much), BlockingIOError);
  BOOST_TEST(pass() == "");
  while (sent != 0) sent -= b.recv(much.size()).size();
  BOOST_TEST(pass() == "write ");
  BOOST_TEST(loop.remove_writer(a));
  BOOST_TEST(pass() == "");
}

BOOST_FIXTURE_TEST_CASE(the_end_of_the_stream_is_readable_and_a_broken_one_both, Pair) {
  loop.add_reader(a, [&] { note("read"); });
  b.shutdown(SHUT_WR);
  BOOST_TEST(pass() == "read ");
  loop.remove_reader(a);
  b.close();
  loop.add_reader(a, [&] { note("read"); });
  loop.add_writer(a, [&] { note("write"); });
  BOOST_TEST(pass() == "read write ");
}

BOOST_FIXTURE_TEST_CASE(arguments_are_kept_and_given_each_time, Pair) {
  int count = 0;
  loop.add_reader(
      a, [&](int& left, const std::string& text) { note(text + std::to_string(left--)); }, 3, "n");
  loop.add_writer(
      a, [](int& counter) { ++counter; }, std::ref(count));
  b.send("x");
  BOOST_TEST(pass() == "n3 ");
  BOOST_TEST(pass() == "n2 ");
  BOOST_TEST(count == 2);
}

BOOST_FIXTURE_TEST_CASE(a_callback_runs_in_the_context_in_which_it_was_added, Pair) {
  ContextVar<int> var("var", 0);
  copy_context().run([&] {
    [[maybe_unused]] const auto token = var.set(1);
    loop.add_reader(a, [&] { note(std::to_string(var.get())); });
  });
  b.send("x");
  BOOST_TEST(pass() == "1 ");
}

// -- the order of a pass (rules 6, 9)

BOOST_FIXTURE_TEST_CASE(io_comes_behind_what_was_queued_and_before_the_timers, Pair) {
  loop.add_reader(a, [&] { note("read"); });
  b.send("x");
  loop.call_later(0, [&] { note("timer"); });
  loop.call_soon([&] { note("soon"); });
  BOOST_TEST(pass() == "soon read timer ");
}

BOOST_FIXTURE_TEST_CASE(of_one_descriptor_reading_goes_first, Pair) {
  loop.add_writer(a, [&] { note("write"); });
  loop.add_reader(a, [&] { note("read"); });
  b.send("x");
  BOOST_TEST(pass() == "read write ");
  BOOST_TEST(pass() == "read write ");
}

// -- rule 123

BOOST_FIXTURE_TEST_CASE(r123_a_new_reader_replaces_the_old_one, Pair) {
  const auto held = std::make_shared<int>();
  loop.add_reader(a, [&, held] { note("first"); });
  BOOST_TEST(held.use_count() == 2);
  loop.add_reader(a, [&] { note("second"); });
  BOOST_TEST(held.use_count() == 1);
  b.send("x");
  BOOST_TEST(pass() == "second ");
  BOOST_TEST(loop.remove_reader(a));
  BOOST_TEST(!loop.remove_reader(a));
}

BOOST_FIXTURE_TEST_CASE(r123_a_writer_is_replaced_and_removed_like_a_reader, Pair) {
  loop.add_writer(a, [&] { note("first"); });
  loop.add_writer(a, [&] { note("second"); });
  BOOST_TEST(pass() == "second ");
  loop.add_reader(a, [&] {
    note("removes");
    loop.remove_writer(a);
  });
  b.send("x");
  BOOST_TEST(pass() == "removes ");
  BOOST_TEST(pass() == "removes ");
}

BOOST_FIXTURE_TEST_CASE(r123_what_is_replaced_in_the_pass_that_calls_it_does_not_run, Pair) {
  loop.add_reader(a, [&] { note("first"); });
  loop.add_reader(b, [&] {
    note("replaces");
    loop.remove_reader(b);
    loop.add_reader(a, [&] { note("second"); });
  });
  a.send("x");
  b.send("x");
  BOOST_TEST(pass() == "replaces ");
  BOOST_TEST(pass() == "second ");
}

BOOST_FIXTURE_TEST_CASE(r123_what_is_removed_in_the_pass_that_calls_it_does_not_run, Pair) {
  loop.add_reader(a, [&] {
    note("first");
    loop.remove_reader(a);
    loop.remove_reader(b);
  });
  loop.add_reader(b, [&] { note("second"); });
  b.send("x");
  a.send("x");
  BOOST_TEST(pass() == "first ");
  BOOST_TEST(pass() == "");
}

BOOST_FIXTURE_TEST_CASE(a_reader_may_remove_itself_and_add_itself_again, Pair) {
  int calls = 0;
  std::function<void()> reader = [&] {
    note("read");
    BOOST_TEST(loop.remove_reader(a));
    if (++calls < 3) loop.add_reader(a, std::ref(reader));
  };
  loop.add_reader(a, std::ref(reader));
  b.send("x");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(pass() == "");
}

BOOST_FIXTURE_TEST_CASE(a_removed_callback_is_destroyed_at_once_but_not_while_it_runs, Pair) {
  const auto held = std::make_shared<int>();
  loop.add_reader(a, [held] {});
  loop.remove_reader(a);
  BOOST_TEST(held.use_count() == 1);
  loop.add_reader(a, [this, held] {
    loop.remove_reader(a);
    note(std::to_string(held.use_count()));
  });
  b.send("x");
  BOOST_TEST(pass() == "2 ");
  BOOST_TEST(held.use_count() == 1);
}

BOOST_FIXTURE_TEST_CASE(reader_and_writer_are_removed_one_by_one, Pair) {
  loop.add_reader(a, [&] { note("read"); });
  loop.add_writer(a, [&] { note("write"); });
  b.send("x");
  BOOST_TEST(loop.remove_writer(a));
  BOOST_TEST(!loop.remove_writer(a));
  BOOST_TEST(pass() == "read ");
  loop.add_writer(a, [&] { note("write"); });
  BOOST_TEST(loop.remove_reader(a));
  BOOST_TEST(pass() == "write ");
  BOOST_TEST(loop.remove_writer(a));
}

// -- errors

BOOST_FIXTURE_TEST_CASE(an_exception_is_reported_and_the_reader_stays, Pair) {
  loop.add_reader(a, [&] {
    note("read");
    throw ValueError("bad");
  });
  b.send("x");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST(pass() == "read ");
  BOOST_TEST_REQUIRE(loop.reports().size() == 2);
  BOOST_TEST(loop.reports()[0].starts_with("Exception in callback "));
  BOOST_TEST(loop.reports()[0].ends_with("ValueError('bad')"));
}

BOOST_FIXTURE_TEST_CASE(an_exit_leaves_the_loop_and_the_reader_stays, Pair) {
  loop.add_reader(a, [&] { throw SystemExit(3); });
  b.send("x");
  BOOST_CHECK_THROW(loop.pass(1), SystemExit);
  BOOST_CHECK_THROW(loop.pass(1), SystemExit);
}

BOOST_FIXTURE_TEST_CASE(what_cannot_be_watched_is_refused, Pair) {
  const auto nothing = [] {};
  BOOST_TEST(thrown_by([&] { loop.add_reader(-1, nothing); }) ==
             "ValueError('Invalid file descriptor: -1')");
  BOOST_TEST(thrown_by([&] { loop.remove_writer(-1); }) ==
             "ValueError('Invalid file descriptor: -1')");
  BOOST_TEST(thrown_by([&] { loop.add_reader(Socket(), nothing); }) ==
             "ValueError('Invalid file descriptor: -1')");
  BOOST_TEST(thrown_by([&] { loop.add_writer(999, nothing); }) ==
             "OSError(9, 'Bad file descriptor')");
  BOOST_TEST(!loop.remove_reader(999));
  for (const char* path : {"/proc/self/exe", "/", "/dev/null"}) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    BOOST_TEST(thrown_by([&] { loop.add_reader(file, nothing); }) ==
               "PermissionError(1, 'Operation not permitted')");
    BOOST_TEST(!loop.remove_reader(file));
    ::close(file);
  }
}

BOOST_FIXTURE_TEST_CASE(a_closed_loop_watches_nothing, Pair) {
  const auto held = std::make_shared<int>();
  loop.add_reader(a, [held] {});
  loop.add_writer(b, [held] {});
  b.send("x");
  loop.close();
  BOOST_TEST(held.use_count() == 1);
  BOOST_TEST(!loop.remove_reader(a));
  BOOST_TEST(!loop.remove_writer(b));
  const std::string closed = "RuntimeError('Event loop is closed')";
  BOOST_TEST(thrown_by([&] { loop.add_reader(a, [] {}); }) == closed);
  BOOST_TEST(thrown_by([&] { loop.add_writer(b, [] {}); }) == closed);
}

BOOST_FIXTURE_TEST_CASE(a_callback_that_is_due_when_the_loop_closes_is_dropped, Pair) {
  const auto held = std::make_shared<int>();
  loop.add_reader(a, [held] {});
  loop.add_writer(a, [held] {});
  b.send("x");
  loop.call_soon([&] { loop.get_io_context().poll(); });  // both are queued for the next pass
  loop.pass(1);
  loop.close();
  BOOST_TEST(held.use_count() == 1);
}

// -- rule 124

BOOST_FIXTURE_TEST_CASE(r124_what_a_transport_uses_is_refused_until_it_closes, Pair) {
  const NativeSocket number = a.fileno();
  const auto factory = [] { return std::make_shared<Silent>(); };
  auto connection = loop.run_until_complete(loop.create_connection(factory, {.sock = &a}));
  const std::string text = "RuntimeError(" +
                           repr_str("File descriptor " + std::to_string(number) +
                                    " is used by transport " + to_string(*connection.first)) +
                           ")";
  BOOST_TEST(thrown_by([&] { loop.add_reader(number, [] {}); }) == text);
  BOOST_TEST(thrown_by([&] { loop.add_writer(number, [] {}); }) == text);
  BOOST_TEST(thrown_by([&] { loop.remove_reader(number); }) == text);
  BOOST_TEST(thrown_by([&] { loop.remove_writer(number); }) == text);
  const TransportSocket view = connection.first->get_extra_info(asyncio::socket);
  BOOST_TEST(thrown_by([&] { loop.add_reader(view, [] {}); }) == text);
  connection.first->close();
  BOOST_TEST(!loop.remove_reader(number));
  loop.add_writer(number, [&] { note("write"); });
  BOOST_TEST(loop.remove_writer(number));
}

BOOST_FIXTURE_TEST_CASE(a_watch_on_a_closing_transport_ends_with_it, Pair) {
  const NativeSocket number = a.fileno();
  const auto held = std::make_shared<int>();
  const auto factory = [] { return std::make_shared<Silent>(); };
  auto connection = loop.run_until_complete(loop.create_connection(factory, {.sock = &a}));
  connection.first->close();
  loop.add_reader(number, [held] {});
  loop.pass(1);
  BOOST_TEST(held.use_count() == 1);
  BOOST_TEST(b.recv(1) == "");  // nothing of ours keeps the connection open
  BOOST_TEST(!loop.remove_reader(number));
}

BOOST_FIXTURE_TEST_CASE(a_transport_takes_over_what_was_watched, Pair) {
  const auto held = std::make_shared<int>();
  loop.add_reader(a, [held] {});
  const auto factory = [] { return std::make_shared<Silent>(); };
  auto connection = loop.run_until_complete(loop.create_connection(factory, {.sock = &a}));
  BOOST_TEST(held.use_count() == 1);
  connection.first->write("hello");
  BOOST_TEST(b.recv(100) == "hello");
}

BOOST_FIXTURE_TEST_CASE(a_server_takes_over_a_socket_that_was_watched, Pair) {
  Socket listener(AF_INET, SOCK_STREAM);
  listener.bind(Address("127.0.0.1", 0));
  const auto held = std::make_shared<int>();
  loop.add_reader(listener, [held] {});
  const auto factory = [] { return std::make_shared<Silent>(); };
  const Server server = loop.run_until_complete(loop.create_server(factory, {.sock = &listener}));
  BOOST_TEST(held.use_count() == 1);
  BOOST_TEST(server.is_serving());
}

// -- what can be watched

BOOST_FIXTURE_TEST_CASE(numbers_and_pipes_are_watched_and_stay_open, Pair) {
  int pipe[2];
  BOOST_TEST_REQUIRE(::pipe(pipe) == 0);
  loop.add_reader(pipe[0], [&] { note("read"); });
  loop.add_writer(pipe[1], [&] {
    note("write");
    loop.remove_writer(pipe[1]);
  });
  BOOST_TEST(pass() == "write ");
  BOOST_TEST(::write(pipe[1], "x", 1) == 1);
  BOOST_TEST(pass() == "read ");
  loop.remove_reader(pipe[0]);
  BOOST_TEST(::close(pipe[0]) == 0);
  BOOST_TEST(::close(pipe[1]) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_that_blocks_does_so_when_it_is_watched_and_later, Pair) {
  const auto blocks = [&] { return (::fcntl(a.fileno(), F_GETFL) & O_NONBLOCK) == 0; };
  ::fcntl(a.fileno(), F_SETFL, 0);
  loop.add_reader(a, [&] { note("read"); });
  BOOST_TEST(pass() == "");
  BOOST_TEST(blocks());
  b.send("x");
  BOOST_TEST(pass() == "read ");
  loop.add_writer(a, [&] { note("write"); });
  BOOST_TEST(pass() == "read write ");
  BOOST_TEST(blocks());
  loop.remove_reader(a);
  loop.remove_writer(a);
  BOOST_TEST(blocks());
}

BOOST_AUTO_TEST_CASE(sockets_of_asio_are_watched_beside_their_own_operations) {
  const NoDescriptorLeft check;
  boost::asio::io_context context;
  boost::asio::local::stream_protocol::socket mine(context), other(context);
  boost::asio::local::connect_pair(mine, other);
  std::string log;
  EventLoop loop(context);
  loop.add_reader(mine, [&] {
    log += "watched ";
    loop.remove_reader(mine);
  });
  mine.async_wait(mine.wait_read, [&](auto) { log += "waited "; });
  other.send(boost::asio::buffer("x", 1));
  while (log.size() < 15) context.run_one();
  BOOST_TEST((log == "watched waited " || log == "waited watched "));
  char byte;
  BOOST_TEST(mine.receive(boost::asio::buffer(&byte, 1)) == 1);
}

BOOST_AUTO_TEST_CASE(the_kernel_is_asked_at_least_every_64th_pass_while_callbacks_are_queued) {
  EventLoop loop;
  auto [a, b] = Socket::pair();
  int passes = 0, sent = 0, noticed = 0;
  loop.add_reader(a, [&] {
    noticed = passes;
    loop.stop();
  });
  const std::function<void()> chain = [&, &b = b] {
    if (++passes == 1000) {
      b.send("x");
      sent = passes;
    }
    if (passes < 10'000) loop.call_soon(chain);
  };
  loop.call_soon(chain);
  loop.run_forever();
  BOOST_TEST(sent == 1000);
  BOOST_TEST(noticed >= sent);
  BOOST_TEST(noticed <= sent + 64);
  loop.remove_reader(a);
}

BOOST_AUTO_TEST_CASE(in_a_guest_readers_run_among_the_hosts_handlers) {
  const NoDescriptorLeft check;
  boost::asio::io_context context;
  auto [a, b] = Socket::pair();
  int calls = 0;
  {
    EventLoop loop(context);
    loop.add_reader(a, [&, &b = b] {
      if (++calls == 3) b.send("last");
      if (calls == 4) loop.remove_reader(a);
    });
    b.send("first");
    context.run();  // nothing is left to wait for
    BOOST_TEST(calls == 4);
    loop.add_reader(a, [] {});
  }
  context.restart();
  context.run();  // the handler of a loop that is gone
}

BOOST_FIXTURE_TEST_CASE(a_watch_on_a_server_ends_with_it, Pair) {
  const auto held = std::make_shared<int>();
  const auto factory = [] { return std::make_shared<Silent>(); };
  const Server server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", 0));
  const Address address = server.sockets()[0].getsockname();
  loop.add_reader(server.sockets()[0], [held] {});
  server.close();
  BOOST_TEST(held.use_count() == 1);
  Socket again(AF_INET, SOCK_STREAM);
  again.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  BOOST_CHECK_NO_THROW(again.bind(address); again.listen(1));  // the port is free
}

BOOST_FIXTURE_TEST_CASE(rule_20_a_reader_that_is_added_while_the_loop_closes_goes_with_it, Pair) {
  struct Late {
    ~Late() {
      loop.add_reader(watched, [kept = std::move(kept)] {});
    }
    EventLoop& loop;
    Socket& watched;
    std::shared_ptr<int> kept;
  };
  const auto kept = std::make_shared<int>();
  loop.call_soon([late = std::make_unique<Late>(loop, a, kept)] {});
  loop.close();
  BOOST_TEST(kept.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
