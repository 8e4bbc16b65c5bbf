// SPDX-License-Identifier: BSL-1.0
// FileDescriptor, connect_read_pipe, connect_write_pipe (surface A10). POSIX.
#include <fcntl.h>
#include <unistd.h>

#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/pipes.hpp>
#include <cerrno>

#include "transports/pipe_transport.hpp"
#include "transports/transport_support.hpp"

namespace asyncio::inline v1 {

void FileDescriptor::close() noexcept {
  if (number_ >= 0) ::close(detach());
}

std::pair<FileDescriptor, FileDescriptor> FileDescriptor::pipe() {
  int ends[2];
#ifdef __linux__
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_os_error(errno);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
#else
  if (::pipe(ends) != 0) throw_os_error(errno);
  std::pair<FileDescriptor, FileDescriptor> made{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  for (const int end : ends) {
    if (::fcntl(end, F_SETFD, FD_CLOEXEC) != 0) throw_os_error(errno);
  }
  return made;
#endif
}

namespace detail {

namespace {

/// Python's connect_read_pipe and connect_write_pipe, which differ in a word of the log.
template <class T>
Coroutine<std::pair<std::shared_ptr<T>, std::shared_ptr<BaseProtocol>>> open_pipe(
    LoopCore& core, MakePipeTransport* make, const char* word, ProtocolFactory factory,
    FileDescriptor pipe) {
  std::shared_ptr<BaseProtocol> protocol = factory();
  const int number = pipe.fileno();
  std::shared_ptr<Transport> transport =
      co_await connect_pipe(core, make, std::move(pipe), protocol);
  if (core.debug()) {
    transport_logger().debug("{} pipe {} connected: {}", word, number, to_string(*transport));
  }
  co_return std::pair(std::static_pointer_cast<T>(std::move(transport)), std::move(protocol));
}

}  // namespace

}  // namespace detail

Coroutine<EventLoop::ConnectionOf<ReadTransport>> EventLoop::open_read_pipe(ProtocolFactory factory,
                                                                            FileDescriptor pipe) {
  return detail::open_pipe<ReadTransport>(core(), detail::make_read_pipe_transport, "Read",
                                          std::move(factory), std::move(pipe));
}

Coroutine<EventLoop::ConnectionOf<WriteTransport>> EventLoop::open_write_pipe(
    ProtocolFactory factory, FileDescriptor pipe) {
  return detail::open_pipe<WriteTransport>(core(), detail::make_write_pipe_transport, "Write",
                                           std::move(factory), std::move(pipe));
}

}  // namespace asyncio::inline v1
