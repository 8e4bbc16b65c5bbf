// SPDX-License-Identifier: BSL-1.0
#include "pipe_transport.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asyncio/constants.hpp>
#include <asyncio/exceptions.hpp>
#include <cerrno>
#include <utility>

#include "../sigpipe.hpp"
#include "../sockaddr.hpp"
#include "transport_support.hpp"

namespace asyncio::inline v1::detail {

namespace {

template <class T>
std::shared_ptr<Transport> make_transport(LoopCore& core, FileDescriptor pipe,
                                          std::shared_ptr<BaseProtocol> protocol,
                                          Ref<FutureState<void>> waiter) {
  core.check_usable();
  auto transport = std::make_shared<T>(core, std::move(pipe), std::move(protocol));
  transport->start(std::move(waiter));
  return transport;
}

}  // namespace

std::shared_ptr<Transport> make_read_pipe_transport(LoopCore& core, FileDescriptor pipe,
                                                    std::shared_ptr<BaseProtocol> protocol,
                                                    Ref<FutureState<void>> waiter) {
  return make_transport<ReadPipeTransport>(core, std::move(pipe), std::move(protocol),
                                           std::move(waiter));
}

std::shared_ptr<Transport> make_write_pipe_transport(LoopCore& core, FileDescriptor pipe,
                                                     std::shared_ptr<BaseProtocol> protocol,
                                                     Ref<FutureState<void>> waiter) {
  return make_transport<WritePipeTransport>(core, std::move(pipe), std::move(protocol),
                                            std::move(waiter));
}

Coroutine<std::shared_ptr<Transport>> connect_pipe(LoopCore& core, MakePipeTransport* make,
                                                   FileDescriptor pipe,
                                                   std::shared_ptr<BaseProtocol> protocol) {
  const Ref<FutureState<void>> waiter(adopt_ref, new FutureState<void>(core));
  const Future<void> made{Ref<FutureBase>(waiter)};
  std::shared_ptr<Transport> transport = make(core, std::move(pipe), std::move(protocol), waiter);
  try {
    co_await made;
  } catch (...) {
    transport->close();
    throw;
  }
  co_return transport;
}

// -- both ends

PipeTransport::PipeTransport(LoopCore& core, FileDescriptor pipe, const char* not_a_pipe)
    : loop_(nullptr), number_(pipe.fileno()), context_(capture_context()) {
  struct stat status {};
  if (::fstat(number_, &status) != 0) throw_os_error(errno);
  kind_ = status.st_mode & S_IFMT;
  if (kind_ != S_IFIFO && kind_ != S_IFSOCK && kind_ != S_IFCHR) throw ValueError(not_a_pipe);
  core.descriptor_taken_over(number_);
  descriptor_.emplace(core.io_executor());
  boost::system::error_code error;
  descriptor_->assign(number_, error);
  if (error) throw_os_error(error);
  pipe.detach();
  descriptor_->non_blocking(true, error);
  if (error) throw_os_error(error);
  loop_ = &core;
}

void PipeTransport::start(Ref<FutureState<void>> waiter) {
  register_with(*loop_);
  const Ref<PipeTransport> self(this);
  loop_->call_soon(
      [self, protocol = protocol_] { protocol->connection_made(self->shared_from_this()); });
  loop_->call_soon([self] {
    if (self->loop_) self->begin();
  });
  if (waiter) {
    loop_->call_soon([waiter = std::move(waiter)] {
      if (!waiter->done()) waiter->set_result();
    });
  }
}

std::any PipeTransport::get_extra_info(std::string_view name) const {
  if (name == asyncio::pipe.name) return number_;
  return {};
}

void PipeTransport::run() {
  const Ref<PipeTransport> entry(adopt_ref, this);
  queued_ = false;
  if (!loop_) return;
  const ContextScope scope(context_);
  try {
    ready();
  } catch (...) {  // the program is told to exit
    if (loop_) interrupted();
    throw;
  }
}

void PipeTransport::queue() {
  if (std::exchange(queued_, true)) return;
  add_ref();
  loop_->push_io(*this);
}

/// The same, for what Asio reports.
void PipeTransport::arrived(bool more) {
  if (std::exchange(queued_, true)) return;
  add_ref();
  loop_->push_event(*this, more);
}

/// With the next pass; never from inside a call of the program.
void PipeTransport::lose(std::exception_ptr error) {
  closing_ = true;
  if (!loop_ || std::exchange(lost_, true)) return;
  loop_->call_soon([self = Ref<PipeTransport>(this), error = std::move(error)] {
    self->connection_lost(error);
  });
}

void PipeTransport::connection_lost(const std::exception_ptr& error) {
  if (!loop_) return;
  struct Finally {
    ~Finally() { transport.release_all(); }
    PipeTransport& transport;
  } const finally{*this};
  lost_ = true;
  const std::shared_ptr<StreamProtocol> protocol = protocol_;  // it may be replaced in there
  protocol->connection_lost(error);
}

void PipeTransport::release_all() noexcept {
  LoopCore& loop = *std::exchange(loop_, nullptr);
  closing_ = true;
  lost_ = true;
  descriptor_.reset();
  loop.descriptor_taken_over(number_);  // who watches it beside us would keep it open
  unregister();
  context_ = {};
  protocol_.reset();
}

void PipeTransport::loop_closing() noexcept {
  const std::shared_ptr<PipeTransport> self = shared_from_this();  // the protocol may hold the last
  if (loop_->debug()) transport_logger().warning("unclosed transport {}", repr());
  release_all();
}

void PipeTransport::report(std::string message, std::exception_ptr error) {
  loop_->call_exception_handler({.message = std::move(message),
                                 .exception = std::move(error),
                                 .protocol = protocol_,
                                 .transport = shared_from_this()});
}

void PipeTransport::log_debug(const char* event) const {
  if (loop_->debug()) transport_logger().debug("{} {}", repr(), event);
}

std::string PipeTransport::repr_begin(const char* name) const {
  std::string text = std::string("<") + name;
  if (!loop_)
    text += " closed";
  else if (closing_)
    text += " closing";
  return text + " fd=" + std::to_string(number_);
}

void PipeTransport::warn_if_unclosed() noexcept {
  if (!loop_) return;
  transport_logger().warning("unclosed transport {}", repr());
  release_all();
}

void PipeTransport::not_implemented() { throw NotImplementedError(); }

// -- the end that reads

ReadPipeTransport::ReadPipeTransport(LoopCore& core, FileDescriptor pipe,
                                     std::shared_ptr<BaseProtocol> protocol)
    : PipeTransport(core, std::move(pipe), "Pipe transport is for pipes/sockets only.") {
  ReadPipeTransport::set_protocol(std::move(protocol));
}

void ReadPipeTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto* const plain = dynamic_cast<Protocol*>(protocol.get());
  if (!plain)
    throw TypeError(std::string("a Protocol was expected, got ") + name_of(protocol.get()));
  if (!loop_) return;  // after connection_lost it would never be released
  protocol_ = std::static_pointer_cast<Protocol>(std::move(protocol));
  plain_ = plain;
}

