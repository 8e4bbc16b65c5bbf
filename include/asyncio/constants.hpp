// SPDX-License-Identifier: BSL-1.0
//
// Every number asyncio is built with, and why it is what it is. The values are CPython's, so that
// a service ported from Python meets the limits it was tuned for.
#pragma once

#include <cstddef>

namespace asyncio::inline v1::constants {

// ---- the loop ----

// Cancelled timers stay in the heap until they surface. The heap is rebuilt without them when it
// holds more than this many entries...
inline constexpr std::size_t min_scheduled_timers = 100;
// ...and more than this share of them is cancelled: rebuilding is then paid for by what it frees.
inline constexpr double min_cancelled_timers_fraction = 0.5;
// The longest one wait for events, in seconds: a day. System calls refuse much longer ones.
inline constexpr double maximum_select_timeout = 24 * 3600;
// In debug mode a callback that runs longer than this, in seconds, is named in a warning.
inline constexpr double slow_callback_duration = 0.1;

// ---- sockets and pipes ----

// Writes to a lost connection are dropped silently at first, since the writer cannot know yet. From
// this one on each is logged: the writer ignores connection_lost.
inline constexpr int log_threshold_for_connlost_writes = 5;
// When accept fails for want of descriptors or memory, seconds to wait before the next try: some
// may be free by then, and an endless error loop helps nobody.
inline constexpr double accept_retry_delay = 1;
// Connections the kernel queues for a listening socket, and how many are accepted at most per pass.
inline constexpr int backlog = 100;
// The largest single read of stream, datagram, pipe and TLS transports: few system calls at full
// speed, and one buffer per loop, not per connection.
inline constexpr std::size_t max_read_size = 256 * 1024;
// Write buffer marks of socket, pipe and datagram transports: writing pauses above the high mark
// and resumes at the low one. A quarter of the high mark keeps the two calls from alternating.
inline constexpr std::size_t high_water = 64 * 1024;
inline constexpr std::size_t low_water = high_water / 4;

// ---- TLS ----

// Marks for what the application has written and is not yet encrypted and sent. They come on top
// of the marks of the socket below.
inline constexpr std::size_t ssl_high_water = 512 * 1024;
inline constexpr std::size_t ssl_low_water = ssl_high_water / 4;
// Marks for what has arrived but a paused application has not taken.
inline constexpr std::size_t ssl_read_high_water = 256 * 1024;
inline constexpr std::size_t ssl_read_low_water = ssl_read_high_water / 4;
// Seconds for a handshake: what nginx allows.
inline constexpr double ssl_handshake_timeout = 60;
// Seconds for the closing handshake, after which the connection is aborted: what nginx allows to
// lingering clients.
inline constexpr double ssl_shutdown_timeout = 30;

// The most that is encrypted in one go: four whole records, still warm in the cache when they are
// sent.
inline constexpr std::size_t ssl_write_size = 64 * 1024;
// What a connection keeps of the memory for its ciphertext between writes: small messages need none
// anew, and many idle connections little.
inline constexpr std::size_t ssl_kept_output = 4 * 1024;
// Bytes of answers that a peer may leave unread (to requests for new keys, 27 bytes each, or to
// renegotiate): more than any honest one asks for, and little for a connection to hold.
inline constexpr std::size_t ssl_most_answers = 64 * 1024;

// ---- streams ----

// What readline() and readuntil() accept before they give up. Reading from the transport pauses
// when more than twice this much waits, so that one whole line can still arrive behind another.
inline constexpr std::size_t stream_limit = 64 * 1024;
inline constexpr std::size_t stream_pause_factor = 2;

// ---- sendfile, when the kernel cannot do it ----

// Blocks copied through a transport: no more than its high mark is ever in flight...
inline constexpr std::size_t sendfile_fallback_block_size = 16 * 1024;
// ...and through a raw socket, where nothing else shares the memory.
inline constexpr std::size_t sock_sendfile_fallback_block_size = 256 * 1024;

// ---- threads ----

// Seconds that run() waits at its end for the threads of the default executor.
inline constexpr double thread_join_timeout = 300;
// Threads of the default executor: one per processor, and some more because they mostly wait...
inline constexpr std::size_t extra_threads = 4;
// ...but not more than this on large machines.
inline constexpr std::size_t max_threads = 32;
// Seconds that connections may go on when the servers of serve_on_threads() are told to stop: what
// gunicorn allows its workers.
inline constexpr double drain_timeout = 30;

}  // namespace asyncio::inline v1::constants
