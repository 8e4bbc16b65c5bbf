// SPDX-License-Identifier: BSL-1.0
// Connections between asyncio and Asio: streams as Asio's streams, and a transport's socket as one
// of Asio's.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/system/error_code.hpp>

#include <asyncio/asio/sets_promise.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/tasks.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// Asked when it is needed: a strand's executor that is kept may not outlive the context.
boost::asio::any_io_executor executor_of(Scheduler& loop);
/// What a future that is done has failed with. An OSError's own code, operation_aborted if it was
/// cancelled, io_error for what has no code.
boost::system::error_code error_of(const AnyFuture& done);
boost::system::error_code error_of(const std::exception_ptr& error);
/// Ends a WebSocket's connection in the way that leaves nothing unread: who is the server says that
/// it is at its end, then both wait for the other's.
Coroutine<> tear_down(StreamReader reader, StreamWriter writer, bool server);

// What the operations of an AsioStream do, each in its own way: begin() gives the outcome if there
// is one at once; else the outcome comes from the task that wait() makes, by end().

template <class Buffers>
class ReadSome {
 public:
  using Outcome = std::tuple<boost::system::error_code, std::size_t>;
  static constexpr const char* name = "asyncio::AsioStream::async_read_some";

  ReadSome(StreamReader reader, const Buffers& buffers)
      : reader_(std::move(reader)), buffers_(buffers) {}

  /// Nothing is taken out.
  static auto cancellation() { return boost::asio::enable_total_cancellation(); }

  std::optional<Outcome> begin() {
    StreamReaderState& reader = *reader_.state();
    if (size() == 0) return Outcome();
    if (reader.exception()) return Outcome(error_of(reader.exception()), 0);
    if (reader.buffer().empty() && !reader.eof()) return std::nullopt;
    return deliver(reader.take(size()));
  }
  Coroutine<Bytes> wait() const { return reader_.read(static_cast<std::ptrdiff_t>(size())); }
  Outcome end(const AnyFuture& read) const {
    if (const auto error = error_of(read)) return Outcome(error, 0);
    return deliver(static_cast<FutureState<Bytes>&>(*read.state()).result());
  }

 private:
  std::size_t size() const { return boost::asio::buffer_size(buffers_); }
  Outcome deliver(const Bytes& data) const {
    if (data.empty()) return Outcome(boost::asio::error::eof, 0);
    return Outcome(boost::system::error_code(),
                   boost::asio::buffer_copy(buffers_, boost::asio::buffer(data)));
  }

  StreamReader reader_;
  Buffers buffers_;
};

template <class Buffers>
class WriteSome {
 public:
  using Outcome = std::tuple<boost::system::error_code, std::size_t>;
  static constexpr const char* name = "asyncio::AsioStream::async_write_some";

  WriteSome(StreamWriter writer, const Buffers& buffers)
      : writer_(std::move(writer)), buffers_(buffers) {}

  /// The writer has all by then, whether or not it is waited for.
  static auto cancellation() { return boost::asio::enable_partial_cancellation(); }

  std::optional<Outcome> begin() {
    std::vector<BytesView> pieces;
    const auto end = boost::asio::buffer_sequence_end(buffers_);
    for (auto piece = boost::asio::buffer_sequence_begin(buffers_); piece != end; ++piece) {
      const boost::asio::const_buffer buffer(*piece);
      pieces.emplace_back(static_cast<const char*>(buffer.data()), buffer.size());
      size_ += buffer.size();
    }
    if (size_ == 0) return Outcome();
    try {
      writer_.writelines(pieces);
    } catch (...) {
      return Outcome(error_of(std::current_exception()), 0);
    }
    const StreamWriterState& writer = *writer_.state();
    const bool failed = writer.reader() && writer.reader()->exception();
    if (failed || writer_.is_closing() || !writer.protocol()->may_write()) return std::nullopt;
    return Outcome(boost::system::error_code(), size_);
  }
  Coroutine<> wait() const { return writer_.drain(); }
  Outcome end(const AnyFuture& drained) const {
    const auto error = error_of(drained);
    const bool taken = !error || error == boost::asio::error::operation_aborted;
    return Outcome(error, taken ? size_ : 0);
  }

