// SPDX-License-Identifier: BSL-1.0
// What echo_load sends and receives through: a connected socket, with TLS or without.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>

/// The server does not do what an echo server does; ends the program.
class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Nothing here waits: what the kernel cannot do now is not done. A connection that has ended is a
/// Failure.
class Channel {
 public:
  virtual ~Channel() = default;
  /// How much was sent, 0 if the kernel has no room.
  virtual std::size_t send(const char* data, std::size_t size) = 0;
  /// How much was received, 0 if nothing is there.
  virtual std::size_t receive(char* data, std::size_t size) = 0;
  /// Is there more to receive of which the kernel does not know?
  virtual bool holds_more() const = 0;
};

/// Takes the handshake, for which it waits; the socket stays the caller's, and does not wait after
/// this.
std::unique_ptr<Channel> make_tls_channel(int socket);
