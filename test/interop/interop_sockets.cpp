// SPDX-License-Identifier: BSL-1.0
// For test/interop/unix.py: servers made of sockets alone, without transports.
//
//   interop_sockets echo PATH          sends back what each connection sends
//   interop_sockets file PATH FILE     sends the file to each connection
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>

#include <asyncio/asyncio.hpp>

namespace {

using asyncio::Coroutine;
using asyncio::Socket;

Coroutine<> echo(Socket connection) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  for (;;) {
    const asyncio::Bytes data = co_await loop.sock_recv(connection, 65536);
    if (data.empty()) break;
    co_await loop.sock_sendall(connection, data);
  }
}

Coroutine<> send_file(Socket connection, std::string path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  co_await asyncio::get_running_loop().sock_sendfile(connection, file.get());
}

Coroutine<> serve(std::string path, std::string file) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  Socket listener(AF_UNIX, SOCK_STREAM);
  listener.bind(asyncio::Address::from_path(path));
  listener.listen();
  std::puts("listening");
  std::fflush(stdout);
  for (;;) {
    auto [connection, address] = co_await loop.sock_accept(listener);
    if (file.empty())
      loop.create_task(echo(std::move(connection)));
    else
      loop.create_task(send_file(std::move(connection), file));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view part = argc > 2 ? argv[1] : "";
  if (!(part == "echo" && argc == 3) && !(part == "file" && argc == 4)) {
    std::fputs("usage: interop_sockets echo PATH | file PATH FILE\n", stderr);
    return 2;
  }
  asyncio::EventLoop loop;
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  const auto serving = loop.create_task(serve(argv[2], argc == 4 ? argv[3] : ""));
  loop.run_forever();
  serving.cancel();
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
}
