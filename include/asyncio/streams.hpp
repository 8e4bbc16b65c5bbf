// SPDX-License-Identifier: BSL-1.0
// Streams: connections that coroutines read and write (surface A18, rules 203-217).
//
//   asyncio::Coroutine<> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
//     while (auto line = co_await reader.next_line()) {
//       writer.write(*line);
//       co_await writer.drain();
//     }
//     writer.close();
//   }
//   ...
//   asyncio::Server server = co_await asyncio::start_server(echo, "localhost", 8888);
//   auto [reader, writer] = co_await asyncio::open_connection("localhost", 8888);
#pragma once

#include <any>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <asyncio/bytes.hpp>
#include <asyncio/connections.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/detail/stream_buffer.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/scheduler.hpp>
#include <asyncio/server.hpp>
#include <asyncio/tasks.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v1 {

class EventLoop;

namespace detail {

class DataAwaiter;
class Sleeper;

/// What the handles of a reader share.
class StreamReaderState final : public Pooled {
 public:
  StreamReaderState(Scheduler& loop, std::ptrdiff_t limit);
  StreamReaderState(const StreamReaderState&) = delete;
  StreamReaderState& operator=(const StreamReaderState&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) expire();
  }
  void feed_data(BytesView data);
  /// Feeds bytes that stay where they are until they are read, if a task waits for them.
  bool leave_data(ByteSource& source);
  void feed_eof();
  void set_exception(std::exception_ptr error);
  const std::exception_ptr& exception() const noexcept { return exception_; }
  void set_transport(std::shared_ptr<ReadTransport> transport);
  /// The connection goes on over another transport.
  void replace_transport(std::shared_ptr<ReadTransport> transport);
  std::string repr() const;

  // -- for the coroutines that read

  std::size_t limit() const noexcept { return limit_; }
  StreamBuffer& buffer() noexcept { return buffer_; }
  bool eof() const noexcept { return eof_; }
  bool at_eof() const noexcept { return eof_ && buffer_.empty(); }
  /// Throws what set_exception() was given.
  void check() const {
    if (exception_) std::rethrow_exception(exception_);
  }
  /// Takes out the first `count` bytes, or what there is.
  Bytes take(std::size_t count);
  /// Where the first separator ends; 0 if it is not there yet. LimitOverrunError.
  std::size_t find_end(SeparatorSearch& search, std::span<const Bytes> separators);
  /// The same for a line. ValueError, and what is too long is dropped.
  std::size_t find_end_of_line(SeparatorSearch& search);
  /// Waits for data, the end or an exception. RuntimeError if somebody does already.
  DataAwaiter wait_for_data(const char* function);

 private:
  friend class DataAwaiter;
  friend class WeakReader;
  ~StreamReaderState() = default;
  void expire() noexcept;
  void release_weak() noexcept {
    if (--weak_references_ == 0) delete this;
  }
  void wake();
  void pause_if_full();
  void resume_if_drained();
  void resume();

  std::uint32_t references_ = 1;
  std::uint32_t weak_references_ = 1;  // all those above are one of these
  bool eof_ = false;
  bool paused_ = false;
  const std::size_t limit_;
  const Ref<Scheduler> loop_;
  StreamBuffer buffer_;
  Sleeper* waiter_ = nullptr;  // of the task that waits: its DataAwaiter
  std::exception_ptr exception_;
  std::shared_ptr<ReadTransport> transport_;
};

/// Knows a reader without keeping it (rule 216).
class WeakReader {
 public:
  WeakReader() noexcept = default;
  explicit WeakReader(StreamReaderState& reader) noexcept : reader_(&reader) {
    ++reader.weak_references_;
  }
  WeakReader(const WeakReader&) = delete;
  WeakReader& operator=(const WeakReader&) = delete;
  ~WeakReader() { reset(); }

  /// Null once the last handle is gone.
  Ref<StreamReaderState> lock() const noexcept {
    return Ref<StreamReaderState>(reader_ && reader_->references_ != 0 ? reader_ : nullptr);
  }
  void reset() noexcept {
    if (StreamReaderState* const reader = std::exchange(reader_, nullptr)) reader->release_weak();
  }

 private:
  StreamReaderState* reader_ = nullptr;
};

}  // namespace detail

