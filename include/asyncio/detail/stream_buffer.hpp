// SPDX-License-Identifier: BSL-1.0
// What a StreamReader keeps and how it looks for separators in it. Knows no loop.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include <asyncio/bytes.hpp>
#include <asyncio/detail/byte_source.hpp>

namespace asyncio::inline v1::detail {

/// Bytes that arrived and were not read yet. Reading moves none of those that stay. An empty buffer
/// owns no memory, unless it is told to keep some: most connections are idle most of the time. All
/// may be left where they came from, until they are taken or looked at.
class StreamBuffer {
 public:
  std::size_t size() const noexcept { return bytes_.size() - start_ + left_; }
  bool empty() const noexcept { return size() == 0; }
  /// Valid until the next change. Without what is left at its source.
  BytesView view() const noexcept {
    return BytesView(bytes_.data() + start_, bytes_.size() - start_);
  }

  void append(BytesView data);
  /// Adds bytes that stay in `source`, which must outlive them. The buffer is empty.
  void leave(ByteSource& source, std::size_t count) noexcept {
    source_ = &source;
    left_ = count;
  }
  /// Leaves nothing at its source.
  void fetch() {
    if (left_ != 0) bytes_ = take_left(left_);
  }
  /// Makes room for so many bytes more at once.
  void reserve(std::size_t count);
  /// Takes out the first `count` bytes, or what there is. Fewer also if their source has lost them.
  Bytes take(std::size_t count);
  Bytes take_all() { return take(size()); }
  /// Drops the first `count` bytes; so many there are, and none is left at its source. If it is
  /// empty then, it keeps no more memory than `kept` bytes, for what comes next.
  void drop(std::size_t count, std::size_t kept = 0) noexcept;
  void clear() noexcept {
    left_ = 0;
    drop(size());
  }

 private:
  Bytes take_left(std::size_t count);

  Bytes bytes_;
  std::size_t start_ = 0;  // what stands before it was read
  ByteSource* source_ = nullptr;
  std::size_t left_ = 0;  // at the source; then nothing is in bytes_
};

/// Looks for the first of some separators in data that grows between the looks (rules 208, 209).
class SeparatorSearch {
 public:
  struct Match {
    std::size_t start;
    std::size_t end;
  };

  /// ValueError if there is none, or an empty one.
  static void check(std::span<const Bytes> separators);
  /// The match that ends first; of those that end there, the shortest. The separators are the same
  /// at each look.
  std::optional<Match> find(BytesView data, std::span<const Bytes> separators);
  /// In how many of the first bytes no separator begins.
  std::size_t scanned() const noexcept { return scanned_; }

 private:
  std::size_t scanned_ = 0;
};

}  // namespace asyncio::inline v1::detail
