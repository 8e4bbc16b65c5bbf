// SPDX-License-Identifier: BSL-1.0
// getaddrinfo and getnameinfo: the system's resolver, called in a thread.
#include "resolver.hpp"

#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <asyncio/logging.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

#include "loop_core.hpp"
#include "sockaddr.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

static_assert(ai_passive == AI_PASSIVE);

[[noreturn]] void throw_resolver_error(int code) {
#ifdef EAI_SYSTEM
  if (code == EAI_SYSTEM) throw_os_error(errno);
#endif
  throw gaierror(code, gai_strerror(code));
}

std::uint16_t checked_port(int number) {
  if (number < 0 || number > 65535) throw ValueError("port must be 0-65535.");
  return static_cast<std::uint16_t>(number);
}

/// What of the port needs no resolver: none and the empty text are 0. Null for a service's name.
std::optional<std::uint16_t> numeric_port(const Port& port) {
  if (!port.is_service()) return checked_port(port.number());
  const std::string& text = port.service();
  if (text.empty()) return 0;
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument) return std::nullopt;
  return checked_port(parsed.ec == std::errc() ? number : -1);
}

/// Waits for the answer: in a thread of its own.
std::vector<AddressInfo> ask_resolver(const std::string& host,
                                      const std::optional<std::string>& port,
                                      const ResolveOptions& options) {
  addrinfo hints{};
  hints.ai_family = options.family;
  hints.ai_socktype = options.type;
  hints.ai_protocol = options.proto;
  hints.ai_flags = options.flags;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  port ? port->c_str() : nullptr, &hints, &list);
  if (error != 0) throw_resolver_error(error);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &::freeaddrinfo);
  std::vector<AddressInfo> answers;
  for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
    answers.push_back({entry->ai_family, entry->ai_socktype, entry->ai_protocol,
                       entry->ai_canonname ? entry->ai_canonname : "",
                       to_address(entry->ai_addr, entry->ai_addrlen)});
  }
  return answers;
}

/// Python's tuple.
std::string repr(const AddressInfo& info) {
  return "(" + family_repr(info.family) + ", " + type_repr(info.type) + ", " +
         std::to_string(info.proto) + ", " + repr_str(info.canonname) + ", " +
         to_string(info.address) + ")";
}

std::string question_text(const std::string& host, const Port& port,
                          const ResolveOptions& options) {
  std::string text = (host.empty() ? "None" : host) + ":" + to_string(port);
  if (options.family != 0) text += ", family=" + family_repr(options.family);
  if (options.type != 0) text += ", type=" + type_repr(options.type);
  if (options.proto != 0) text += ", proto=" + std::to_string(options.proto);
  if (options.flags != 0) text += ", flags=" + std::to_string(options.flags);
  return text;
}

void log_answers(const std::string& question, const std::vector<AddressInfo>& answers,
                 Duration taken, Duration slow) {
  char milliseconds[32];
  std::snprintf(milliseconds, sizeof milliseconds, "%.3f", taken.seconds() * 1e3);
  std::string list;
  for (const AddressInfo& answer : answers) list += (list.empty() ? "" : ", ") + repr(answer);
  get_logger("asyncio").log(taken >= slow ? LogLevel::info : LogLevel::debug,
                            "Getting address info {} took {}ms: [{}]", question, milliseconds,
                            list);
}

Future<std::vector<AddressInfo>> start_resolving(LoopCore& core, std::string host, const Port& port,
                                                 const ResolveOptions& options) {
  std::optional<std::string> service;
  if (port.is_service())
    service = port.service();
  else if (port)
    service = std::to_string(checked_port(port.number()));
  if (host.find('\0') != host.npos || (service && service->find('\0') != service->npos))
    throw ValueError("embedded null character");
  if (!core.debug()) {
    return core.run_in_thread([host = std::move(host), service = std::move(service), options] {
      return ask_resolver(host, service, options);
    });
  }
  // Rule 108: the log tells how long it took.
  return core.run_in_thread([question = question_text(host, port, options), host = std::move(host),
                             service = std::move(service), options,
                             slow = core.slow_callback_duration] {
    get_logger("asyncio").debug("Get address info {}", question);
    const auto begin = std::chrono::steady_clock::now();
    std::vector<AddressInfo> answers = ask_resolver(host, service, options);
    log_answers(question, answers, std::chrono::steady_clock::now() - begin, slow);
    return answers;
  });
}

