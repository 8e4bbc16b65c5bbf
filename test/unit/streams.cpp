// SPDX-License-Identifier: BSL-1.0
//
// open_connection and start_server over sockets (surface A18, rules 203-216).
#include <asyncio/streams.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>

namespace {

using namespace asyncio;
using Lines = std::vector<std::string>;
using Streams = std::pair<StreamReader, StreamWriter>;

/// A loop that notes what its exception handler is told.
struct Loop : EventLoop {
  Loop() {
    set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + ": " + repr(context.exception));
    });
  }
  template <class Body>
  auto run(Body body) {
    return run_until_complete(body());
  }
  Lines reports;
};

template <class A>
Coroutine<std::string> error_of(A awaitable) {
  std::string text = "None";
  try {
    co_await std::move(awaitable);
  } catch (...) {
    text = repr(std::current_exception());
  }
  co_return text;
}

/// How many passes it takes.
template <class A>
Coroutine<std::uint64_t> passes_of(A awaitable) {
  const std::uint64_t before = get_running_loop().passes();
  const std::string error = co_await error_of(std::move(awaitable));
  (void)error;
  co_return get_running_loop().passes() - before;
}

Coroutine<> pass(int count) {
  while (count-- > 0) co_await asyncio::sleep(0);
}

/// A stream, and the other end of its socket.
struct Pair {
  static Coroutine<Pair> make() {
    auto [mine, theirs] = Socket::pair();
    Streams streams = co_await open_connection({.sock = &mine});
    co_return Pair(std::move(streams), std::move(theirs));
  }
  Pair(Streams streams, Socket socket)
      : reader(std::move(streams.first)),
        writer(std::move(streams.second)),
        peer(std::move(socket)) {}
  StreamReader reader;
  StreamWriter writer;
  Socket peer;
};

Socket bound_socket() {
  Socket socket(AF_INET, SOCK_STREAM);
  socket.bind(Address("127.0.0.1", 0));
  return socket;
}

Coroutine<Bytes> ask(Address address, std::string question) {
  auto [reader, writer] = co_await open_connection(address.host(), address.port());
  writer.write(question);
  Bytes answer = co_await reader.readline();
  writer.close();
  co_await writer.wait_closed();
  co_return answer;
}

/// Connects and says nothing: what comes until the end.
Coroutine<Bytes> listen_to(Address address) {
  auto [reader, writer] = co_await open_connection(address.host(), address.port());
  Bytes all = co_await reader.read();
  writer.close();
  co_return all;
}

Coroutine<> answer_one_line(StreamReader reader, StreamWriter writer) {
  const Bytes line = co_await reader.readline();
  writer.write(line);
  co_await writer.drain();
  writer.close();
  co_await writer.wait_closed();
}

constexpr std::size_t much = 10'000'000;  // more than any socket takes at once

/// What is logged on "asyncio" meanwhile.
class Logged {
 public:
  Logged() {
    set_log_sink([this](const LogRecord& record) { lines.emplace_back(record.message); });
  }
  ~Logged() { set_log_sink(nullptr); }
  Lines lines;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(streams_tests)

// -- open_connection

BOOST_AUTO_TEST_CASE(st1_open_connection_gives_both_ends) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Socket listener = bound_socket();
    listener.listen();
    const Address address = listener.getsockname();
    auto [reader, writer] = co_await open_connection(address.host(), address.port());
    BOOST_TEST((writer.get_extra_info(peername) == address));
    BOOST_TEST((reader == StreamReader(writer.state()->reader())));
    writer.close();
    co_await writer.wait_closed();
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st1_a_connected_socket_is_adopted_in_two_passes) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    auto connecting = open_connection({.sock = &mine});
    BOOST_TEST(!mine);
    const std::uint64_t before = get_running_loop().passes();
    auto [reader, writer] = co_await std::move(connecting);
    BOOST_TEST(get_running_loop().passes() - before == 2u);
    theirs.send("hello");
    const Bytes data = co_await reader.read(100);
    BOOST_TEST(data == "hello");
    writer.write("you");
    BOOST_TEST(theirs.recv(10) == "you");
    writer.close();
  });
}