/// The receiving end of a connection: a buffer that the connection's protocol, or the program
/// itself, feeds, and from which one task at a time reads. A handle: copies are the same reader.
/// The loop's thread only. Python: asyncio.StreamReader.
///
/// What is said here holds for read(), readexactly(), readuntil(), readline() and next_line():
/// - They do nothing until they are awaited. They keep the reader alive, and own their arguments.
/// - They complete without yielding if the bytes are there, else one pass after these are fed.
/// - On cancel nothing is taken out: the next one gets every byte, also those fed in the same pass.
///   Only read(-1) drops what it has collected, as in Python.
/// - An exception from set_exception() is thrown by the one that waits and by every later one,
///   before any byte that may still be buffered is looked at.
/// - Only one task may wait: RuntimeError "read() called while another coroutine is already waiting
///   for incoming data", with the name of the function, which is readuntil for lines.
/// - Sizes are in bytes.
class StreamReader {
 public:
  /// Of the running loop, else of the thread's current one. A line may have `limit` bytes before
  /// its newline; when more than twice as many are buffered, the transport is paused. ValueError
  /// "Limit cannot be <= 0".
  explicit StreamReader(std::ptrdiff_t limit = constants::stream_limit);
  explicit StreamReader(EventLoop& loop, std::ptrdiff_t limit = constants::stream_limit);
  explicit StreamReader(detail::Ref<detail::StreamReaderState> state) noexcept
      : state_(std::move(state)) {}

  // -- reading

  /// Up to `n` bytes: what there is, waiting only if there is nothing. Empty at the end of the
  /// stream, and at once for n = 0. Negative: all bytes up to the end.
  Coroutine<Bytes> read(std::ptrdiff_t n = -1) const;
  /// So many bytes, also more than the limit. IncompleteReadError if the stream ends before: it has
  /// the bytes there were, which are taken out. ValueError "readexactly size can not be less than
  /// zero".
  Coroutine<Bytes> readexactly(std::ptrdiff_t n) const;
  /// All bytes through the separator. IncompleteReadError if the stream ends before: it has the
  /// bytes there were, which are taken out. LimitOverrunError if more than `limit` bytes stand
  /// before the separator, or do not have it: nothing is taken out, consumed() of them can be
  /// skipped. ValueError for an empty separator.
  Coroutine<Bytes> readuntil(BytesView separator = "\n") const;
  /// Through the one of several separators that ends first. ValueError if there is none. On g++ 12
  /// the list needs a name: `const std::vector<Bytes> ends{"\r", "\n"};`.
  Coroutine<Bytes> readuntil(std::vector<Bytes> separators) const;
  /// A line with its newline. The last one has none if the stream does not end with it; empty at
  /// the end of the stream. ValueError, with the text of readuntil()'s LimitOverrunError, if it is
  /// longer than the limit: the line is dropped if its end is there, else all that is buffered.
  Coroutine<Bytes> readline() const;
  /// readline(), but nothing at the end of the stream; for loops:
  /// `while (auto line = co_await reader.next_line())`. Python: async for line in reader.
  Coroutine<std::optional<Bytes>> next_line() const;
  /// Was the end fed, and everything read?
  bool at_eof() const noexcept { return state_->at_eof(); }
  /// What set_exception() was given; null if nothing.
  const std::exception_ptr& exception() const noexcept { return state_->exception(); }

  // -- feeding

  /// Adds a copy of the bytes, and wakes the one that waits. AssertionError "feed_data after
  /// feed_eof".
  void feed_data(BytesView data) const { state_->feed_data(data); }
  /// No more bytes will come. Wakes the one that waits.
  void feed_eof() const { state_->feed_eof(); }
  /// Ends reading with an exception, for good.
  void set_exception(std::exception_ptr error) const { state_->set_exception(std::move(error)); }
  /// set_exception(ConnectionResetError("...")), as in Python.
  template <class E>
  requires(!std::convertible_to<E, std::exception_ptr>) void set_exception(E error) const {
    set_exception(std::make_exception_ptr(std::move(error)));
  }
  /// Whose reading is paused while more than twice the limit is buffered; it goes on when no more
  /// than the limit is, or a task has to wait. One that cannot pause (NotImplementedError) is let
  /// go, and everything is buffered. The reader keeps it. AssertionError "Transport already set".
  void set_transport(std::shared_ptr<ReadTransport> transport) const {
    state_->set_transport(std::move(transport));
  }

