// SPDX-License-Identifier: BSL-1.0
// Who waits for what (surface A25; Python 3.14). For the loop's thread.
#pragma once

#include <iosfwd>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include <asyncio/tasks.hpp>

namespace asyncio::inline v1 {

/// One line of a call stack. Python: FrameCallGraphEntry.
struct FrameCallGraphEntry {
  StackFrame frame;
  bool is_async;  ///< a coroutine, not the plain function that asked

  friend bool operator==(const FrameCallGraphEntry&, const FrameCallGraphEntry&) = default;
};

/// A future, what it is about to do, and who waits for it. Python: FutureCallGraph.
struct FutureCallGraph {
  AnyFuture future;
  std::vector<FrameCallGraphEntry> call_stack;  ///< of a task; the innermost call first
  std::vector<FutureCallGraph> awaited_by;
};

struct CallGraphOptions {
  int depth = 1;               ///< of the current task: 2 leaves the innermost call out, and so on
  std::optional<int> limit{};  ///< so many calls: the outermost; if negative, the innermost
  std::source_location where = std::source_location::current();  ///< who asks
};
static_assert(detail::require_inline_options<CallGraphOptions>());

/// Of the current task; none in a plain callback. RuntimeError outside of a running loop.
/// Python: asyncio.capture_call_graph().
std::optional<FutureCallGraph> capture_call_graph(CallGraphOptions options = {});
/// Of that future. A cycle ends where it began.
FutureCallGraph capture_call_graph(const AnyFuture& future, CallGraphOptions options = {});

/// The same as text, one line after another; empty if there is no current task.
std::string format_call_graph(CallGraphOptions options = {});
std::string format_call_graph(const AnyFuture& future, CallGraphOptions options = {});

/// The text and a line end, to that stream, or to stdout. Nothing if there is no current task.
void print_call_graph(CallGraphOptions options = {}, std::ostream* file = nullptr);
void print_call_graph(const AnyFuture& future, CallGraphOptions options = {},
                      std::ostream* file = nullptr);

/// For combinators of one's own: the graph shows that `awaiter` waits for `future`, until it is
/// discarded or one of them is gone; nothing if they belong to different loops. Awaiting, gather,
/// wait, shield and task groups are known.
void future_add_to_awaited_by(const AnyFuture& future, const AnyFuture& awaiter);
void future_discard_from_awaited_by(const AnyFuture& future, const AnyFuture& awaiter);

}  // namespace asyncio::inline v1
