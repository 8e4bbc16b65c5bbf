// SPDX-License-Identifier: BSL-1.0
// The descriptors that a loop watches for the program: add_reader and its kin, and what the sock_*
// operations wait with (surface A13, rules 123-128). Private to the library.
#pragma once

#include <asyncio/futures.hpp>
#include <asyncio/handles.hpp>
#include <asyncio/sockets.hpp>
#include <functional>
#include <unordered_map>

namespace asyncio::inline v1::detail {

class LoopCore;

/// A loop's table. A descriptor that stands here is lent to Asio while it is watched, and never
/// owned. The loop's thread only.
class Descriptors {
 public:
  explicit Descriptors(LoopCore& core) noexcept;
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  /// Runs the callback in each pass in which the descriptor is ready; replaces and cancels the
  /// former one. RuntimeError if a transport uses it, OSError if it cannot be watched.
  void add(NativeSocket descriptor, Readiness readiness, Ref<HandleNode> callback);
  /// False if nothing was there. RuntimeError if a transport uses it.
  bool remove(NativeSocket descriptor, Readiness readiness);
  /// The same only if it is still this callback that is run.
  void remove(NativeSocket descriptor, Readiness readiness, const HandleNode& callback) noexcept;
  /// A transport takes the descriptor over.
  void forget(NativeSocket descriptor) noexcept;
  /// The loop is being closed.
  void clear() noexcept;
  bool empty() const noexcept { return watches_.empty(); }

 private:
  class Watch;
  using Watches = std::unordered_map<NativeSocket, Ref<Watch>>;

  void remove(Watches::iterator place, Readiness readiness) noexcept;

  LoopCore& core_;
  Watches watches_;
};

/// What a coroutine waits with for a socket: whenever that is ready `attempt` is called, until it
/// gives true or throws; done() is then complete. The watch ends with this object, unless somebody
/// else has replaced it (rules 125, 126).
class SocketWait {
 public:
  using Attempt = std::function<bool()>;

  /// Without an attempt readiness is enough.
  SocketWait(LoopCore& core, NativeSocket socket, Readiness readiness, Attempt attempt = {});
  SocketWait(const SocketWait&) = delete;
  SocketWait& operator=(const SocketWait&) = delete;
  ~SocketWait();

  const Future<void>& done() const noexcept { return done_; }

 private:
  void ready();

  LoopCore& core_;
  const NativeSocket socket_;
  const Readiness readiness_;
  const Attempt attempt_;
  const Future<void> done_;
  Ref<HandleNode> callback_;
};

}  // namespace asyncio::inline v1::detail