  const detail::Ref<detail::StreamReaderState>& state() const noexcept { return state_; }
  friend bool operator==(const StreamReader&, const StreamReader&) = default;
  /// Python's repr: "<StreamReader 4 bytes eof limit=123 paused>".
  friend std::string to_string(const StreamReader& reader) { return reader.state_->repr(); }

 private:
  detail::Ref<detail::StreamReaderState> state_;
};

// -- writing

/// What a StreamWriter needs of its connection's protocol: whether writing is paused, and when the
/// connection is gone. A base for protocols of every kind, which forward pause_writing(),
/// resume_writing() and connection_lost() to it. The loop's thread only.
/// Python: asyncio.streams.FlowControlMixin.
class FlowControlMixin {
 public:
  FlowControlMixin(const FlowControlMixin&) = delete;
  FlowControlMixin& operator=(const FlowControlMixin&) = delete;

  void pause_writing();
  void resume_writing();
  void connection_lost(const std::exception_ptr& error);

  /// Neither paused nor lost: drain_helper() has nothing to wait for.
  bool may_write() const noexcept { return !paused_ && !lost_; }
  /// Completes at once unless writing is paused, else when it is resumed. If the connection is lost
  /// meanwhile, it ends with what it was lost by, if anything; if it was lost before,
  /// ConnectionResetError "Connection lost". Any number may wait. Cancelling one touches nothing
  /// else. The protocol must outlive it. Python: _drain_helper.
  Coroutine<> drain_helper();
  /// Done when the connection is gone; what wait_closed() waits for. Python: _get_close_waiter.
  virtual Future<> get_close_waiter() = 0;

 protected:
  /// By default of the running loop, else of the thread's current one.
  explicit FlowControlMixin(detail::Scheduler& loop = detail::default_scheduler());
  explicit FlowControlMixin(EventLoop& loop);
  virtual ~FlowControlMixin();

  detail::Scheduler& loop() const noexcept { return *loop_; }

 private:
  struct Drain;

  void end_drains(const std::exception_ptr& error);
  void log_debug(const char* event) const;

  const detail::Ref<detail::Scheduler> loop_;
  detail::Links drains_;  // those that wait
  bool paused_ = false;
  bool lost_ = false;
};

namespace detail {

/// What the handles of a writer share.
class StreamWriterState final : public Pooled {
 public:
  StreamWriterState(std::shared_ptr<WriteTransport> transport,
                    std::shared_ptr<FlowControlMixin> protocol, Ref<StreamReaderState> reader,
                    Scheduler& loop) noexcept
      : loop_(&loop),
        transport_(std::move(transport)),
        protocol_(std::move(protocol)),
        reader_(std::move(reader)) {}
  StreamWriterState(const StreamWriterState&) = delete;
  StreamWriterState& operator=(const StreamWriterState&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  Scheduler& loop() const noexcept { return *loop_; }
  const std::shared_ptr<WriteTransport>& transport() const noexcept { return transport_; }
  void replace_transport(std::shared_ptr<WriteTransport> transport) {
    transport_ = std::move(transport);
  }
  const std::shared_ptr<FlowControlMixin>& protocol() const noexcept { return protocol_; }
  /// Null if there is none.
  const Ref<StreamReaderState>& reader() const noexcept { return reader_; }
  std::string repr() const;

 private:
  ~StreamWriterState();

  std::uint32_t references_ = 1;
  const Ref<Scheduler> loop_;
  std::shared_ptr<WriteTransport> transport_;
  const std::shared_ptr<FlowControlMixin> protocol_;
  const Ref<StreamReaderState> reader_;
};

}  // namespace detail

/// The sending end of a connection. A handle: copies are the same writer. The loop's thread only.
///
/// The last handle closes a connection that was not closed, with a warning on the logger "asyncio":
/// "unclosed <StreamWriter ...>"; so keep the writer for as long as you read. A loop that is closed
/// first closes its connections without a warning. Python: asyncio.StreamWriter.
class StreamWriter {
 public:
  /// For a transport and a protocol made by hand; the writer keeps all three. A reader makes
  /// drain() throw what reading failed with.
  StreamWriter(std::shared_ptr<WriteTransport> transport,
               std::shared_ptr<FlowControlMixin> protocol, std::optional<StreamReader> reader,
               EventLoop& loop);
  explicit StreamWriter(detail::Ref<detail::StreamWriterState> state) noexcept
      : state_(std::move(state)) {}

