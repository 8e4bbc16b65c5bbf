// SPDX-License-Identifier: BSL-1.0
// A race of attempts with staggered starts (rule 162): the engine of happy eyeballs (RFC 8305),
// which knows nothing of sockets. Private to the library.
#pragma once

#include <asyncio/coroutine.hpp>
#include <asyncio/duration.hpp>
#include <cstddef>
#include <functional>
#include <optional>

namespace asyncio::inline v1::detail {

class Scheduler;

/// attempt(k) tries the k-th possibility; it succeeds by returning. It keeps its own result, and
/// its own failure: what it throws means failure only, except SystemExit and KeyboardInterrupt.
using Attempt = std::function<Coroutine<>(std::size_t)>;

/// Runs attempts 0 to count-1, each in a task. The next one starts when the one before has failed,
/// or `delay` after that began. The first success cancels all others; completes when every attempt
/// has ended. Which one won, if any. On cancel all attempts are cancelled, waited for, and
/// CancelledError is thrown.
Coroutine<std::optional<std::size_t>> staggered_race(Scheduler& loop, std::size_t count,
                                                     Attempt attempt, Duration delay);

}  // namespace asyncio::inline v1::detail