BOOST_AUTO_TEST_CASE(st1_the_loop_is_the_one_that_runs_it) {
  auto [mine, theirs] = Socket::pair();
  auto connecting = open_connection({.sock = &mine});  // no loop anywhere
  Loop loop;
  const Streams streams = loop.run_until_complete(std::move(connecting));
  streams.second.close();
}

BOOST_AUTO_TEST_CASE(st1_nobody_listens) {
  Loop loop;
  const std::string port = std::to_string(bound_socket().getsockname().port());
  BOOST_TEST(loop.run_until_complete(error_of(open_connection("127.0.0.1", port))) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', " + port + ")\")");
}

BOOST_AUTO_TEST_CASE(st1_arguments_that_exclude_each_other) {
  Loop loop;
  BOOST_TEST(loop.run_until_complete(error_of(open_connection(ConnectionOptions{}))) ==
             "ValueError('host and port was not specified and no sock specified')");
}

BOOST_AUTO_TEST_CASE(r203_the_limit_is_the_readers) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    auto [reader, writer] = co_await open_connection({.sock = &mine, .limit = 3});
    theirs.send("1234\n");
    const std::string error = co_await error_of(reader.readline());
    BOOST_TEST(error == "ValueError('Separator is found, but chunk is longer than limit')");
    writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r203_a_limit_must_be_positive) {
  Loop loop;
  auto [mine, theirs] = Socket::pair();
  BOOST_TEST(
      loop.run_until_complete(error_of(open_connection({.sock = &mine, .limit = 0}))) ==
      "ValueError('Limit cannot be <= 0')");
  BOOST_TEST(theirs.recv(10) == "");
}

BOOST_AUTO_TEST_CASE(a_limit_is_for_streams_only) {
  Loop loop;
  const auto factory = [] { return std::make_shared<StreamReaderProtocol>(StreamReader()); };
  const auto error = [](auto call) {
    try {
      call();
    } catch (const TypeError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  BOOST_TEST(error([&] { (void)loop.create_connection(factory, "", 1, {.limit = 5}); }) ==
             "create_connection() got an unexpected keyword argument 'limit'");
  BOOST_TEST(error([&] { (void)loop.create_server(factory, "", 1, {.limit = 5}); }) ==
             "create_server() got an unexpected keyword argument 'limit'");
}

// -- reading and writing

BOOST_AUTO_TEST_CASE(r214_the_writer_stays_usable_when_the_peer_has_ended) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.peer.send("last");
    ::shutdown(pair.peer.fileno(), SHUT_WR);
    const Bytes all = co_await pair.reader.read();
    BOOST_TEST(all == "last");
    BOOST_TEST(!pair.writer.is_closing());
    pair.writer.write("late");
    co_await pair.writer.drain();
    BOOST_TEST(pair.peer.recv(10) == "late");
    pair.writer.close();
    co_await pair.writer.wait_closed();
  });
}

BOOST_AUTO_TEST_CASE(st17_write_eof_then_drain_and_reading_goes_on) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.writer.writelines({"a", "b"});
    if (pair.writer.can_write_eof()) pair.writer.write_eof();
    co_await pair.writer.drain();
    BOOST_TEST(pair.peer.recv(10) == "ab");
    BOOST_TEST(pair.peer.recv(10) == "");
    pair.peer.send("answer");
    const Bytes answer = co_await pair.reader.readexactly(6);
    BOOST_TEST(answer == "answer");
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r203_a_reader_that_is_not_read_holds_the_peer_back) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [first, second] = Socket::pair();
    auto [reader, unused] = co_await open_connection({.sock = &first, .limit = 1000});
    auto [other, writer] = co_await open_connection({.sock = &second});
    writer.write(std::string(much, 'x'));
    Task<> drained = create_task(writer.drain());
    co_await pass(100);
    BOOST_TEST(!drained.done());
    BOOST_TEST(to_string(reader).ends_with(" paused>"));
    const Bytes all = co_await reader.readexactly(much);
    BOOST_TEST(all.size() == much);
    co_await drained;
    writer.close();
    unused.close();
  });
}

