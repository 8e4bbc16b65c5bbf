// SPDX-License-Identifier: BSL-1.0
// Waits for data on a socket that exists already, and reads it without a transport.
// After the CPython documentation, "Watch a file descriptor for read events".
#include <iostream>

#include <asyncio/asyncio.hpp>

int main() {
  // Two sockets that are connected to each other.
  auto [rsock, wsock] = asyncio::Socket::pair();

  asyncio::EventLoop loop;

  const auto reader = [&loop](asyncio::Socket* socket) {
    const asyncio::Bytes data = socket->recv(100);
    std::cout << "Received: " << data << std::endl;

    // That was all: nobody waits for the socket any more.
    loop.remove_reader(*socket);
    loop.stop();
  };

  // The loop calls it when there is something to read.
  loop.add_reader(rsock, reader, &rsock);

  // Play the network: some data arrives.
  loop.call_soon(&asyncio::Socket::send, &wsock, "abc");

  loop.run_forever();
}
