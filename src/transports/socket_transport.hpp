// SPDX-License-Identifier: BSL-1.0
// What the transports of sockets have in common, whether of streams or of datagrams: the turns of
// reading and writing, and the end.
#pragma once

#include <algorithm>
#include <any>
#include <asyncio/constants.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/transports.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>

#include "../loop_core.hpp"
#include "../notes.hpp"
#include "self_holding.hpp"
#include "socket_names.hpp"
#include "transport_support.hpp"

namespace asyncio::inline v1::detail {

#ifdef MSG_NOSIGNAL
inline constexpr int send_flags = MSG_NOSIGNAL;
#else
inline constexpr int send_flags = 0;
#endif

/// It ends in three steps: it reads no more (closing_), connection_lost is queued or being called
/// (lost_), all is released (loop_ is null).
///
/// It is its own entry in the I/O queue, one for both directions: when both are due, reading goes
/// first (rule 6). Readiness that Asio reports only queues the entry; what was paused or closed in
/// between is not read.
///
/// Where there are many, a request finds little of its connection in the processor's cache. So what
/// it needs stands together, behind what it does not need, and is fetched ahead: see run().
///
/// Kind names what differs: Interface, the public class; Protocol, what it calls; Socket, Asio's;
/// Buffer, a FlowControl; and the `name` it goes by.
template <class Kind>
class SocketTransport : protected SocketNames,
                        public Resource,
                        public SelfHolding<SocketTransport<Kind>>,
                        public Kind::Interface,
                        private ReadyNode {
 public:
  using ProtocolType = typename Kind::Protocol;

  void close() override;
  bool is_closing() const override { return closing_; }
  std::any get_extra_info(std::string_view name) const override;
  std::shared_ptr<BaseProtocol> get_protocol() const override { return protocol_; }
  std::string repr() const override;

  bool is_reading() const override { return !closing_ && !paused_; }
  void pause_reading() override;
  void resume_reading() override;

  void abort() override { force_close(nullptr); }
  std::size_t get_write_buffer_size() const override { return buffer_.size(); }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override {
    return {buffer_.low(), buffer_.high()};
  }
  void set_write_buffer_limits(WriteBufferLimits limits) override;

  void loop_closing() noexcept override;
  const BaseTransport* transport_on(NativeSocket descriptor) const noexcept override {
    return descriptor == view_.fileno() && !closing_ ? this : nullptr;
  }

 protected:
  /// Takes over the socket. An empty `peer` is asked of it.
  SocketTransport(LoopCore& core, Socket socket, Address peer);
  ~SocketTransport() override = default;
  /// For the last destructor.
  void released_by_the_program() noexcept;

  /// Queues connection_made, the start of reading, and the waiter's result (rule 129).
  void start(Ref<FutureState<void>> waiter);
  /// For set_protocol. False if it is too late: the protocol would never be released.
  bool change_protocol(std::shared_ptr<ProtocolType> protocol);

  // -- for the kind to do

  /// Reads once, and tells the protocol.
  virtual void read() = 0;
  /// Sends what is buffered, when the kernel may take it.
  virtual void write_ready() = 0;
  /// connection_lost is about to be called.
  virtual void losing(const std::exception_ptr&) {}
  /// The socket is about to be closed, or given up.
  virtual void releasing() {}
  /// All is released.
  virtual void released() noexcept = 0;

  // -- for read(): how it went

  void read_came() noexcept {
    if (early_) early_credit_ = std::min<std::uint8_t>(early_credit_ + 2, most_early_credit);
  }
  void read_would_block();
  void read_again();
  /// Looks for more, as a rule in the next pass.
  void read_early();
  bool early_read_pays() noexcept {
    return early_credit_ != 0 || ++not_tried_ % retry_early_read == 0;
  }
  void wait_readable();
  /// What is planned is not read, until the program pauses and resumes reading once more.
  void stop_reading() noexcept { read_due_ = false; }

  /// The connection ends here, its socket goes on elsewhere. Not closing, and nothing is to be sent.
  Socket give_up_socket();

  // -- for writing

  void wait_writable();
  /// write_ready() comes with the next turn, in any case.
  void write_again() {
    write_due_ = true;
    queue();
  }
  bool drop_write();
  void maybe_pause();
  bool maybe_resume();

  // -- failures and the end

  /// Calls what the loop calls as a callback of this name: what it throws is reported.
  template <class F>
  void call_as(const char* callback, F&& f);
  void fatal_error(const std::exception_ptr& error, const char* message);
  void force_close(std::exception_ptr error);
  void connection_lost(const std::exception_ptr& error);
  void log_debug(const char* event) const;

  LoopCore* loop_;  // null: the connection or the loop is gone
  /// Gone with the connection, or the loop, whatever the program still holds.
  std::optional<typename Kind::Socket> socket_;
  int lost_ = 0;  // 0: alive; beyond 1 it counts the writes that were dropped
  bool closing_ = false;
  bool early_ = false;  // the coming read was not announced by the kernel

 private:
  bool paused_ = false;
  bool queued_ = false;
  bool read_due_ = false;
  bool write_due_ = false;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  std::uint8_t early_credit_ = 3;  // early reads in vain that are put up with
  std::uint8_t not_tried_ = 0;     // early reads left out
  std::uint64_t first_read_pass_ = 0;  // not before this pass
  Ref<ContextState> context_;  // in which events are handled
  /// The protocol is being called with data.
  struct DataCall;
  DataCall* data_call_ = nullptr;

 protected:
  std::shared_ptr<ProtocolType> protocol_;
  typename Kind::Buffer buffer_;

 private:
  /// Early reads pay when more than about one in three finds something: one in vain costs less than
  /// the epoll_ctl and the event that one with success saves. So success earns credit for two
  /// more...
  static constexpr std::uint8_t most_early_credit = 8;
  /// ...and without credit one in so many is tried: the connection may have become busy.
  static constexpr std::uint8_t retry_early_read = 64;

  void run() override;
  void drop() noexcept override { this->release(); }
  void keep_subject(Subject& subject) override { subject.text = repr(); }
  void queue();
  void arrived(bool more = false);
  void start_reading();
  void readable();
  void read_ready();
  void writable();
  void call_connection_lost(std::exception_ptr error);
  void release_all() noexcept;
  void report(std::string message, std::exception_ptr error);
};

template <class Kind>
struct SocketTransport<Kind>::DataCall {
  explicit DataCall(SocketTransport& transport) noexcept : transport(transport) {
    transport.data_call_ = this;
  }
  ~DataCall() { transport.data_call_ = nullptr; }

