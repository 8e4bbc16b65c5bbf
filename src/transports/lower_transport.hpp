// SPDX-License-Identifier: BSL-1.0
// What TLS and sendfile need of a transport. Private to the library.
#pragma once

#include <exception>

namespace asyncio::inline v1::detail {

/// A stream transport that can carry TLS, and into which files can be copied: start_tls() and
/// sendfile() refuse the others.
class LowerTransport {
 public:
  /// abort(), with an error for connection_lost.
  virtual void force_close(std::exception_ptr error) = 0;
  /// Was the protocol's pause_writing() called last, and not its resume_writing()?
  virtual bool writing_paused() const noexcept = 0;

 protected:
  ~LowerTransport() = default;
};

}  // namespace asyncio::inline v1::detail