BOOST_AUTO_TEST_CASE(r211_drain_without_a_pass_with_one_and_after_the_loss) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    const std::uint64_t idle = co_await passes_of(pair.writer.drain());
    BOOST_TEST(idle == 0u);
    pair.writer.close();
    const std::uint64_t before = get_running_loop().passes();
    const std::string error = co_await error_of(pair.writer.drain());
    BOOST_TEST(error == "ConnectionResetError('Connection lost')");
    BOOST_TEST(get_running_loop().passes() - before == 1u);
  });
}

BOOST_AUTO_TEST_CASE(r211_drain_of_a_closing_transport_that_still_sends) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.writer.transport()->set_write_buffer_limits({.high = 2 * much});
    pair.writer.write(std::string(much, 'x'));
    pair.writer.close();
    const std::uint64_t passes = co_await passes_of(pair.writer.drain());
    BOOST_TEST(passes == 1u);
    pair.writer.transport()->abort();
  });
}

BOOST_AUTO_TEST_CASE(r212_abort_wakes_a_drain_normally) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.writer.write(std::string(much, 'x'));
    Task<std::string> drain = create_task(error_of(pair.writer.drain()));
    co_await pass(1);
    pair.writer.transport()->abort();
    const std::string error = co_await drain;
    BOOST_TEST(error == "None");
  });
}

BOOST_AUTO_TEST_CASE(r212_a_lost_connection_tells_everybody_who_waits) {
  Loop loop;
  const std::string reset = "ConnectionResetError(104, 'Connection reset by peer')";
  loop.run([&]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.writer.write(std::string(much, 'x'));
    Task<std::string> drain = create_task(error_of(pair.writer.drain()));
    Task<std::string> read = create_task(error_of(pair.reader.read(1)));
    Task<std::string> closed = create_task(error_of(pair.writer.wait_closed()));
    co_await pass(1);
    pair.peer.close();
    const std::string drain_error = co_await drain;
    const std::string read_error = co_await read;
    const std::string close_error = co_await closed;
    const std::string later = co_await error_of(pair.writer.drain());
    BOOST_TEST(drain_error == reset);
    BOOST_TEST(read_error == reset);
    BOOST_TEST(close_error == reset);
    BOOST_TEST(later == reset);
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(r211_writing_for_ever_to_a_closed_peer_ends) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.peer.close();
    std::string error;
    while (error.empty()) {
      try {
        pair.writer.write("foo\n");
        co_await pair.writer.drain();
      } catch (const ConnectionError& e) {
        error = type_name(std::current_exception());
      }
    }
    BOOST_TEST((error == "BrokenPipeError" || error == "ConnectionResetError"));
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(r213_wait_closed_takes_two_passes_after_close_and_none_later) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.writer.close();
    BOOST_TEST(pair.writer.is_closing());
    const std::uint64_t first = co_await passes_of(pair.writer.wait_closed());
    const std::uint64_t second = co_await passes_of(pair.writer.wait_closed());
    BOOST_TEST(first == 2u);
    BOOST_TEST(second == 0u);
    BOOST_TEST(pair.reader.at_eof());
    const Bytes rest = co_await pair.reader.read();
    BOOST_TEST(rest == "");
  });
}

BOOST_AUTO_TEST_CASE(r213_wait_closed_with_unread_data) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    pair.peer.send("line\nrest");
    const Bytes line = co_await pair.reader.readline();
    BOOST_TEST(line == "line\n");
    pair.writer.close();
    co_await pair.writer.wait_closed();
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_a_read_is_cancelled) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    Pair pair = co_await Pair::make();
    Task<Bytes> read = create_task(pair.reader.readexactly(4));
    co_await pass(1);
    pair.peer.send("ab");
    co_await pass(3);
    read.cancel();
    pair.peer.send("cd");
    const std::string error = co_await error_of(read);
    BOOST_TEST(error == "CancelledError()");
    const Bytes all = co_await pair.reader.readexactly(4);
    BOOST_TEST(all == "abcd");
    pair.writer.close();
  });
}

// -- start_server