std::string ReadPipeTransport::repr() const {
  std::string text = repr_begin("ReadPipeTransport");
  if (loop_) text += is_reading() && (waits_ || due_) ? " polling" : " idle";
  return text + '>';
}

void ReadPipeTransport::pause_reading() {
  if (!is_reading()) return;
  paused_ = true;
  due_ = false;
  log_debug("pauses reading");
}

void ReadPipeTransport::resume_reading() {
  if (closing_ || !paused_) return;
  paused_ = false;
  resumed_in_ = loop_->open_batch();
  wait_readable();
  log_debug("resumes reading");
}

/// Nothing is read before it is announced: a named pipe that nobody writes to yet, or a terminal,
/// would be at its end, and a pipe that somebody else has made blocking would block.
void ReadPipeTransport::wait_readable() {
  if (!is_reading() || std::exchange(waits_, true)) return;
  loop_->async_wait(*descriptor_, boost::asio::posix::descriptor_base::wait_read,
                          WaitHandler<ReadPipeTransport, &ReadPipeTransport::readable>(*this));
}

void ReadPipeTransport::readable() {
  waits_ = false;
  if (!is_reading()) return;
  if (loop_->is_open_batch(resumed_in_)) return wait_readable();
  due_ = true;
  arrived();
}

void ReadPipeTransport::ready() {
  if (!std::exchange(due_, false) || !is_reading()) return;
  const std::span<char> memory = loop_->read_buffer();
  const ssize_t size = ::read(number_, memory.data(), memory.size());
  if (size < 0) return read_failed(errno);
  if (size == 0) return on_eof();
  const std::shared_ptr<StreamProtocol> protocol = protocol_;  // it may be replaced by its own call
  const BytesView data(memory.data(), static_cast<std::size_t>(size));
  // What it throws ends nothing here, unlike on a socket (rule 178).
  if (const auto thrown = caught([&] { plain_->data_received(data); }))
    report("Exception in callback ReadPipeTransport::ready()", thrown);
  wait_readable();
}

