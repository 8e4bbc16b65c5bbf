// SPDX-License-Identifier: BSL-1.0
// Echo server, plain Asio with awaitables, one thread.
#include "asio_echo_awaitable.hpp"

namespace {

boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket) { co_await echo(socket); }

}  // namespace

int main(int argc, char** argv) { run_server(port_argument(argc, argv), serve); }
