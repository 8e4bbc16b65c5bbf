// SPDX-License-Identifier: BSL-1.0
// Echo server, plain Asio with callbacks, all of them on one strand of a context that two threads
// run.
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <thread>

#include "asio_echo.hpp"

int main(int argc, char** argv) {
  boost::asio::io_context io;
  const Listener listener(boost::asio::make_strand(io), port_argument(argc, argv));
  announce();
  const std::jthread second([&] { io.run(); });
  io.run();
}
