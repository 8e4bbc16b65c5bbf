// SPDX-License-Identifier: BSL-1.0
// A client that sends a message in parts, closes its direction and reads the echo to the end.
// After PyMOTW, "Asynchronous I/O Using Coroutines and Streams".
//
//   stream_echo_client [HOST [PORT]]
#include <cstdlib>
#include <string>
#include <vector>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<> echo_client(std::string host, int port, std::vector<asyncio::Bytes> messages) {
  const asyncio::Logger log = asyncio::get_logger("echo_client");
  log.debug("connecting to {} port {}", host, port);
  auto [reader, writer] = co_await asyncio::open_connection(host, port);

  // writelines() would send them together, but then there is no moment to log each of them.
  for (const asyncio::Bytes& message : messages) {
    writer.write(message);
    log.debug("sending {}", asyncio::repr(message));
  }
  if (writer.can_write_eof()) writer.write_eof();
  co_await writer.drain();

  log.debug("waiting for response");
  for (;;) {
    const asyncio::Bytes data = co_await reader.read(128);
    if (data.empty()) break;
    log.debug("received {}", asyncio::repr(data));
  }
  log.debug("closing");
  writer.close();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 10000;
  const std::vector<asyncio::Bytes> messages{"This is the message. ", "It will be sent ",
                                             "in parts."};

  asyncio::basic_config({.level = asyncio::LogLevel::debug, .format = "%(name)s: %(message)s"});
  const asyncio::Logger log = asyncio::get_logger("main");
  asyncio::EventLoop loop;
  int status = EXIT_SUCCESS;
  try {
    loop.run_until_complete(echo_client(host, port, messages));
  } catch (const asyncio::OSError& error) {
    log.error("{}", error.what());
    status = EXIT_FAILURE;
  }
  log.debug("closing event loop");
  loop.close();
  return status;
}
