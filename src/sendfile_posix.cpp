// SPDX-License-Identifier: BSL-1.0
// sendfile and sock_sendfile (surface SK9, rules 200-202).
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <asyncio/constants.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <cerrno>
#include <optional>

#include "descriptors.hpp"
#include "loop_core.hpp"
#include "sigpipe.hpp"
#include "sock_operations.hpp"
#include "sockaddr.hpp"
#include "transports/stream_transport.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

/// What one call of the kernel may copy: anything that every system takes.
constexpr std::int64_t most_at_once = std::int64_t(1) << 30;

/// A part of a file: from an offset on, so much or all.
struct Part {
  std::FILE* file;
  std::int64_t offset;
  std::optional<std::int64_t> count;

  /// What is left of it after so much, at most `block`.
  std::int64_t next_block(std::int64_t sent, std::int64_t block) const noexcept {
    return count ? std::min(*count - sent, block) : block;
  }
};

/// Rule 200.
Part check_part(std::FILE* file, const SendfileOptions& options) {
  if (!file) throw TypeError("a file was expected, got a null pointer");
  if (options.count && *options.count <= 0) {
    throw ValueError("count must be a positive integer (got " + std::to_string(*options.count) +
                     ")");
  }
  if (options.offset < 0) {
    throw ValueError("offset must be a non-negative integer (got " +
                     std::to_string(options.offset) + ")");
  }
  return {file, options.offset, options.count};
}

/// However it ends, the file then stands behind what was sent of it.
class Progress {
 public:
  Progress(std::FILE* file, std::int64_t begin) noexcept : file_(file), begin_(begin) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (sent_ != 0 && begin_ >= 0) ::fseeko(file_, begin_ + sent_, SEEK_SET);
  }

  std::int64_t sent() const noexcept { return sent_; }
  void add(std::int64_t size) noexcept { sent_ += size; }

 private:
  std::FILE* const file_;
  const std::int64_t begin_;  // negative: the file has no positions
  std::int64_t sent_ = 0;
};

// -- by the kernel

/// ::sendfile, whose failure is no signal.
ssize_t send_without_signal(NativeSocket socket, int file, off_t offset,
                            std::size_t size) noexcept {
  const NoSigPipe no_signal;
  const ssize_t sent = ::sendfile(socket, file, &offset, size);
  if (sent < 0 && errno == EPIPE) no_signal.take();
  return sent;
}

/// Rule 201. One call for each readiness of the socket.
class KernelCopy {
 public:
  /// SendfileNotAvailableError unless it is a regular file.
  KernelCopy(NativeSocket socket, const Part& part)
      : socket_(socket), part_(part), progress_(part.file, part.offset) {
    struct stat info {};
    descriptor_ = ::fileno(part.file);
    if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode))
      throw SendfileNotAvailableError("not a regular file");
    empty_ = info.st_size == 0 && !part.count;  // that of /proc is 0, whatever there is to read
  }

  std::int64_t sent() const noexcept { return progress_.sent(); }

  /// True when all has been sent.
  bool step() {
    const std::int64_t sent = progress_.sent();
    const std::int64_t size = part_.next_block(sent, most_at_once);
    if (size == 0 || empty_) return true;
    const ssize_t result = send_without_signal(socket_, descriptor_, part_.offset + sent,
                                               static_cast<std::size_t>(size));
    if (result < 0) return failed(errno);
    progress_.add(result);
    return result == 0;
  }

 private:
  bool failed(int error) const {
    if (would_block(error)) return false;
    // The first call may have failed for any reason: sending in another way will tell.
    if (progress_.sent() == 0) throw SendfileNotAvailableError("os.sendfile call failed");
    if (error == ENOTCONN) throw ConnectionError("socket is not connected");
    throw_os_error(error);
  }

  const NativeSocket socket_;
  const Part part_;
  Progress progress_;
  int descriptor_ = -1;
  bool empty_ = false;
};

/// `transport` is the socket's, if it has one.
Coroutine<std::uint64_t> send_by_kernel(LoopCore& core, TransportSocket sock, Part part,
                                        StreamTransport* transport) {
  KernelCopy copy(sock.fileno(), part);
  if (!copy.step()) {
    const SocketWait wait(core, sock.fileno(), Readiness::writable, [&] { return copy.step(); });
    if (transport) transport->sendfile_waits_for(wait.done());
    co_await wait.done();
  }
  co_return static_cast<std::uint64_t>(copy.sent());
}

