// SPDX-License-Identifier: BSL-1.0
// Echo by a BufferedProtocol.
#pragma once

#include <array>
#include <asyncio/asyncio.hpp>
#include <cstddef>
#include <memory>
#include <utility>

/// One for all connections: what was read is written before anybody else reads.
inline std::array<char, 256 * 1024> echo_buffer;

class BufferedEcho : public asyncio::BufferedProtocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  asyncio::MutableBytes get_buffer(std::ptrdiff_t) override {
    return asyncio::MutableBytes(echo_buffer);
  }
  void buffer_updated(std::size_t size) override {
    transport_->write(asyncio::BytesView(echo_buffer.data(), size));
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};
