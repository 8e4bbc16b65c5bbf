// SPDX-License-Identifier: BSL-1.0
// The loop's memory for what Asio allocates on behalf of a handler. Asio keeps only a block or two
// for reuse, and every idle connection has an operation waiting.
#pragma once

#include <asyncio/detail/thread_state.hpp>
#include <cstddef>

namespace asyncio::inline v1::detail {

/// A handler names it as its allocator_type.
template <class T>
class PoolAllocator {
 public:
  using value_type = T;

  PoolAllocator() noexcept = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(detail::allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept {
    detail::deallocate(memory, count * sizeof(T));
  }
  friend bool operator==(const PoolAllocator&, const PoolAllocator&) noexcept { return true; }
};

}  // namespace asyncio::inline v1::detail
