// SPDX-License-Identifier: BSL-1.0
// What a stream transport has yet to send, and when its protocol has to pause. Knows no sockets.
#pragma once

#include <asyncio/bytes.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/transports.hpp>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace asyncio::inline v1::detail {

class WriteBuffer {
 public:
  /// Pieces are joined up to this size: many small writes cost neither an allocation nor an entry
  /// of the gathered send each.
  static constexpr std::size_t chunk_size = 64 * 1024;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  /// Copies the data to the end.
  void append(BytesView data);
  /// Views of the first bytes, as many pieces as there are, at most out.size(); returns how many.
  std::size_t pieces(std::span<BytesView> out) const noexcept;
  /// The first `count` bytes were sent.
  void consume(std::size_t count) noexcept;
  void clear() noexcept;

  // -- flow control (rule 138): pause and resume alternate, pause first

  std::size_t low() const noexcept { return low_; }
  std::size_t high() const noexcept { return high_; }
  /// ValueError, and nothing changed, if low would be above high.
  void set_limits(WriteBufferLimits limits);
  bool paused() const noexcept { return paused_; }
  /// To be asked when data or limits came: is pause_writing() to be called now?
  bool pause_due() noexcept { return size_ > high_ && !std::exchange(paused_, true); }
  /// To be asked after a flush: is resume_writing() to be called now?
  bool resume_due() noexcept { return size_ <= low_ && std::exchange(paused_, false); }

 private:
  std::vector<Bytes> chunks_;
  std::size_t first_ = 0;   // the chunk to be sent next
  std::size_t offset_ = 0;  // what of it was sent already
  std::size_t size_ = 0;
  std::size_t low_ = constants::low_water;
  std::size_t high_ = constants::high_water;
  bool paused_ = false;
};

}  // namespace asyncio::inline v1::detail
