// SPDX-License-Identifier: BSL-1.0
// Echo server, Protocol on a loop that lives on a strand of an io_context, which two threads run:
// bench_echo_strand PORT. Prints READY and echoes until it is killed.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "echo_protocol.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_strand PORT\n", stderr);
    return 2;
  }
  boost::asio::io_context io;
  asyncio::EventLoop loop(io);
  const asyncio::Server server = loop.run_until_complete(
      loop.create_server<Echo>("127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  const std::jthread second([&] { io.run(); });
  io.run();
}
