// SPDX-License-Identifier: BSL-1.0
// TLS over any stream transport (surface B21). The bytes are TlsEngine's affair; here are the turns:
// handshake, data, the two halves of the end, and their timeouts.
#pragma once

#include <any>
#include <asyncio/duration.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/transports.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "../loop_core.hpp"
#include "../ssl/engine.hpp"
#include "../tls_settings.hpp"
#include "flow_control.hpp"
#include "lower_transport.hpp"
#include "write_buffer.hpp"

namespace asyncio::inline v1::detail {

/// Two things in one: the protocol of the lower transport, and the transport of the program's
/// protocol.
///
///   unwrapped -> handshake -> wrapped -> flushing -> shutdown -> unwrapped
///
/// Flushing, what the peer still sends is read; in shutdown the peer's close_notify is waited for.
/// From any state the way to unwrapped is short when something fails.
class TlsTransport final : public SSLTransport,
                           public Protocol,
                           public LowerTransport,
                           public Resource,
                           public std::enable_shared_from_this<TlsTransport> {
 public:
  /// `waiter`, which may be null, is done when the handshake is. `announce`: call connection_made
  /// on the protocol then; otherwise it was called before, over the lower transport. ValueError
  /// where the context does not fit the request.
  TlsTransport(LoopCore& core, TlsRequest request, std::shared_ptr<BaseProtocol> protocol,
               Ref<FutureState<void>> waiter, bool announce);
  ~TlsTransport() override = default;

  // -- the program's transport

  void close() override;
  void abort() override { force_close(nullptr); }
  bool is_closing() const override { return closed_ || (lower_ && lower_->is_closing()); }
  std::any get_extra_info(std::string_view name) const override;
  using SSLTransport::get_extra_info;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> get_protocol() const override { return protocol_; }
  std::string repr() const override;

  bool is_reading() const override { return !reading_paused_ && !is_closing(); }
  void pause_reading() override { reading_paused_ = true; }
  void resume_reading() override;

  void write(BytesView data) override { writelines({&data, 1}); }
  using Transport::writelines;
  void writelines(std::span<const BytesView> lines) override;
  void write_eof() override;
  bool can_write_eof() const override { return false; }
  std::size_t get_write_buffer_size() const override;
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override {
    return {outgoing_.low, outgoing_.high};
  }
  void set_write_buffer_limits(WriteBufferLimits limits) override;
  using Transport::set_write_buffer_limits;
  bool writing_paused() const noexcept override { return writing_paused_; }

  std::size_t get_read_buffer_size() const override { return engine_.undecrypted(); }
  std::pair<std::size_t, std::size_t> get_read_buffer_limits() const override {
    return {incoming_.low, incoming_.high};
  }
  void set_read_buffer_limits(ReadBufferLimits limits) override;
  using SSLTransport::set_read_buffer_limits;

  void force_close(std::exception_ptr error) override;

  // -- the lower transport's protocol

  void connection_made(std::shared_ptr<Transport> lower) override;
  void data_received(BytesView ciphertext) override;
  bool eof_received() override;
  void connection_lost(std::exception_ptr error) override;
  void pause_writing() override { lower_paused_ = true; }
  void resume_writing() override;

  void loop_closing() noexcept override;

 private:
  enum class State { unwrapped, handshake, wrapped, flushing, shutdown };

  void advance();
  // -- handshake
  void do_handshake();
  void handshake_complete();
  void handshake_failed(std::exception_ptr error);
  void handshake_timed_out();
  void wake_waiter(const std::exception_ptr& error);
  // -- data
  void do_read();
  void read_data();
  void read_into_protocol();
  void discard_data();
  void end_of_data();
  void call_eof_received();
  void do_write();
  void send_output();
  void control_reading();
  void control_writing();
  // -- the end
  void start_shutdown();
  void do_flush();
  void do_shutdown();
  void shutdown_complete();
  void shutdown_timed_out();
  void cancel_timer() noexcept;
  void fatal_error(const std::exception_ptr& error, const char* message);
  void report(std::string message, std::exception_ptr error);

  LoopCore* loop_;  // null: the connection or the loop is gone
  const TlsRequest request_;
  TlsEngine engine_;
  std::shared_ptr<StreamProtocol> protocol_;
  Protocol* plain_ = nullptr;             // protocol_, if it is one of these
  BufferedProtocol* buffered_ = nullptr;  // or of these
  std::shared_ptr<Transport> lower_;      // null before connection_made and after connection_lost
  Ref<FutureState<void>> waiter_;
  Ref<HandleNode> timer_;  // of the handshake or of the shutdown
  TimePoint begun_;        // the handshake
  WriteBuffer backlog_;    // plaintext that waits for the handshake
  WaterMarks outgoing_ = usual_water_marks(constants::ssl_high_water);
  WaterMarks incoming_ = usual_water_marks(constants::ssl_read_high_water);
  State state_ = State::unwrapped;
  int lost_ = 0;            // the writes that were dropped
  bool announced_;         // connection_made was called on the program's protocol
  bool eof_told_ = false;  // eof_received was
  bool closed_ = false;     // by the program
  bool lower_eof_ = false;
  bool lower_paused_ = false;
  bool reading_paused_ = false;   // by the program
  bool lower_reading_paused_ = false;
  bool writing_paused_ = false;   // the program's protocol was told
};

}  // namespace asyncio::inline v1::detail
