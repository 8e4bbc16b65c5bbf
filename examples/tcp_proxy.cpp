// SPDX-License-Identifier: BSL-1.0
// A proxy: every connection to it becomes one to the target. Each direction ends on its own, as it
// does without a proxy, and neither side is read faster than the other takes it.
//
//   tcp_proxy TARGET_HOST TARGET_PORT [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

struct Target {
  std::string host;
  int port;
};

/// One direction. Its end is handed on; the other direction may live on.
asyncio::Coroutine<> pump(asyncio::StreamReader from, asyncio::StreamWriter to) {
  for (;;) {
    const asyncio::Bytes data = co_await from.read(64 * 1024);
    if (data.empty()) break;
    to.write(data);
    co_await to.drain();
  }
  to.write_eof();
}

/// Both directions, until both have ended. If one fails, the other is cancelled.
asyncio::Coroutine<> relay(asyncio::StreamReader client_reader, asyncio::StreamWriter client_writer,
                           asyncio::StreamReader target_reader,
                           asyncio::StreamWriter target_writer) {
  try {
    co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> asyncio::Coroutine<> {
      group.create_task(pump(client_reader, target_writer));
      group.create_task(pump(target_reader, client_writer));
      co_return;
    });
  } catch (const asyncio::ExceptionGroup& failed) {
    // One side was reset. The other is closed at once: what it has not been sent yet is lost.
    std::cout << asyncio::repr(failed.exceptions().front()) << std::endl;
    client_writer.transport()->abort();
    target_writer.transport()->abort();
  } catch (...) {  // cancelled: Ctrl-C
    client_writer.close();
    target_writer.close();
    throw;
  }
  client_writer.close();
  target_writer.close();
}

asyncio::Coroutine<> proxy(const Target& target, asyncio::StreamReader reader,
                           asyncio::StreamWriter writer) {
  try {
    auto [target_reader, target_writer] =
        co_await asyncio::open_connection(target.host, target.port);
    co_await relay(reader, writer, target_reader, target_writer);
  } catch (const asyncio::OSError& error) {
    std::cout << error.what() << std::endl;
    writer.close();
  }
}

asyncio::Coroutine<> serve(const Target& target, std::string host, int port) {
  const auto handle = [&target](asyncio::StreamReader reader, asyncio::StreamWriter writer) {
    return proxy(target, std::move(reader), std::move(writer));
  };
  const asyncio::Server server = co_await asyncio::start_server(handle, host, port);
  std::cout << "Serving on " << to_string(server.sockets().front().getsockname()) << std::endl;

  // Until Ctrl-C. Then all connections are closed.
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  asyncio::Event interrupted;
  loop.add_signal_handler(SIGINT, [&] { interrupted.set(); });
  co_await interrupted.wait();
  loop.remove_signal_handler(SIGINT);
  server.close();
  server.close_clients();
  try {
    co_await asyncio::wait_for(server.wait_closed(), 5);
  } catch (const asyncio::TimeoutError&) {
    server.abort_clients();  // those that do not read what is left for them
  }
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: tcp_proxy TARGET_HOST TARGET_PORT [HOST [PORT]]" << std::endl;
    return 2;
  }
  const Target target{argv[1], std::atoi(argv[2])};
  const std::string host = argc > 3 ? argv[3] : "127.0.0.1";
  const int port = argc > 4 ? std::atoi(argv[4]) : 8888;
  try {
    asyncio::run(serve(target, host, port));
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
