// SPDX-License-Identifier: BSL-1.0
// serve_on_threads: one server on all cores, with a loop and a context of its own in each thread.
//
//   asyncio::ServerThreads threads = asyncio::serve_on_threads(0, [](asyncio::EventLoop& loop) {
//     return loop.create_server<EchoServer>("", 10000, {.reuse_port = true});
//   });
//   ...  // until a signal comes, say
//   threads.stop();
//   threads.join();
//
// reuse_port lets every thread listen on the same port, and the kernel share the connections out.
// For a port that the system chooses, bind a socket first, and keep it until all listen:
//
//   asyncio::Socket reserved(AF_INET, SOCK_STREAM);
//   reserved.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
//   reserved.bind(asyncio::Address("127.0.0.1", 0));
//   const int port = reserved.getsockname().port();
//
// Where there is no reuse_port, as for Unix sockets, each thread may serve on a dup() of one bound
// socket: `{.sock = &mine}`.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <vector>

#include <asyncio/constants.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/detail/box.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/duration.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1 {

class EventLoop;

/// Makes the server of one thread, in the loop of that thread. start_server() will do as well.
using ServerFactory = std::function<Coroutine<Server>(EventLoop&)>;

struct ServeOnThreadsOptions {
  /// How long connections may live on after stop(); 0: not at all, nullopt: as long as they like.
  std::optional<Duration> drain_timeout = constants::drain_timeout;
};
static_assert(detail::require_inline_options<ServeOnThreadsOptions>());

namespace detail {
class ServerThreadsState;
}

/// The threads that serve_on_threads() has started. The destructor is stop() and join(), and logs
/// what that one would throw. Move-only.
class [[nodiscard]] ServerThreads {
 public:
  explicit ServerThreads(detail::Box<detail::ServerThreadsState> state) noexcept;
  ServerThreads(ServerThreads&&) noexcept;
  ServerThreads& operator=(ServerThreads&&) noexcept;
  ~ServerThreads();

  /// Asks all threads to end, and does not wait. Each stops listening, lets its connections go on
  /// until they are done or drain_timeout is over, aborts what is left of them, and ends as
  /// asyncio::run() does: tasks are cancelled and waited for, the default executor is shut down,
  /// the loop is closed. Any thread, the servers' own as well; idempotent.
  void stop() const;
  /// Waits until all threads have ended. Throws the first exception that has left one of the loops,
  /// such as SystemExit, once; it has stopped the others, too. Any thread but the servers' own, one
  /// at a time; idempotent.
  void join();
  /// Where the first of the threads listens.
  const std::vector<Address>& addresses() const noexcept;

 private:
  detail::Box<detail::ServerThreadsState> state_;  // null once moved from
};

/// Starts n threads, 0: as many as there are processors, and makes a server in each. Blocks until
/// all servers are made; not to be called by what runs in a loop.
///
/// Each thread has a copy of the factory, which lives until the thread's loop is closed. The copies
/// are made here, and called in all threads at the same time. If one of them fails, all threads are
/// stopped and joined, with no regard to those that are still at it, and the first exception is
/// thrown; others are logged. ValueError if there is no server in what it gives.
ServerThreads serve_on_threads(unsigned n, ServerFactory factory,
                               ServeOnThreadsOptions options = {});

}  // namespace asyncio::inline v1
