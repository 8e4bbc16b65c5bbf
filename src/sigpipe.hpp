// SPDX-License-Identifier: BSL-1.0
// Writing where a lost reader is an error, not a signal. Private to the library. POSIX.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <ctime>

namespace asyncio::inline v1::detail {

/// Keeps SIGPIPE from this thread while it writes: pipes and sendfile have no flag for that, as
/// send has, and what the program does with the signal elsewhere is its own affair.
class NoSigPipe {
 public:
  NoSigPipe() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &outer_);
    if (sigismember(&outer_, SIGPIPE) != 1) return;
    sigset_t pending;
    sigpending(&pending);
    others_ = sigismember(&pending, SIGPIPE) == 1;
  }
  NoSigPipe(const NoSigPipe&) = delete;
  NoSigPipe& operator=(const NoSigPipe&) = delete;
  ~NoSigPipe() { pthread_sigmask(SIG_SETMASK, &outer_, nullptr); }

  /// The write failed with EPIPE: takes its signal away, unless the program had one waiting, which
  /// is then the same. Keeps errno.
  void take() const noexcept {
    if (others_) return;
    const int error = errno;
    constexpr timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    errno = error;
  }

 private:
  sigset_t pipe_;
  sigset_t outer_;
  bool others_ = false;  // the program blocks the signal, and one was pending
};

}  // namespace asyncio::inline v1::detail
