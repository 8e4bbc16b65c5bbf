// SPDX-License-Identifier: BSL-1.0
#include "stream_transport.hpp"

#include <algorithm>
#include <array>
#include <asyncio/exceptions.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>

namespace asyncio::inline v1::detail {

namespace {

namespace asio = boost::asio;

/// Pieces of one gathered send: what Asio hands to the kernel at once.
constexpr std::size_t most_pieces = 64;
/// Receiving so much where it is wanted, a pass later, saves more than it costs to ask how much is
/// there.
constexpr std::size_t large_data = 8 * 1024;

}  // namespace

std::shared_ptr<Transport> make_stream_transport(LoopCore& core, Socket socket,
                                                 std::shared_ptr<BaseProtocol> protocol,
                                                 Ref<FutureState<void>> waiter, Address peer,
                                                 Ref<ServerState> server) {
  core.check_usable();
  auto transport =
      std::allocate_shared<StreamTransport>(PoolAllocator<void>(), core, std::move(socket),
                                            std::move(protocol), std::move(peer));
  transport->start(std::move(waiter), std::move(server));
  return transport;
}

StreamTransport::StreamTransport(LoopCore& core, Socket socket,
                                 std::shared_ptr<BaseProtocol> protocol, Address peer)
    : SocketTransport(core, std::move(socket), std::move(peer)) {
  StreamTransport::set_protocol(std::move(protocol));
  // Small writes go out at once, without waiting for the peer's acknowledgement of the last one.
  const int family = view_.family();
  const bool internet =
      family == asio::ip::tcp::v4().family() || family == asio::ip::tcp::v6().family();
  if (internet && view_.proto() == asio::ip::tcp::v4().protocol()) {
    boost::system::error_code ignored;
    socket_->set_option(asio::ip::tcp::no_delay(true), ignored);
  }
}

StreamTransport::~StreamTransport() { released_by_the_program(); }

void StreamTransport::start(Ref<FutureState<void>> waiter, Ref<ServerState> server) {
  if (server) {
    server_ = std::move(server);
    server_->attach(*this);
  }
  SocketTransport::start(std::move(waiter));
}

void StreamTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  const bool buffered = dynamic_cast<BufferedProtocol*>(protocol.get()) != nullptr;
  if (!buffered && !dynamic_cast<Protocol*>(protocol.get())) {
    throw TypeError(std::string("a Protocol or BufferedProtocol was expected, got ") +
                    name_of(protocol.get()));
  }
  fetch_left();
  if (change_protocol(std::static_pointer_cast<StreamProtocol>(std::move(protocol))))
    buffered_ = buffered;
}

// -- reading

// The protocol may be replaced by its own call, which it outlives.

inline void StreamTransport::data_came(Protocol& protocol, BytesView data) {
  read_came();
  large_ = data.size() >= large_data;
  if (const auto thrown = caught([&] { protocol.data_received(data); }))
    return fatal_error(thrown, "Fatal error: protocol.data_received() call failed.");
  read_again();
}

void StreamTransport::read() {
  prefetch(protocol_.get());
  if (left_) {
    fetch_left();
    if (!early_read_pays()) return wait_readable();
  }
  if (buffered_) return read_into(static_cast<BufferedProtocol&>(*protocol_));
  auto& protocol = static_cast<Protocol&>(*protocol_);
  if (unplaced_) [[unlikely]] {
    const Box<Bytes> unplaced = std::move(unplaced_);
    data_came(protocol, *unplaced);
  } else if (!leave_data(protocol)) {
    read_for(protocol);
  }
}

/// Who waits for much data is told of it now, and receives it when it takes it, into memory of its
/// own. What it does not take with the next pass is received then.
bool StreamTransport::leave_data(Protocol& protocol) {
  if (!large_ || !protocol.asyncio_leave_data(*this)) return false;
  left_ = true;
  read_came();
  if (is_reading()) read_early();
  return true;
}

void StreamTransport::fetch_left() {
  if (std::exchange(left_, false)) static_cast<Protocol&>(*protocol_).asyncio_fetch_data();
}

inline std::size_t StreamTransport::receive(std::span<char> memory,
                                            boost::system::error_code& error) noexcept {
  return socket_->receive(asio::buffer(memory.data(), memory.size()), 0, error);
}