 private:
  StreamWriter writer_;
  Buffers buffers_;
  std::size_t size_ = 0;
};

class TearDown {
 public:
  using Outcome = std::tuple<boost::system::error_code>;
  static constexpr const char* name = "asyncio::async_teardown";

  TearDown(StreamReader reader, StreamWriter writer, bool server) noexcept
      : reader_(std::move(reader)), writer_(std::move(writer)), server_(server) {}

  static auto cancellation() { return boost::asio::enable_terminal_cancellation(); }
  std::optional<Outcome> begin() const noexcept { return std::nullopt; }
  Coroutine<> wait() const { return tear_down(reader_, writer_, server_); }
  Outcome end(const AnyFuture& done) const { return Outcome(error_of(done)); }

 private:
  StreamReader reader_;
  StreamWriter writer_;
  bool server_;
};

/// An operation, for async_compose(): called first to begin, then in the loop with what it has
/// waited for, and last, with the outcome, where the handler is to be called.
template <class Transfer>
class StreamOperation {
 public:
  StreamOperation(Scheduler& loop, Transfer transfer)
      : loop_(&loop), transfer_(std::move(transfer)) {}

  template <class Self>
  void operator()(Self& self) {
    if (outcome_) return std::apply([&](auto... results) { self.complete(results...); }, *outcome_);
    self.reset_cancellation_state(Transfer::cancellation());
    if (loop_->closed())
      std::get<0>(outcome_.emplace()) = boost::asio::error::operation_aborted;
    else
      outcome_ = transfer_->begin();
    if (outcome_) return post(self);
    const auto task = create_task(*loop_, transfer_->wait());
    task.state()->as_task()->set_log_destroy_pending(false);
    if (auto slot = self.get_cancellation_state().slot(); slot.is_connected())
      slot.assign([task](boost::asio::cancellation_type) { task.cancel(); });
    task.add_done_callback([self = std::move(self)](const AnyFuture& done) mutable { self(done); });
  }
  template <class Self>
  void operator()(Self& self, const AnyFuture& done) {
    self.get_cancellation_state().slot().clear();
    outcome_ = transfer_->end(done);
    post(self);
  }

 private:
  /// What is for the loop's thread only stays here.
  template <class Self>
  void post(Self& self) {
    const bool closed = loop_->closed();
    transfer_.reset();
    loop_ = nullptr;
    BOOST_ASIO_HANDLER_LOCATION((__FILE__, __LINE__, Transfer::name));
    using Executor = boost::asio::associated_executor_t<Self>;
    // In a thread of the system the handler, which knows the loop's context, might outlive that.
    if constexpr (sets_promise<Executor> || !takes_posts<Executor>) {
      if (!closed) {
        const auto executor = self.get_io_executor();
        return boost::asio::post(executor, std::move(self));
      }
    }
    if constexpr (takes_posts<Executor>)
      boost::asio::post(std::move(self));
    else
      boost::asio::dispatch(std::move(self));
  }

  Ref<Scheduler> loop_;
  std::optional<Transfer> transfer_;
  std::optional<typename Transfer::Outcome> outcome_;
};

}  // namespace detail

/// A reader and a writer as an AsyncReadStream and AsyncWriteStream of Asio, with or without TLS:
/// Boost.Beast runs on it, and so do async_read_until() and all other composed operations, with any
/// completion token.
///
///   asyncio::AsioStream stream(reader, writer);
///   boost::beast::http::async_read(stream, buffer, request, asyncio::use_awaitable);
///
/// Operations:
/// - The handler is called by way of its own executor, by default the loop's, and never before the
///   initiating function has returned.
/// - A slot that the handler is bound to cancels: reading takes nothing out then (total), what was
///   to be written is with the writer (partial), and counted.
/// - Errors: eof at the end of the stream, the code of an OSError, operation_aborted when
///   cancelled, io_error for an exception without a code, such as set_exception() may be given.
/// - One read at a time, which excludes the reader's own functions; the same for writing. Buffers
///   must live until the handler is called.
/// - If the loop is closed meanwhile, the handler is destroyed without being called. When it is
///   closed already, everything is aborted.
///
/// The loop's thread only, also for emitting cancellation: in a composed operation that goes for
/// all intermediate handlers, so bind no other executor to these. Move-only. The destructor leaves
/// closing to the writer.
class AsioStream {
 public:
  using executor_type = boost::asio::any_io_executor;
  using lowest_layer_type = AsioStream;