BOOST_AUTO_TEST_CASE(st2_a_coroutine_function_serves_clients) {
  Loop loop;
  Socket listener = bound_socket();
  const Address address = listener.getsockname();
  const Server server =
      loop.run_until_complete(start_server(answer_one_line, {.sock = &listener}));
  BOOST_TEST(!listener);
  BOOST_TEST(loop.run_until_complete(ask(address, "hello world!\n")) == "hello world!\n");
  BOOST_TEST(loop.run_until_complete(ask(address, "again\n")) == "again\n");
  server.close();
  loop.run_until_complete(server.wait_closed());
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st2_a_plain_function_serves_clients) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto callback = [](StreamReader reader, StreamWriter writer) {
      create_task(answer_one_line(reader, writer));
    };
    const Server server = co_await start_server(callback, "127.0.0.1", 0);
    const Bytes answer = co_await ask(server.sockets()[0].getsockname(), "hello world!\n");
    BOOST_TEST(answer == "hello world!\n");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st2_several_hosts) {
  Loop loop;
  const std::vector<std::string> hosts{"127.0.0.1", "127.0.0.2"};
  const Server server = loop.run_until_complete(start_server(answer_one_line, hosts, 0));
  BOOST_TEST(server.sockets().size() == 2u);
  const Server listed =
      loop.run_until_complete(start_server(answer_one_line, {"127.0.0.1", "127.0.0.2"}, 0));
  BOOST_TEST(listed.sockets().size() == 2u);
}

BOOST_AUTO_TEST_CASE(st2_the_options_are_create_servers) {
  Loop loop;
  BOOST_TEST(loop.run_until_complete(error_of(start_server(answer_one_line, ServerOptions{}))) ==
             "ValueError('Neither host/port nor sock were specified')");
  const Server server = loop.run_until_complete(
      start_server(answer_one_line, "127.0.0.1", 0, {.start_serving = false}));
  BOOST_TEST(!server.is_serving());
}

BOOST_AUTO_TEST_CASE(r203_the_servers_limit_is_its_readers) {
  Loop loop;
  std::string error;
  loop.run([&]() -> Coroutine<> {
    Event done;
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      error = co_await error_of(reader.readline());
      writer.close();
      done.set();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0, {.limit = 3});
    const Address address = server.sockets()[0].getsockname();
    const Bytes answer = co_await ask(address, "1234\n");
    BOOST_TEST(answer == "");
    co_await done.wait();
  });
  BOOST_TEST(error == "ValueError('Separator is found, but chunk is longer than limit')");
}

BOOST_AUTO_TEST_CASE(r215_the_handler_starts_one_pass_after_the_callback) {
  Loop loop;
  Lines events;
  loop.run([&]() -> Coroutine<> {
    const auto note = [&, start = get_running_loop().passes()](const char* what) {
      events.push_back(what + std::string(" ") +
                       std::to_string(get_running_loop().passes() - start));
    };
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      note("task");
      const Bytes data = co_await reader.read(10);
      note("end");
      writer.close();
    };
    const auto callback = [&](StreamReader reader, StreamWriter writer) {
      note("callback");
      return handle(reader, writer);
    };
    Socket listener = bound_socket();
    const Address address = listener.getsockname();
    const Server server = co_await start_server(callback, {.sock = &listener});
    auto [reader, writer] = co_await open_connection(address.host(), address.port());
    writer.write("hi");
    while (events.size() != 3) co_await asyncio::sleep(0);
    writer.close();
  });
  const auto number = [&](std::size_t i) { return std::stoi(events[i].substr(events[i].find(' '))); };
  BOOST_TEST(events[0].starts_with("callback"));
  BOOST_TEST(events[1].starts_with("task"));
  BOOST_TEST(events[2].starts_with("end"));
  BOOST_TEST(number(1) == number(0) + 1);
}