  /// What these do, and when they throw: see WriteTransport.
  const std::shared_ptr<WriteTransport>& transport() const noexcept { return state_->transport(); }
  void write(BytesView data) const { transport()->write(data); }
  void writelines(std::initializer_list<BytesView> lines) const;
  template <class Lines>
  void writelines(const Lines& lines) const {
    transport()->writelines(lines);
  }
  void write_eof() const { transport()->write_eof(); }
  bool can_write_eof() const { return transport()->can_write_eof(); }
  void close() const { transport()->close(); }
  Socket release_socket() const { return transport()->release_socket(); }
  bool is_closing() const { return transport()->is_closing(); }
  std::any get_extra_info(std::string_view name) const { return transport()->get_extra_info(name); }
  template <class T>
  T get_extra_info(ExtraInfoKey<T> key, T fallback = T()) const {
    return transport()->get_extra_info(key, std::move(fallback));
  }

  /// Waits while too much is buffered: from the transport's pause_writing() to its
  /// resume_writing(). Without yielding if writing is not paused; if the transport is closing, it
  /// yields once first. Any number of tasks may wait; cancelling one touches nothing else. Throws
  /// what reading has failed with (the reader's exception()), what the connection is lost by while
  /// it waits, or ConnectionResetError "Connection lost" after that.
  Coroutine<> drain() const;
  /// Completes when the connection is gone, at once if it is; throws what it was lost by. Does not
  /// close it. Any number of tasks may wait. On cancel all of them are cancelled, and so is every
  /// later wait_closed(), as in Python: to give up waiting, use shield().
  Coroutine<> wait_closed() const;
  /// Drains, then goes on with TLS, as the server if the protocol has a client_connected_cb: see
  /// EventLoop::start_tls. This writer and its reader stay: what came before and was not read is
  /// read next, though anyone may have put it there, so a protocol with a command for TLS must have
  /// nothing behind it. TypeError unless the writer is of open_connection(), start_server() or
  /// their kin.
  Coroutine<> start_tls(const ssl::SSLContext& context, StreamTlsOptions options = {}) const;

  const detail::Ref<detail::StreamWriterState>& state() const noexcept { return state_; }
  friend bool operator==(const StreamWriter&, const StreamWriter&) = default;
  /// Python's repr: "<StreamWriter transport=<...> reader=<StreamReader ...>>".
  friend std::string to_string(const StreamWriter& writer) { return writer.state_->repr(); }

 private:
  detail::Ref<detail::StreamWriterState> state_;
};

// -- connections

namespace detail {

/// The call of a coroutine function that serves a connection: all that the coroutine may refer to.
/// It is its own done-callback of the task (surface A18): closes the transport if the task was
/// cancelled or has failed, and reports a failure. A failed coroutine stays for so long: Python's
/// traceback keeps its frame, too, so that the writer is not dropped before the failure was
/// reported.
class ClientCall final : public HandleNode {
 public:
  using Ends = std::pair<StreamReader, StreamWriter>;

  /// `callback` keeps the coroutine function.
  ClientCall(Scheduler& loop, std::shared_ptr<void> callback, Ends ends,
             std::shared_ptr<Transport> transport)
      : HandleNode(loop),
        transport_(std::move(transport)),
        callback_(std::move(callback)),
        ends_(std::move(ends)) {}

  /// What the coroutine function is called with.
  Ends& ends() noexcept { return ends_; }
  /// The coroutine's task, and the writer that it was called with.
  void watch(const AnyTask& task, const StreamWriter& writer);

 private:
  friend HandleNode;
  ~ClientCall() override { discard(); }
  void run() override {
    run_as(*this, [this] { task_done(); });
  }
  void completed_by(FutureBase& task) noexcept override;
  void task_done();
  void discard() noexcept override;
  const std::type_info& callable() const noexcept override { return typeid(ClientCall); }

