// SPDX-License-Identifier: BSL-1.0
// Name resolution for the operations that are given a host. Private to the library.
#pragma once

#include <asyncio/connections.hpp>
#include <asyncio/coroutine.hpp>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::inline v1::detail {

class LoopCore;

/// As Python shows it: "<AddressFamily.AF_INET: 2>".
std::string family_repr(int family);
/// "<SocketKind.SOCK_STREAM: 1>".
std::string type_repr(int type);

/// The answer for a host that is an IP literal and a port that is a number, empty or none, when a
/// type is asked for: no resolver is needed then. ValueError if the port is out of range.
std::optional<AddressInfo> literal_address(const std::string& host, const Port& port,
                                           const ResolveOptions& options, Ipv6Part ipv6 = {});

/// getaddrinfo in a thread. The empty host is none: the wildcard address with AI_PASSIVE, else
/// loopback. gaierror, or ValueError for a port out of range.
Coroutine<std::vector<AddressInfo>> resolve(LoopCore& core, std::string host, Port port,
                                            ResolveOptions options);

/// One or the other; a literal does not yield (rule 160).
Coroutine<std::vector<AddressInfo>> ensure_resolved(LoopCore& core, std::string host, Port port,
                                                    ResolveOptions options, Ipv6Part ipv6 = {});

}  // namespace asyncio::inline v1::detail
