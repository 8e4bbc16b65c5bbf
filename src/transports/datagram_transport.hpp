// SPDX-License-Identifier: BSL-1.0
// The transport of a datagram socket (surface B17).
#pragma once

#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/generic/datagram_protocol.hpp>
#include <exception>
#include <memory>

#include "../loop_core.hpp"
#include "datagram_buffer.hpp"
#include "socket_transport.hpp"

namespace asyncio::inline v1::detail {

/// Makes the transport of a datagram socket and queues, in this order: connection_made, the start
/// of reading, and the waiter's result. `remote` is whom it sends to; empty if that is said with
/// each datagram, or if the socket was connected by others. RuntimeError if the loop is closed,
/// TypeError for a protocol that is none of datagrams; the socket is then closed.
std::shared_ptr<DatagramTransport> make_datagram_transport(LoopCore& core, Socket socket,
                                                           std::shared_ptr<BaseProtocol> protocol,
                                                           Ref<FutureState<void>> waiter,
                                                           Address remote);

struct DatagramKind {
  using Interface = DatagramTransport;
  using Protocol = DatagramProtocol;
  using Socket = boost::asio::basic_datagram_socket<boost::asio::generic::datagram_protocol,
                                                    LoopCore::Executor>;
  using Buffer = DatagramBuffer;
  static constexpr const char* name = "DatagramTransport";
};

class DatagramEndpoint final : public SocketTransport<DatagramKind> {
 public:
  DatagramEndpoint(LoopCore& core, Socket socket, std::shared_ptr<BaseProtocol> protocol,
                   Address remote);
  ~DatagramEndpoint() override { released_by_the_program(); }
  using SocketTransport::start;

  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  void sendto(BytesView data, const Address& addr) override;

 private:
  using Endpoint = DatagramBuffer::Endpoint;

  void read() override;
  const Address& sender();
  void write_ready() override;
  void send(BytesView data, const Endpoint& to, boost::system::error_code& error);
  void send_failed(std::exception_ptr error);
  Endpoint endpoint_of(const Address& addr) const;
  void released() noexcept override {}

  const bool connected_;  // the kernel knows whom to send to
  const Address remote_;
  std::uint64_t first_write_pass_ = 0;  // not before this pass
  /// The sender of the datagram that came last, as the kernel and as the program see it. Whoever
  /// talks with one peer at a time need not translate its address over and over.
  Endpoint received_from_;
  Endpoint last_sender_;
  Address last_sender_address_;
};

}  // namespace asyncio::inline v1::detail