  Ref<FutureBase> task_;  // when it is done
  std::shared_ptr<Transport> transport_;
  const std::shared_ptr<void> callback_;
  Ends ends_;
};

}  // namespace detail

/// What a server calls for each connection: a function of (StreamReader, StreamWriter), or a
/// coroutine function, of which a task is made. Callable and arguments are kept for as long as the
/// task runs; it may take them by value or by reference.
class ClientConnected {
 public:
  /// Stands for none.
  ClientConnected() noexcept = default;
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, ClientConnected>) ClientConnected(F&& function)
      : callback_(std::make_shared<CallbackOf<std::decay_t<F>>>(std::forward<F>(function))) {}

  explicit operator bool() const noexcept { return callback_ != nullptr; }
  /// The transport is closed if a task is made, and is cancelled or fails.
  void operator()(detail::Scheduler& loop, StreamReader reader, StreamWriter writer,
                  std::shared_ptr<Transport> transport) const {
    callback_->call(callback_, loop, Ends(std::move(reader), std::move(writer)),
                    std::move(transport));
  }

 private:
  using Ends = detail::ClientCall::Ends;

  class Callback {
   public:
    virtual ~Callback() = default;
    virtual void call(const std::shared_ptr<Callback>& self, detail::Scheduler& loop, Ends ends,
                      std::shared_ptr<Transport> transport) = 0;
  };

  template <class F>
  class CallbackOf final : public Callback {
   public:
    template <class G>
    explicit CallbackOf(G&& function) : function_(std::forward<G>(function)) {}

   private:
    void call(const std::shared_ptr<Callback>& self, detail::Scheduler& loop, Ends ends,
              std::shared_ptr<Transport> transport) override {
      using Result = decltype(invoke(ends));
      if constexpr (detail::a_coroutine<Result>) {
        using detail::ClientCall;
        const detail::Ref<ClientCall> call(
            detail::adopt_ref,
            new ClientCall(loop, self, std::move(ends), std::move(transport)));
        const StreamWriter writer = call->ends().second;
        call->watch(detail::create_task(loop, invoke(call->ends())), writer);
      } else {
        invoke(ends);
      }
    }
    // A parameter that is a value takes the handle over: dropping it there closes the connection.
    decltype(auto) invoke(Ends& ends) {
      auto& [reader, writer] = ends;
      if constexpr (std::invocable<F&, StreamReader, StreamWriter>) {
        return std::invoke(function_, std::move(reader), std::move(writer));
      } else {
        static_assert(std::invocable<F&, StreamReader&, StreamWriter&>,
                      "asyncio: client_connected_cb is called with a StreamReader and a "
                      "StreamWriter");
        return std::invoke(function_, reader, writer);
      }
    }

    F function_;
  };

  std::shared_ptr<Callback> callback_;
};

/// The protocol between a transport and a reader: for create_connection, create_server and their
/// like, when open_connection and start_server are not enough. It knows the reader without keeping
/// it: what comes when the last handle is gone is dropped. Made by make_shared.
///
///   asyncio::StreamReader reader;
///   auto protocol = std::make_shared<asyncio::StreamReaderProtocol>(reader);
///   auto factory = [&] { return protocol; };
///   auto [transport, _] = co_await loop.create_connection(factory, "localhost", 8888);
///   asyncio::StreamWriter writer(transport, protocol, reader, loop);
///
/// Python: asyncio.StreamReaderProtocol.
class StreamReaderProtocol : public Protocol,
                             public std::enable_shared_from_this<StreamReaderProtocol>,
                             public FlowControlMixin {
 public:
  /// Of the running loop, else of the thread's current one. `client_connected_cb` is called when
  /// the connection is made, with the reader, which is kept until then, and a new writer. If it
  /// made a task, and this is cancelled or fails, the transport is closed; a failure is reported:
  /// "Unhandled exception in client_connected_cb".
  explicit StreamReaderProtocol(const StreamReader& reader,
                                ClientConnected client_connected_cb = {});
  StreamReaderProtocol(EventLoop& loop, const StreamReader& reader,
                       ClientConnected client_connected_cb = {});

  void connection_made(std::shared_ptr<Transport> transport) override;
  void data_received(BytesView data) override;
  bool eof_received() override;
  void connection_lost(std::exception_ptr error) override;
  void pause_writing() override { FlowControlMixin::pause_writing(); }
  void resume_writing() override { FlowControlMixin::resume_writing(); }
  Future<> get_close_waiter() override;

  /// Does it serve a connection that was accepted?
  bool server_side() const noexcept { return bool(client_connected_); }
  /// The connection goes on over another transport. Python: _replace_transport.
  void replace_transport(const std::shared_ptr<Transport>& transport);

 private:
  bool asyncio_leave_data(detail::ByteSource& source) override;
  void asyncio_fetch_data() override;

  StreamReaderProtocol(detail::Scheduler& loop, const StreamReader& reader,
                       ClientConnected client_connected_cb);

  bool over_ssl_ = false;
  detail::WeakReader reader_;
  detail::Ref<detail::StreamReaderState> strong_reader_;  // until the connection is made
  const ClientConnected client_connected_;
  Future<> closed_{nullptr};  // made when somebody asks
};