void ReadPipeTransport::read_failed(int error) {
  if (would_block(error)) return wait_readable();
  const char* const message = "Fatal read error on pipe transport";
  const std::exception_ptr exception = make_os_error(error);
  if (error != EIO)  // which is how a terminal ends
    report(message, exception);
  else if (loop_->debug())
    transport_logger().debug("{}: {}\n{}", repr(), message, asyncio::repr(exception));
  lose(exception);
}

void ReadPipeTransport::on_eof() {
  if (loop_->debug()) transport_logger().info("{} was closed by peer", repr());
  closing_ = true;
  loop_->call_soon([protocol = protocol_] { protocol->eof_received(); });
  lose(nullptr);
}

// -- the end that writes

namespace {

/// Pieces of one gathered write: as many as Linux takes.
constexpr std::size_t most_pieces = 1024;

/// What the kernel takes of the first pieces; 0 and an errno if it takes nothing.
std::size_t write_some(int descriptor, std::span<const BytesView> pieces, int& error) {
  std::array<iovec, most_pieces> vectors;
  std::size_t count = 0;
  for (const BytesView piece : pieces) {
    if (piece.empty()) continue;
    if (count == vectors.size()) break;
    vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  const NoSigPipe no_signal;
  const ssize_t written = ::writev(descriptor, vectors.data(), static_cast<int>(count));
  if (written >= 0) return static_cast<std::size_t>(written);
  error = errno;
  if (error == EPIPE) no_signal.take();
  return 0;
}

}  // namespace

WritePipeTransport::WritePipeTransport(LoopCore& core, FileDescriptor pipe,
                                       std::shared_ptr<BaseProtocol> protocol)
    : PipeTransport(core, std::move(pipe),
                    "Pipe transport is only for pipes, sockets and character devices") {
  WritePipeTransport::set_protocol(std::move(protocol));
}

void WritePipeTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto stream = std::dynamic_pointer_cast<StreamProtocol>(protocol);
  if (!stream) {
    throw TypeError(std::string("a Protocol or BufferedProtocol was expected, got ") +
                    name_of(protocol.get()));
  }
  if (loop_) protocol_ = std::move(stream);  // after connection_lost it would never be released
}

std::string WritePipeTransport::repr() const {
  std::string text = repr_begin("WritePipeTransport");
  if (loop_) {
    text += buffer_.empty() ? " idle" : " polling";
    text += " bufsize=" + std::to_string(buffer_.size());
  }
  return text + '>';
}

void WritePipeTransport::begin() {
  if (kind_ != S_IFCHR) wait_for_hang_up();
}

void WritePipeTransport::ready() {
  if (std::exchange(hang_up_due_, false)) closed_by_peer();
  if (std::exchange(write_due_, false)) write_ready();
}

void WritePipeTransport::interrupted() {
  if (!lost_ && !buffer_.empty()) wait_writable();
}

// -- writing

void WritePipeTransport::write_pieces(std::span<const BytesView> pieces) {
  std::size_t size = 0;
  for (const BytesView piece : pieces) size += piece.size();
  if (size == 0 || drop_write()) return;
  std::size_t written = 0;
  if (buffer_.empty()) {
    int error = 0;
    written = write_some(number_, pieces, error);
    if (error != 0 && !would_block(error)) return write_failed(error);
    if (written == size) return;
    wait_writable();
  }
  for (const BytesView piece : pieces) {
    buffer_.append(piece.subview(written));
    written -= std::min(written, piece.size());
  }
  maybe_pause();
}