// -- by us

/// Reads the file block by block, in a thread: it may be slow.
class BlockReader {
 public:
  BlockReader(LoopCore& core, const Part& part, std::size_t block)
      : core_(core), part_(part), block_(static_cast<std::int64_t>(block)) {
    if (part.offset != 0 && ::fseeko(part.file, part.offset, SEEK_SET) != 0) throw_os_error(errno);
    progress_.emplace(part.file, ::ftello(part.file));
  }

  std::uint64_t sent() const noexcept { return static_cast<std::uint64_t>(progress_->sent()); }
  void add_sent(std::size_t size) noexcept { progress_->add(static_cast<std::int64_t>(size)); }

  bool at_end() const noexcept { return part_.next_block(progress_->sent(), block_) == 0; }
  /// The next block; empty at the end of the file.
  Future<Bytes> read() {
    const auto size = static_cast<std::size_t>(part_.next_block(progress_->sent(), block_));
    return core_.run_in_thread([file = part_.file, size] {
      Bytes data(size, '\0');
      data.resize(std::fread(data.data(), 1, size, file));
      if (data.empty() && std::ferror(file)) throw_os_error(errno);
      return data;
    });
  }

 private:
  LoopCore& core_;
  const Part part_;
  const std::int64_t block_;
  std::optional<Progress> progress_;
};

Coroutine<std::uint64_t> copy_to_socket(LoopCore& core, TransportSocket sock, Part part) {
  BlockReader reader(core, part, constants::sock_sendfile_fallback_block_size);
  while (!reader.at_end()) {
    const Future<Bytes> reading = reader.read();
    const Bytes data = co_await reading;
    if (data.empty()) break;
    co_await sock_sendall(core, sock, data);
    reader.add_sent(data.size());
  }
  co_return reader.sent();
}

/// Takes the protocol's place while a file is copied: learns when to pause, and of the end.
class CopyProtocol final : public Protocol {
 public:
  CopyProtocol(LoopCore& core, Transport& transport, bool paused)
      : core_(core), transport_(transport), protocol_(transport.get_protocol()) {
    if (paused) CopyProtocol::pause_writing();
  }

  /// Completes when writing is not paused. ConnectionError when the connection is gone.
  Future<void> writable() const {
    if (transport_.is_closing()) throw ConnectionError("Connection closed by peer");
    if (resumed_) return resumed_;
    Future<void> at_once(core_);
    at_once.set_result();
    return at_once;
  }
  bool paused() const noexcept { return bool(resumed_); }
  const std::shared_ptr<BaseProtocol>& replaced() const noexcept { return protocol_; }

  void pause_writing() override {
    if (!resumed_) resumed_ = Future<void>(core_);
  }
  void resume_writing() override {
    if (Future<void> resumed = std::exchange(resumed_, nullptr); resumed && !resumed.done())
      resumed.set_result();
  }
  void data_received(BytesView) override {
    throw RuntimeError("Invalid state: reading should be paused");
  }
  bool eof_received() override { throw RuntimeError("Invalid state: reading should be paused"); }
  void connection_lost(std::exception_ptr error) override {
    if (resumed_ && !resumed_.done()) {
      resumed_.set_exception(
          error ? error : std::make_exception_ptr(ConnectionError("Connection is closed by peer")));
      resumed_.state()->mark_retrieved();  // it may be reading the file, and wait for nothing
    }
    static_cast<StreamProtocol&>(*protocol_).connection_lost(error);
  }

 private:
  LoopCore& core_;
  Transport& transport_;
  const std::shared_ptr<BaseProtocol> protocol_;
  Future<void> resumed_{nullptr};  // none: writing is not paused
};

