// SPDX-License-Identifier: BSL-1.0
// Memory for what is made by the thousand and is small: frames, futures, tasks, handles.
#pragma once

#include <cstddef>

namespace asyncio::inline v1::detail {

/// Free blocks, by size class, for one thread; a list of them costs a tenth of malloc. Behind the
/// pools of all threads stands the depot (src/pool.cpp), from which they fetch blocks, and to which
/// they give back what is too much. A block may be freed in any thread.
class Pool {
 public:
  /// A size that is no multiple of 16 is that of something with a smaller alignment.
  static constexpr std::size_t granularity = 8;
  static constexpr std::size_t classes = 128;  // up to 1 KiB
  /// Blocks kept per class: enough for a burst, a bound for what a burst leaves behind.
  static constexpr unsigned keep = 4096;

  static constexpr std::size_t class_of(std::size_t size) noexcept {
    return (size - 1) / granularity;
  }
  static constexpr std::size_t size_of(std::size_t index) noexcept {
    return (index + 1) * granularity;
  }

  constexpr Pool() noexcept = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  /// The pool of threads that have none yet, or none any more: empty and full at the same time.
  static Pool nobodys;

  /// For this thread's pool: memory for `size` bytes, aligned for any ordinary type.
  [[gnu::always_inline]] void* allocate(std::size_t size) {
    const std::size_t index = class_of(size);
    if (index >= classes || !free_[index]) return fetch(size);
    Block* const block = free_[index];
    free_[index] = block->next;
    --count_[index];
    return block;
  }
  [[gnu::always_inline]] void deallocate(void* memory, std::size_t size) noexcept {
    const std::size_t index = class_of(size);
    if (index >= classes || count_[index] >= keep) return give_away(memory, size);
    push(index, *static_cast<Block*>(memory));
  }
  /// Gives everything that this thread keeps to the depot.
  static void trim() noexcept;

  struct Block {
    Block* next;
  };

 private:
  class Owner;
  enum class Nobodys {};
  constexpr explicit Pool(Nobodys) noexcept {
    for (unsigned& count : count_) count = keep;
  }

  // Out of line, not only because they are rare: g++ 12 would take malloc's block and our
  // deallocation for a mismatch.
  static void* fetch(std::size_t size);
  static void give_away(void* memory, std::size_t size) noexcept;
  static Pool* of_this_thread() noexcept;

  void push(std::size_t index, Block& block) noexcept {
    block.next = free_[index];
    free_[index] = &block;
    ++count_[index];
  }
  void give_back(std::size_t index, unsigned blocks) noexcept;
  void give_back_all() noexcept;

  Block* free_[classes] = {};
  unsigned count_[classes] = {};
};

}  // namespace asyncio::inline v1::detail
