// SPDX-License-Identifier: BSL-1.0
// What a thread knows about asyncio: the loop that runs in it, its memory, the context that is
// current. One thread-local structure, so that all of it costs one address.
#pragma once

#include <asyncio/detail/pool.hpp>
#include <cstddef>

namespace asyncio::inline v1::detail {

class Scheduler;
class ContextState;
template <class T>
class Ref;

struct ThreadState {
  Scheduler* running = nullptr;          // the loop whose pass runs in this thread
  Pool* pool = &Pool::nobodys;           // the thread's memory
  Ref<ContextState>* context = nullptr;  // where the current context is kept
};

#if defined(__GNUC__) && !defined(_WIN32)
[[gnu::tls_model("initial-exec")]]
#endif
extern constinit thread_local ThreadState thread_state;

/// Memory for `size` bytes, aligned for any ordinary type.
[[gnu::always_inline]] inline void* allocate(std::size_t size) {
  return thread_state.pool->allocate(size);
}

/// Gives back what allocate(size) returned. Any thread.
[[gnu::always_inline]] inline void deallocate(void* memory, std::size_t size) noexcept {
  thread_state.pool->deallocate(memory, size);
}

/// Base that puts a class's objects into the pool.
struct Pooled {
  [[gnu::always_inline]] static void* operator new(std::size_t size) { return allocate(size); }
  [[gnu::always_inline]] static void operator delete(void* memory, std::size_t size) noexcept {
    deallocate(memory, size);
  }
};

}  // namespace asyncio::inline v1::detail