/// A CopyProtocol in its place, for a scope. Afterwards the protocol knows whether it may write.
class Copying {
 public:
  Copying(LoopCore& core, Transport& transport, const LowerTransport& control)
      : core_(core),
        transport_(transport),
        was_reading_(transport.is_reading()),
        was_paused_(control.writing_paused()),
        protocol_(std::make_shared<CopyProtocol>(core, transport, was_paused_)) {
    transport.pause_reading();
    transport.set_protocol(protocol_);
  }
  Copying(const Copying&) = delete;
  Copying& operator=(const Copying&) = delete;
  ~Copying() {
    if (transport_.get_protocol() != protocol_) return;  // the connection is gone
    transport_.set_protocol(protocol_->replaced());
    if (was_reading_) transport_.resume_reading();
    auto& protocol = static_cast<StreamProtocol&>(*protocol_->replaced());
    const bool paused = protocol_->paused();
    if (paused == was_paused_) return;
    try {
      paused ? protocol.pause_writing() : protocol.resume_writing();
    } catch (...) {
      core_.report_from_destructor({.message = paused ? "protocol.pause_writing() failed"
                                                      : "protocol.resume_writing() failed",
                                    .exception = std::current_exception()});
    }
  }

  const CopyProtocol& protocol() const noexcept { return *protocol_; }

 private:
  LoopCore& core_;
  Transport& transport_;
  const bool was_reading_;
  const bool was_paused_;
  const std::shared_ptr<CopyProtocol> protocol_;
};

Coroutine<std::uint64_t> copy_to_transport(LoopCore& core, std::shared_ptr<Transport> transport,
                                           const LowerTransport& control, Part part) {
  BlockReader reader(core, part, constants::sendfile_fallback_block_size);
  const Copying copying(core, *transport, control);
  while (!reader.at_end()) {
    const Future<Bytes> reading = reader.read();
    const Bytes data = co_await reading;
    if (data.empty()) break;
    const Future<void> writable = copying.protocol().writable();
    co_await writable;
    transport->write(data);
    reader.add_sent(data.size());
  }
  co_return reader.sent();
}

// -- one or the other

Coroutine<std::uint64_t> sock_sendfile(LoopCore& core, TransportSocket sock, std::FILE* file,
                                       SendfileOptions options) {
  check_non_blocking(core, sock);
  if (sock.type() != SOCK_STREAM) throw ValueError("only SOCK_STREAM type sockets are supported");
  const Part part = check_part(file, options);
  try {
    co_return co_await send_by_kernel(core, sock, part, nullptr);
  } catch (const SendfileNotAvailableError&) {
    if (!options.fallback) throw;
  }
  co_return co_await copy_to_socket(core, sock, part);
}

/// Everything written before goes first; nothing else is written meanwhile.
Coroutine<std::uint64_t> send_through(LoopCore& core, StreamTransport& transport, Part part) {
  struct Turn {
    explicit Turn(StreamTransport& transport) : transport(transport) {}
    ~Turn() { transport.end_sendfile(); }
    StreamTransport& transport;
  };
  const Future<void> flushed = transport.begin_sendfile();
  const Turn turn(transport);
  co_await flushed;
  if (transport.is_closing()) throw ConnectionError("Connection is closed by peer");
  co_return co_await send_by_kernel(core, transport.view(), part, &transport);
}

Coroutine<std::uint64_t> sendfile(LoopCore& core, std::shared_ptr<Transport> transport,
                                  std::FILE* file, SendfileOptions options) {
  if (transport->is_closing()) throw RuntimeError("Transport is closing");
  const auto* const control = dynamic_cast<const LowerTransport*>(transport.get());
  if (!control)
    throw RuntimeError("sendfile is not supported for transport " + to_string(*transport));
  const Part part = check_part(file, options);
  auto* const stream = dynamic_cast<StreamTransport*>(transport.get());
  if (stream) {
    try {
      co_return co_await send_through(core, *stream, part);
    } catch (const SendfileNotAvailableError&) {
      if (!options.fallback) throw;
    }
  } else if (!options.fallback) {
    throw RuntimeError("fallback is disabled and native sendfile is not supported for transport " +
                       to_string(*transport));
  }
  co_return co_await copy_to_transport(core, std::move(transport), *control, part);
}

}  // namespace
}  // namespace detail

Coroutine<std::uint64_t> EventLoop::sendfile(std::shared_ptr<Transport> transport, std::FILE* file,
                                             SendfileOptions options) {
  return detail::sendfile(core(), std::move(transport), file, options);
}

Coroutine<std::uint64_t> EventLoop::sock_sendfile(const detail::SocketBase& sock, std::FILE* file,
                                                  SendfileOptions options) {
  return detail::sock_sendfile(
      core(), TransportSocket(sock.fileno(), sock.family(), sock.type(), sock.proto()), file,
      options);
}

}  // namespace asyncio::inline v1
