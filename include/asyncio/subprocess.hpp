// SPDX-License-Identifier: BSL-1.0
// Process, create_subprocess_exec and create_subprocess_shell: child processes for coroutines
// (surface A21, rules 182-189). POSIX.
//
//   auto process = co_await asyncio::create_subprocess_exec(
//       "sort", "-r", asyncio::SubprocessOptions{.stdin = PIPE, .stdout = PIPE});
//   auto [out, err] = co_await process.communicate("a\nb\n");
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asyncio/bytes.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/subprocess_options.hpp>

namespace asyncio::inline v1 {

namespace detail {
class ChildTransport;
}

namespace subprocess {

/// A child process and the streams to it. A handle: copies are the same child, which goes on when
/// the last one is dropped, until the loop is closed: that kills it. The loop's thread only.
/// Python: asyncio.subprocess.Process.
class Process {
 public:
  explicit Process(std::shared_ptr<detail::ChildTransport> transport,
                   std::optional<StreamWriter> stdin, std::optional<StreamReader> stdout,
                   std::optional<StreamReader> stderr);

  /// Nothing for what is no pipe. An output that is a pipe must be read, or the child stops when
  /// the pipe is full.
  std::optional<StreamWriter> stdin;
  std::optional<StreamReader> stdout;
  std::optional<StreamReader> stderr;
  int pid;

  /// The exit status, or minus the number of the signal that ended the child; nothing while it
  /// runs.
  std::optional<int> returncode() const;
  /// Completes when the child has ended, at once if it has; the return code. Any number of tasks
  /// may wait; cancelling one touches nothing else. With pipes, use communicate(): a child whose
  /// output nobody reads may never end. RuntimeError "Event loop is closed" if its loop was closed
  /// before it ended.
  Coroutine<int> wait() const;
  /// Writes `input`, which is copied, to stdin and closes it, reads stdout and stderr to their
  /// ends, waits for the child; what was read, nothing for what is no pipe. That a child does not
  /// want to read all of it (BrokenPipeError, ConnectionResetError) is no error. All is kept in
  /// memory. On cancel the child goes on, and what was read is lost.
  Coroutine<std::pair<std::optional<Bytes>, std::optional<Bytes>>> communicate(
      BytesView input = {}) const;

  /// Nothing if the child has ended; ProcessLookupError once all is over: the child has ended, and
  /// every pipe is closed.
  void send_signal(int signal_number) const;
  /// SIGTERM.
  void terminate() const;
  /// SIGKILL.
  void kill() const;

  /// Python's repr: "<Process 1234>".
  friend std::string to_string(const Process& process) {
    return "<Process " + std::to_string(process.pid) + '>';
  }

 private:
  std::shared_ptr<detail::ChildTransport> transport_;
};

}  // namespace subprocess

/// Starts a program with the running loop. The program's name and arguments are texts, the last
/// argument may be the options; stdin, stdout and stderr are ours unless these say something else.
/// Completes when the program runs. On cancel, and for the errors: see EventLoop::subprocess_exec.
Coroutine<subprocess::Process> create_subprocess_exec(std::vector<std::string> arguments,
                                                      SubprocessOptions options = {});
template <detail::command_part... Parts>
Coroutine<subprocess::Process> create_subprocess_exec(std::string_view program,
                                                      const Parts&... parts) {
  detail::Command command = detail::make_command(program, parts...);
  return create_subprocess_exec(std::move(command.arguments), command.options);
}
/// Has /bin/sh do the command, which must not be put together from what others have written.
Coroutine<subprocess::Process> create_subprocess_shell(std::string_view cmd,
                                                       SubprocessOptions options = {});

}  // namespace asyncio::inline v1
