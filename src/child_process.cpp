// SPDX-License-Identifier: BSL-1.0
// The end of a child process.
#include "child_process.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "restarted_calls.hpp"

namespace asyncio::inline v1::detail {

namespace {

/// What is reported of a child that somebody else has reaped.
constexpr int unknown_return_code = 255;

/// -1 and errno if the system has no such thing.
int open_pidfd(pid_t pid) noexcept {
#ifdef SYS_pidfd_open
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
#else
  (void)pid;
  return -1;
#endif
}

/// Rule 189.
int to_return_code(int status) noexcept {
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/// A child that was killed ends soon, but not at once.
void reap_in_a_thread(pid_t pid) noexcept {
  if (::waitpid(pid, nullptr, WNOHANG) != 0) return;
  try {
    std::thread([pid] {
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
    }).detach();
  } catch (const std::system_error&) {  // no thread: it stays a zombie as long as we live
  }
}

}  // namespace

ChildProcess::ChildProcess(LoopCore& core, pid_t pid, ExitNotice notice)
    : loop_(&core), pid_(pid), context_(capture_context()) {
  if (notice == ExitNotice::pidfd) {
    FileDescriptor descriptor(open_pidfd(pid));
    boost::system::error_code error;
    if (descriptor) pidfd_.emplace(core.io_executor()).assign(descriptor.fileno(), error);
    if (pidfd_ && !error)
      descriptor.detach();
    else
      pidfd_.reset();
  }
  try {
    if (!pidfd_) {
      signals_.emplace(core.io_executor(), SIGCHLD);
      restart_interrupted_calls(SIGCHLD);
    }
  } catch (...) {
    abandon();
    throw;
  }
  register_with(core);
}

void ChildProcess::watch(std::function<void(int)> exited) {
  exited_ = std::move(exited);
  wait();
  // It may have ended before SIGCHLD was listened to.
  if (signals_) noticed();
}

void ChildProcess::send_signal(int number) {
  if (reaped_) return;  // the number may be another process's by now
  if (signal(number) != 0 && errno != ESRCH) throw_os_error(errno);
}

/// If somebody else has reaped the child, its number may be another process's; a pidfd stays its.
int ChildProcess::signal(int number) noexcept {
#ifdef SYS_pidfd_send_signal
  if (pidfd_) {
    return static_cast<int>(
        ::syscall(SYS_pidfd_send_signal, pidfd_->native_handle(), number, nullptr, 0));
  }
#endif
  return ::kill(pid_, number);
}

void ChildProcess::wait() {
  if (std::exchange(waits_, true)) return;
  auto handler = [self = Ref<ChildProcess>(this)](const boost::system::error_code& error, auto...) {
    self->waits_ = false;
    if (!error) self->noticed();
  };
  if (pidfd_)
    loop_->async_wait(*pidfd_, boost::asio::posix::descriptor_base::wait_read, std::move(handler));
  else
    loop_->async_wait(*signals_, std::move(handler));
}

void ChildProcess::noticed() {
  if (!loop_ || std::exchange(queued_, true)) return;
  add_ref();
  loop_->push_event(*this);
}

void ChildProcess::run() {
  const Ref<ChildProcess> entry(adopt_ref, this);
  queued_ = false;
  if (!loop_) return;
  const ContextScope scope(context_);
  look();
}

void ChildProcess::look() {
  int status = 0;
  const pid_t pid = ::waitpid(pid_, &status, WNOHANG);
  if (pid == pid_) return ended(to_return_code(status));
  if (pid < 0 && errno == ECHILD) {
    get_logger("asyncio").warning(
        "child process pid {} exit status already read:  will report returncode {}",
        static_cast<int>(pid_), unknown_return_code);
    return ended(unknown_return_code);
  }
  wait();  // SIGCHLD was another child's
}

void ChildProcess::ended(int return_code) {
  reaped_ = true;
  LoopCore& loop = *std::exchange(loop_, nullptr);
  pidfd_.reset();
  signals_.reset();
  unregister();
  loop.call_soon([exited = std::exchange(exited_, nullptr), return_code] { exited(return_code); });
}

void ChildProcess::abandon() noexcept {
  loop_ = nullptr;
  if (!reaped_) signal(SIGKILL);
  pidfd_.reset();
  signals_.reset();
  if (!std::exchange(reaped_, true)) reap_in_a_thread(pid_);
}

void ChildProcess::loop_closing() noexcept {
  const std::shared_ptr<ChildProcess> self = shared_from_this();
  abandon();
  exited_ = nullptr;
}

}  // namespace asyncio::inline v1::detail
