// SPDX-License-Identifier: BSL-1.0
// For tests of sockets: a folder that goes with its test, and a count of open descriptors.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include <sys/socket.h>

#include <asyncio/sockets.hpp>

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

}  // namespace socket_tests
