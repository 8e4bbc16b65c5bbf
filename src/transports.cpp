// SPDX-License-Identifier: BSL-1.0
#include <asyncio/transports.hpp>

#include <asyncio/exceptions.hpp>

namespace asyncio::inline v1 {

Socket WriteTransport::release_socket() {
  throw NotImplementedError("release_socket is not supported for transport " + to_string(*this));
}

}  // namespace asyncio::inline v1
