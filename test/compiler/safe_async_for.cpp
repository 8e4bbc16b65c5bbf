// SPDX-License-Identifier: BSL-1.0
//
// Always right: the loop over the values of a generator.
#include "trap.hpp"

using Item = std::optional<trap::Object>;

trap::Later<Item> next(int& count) {
  return trap::later(++count < 5 ? Item(std::in_place, count) : Item());
}

trap::Coroutine<> only_the_loop(int count) {
  while (auto item = co_await next(count)) trap::Object copy(*item);
}

trap::Coroutine<> body() {
  int count = 0;
  while (auto item = co_await next(count)) co_yield *item;
  count = 0;
  while (auto item = co_await next(count)) {
    trap::Object local(*item);
    if (count == 1) continue;
    if (count == 3) break;
    co_yield std::move(*item);
  }
  count = 0;
  int* pointer = &count;
  while (auto* same = co_await trap::later(std::exchange(pointer, nullptr))) co_yield *same;
  co_await only_the_loop(0);
  while (auto item = co_await next(count)) {
    if (item->value() == 2) co_return;
  }
}

int main() { return trap::always_balanced(body); }