/// Connects in the loop that runs when it is awaited: EventLoop::create_connection, of which it has
/// the options, errors and times, with the two ends of a stream for a result. The reader's limit is
/// {.limit = ...}; ValueError "Limit cannot be <= 0". Cancelling closes whatever was opened.
/// Python: asyncio.open_connection.
Coroutine<std::pair<StreamReader, StreamWriter>> open_connection(std::string_view host,
                                                                 const Port& port,
                                                                 ConnectionOptions options = {});
/// Adopts a connected socket: {.sock = &socket}. The socket is taken over, also on failure.
Coroutine<std::pair<StreamReader, StreamWriter>> open_connection(ConnectionOptions options);

/// open_connection() to the Unix socket at `path`: see EventLoop::create_unix_connection. POSIX.
/// Python: asyncio.open_unix_connection.
Coroutine<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    const UnixPath& path, UnixConnectionOptions options = {});
/// Adopts a connected socket: {.sock = &socket}. The socket is taken over, also on failure.
Coroutine<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    UnixConnectionOptions options);

namespace detail {
Coroutine<Server> start_server(ClientConnected client_connected_cb, std::vector<std::string> hosts,
                               const Port& port, ServerOptions options);
Coroutine<Server> start_unix_server(ClientConnected client_connected_cb, const UnixPath* path,
                                    UnixServerOptions options);
}  // namespace detail

/// Listens in the loop that runs when it is awaited: EventLoop::create_server, of which it has the
/// options and errors. For each connection `client_connected_cb(StreamReader, StreamWriter)` is
/// called, which may be a plain function, or a coroutine function: then a task is made of it; see
/// StreamReaderProtocol. It must see to it that the writer is closed. Python: asyncio.start_server.
template <class F>
Coroutine<Server> start_server(F&& client_connected_cb, std::string_view host, const Port& port,
                               ServerOptions options = {}) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_server(std::forward<F>(client_connected_cb), {std::string(host)}, port,
                              options);
}
template <class F>
Coroutine<Server> start_server(F&& client_connected_cb, std::vector<std::string> hosts,
                               const Port& port, ServerOptions options = {}) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_server(std::forward<F>(client_connected_cb), std::move(hosts), port,
                              options);
}
/// {"127.0.0.1", "::1"}; to be written outside of an awaiting statement on g++ 12, which refuses
/// it.
template <class F>
Coroutine<Server> start_server(F&& client_connected_cb,
                               std::initializer_list<std::string_view> hosts, const Port& port,
                               ServerOptions options = {}) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_server(std::forward<F>(client_connected_cb),
                              std::vector<std::string>(hosts.begin(), hosts.end()), port, options);
}
/// Serves on a socket that is bound: {.sock = &socket}. The socket is taken over.
template <class F>
Coroutine<Server> start_server(F&& client_connected_cb, ServerOptions options) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_server(std::forward<F>(client_connected_cb), {}, Port(), options);
}

/// start_server() on a Unix socket that it makes at `path`: see EventLoop::create_unix_server.
/// POSIX. Python: asyncio.start_unix_server.
template <class F>
Coroutine<Server> start_unix_server(F&& client_connected_cb, const UnixPath& path,
                                    UnixServerOptions options = {}) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_unix_server(std::forward<F>(client_connected_cb), &path, options);
}
/// Serves on a socket that is bound: {.sock = &socket}. The socket is taken over.
template <class F>
Coroutine<Server> start_unix_server(F&& client_connected_cb, UnixServerOptions options) {
  static_assert(detail::require_inline_callable<F>());
  return detail::start_unix_server(std::forward<F>(client_connected_cb), nullptr, options);
}

}  // namespace asyncio::inline v1