/// True if the pipe is closing or lost; the program learns it from connection_lost, and from the
/// log if it goes on and on (rule 179).
bool WritePipeTransport::drop_write() {
  if (dropped_ == 0 && !closing_) return false;
  if (dropped_ >= constants::log_threshold_for_connlost_writes)
    transport_logger().warning("pipe closed by peer or os.write(pipe, data) raised exception.");
  else
    ++dropped_;
  return true;
}

void WritePipeTransport::set_write_buffer_limits(WriteBufferLimits limits) {
  buffer_.set_limits(limits);
  maybe_pause();
}

void WritePipeTransport::maybe_pause() {
  if (!loop_ || !buffer_.pause_due()) return;
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  if (const auto thrown = caught([&] { protocol->pause_writing(); }))
    report("protocol.pause_writing() failed", thrown);
}

void WritePipeTransport::wait_writable() {
  if (std::exchange(waits_writable_, true)) return;
  loop_->async_wait(*descriptor_, boost::asio::posix::descriptor_base::wait_write,
                          WaitHandler<WritePipeTransport, &WritePipeTransport::writable>(*this));
}

void WritePipeTransport::writable() {
  waits_writable_ = false;
  if (lost_ || buffer_.empty()) return;
  write_due_ = true;
  arrived(waits_for_hang_up_);
}

void WritePipeTransport::write_ready() {
  if (lost_ || buffer_.empty()) return;
  std::array<BytesView, most_pieces> pieces;
  const std::size_t count = buffer_.pieces(pieces);
  int error = 0;
  const std::size_t written = write_some(number_, {pieces.data(), count}, error);
  if (would_block(error)) return wait_writable();
  if (error != 0) return write_failed(error);
  buffer_.consume(written);
  if (!buffer_.empty()) return wait_writable();
  // Only now, whatever the low mark is (rule 179).
  if (buffer_.resume_due()) {
    const std::shared_ptr<StreamProtocol> protocol = protocol_;
    if (const auto thrown = caught([&] { protocol->resume_writing(); }))
      report("protocol.resume_writing() failed", thrown);
  }
  if (!closing_ || lost_ || !buffer_.empty()) return;
  LoopCore& loop = *loop_;
  if (const auto thrown = caught([&] { connection_lost(nullptr); })) {
    loop.call_exception_handler(
        {.message = "Exception in callback WritePipeTransport::write_ready()",
         .exception = thrown,
         .transport = shared_from_this()});
  }
}

void WritePipeTransport::write_failed(int error) {
  ++dropped_;
  const std::exception_ptr exception = make_os_error(error);
  if (loop_->debug()) {
    transport_logger().debug("{}: Fatal write error on pipe transport\n{}", repr(),
                             asyncio::repr(exception));
  }
  force_close(exception);
}

// -- the reader's end

/// A pipe nobody reads from any more is reported as readable; so is a socket that was closed by its
/// peer, but also one whose peer has sent something: as in Python, that is the end of it as well.
void WritePipeTransport::wait_for_hang_up() {
  if (closing_ && buffer_.empty()) return;
  if (std::exchange(waits_for_hang_up_, true)) return;
  loop_->async_wait(*descriptor_, boost::asio::posix::descriptor_base::wait_read,
                          WaitHandler<WritePipeTransport, &WritePipeTransport::hung_up>(*this));
}

void WritePipeTransport::hung_up() {
  waits_for_hang_up_ = false;
  if (lost_) return;
  hang_up_due_ = true;
  arrived();
}

void WritePipeTransport::closed_by_peer() {
  if (lost_) return;
  if (loop_->debug()) transport_logger().info("{} was closed by peer", repr());
  force_close(buffer_.empty() ? nullptr : std::make_exception_ptr(BrokenPipeError()));
}

// -- the end

void WritePipeTransport::write_eof() {
  if (std::exchange(closing_, true)) return;
  if (buffer_.empty()) lose(nullptr);  // else write_ready() goes on when all is written
}

void WritePipeTransport::force_close(std::exception_ptr error) {
  buffer_.clear();
  lose(std::move(error));
}

}  // namespace asyncio::inline v1::detail
