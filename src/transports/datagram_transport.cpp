// SPDX-License-Identifier: BSL-1.0
#include "datagram_transport.hpp"

#include <sys/socket.h>

#include <asyncio/exceptions.hpp>
#include <boost/asio/buffer.hpp>
#include <string>
#include <utility>

#include "../sockaddr.hpp"

namespace asyncio::inline v1::detail {

namespace {

namespace asio = boost::asio;

/// What Python would call such an address's type.
const char* type_of(const Address& addr) {
  if (addr.empty()) return "NoneType";
  return addr.is_path() ? "str" : "tuple";
}

}  // namespace

std::shared_ptr<DatagramTransport> make_datagram_transport(LoopCore& core, Socket socket,
                                                           std::shared_ptr<BaseProtocol> protocol,
                                                           Ref<FutureState<void>> waiter,
                                                           Address remote) {
  core.check_usable();
  auto transport = std::make_shared<DatagramEndpoint>(core, std::move(socket), std::move(protocol),
                                                      std::move(remote));
  transport->start(std::move(waiter));
  return transport;
}

DatagramEndpoint::DatagramEndpoint(LoopCore& core, Socket socket,
                                   std::shared_ptr<BaseProtocol> protocol, Address remote)
    : SocketTransport(core, std::move(socket), Address()),
      connected_(!peername_.empty()),
      remote_(std::move(remote)) {
  learn_sockname();  // sending gives it another one
  DatagramEndpoint::set_protocol(std::move(protocol));
}

void DatagramEndpoint::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  if (!dynamic_cast<DatagramProtocol*>(protocol.get())) {
    throw TypeError(std::string("a DatagramProtocol was expected, got ") + name_of(protocol.get()));
  }
  change_protocol(std::static_pointer_cast<DatagramProtocol>(std::move(protocol)));
}

// -- reading

void DatagramEndpoint::read() {
  const std::span<char> memory = loop_->read_buffer();
  boost::system::error_code error;
  const std::size_t size =
      socket_->receive_from(asio::buffer(memory.data(), memory.size()), received_from_, 0, error);
  if (would_block(error)) return read_would_block();
  read_came();
  DatagramProtocol* const protocol = protocol_.get();  // it may be replaced by its own call
  call_as("read_ready", [&] {
    if (error)
      protocol->error_received(make_os_error(error));
    else
      protocol->datagram_received(BytesView(memory.data(), size), sender());
  });
  read_again();
}

const Address& DatagramEndpoint::sender() {
  if (!(received_from_ == last_sender_)) {
    last_sender_address_ = to_address(received_from_.data(), received_from_.size());
    last_sender_ = received_from_;
  }
  return last_sender_address_;
}

// -- writing

void DatagramEndpoint::sendto(BytesView data, const Address& addr) {
  if (!remote_.empty() && !addr.empty() && addr != remote_)
    throw ValueError("Invalid address: must be None or " + to_string(remote_));
  // Without a remote address it is tried as long as there is a socket (rule 176).
  if ((!remote_.empty() || !loop_ || !socket_) && drop_write()) return;
  Endpoint to;
  if (const auto wrong = caught([&] {
        if (!connected_) to = endpoint_of(remote_.empty() ? addr : remote_);
      })) {
    if (isinstance<OSError>(wrong)) return send_failed(wrong);
    if (isinstance<TypeError>(wrong))
      return fatal_error(wrong, "Fatal write error on datagram transport");
    std::rethrow_exception(wrong);
  }
  if (buffer_.empty()) {
    boost::system::error_code error;
    send(data, to, error);
    if (!error) return;
    if (!would_block(error)) return send_failed(make_os_error(error));
    if (lost_) return;  // nothing is waited for any more
    wait_writable();
  }
  buffer_.append(data, to);
  maybe_pause();
}

/// TypeError for an address of another kind than the socket's, ValueError for a name.
DatagramEndpoint::Endpoint DatagramEndpoint::endpoint_of(const Address& addr) const {
  const int family = view_.family();
  if (family == AF_UNIX) {
    if (!addr.is_path())
      throw TypeError(std::string("a bytes-like object is required, not '") + type_of(addr) + "'");
  } else if (addr.empty() || addr.is_path()) {
    throw TypeError(std::string("sendto(): ") + (family == AF_INET6 ? "AF_INET6" : "AF_INET") +
                    " address must be tuple, not " + type_of(addr));
  }
  if (addr == last_sender_address_) return last_sender_;
  const SockAddr system_address(addr, family);
  return Endpoint(system_address.data(), system_address.length(), view_.proto());
}

void DatagramEndpoint::send(BytesView data, const Endpoint& to, boost::system::error_code& error) {
  const asio::const_buffer bytes(data.data(), data.size());
  if (connected_)
    socket_->send(bytes, send_flags, error);
  else
    socket_->send_to(bytes, to, send_flags, error);
}

void DatagramEndpoint::send_failed(std::exception_ptr error) {
  const std::shared_ptr<DatagramProtocol> protocol = protocol_;  // it may be replaced in there
  protocol->error_received(std::move(error));
}

void DatagramEndpoint::write_ready() {
  if (loop_->passes() < first_write_pass_) return write_again();
  while (!buffer_.empty()) {
    boost::system::error_code error;
    send(buffer_.front().data, buffer_.front().to, error);
    if (would_block(error)) break;
    buffer_.pop_front();
    if (error) {  // the protocol is told of one at a time
      first_write_pass_ = loop_->passes() + 1;
      write_again();
      return call_as("write_ready", [&] { send_failed(make_os_error(error)); });
    }
  }
  if (!maybe_resume()) return;
  if (!buffer_.empty()) return wait_writable();
  if (closing_) call_as("write_ready", [&] { connection_lost(nullptr); });
}

}  // namespace asyncio::inline v1::detail
