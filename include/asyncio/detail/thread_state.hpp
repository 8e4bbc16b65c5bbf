// SPDX-License-Identifier: BSL-1.0
// What a thread knows about asyncio: the loop that runs in it, that loop's memory, the context
// that is current. One thread-local structure, so that all of it costs one address.
#pragma once

#include <cstddef>
#include <new>

namespace asyncio::inline v1::detail {

class Scheduler;
class ContextState;
template <class T>
class Ref;

/// Blocks kept for reuse, by size class. A loop owns one; frames, futures, tasks and handles are
/// made by the thousand and are small, and a free list costs a tenth of malloc.
/// Every block, pooled or not, has the size of its class, so it may be freed anywhere.
class Pool {
 public:
  /// malloc keeps a word before each block and rounds both up to 16 bytes: blocks of 8, 24, 40...
  /// bytes leave nothing unused.
  static constexpr std::size_t granularity = 16;
  static constexpr std::size_t word = 8;
  static constexpr std::size_t classes = 64;  // up to 1 KiB
  /// Blocks kept per class: enough for a burst, a bound for what a burst leaves behind.
  static constexpr unsigned keep = 4096;

  constexpr Pool() noexcept = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  static constexpr std::size_t class_of(std::size_t size) noexcept {
    return (size - word + granularity - 1) / granularity;
  }
  static constexpr std::size_t size_of(std::size_t index) noexcept {
    return index * granularity + word;
  }

 private:
  friend void* allocate(std::size_t);
  friend void deallocate(void*, std::size_t) noexcept;
  struct Block {
    Block* next;
  };
  Block* free_[classes] = {};
  unsigned count_[classes] = {};
};

struct ThreadState {
  Scheduler* running = nullptr;          // the loop whose pass runs in this thread
  Pool* pool = nullptr;                  // its memory
  Ref<ContextState>* context = nullptr;  // where the current context is kept
};

#if defined(__GNUC__) && !defined(_WIN32)
[[gnu::tls_model("initial-exec")]]
#endif
extern constinit thread_local ThreadState thread_state;

// Under the address sanitizer blocks are not reused: it could not see a use after free.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool pool_memory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool pool_memory = false;
#else
inline constexpr bool pool_memory = true;
#endif
#else
inline constexpr bool pool_memory = true;
#endif

/// Memory for `size` bytes, aligned for any ordinary type.
inline void* allocate(std::size_t size) {
  const std::size_t index = Pool::class_of(size);
  if (pool_memory && index < Pool::classes) {
    if (Pool* const pool = thread_state.pool) {
      if (Pool::Block* const block = pool->free_[index]) {
        pool->free_[index] = block->next;
        --pool->count_[index];
        return block;
      }
    }
    return ::operator new(Pool::size_of(index));
  }
  return ::operator new(size);
}

/// Gives back what allocate(size) returned. Any thread.
inline void deallocate(void* memory, std::size_t size) noexcept {
  const std::size_t index = Pool::class_of(size);
  if (pool_memory && index < Pool::classes) {
    if (Pool* const pool = thread_state.pool; pool && pool->count_[index] < Pool::keep) {
      auto* const block = static_cast<Pool::Block*>(memory);
      block->next = pool->free_[index];
      pool->free_[index] = block;
      ++pool->count_[index];
      return;
    }
  }
  ::operator delete(memory);
}

/// Base that puts a class's objects into the pool.
struct Pooled {
  static void* operator new(std::size_t size) { return allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { deallocate(memory, size); }
};

}  // namespace asyncio::inline v1::detail
