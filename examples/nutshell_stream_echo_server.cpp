// SPDX-License-Identifier: BSL-1.0
// A server that echoes each piece as it comes, and says who is connected.
// After "Python in a Nutshell", chapter 18, the version with streams.
//
//   nutshell_stream_echo_server [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> handle_connection(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  const std::string address = to_string(writer.get_extra_info(asyncio::peername));
  std::cout << "Connected from " << address << std::endl;
  for (;;) {
    const asyncio::Bytes data = co_await reader.read(1024);
    if (data.empty()) break;
    std::cout << "Recv: " << data << std::endl;
    writer.write(data);
    co_await writer.drain();
    std::cout << "Echo: " << data << std::endl;
  }
  writer.close();
  std::cout << "Disconnected from " << address << std::endl;
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8881;

  asyncio::EventLoop loop;
  asyncio::Server server;
  try {
    server = loop.run_until_complete(asyncio::start_server(handle_connection, host, port));
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
  std::cout << "Serving at " << to_string(server.sockets().front().getsockname()) << std::endl;
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  loop.run_forever();
  loop.remove_signal_handler(SIGINT);  // another one ends the program at once
  server.close();
  server.close_clients();  // wait_closed() waits for them
  loop.run_until_complete(server.wait_closed());
  loop.close();
}
