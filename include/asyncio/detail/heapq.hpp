// SPDX-License-Identifier: BSL-1.0
// Python's heapq: a binary heap in a vector, the smallest element in front. Elements that compare
// equal leave in the order in which they do in CPython, since these are its very sift procedures
// (std::push_heap and std::pop_heap would do as well, but for that).
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace asyncio::inline v1::detail {

template <class T, class Less>
class HeapQ {
 public:
  explicit HeapQ(Less less = Less()) : less_(std::move(less)) {}

  bool empty() const noexcept { return elements_.empty(); }
  std::size_t size() const noexcept { return elements_.size(); }
  const T& top() const noexcept { return elements_.front(); }
  void push(T element) {
    elements_.push_back(std::move(element));
    sift_down(0, elements_.size() - 1);
  }
  /// Not of an empty heap.
  T pop() {
    T last = std::move(elements_.back());
    elements_.pop_back();
    if (elements_.empty()) return last;
    T top = std::exchange(elements_.front(), std::move(last));
    sift_up(0);
    return top;
  }
  /// Takes out every element for which `match` is true, and orders the rest anew.
  template <class Match>
  void remove_if(Match match) {
    std::erase_if(elements_, match);
    for (std::size_t position = elements_.size() / 2; position-- > 0;) sift_up(position);
  }

 private:
  /// An element taken out, and the hole that it left. It is put back wherever the hole is when a
  /// procedure ends, also when a comparison throws.
  class Hole {
   public:
    Hole(std::vector<T>& elements, std::size_t position)
        : elements_(elements), position_(position), element_(std::move(elements[position])) {}
    Hole(const Hole&) = delete;
    Hole& operator=(const Hole&) = delete;
    ~Hole() { elements_[position_] = std::move(element_); }

    const T& element() const noexcept { return element_; }
    std::size_t position() const noexcept { return position_; }
    void move_to(std::size_t position) {
      elements_[position_] = std::move(elements_[position]);
      position_ = position;
    }

   private:
    std::vector<T>& elements_;
    std::size_t position_;
    T element_;
  };

  // heapq._siftdown: the element at `position` rises towards `start`.
  void sift_down(std::size_t start, std::size_t position) {
    Hole hole(elements_, position);
    while (hole.position() > start) {
      const std::size_t parent = (hole.position() - 1) / 2;
      if (!less_(hole.element(), elements_[parent])) break;
      hole.move_to(parent);
    }
  }

  // heapq._siftup: the hole walks down to a leaf along the smaller children, then the element that
  // came from the top rises.
  void sift_up(std::size_t start) {
    std::size_t position = start;
    {
      Hole hole(elements_, start);
      const std::size_t end = elements_.size();
      for (std::size_t child = 2 * start + 1; child < end; child = 2 * hole.position() + 1) {
        const std::size_t right = child + 1;
        if (right < end && !less_(elements_[child], elements_[right])) child = right;
        hole.move_to(child);
      }
      position = hole.position();
    }
    sift_down(start, position);
  }

  std::vector<T> elements_;
  [[no_unique_address]] Less less_;
};

}  // namespace asyncio::inline v1::detail
