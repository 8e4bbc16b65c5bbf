// SPDX-License-Identifier: BSL-1.0
// A server that answers the first piece of data and closes.
// After the CPython documentation, "TCP echo server using streams".
//
//   tcp_echo_stream_server [HOST [PORT]]
#include <cstdlib>
#include <iostream>
#include <string>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> handle_echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  const asyncio::Bytes data = co_await reader.read(100);
  const asyncio::Address address = writer.get_extra_info(asyncio::peername);
  std::cout << "Received " << asyncio::repr_str(data) << " from " << to_string(address)
            << std::endl;

  std::cout << "Send: " << asyncio::repr_str(data) << std::endl;
  writer.write(data);
  co_await writer.drain();

  std::cout << "Close the connection" << std::endl;
  writer.close();
  co_await writer.wait_closed();
}

asyncio::Coroutine<> serve(std::string host, int port) {
  const asyncio::Server server = co_await asyncio::start_server(handle_echo, host, port);
  std::string addresses;
  for (const asyncio::TransportSocket& socket : server.sockets())
    addresses += (addresses.empty() ? "" : ", ") + to_string(socket.getsockname());
  std::cout << "Serving on " << addresses << std::endl;
  // Until somebody cancels this task, as Ctrl-C does. Then it closes the server and waits for its
  // connections, as the end of Python's `async with server` would.
  co_await server.serve_forever();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  try {
    asyncio::run(serve(host, port));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