std::size_t StreamTransport::available() noexcept {
  boost::system::error_code error;
  const std::size_t size = socket_->available(error);
  return size < large_data ? 0 : std::min(size, constants::max_read_size);
}

std::size_t StreamTransport::fetch(MutableBytes memory) noexcept {
  boost::system::error_code error;
  std::size_t size = 0;
  while (size != memory.size() && !error)
    size += receive({memory.data() + size, memory.size() - size}, error);
  return size;
}

void StreamTransport::read_for(Protocol& protocol) {
  const std::span<char> memory = loop_->read_buffer();
  boost::system::error_code error;
  const std::size_t size = receive(memory, error);
  if (error) return read_failed(error);
  data_came(protocol, BytesView(memory.data(), size));
}

/// Bytes that were received before the protocol was asked for a buffer. What does not get into it
/// is kept for the next read.
class StreamTransport::Early {
 public:
  explicit Early(StreamTransport& transport) noexcept
      : transport_(transport), more_(transport.unplaced_) {
    transport.asks_for_buffer_ = true;
    if (transport.unplaced_) bytes_ = *transport.unplaced_;
  }
  Early(const Early&) = delete;
  Early& operator=(const Early&) = delete;
  ~Early() {
    transport_.asks_for_buffer_ = false;
    if (bytes_.empty() && !transport_.unplaced_) [[likely]]
      return;
    transport_.unplaced_.reset(bytes_.empty() ? nullptr : new Bytes(bytes_));
    // The kernel has nothing to tell about it.
    if (transport_.unplaced_ && transport_.is_reading()) transport_.read_early();
  }

  bool empty() const noexcept { return bytes_.empty(); }
  /// At most so many.
  void receive(std::size_t size, boost::system::error_code& error) noexcept {
    bytes_ = BytesView(memory_.data(), transport_.receive({memory_.data(), size}, error));
    more_ = bytes_.size() == size;
  }
  /// Returns how many bytes are in the buffer. If there was no limit to what there is but ours, and
  /// it has room for more, that is received, too: it should be as much as in one go.
  std::size_t place(MutableBytes buffer) {
    const std::size_t size = std::min(bytes_.size(), buffer.size());
    std::copy_n(bytes_.data(), size, buffer.data());
    bytes_ = bytes_.subview(size);
    boost::system::error_code error;
    if (!more_ || size == buffer.size() || transport_.socket_->available(error) == 0) return size;
    return size + transport_.receive({buffer.data() + size, buffer.size() - size}, error);
  }

 private:
  StreamTransport& transport_;
  BytesView bytes_;  // in memory_, or kept by an earlier read
  bool more_;        // may have come
  std::array<char, large_data> memory_;
};

/// No buffer is asked for in vain. An early read receives first, if it will not be much, or else
/// looks first whether there is something.
void StreamTransport::read_into(BufferedProtocol& protocol) {
  boost::system::error_code error;
  MutableBytes buffer;
  std::size_t size = 0;
  {
    Early early(*this);
    if (early_ && early.empty()) {
      if (early_size_ != 0)
        early.receive(early_size_, error);
      else
        socket_->wait(asio::socket_base::wait_read, error);
      if (would_block(error)) return read_would_block();
    }
    if (const auto thrown = caught([&] {
          buffer = protocol.get_buffer(-1);
          if (buffer.empty()) throw RuntimeError("get_buffer() returned an empty buffer");
        })) {
      return fatal_error(thrown, "Fatal error: protocol.get_buffer() call failed.");
    }
    if (error) return read_failed(error);
    size = early.empty() ? receive({buffer.data(), buffer.size()}, error) : early.place(buffer);
  }
  if (error) return read_failed(error);
  read_came();
  const std::size_t room = std::min(buffer.size(), large_data);
  early_size_ = size < room ? room : 0;
  if (const auto thrown = caught([&] { protocol.buffer_updated(size); }))
    return fatal_error(thrown, "Fatal error: protocol.buffer_updated() call failed.");
  read_again();
}

void StreamTransport::read_failed(const boost::system::error_code& error) {
  if (would_block(error)) {
    read_would_block();
  } else if (error == asio::error::eof) {
    on_eof();
  } else {
    fatal_error(make_os_error(error), "Fatal read error on socket transport");
  }
}

