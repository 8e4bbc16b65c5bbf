// SPDX-License-Identifier: BSL-1.0
// Echo server, streams: bench_echo_streams PORT. Prints READY and echoes until it is killed.
#include <cstdio>
#include <cstdlib>

#include <asyncio/asyncio.hpp>

namespace {

asyncio::Coroutine<> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  try {
    for (;;) {
      const asyncio::Bytes data = co_await reader.read(256 * 1024);
      if (data.empty()) break;
      writer.write(data);
      co_await writer.drain();
    }
  } catch (const asyncio::ConnectionError&) {  // the client has gone with answers on their way
  }
  writer.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_streams PORT\n", stderr);
    return 2;
  }
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(
      asyncio::start_server(echo, "127.0.0.1", std::atoi(argv[1]), {.backlog = 4096}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
