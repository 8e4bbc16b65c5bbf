// SPDX-License-Identifier: BSL-1.0
// Echo server, plain Asio with callbacks, one thread.
#include <boost/asio/io_context.hpp>

#include "asio_echo.hpp"

int main(int argc, char** argv) {
  boost::asio::io_context io(1);
  const Listener listener(io.get_executor(), port_argument(argc, argv));
  announce();
  io.run();
}
