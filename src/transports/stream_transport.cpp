// SPDX-License-Identifier: BSL-1.0
#include "stream_transport.hpp"

#include <algorithm>
#include <array>
#include <asyncio/constants.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <typeinfo>
#include <utility>

#include "../server.hpp"
#include "pool_allocator.hpp"

namespace asyncio::inline v1::detail {

namespace {

namespace asio = boost::asio;

/// Pieces of one gathered send: what Asio hands to the kernel at once.
constexpr std::size_t most_pieces = 64;
/// Early reads pay when more than about one in three finds something: one in vain costs less than
/// the epoll_ctl and the event that one with success saves. So success earns credit for two more...
constexpr std::uint8_t most_early_credit = 8;
/// ...and without credit one in so many is tried: the connection may have become busy.
constexpr std::uint8_t retry_early_read = 64;

#ifdef MSG_NOSIGNAL
constexpr int send_flags = MSG_NOSIGNAL;
#else
constexpr int send_flags = 0;
#endif

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

bool would_block(const boost::system::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

/// What f() throws; null if nothing. SystemExit and KeyboardInterrupt pass.
template <class F>
std::exception_ptr caught(F&& f) {
  try {
    f();
    return nullptr;
  } catch (const SystemExit&) {
    throw;
  } catch (const KeyboardInterrupt&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
}

template <class F>
Address address_or_none(F&& ask) {
  try {
    return ask();
  } catch (const OSError&) {
    return Address();
  }
}

/// A protocol of this class, for an error text.
const char* name_of(const BaseProtocol* protocol) {
  if (!protocol) return "None";
  const BaseProtocol& object = *protocol;
  return class_name(typeid(object));
}

}  // namespace

std::shared_ptr<Transport> make_stream_transport(LoopCore& core, Socket socket,
                                                 std::shared_ptr<BaseProtocol> protocol,
                                                 Ref<FutureState<void>> waiter, Address peer,
                                                 std::shared_ptr<ServerState> server) {
  core.check_usable();
  auto transport = std::make_shared<StreamTransport>(core, std::move(socket), std::move(protocol),
                                                     std::move(peer));
  transport->start(std::move(waiter), std::move(server));
  return transport;
}

StreamTransport::StreamTransport(LoopCore& core, Socket socket,
                                 std::shared_ptr<BaseProtocol> protocol, Address peer)
    : loop_(&core),
      socket_(std::in_place, core.executor()),
      view_(socket),
      context_(capture_context()),
      peername_(std::move(peer)) {
  StreamTransport::set_protocol(std::move(protocol));
  sockname_ = address_or_none([&] { return socket.getsockname(); });
  if (peername_.empty()) peername_ = address_or_none([&] { return socket.getpeername(); });
  const int family = socket.family();
  const int proto = socket.proto();
  boost::system::error_code error;
  socket_->assign({family, proto}, socket.fileno(), error);
  if (error) throw_os_error(error);
  socket.detach();
  socket_->non_blocking(true, error);
  // Small writes go out at once, without waiting for the peer's acknowledgement of the last one.
  const bool internet =
      family == asio::ip::tcp::v4().family() || family == asio::ip::tcp::v6().family();
  if (internet && proto == asio::ip::tcp::v4().protocol())
    socket_->set_option(asio::ip::tcp::no_delay(true), error);
}

StreamTransport::~StreamTransport() {
  // Neither closed nor lost: what is closing is held by what is still to be done.
  if (loop_) {
    logger().warning("unclosed transport {}", StreamTransport::repr());
    release_all();
  }
}

void StreamTransport::start(Ref<FutureState<void>> waiter, std::shared_ptr<ServerState> server) {
  register_with(*loop_);
  if (server) {
    server_ = std::move(server);
    server_->attach(*this);
  }
  const Ref<StreamTransport> self(this);
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

std::any StreamTransport::get_extra_info(std::string_view name) const {
  if (name == peername.name && !peername_.empty()) return peername_;
  if (name == sockname.name && !sockname_.empty()) return sockname_;
  if (name == asyncio::socket.name && loop_) return view_;
  return {};
}

void StreamTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto* const plain = dynamic_cast<Protocol*>(protocol.get());
  auto* const buffered = plain ? nullptr : dynamic_cast<BufferedProtocol*>(protocol.get());
  if (!plain && !buffered) {
    throw TypeError(std::string("a Protocol or BufferedProtocol was expected, got ") +
                    name_of(protocol.get()));
  }
  if (!loop_) return;  // after connection_lost it would never be released
  if (in_data_callback_ && !replaced_) replaced_ = std::move(protocol_);
  protocol_ = std::static_pointer_cast<StreamProtocol>(std::move(protocol));
  plain_ = plain;
  buffered_ = buffered;
}

std::string StreamTransport::repr() const {
  std::string text = "<StreamTransport";
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

void StreamTransport::run() {
  const Ref<StreamTransport> entry(adopt_ref, this);
  queued_ = false;
  if (!loop_) return;
  const ContextScope scope(context_);
  try {
    if (std::exchange(read_due_, false)) read_ready();
    if (std::exchange(write_due_, false)) write_ready();
  } catch (...) {  // the program is told to exit; should it go on, nothing may be lost
    read_again();
    writable();
    throw;
  }
}

void StreamTransport::queue() {
  if (std::exchange(queued_, true)) return;
  add_ref();
  loop_->push_io(*this);
}

/// Says that the kernel has reported readiness, or that the socket was closed.
template <void (StreamTransport::*ready)()>
class StreamTransport::Waiter {
 public:
  using allocator_type = PoolAllocator<void>;

  explicit Waiter(StreamTransport& transport) : transport_(&transport) {}
  allocator_type get_allocator() const noexcept { return {}; }
  void operator()(const boost::system::error_code&) const { (transport_.get()->*ready)(); }

 private:
  Ref<StreamTransport> transport_;
};

// -- reading

void StreamTransport::pause_reading() {
  if (!is_reading()) return;
  paused_ = true;
  read_due_ = false;
  log_debug("pauses reading");
}

void StreamTransport::resume_reading() {
  if (closing_ || !paused_) return;
  paused_ = false;
  start_reading();
  log_debug("resumes reading");
}

/// From the next pass on, whatever is queued for this one.
void StreamTransport::start_reading() {
  if (!is_reading() || waits_readable_) return;
  first_read_pass_ = loop_->passes() + 1;
  early_ = true;
  read_due_ = true;
  queue();
}

void StreamTransport::wait_readable() {
  if (std::exchange(waits_readable_, true)) return;
  socket_->async_wait(asio::socket_base::wait_read, Waiter<&StreamTransport::readable>(*this));
}

void StreamTransport::readable() {
  waits_readable_ = false;
  if (!is_reading()) return;
  early_ = false;
  read_due_ = true;
  queue();
}

void StreamTransport::read_ready() {
  if (!is_reading()) return;
  if (loop_->passes() < first_read_pass_) {
    read_due_ = true;
    queue();
    return;
  }
  struct Call {
    explicit Call(StreamTransport& transport) : transport(transport) {
      transport.in_data_callback_ = true;
    }
    ~Call() {
      transport.in_data_callback_ = false;
      transport.replaced_.reset();
    }
    StreamTransport& transport;
  } const call(*this);
  if (plain_)
    read_data();
  else
    read_into_protocol();
}

void StreamTransport::read_data() {
  const std::span<char> memory = loop_->read_buffer();
  boost::system::error_code error;
  const std::size_t size = socket_->receive(asio::buffer(memory.data(), memory.size()), 0, error);
  if (error) return read_failed(error);
  if (early_) early_credit_ = std::min<std::uint8_t>(early_credit_ + 2, most_early_credit);
  if (const auto thrown = caught([&] { plain_->data_received(BytesView(memory.data(), size)); }))
    return fatal_error(thrown, "Fatal error: protocol.data_received() call failed.");
  read_again();
}

void StreamTransport::read_into_protocol() {
  boost::system::error_code error;
  if (early_) {  // no buffer is asked for in vain
    char next;
    socket_->receive(asio::buffer(&next, 1), asio::socket_base::message_peek, error);
    if (would_block(error)) return read_failed(error);
  }
  BufferedProtocol* const protocol = buffered_;  // it may be replaced by its own call
  MutableBytes memory;
  if (const auto thrown = caught([&] {
        memory = protocol->get_buffer(-1);
        if (memory.empty()) throw RuntimeError("get_buffer() returned an empty buffer");
      })) {
    return fatal_error(thrown, "Fatal error: protocol.get_buffer() call failed.");
  }
  const std::size_t size = socket_->receive(asio::buffer(memory.data(), memory.size()), 0, error);
  if (error) return read_failed(error);
  if (early_) early_credit_ = std::min<std::uint8_t>(early_credit_ + 2, most_early_credit);
  if (const auto thrown = caught([&] { protocol->buffer_updated(size); }))
    return fatal_error(thrown, "Fatal error: protocol.buffer_updated() call failed.");
  read_again();
}

void StreamTransport::read_failed(const boost::system::error_code& error) {
  if (would_block(error)) {
    if (early_ && early_credit_ != 0) --early_credit_;
    if (is_reading()) wait_readable();
  } else if (error == asio::error::eof) {
    on_eof();
  } else {
    fatal_error(make_os_error(error), "Fatal read error on socket transport");
  }
}

/// Data came: perhaps more is there by the next pass, and to try is cheaper than to ask the kernel
/// to be told. A connection that mostly answers one question at a time is better off asking.
void StreamTransport::read_again() {
  if (!is_reading() || waits_readable_ || read_due_) return;
  if (early_credit_ != 0 || ++not_tried_ % retry_early_read == 0) {
    early_ = true;
    read_due_ = true;
    queue();
  } else {
    wait_readable();
  }
}

void StreamTransport::on_eof() {
  log_debug("received EOF");
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  bool keep_open = false;
  if (const auto thrown = caught([&] { keep_open = protocol->eof_received(); }))
    return fatal_error(thrown, "Fatal error: protocol.eof_received() call failed.");
  // Kept open, reading is over without being paused: only resume_reading() would ask again.
  if (!keep_open) close();
}

// -- writing

void StreamTransport::write(BytesView data) {
  if (eof_) throw RuntimeError("Cannot call write() after write_eof()");
  if (data.empty() || drop_write()) return;
  if (buffer_.empty()) {
    boost::system::error_code error;
    const std::size_t sent = send({&data, 1}, error);
    if (error && !would_block(error))
      return fatal_error(make_os_error(error), "Fatal write error on socket transport");
    if (sent == data.size()) return;
    data = data.subview(sent);
    wait_writable();
  }
  buffer_.append(data);
  maybe_pause();
}

void StreamTransport::writelines(std::span<const BytesView> lines) {
  if (eof_) throw RuntimeError("Cannot call writelines() after write_eof()");
  if (lines.empty() || drop_write()) return;
  if (buffer_.empty()) {
    boost::system::error_code error;
    std::size_t sent = send(lines, error);
    if (error && !would_block(error))
      return fatal_error(make_os_error(error), "Fatal write error on socket transport");
    for (const BytesView line : lines) {
      buffer_.append(line.subview(sent));
      sent -= std::min(sent, line.size());
    }
    if (buffer_.empty()) return;
    wait_writable();
  } else {
    for (const BytesView line : lines) buffer_.append(line);
    // Also when older data waits (rule 137). Closing, the last byte would take connection_lost
    // along, which is not to be called from here.
    if (!closing_) write_ready();
  }
  if (!buffer_.empty()) maybe_pause();
}

/// True if the connection is lost; the program learns it from connection_lost, and from the log if
/// it goes on and on (rule 142).
bool StreamTransport::drop_write() {
  if (!lost_) return false;
  if (lost_ >= constants::log_threshold_for_connlost_writes)
    logger().warning("socket.send() raised exception.");
  else
    ++lost_;
  return true;
}

/// What the kernel takes of the first pieces. 0 with an error, which may be that it would block.
std::size_t StreamTransport::send(std::span<const BytesView> pieces,
                                  boost::system::error_code& error) {
  if (pieces.size() == 1)
    return socket_->send(asio::buffer(pieces[0].data(), pieces[0].size()), send_flags, error);
  std::array<asio::const_buffer, most_pieces> buffers;
  std::size_t count = 0;
  for (const BytesView piece : pieces) {
    if (piece.empty()) continue;
    if (count == buffers.size()) break;
    buffers[count++] = asio::buffer(piece.data(), piece.size());
  }
  return socket_->send(std::span<const asio::const_buffer>(buffers.data(), count), send_flags,
                       error);
}

void StreamTransport::wait_writable() {
  if (std::exchange(waits_writable_, true)) return;
  socket_->async_wait(asio::socket_base::wait_write, Waiter<&StreamTransport::writable>(*this));
}

void StreamTransport::writable() {
  waits_writable_ = false;
  if (lost_ || buffer_.empty()) return;
  write_due_ = true;
  queue();
}

void StreamTransport::write_ready() {
  if (lost_ || buffer_.empty()) return;
  std::array<BytesView, most_pieces> pieces;
  const std::size_t count = buffer_.pieces(pieces);
  boost::system::error_code error;
  const std::size_t sent = send({pieces.data(), count}, error);
  if (would_block(error)) return wait_writable();
  if (error) return fatal_error(make_os_error(error), "Fatal write error on socket transport");
  buffer_.consume(sent);
  if (buffer_.resume_due()) {
    const std::shared_ptr<StreamProtocol> protocol = protocol_;
    if (const auto thrown = caught([&] { protocol->resume_writing(); }))
      report("protocol.resume_writing() failed", thrown);
    if (lost_) return;  // closed in there: connection_lost is queued
  }
  if (!buffer_.empty()) return wait_writable();
  if (!closing_ && !eof_) return;
  LoopCore& loop = *loop_;
  if (const auto thrown = caught([&] {
        if (closing_)
          connection_lost(nullptr);
        else
          shut_down_writing();
      })) {
    loop.call_exception_handler({.message = "Exception in callback StreamTransport::write_ready()",
                                 .exception = thrown,
                                 .transport = shared_from_this()});
  }
}

void StreamTransport::write_eof() {
  if (closing_ || eof_) return;
  eof_ = true;
  if (buffer_.empty()) shut_down_writing();
}

void StreamTransport::shut_down_writing() {
  boost::system::error_code error;
  socket_->shutdown(asio::socket_base::shutdown_send, error);
  if (error) throw_os_error(error);
}

void StreamTransport::set_write_buffer_limits(WriteBufferLimits limits) {
  buffer_.set_limits(limits);
  maybe_pause();
}

void StreamTransport::maybe_pause() {
  if (!buffer_.pause_due()) return;
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  if (const auto thrown = caught([&] { protocol->pause_writing(); }))
    report("protocol.pause_writing() failed", thrown);
}

// -- the end

void StreamTransport::close() {
  if (std::exchange(closing_, true)) return;
  if (!buffer_.empty()) return;  // write_ready() goes on when all is sent
  lost_ = 1;
  call_connection_lost(nullptr);
}

void StreamTransport::fatal_error(const std::exception_ptr& error, const char* message) {
  if (!isinstance<OSError>(error))
    report(message, error);
  else if (loop_->debug())
    logger().debug("{}: {}\n{}", repr(), message, asyncio::repr(error));
  force_close(error);
}

void StreamTransport::force_close(std::exception_ptr error) {
  if (lost_) return;
  closing_ = true;
  lost_ = 1;
  buffer_.clear();
  call_connection_lost(std::move(error));
}

/// With the next pass; never from inside a call of the program.
void StreamTransport::call_connection_lost(std::exception_ptr error) {
  loop_->call_soon([self = Ref<StreamTransport>(this), error = std::move(error)] {
    self->connection_lost(error);
  });
}

void StreamTransport::connection_lost(const std::exception_ptr& error) {
  if (!loop_) return;
  struct Finally {
    ~Finally() { transport.release_all(); }
    StreamTransport& transport;
  } const finally{*this};
  if (!lost_) lost_ = 1;
  protocol_->connection_lost(error);
}

/// Nothing is left to do for the loop, the kernel and the protocol; the server is told last.
void StreamTransport::release_all() noexcept {
  loop_ = nullptr;
  closing_ = true;
  if (!lost_) lost_ = 1;
  buffer_.clear();
  socket_.reset();
  unregister();
  context_ = {};
  plain_ = nullptr;
  buffered_ = nullptr;
  replaced_.reset();
  protocol_.reset();
  if (const std::shared_ptr<ServerState> server = std::move(server_)) server->detach(*this);
}

void StreamTransport::loop_closing() noexcept {
  const std::shared_ptr<StreamTransport> self =
      shared_from_this();  // the protocol may hold the last
  release_all();
}

void StreamTransport::report(std::string message, std::exception_ptr error) {
  loop_->call_exception_handler({.message = std::move(message),
                                 .exception = std::move(error),
                                 .protocol = protocol_,
                                 .transport = shared_from_this()});
}

void StreamTransport::log_debug(const char* event) const {
  if (loop_->debug()) logger().debug("{} {}", repr(), event);
}

}  // namespace asyncio::inline v1::detail
