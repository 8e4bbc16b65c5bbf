// SPDX-License-Identifier: BSL-1.0
// An echo server written as a coroutine: one call for each client, whose state is in its locals.
// After PyMOTW, "Asynchronous I/O Using Coroutines and Streams".
//
//   stream_echo_server [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <string>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  const asyncio::Address address = writer.get_extra_info(asyncio::peername);
  const asyncio::Logger log = asyncio::get_logger("echo_" + to_string(address, "_"));
  log.debug("connection accepted");
  for (;;) {
    const asyncio::Bytes data = co_await reader.read(128);
    if (data.empty()) break;
    log.debug("received {}", asyncio::repr(data));
    writer.write(data);
    co_await writer.drain();
    log.debug("sent {}", asyncio::repr(data));
  }
  log.debug("closing");
  writer.close();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 10000;

  asyncio::basic_config({.level = asyncio::LogLevel::debug, .format = "%(name)s: %(message)s"});
  const asyncio::Logger log = asyncio::get_logger("main");
  asyncio::EventLoop loop;

  // Let the loop finish creating the server before it runs for good.
  asyncio::Server server;
  try {
    server = loop.run_until_complete(asyncio::start_server(echo, host, port));
  } catch (const asyncio::OSError& error) {
    log.error("{}", error.what());
    return EXIT_FAILURE;
  }
  log.debug("starting up on {} port {}", host, port);

  // Serve all connections until Ctrl-C.
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  loop.run_forever();
  loop.remove_signal_handler(SIGINT);  // another one ends the program at once

  log.debug("closing server");
  server.close();
  server.close_clients();  // wait_closed() waits for them
  loop.run_until_complete(server.wait_closed());
  log.debug("closing event loop");
  loop.close();
}
