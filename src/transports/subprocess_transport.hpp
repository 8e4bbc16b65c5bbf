// SPDX-License-Identifier: BSL-1.0
// The transport of a child process (surface B20). POSIX.
#pragma once

#include <array>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../child_process.hpp"
#include "../loop_core.hpp"

namespace asyncio::inline v1::detail {

/// Connects the pipes of a child one after another; holds back what happens meanwhile; puts
/// together what pipes and exit tell. The pipes that are not lost and the child that has not ended
/// keep it.
class ChildTransport final : public SubprocessTransport,
                             public Resource,
                             public std::enable_shared_from_this<ChildTransport> {
 public:
  /// TypeError for a protocol that is none of a subprocess.
  ChildTransport(LoopCore& core, std::shared_ptr<BaseProtocol> protocol);

  /// Starts the child and returns when the pipes are connected. On cancel, and if a pipe fails, the
  /// child is killed and waited for.
  static Coroutine<> start(std::shared_ptr<ChildTransport> self, ChildRequest request);
  /// Waits for the end of the child; its return code (rule 185, as from 3.15 on).
  static Coroutine<int> wait(std::shared_ptr<ChildTransport> self);

  void close() override;
  bool is_closing() const override { return closed_; }
  std::any get_extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> get_protocol() const override { return protocol_; }
  std::string repr() const override;

  int get_pid() const override { return pid_; }
  std::optional<int> get_returncode() const override { return return_code_; }
  std::shared_ptr<Transport> get_pipe_transport(int fd) const override;
  void send_signal(int signal_number) override;
  void terminate() override;
  void kill() override;

  void loop_closing() noexcept override;

 private:
  class Pipe;

  static Coroutine<> connect_pipes(std::shared_ptr<ChildTransport> self, StartedChild child,
                                   Ref<FutureState<void>> waiter);
  void connected();
  /// Queues f(), or keeps it until connection_made is queued.
  void call(std::function<void()> f);
  void pipe_data_received(int fd, BytesView data);
  void pipe_connection_lost(int fd, std::exception_ptr error);
  void process_exited(int return_code);
  void try_finish();
  void connection_lost();
  void warn_of_killing() const;
  void release_all() noexcept;

  LoopCore* loop_;  // null: connection_lost was called, or the loop is gone
  std::shared_ptr<SubprocessProtocol> protocol_;
  std::shared_ptr<ChildProcess> child_;
  std::vector<std::string> arguments_;
  int pid_ = -1;
  std::optional<int> return_code_;
  std::array<bool, 3> piped_{};
  std::array<std::shared_ptr<Pipe>, 3> pipes_;  // those that are connected
  std::vector<std::function<void()>> held_back_;
  std::vector<Future<int>> exit_waiters_;
  bool connected_ = false;
  bool finished_ = false;
  bool closed_ = false;
};

}  // namespace asyncio::inline v1::detail
