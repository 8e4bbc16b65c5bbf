// SPDX-License-Identifier: BSL-1.0
#include "tls_transport.hpp"

#include <algorithm>
#include <array>
#include <asyncio/constants.hpp>
#include <asyncio/exceptions.hpp>
#include <cstdio>
#include <utility>

#include "transport_support.hpp"

namespace asyncio::inline v1::detail {

namespace {

std::optional<std::string_view> name_to_check(const TlsRequest& request) {
  if (request.server_side || request.server_hostname.empty()) return std::nullopt;
  return request.server_hostname;
}

std::string in_milliseconds(Duration time) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", time.seconds() * 1e3);
  return text.data();
}

}  // namespace

TlsTransport::TlsTransport(LoopCore& core, TlsRequest request,
                           std::shared_ptr<BaseProtocol> protocol,
                           Ref<FutureState<void>> waiter, bool announce)
    : loop_(&core),
      request_(std::move(request)),
      engine_(request_.context, request_.server_side, name_to_check(request_)),
      waiter_(std::move(waiter)),
      announced_(!announce) {
  TlsTransport::set_protocol(std::move(protocol));
  register_with(core);
}

// -- what all transports have

std::any TlsTransport::get_extra_info(std::string_view name) const {
  if (name == sslcontext.name) return request_.context;
  if (engine_.handshake_done()) {
    const ssl::SSLObject object = engine_.object();
    if (name == ssl_object.name) return object;
    if (name == peercert.name) return object.getpeercert();
    if (name == cipher.name) return *object.cipher();
    if (name == compression.name) return object.compression().value_or(std::string());
  }
  return lower_ ? lower_->get_extra_info(name) : std::any();
}

void TlsTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto* const plain = dynamic_cast<Protocol*>(protocol.get());
  auto* const buffered = plain ? nullptr : dynamic_cast<BufferedProtocol*>(protocol.get());
  if (!plain && !buffered) {
    throw TypeError(std::string("a Protocol or BufferedProtocol was expected, got ") +
                    name_of(protocol.get()));
  }
  if (!loop_) return;  // too late: it would never be released
  protocol_ = std::static_pointer_cast<StreamProtocol>(std::move(protocol));
  plain_ = plain;
  buffered_ = buffered;
}

std::string TlsTransport::repr() const {
  std::string text = "<TlsTransport";
  if (is_closing()) text += lower_ ? " closing" : " closed";
  if (lower_) text += " over " + lower_->repr();
  return text + ">";
}

void TlsTransport::resume_reading() {
  if (!std::exchange(reading_paused_, false) || !loop_) return;
  loop_->call_soon([self = shared_from_this()] {
    // During the handshake there is nothing for the program to read.
    if (self->state_ != State::handshake) self->advance();
  });
}

void TlsTransport::advance() {
  switch (state_) {
    case State::unwrapped: return;
    case State::handshake: return do_handshake();
    case State::wrapped: return do_read();
    case State::flushing: return do_flush();
    case State::shutdown: return do_shutdown();
  }
}

// -- the lower transport's protocol

void TlsTransport::connection_made(std::shared_ptr<Transport> lower) {
  if (!loop_) return;
  lower_ = std::move(lower);
  if (closed_) return lower_->abort();
  if (loop_->debug()) transport_logger().debug("{} starts SSL handshake", repr());
  state_ = State::handshake;
  begun_ = loop_->time();
  timer_ = loop_->call_at(begun_ + request_.handshake_timeout,
                          [self = shared_from_this()] { self->handshake_timed_out(); });
  do_handshake();
}

void TlsTransport::data_received(BytesView ciphertext) {
  if (state_ == State::unwrapped) return;
  engine_.feed(ciphertext);
  advance();
}

bool TlsTransport::eof_received() {
  if (state_ == State::unwrapped) return false;
  lower_eof_ = true;
  engine_.feed_eof();
  if (loop_->debug()) transport_logger().debug("{} received EOF", repr());
  switch (state_) {
    case State::handshake:
      handshake_failed(std::make_exception_ptr(ConnectionResetError()));
      break;
    case State::wrapped:
      state_ = State::flushing;
      [[fallthrough]];
    case State::flushing:
      do_flush();
      // What came before is read when the program, or its buffer, is ready for it.
      return state_ == State::flushing;
    default: do_shutdown();
  }
  return false;
}

