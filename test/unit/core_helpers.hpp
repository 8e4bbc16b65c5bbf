// SPDX-License-Identifier: BSL-1.0
// What the tests of the core have in common.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/testing.hpp>
#include <asyncio/wait.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "captured_log.hpp"
#include "thrown_by.hpp"

namespace core_tests {

using unit_tests::CapturedLog;
using unit_tests::thrown_by;

/// A loop on virtual time, with the default exception handler.
class VirtualLoop : public asyncio::testing::TestLoop {
 public:
  VirtualLoop() { set_exception_handler(nullptr); }

  /// One pass.
  void pass() { run_passes(1); }
  /// Runs the coroutine that the callable makes; the callable outlives it.
  template <class F>
  auto run(F&& body) {
    return run_until_complete(body());
  }
};

/// For BOOST_CHECK_EXCEPTION: the whole text.
inline auto says(std::string text) {
  return [text = std::move(text)](const auto& error) { return error.what() == text; };
}
/// The text begins and ends like this; between the two stands an address or a repr.
inline auto says_about(std::string begin, std::string end) {
  return [begin = std::move(begin), end = std::move(end)](const auto& error) {
    const std::string text = error.what();
    return text.starts_with(begin) && text.ends_with(end);
  };
}

/// What an ordinary call throws; null if nothing.
template <class F>
std::exception_ptr exception_of(F&& f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

/// So many that whatever was posted has had its turn.
inline asyncio::Coroutine<> some_passes() {
  for (int i = 0; i != 100; ++i) co_await asyncio::sleep(0);
}

/// Counts its living instances.
class Counted {
 public:
  Counted() { ++alive; }
  Counted(const Counted&) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
  static inline std::atomic<int> alive = 0;
};

/// Runs a callable at the end of a scope.
template <class F>
class AtExit {
 public:
  explicit AtExit(F f) : f_(std::move(f)) {}
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;
  ~AtExit() { f_(); }

 private:
  F f_;
};

/// Collects what a loop's exception handler is told. It keeps no handles of futures and tasks.
class Reports {
 public:
  struct Entry {
    std::string message;
    std::exception_ptr exception;
    std::string keys;  // "exception future ...", in alphabetical order
  };
  explicit Reports(asyncio::EventLoop& loop) {
    loop.set_exception_handler(
        [list = list_](asyncio::EventLoop&, const asyncio::ExceptionContext& context) {
          list->push_back({context.message, context.exception, keys_of(context)});
        });
  }
  const std::vector<Entry>& entries() const noexcept { return *list_; }
  std::size_t size() const noexcept { return list_->size(); }
  bool empty() const noexcept { return list_->empty(); }
  const Entry& operator[](std::size_t i) const { return list_->at(i); }

  static std::string keys_of(const asyncio::ExceptionContext& context) {
    std::string keys;
    const auto add = [&](bool present, const char* key) {
      if (present) keys += keys.empty() ? key : std::string(" ") + key;
    };
    add(context.context, "context");
    add(bool(context.exception), "exception");
    add(bool(context.future), "future");
    add(bool(context.handle), "handle");
    add(bool(context.protocol), "protocol");
    add(bool(context.socket), "socket");
    add(bool(context.task), "task");
    add(bool(context.transport), "transport");
    return keys;
  }

 private:
  // Shared with the handler, which a loop that is being destroyed may call after this is gone.
  std::shared_ptr<std::vector<Entry>> list_ = std::make_shared<std::vector<Entry>>();
};

/// What happened, in order.
using Trace = std::vector<std::string>;
inline std::string joined(const Trace& trace) {
  std::string text;
  for (const std::string& entry : trace) text += text.empty() ? entry : " " + entry;
  return text;
}

/// A done-callback that compares by its name.
struct Note {
  Trace* trace;
  std::string name;
  void operator()(const asyncio::AnyFuture&) const { trace->push_back(name); }
  friend bool operator==(const Note& a, const Note& b) { return a.name == b.name; }
};

}  // namespace core_tests
