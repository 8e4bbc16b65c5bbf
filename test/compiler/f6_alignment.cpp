// SPDX-License-Identifier: BSL-1.0
//
// Right? a local variable aligned to 64 bytes.
#include "trap.hpp"

#include <cstdint>

bool aligned(const volatile void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 64 == 0;
}

// Frames of several sizes, so that none is aligned by luck.
template <int Bytes>
trap::Coroutine<> child() {
  alignas(64) char local[Bytes] = {};
  co_await trap::later(1);
  trap::event(aligned(local) ? '+' : '-', 0);
}

trap::Coroutine<> body() {
  co_await child<8>();
  co_await child<24>();
  co_await child<40>();
  co_await child<200>();
}

int main() { return trap::happens("++++", body); }
