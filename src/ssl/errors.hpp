// SPDX-License-Identifier: BSL-1.0
// OpenSSL's queue of errors as Python's exceptions.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include <openssl/ssl.h>

namespace asyncio::inline v1::detail {

/// What the last failed call left in the queue, which is emptied, as an SSLError.
[[noreturn]] void throw_openssl_error();

/// Why an operation on a connection failed with `result`. What a callback of ours threw meanwhile
/// is the cause of that. The queue is emptied.
std::exception_ptr connection_error(const SSL* ssl, int result,
                                    const std::optional<std::string>& server_hostname,
                                    const std::exception_ptr& thrown);

}  // namespace asyncio::inline v1::detail
