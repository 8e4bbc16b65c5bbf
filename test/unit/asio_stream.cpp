// SPDX-License-Identifier: BSL-1.0
//
// Streams as Asio's streams: reading and writing with Asio's composed operations.
#include <asyncio/asio.hpp>

#include <array>
#include <atomic>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "transport_fixture.hpp"

namespace asio = boost::asio;
using namespace transport_tests;
using boost::system::error_code;

namespace {

/// What a handler was given, and how often.
struct Result {
  int calls = 0;
  error_code error;
  std::size_t size = 0;
  auto handler() {
    return [this](const error_code& why, std::size_t count) {
      ++calls;
      error = why;
      size = count;
    };
  }
};

/// A stream, and the other end of its socket.
struct Fixture : Connection {
  Fixture() : stream(open_streams()) {}
  ~Fixture() { stream.writer().close(); }
  std::pair<StreamReader, StreamWriter> open_streams() {
    auto [mine, theirs] = Socket::pair();
    peer = std::move(theirs);
    return loop.run_until_complete(open_connection({.sock = &mine}));
  }
  void until_called(const Result& result) {
    run_until([&] { return result.calls != 0; });
    pass(3);
    BOOST_TEST(result.calls == 1);
  }
  /// Bytes wait in the reader.
  void feed(const std::string& text) {
    peer.send(text);
    run_until([&] { return stream.reader().state()->buffer().size() == text.size(); });
  }
  /// The kernel takes no more, and the writer is above its limit.
  void block_writing() {
    stream.writer().write(std::string(2'000'000, 'x'));
    BOOST_TEST_REQUIRE(!stream.writer().state()->protocol()->may_write());
  }

