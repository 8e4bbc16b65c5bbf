// SPDX-License-Identifier: BSL-1.0
// Echo by Asio's awaitables, over whatever stream.
#pragma once

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "peer.hpp"

/// Errors come as values: that a client goes is no exception.
inline constexpr auto as_result = boost::asio::as_tuple(boost::asio::use_awaitable);

template <class Stream>
boost::asio::awaitable<void> echo(Stream& stream) {
  std::array<char, 64 * 1024> data;
  for (;;) {
    const auto space = boost::asio::buffer(data);
    auto [end, size] = co_await stream.async_read_some(space, as_result);
    if (end) co_return;
    const auto answer = boost::asio::buffer(data, size);
    auto [failure, sent] = co_await boost::asio::async_write(stream, answer, as_result);
    if (failure) co_return;
  }
}

/// Calls serve(socket), which gives an awaitable, for each connection.
template <class Serve>
boost::asio::awaitable<void> listen(boost::asio::ip::tcp::acceptor acceptor, Serve serve) {
  using tcp = boost::asio::ip::tcp;
  acceptor.listen(backlog);
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(as_result);
    if (error) continue;
    socket.set_option(tcp::no_delay(true));
    boost::asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)),
                          boost::asio::detached);
  }
}

template <class Serve>
void run_server(std::uint16_t port, Serve serve) {
  using tcp = boost::asio::ip::tcp;
  boost::asio::io_context io(1);
  tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
  boost::asio::co_spawn(io, listen(std::move(acceptor), serve), boost::asio::detached);
  announce();
  io.run();
}