void TlsTransport::connection_lost(std::exception_ptr error) {
  if (!loop_) return;
  LoopCore& loop = *std::exchange(loop_, nullptr);
  state_ = State::unwrapped;
  closed_ = true;
  ++lost_;
  backlog_.clear();
  cancel_timer();
  unregister();
  const std::shared_ptr<StreamProtocol> protocol = std::move(protocol_);
  plain_ = nullptr;
  buffered_ = nullptr;
  lower_.reset();
  if (announced_) loop.call_soon([protocol, error] { protocol->connection_lost(error); });
  if (!error && waiter_)
    error = std::make_exception_ptr(ConnectionAbortedError("SSL handshake was aborted"));
  wake_waiter(error);
}

void TlsTransport::resume_writing() {
  lower_paused_ = false;
  send_output();
}

void TlsTransport::loop_closing() noexcept {
  const std::shared_ptr<TlsTransport> self = shared_from_this();
  loop_ = nullptr;
  state_ = State::unwrapped;
  closed_ = true;
  backlog_.clear();
  cancel_timer();
  unregister();
  waiter_ = nullptr;
  protocol_.reset();
  plain_ = nullptr;
  buffered_ = nullptr;
  lower_.reset();
}

// -- handshake

void TlsTransport::do_handshake() {
  try {
    if (engine_.handshake() == TlsEngine::Status::wants_input) return send_output();
  } catch (const ssl::SSLError&) {
    send_output();  // the alert that tells the peer why
    return handshake_failed(std::current_exception());
  }
  handshake_complete();
}

void TlsTransport::handshake_complete() {
  cancel_timer();
  state_ = State::wrapped;
  if (loop_->debug()) {
    const std::string milliseconds = in_milliseconds(loop_->time() - begun_);
    transport_logger().debug("{}: SSL handshake took {} ms", repr(), milliseconds);
  }
  do_write();
  if (!std::exchange(announced_, true)) {
    const std::shared_ptr<StreamProtocol> protocol = protocol_;
    if (const auto thrown = caught([&] { protocol->connection_made(shared_from_this()); }))
      return fatal_error(thrown, "Fatal error: protocol.connection_made() call failed.");
  }
  wake_waiter(nullptr);
  do_read();
}

void TlsTransport::handshake_failed(std::exception_ptr error) {
  cancel_timer();
  state_ = State::unwrapped;
  fatal_error(error, isinstance<ssl::SSLCertVerificationError>(error)
                         ? "SSL handshake failed on verifying the certificate"
                         : "SSL handshake failed");
  wake_waiter(error);
}

void TlsTransport::handshake_timed_out() {
  if (state_ != State::handshake) return;
  fatal_error(std::make_exception_ptr(ConnectionAbortedError(
                  "SSL handshake is taking longer than " + to_string(request_.handshake_timeout) +
                  " seconds: aborting the connection")),
              "Fatal error on transport");
}

void TlsTransport::wake_waiter(const std::exception_ptr& error) {
  const Ref<FutureState<void>> waiter = std::exchange(waiter_, nullptr);
  if (!waiter || waiter->done()) return;
  if (error)
    waiter->set_exception(error);
  else
    waiter->set_result();
}

// -- reading

void TlsTransport::do_read() {
  if (state_ != State::wrapped && state_ != State::flushing) return;
  if (const auto thrown = caught([&] {
        if (closed_ || !reading_paused_) {
          if (closed_)
            discard_data();
          else if (plain_)
            read_data();
          else
            read_into_protocol();
          if (state_ == State::unwrapped) return;
        }
        do_write();
        control_reading();
      })) {
    send_output();  // the alert that tells the peer why
    fatal_error(thrown, "Fatal error on SSL protocol");
  }
}

