// SPDX-License-Identifier: BSL-1.0
// Echo server, BufferedProtocol: bench_echo_buffered PORT. Prints READY and echoes until it is
// killed.
#include <cstdio>
#include <cstdlib>

#include "echo_buffered.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_buffered PORT\n", stderr);
    return 2;
  }
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(
      loop.create_server<BufferedEcho>("127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
