// SPDX-License-Identifier: BSL-1.0
// For tests that run a loop pass by pass.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>

namespace unit_tests {

/// What a recorded connection_lost() is told.
inline std::string lost_text(const std::exception_ptr& error) {
  return "lost " + (error ? asyncio::type_name(error) : std::string("None"));
}

/// "Exception in callback f(): ValueError('x')", as testing::TestLoop keeps it.
inline std::string report_text(const asyncio::ExceptionContext& context) {
  return context.message + (context.exception ? ": " + asyncio::repr(context.exception) : "");
}

/// A loop, and what its exception handler is told.
struct LoopFixture {
  std::vector<std::string> reports;  // to outlive the loop, which may report when it is destroyed
  asyncio::EventLoop loop;

  explicit LoopFixture(asyncio::LoopOptions options = {}) : loop(options) {
    loop.set_exception_handler([this](auto&, const asyncio::ExceptionContext& context) {
      reports.push_back(report_text(context));
    });
  }
  LoopFixture(const LoopFixture&) = delete;
  LoopFixture& operator=(const LoopFixture&) = delete;

  /// Exactly so many passes, each with a look at the kernel (rule 18).
  void pass(int count = 1) {
    while (count-- > 0) {
      loop.stop();
      loop.run_forever();
    }
  }
  /// However many passes that takes: the kernel hands things over in its own time.
  template <class Done>
  void run_until(Done done) {
    while (!done()) pass();
  }
};

}  // namespace unit_tests