void StreamTransport::on_eof() {
  log_debug("received EOF");
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  bool keep_open = false;
  if (const auto thrown = caught([&] { keep_open = protocol->eof_received(); }))
    return fatal_error(thrown, "Fatal error: protocol.eof_received() call failed.");
  // Kept open, reading is over without being paused, whatever eof_received() did.
  if (keep_open)
    stop_reading();
  else
    close();
}

// -- writing

void StreamTransport::write(BytesView data) {
  if (eof_) throw RuntimeError("Cannot call write() after write_eof()");
  if (sendfile_) throw RuntimeError("unable to write; sendfile is in progress");
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
  if (sendfile_) throw RuntimeError("unable to writelines; sendfile is in progress");
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

/// How much the kernel takes of the pieces. Less than all of them with an error, which may be that it
/// would block, or without one.
std::size_t StreamTransport::send(std::span<const BytesView> pieces,
                                  boost::system::error_code& error) {
  if (pieces.size() == 1)
    return socket_->send(asio::buffer(pieces[0].data(), pieces[0].size()), send_flags, error);
  std::array<asio::const_buffer, most_pieces> buffers;
  std::size_t sent = 0;
  for (auto piece = pieces.begin();;) {
    std::size_t count = 0;
    std::size_t size = 0;
    for (; piece != pieces.end() && count != buffers.size(); ++piece) {
      if (piece->empty()) continue;
      buffers[count++] = asio::buffer(piece->data(), piece->size());
      size += piece->size();
    }
    const std::size_t taken = socket_->send(
        std::span<const asio::const_buffer>(buffers.data(), count), send_flags, error);
    sent += taken;
    if (taken != size || piece == pieces.end()) return sent;
  }
}

void StreamTransport::write_ready() {
  if (buffer_.empty()) return;
  std::array<BytesView, most_pieces> pieces;
  const std::size_t count = buffer_.pieces(pieces);
  boost::system::error_code error;
  const std::size_t sent = send({pieces.data(), count}, error);
  if (would_block(error)) return wait_writable();
  if (error) return fatal_error(make_os_error(error), "Fatal write error on socket transport");
  buffer_.consume(sent);
  if (!maybe_resume()) return;
  if (!buffer_.empty()) return wait_writable();
  if (sendfile_ && !sendfile_.done()) sendfile_.set_result();
  if (!closing_ && !eof_) return;
  call_as("write_ready", [&] {
    if (closing_)
      connection_lost(nullptr);
    else
      shut_down_writing();
  });
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

Socket StreamTransport::release_socket() {
  if (closing_) throw RuntimeError("Transport is closing");
  if (sendfile_) throw RuntimeError("unable to release the socket; sendfile is in progress");
  if (!buffer_.empty()) {
    throw RuntimeError("unable to release the socket; " + std::to_string(buffer_.size()) +
                       " bytes are not sent yet");
  }
  if (asks_for_buffer_) throw RuntimeError("unable to release the socket in get_buffer()");
  if (unplaced_) {
    throw RuntimeError("unable to release the socket; " + std::to_string(unplaced_->size()) +
                       " bytes are received that get_buffer() had no room for");
  }
  return give_up_socket();
}

Future<void> StreamTransport::begin_sendfile() {
  if (sendfile_) throw RuntimeError("Empty waiter is already set");
  sendfile_ = Future<void>(*loop_);
  if (buffer_.empty()) sendfile_.set_result();
  resumes_after_sendfile_ = is_reading();
  pause_reading();
  return sendfile_;
}

void StreamTransport::end_sendfile() {
  sendfile_ = nullptr;
  if (resumes_after_sendfile_) resume_reading();
}

void StreamTransport::fail_sendfile(std::exception_ptr error) {
  if (!sendfile_ || sendfile_.done()) return;
  if (!error) error = std::make_exception_ptr(ConnectionError("Connection is closed by peer"));
  sendfile_.set_exception(std::move(error));
}

void StreamTransport::losing(const std::exception_ptr& error) {
  fetch_left();
  fail_sendfile(error);
}

/// The server is told last.
void StreamTransport::released() noexcept {
  if (const Ref<ServerState> server = std::move(server_)) server->detach(*this);
}

}  // namespace asyncio::inline v1::detail