  AsioStream stream;
  std::array<char, 8> memory{};
  std::string text(std::size_t size) const { return std::string(memory.data(), size); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(asio_stream_tests, Fixture)

// -- reading

BOOST_AUTO_TEST_CASE(what_is_buffered_is_read_and_the_handler_called_later) {
  feed("spam");
  Result result;
  stream.async_read_some(asio::buffer(memory), result.handler());
  BOOST_TEST(result.calls == 0);
  until_called(result);
  BOOST_TEST(!result.error);
  BOOST_TEST(text(result.size) == "spam");
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_stays_for_the_next_one) {
  feed("spam and eggs");
  Result first, second;
  stream.async_read_some(asio::buffer(memory), first.handler());
  until_called(first);
  BOOST_TEST(text(first.size) == "spam and");
  stream.async_read_some(asio::buffer(memory), second.handler());
  until_called(second);
  BOOST_TEST(text(second.size) == " eggs");
}

BOOST_AUTO_TEST_CASE(reading_waits_for_data) {
  Result result;
  stream.async_read_some(asio::buffer(memory), result.handler());
  pass(5);
  BOOST_TEST(result.calls == 0);
  peer.send("spam");
  until_called(result);
  BOOST_TEST(!result.error);
  BOOST_TEST(text(result.size) == "spam");
}

BOOST_AUTO_TEST_CASE(several_buffers_are_filled_in_their_order) {
  std::array<char, 2> first;
  std::array<char, 10> second;
  Result result;
  stream.async_read_some(
      std::array<asio::mutable_buffer, 2>{asio::buffer(first), asio::buffer(second)},
      result.handler());
  peer.send("spam");
  until_called(result);
  BOOST_TEST(std::string(first.data(), 2) == "sp");
  BOOST_TEST(std::string(second.data(), result.size - 2) == "am");
}

BOOST_AUTO_TEST_CASE(without_room_reading_completes_with_nothing) {
  Result result;
  stream.async_read_some(asio::mutable_buffer(), result.handler());
  BOOST_TEST(result.calls == 0);
  until_called(result);
  BOOST_TEST(!result.error);
  BOOST_TEST(result.size == 0u);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_stream_is_eof_whether_it_has_come_or_comes) {
  Result coming, come;
  stream.async_read_some(asio::buffer(memory), coming.handler());
  pass(3);
  peer.shutdown(SHUT_WR);
  until_called(coming);
  BOOST_TEST((coming.error == asio::error::eof));
  stream.async_read_some(asio::buffer(memory), come.handler());
  until_called(come);
  BOOST_TEST((come.error == asio::error::eof));
}

BOOST_AUTO_TEST_CASE(a_failure_is_its_code_whether_it_has_come_or_comes) {
  Result coming, come;
  stream.async_read_some(asio::buffer(memory), coming.handler());
  pass(3);
  stream.reader().set_exception(ConnectionResetError("gone"));
  until_called(coming);
  BOOST_TEST((coming.error == asio::error::connection_reset));
  stream.async_read_some(asio::buffer(memory), come.handler());
  until_called(come);
  BOOST_TEST((come.error == asio::error::connection_reset));
}

BOOST_AUTO_TEST_CASE(what_has_no_code_is_an_io_error) {
  stream.reader().set_exception(ValueError("odd"));
  Result result;
  stream.async_read_some(asio::buffer(memory), result.handler());
  until_called(result);
  BOOST_TEST((result.error == boost::system::errc::io_error));
}

BOOST_AUTO_TEST_CASE(a_cancelled_read_takes_nothing_out) {
  for (const auto type : {asio::cancellation_type::total, asio::cancellation_type::partial,
                          asio::cancellation_type::terminal}) {
    asio::cancellation_signal signal;
    Result result, next;
    stream.async_read_some(asio::buffer(memory),
                           asio::bind_cancellation_slot(signal.slot(), result.handler()));
    pass(3);
    peer.send("spam");
    signal.emit(type);
    until_called(result);
    BOOST_TEST((result.error == asio::error::operation_aborted));
    BOOST_TEST(result.size == 0u);
    signal.emit(type);
    stream.async_read_some(asio::buffer(memory), next.handler());
    until_called(next);
    BOOST_TEST(text(next.size) == "spam");
  }
}

BOOST_AUTO_TEST_CASE(a_cancellation_that_comes_too_late_changes_nothing) {
  feed("spam");
  asio::cancellation_signal signal;
  Result result;
  stream.async_read_some(asio::buffer(memory),
                         asio::bind_cancellation_slot(signal.slot(), result.handler()));
  signal.emit(asio::cancellation_type::all);
  until_called(result);
  BOOST_TEST(!result.error);
  BOOST_TEST(text(result.size) == "spam");
}

// -- writing

BOOST_AUTO_TEST_CASE(what_is_written_arrives_and_the_handler_is_called_later) {
  Result result;
  stream.async_write_some(
      std::array<asio::const_buffer, 3>{asio::buffer("spam", 4), asio::const_buffer(),
                                        asio::buffer(" and eggs", 9)},
      result.handler());
  BOOST_TEST(result.calls == 0);
  until_called(result);
  BOOST_TEST(!result.error);
  BOOST_TEST(result.size == 13u);
  BOOST_TEST(received() == "spam and eggs");
}

BOOST_AUTO_TEST_CASE(writing_nothing_completes_with_nothing) {
  Result result;
  stream.async_write_some(asio::const_buffer(), result.handler());
  BOOST_TEST(result.calls == 0);
  until_called(result);
  BOOST_TEST(!result.error);
}

BOOST_AUTO_TEST_CASE(writing_waits_while_the_peer_does_not_read) {
  block_writing();
  Result result;
  stream.async_write_some(asio::buffer("y", 1), result.handler());
  pass(5);
  BOOST_TEST(result.calls == 0);
  std::string all;
  run_until([&] {
    all += received();
    return result.calls != 0 && all.size() == 2'000'001;
  });
  BOOST_TEST(!result.error);
  BOOST_TEST(result.size == 1u);
  BOOST_TEST(all.back() == 'y');
}

BOOST_AUTO_TEST_CASE(a_cancelled_write_counts_what_the_writer_has) {
  block_writing();
  asio::cancellation_signal signal;
  Result result;
  stream.async_write_some(asio::buffer("y", 1),
                          asio::bind_cancellation_slot(signal.slot(), result.handler()));
  pass(3);
  signal.emit(asio::cancellation_type::total);  // which it cannot give
  pass(3);
  BOOST_TEST(result.calls == 0);
  signal.emit(asio::cancellation_type::partial);
  until_called(result);
  BOOST_TEST((result.error == asio::error::operation_aborted));
  BOOST_TEST(result.size == 1u);
}

BOOST_AUTO_TEST_CASE(writing_to_what_is_closed_or_shut_down_fails) {
  Result after_eof, closed;
  stream.writer().write_eof();
  stream.async_write_some(asio::buffer("y", 1), after_eof.handler());
  until_called(after_eof);
  BOOST_TEST((after_eof.error == boost::system::errc::io_error));
  auto other = AsioStream(open_streams());
  other.writer().close();
  other.async_write_some(asio::buffer("y", 1), closed.handler());
  until_called(closed);
  BOOST_TEST((closed.error == asio::error::connection_reset));
  BOOST_TEST(closed.size == 0u);
}

// -- Asio's own

BOOST_AUTO_TEST_CASE(composed_operations_run_on_it) {
  const auto talk = [&]() -> asio::awaitable<std::string> {
    std::string data;
    const std::size_t line = co_await asio::async_read_until(stream, asio::dynamic_buffer(data),
                                                             "\r\n", asio::use_awaitable);
    std::string rest(4 - (data.size() - line), '\0');
    co_await asio::async_read(stream, asio::buffer(rest), asio::use_awaitable);
    co_await asio::async_write(stream, asio::buffer("thanks", 6), asio::use_awaitable);
    co_return data + rest;
  };
  std::optional<std::string> all;
  asio::co_spawn(stream.get_executor(), talk(), [&](std::exception_ptr error, std::string text) {
    BOOST_TEST(!error);
    all = std::move(text);
  });
  for (const char* part : {"a li", "ne\r", "\nbo", "dy"}) {
    peer.send(part);
    pass(4);
  }
  run_until([&] { return all.has_value(); });
  BOOST_TEST(*all == "a line\r\nbody");
  BOOST_TEST(received() == "thanks");
}

BOOST_AUTO_TEST_CASE(a_composed_operation_is_cancelled_with_what_it_has) {
  asio::cancellation_signal signal;
  Result result;
  asio::async_read(stream, asio::buffer(memory),
                   asio::bind_cancellation_slot(signal.slot(), result.handler()));
  peer.send("spam");
  pass(8);
  BOOST_TEST(result.calls == 0);
  signal.emit(asio::cancellation_type::partial);
  until_called(result);
  BOOST_TEST((result.error == asio::error::operation_aborted));
  BOOST_TEST(text(result.size) == "spam");
}

BOOST_AUTO_TEST_CASE(any_completion_token_will_do) {
  feed("spam");
  std::future<std::size_t> size = stream.async_read_some(asio::buffer(memory), asio::use_future);
  pass(5);
  BOOST_TEST((size.wait_for(std::chrono::seconds(0)) == std::future_status::ready));
  BOOST_TEST(size.get() == 4u);
  stream.async_write_some(asio::buffer("eggs", 4), asio::detached);
  BOOST_TEST(received() == "eggs");
}

BOOST_AUTO_TEST_CASE(the_handler_runs_on_its_own_executor) {
  asio::io_context other;
  Result result;
  stream.async_read_some(asio::buffer(memory), asio::bind_executor(other, result.handler()));
  peer.send("spam");
  pass(8);
  BOOST_TEST(result.calls == 0);
  other.run();  // it has known that there is work
  BOOST_TEST(result.calls == 1);
  BOOST_TEST(text(result.size) == "spam");
}

BOOST_AUTO_TEST_CASE(the_handler_may_run_in_another_thread) {
  asio::thread_pool pool(1);
  std::atomic<int> calls = 0;
  auto count = asio::bind_executor(pool, [&](const error_code&, std::size_t) { ++calls; });
  for (int i = 0; i != 20; i += 2) {
    peer.send("x");
    stream.async_read_some(asio::buffer(memory), count);
    run_until([&] { return calls == i + 1; });
    stream.async_write_some(asio::buffer("y", 1), count);
    run_until([&] { return calls == i + 2; });
  }
  pool.join();
  BOOST_TEST(received() == std::string(10, 'y'));
}

BOOST_AUTO_TEST_CASE(a_loop_that_is_closed_destroys_the_handlers_that_wait) {
  const auto alive = std::make_shared<int>();
  asio::cancellation_signal signal;
  stream.async_read_some(
      asio::buffer(memory),
      asio::bind_cancellation_slot(signal.slot(),
                                   [alive](const error_code&, std::size_t) { BOOST_TEST(false); }));
  pass(3);
  BOOST_TEST(alive.use_count() == 2);
  loop.close();
  BOOST_TEST(alive.use_count() == 1);
  signal.emit(asio::cancellation_type::all);
}

BOOST_AUTO_TEST_CASE(it_works_in_a_guest_and_from_the_hosts_handlers) {
  asio::io_context io;
  EventLoop guest(io);
  auto [mine, theirs] = Socket::pair();
  std::optional<AsioStream> adopted;
  Result result;
  const auto open = guest.create_task([&]() -> Coroutine<> {
    auto streams = co_await open_connection({.sock = &mine});
    adopted.emplace(std::move(streams));
  });
  while (!open.done()) io.poll();
  asio::post(io, [&] { adopted->async_read_some(asio::buffer(memory), result.handler()); });
  theirs.send("spam");
  while (result.calls == 0) {
    io.restart();
    io.poll();
  }
  BOOST_TEST(text(result.size) == "spam");
  adopted->writer().close();
}

BOOST_FIXTURE_TEST_CASE(a_handler_of_any_type_is_called, Fixture) {
  Result result;
  asio::any_completion_handler<void(error_code, std::size_t)> handler(result.handler());
  std::string got;
  peer.send("a line\nand more");
  asio::async_read_until(stream, asio::dynamic_buffer(got), "\n", std::move(handler));
  until_called(result);
  BOOST_TEST(result.calls == 1);
  BOOST_TEST(result.size == 7u);
}

BOOST_AUTO_TEST_SUITE_END()
