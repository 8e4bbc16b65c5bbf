// SPDX-License-Identifier: BSL-1.0
// FileDescriptor: what connect_read_pipe and connect_write_pipe take over (surface A10). POSIX.
#pragma once

#include <utility>

#include <asyncio/sockets.hpp>

namespace asyncio::inline v1 {

/// A descriptor, owned: closed with the object. One end of a pipe, a terminal, a device, a socket.
///
/// A function that takes it over leaves this object closed. Any thread, one at a time.
/// Python: the file object that connect_read_pipe is given.
class FileDescriptor {
 public:
  /// Closed.
  FileDescriptor() noexcept = default;
  /// Takes over a descriptor, and changes nothing about it.
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  FileDescriptor(Socket&& socket) noexcept : number_(socket.detach()) {}
  /// Takes over any Asio stream_descriptor, readable_pipe, writable_pipe or socket:
  /// FileDescriptor(std::move(asio_pipe)).
  template <detail::releasable_socket D>
  FileDescriptor(D&& descriptor) : number_(descriptor.release()) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(other.detach()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      close();
      number_ = other.detach();
    }
    return *this;
  }
  ~FileDescriptor() { close(); }

  /// The two ends of a new pipe, for reading and for writing. Both block, and child processes do
  /// not get them. OSError. Python: os.pipe().
  static std::pair<FileDescriptor, FileDescriptor> pipe();

  /// -1 when closed.
  int fileno() const noexcept { return number_; }
  /// Is it open?
  explicit operator bool() const noexcept { return number_ >= 0; }
  /// Idempotent.
  void close() noexcept;
  /// Gives up the descriptor, open, to the caller.
  int detach() noexcept { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

}  // namespace asyncio::inline v1
