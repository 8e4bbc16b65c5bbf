// SPDX-License-Identifier: BSL-1.0
// Addresses, and what is said about sockets; no system calls on sockets here.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>

#include "sockaddr.hpp"

namespace asyncio::inline v1 {

namespace detail {

bool is_literal(int family, std::string_view text) noexcept {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer) return false;
  buffer[text.copy(buffer, text.size())] = '\0';
  in6_addr parsed;  // the larger one
  return inet_pton(family, buffer, &parsed) == 1 && text.find('\0') == text.npos;
}

std::string SocketBase::description() const {
  std::string text = "fd=" + std::to_string(handle_) + ", family=" + std::to_string(family_) +
                     ", type=" + std::to_string(type_) + ", proto=" + std::to_string(proto_);
  if (handle_ == no_socket) return text;
  const auto add = [&](const char* name, Address (SocketBase::*ask)() const) {
    try {
      const Address address = (this->*ask)();
      if (!address.empty() && !(address.is_path() && address.path().empty()))
        text.append(name).append(to_string(address));
    } catch (const OSError&) {  // not connected: there is none
    }
  };
  add(", laddr=", &SocketBase::getsockname);
  add(", raddr=", &SocketBase::getpeername);
  return text;
}

}  // namespace detail

// -- Address

Address::Address(std::string_view host, int port, std::uint32_t flowinfo, std::uint32_t scope_id)
    : kind_(Kind::host), flowinfo_(flowinfo), scope_id_(scope_id), text_(host) {
  if (port < 0 || port > 65535) throw ValueError("port must be 0-65535.");
  port_ = static_cast<std::uint16_t>(port);
  if (detail::is_literal(AF_INET, host))
    family_ = AF_INET;
  else if (detail::is_literal(AF_INET6, host))
    family_ = AF_INET6;
}

Address Address::from_path(std::string_view path) {
  Address address;
  address.kind_ = Kind::path;
  address.family_ = AF_UNIX;
  address.text_ = path;
  return address;
}

std::string to_string(const Address& address) {
  if (address.empty()) return "None";
  if (address.is_path()) {
    const std::string& path = address.path();
    return path.starts_with('\0') ? repr(BytesView(path)) : repr_str(path);
  }
  std::string text = "(" + repr_str(address.host()) + ", " + std::to_string(address.port());
  if (address.family() == AF_INET6) {
    text += ", " + std::to_string(address.flowinfo()) + ", " + std::to_string(address.scope_id());
  }
  return text += ')';
}

std::string to_string(const Address& address, std::string_view separator) {
  if (address.empty()) return "None";
  if (address.is_path()) return address.path();
  return address.host() + std::string(separator) + std::to_string(address.port());
}

// -- sockets

Descriptor::Descriptor(NativeSocket number) : number_(number) {
  if (number == static_cast<NativeSocket>(-1) || std::cmp_less(number, 0))
    throw ValueError("Invalid file descriptor: " + std::to_string(static_cast<long long>(number)));
}

std::string to_string(const Socket& socket) {
  return (socket ? "<socket.socket " : "<socket.socket [closed] ") + socket.description() + '>';
}

std::string to_string(const TransportSocket& socket) {
  return "<asyncio.TransportSocket " + socket.description() + '>';
}

void TransportSocket::settimeout(Duration timeout) const {
  if (timeout != Duration())
    throw ValueError("settimeout(): only 0 timeout is allowed on transport sockets");
}

void TransportSocket::setblocking(bool blocking) const {
  if (blocking) throw ValueError("setblocking(): transport sockets cannot be blocking");
}

}  // namespace asyncio::inline v1

std::size_t std::hash<asyncio::Address>::operator()(
    const asyncio::Address& address) const noexcept {
  const std::size_t text = std::hash<std::string>()(address.text_);
  const std::size_t numbers =
      static_cast<std::size_t>(address.port_) << 16 ^ address.scope_id_ ^ address.flowinfo_ << 8;
  return text ^ (std::hash<std::size_t>()(numbers) + 0x9e3779b9 + (text << 6) + (text >> 2));
}
