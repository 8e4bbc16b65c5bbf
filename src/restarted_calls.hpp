// SPDX-License-Identifier: BSL-1.0
// Signals that Asio catches interrupt nobody's system calls. Private to the library.
#pragma once

#include <csignal>

namespace asyncio::inline v1::detail {

/// A call of the program's that the signal interrupts is restarted (rule 181), which Asio does not
/// ask for. The signal has a handler. Python: signal.siginterrupt(number, False).
inline void restart_interrupted_calls([[maybe_unused]] int signal_number) noexcept {
#ifndef _WIN32
  struct sigaction action {};
  if (sigaction(signal_number, nullptr, &action) != 0) return;
  action.sa_flags |= SA_RESTART;
  sigaction(signal_number, &action, nullptr);
#endif
}

}  // namespace asyncio::inline v1::detail
