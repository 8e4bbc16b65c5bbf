// SPDX-License-Identifier: BSL-1.0
// A program with Asio's handler tracking: what it writes on stderr names the lines of the library,
// and of this file, where operations begin. See tracking_test.py.
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>

#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  const asyncio::Bytes data = co_await reader.read(100);
  writer.write(data);
  writer.close();
}

asyncio::Coroutine<> talk() {
  asyncio::Server server = co_await asyncio::start_server(echo, "127.0.0.1", 0);
  const asyncio::Address address = server.sockets().front().getsockname();
  auto [reader, writer] = co_await asyncio::open_connection(address.host(), address.port());
  boost::asio::steady_timer timer(asyncio::get_running_loop().get_io_context());
  timer.expires_after(std::chrono::milliseconds(1));
  co_await timer.async_wait(asyncio::use_awaitable);  // awaited here
  writer.write("hello");
  const asyncio::Bytes answer = co_await reader.read(100);
  writer.close();
  server.close();
}

int main() {
  boost::asio::io_context io;
  asyncio::EventLoop loop(io);
  asyncio::async_run(loop, talk(), boost::asio::detached);
  io.run();
}
