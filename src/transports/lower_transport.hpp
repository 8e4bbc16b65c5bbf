// SPDX-License-Identifier: BSL-1.0
// What TLS needs of a transport that it runs over. Private to the library.
#pragma once

#include <exception>

namespace asyncio::inline v1::detail {

/// A stream transport that can carry TLS: start_tls() refuses the others.
class LowerTransport {
 public:
  /// abort(), with an error for connection_lost.
  virtual void force_close(std::exception_ptr error) = 0;

 protected:
  ~LowerTransport() = default;
};

}  // namespace asyncio::inline v1::detail
