// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <asyncio/detail/stream_buffer.hpp>
#include <asyncio/exceptions.hpp>
#include <string_view>
#include <utility>

namespace asyncio::inline v1::detail {

void StreamBuffer::append(BytesView data) {
  // What was read is cut off when it is at least half of all, so that each byte that was read pays
  // for moving one that was not.
  if (start_ != 0 && start_ >= size()) {
    bytes_.erase(0, start_);
    start_ = 0;
  }
  fetch();
  bytes_.append(data.data(), data.size());
}

void StreamBuffer::reserve(std::size_t count) { bytes_.reserve(bytes_.size() + count); }

Bytes StreamBuffer::take(std::size_t count) {
  count = std::min(count, size());
  if (left_ != 0) return take_left(count);
  // The whole string may go as it is, unless its memory is much more than what it holds: the reader
  // may want to keep it.
  if (count == bytes_.size() && bytes_.capacity() / 2 <= count) return std::exchange(bytes_, {});
  Bytes taken(view().data(), count);
  drop(count);
  return taken;
}

Bytes StreamBuffer::take_left(std::size_t count) {
  Bytes taken(count, '\0');
  taken.resize(source_->fetch(taken));
  left_ = taken.size() == count ? left_ - count : 0;
  return taken;
}

void StreamBuffer::drop(std::size_t count, std::size_t kept) noexcept {
  start_ += count;
  if (!empty()) return;
  if (bytes_.capacity() > kept) {
    Bytes().swap(bytes_);
  } else {
    bytes_.clear();
  }
  start_ = 0;
}

void SeparatorSearch::check(std::span<const Bytes> separators) {
  if (separators.empty()) throw ValueError("Separator should contain at least one element");
  for (const Bytes& separator : separators)
    if (separator.empty()) throw ValueError("Separator should be at least one-byte string");
}

std::optional<SeparatorSearch::Match> SeparatorSearch::find(BytesView data,
                                                            std::span<const Bytes> separators) {
  const auto [shortest, longest] = std::ranges::minmax_element(separators, {}, &Bytes::size);
  if (data.size() < scanned_ + shortest->size()) return std::nullopt;
  std::optional<Match> first;
  std::string_view text = data;
  for (const Bytes& separator : separators) {
    const std::size_t start = text.find(separator, scanned_);
    if (start == text.npos) continue;
    const std::size_t end = start + separator.size();
    if (first && end == first->end && start < first->start) continue;
    first = Match{start, end};
    text = text.substr(0, end);  // what ends later is of no interest any more
  }
  // The last bytes may be the beginning of a separator.
  if (!first) scanned_ = data.size() - std::min(data.size(), longest->size() - 1);
  return first;
}

}  // namespace asyncio::inline v1::detail
