// SPDX-License-Identifier: BSL-1.0
// Protocols: what a program implements to be told about its connections (surface A8).
//
//   class Echo : public asyncio::Protocol {
//     void connection_made(std::shared_ptr<asyncio::Transport> transport) override { ... }
//     void data_received(asyncio::BytesView data) override { transport_->write(data); }
//   };
//
// A protocol belongs to one connection and is called in its loop's thread only, one call at a time.
// That of a stream:
//
//   connection_made -> (data_received | get_buffer buffer_updated)* -> eof_received? ->
//   connection_lost
//
// with pause_writing and resume_writing, strictly alternating, in between. Every method has an
// empty default. The transport keeps the protocol until connection_lost has returned, and the
// protocol usually keeps the transport: that circle is cut by the transport.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asyncio/bytes.hpp>
#include <asyncio/detail/compiler.hpp>

namespace asyncio::inline v1 {

namespace detail {
class ByteSource;
class StreamTransport;
}  // namespace detail

class Address;
class DatagramTransport;
class SubprocessTransport;
class Transport;

/// What all protocols have in common. A program derives from one of the classes below.
/// Python: asyncio.BaseProtocol.
class BaseProtocol {
 public:
  virtual ~BaseProtocol() = default;

  /// The connection is gone; called once, after everything else. Null after an orderly end, close()
  /// or abort() of this side; an OSError when the connection failed; whatever a callback of this
  /// protocol threw.
  virtual void connection_lost(std::exception_ptr /*error*/) {}
  /// The transport's write buffer has grown above its high-water mark. Called from inside write().
  virtual void pause_writing() {}
  /// The buffer has shrunk to its low-water mark or below.
  virtual void resume_writing() {}

 protected:
  BaseProtocol() = default;
  BaseProtocol(const BaseProtocol&) = default;
  BaseProtocol& operator=(const BaseProtocol&) = default;
};

/// What the two kinds of stream protocol have in common. Not for derivation: there are only two.
class StreamProtocol : public BaseProtocol {
 public:
  /// Called once, first. What it throws is reported; the connection goes on (rule 103), unless it
  /// is one over TLS, which ends.
  virtual void connection_made(std::shared_ptr<Transport> /*transport*/) {}
  /// The peer will send nothing more. False: the transport closes itself. True: it stays open for
  /// writing, until close().
  virtual bool eof_received() { return false; }

 private:
  friend class Protocol;
  friend class BufferedProtocol;
  StreamProtocol() = default;
  StreamProtocol(const StreamProtocol&) = default;
  StreamProtocol& operator=(const StreamProtocol&) = default;
};

/// A protocol for a stream of bytes. Python: asyncio.Protocol.
class Protocol : public StreamProtocol {
 public:
  /// Some bytes, at least one. The view is valid during the call. What it throws is reported and
  /// ends the connection.
  virtual void data_received(BytesView /*data*/) {}

 protected:
  Protocol() = default;

 private:
  friend class detail::StreamTransport;
  // Instead of data_received(): what has come may stay in its socket until asyncio_fetch_data().
  // False if it is to be received now.
  virtual bool asyncio_leave_data(detail::ByteSource&) { return false; }
  virtual void asyncio_fetch_data() {}
};

/// A protocol for a stream of bytes that says where they go; much data comes there directly, little
/// by a copy.
/// Python: asyncio.BufferedProtocol.
class BufferedProtocol : public StreamProtocol {
 public:
  /// Where the next bytes go. Must not be empty, and must stay valid until buffer_updated() or the
  /// next get_buffer(). `sizehint` is the size that would be good, -1 for no opinion.
  virtual MutableBytes get_buffer(std::ptrdiff_t sizehint) = 0;
  /// `size` bytes, at least one, were put at the start of that buffer.
  virtual void buffer_updated(std::size_t /*size*/) {}

 protected:
  BufferedProtocol() = default;
};

/// A protocol for datagrams: connection_made -> (datagram_received | error_received)* ->
/// connection_lost. Python: asyncio.DatagramProtocol.
class DatagramProtocol : public BaseProtocol {
 public:
  /// Called once, first. What it throws is reported; the endpoint goes on (rule 103).
  virtual void connection_made(std::shared_ptr<DatagramTransport> /*transport*/) {}
  /// One datagram, which may be empty, and its sender; nowhere if that is a Unix socket without a
  /// name. Both are valid during the call. What it throws is reported; the endpoint goes on.
  virtual void datagram_received(BytesView /*data*/, const Address& /*addr*/) {}
  /// An earlier send failed, or receiving did: an OSError, such as ConnectionRefusedError when the
  /// peer's host says that nobody listens. Not every loss is noticed. The endpoint goes on. May be
  /// called from inside sendto(), which then throws what it throws.
  virtual void error_received(std::exception_ptr /*error*/) {}

 protected:
  DatagramProtocol() = default;
};

/// A protocol for a child process and its pipes. Python: asyncio.SubprocessProtocol.
///
///   connection_made -> (pipe_data_received | pipe_connection_lost | process_exited)* ->
///   connection_lost
///
/// process_exited may come before the last data: whatever the child wrote is in the pipe, and its
/// own children may go on writing. connection_lost comes when the child has ended and every pipe is
/// lost. pause_writing and resume_writing are those of the child's stdin.
class SubprocessProtocol : public BaseProtocol {
 public:
  /// Called once, first, when all pipes are open.
  virtual void connection_made(std::shared_ptr<SubprocessTransport> /*transport*/) {}
  /// The child wrote to its stdout (1) or stderr (2). The view is valid during the call.
  virtual void pipe_data_received(int /*fd*/, BytesView /*data*/) {}
  /// The pipe to the child's stdin (0), or from its stdout (1) or stderr (2), was closed, by the
  /// child or by us.
  virtual void pipe_connection_lost(int /*fd*/, std::exception_ptr /*error*/) {}
  /// The child has ended; the transport's get_returncode() tells how.
  virtual void process_exited() {}

 protected:
  SubprocessProtocol() = default;
};

/// Makes the protocol of a new connection.
using ProtocolFactory = std::function<std::shared_ptr<BaseProtocol>()>;

/// A factory that constructs a P from the same arguments each time. It may be written inside a
/// co_await expression, where a lambda that owns something may not.
template <class P, class... Args>
class MakeProtocol {
 public:
  template <class... Given>
  explicit MakeProtocol(std::in_place_t, Given&&... args) : args_(std::forward<Given>(args)...) {}

  std::shared_ptr<P> operator()() const {
    return std::apply([](auto&... args) { return std::make_shared<P>(args...); }, args_);
  }

 private:
  std::tuple<Args...> args_;
};

template <class P, class... Args>
inline constexpr bool has_constructor<MakeProtocol<P, Args...>> = true;

/// loop.create_server(asyncio::make<ChatServer>(&room), ...): a factory that gives each ChatServer
/// a copy of these arguments; std::ref passes a reference. Python: functools.partial(ChatServer,
/// room).
template <class P, class... Args>
auto make(Args&&... args) {
  static_assert(std::is_base_of_v<BaseProtocol, P>, "asyncio: make<P>() makes protocols");
  return MakeProtocol<P, std::unwrap_ref_decay_t<Args>...>(std::in_place,
                                                           std::forward<Args>(args)...);
}

}  // namespace asyncio::inline v1
