// SPDX-License-Identifier: BSL-1.0
// For tests of queues: tasks that put and get, and what they did, in order.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/queues.hpp>

#include "on_virtual_time.hpp"

namespace on_virtual_time {

/// The repr without name and address.
template <class T>
std::string format(const Queue<T>& queue) {
  const std::string text = to_string(queue);
  return text.substr(text.find("maxsize"));
}

/// A queue, and what its visitors did, in order.
struct Visits {
  explicit Visits(int maxsize = 0) : queue(maxsize) {}
  explicit Visits(const Queue<int>& queue) : queue(queue) {}

  Coroutine<> get_one(std::string name) {
    std::exception_ptr error;
    int value = 0;
    try {
      value = co_await queue.get();
    } catch (...) {
      error = std::current_exception();
    }
    lines.push_back(name + (error ? '!' + repr(error) : std::to_string(value)));
    if (error && is_cancelled_error(error)) std::rethrow_exception(error);
  }
  Coroutine<> put_one(std::string name, int value) {
    std::exception_ptr error;
    try {
      co_await queue.put(value);
    } catch (...) {
      error = std::current_exception();
    }
    lines.push_back(name + (error ? '!' + repr(error) : std::to_string(value)));
    if (error && is_cancelled_error(error)) std::rethrow_exception(error);
  }
  Task<> getter(std::string name) { return loop.create_task(get_one(std::move(name))); }
  Task<> putter(std::string name, int value) {
    return loop.create_task(put_one(std::move(name), value));
  }
  /// What happened in so many passes.
  Lines pass(unsigned count = 8) {
    loop.pass(count);
    return std::exchange(lines, {});
  }

  Loop loop;
  Queue<int> queue;
  Lines lines;
};

inline std::vector<int> drained(const Queue<int>& queue) {
  std::vector<int> items;
  while (!queue.empty()) items.push_back(queue.get_nowait());
  return items;
}

inline void check(const Lines& lines, const Lines& expected) {
  BOOST_TEST(lines == expected, boost::test_tools::per_element());
}
inline void check(const std::vector<int>& items, const std::vector<int>& expected) {
  BOOST_TEST(items == expected, boost::test_tools::per_element());
}

}  // namespace on_virtual_time