/// All that can be decrypted, in one call. The ciphertext was copied out of the buffer in which it
/// came, so that is free for the plaintext.
void TlsTransport::read_data() {
  const std::span<char> memory = loop_->read_buffer();
  std::size_t size = 0;
  Bytes longer;  // what does not fit there
  TlsEngine::Status status = TlsEngine::Status::done;
  std::exception_ptr error;  // comes behind what could be read
  try {
    while (status == TlsEngine::Status::done) {
      std::size_t count = 0;
      status = engine_.read(memory.subspan(size), count);
      size += count;
      if (size != memory.size()) continue;
      longer.append(memory.data(), size);
      size = 0;
    }
  } catch (const ssl::SSLError&) {
    error = std::current_exception();
  }
  if (longer.size() + size != 0) {
    BytesView data(memory.data(), size);
    if (!longer.empty()) data = longer.append(memory.data(), size);
    const std::shared_ptr<StreamProtocol> protocol = protocol_;  // it may be replaced in there
    plain_->data_received(data);
  }
  if (error) std::rethrow_exception(error);
  if (status == TlsEngine::Status::closed) end_of_data();
}

void TlsTransport::read_into_protocol() {
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  BufferedProtocol& buffered = *buffered_;
  const MutableBytes memory =
      buffered.get_buffer(static_cast<std::ptrdiff_t>(engine_.undecrypted()));
  if (memory.empty()) throw RuntimeError("get_buffer() returned an empty buffer");
  if (closed_) return;
  std::size_t size = 0;
  TlsEngine::Status status = TlsEngine::Status::done;
  std::exception_ptr error;
  try {
    while (status == TlsEngine::Status::done && size != memory.size()) {
      std::size_t count = 0;
      status = engine_.read({memory.data() + size, memory.size() - size}, count);
      size += count;
    }
  } catch (const ssl::SSLError&) {
    error = std::current_exception();
  }
  if (status == TlsEngine::Status::done && !error)
    loop_->call_soon([self = shared_from_this()] { self->advance(); });  // there may be more
  if (size != 0) buffered.buffer_updated(size);
  if (error) std::rethrow_exception(error);
  if (status == TlsEngine::Status::closed) end_of_data();
}

/// What comes after close() is told to nobody. The loop's buffer may still be in the program's
/// hands, if it closes inside data_received().
void TlsTransport::discard_data() {
  if (lower_eof_) return;
  std::array<char, 4096> memory;
  std::size_t count = 0;
  while (engine_.read(memory, count) == TlsEngine::Status::done) {
  }
}

/// The peer's close_notify was read.
void TlsTransport::end_of_data() {
  if (state_ == State::unwrapped) return;  // the program has aborted since
  call_eof_received();
  start_shutdown();
}

void TlsTransport::call_eof_received() {
  if (!protocol_ || !announced_ || std::exchange(eof_told_, true)) return;
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  bool keep_open = false;
  if (const auto thrown = caught([&] { keep_open = protocol->eof_received(); }))
    return fatal_error(thrown, "Error calling eof_received()");
  if (keep_open)
    transport_logger().warning("returning true from eof_received() has no effect when using ssl");
}

void TlsTransport::control_reading() {
  if (!lower_) return;
  const std::size_t size = engine_.undecrypted();
  if (size >= incoming_.high && size > incoming_.low && !lower_reading_paused_) {
    lower_reading_paused_ = true;
    lower_->pause_reading();
  } else if (size <= incoming_.low && lower_reading_paused_) {
    lower_reading_paused_ = false;
    lower_->resume_reading();
  }
}

// -- writing

std::size_t TlsTransport::get_write_buffer_size() const {
  return backlog_.size() + engine_.output().size();
}

void TlsTransport::set_write_buffer_limits(WriteBufferLimits limits) {
  outgoing_ = water_marks(limits, constants::ssl_high_water);
  control_writing();
}

void TlsTransport::set_read_buffer_limits(ReadBufferLimits limits) {
  incoming_ = water_marks(limits, constants::ssl_read_high_water);
  control_reading();
}

void TlsTransport::writelines(std::span<const BytesView> lines) {
  if (std::ranges::all_of(lines, &BytesView::empty)) return;
  if (state_ != State::wrapped && state_ != State::handshake) {
    if (lost_ >= constants::log_threshold_for_connlost_writes)
      transport_logger().warning("SSL connection is closed");
    ++lost_;
    return;
  }
  if (const auto thrown = caught([&] {
        for (BytesView line : lines) {
          while (state_ == State::wrapped && backlog_.empty() && !line.empty()) {
            std::size_t count = 0;
            if (engine_.write(line, count) != TlsEngine::Status::done) break;
            line = line.subview(count);
          }
          backlog_.append(line);
        }
        if (state_ == State::wrapped) send_output();
      })) {
    fatal_error(thrown, "Fatal error on SSL protocol");
  }
}

