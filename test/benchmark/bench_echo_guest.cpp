// SPDX-License-Identifier: BSL-1.0
// Echo server, Protocol on a loop that is a guest of somebody else's io_context, which one thread
// runs: bench_echo_guest PORT. Prints READY and echoes until it is killed.
#include <cstdio>
#include <cstdlib>

#include <boost/asio/io_context.hpp>

#include "echo_protocol.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_guest PORT\n", stderr);
    return 2;
  }
  boost::asio::io_context io(1);
  asyncio::EventLoop loop(io, {.single_threaded = true});
  const asyncio::Server server = loop.run_until_complete(
      loop.create_server<Echo>("127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  io.run();
}
