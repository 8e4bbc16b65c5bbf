// SPDX-License-Identifier: BSL-1.0
// A client that sends a text line by line: the next line when the echo of the one before has come.
// After "Python in a Nutshell", chapter 18, the version with streams.
//
//   nutshell_stream_echo_client [HOST [PORT]]
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <asyncio/asyncio.hpp>

// Characters beyond ASCII are several bytes each: the network knows bytes only.
const std::vector<std::string> text{"A text of a few lines,",
                                    "with a few characters beyond ASCII: äöü €£ 日本,",
                                    "shows whether server", "and client", "understand each other."};

asyncio::Coroutine<> echo_client(std::string host, int port) {
  auto [reader, writer] = co_await asyncio::open_connection(host, port);
  std::cout << "Connected to server" << std::endl;
  for (const std::string& line : text) {
    writer.write(line);
    std::cout << "Sent: " << line << std::endl;
    const asyncio::Bytes response = co_await reader.read(1024);
    std::cout << "Recv: " << response << std::endl;
  }
  writer.close();
  std::cout << "Disconnected from server" << std::endl;
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8881;

  asyncio::EventLoop loop;
  try {
    loop.run_until_complete(echo_client(host, port));
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
  loop.close();
}
