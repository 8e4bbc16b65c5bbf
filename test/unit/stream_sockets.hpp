// SPDX-License-Identifier: BSL-1.0
// For tests of streams over sockets.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/wait.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "captured_log.hpp"
#include "error_of.hpp"
#include "loop_fixture.hpp"
#include "socket_helpers.hpp"

namespace stream_socket_tests {

using namespace asyncio;
using socket_tests::bound_socket;
using socket_tests::listening_socket;
using socket_tests::unused_address;
using unit_tests::CapturedLog;
using unit_tests::error_of;
using Lines = std::vector<std::string>;
using Streams = std::pair<StreamReader, StreamWriter>;

/// A loop that notes what its exception handler is told.
struct Loop : EventLoop {
  Loop() {
    set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(unit_tests::report_text(context));
    });
  }
  ~Loop() { close(); }  // it may report something
  template <class Body>
  auto run(Body body) {
    return run_until_complete(body());
  }
  Lines reports;
};

/// How many passes it takes.
template <class A>
inline Coroutine<std::uint64_t> passes_of(A awaitable) {
  const std::uint64_t before = get_running_loop().passes();
  const std::string error = co_await error_of(std::move(awaitable));
  (void)error;
  co_return get_running_loop().passes() - before;
}

inline Coroutine<> pass(int count) {
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

inline Coroutine<Streams> connect_to(const Address& address) {
  return open_connection(address.host(), address.port());
}

inline Coroutine<Bytes> ask(Coroutine<Streams> connecting, std::string question) {
  auto [reader, writer] = co_await std::move(connecting);
  writer.write(question);
  Bytes answer = co_await reader.readline();
  writer.close();
  co_await writer.wait_closed();
  co_return answer;
}

/// Connects and says nothing: what comes until the end.
inline Coroutine<Bytes> listen_to(Address address) {
  auto [reader, writer] = co_await connect_to(address);
  Bytes all = co_await reader.read();
  writer.close();
  co_return all;
}

inline Coroutine<> answer_one_line(StreamReader reader, StreamWriter writer) {
  const Bytes line = co_await reader.readline();
  writer.write(line);
  co_await writer.drain();
  writer.close();
  co_await writer.wait_closed();
}

inline constexpr std::size_t much = 10'000'000;  // more than any socket takes at once

}  // namespace stream_socket_tests