void TlsTransport::write_eof() { throw NotImplementedError(); }

/// What was written before the handshake was complete, or between two messages of a later one; and
/// what there is for the peer besides.
void TlsTransport::do_write() {
  std::array<BytesView, 1> first;
  while (backlog_.pieces(first) != 0) {
    std::size_t count = 0;
    if (engine_.write(first[0], count) != TlsEngine::Status::done) break;
    backlog_.consume(count);
  }
  send_output();
}

void TlsTransport::send_output() {
  if (lower_ && !lower_paused_) {
    if (const BytesView output = engine_.output(); !output.empty()) {
      lower_->write(output);
      engine_.consume_output(output.size());
    }
  }
  control_writing();
}

void TlsTransport::control_writing() {
  if (!protocol_ || !announced_) return;
  const std::size_t size = get_write_buffer_size();
  const bool pause = size >= outgoing_.high && size > outgoing_.low && !writing_paused_;
  const bool resume = size <= outgoing_.low && writing_paused_;
  if (!pause && !resume) return;
  writing_paused_ = pause;
  const std::shared_ptr<StreamProtocol> protocol = protocol_;
  if (const auto thrown = caught([&] {
        if (pause)
          protocol->pause_writing();
        else
          protocol->resume_writing();
      })) {
    report(pause ? "protocol.pause_writing() failed" : "protocol.resume_writing() failed", thrown);
  }
}

// -- the end

void TlsTransport::close() {
  if (std::exchange(closed_, true)) return;
  start_shutdown();
}

void TlsTransport::start_shutdown() {
  closed_ = true;
  if (state_ == State::handshake) return force_close(nullptr);
  if (state_ != State::wrapped && state_ != State::flushing) return;
  state_ = State::flushing;
  timer_ = loop_->call_at(loop_->time() + request_.shutdown_timeout,
                          [self = shared_from_this()] { self->shutdown_timed_out(); });
  do_flush();
}

void TlsTransport::do_flush() {
  do_read();
  if (state_ != State::flushing || !closed_) return;
  // The peer is not through with what it began, so nothing can be sent. What comes goes on here.
  if (engine_.negotiating() && !lower_eof_) return;
  state_ = State::shutdown;
  do_shutdown();
}

void TlsTransport::do_shutdown() {
  try {
    discard_data();
    if (engine_.negotiating() && !lower_eof_) return send_output();
    const TlsEngine::Status status = engine_.shutdown();
    send_output();
    if (status == TlsEngine::Status::wants_input) return;
  } catch (const ssl::SSLError&) {
    send_output();
    // From a peer that is gone no answer is needed.
    if (!lower_eof_) return fatal_error(std::current_exception(), "Fatal error on transport");
  }
  call_eof_received();
  shutdown_complete();
}

void TlsTransport::shutdown_complete() {
  cancel_timer();
  if (!lower_) return;
  lower_paused_ = false;  // it sends what it was given before it closes
  send_output();
  loop_->call_soon([lower = lower_] { lower->close(); });
}

void TlsTransport::shutdown_timed_out() {
  if (state_ != State::flushing && state_ != State::shutdown) return;
  force_close(std::make_exception_ptr(TimeoutError("SSL shutdown timed out")));
}

void TlsTransport::force_close(std::exception_ptr error) {
  closed_ = true;
  state_ = State::unwrapped;
  if (lower_) dynamic_cast<LowerTransport&>(*lower_).force_close(std::move(error));
}

void TlsTransport::cancel_timer() noexcept {
  if (const Ref<HandleNode> timer = std::exchange(timer_, nullptr)) timer->cancel();
}

void TlsTransport::fatal_error(const std::exception_ptr& error, const char* message) {
  if (!loop_) return;
  force_close(error);
  if (!isinstance<OSError>(error) && !is_cancelled_error(error))
    report(message, error);
  else if (loop_->debug())
    transport_logger().debug("{}: {}\n{}", repr(), message, asyncio::repr(error));
}

void TlsTransport::report(std::string message, std::exception_ptr error) {
  loop_->call_exception_handler({.message = std::move(message),
                                 .exception = std::move(error),
                                 .protocol = protocol_,
                                 .transport = shared_from_this()});
}

}  // namespace asyncio::inline v1::detail