  AsioStream(StreamReader reader, StreamWriter writer);
  /// What open_connection() gives.
  explicit AsioStream(std::pair<StreamReader, StreamWriter> streams)
      : AsioStream(std::move(streams.first), std::move(streams.second)) {}
  AsioStream(AsioStream&&) noexcept = default;
  AsioStream& operator=(AsioStream&&) noexcept = default;

  /// The loop's.
  executor_type get_executor() const noexcept {
    return detail::executor_of(writer_.state()->loop());
  }
  lowest_layer_type& lowest_layer() noexcept { return *this; }
  const lowest_layer_type& lowest_layer() const noexcept { return *this; }
  const StreamReader& reader() const noexcept { return reader_; }
  const StreamWriter& writer() const noexcept { return writer_; }

  /// Reads what there is, at least a byte; at once, if there is no room for any.
  template <class MutableBuffers,
            BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, std::size_t)) Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    return start<void(boost::system::error_code, std::size_t)>(detail::ReadSome(reader_, buffers),
                                                               token);
  }
  /// Writes everything, and waits as drain() does.
  template <class ConstBuffers,
            BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, std::size_t)) Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return start<void(boost::system::error_code, std::size_t)>(detail::WriteSome(writer_, buffers),
                                                               token);
  }

 private:
  template <class Signature, class Transfer, class Token>
  auto start(Transfer transfer, Token& token) {
    return boost::asio::async_compose<Token, Signature>(
        detail::StreamOperation<Transfer>(writer_.state()->loop(), std::move(transfer)), token,
        *this);
  }
  /// For boost::beast::websocket: how a connection ends.
  template <class Handler>
  friend void async_teardown(boost::beast::role_type role, AsioStream& stream, Handler&& handler) {
    stream.start<void(boost::system::error_code)>(
        detail::TearDown(stream.reader_, stream.writer_, role == boost::beast::role_type::server),
        handler);
  }
  /// For Boost.Beast: at once, when a connection has timed out.
  friend void beast_close_socket(AsioStream& stream) { stream.writer_.transport()->abort(); }

  StreamReader reader_;
  StreamWriter writer_;
};

namespace detail {

/// Asio's protocol of a socket; TypeError if it is of another kind.
template <class Protocol>
Protocol protocol_of(const Socket& socket) {
  const auto protocol = [&] {
    if constexpr (requires { Protocol(socket.family(), socket.proto()); })
      return Protocol(socket.family(), socket.proto());
    else if constexpr (requires { Protocol::v6(); })
      return socket.family() == Protocol::v6().family() ? Protocol::v6() : Protocol::v4();
    else
      return Protocol();
  }();
  if (protocol.family() != socket.family() || protocol.type() != socket.type())
    throw TypeError("another kind of socket was expected, got " + to_string(socket));
  return protocol;
}

}  // namespace detail

/// Takes the socket out of a transport, as one of Asio's: for an executor, or for a context.
///
///   auto socket = asyncio::release_socket<tcp::socket>(*transport, io);
///
/// See WriteTransport::release_socket(). TypeError if the socket is none of that protocol, and
/// boost::system::system_error if Asio refuses it; the connection is closed then. The way back is
/// `sock=` of create_connection() and open_connection(), which take any of Asio's sockets.
template <class AsioSocket, class Executor>
AsioSocket release_socket(WriteTransport& transport, Executor&& executor) {
  Socket socket = transport.release_socket();
  const auto protocol = detail::protocol_of<typename AsioSocket::protocol_type>(socket);
  AsioSocket asio_socket(std::forward<Executor>(executor), protocol, socket.fileno());
  socket.detach();
  return asio_socket;
}

}  // namespace asyncio::inline v1