BOOST_AUTO_TEST_CASE(r215_a_handler_that_fails_closes_its_connection_only) {
  Loop loop;
  const Logged logged;
  loop.run([]() -> Coroutine<> {
    const auto handle = [](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      const Bytes line = co_await reader.readline();
      if (line == "fail\n") throw ValueError("test");
      writer.write(line);
      writer.close();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Address address = server.sockets()[0].getsockname();
    const Bytes nothing = co_await ask(address, "fail\n");
    const Bytes answer = co_await ask(address, "work\n");
    BOOST_TEST(nothing == "");
    BOOST_TEST(answer == "work\n");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(loop.reports ==
                 Lines{"Unhandled exception in client_connected_cb: ValueError('test')"},
             boost::test_tools::per_element());
  BOOST_TEST(logged.lines.empty());  // it was not forgotten
}

BOOST_AUTO_TEST_CASE(r215_a_handler_that_is_cancelled_closes_its_connection) {
  Loop loop;
  const Logged logged;
  loop.run([]() -> Coroutine<> {
    const auto handle = [](StreamReader reader, StreamWriter) -> Coroutine<> {
      current_task().cancel();
      co_await reader.read();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(loop.reports.empty());
  BOOST_TEST(logged.lines.empty());
}

BOOST_AUTO_TEST_CASE(r215_a_plain_callback_that_throws_is_reported) {
  Loop loop;
  const Logged logged;
  loop.run([]() -> Coroutine<> {
    const auto callback = [](StreamReader, StreamWriter) { throw ValueError("x"); };
    const Server server = co_await start_server(callback, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
  });
  BOOST_TEST_REQUIRE(loop.reports.size() == 1u);
  BOOST_TEST(loop.reports[0].starts_with("Exception in callback"));
  BOOST_TEST(loop.reports[0].ends_with("ValueError('x')"));
}

BOOST_AUTO_TEST_CASE(closing_the_loop_ends_handlers_and_connections) {
  const Logged logged;
  Loop loop;
  bool frame_gone = false;
  std::optional<Streams> client;
  loop.run([&]() -> Coroutine<> {
    struct Mark {
      explicit Mark(bool& gone) : gone(gone) {}
      ~Mark() { gone = true; }
      bool& gone;
    };
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      const Mark mark(frame_gone);
      writer.write("ready\n");
      co_await reader.read();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Address address = server.sockets()[0].getsockname();
    Streams streams = co_await open_connection(address.host(), address.port());
    const Bytes ready = co_await streams.first.readline();
    BOOST_TEST(ready == "ready\n");
    client.emplace(std::move(streams));
  });
  loop.close();
  BOOST_TEST(frame_gone);
  BOOST_TEST(client->second.is_closing());
  client.reset();
}

// -- the last handle (rule 216)

BOOST_AUTO_TEST_CASE(r216_dropping_both_ends_closes_the_connection) {
  Loop loop;
  const Logged logged;
  loop.run([&]() -> Coroutine<> {
    Socket peer;
    {
      Pair pair = co_await Pair::make();
      peer = std::move(pair.peer);
    }
    co_await pass(2);
    BOOST_TEST(peer.recv(10) == "");
  });
  BOOST_TEST_REQUIRE(logged.lines.size() == 1u);
  BOOST_TEST(logged.lines[0].starts_with("unclosed <StreamWriter transport=<StreamTransport closing"));
}

BOOST_AUTO_TEST_CASE(r216_a_handler_that_ends_without_closing_closes_by_dropping) {
  Loop loop;
  const Logged logged;
  loop.run([&]() -> Coroutine<> {
    const auto handle = [](StreamReader, StreamWriter) -> Coroutine<> { co_return; };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST_REQUIRE(logged.lines.size() == 1u);
  BOOST_TEST(logged.lines[0].starts_with("unclosed <StreamWriter"));
}

// -- the glue by hand (ST23, N82)

BOOST_AUTO_TEST_CASE(st23_the_glue_may_be_used_by_hand) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    auto [mine, peer] = Socket::pair();
    const StreamReader reader;
    auto protocol = std::make_shared<StreamReaderProtocol>(reader);
    const auto factory = [&] { return protocol; };
    auto [transport, same] = co_await loop.create_connection(factory, {.sock = &mine});
    BOOST_TEST((same == protocol));
    const StreamWriter writer(transport, protocol, reader, loop);
    peer.send("line\n");
    const Bytes line = co_await reader.readline();
    BOOST_TEST(line == "line\n");
    writer.close();
    co_await writer.wait_closed();
  });
}

BOOST_AUTO_TEST_SUITE_END()
