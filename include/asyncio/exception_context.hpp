// SPDX-License-Identifier: BSL-1.0
// What a loop's exception handler is told (surface A16, B10).
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <asyncio/handles.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

class BaseProtocol;
class BaseTransport;
class EventLoop;

/// Python's context dictionary. Only the message is always there; the rest may be null.
struct ExceptionContext {
  std::string message;
  std::exception_ptr exception{};
  AnyFuture future{};
  AnyTask task{};
  Handle handle{};
  std::shared_ptr<BaseProtocol> protocol{};
  std::shared_ptr<BaseTransport> transport{};
  TransportSocket socket{};
  /// Where the future, task or handle was made, if that was in debug mode.
  std::optional<StackFrame> source_traceback{};
  /// What was being reported when a handler failed.
  const ExceptionContext* context = nullptr;
};

/// Called by the loop, in its thread. What it throws is reported in turn, except SystemExit and
/// KeyboardInterrupt, which leave run_forever.
using ExceptionHandler = std::function<void(EventLoop&, const ExceptionContext&)>;

}  // namespace asyncio::inline v1
