// SPDX-License-Identifier: BSL-1.0
// What a stream transport has yet to send. Knows no sockets.
#pragma once

#include <asyncio/bytes.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "flow_control.hpp"

namespace asyncio::inline v1::detail {

class WriteBuffer : public FlowControl {
 public:
  /// Pieces are joined up to this size: many small writes cost neither an allocation nor an entry
  /// of the gathered send each.
  static constexpr std::size_t chunk_size = 64 * 1024;

  /// Copies the data to the end.
  void append(BytesView data);
  /// Views of the first bytes, as many pieces as there are, at most out.size(); returns how many.
  std::size_t pieces(std::span<BytesView> out) const noexcept;
  /// The first `count` bytes were sent.
  void consume(std::size_t count) noexcept;
  void clear() noexcept;

 private:
  struct Queue {
    std::vector<Bytes> chunks;
    std::size_t first = 0;   // the chunk to be sent next
    std::size_t offset = 0;  // what of it was sent already
  };
  /// Most connections never have to wait until they can send.
  std::unique_ptr<Queue> queue_;
};

}  // namespace asyncio::inline v1::detail
