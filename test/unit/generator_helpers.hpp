// SPDX-License-Identifier: BSL-1.0
// Generators that several suites ask, and what they ask them with.
#pragma once

#include <asyncio/generators.hpp>

#include <string>
#include <utility>
#include <vector>

#include "on_virtual_time.hpp"

namespace on_virtual_time {

inline Generator<int> three() {
  for (int i = 0; i < 3; ++i) co_yield i;
}

inline Generator<int> three_with_yields() {
  for (int i = 0; i < 3; ++i) {
    co_await asyncio::sleep(0);
    co_yield i;
  }
}

inline Generator<int> waits_between(Future<> future) {
  co_yield 0;
  co_await future;
  co_yield 1;
}

inline Generator<int> fails_after_one(std::string text) {
  co_yield 1;
  throw ValueError(text);
}

inline Generator<Counted> counted_values(double seconds) {
  const Counted local;
  for (int i = 0; i < 3; ++i) {
    co_await asyncio::sleep(seconds);
    co_yield Counted(i);
  }
}

template <class T>
Coroutine<std::vector<T>> list(Generator<T> generator) {
  std::vector<T> values;
  while (auto value = co_await generator.next()) values.push_back(std::move(*value));
  co_return values;
}

inline Coroutine<int> sum(Generator<int> generator) {
  int total = 0;
  while (auto value = co_await generator.next()) total += *value;
  co_return total;
}

}  // namespace on_virtual_time