using Names = std::pair<std::string, std::string>;

Future<Names> start_naming(LoopCore& core, const Address& address, int flags) {
  if (address.family() != AF_INET && address.family() != AF_INET6)
    throw_resolver_error(address.is_path() ? EAI_FAMILY : EAI_NONAME);
  return core.run_in_thread([address = SockAddr(address), flags] {
    std::array<char, NI_MAXHOST> host;
    std::array<char, NI_MAXSERV> service;
    const int error = ::getnameinfo(address.data(), address.length(), host.data(), host.size(),
                                    service.data(), service.size(), flags);
    if (error != 0) throw_resolver_error(error);
    return Names(host.data(), service.data());
  });
}

Coroutine<Names> name(LoopCore& core, Address address, int flags) {
  auto names = start_naming(core, address, flags);
  co_return co_await std::move(names);
}

}  // namespace

std::string family_repr(int family) {
  if (family == AF_INET) return "<AddressFamily.AF_INET: " + std::to_string(family) + ">";
  if (family == AF_INET6) return "<AddressFamily.AF_INET6: " + std::to_string(family) + ">";
  return std::to_string(family);
}

std::string type_repr(int type) {
  if (type == SOCK_STREAM) return "<SocketKind.SOCK_STREAM: " + std::to_string(type) + ">";
  if (type == SOCK_DGRAM) return "<SocketKind.SOCK_DGRAM: " + std::to_string(type) + ">";
  if (type == SOCK_RAW) return "<SocketKind.SOCK_RAW: " + std::to_string(type) + ">";
  return std::to_string(type);
}

std::optional<AddressInfo> literal_address(const std::string& host, const Port& port,
                                           const ResolveOptions& options, Ipv6Part ipv6) {
  if (options.proto != 0 && options.proto != IPPROTO_TCP && options.proto != IPPROTO_UDP)
    return std::nullopt;
  int proto = 0;
  switch (options.type) {
    case SOCK_STREAM:
      proto = IPPROTO_TCP;
      break;
    case SOCK_DGRAM:
      proto = IPPROTO_UDP;
      break;
    default:
      return std::nullopt;
  }
  const std::optional<std::uint16_t> number = numeric_port(port);
  if (!number || host.empty()) return std::nullopt;
  for (const int family : {AF_INET, AF_INET6}) {
    if (options.family != AF_UNSPEC && options.family != family) continue;
    if (!is_literal(family, host)) continue;
    if (family == AF_INET) ipv6 = {};
    return AddressInfo{family, options.type, proto, "",
                       Address(host, *number, ipv6.flowinfo, ipv6.scope_id)};
  }
  return std::nullopt;
}

Coroutine<std::vector<AddressInfo>> resolve(LoopCore& core, std::string host, Port port,
                                            ResolveOptions options) {
  auto answers = start_resolving(core, std::move(host), port, options);
  co_return co_await std::move(answers);
}

Coroutine<std::vector<AddressInfo>> ensure_resolved(LoopCore& core, std::string host, Port port,
                                                    ResolveOptions options, Ipv6Part ipv6) {
  std::optional<AddressInfo> literal = literal_address(host, port, options, ipv6);
  if (literal) {
    std::vector<AddressInfo> answers;
    answers.push_back(std::move(*literal));
    co_return answers;
  }
  auto answers = start_resolving(core, std::move(host), port, options);
  co_return co_await std::move(answers);
}

}  // namespace detail

Coroutine<std::vector<AddressInfo>> EventLoop::getaddrinfo(std::string_view host, const Port& port,
                                                           ResolveOptions options) {
  return detail::resolve(core(), std::string(host), port, options);
}

Coroutine<std::pair<std::string, std::string>> EventLoop::getnameinfo(const Address& address,
                                                                      int flags) {
  return detail::name(core(), address, flags);
}

}  // namespace asyncio::inline v1
