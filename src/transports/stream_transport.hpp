// SPDX-License-Identifier: BSL-1.0
// The transport of a connected stream socket (surface B15).
#pragma once

#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "../loop_core.hpp"
#include "self_holding.hpp"
#include "write_buffer.hpp"

namespace asyncio::inline v1::detail {

class ServerState;

/// Makes the transport of a connected socket and queues, in this order: connection_made, the start
/// of reading, and the waiter's result (rule 129). `waiter` and `server` may be null; an empty
/// `peer` is asked of the socket. RuntimeError if the loop is closed, TypeError for a protocol that
/// is none of a stream; the socket is then closed.
std::shared_ptr<Transport> make_stream_transport(LoopCore& core, Socket socket,
                                                 std::shared_ptr<BaseProtocol> protocol,
                                                 Ref<FutureState<void>> waiter, Address peer,
                                                 std::shared_ptr<ServerState> server);

/// It ends in three steps: it reads no more (closing_), connection_lost is queued or being called
/// (lost_), all is released (loop_ is null).
///
/// It is its own entry in the I/O queue, one for both directions: when both are due, reading goes
/// first (rule 6). Readiness that Asio reports only queues the entry; what was paused or closed in
/// between is not read.
class StreamTransport final : public Transport,
                              public Resource,
                              public SelfHolding<StreamTransport>,
                              private ReadyNode {
 public:
  StreamTransport(LoopCore& core, Socket socket, std::shared_ptr<BaseProtocol> protocol,
                  Address peer);
  ~StreamTransport() override;
  void start(Ref<FutureState<void>> waiter, std::shared_ptr<ServerState> server);

  void close() override;
  bool is_closing() const override { return closing_; }
  std::any get_extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> get_protocol() const override { return protocol_; }
  std::string repr() const override;

  bool is_reading() const override { return !closing_ && !paused_; }
  void pause_reading() override;
  void resume_reading() override;

  void write(BytesView data) override;
  void writelines(std::span<const BytesView> lines) override;
  void write_eof() override;
  bool can_write_eof() const override { return true; }
  void abort() override { force_close(nullptr); }
  std::size_t get_write_buffer_size() const override { return buffer_.size(); }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override {
    return {buffer_.low(), buffer_.high()};
  }
  void set_write_buffer_limits(WriteBufferLimits limits) override;

  void loop_closing() noexcept override;

 private:
  friend class ServerState;  // links its clients

  template <void (StreamTransport::*ready)()>
  class Waiter;

  void run() override;
  void drop() noexcept override { release(); }
  void queue();

  void start_reading();
  void wait_readable();
  void readable();
  void read_ready();
  void read_data();
  void read_into_protocol();
  void read_failed(const boost::system::error_code& error);
  void read_again();
  void on_eof();

  void wait_writable();
  void writable();
  void write_ready();
  std::size_t send(std::span<const BytesView> pieces, boost::system::error_code& error);
  bool drop_write();
  void maybe_pause();
  void shut_down_writing();

  void fatal_error(const std::exception_ptr& error, const char* message);
  void force_close(std::exception_ptr error);
  void call_connection_lost(std::exception_ptr error);
  void connection_lost(const std::exception_ptr& error);
  void release_all() noexcept;
  void report(std::string message, std::exception_ptr error);
  void log_debug(const char* event) const;

  LoopCore* loop_;  // null: the connection or the loop is gone
  /// Gone with the connection, or the loop, whatever the program still holds.
  std::optional<
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, LoopCore::Executor>>
      socket_;
  TransportSocket view_;
  std::shared_ptr<StreamProtocol> protocol_;
  Protocol* plain_ = nullptr;             // protocol_, if it is one of these
  BufferedProtocol* buffered_ = nullptr;  // or of these
  /// The protocol that is being called with data, when it has been replaced meanwhile.
  std::shared_ptr<StreamProtocol> replaced_;
  Ref<ContextState> context_;  // in which events are handled
  Address peername_;
  Address sockname_;
  WriteBuffer buffer_;
  std::shared_ptr<ServerState> server_;
  StreamTransport* previous_client_ = nullptr;
  StreamTransport* next_client_ = nullptr;

  std::uint64_t first_read_pass_ = 0;  // reading was resumed: not before this pass
  int lost_ = 0;                       // 0: alive; beyond 1 it counts the writes that were dropped
  bool closing_ = false;
  bool paused_ = false;
  bool eof_ = false;  // write_eof was called
  bool queued_ = false;
  bool read_due_ = false;
  bool write_due_ = false;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  bool in_data_callback_ = false;
  bool early_ = false;             // the coming read was not announced by the kernel
  std::uint8_t early_credit_ = 3;  // early reads in vain that are put up with
  std::uint8_t not_tried_ = 0;     // early reads left out
};

}  // namespace asyncio::inline v1::detail
