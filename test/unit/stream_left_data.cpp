// SPDX-License-Identifier: BSL-1.0
//
// Much data for a task that waits stays in its socket until the task takes it, which only shows in
// what is copied (rules 203-207).
#include <asyncio/streams.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "stream_sockets.hpp"

using namespace stream_socket_tests;

namespace {

constexpr std::size_t large = 20'000;

Bytes pattern(std::size_t size) {
  Bytes bytes;
  while (bytes.size() < size) bytes += std::to_string(bytes.size()) + ' ';
  bytes.resize(size);
  return bytes;
}

std::size_t received(const StreamReader& reader) { return reader.state()->buffer().view().size(); }
std::size_t buffered(const StreamReader& reader) { return reader.state()->buffer().size(); }

/// Until the reader is told of data, which is a pass before the task that waits is.
Coroutine<> until_fed(const StreamReader& reader) {
  while (buffered(reader) == 0) co_await asyncio::sleep(0);
}

/// The connection has brought much data before, and will be expected to bring more.
Coroutine<Pair> used_pair() {
  Pair pair = co_await Pair::make();
  pair.peer.send(pattern(large));
  const Bytes data = co_await pair.reader.read(large);
  BOOST_TEST(data.size() == large);
  co_return pair;
}

/// The same, and a task that waits for as much knows that it is there.
template <class T>
struct Told {
  Pair pair;
  Task<T> task;
};
template <class T>
Coroutine<Told<T>> told(Coroutine<T> (*read)(StreamReader)) {
  Pair pair = co_await used_pair();
  const Task<T> task = create_task(read(pair.reader));
  co_await pass(1);
  pair.peer.send(pattern(large));
  co_await until_fed(pair.reader);
  BOOST_TEST(buffered(pair.reader) == large);
  BOOST_TEST(received(pair.reader) == 0u);
  BOOST_TEST(!task.done());
  co_return Told<T>{std::move(pair), task};
}

Coroutine<Bytes> read_some(StreamReader reader) { return reader.read(2 * large); }
Coroutine<Bytes> read_few(StreamReader reader) { return reader.read(100); }

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_left_data_tests)

BOOST_AUTO_TEST_CASE(r205_it_comes_with_the_next_pass) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    BOOST_TEST(pair.reader.state()->repr().starts_with("<StreamReader 20000 bytes "));
    co_await pass(1);
    BOOST_TEST(task.done());
    BOOST_TEST((task.result() == pattern(large)));
    BOOST_TEST(buffered(pair.reader) == 0u);
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r205_what_is_not_taken_is_received_in_the_same_pass) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_few);
    co_await pass(2);
    BOOST_TEST((task.result() == pattern(100)));
    BOOST_TEST(received(pair.reader) == large - 100);
    pair.peer.send("more");
    co_await pass(64);
    const Bytes rest = co_await pair.reader.readexactly(large - 96);
    BOOST_TEST((rest == pattern(large).substr(100) + "more"));
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r204_on_cancel_nothing_is_taken) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    task.cancel();
    co_await pass(2);
    BOOST_TEST(task.cancelled());
    BOOST_TEST(received(pair.reader) == large);
    const Bytes data = co_await pair.reader.read(large);
    BOOST_TEST((data == pattern(large)));
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r206_r208_each_way_to_read_gets_it) {
  Loop loop;
  const auto read = [&](Coroutine<Bytes> (*how)(StreamReader)) {
    const auto body = [how]() -> Coroutine<Bytes> {
      auto [pair, task] = co_await told(how);
      pair.peer.close();
      Bytes data = co_await task;
      pair.writer.close();
      co_return data;
    };
    return loop.run_until_complete(body());
  };
  const Bytes all = pattern(large);
  BOOST_TEST((read([](StreamReader reader) { return reader.read(); }) == all));
  BOOST_TEST((read([](StreamReader reader) { return reader.readexactly(large); }) == all));
  BOOST_TEST((read([](StreamReader reader) { return reader.readuntil(" "); }) == "0 "));
  BOOST_TEST((read([](StreamReader reader) { return reader.readuntil(" 10000 "); }).size() > 10000));
  BOOST_TEST((read([](StreamReader reader) { return reader.readline(); }) == all));
}

