// SPDX-License-Identifier: BSL-1.0
//
// open_connection and its streams over sockets (surface A18, rules 203-216).
#include <asyncio/streams.hpp>

#include <memory>
#include <string>
#include <utility>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "on_virtual_time.hpp"
#include "stream_sockets.hpp"

using namespace stream_socket_tests;

BOOST_AUTO_TEST_SUITE(streams_tests)

// -- open_connection

BOOST_AUTO_TEST_CASE(st1_open_connection_gives_both_ends) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    const Socket listener = listening_socket();
    const Address address = listener.getsockname();
    auto [reader, writer] = co_await connect_to(address);
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
  const std::string port = std::to_string(unused_address().port());
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
  BOOST_TEST(loop.run_until_complete(error_of(open_connection({.sock = &mine, .limit = 0}))) ==
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
  BOOST_TEST(loop.reports.empty());
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
    pair.writer.write("dropped");
    const std::uint64_t before = get_running_loop().passes();
    const std::string error = co_await error_of(pair.writer.drain());
    BOOST_TEST(error == "ConnectionResetError('Connection lost')");
    BOOST_TEST(get_running_loop().passes() - before == 1u);
    BOOST_TEST(pair.peer.recv(10) == "");
  });
  BOOST_TEST(loop.reports.empty());
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
  BOOST_TEST(loop.reports.empty());
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

BOOST_AUTO_TEST_CASE(cancelled_anywhere_nothing_stays_open) {
  const CapturedLog log;  // of the writers that are dropped
  const socket_tests::NoDescriptorLeft checked;
  const auto points = on_virtual_time::cancel_everywhere(
      [](on_virtual_time::Loop&) -> Coroutine<> {
        auto [mine, theirs] = Socket::pair();
        theirs.send("hello");
        auto [reader, writer] = co_await open_connection({.sock = &mine});
        const Bytes data = co_await reader.readexactly(5);
        BOOST_TEST(data == "hello");
        writer.close();
        co_await writer.wait_closed();
      },
      [](on_virtual_time::Loop& loop) { loop.pass(); });
  BOOST_TEST(points > 5u);
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

// -- the last handle (rule 216)

BOOST_AUTO_TEST_CASE(r216_dropping_both_ends_closes_the_connection) {
  Loop loop;
  const CapturedLog log;
  loop.run([&]() -> Coroutine<> {
    Socket peer;
    {
      Pair pair = co_await Pair::make();
      peer = std::move(pair.peer);
    }
    co_await pass(2);
    BOOST_TEST(peer.recv(10) == "");
  });
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(
      log.messages()[0].starts_with("unclosed <StreamWriter transport=<StreamTransport closing"));
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
