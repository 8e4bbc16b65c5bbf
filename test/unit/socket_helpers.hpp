// SPDX-License-Identifier: BSL-1.0
// For tests of sockets: a folder that goes with its test, a count of open descriptors, sockets that
// listen or are connected, and an address where nobody listens.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>

#include "sockaddr.hpp"

namespace socket_tests {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/asyncio_test_XXXXXX";
    path_ = ::mkdtemp(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  /// The path of a file in it.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// How many files are in it.
  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(path_), {});
  }

 private:
  std::string path_;
};

inline std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// Fails unless as many descriptors are open at the end of its scope as at the beginning. To be
/// made before the loop.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() = default;
  ~NoDescriptorLeft() { BOOST_TEST(open_descriptors() == before_); }

 private:
  std::ptrdiff_t before_ = open_descriptors();
};

inline asyncio::Socket listening_socket(const asyncio::Address& address = {"127.0.0.1", 0}) {
  asyncio::Socket socket(address.family(), SOCK_STREAM);
  socket.bind(address);
  socket.listen();
  return socket;
}

/// Connected by the kernel, and accepted by nobody yet; or refused.
inline asyncio::Socket connected_socket(const asyncio::Address& address) {
  // Blocking, so that it is complete on return.
  const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const asyncio::detail::SockAddr to(address);
  const int result = ::connect(descriptor, to.data(), to.length());
  const int error = errno;
  asyncio::Socket socket(descriptor);
  if (result != 0) asyncio::throw_os_error(error);
  return socket;
}

inline asyncio::Socket udp_socket() {
  asyncio::Socket socket(AF_INET, SOCK_DGRAM);
  socket.bind(asyncio::Address("127.0.0.1", 0));
  return socket;
}

inline asyncio::Socket bound_socket(const char* host = "127.0.0.1") {
  asyncio::Socket socket(asyncio::Address(host, 0).family(), SOCK_STREAM);
  socket.bind(asyncio::Address(host, 0));
  return socket;
}

/// Nobody listens there, and nobody else can.
inline const asyncio::Socket unused_socket = bound_socket();
inline asyncio::Address unused_address() { return unused_socket.getsockname(); }

/// Can a socket be bound to it? Not to ::1 where IPv6 is switched off, and not even to :: where it
/// is missing.
inline bool can_bind(const char* host) {
  try {
    bound_socket(host);
    return true;
  } catch (const asyncio::OSError&) {
    return false;
  }
}

}  // namespace socket_tests
