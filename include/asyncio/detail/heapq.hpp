// SPDX-License-Identifier: BSL-1.0
// Python's heapq: a binary heap in a vector, the smallest element in front. It makes the very
// comparisons that CPython makes, so elements that are equal leave in the order in which they do
// there; std::push_heap and std::pop_heap would do, but for that.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include <asyncio/detail/prefetch.hpp>

namespace asyncio::inline v1::detail {

template <class T, class Less = std::less<T>>
class HeapQ {
 public:
  explicit HeapQ(Less less = Less()) : less_(std::move(less)) {}

  bool empty() const noexcept { return elements_.empty(); }
  std::size_t size() const noexcept { return elements_.size(); }
  const T& top() const noexcept { return elements_.front(); }
  /// All of them, as they lie in the heap.
  const std::vector<T>& elements() const noexcept { return elements_; }

  // Comparisons come first: if one throws, nothing has changed.

  void push(T element) {
    std::size_t place = elements_.size();
    while (place != 0 && less_(element, elements_[parent(place)])) place = parent(place);
    elements_.push_back(std::move(element));
    for (std::size_t i = elements_.size() - 1; i != place; i = parent(i))
      std::swap(elements_[i], elements_[parent(i)]);
  }
  /// Not of an empty heap.
  T pop() {
    const std::size_t last = elements_.size() - 1;
    const std::size_t place = find_place(last, 0, last);
    T element = std::move(elements_[last]);
    if (last != 0) element = put_below(std::move(element), 0, place);
    elements_.pop_back();
    return element;
  }
  /// Takes out every element for which `match` is true, and orders the rest anew.
  template <class Match>
  void remove_if(Match match) {
    std::erase_if(elements_, match);
    for (std::size_t top = elements_.size() / 2; top-- > 0;) {
      const std::size_t place = find_place(top, top, elements_.size());
      T element = std::move(elements_[top]);
      put_below(std::move(element), top, place);
    }
  }

 private:
  static std::size_t parent(std::size_t position) noexcept { return (position - 1) / 2; }

  // heapq._siftup: where an element belongs that replaces the top of a heap that ends at `end`.
  // The way goes down to a leaf along the smaller children, and from there up.
  std::size_t find_place(std::size_t element, std::size_t top, std::size_t end) {
    std::size_t place = top;
    for (std::size_t child = 2 * top + 1; child < end; child = 2 * place + 1) {
      const std::size_t right = child + 1;
      const std::size_t below = 4 * child + 3;  // where the next but one is found
      if (below < end) prefetch(&elements_[below]);
      place = right < end && !less_(elements_[child], elements_[right]) ? right : child;
    }
    while (place != top && less_(elements_[element], elements_[place])) place = parent(place);
    return place;
  }
  // Puts the element there, moves all from there to the top one up, and returns what was the top.
  T put_below(T element, std::size_t top, std::size_t place) {
    for (;; place = parent(place)) {
      std::swap(element, elements_[place]);
      if (place == top) return element;
    }
  }

  std::vector<T> elements_;
  [[no_unique_address]] Less less_;
};

}  // namespace asyncio::inline v1::detail