  SocketTransport& transport;
  std::shared_ptr<ProtocolType> replaced;  // the one that is called, if there is another by now
};

template <class Kind>
SocketTransport<Kind>::SocketTransport(LoopCore& core, Socket socket, Address peer)
    : SocketNames(socket, std::move(peer)),
      loop_(&core),
      socket_(std::in_place, core.io_executor()),
      context_(capture_context()) {
  core.descriptor_taken_over(socket.fileno());
  boost::system::error_code error;
  socket_->assign({socket.family(), socket.proto()}, socket.fileno(), error);
  if (error) throw_os_error(error);
  socket.detach();
  socket_->non_blocking(true, error);
}

/// Neither closed nor lost: what is closing is held by what is still to be done.
template <class Kind>
void SocketTransport<Kind>::released_by_the_program() noexcept {
  if (!loop_) return;
  transport_logger().warning("unclosed transport {}", repr());
  release_all();
}

template <class Kind>
void SocketTransport<Kind>::start(Ref<FutureState<void>> waiter) {
  register_with(*loop_);
  const Ref<SocketTransport> self(this);
  loop_->call_soon(
      [self, protocol = protocol_] { protocol->connection_made(self->shared_from_this()); });
  loop_->call_soon([self] { self->start_reading(); });
  if (waiter) {
    loop_->call_soon([waiter = std::move(waiter)] {
      if (!waiter->done()) waiter->set_result();
    });
  }
}

// -- what all transports have

template <class Kind>
std::any SocketTransport<Kind>::get_extra_info(std::string_view name) const {
  if (name == peername.name && !peername_.empty()) return peername_;
  if (name == sockname.name) {
    if (socket_) learn_sockname();
    if (sockname_) return *sockname_;
  }
  if (name == asyncio::socket.name && loop_) return view_;
  return {};
}

template <class Kind>
bool SocketTransport<Kind>::change_protocol(std::shared_ptr<ProtocolType> protocol) {
  if (!loop_) return false;
  if (data_call_ && !data_call_->replaced) data_call_->replaced = std::move(protocol_);
  protocol_ = std::move(protocol);
  return true;
}

template <class Kind>
std::string SocketTransport<Kind>::repr() const {
  std::string text = std::string("<") + Kind::name;
  if (!loop_)
    text += " closed";
  else if (closing_)
    text += " closing";
  text += " fd=" + std::to_string(view_.fileno());
  if (loop_) {
    const bool reads = is_reading() && (waits_readable_ || read_due_);
    const bool writes = !buffer_.empty();
    text += reads ? " read=polling" : " read=idle";
    text += writes ? " write=<polling" : " write=<idle";
    text += ", bufsize=" + std::to_string(buffer_.size()) + ">";
  }
  return text + ">";
}

template <class Kind>
void SocketTransport<Kind>::run() {
  const Ref<SocketTransport> entry(adopt_ref, this);
  prefetch_around(next);  // most likely another connection
  queued_ = false;
  if (!loop_) return;
  const ContextScope scope(context_);
  bool reads = std::exchange(read_due_, false);
  try {
    if (reads) read_ready();
    reads = false;
    if (std::exchange(write_due_, false) && !lost_) write_ready();
  } catch (...) {  // the program is told to exit; should it go on, nothing may be lost
    if (reads) read_again();
    writable();
    throw;
  }
}

template <class Kind>
void SocketTransport<Kind>::queue() {
  if (std::exchange(queued_, true)) return;
  this->add_ref();
  loop_->push_io(*this);
}

/// The same, for what Asio reports.
template <class Kind>
void SocketTransport<Kind>::arrived(bool more) {
  if (std::exchange(queued_, true)) return;
  this->add_ref();
  loop_->push_event(*this, more);
}

// -- reading

template <class Kind>
void SocketTransport<Kind>::pause_reading() {
  if (!is_reading()) return;
  paused_ = true;
  read_due_ = false;
  log_debug("pauses reading");
}

template <class Kind>
void SocketTransport<Kind>::resume_reading() {
  if (closing_ || !paused_) return;
  paused_ = false;
  start_reading();
  log_debug("resumes reading");
}

/// From the next pass on, whatever is queued for this one.
template <class Kind>
void SocketTransport<Kind>::start_reading() {
  if (!is_reading()) return;
  first_read_pass_ = loop_->passes() + 1;
  if (waits_readable_) return;
  early_ = true;
  read_due_ = true;
  queue();
}

template <class Kind>
void SocketTransport<Kind>::read_early() {
  first_read_pass_ = loop_->passes() + 1;
  early_ = true;
  read_due_ = true;
  if (std::exchange(queued_, true)) return;
  this->add_ref();
  loop_->push_early(*this);
}

template <class Kind>
void SocketTransport<Kind>::wait_readable() {
  if (std::exchange(waits_readable_, true)) return;
  loop_->async_wait(*socket_, boost::asio::socket_base::wait_read,
                      WaitHandler<SocketTransport, &SocketTransport::readable>(*this));
}

template <class Kind>
void SocketTransport<Kind>::readable() {
  waits_readable_ = false;
  if (!is_reading()) return;
  early_ = false;
  read_due_ = true;
  arrived();
}

template <class Kind>
void SocketTransport<Kind>::read_ready() {
  if (!is_reading()) return;
  if (loop_->passes() < first_read_pass_) {
    read_due_ = true;
    queue();
    return;
  }
  const DataCall call(*this);
  read();
}

/// Nothing was there.
template <class Kind>
void SocketTransport<Kind>::read_would_block() {
  if (early_ && early_credit_ != 0) --early_credit_;
  if (is_reading()) wait_readable();
}

/// Something came: perhaps more is there by the next pass, and to try is cheaper than to ask the
/// kernel to be told. A connection that mostly answers one question at a time is better off asking.
template <class Kind>
void SocketTransport<Kind>::read_again() {
  if (!is_reading() || waits_readable_ || read_due_) return;
  if (early_read_pays())
    read_early();
  else
    wait_readable();
}

// -- writing

/// True if the connection is lost; the program learns it from connection_lost, and from the log if
/// it goes on and on (rule 142).
template <class Kind>
bool SocketTransport<Kind>::drop_write() {
  if (!lost_) return false;
  if (lost_ >= constants::log_threshold_for_connlost_writes)
    transport_logger().warning("socket.send() raised exception.");
  else
    ++lost_;
  return true;
}

template <class Kind>
void SocketTransport<Kind>::wait_writable() {
  if (std::exchange(waits_writable_, true)) return;
  loop_->async_wait(*socket_, boost::asio::socket_base::wait_write,
                      WaitHandler<SocketTransport, &SocketTransport::writable>(*this));
}

template <class Kind>
void SocketTransport<Kind>::writable() {
  waits_writable_ = false;
  if (lost_ || buffer_.empty()) return;
  write_due_ = true;
  arrived(waits_readable_);
}

template <class Kind>
void SocketTransport<Kind>::set_write_buffer_limits(WriteBufferLimits limits) {
  buffer_.set_limits(limits);
  maybe_pause();
}

template <class Kind>
void SocketTransport<Kind>::maybe_pause() {
  if (!buffer_.pause_due()) return;
  const std::shared_ptr<ProtocolType> protocol = protocol_;
  if (const auto thrown = caught([&] { protocol->pause_writing(); }))
    report("protocol.pause_writing() failed", thrown);
}

/// False if the protocol closed the connection when it was told: connection_lost is queued.
template <class Kind>
bool SocketTransport<Kind>::maybe_resume() {
  if (!buffer_.resume_due()) return true;
  const std::shared_ptr<ProtocolType> protocol = protocol_;
  if (const auto thrown = caught([&] { protocol->resume_writing(); }))
    report("protocol.resume_writing() failed", thrown);
  return !lost_;
}

// -- the end

template <class Kind>
void SocketTransport<Kind>::close() {
  if (std::exchange(closing_, true)) return;
  if (!buffer_.empty()) return;  // write_ready() goes on when all is sent
  lost_ = 1;
  call_connection_lost(nullptr);
}

template <class Kind>
template <class F>
void SocketTransport<Kind>::call_as(const char* callback, F&& f) {
  LoopCore& loop = *loop_;
  if (const auto thrown = caught(f)) {
    loop.call_exception_handler(
        {.message = std::string("Exception in callback ") + Kind::name + "::" + callback + "()",
         .exception = thrown,
         .transport = this->shared_from_this()});
  }
}

template <class Kind>
void SocketTransport<Kind>::fatal_error(const std::exception_ptr& error, const char* message) {
  if (!isinstance<OSError>(error))
    report(message, error);
  else if (loop_->debug())
    transport_logger().debug("{}: {}\n{}", repr(), message, asyncio::repr(error));
  force_close(error);
}

template <class Kind>
void SocketTransport<Kind>::force_close(std::exception_ptr error) {
  if (lost_) return;
  closing_ = true;
  lost_ = 1;
  buffer_.clear();
  call_connection_lost(std::move(error));
}

/// The number may soon be that of somebody else's socket: it is forgotten now, not at the end.
template <class Kind>
Socket SocketTransport<Kind>::give_up_socket() {
  releasing();
  learn_sockname();  // while it can be asked for
  boost::system::error_code error;
  socket_->release(error);  // what waits for readiness is aborted
  if (error) throw_os_error(error);
  Socket socket(view_.fileno(), view_.family(), view_.type(), view_.proto());
  view_ = TransportSocket();
  loop_->descriptor_taken_over(socket.fileno());
  close();
  return socket;
}

/// With the next pass; never from inside a call of the program.
template <class Kind>
void SocketTransport<Kind>::call_connection_lost(std::exception_ptr error) {
  loop_->call_soon([self = Ref<SocketTransport>(this), error = std::move(error)] {
    self->connection_lost(error);
  });
}

template <class Kind>
void SocketTransport<Kind>::connection_lost(const std::exception_ptr& error) {
  if (!loop_) return;
  struct Finally {
    ~Finally() { transport.release_all(); }
    SocketTransport& transport;
  } const finally{*this};
  if (!lost_) lost_ = 1;
  losing(error);
  const std::shared_ptr<ProtocolType> protocol = protocol_;  // it may be replaced in there
  protocol->connection_lost(error);
}

/// Nothing is left to do for the loop, the kernel and the protocol.
template <class Kind>
void SocketTransport<Kind>::release_all() noexcept {
  releasing();
  LoopCore& loop = *std::exchange(loop_, nullptr);
  closing_ = true;
  if (!lost_) lost_ = 1;
  buffer_.clear();
  // Their destructors are the program's, and come last.
  const Ref<ContextState> context = std::move(context_);
  const std::shared_ptr<ProtocolType> protocol = std::move(protocol_);
  if (socket_ && this->held_by_the_program()) learn_sockname();  // now, or it will never be known
  socket_.reset();
  loop.descriptor_taken_over(view_.fileno());  // who watches it beside us would keep it open
  unregister();
  released();
}

template <class Kind>
void SocketTransport<Kind>::loop_closing() noexcept {
  const std::shared_ptr<SocketTransport> self =
      this->shared_from_this();  // the protocol may hold the last
  if (loop_->debug()) transport_logger().warning("unclosed transport {}", repr());
  release_all();
}

template <class Kind>
void SocketTransport<Kind>::report(std::string message, std::exception_ptr error) {
  loop_->call_exception_handler({.message = std::move(message),
                                 .exception = std::move(error),
                                 .protocol = protocol_,
                                 .transport = this->shared_from_this()});
}

template <class Kind>
void SocketTransport<Kind>::log_debug(const char* event) const {
  if (loop_->debug()) transport_logger().debug("{} {}", repr(), event);
}

}  // namespace asyncio::inline v1::detail
