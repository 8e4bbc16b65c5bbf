// SPDX-License-Identifier: BSL-1.0
// For tests of the sock_* operations: two connected sockets with a loop on virtual time, and what
// fills and empties a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <utility>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "on_virtual_time.hpp"
#include "socket_helpers.hpp"

namespace sock_tests {

using namespace on_virtual_time;
using namespace socket_tests;

/// Two connected sockets and a loop.
struct Pair {
  Pair() { std::tie(a, b) = Socket::pair(); }

  template <class T>
  T get(Coroutine<T> coroutine) {
    return loop.run_until_complete(std::move(coroutine));
  }
  template <class T>
  std::string error(Coroutine<T> coroutine) {
    return loop.run_until_complete(ending(std::move(coroutine))).what();
  }
  template <class T>
  std::uint64_t passes(Coroutine<T> coroutine) {
    return loop.run_until_complete(ending(std::move(coroutine))).passes;
  }
  /// Passes until it is done, if the action follows in the pass after its beginning.
  template <class T>
  std::uint64_t passes_after(std::function<void()> action, Coroutine<T> coroutine) {
    const auto body = [&]() -> Coroutine<Ending> {
      loop.call_soon(action);
      Coroutine<Ending> waiting = ending(std::move(coroutine));
      co_return co_await std::move(waiting);
    };
    return loop.run_until_complete(body()).passes;
  }
  /// A task that has come as far as it can.
  template <class T>
  Task<T> start(Coroutine<T> coroutine) {
    const Task<T> task = loop.create_task(std::move(coroutine));
    loop.pass();
    BOOST_TEST_REQUIRE(!task.done());
    return task;
  }

  NoDescriptorLeft check;
  Socket a, b;
  Loop loop;
};

/// Fills a socket to the brim; how much that took.
inline std::size_t fill(Socket& socket) {
  const std::string much(65536, 'x');
  std::size_t sent = 0;
  try {
    for (;;) sent += socket.send(much);
  } catch (const BlockingIOError&) {
  }
  return sent;
}

/// What came until now.
inline Bytes read_all(Socket& socket) {
  Bytes all;
  try {
    for (;;) {
      const Bytes piece = socket.recv(65536);
      if (piece.empty()) return all;
      all += piece;
    }
  } catch (const BlockingIOError&) {
  }
  return all;
}

}  // namespace sock_tests
