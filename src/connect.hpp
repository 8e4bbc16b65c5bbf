// SPDX-License-Identifier: BSL-1.0
// The parts of create_connection that touch no socket. Private to the library.
#pragma once

#include <asyncio/sockets.hpp>
#include <exception>
#include <vector>

namespace asyncio::inline v1::detail {

/// Rule 161: first_family_count - 1 addresses of the first family, then the families in turn.
std::vector<AddressInfo> interleave(std::vector<AddressInfo> addresses, int first_family_count);

/// Rule 164: throws what create_connection throws when every attempt has failed.
[[noreturn]] void throw_connect_errors(std::vector<std::exception_ptr> errors, bool all_errors);

}  // namespace asyncio::inline v1::detail
