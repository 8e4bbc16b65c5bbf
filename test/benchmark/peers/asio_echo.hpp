// SPDX-License-Identifier: BSL-1.0
// Echo by Asio's callbacks, as its own examples are written. Handlers run on the acceptor's
// executor.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "peer.hpp"

class Session : public std::enable_shared_from_this<Session> {
 public:
  using tcp = boost::asio::ip::tcp;

  explicit Session(tcp::socket socket) : socket_(std::move(socket)) {
    socket_.set_option(tcp::no_delay(true));
  }

  void read() {
    socket_.async_read_some(
        boost::asio::buffer(data_),
        [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
          if (!error) self->write(size);
        });
  }

 private:
  void write(std::size_t size) {
    boost::asio::async_write(
        socket_, boost::asio::buffer(data_, size),
        [self = shared_from_this()](boost::system::error_code error, std::size_t) {
          if (!error) self->read();
        });
  }

  tcp::socket socket_;
  std::array<char, 64 * 1024> data_;
};

class Listener {
 public:
  using tcp = boost::asio::ip::tcp;

  template <class Executor>
  Listener(Executor executor, std::uint16_t port)
      : acceptor_(executor, tcp::endpoint(boost::asio::ip::address_v4::loopback(), port)) {
    acceptor_.listen(backlog);
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (!error) std::make_shared<Session>(std::move(socket))->read();
      accept();
    });
  }

  tcp::acceptor acceptor_;
};
