// SPDX-License-Identifier: BSL-1.0
// A child process: starting it, its end, and who reaps it. POSIX. Private to the library.
#pragma once

#include <sys/types.h>

#include <array>
#include <asyncio/pipes.hpp>
#include <asyncio/subprocess_options.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loop_core.hpp"
#include "transports/self_holding.hpp"

namespace asyncio::inline v1::detail {

/// What is to be started and how, owned.
struct ChildRequest {
  /// What the options leave unset is `usual`. Throws nothing but bad_alloc: what is wrong with it
  /// is told by start_child.
  ChildRequest(std::vector<std::string> argv, const SubprocessOptions& options,
               subprocess::Stdio usual);

  std::vector<std::string> arguments;
  std::string program;  // the first argument, unless the options name another
  std::optional<subprocess::Environment> environment;
  std::string directory;
  std::vector<int> pass_fds;
  std::array<subprocess::Stdio, 3> streams;
  /// Copies of the descriptors that `streams` names: the caller may close his before the start.
  std::array<FileDescriptor, 3> descriptors;
  int copy_error = 0;  // errno, if one could not be copied
  bool close_fds;
  bool restore_signals;
  bool start_new_session;
  std::optional<int> process_group;
  std::optional<unsigned> user;
  std::optional<unsigned> group;
  std::optional<std::vector<unsigned>> extra_groups;
  int umask;
};

struct StartedChild {
  pid_t pid = -1;
  std::array<FileDescriptor, 3> pipes;  // our ends
};

/// Starts it; returns when the program runs, or throws why it does not: an OSError with the name of
/// the program, or of the directory; ValueError for what no child can be given.
StartedChild start_child(const ChildRequest& request);

enum class ExitNotice {
  pidfd,   // where the system has it, else as sigchld
  sigchld  // after every SIGCHLD this child is asked for; for all systems
};

/// A child that runs, or is a zombie, until it is reaped here and nowhere else. If its owner, or
/// the loop, goes before that, it is killed, and reaped by a thread.
///
/// Its end is noticed in the I/O part of a pass, and told in the next one (rule 183).
class ChildProcess final : public Resource, public SelfHolding<ChildProcess>, private ReadyNode {
 public:
  /// If the end cannot be listened for, the child is killed and reaped as well.
  ChildProcess(LoopCore& core, pid_t pid, ExitNotice notice = ExitNotice::pidfd);
  ~ChildProcess() { abandon(); }

  /// `exited` is called once, with the exit status or minus the signal's number.
  void watch(std::function<void(int)> exited);
  pid_t pid() const noexcept { return pid_; }
  bool reaped() const noexcept { return reaped_; }
  /// Nothing if the child has ended. OSError.
  void send_signal(int number);

  void loop_closing() noexcept override;

 private:
  void run() override;
  void drop() noexcept override { release(); }
  void wait();
  void noticed();
  void look();
  void ended(int return_code);
  int signal(int number) noexcept;
  void abandon() noexcept;

  LoopCore* loop_;  // null: the end was told, or the loop is gone
  const pid_t pid_;
  bool reaped_ = false;
  bool waits_ = false;
  bool queued_ = false;
  Ref<ContextState> context_;
  std::function<void(int)> exited_;
  std::optional<boost::asio::posix::basic_stream_descriptor<LoopCore::Executor>> pidfd_;
  std::optional<boost::asio::basic_signal_set<LoopCore::Executor>> signals_;
};

}  // namespace asyncio::inline v1::detail
