// SPDX-License-Identifier: BSL-1.0
#include <asyncio/graph.hpp>

#include <algorithm>
#include <asyncio/logging.hpp>
#include <fstream>
#include <iostream>

#include "notes.hpp"
#include "places.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

/// That line of the file without its indentation; empty if it cannot be read.
std::string source_line(const std::string& file, unsigned number) {
  std::ifstream source(file);
  std::string line;
  while (number != 0 && std::getline(source, line)) --number;
  const std::size_t begin = line.find_first_not_of(" \t");
  return number != 0 || begin == line.npos ? std::string() : line.substr(begin);
}

TaskBase* current() noexcept {
  return thread_state.running ? thread_state.running->current_task : nullptr;
}

std::vector<FrameCallGraphEntry> suspended_stack(const TaskBase& task) {
  std::vector<FrameCallGraphEntry> entries;
  for (const std::source_location& place : task.stack())
    entries.push_back({stack_frame(place), true});
  return entries;
}

/// The innermost call is `where`: in the innermost coroutine itself, or in a function it has
/// called.
std::vector<FrameCallGraphEntry> running_stack(const TaskBase& task,
                                               const std::source_location& where) {
  std::vector<FrameCallGraphEntry> entries = suspended_stack(task);
  FrameCallGraphEntry asker{stack_frame(where), false};
  if (!entries.empty() && entries.front().frame.function == asker.frame.function)
    entries.front().frame = asker.frame;
  else
    entries.insert(entries.begin(), std::move(asker));
  return entries;
}

void apply_limit(std::vector<FrameCallGraphEntry>& entries, std::optional<int> limit) {
  if (!limit) return;
  const auto kept = std::min(entries.size(), static_cast<std::size_t>(std::abs(*limit)));
  if (*limit >= 0)
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kept));
  else
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(kept), entries.end());
}

FutureCallGraph capture(FutureBase& future, const CallGraphOptions& options,
                        std::vector<FutureBase*>& path) {
  FutureCallGraph graph{AnyFuture(Ref<FutureBase>(&future)), {}, {}};
  if (const TaskBase* const task = future.as_task(); task && options.limit != 0) {
    if (task == current()) {
      graph.call_stack = running_stack(*task, options.where);
      const int skipped =
          std::clamp(options.depth - 1, 0, static_cast<int>(graph.call_stack.size()));
      graph.call_stack.erase(graph.call_stack.begin(), graph.call_stack.begin() + skipped);
    } else {
      graph.call_stack = suspended_stack(*task);
    }
    apply_limit(graph.call_stack, options.limit);
  }
  path.push_back(&future);
  for (const Ref<FutureBase>& awaiter : future.awaiters()) {
    if (std::ranges::find(path, awaiter.get()) == path.end())
      graph.awaited_by.push_back(capture(*awaiter, options, path));
  }
  path.pop_back();
  return graph;
}

void render(const FutureCallGraph& graph, const std::string& margin, std::string& text) {
  const auto line = [&](const std::string& content) { text += margin + content + '\n'; };
  const std::string id = address_of(graph.future.state().get());
  if (const TaskBase* const task = graph.future.state()->as_task())
    line("* Task(name=" + repr_str(task->name()) + ", id=" + id + ')');
  else
    line("* Future(id=" + id + ')');
  if (!graph.call_stack.empty()) line("  + Call stack:");
  for (const auto& [frame, is_async] : graph.call_stack) {
    line("  |   File " + repr_str(frame.file) + ", line " + std::to_string(frame.line) + ", in " +
         (is_async ? "async " : "") + frame.function + "()");
  }
  if (!graph.awaited_by.empty()) line("  + Awaited by:");
  for (const FutureCallGraph& awaiter : graph.awaited_by) render(awaiter, margin + "    ", text);
}

std::string format(const FutureCallGraph& graph) {
  std::string text;
  render(graph, "", text);
  text.pop_back();  // the last line's end
  return text;
}

}  // namespace

std::vector<StackFrame> get_stack(const TaskBase& task, std::optional<int> limit) {
  std::vector<StackFrame> frames;
  for (const std::source_location& place : task.stack()) {
    if (limit && static_cast<int>(frames.size()) >= *limit) break;
    frames.push_back(stack_frame(place));
  }
  std::ranges::reverse(frames);
  return frames;
}

void print_stack(TaskBase& task, std::optional<int> limit, std::ostream* file) {
  std::ostream& out = file ? *file : std::cerr;
  const std::vector<StackFrame> frames = get_stack(task, limit);
  const FutureBase& future = task.future();
  if (frames.empty())
    out << "No stack for " << task.future().repr() << '\n';
  else
    out << "Stack for " << task.future().repr() << " (most recent call last):\n";
  for (const StackFrame& frame : frames) {
    out << traceback_line(frame) << '\n';
    if (const std::string line = source_line(frame.file, frame.line); !line.empty())
      out << "    " << line << '\n';
  }
  if (!future.failed()) return;
  const std::exception_ptr error = future.peek_exception();
  const std::string message = to_string(error);
  out << type_name(error) << (message.empty() ? "" : ": ") << message << '\n';
}

void throw_reused() { throw RuntimeError("cannot reuse already awaited coroutine"); }

void report_never_awaited(const Frame& frame) noexcept {
  try {
    get_logger("asyncio").warning("coroutine '{}' was never awaited ({})",
                                  function_name(frame.where), file_and_line(frame.where));
  } catch (...) {  // a sink that fails: there is nobody else to tell
  }
}

std::string frame_repr(const char* kind, const Frame* frame) {
  const std::string head = std::string("<") + kind + " object ";
  return frame ? head + function_name(frame->where) + " at " + address_of(frame) + '>'
               : head + "closed>";
}

}  // namespace detail

FutureCallGraph capture_call_graph(const AnyFuture& future, CallGraphOptions options) {
  std::vector<detail::FutureBase*> path;
  return detail::capture(*future.state(), options, path);
}

std::optional<FutureCallGraph> capture_call_graph(CallGraphOptions options) {
  if (!detail::thread_state.running)
    throw RuntimeError(
        "capture_call_graph() is called outside of a running event loop and no *future* to "
        "introspect was provided");
  detail::TaskBase* const task = detail::current();
  if (!task) return {};
  return capture_call_graph(AnyTask(*task), options);
}

std::string format_call_graph(const AnyFuture& future, CallGraphOptions options) {
  return detail::format(capture_call_graph(future, options));
}

std::string format_call_graph(CallGraphOptions options) {
  const std::optional<FutureCallGraph> graph = capture_call_graph(options);
  return graph ? detail::format(*graph) : std::string();
}

void print_call_graph(const AnyFuture& future, CallGraphOptions options, std::ostream* file) {
  (file ? *file : std::cout) << format_call_graph(future, options) << '\n';
}

void print_call_graph(CallGraphOptions options, std::ostream* file) {
  const std::string text = format_call_graph(options);
  if (!text.empty()) (file ? *file : std::cout) << text << '\n';
}

void future_add_to_awaited_by(const AnyFuture& future, const AnyFuture& awaiter) {
  if (&future.state()->scheduler() != &awaiter.state()->scheduler()) return;
  future.state()->scheduler().notes().add_awaiter(*future.state(), *awaiter.state());
}

void future_discard_from_awaited_by(const AnyFuture& future, const AnyFuture& awaiter) {
  if (detail::Notes* const notes = future.state()->scheduler().notes_if_any())
    notes->discard_awaiter(*future.state(), *awaiter.state());
}

}  // namespace asyncio::inline v1
