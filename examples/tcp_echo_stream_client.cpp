// SPDX-License-Identifier: BSL-1.0
// A client that sends one message and prints the answer.
// After the CPython documentation, "TCP echo client using streams".
//
//   tcp_echo_stream_client [HOST [PORT]]
#include <cstdlib>
#include <iostream>
#include <string>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> tcp_echo_client(std::string host, int port, std::string message) {
  auto [reader, writer] = co_await asyncio::open_connection(host, port);

  std::cout << "Send: " << asyncio::repr_str(message) << std::endl;
  writer.write(message);
  co_await writer.drain();

  const asyncio::Bytes data = co_await reader.read(100);
  std::cout << "Received: " << asyncio::repr_str(data) << std::endl;

  std::cout << "Close the connection" << std::endl;
  writer.close();
  co_await writer.wait_closed();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  try {
    asyncio::run(tcp_echo_client(host, port, "Hello World!"));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
