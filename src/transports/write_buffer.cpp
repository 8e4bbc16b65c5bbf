// SPDX-License-Identifier: BSL-1.0
#include "write_buffer.hpp"

#include <algorithm>

namespace asyncio::inline v1::detail {

void WriteBuffer::append(BytesView data) {
  if (data.empty()) return;
  if (!queue_) queue_ = std::make_unique<Queue>();
  std::vector<Bytes>& chunks = queue_->chunks;
  if (!chunks.empty() && chunks.back().size() + data.size() <= chunk_size)
    chunks.back().append(data.data(), data.size());
  else
    chunks.emplace_back(data.data(), data.size());
  size_ += data.size();
}

std::size_t WriteBuffer::pieces(std::span<BytesView> out) const noexcept {
  if (!queue_) return 0;
  const auto& [chunks, first, offset] = *queue_;
  const std::size_t count = std::min(out.size(), chunks.size() - first);
  for (std::size_t i = 0; i < count; ++i) out[i] = chunks[first + i];
  if (count != 0) out[0] = out[0].subview(offset);
  return count;
}

void WriteBuffer::consume(std::size_t count) noexcept {
  if (!queue_) return;
  auto& [chunks, first, offset] = *queue_;
  size_ -= count;
  while (count != 0) {
    const std::size_t left = chunks[first].size() - offset;
    if (count < left) {
      offset += count;
      break;
    }
    count -= left;
    chunks[first++] = Bytes();
    offset = 0;
  }
  // What was sent is cut off when it is half of all: each entry is moved once at most.
  if (first * 2 >= chunks.size()) {
    chunks.erase(chunks.begin(), chunks.begin() + static_cast<std::ptrdiff_t>(first));
    first = 0;
  }
}

void WriteBuffer::clear() noexcept {
  queue_.reset();
  size_ = 0;
}

}  // namespace asyncio::inline v1::detail
