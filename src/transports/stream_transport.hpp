// SPDX-License-Identifier: BSL-1.0
// The transport of a connected stream socket (surface B15).
#pragma once

#include <asyncio/detail/box.hpp>
#include <asyncio/detail/byte_source.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>

#include "../loop_core.hpp"
#include "../server.hpp"
#include "lower_transport.hpp"
#include "socket_transport.hpp"
#include "write_buffer.hpp"

namespace asyncio::inline v1::detail {

/// Makes the transport of a connected socket and queues, in this order: connection_made, the start
/// of reading, and the waiter's result (rule 129). `waiter` and `server` may be null; an empty
/// `peer` is asked of the socket. RuntimeError if the loop is closed, TypeError for a protocol that
/// is none of a stream; the socket is then closed.
std::shared_ptr<Transport> make_stream_transport(LoopCore& core, Socket socket,
                                                 std::shared_ptr<BaseProtocol> protocol,
                                                 Ref<FutureState<void>> waiter, Address peer,
                                                 Ref<ServerState> server);

struct StreamKind {
  using Interface = Transport;
  using Protocol = StreamProtocol;
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, LoopCore::Executor>;
  using Buffer = WriteBuffer;
  static constexpr const char* name = "StreamTransport";
};

class StreamTransport final : public LowerTransport,
                              private ByteSource,
                              public SocketTransport<StreamKind> {
 public:
  StreamTransport(LoopCore& core, Socket socket, std::shared_ptr<BaseProtocol> protocol,
                  Address peer);
  ~StreamTransport() override;
  void start(Ref<FutureState<void>> waiter, Ref<ServerState> server);

  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;

  void write(BytesView data) override;
  void writelines(std::span<const BytesView> lines) override;
  void write_eof() override;
  bool can_write_eof() const override { return true; }
  Socket release_socket() override;

  void force_close(std::exception_ptr error) override {
    SocketTransport::force_close(std::move(error));
  }

  // -- for sendfile, which writes to the socket itself (rule 201)

  const TransportSocket& view() const noexcept { return view_; }
  bool writing_paused() const noexcept override { return buffer_.paused(); }
  /// Nothing is read, and nobody may write, until end_sendfile(). The future is done when all that
  /// was written before is sent, or with ConnectionError when the connection is lost. RuntimeError
  /// "Empty waiter is already set" if somebody else sends a file.
  Future<void> begin_sendfile();
  /// What now fails when the connection is lost.
  void sendfile_waits_for(Future<void> waiter) noexcept { sendfile_ = std::move(waiter); }
  void end_sendfile();

  const BaseTransport* transport_on(NativeSocket descriptor) const noexcept override {
    return sendfile_ ? nullptr : SocketTransport::transport_on(descriptor);
  }

 private:
  friend class ServerState;  // links its clients

  void read() override;
  bool leave_data(Protocol& protocol);
  void fetch_left();
  std::size_t available() noexcept override;
  std::size_t fetch(MutableBytes memory) noexcept override;
  void read_for(Protocol& protocol);
  void data_came(Protocol& protocol, BytesView data);
  class Early;
  void read_into(BufferedProtocol& protocol);
  std::size_t receive(std::span<char> memory, boost::system::error_code& error) noexcept;
  void read_failed(const boost::system::error_code& error);
  void on_eof();

  void write_ready() override;
  std::size_t send(std::span<const BytesView> pieces, boost::system::error_code& error);
  void shut_down_writing();
  void fail_sendfile(std::exception_ptr error);

  void losing(const std::exception_ptr& error) override;
  void releasing() override { fetch_left(); }
  void released() noexcept override;

  Future<void> sendfile_{nullptr};  // what sendfile waits for; null: no file is being sent
  bool buffered_ = false;  // the protocol is a BufferedProtocol, otherwise a Protocol
  bool resumes_after_sendfile_ = false;
  bool eof_ = false;    // write_eof was called
  bool left_ = false;   // the protocol knows of data that it has not fetched, or not long ago
  bool large_ = false;  // the last data was
  bool asks_for_buffer_ = false;  // what is received may have no place yet
  /// How much is received before it has a place in a BufferedProtocol's buffer: no more than there
  /// was room for the last time. 0: nothing, for it was much, or it filled the buffer: who asks for
  /// just so many bytes may ask for fewer the next time.
  std::uint16_t early_size_ = 0;
  Box<Bytes> unplaced_;  // it had no room for
  Ref<ServerState> server_;
  StreamTransport* previous_client_ = nullptr;
  StreamTransport* next_client_ = nullptr;
};

}  // namespace asyncio::inline v1::detail
