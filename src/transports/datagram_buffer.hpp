// SPDX-License-Identifier: BSL-1.0
// What a datagram transport has yet to send. Knows no sockets.
#pragma once

#include <asyncio/bytes.hpp>
#include <boost/asio/generic/datagram_protocol.hpp>
#include <cstddef>
#include <deque>

#include "flow_control.hpp"

namespace asyncio::inline v1::detail {

class DatagramBuffer : public FlowControl {
 public:
  /// What a datagram counts more than its bytes (rule 175): empty ones are not free either.
  static constexpr std::size_t header_size = 8;

  using Endpoint = boost::asio::generic::datagram_protocol::endpoint;
  struct Datagram {
    Bytes data;
    Endpoint to;
  };

  /// Copies the data to the end.
  void append(BytesView data, const Endpoint& to) {
    datagrams_.push_back(Datagram{data.str(), to});
    size_ += data.size() + header_size;
  }
  /// The oldest one. There must be one.
  const Datagram& front() const noexcept { return datagrams_.front(); }
  void pop_front() noexcept {
    size_ -= datagrams_.front().data.size() + header_size;
    datagrams_.pop_front();
  }
  void clear() noexcept {
    datagrams_.clear();
    size_ = 0;
  }

 private:
  std::deque<Datagram> datagrams_;
};

}  // namespace asyncio::inline v1::detail
