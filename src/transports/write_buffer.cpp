// SPDX-License-Identifier: BSL-1.0
#include "write_buffer.hpp"

#include <algorithm>

namespace asyncio::inline v1::detail {

void WriteBuffer::append(BytesView data) {
  if (data.empty()) return;
  if (!chunks_.empty() && chunks_.back().size() + data.size() <= chunk_size)
    chunks_.back().append(data.data(), data.size());
  else
    chunks_.emplace_back(data.data(), data.size());
  size_ += data.size();
}

std::size_t WriteBuffer::pieces(std::span<BytesView> out) const noexcept {
  const std::size_t count = std::min(out.size(), chunks_.size() - first_);
  for (std::size_t i = 0; i < count; ++i) out[i] = chunks_[first_ + i];
  if (count != 0) out[0] = out[0].subview(offset_);
  return count;
}

void WriteBuffer::consume(std::size_t count) noexcept {
  size_ -= count;
  while (count != 0) {
    const std::size_t left = chunks_[first_].size() - offset_;
    if (count < left) {
      offset_ += count;
      break;
    }
    count -= left;
    chunks_[first_++] = Bytes();
    offset_ = 0;
  }
  // What was sent is cut off when it is half of all: each entry is moved once at most.
  if (first_ * 2 >= chunks_.size()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void WriteBuffer::clear() noexcept {
  chunks_.clear();
  first_ = offset_ = size_ = 0;
}

}  // namespace asyncio::inline v1::detail