BOOST_AUTO_TEST_CASE(r205_the_transport_is_paused_until_it_is_taken) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    auto [reader, writer] = co_await open_connection({.sock = &mine, .limit = large / 3});
    const auto transport = std::dynamic_pointer_cast<Transport>(writer.transport());
    theirs.send(pattern(large));
    co_await until_fed(reader);
    const Bytes first = co_await reader.read(large);
    BOOST_TEST(first.size() == large);
    BOOST_TEST(transport->is_reading());

    const Task<Bytes> task = create_task(reader.read(large / 2));
    co_await pass(1);
    theirs.send(pattern(large));
    co_await until_fed(reader);
    BOOST_TEST(received(reader) == 0u);
    BOOST_TEST(!transport->is_reading());
    const Bytes half = co_await task;
    BOOST_TEST(!transport->is_reading());
    const Bytes rest = co_await reader.read(large);
    BOOST_TEST(transport->is_reading());
    BOOST_TEST((half + rest == pattern(large)));
    writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r216_closed_or_aborted_the_reader_keeps_it) {
  Loop loop;
  for (const bool orderly : {true, false}) {
    const auto body = [orderly]() -> Coroutine<> {
      auto [pair, task] = co_await told(read_few);
      if (orderly)
        pair.writer.close();
      else
        std::dynamic_pointer_cast<Transport>(pair.writer.transport())->abort();
      const Bytes some = co_await task;
      const std::string end = co_await error_of(pair.writer.wait_closed());
      BOOST_TEST(end == "None");
      const Bytes rest = co_await pair.reader.read();
      BOOST_TEST((some + rest == pattern(large)));
    };
    loop.run_until_complete(body());
  }
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(r205_the_end_comes_behind_it) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    pair.peer.close();
    const Bytes data = co_await task;
    const Bytes end = co_await pair.reader.read();
    BOOST_TEST((data == pattern(large)));
    BOOST_TEST(end == "");
    BOOST_TEST(pair.reader.at_eof());
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r205_a_reset_comes_behind_it) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    const Socket listener = listening_socket();
    auto [reader, writer] = co_await connect_to(listener.getsockname());
    Socket peer(::accept(listener.fileno(), nullptr, nullptr), AF_INET, SOCK_STREAM, 0);
    for (int turn = 0; turn < 2; ++turn) {
      const Task<Bytes> task = create_task(reader.read(2 * large));
      co_await pass(1);
      peer.send(pattern(large));
      co_await until_fed(reader);
      BOOST_TEST(received(reader) == (turn == 0 ? large : 0u));
      if (turn == 1) {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(peer.fileno(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        peer.close();
      }
      const Bytes data = co_await task;
      BOOST_TEST((data == pattern(large)));
    }
    const std::string error = co_await error_of(reader.read(1));
    BOOST_TEST(error.starts_with("ConnectionResetError("));
    writer.close();
  });
}

BOOST_AUTO_TEST_CASE(r205_feeding_the_reader_adds_behind_it) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    pair.reader.feed_data("more");
    const Bytes data = co_await task;
    BOOST_TEST((data == pattern(large) + "more"));
    pair.writer.close();
  });
}

BOOST_AUTO_TEST_CASE(a18_another_protocol_or_owner_of_the_socket_does_not_get_it) {
  struct Other : Protocol {
    void data_received(BytesView data) override { text += data.str(); }
    std::string text;
  };
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    const auto other = std::make_shared<Other>();
    std::dynamic_pointer_cast<Transport>(pair.writer.transport())->set_protocol(other);
    pair.peer.send("more");
    const Bytes data = co_await task;
    BOOST_TEST((data == pattern(large)));
    while (other->text.empty()) co_await asyncio::sleep(0);
    BOOST_TEST(other->text == "more");
    pair.writer.close();
  });
  loop.run([]() -> Coroutine<> {
    auto [pair, task] = co_await told(read_some);
    Socket socket = pair.writer.release_socket();
    pair.peer.send("more");
    const Bytes data = co_await task;
    BOOST_TEST((data == pattern(large)));
    BOOST_TEST(socket.recv(100) == "more");
  });
}

BOOST_AUTO_TEST_CASE(a18_a_protocol_of_the_programs_own_receives_it) {
  struct Own : StreamReaderProtocol {
    using StreamReaderProtocol::StreamReaderProtocol;
    void data_received(BytesView data) override {
      sizes.push_back(data.size());
      StreamReaderProtocol::data_received(data);
    }
    std::vector<std::size_t> sizes;
  };
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    const StreamReader reader;
    const auto protocol = std::make_shared<Own>(reader);
    const auto factory = [protocol] { return protocol; };
    const auto made = co_await get_running_loop().create_connection(factory, {.sock = &mine});
    for (int turn = 0; turn < 3; ++turn) {
      theirs.send(pattern(large));
      const Bytes data = co_await reader.read(large);
      BOOST_TEST((data == pattern(large)));
    }
    BOOST_TEST((protocol->sizes == std::vector<std::size_t>(3, large)));
    made.first->close();
  });
}

BOOST_AUTO_TEST_CASE(b1_the_loop_closes_and_the_reader_keeps_it) {
  std::optional<Told<Bytes>> kept;
  {
    Loop loop;
    const auto body = [&kept]() -> Coroutine<> {
      kept = co_await told(read_some);
      throw SystemExit(0);  // at once, not at the end of the pass
    };
    BOOST_CHECK_THROW(loop.run_until_complete(body()), SystemExit);
    loop.close();
    BOOST_TEST((loop.reports == Lines{"Task was destroyed but it is pending!"}));
  }
  BOOST_TEST(received(kept->pair.reader) == large);
}

BOOST_AUTO_TEST_CASE(r216_nobody_wants_it_any_more) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    std::weak_ptr<WriteTransport> transport;
    {
      auto [pair, task] = co_await told(read_some);
      transport = pair.writer.transport();
      task.cancel();
      const std::string error = co_await error_of(task);
      BOOST_TEST(error == "CancelledError()");
      pair.writer.close();
    }
    co_await pass(100);
    BOOST_TEST(transport.expired());
  });
}

BOOST_AUTO_TEST_SUITE_END()
