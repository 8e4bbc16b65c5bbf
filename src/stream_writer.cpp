// SPDX-License-Identifier: BSL-1.0
// The writing half of streams, and what joins both halves to a connection (rules 211-216).
#include <asyncio/detail/pool_allocator.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/streams.hpp>
#include <typeinfo>
#include <utility>

#include "connection_requests.hpp"
#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

}  // namespace

// -- FlowControlMixin

FlowControlMixin::FlowControlMixin(detail::Scheduler& loop) : loop_(&loop) {}
FlowControlMixin::FlowControlMixin(EventLoop& loop) : FlowControlMixin(loop.scheduler()) {}
FlowControlMixin::~FlowControlMixin() = default;

void FlowControlMixin::pause_writing() {
  if (paused_) throw AssertionError("writing is paused already");
  paused_ = true;
  log_debug("pauses writing");
}

void FlowControlMixin::resume_writing() {
  if (!paused_) throw AssertionError("writing is not paused");
  paused_ = false;
  log_debug("resumes writing");
  end_drains(nullptr);
}

void FlowControlMixin::connection_lost(const std::exception_ptr& error) {
  lost_ = true;
  end_drains(error);
}

/// A drain_helper() that waits.
struct FlowControlMixin::Drain : detail::Links {
  explicit Drain(FlowControlMixin& flow) : resumed(*flow.loop_) { link_before(flow.drains_); }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  ~Drain() { unlink(); }

  const Future<> resumed;
};

void FlowControlMixin::end_drains(const std::exception_ptr& error) {
  for (detail::Links* place = drains_.next; place != &drains_; place = place->next) {
    const Future<>& resumed = static_cast<Drain*>(place)->resumed;
    if (resumed.done()) continue;
    if (error)
      resumed.set_exception(error);
    else
      resumed.set_result();
  }
}

Coroutine<> FlowControlMixin::drain_helper() {
  if (lost_) throw ConnectionResetError("Connection lost");
  if (!paused_) co_return;
  const Drain drain(*this);
  co_await drain.resumed;
}

void FlowControlMixin::log_debug(const char* event) const {
  if (loop_->debug()) logger().debug("{} {}", detail::object_repr(typeid(*this), this), event);
}

// -- StreamWriter

namespace detail {

StreamWriterState::~StreamWriterState() {
  try {
    if (transport_->is_closing()) return;
    if (loop_->closed()) {
      logger().warning("loop is closed");
    } else if (!loop_->closing()) {  // a loop closes its connections itself
      transport_->close();
      logger().warning("unclosed {}", repr());
    }
  } catch (...) {
    logger().error("Exception ignored while closing a StreamWriter: {}",
                   asyncio::repr(std::current_exception()));
  }
}

std::string StreamWriterState::repr() const {
  std::string text = "<StreamWriter transport=" + transport_->repr();
  if (reader_) text += " reader=" + reader_->repr();
  return text + '>';
}

namespace {

using Writer = Ref<StreamWriterState>;

Coroutine<> drain(Writer writer) {
  if (writer->reader()) writer->reader()->check();
  // connection_lost is on its way. Without a pass it would never arrive in a task that writes and
  // drains for ever.
  if (writer->transport()->is_closing()) co_await YieldAwaiter();
  if (!writer->protocol()->may_write()) co_await writer->protocol()->drain_helper();
}

Coroutine<> wait_closed(Writer writer) {
  const Future<> closed = writer->protocol()->get_close_waiter();
  co_await closed;
}

Coroutine<> start_tls(Writer writer, ssl::SSLContext context, std::string server_hostname,
                      StreamTlsOptions options) {
  const auto protocol = std::dynamic_pointer_cast<StreamReaderProtocol>(writer->protocol());
  if (!protocol) throw TypeError("start_tls() needs the writer of a StreamReaderProtocol");
  StartTlsOptions wanted{.server_side = protocol->server_side(),
                         .server_hostname = server_hostname,
                         .ssl_handshake_timeout = options.ssl_handshake_timeout,
                         .ssl_shutdown_timeout = options.ssl_shutdown_timeout};
  co_await drain(writer);
  EventLoop& loop = *core_of(writer->loop()).facade;
  std::shared_ptr<Transport> transport = co_await loop.start_tls(
      std::dynamic_pointer_cast<Transport>(writer->transport()), protocol, context, wanted);
  writer->replace_transport(transport);
  protocol->replace_transport(transport);
}

}  // namespace

}  // namespace detail

StreamWriter::StreamWriter(std::shared_ptr<WriteTransport> transport,
                           std::shared_ptr<FlowControlMixin> protocol,
                           std::optional<StreamReader> reader, EventLoop& loop)
    : state_(detail::adopt_ref,
             new detail::StreamWriterState(std::move(transport), std::move(protocol),
                                           reader ? reader->state() : nullptr, loop.scheduler())) {}

void StreamWriter::writelines(std::initializer_list<BytesView> lines) const {
  transport()->writelines(lines);
}
Coroutine<> StreamWriter::drain() const { return detail::drain(state_); }
Coroutine<> StreamWriter::wait_closed() const { return detail::wait_closed(state_); }
Coroutine<> StreamWriter::start_tls(const ssl::SSLContext& context,
                                    StreamTlsOptions options) const {
  return detail::start_tls(state_, context, std::string(options.server_hostname), options);
}

// -- the task that serves a connection

namespace detail {

void ClientCall::watch(const AnyTask& task, const StreamWriter& writer) {
  FutureBase& future = *task.state();
  future.as_task()->keep_failed_coroutine();
  context = capture_context();
  add_ref();
  future.add_callback(*this, true);
  // A task factory has run it already, to its end: at least its writer is kept.
  if (future.cancelled() || future.failed()) ends_.second = writer;
}

void ClientCall::completed_by(FutureBase& task) noexcept {
  task_ = Ref<FutureBase>(&task);
  if (task.as_task()->innermost()) return;  // it has failed, and may refer to them
  const Ends dropped(std::move(ends_));
}

void ClientCall::discard() noexcept {
  if (const auto task = std::move(task_)) task->as_task()->drop_failed_coroutine();
  transport_.reset();
}

void ClientCall::task_done() {
  if (!task_->cancelled()) {
    const std::exception_ptr error = task_->exception();
    if (!error) return;
    core_of(task_->scheduler())
        .call_exception_handler({.message = "Unhandled exception in client_connected_cb",
                                 .exception = error,
                                 .transport = transport_});
  }
  transport_->close();
}

}  // namespace detail

// -- StreamReaderProtocol

StreamReaderProtocol::StreamReaderProtocol(const StreamReader& reader,
                                           ClientConnected client_connected_cb)
    : StreamReaderProtocol(detail::default_scheduler(), reader, std::move(client_connected_cb)) {}

StreamReaderProtocol::StreamReaderProtocol(EventLoop& loop, const StreamReader& reader,
                                           ClientConnected client_connected_cb)
    : StreamReaderProtocol(loop.scheduler(), reader, std::move(client_connected_cb)) {}

StreamReaderProtocol::StreamReaderProtocol(detail::Scheduler& loop, const StreamReader& reader,
                                           ClientConnected client_connected_cb)
    : FlowControlMixin(loop),
      reader_(*reader.state()),
      client_connected_(std::move(client_connected_cb)) {
  if (client_connected_) strong_reader_ = reader.state();
}

void StreamReaderProtocol::connection_made(std::shared_ptr<Transport> transport) {
  const detail::Ref<detail::StreamReaderState> reader = reader_.lock();
  if (reader) reader->set_transport(transport);
  over_ssl_ = transport->get_extra_info("sslcontext").has_value();
  if (!client_connected_) return;

  StreamWriter writer(detail::Ref<detail::StreamWriterState>(
      detail::adopt_ref,
      new detail::StreamWriterState(transport, shared_from_this(), reader, loop())));
  client_connected_(loop(), StreamReader(reader), std::move(writer), std::move(transport));
  strong_reader_ = nullptr;
}

Future<> StreamReaderProtocol::get_close_waiter() {
  if (!closed_) closed_ = Future<>(loop());
  return closed_;
}

void StreamReaderProtocol::replace_transport(const std::shared_ptr<Transport>& transport) {
  over_ssl_ = transport->get_extra_info("sslcontext").has_value();
  if (const auto reader = reader_.lock()) reader->replace_transport(transport);
}

void StreamReaderProtocol::data_received(BytesView data) {
  if (const auto reader = reader_.lock()) reader->feed_data(data);
}

bool StreamReaderProtocol::asyncio_leave_data(detail::ByteSource& source) {
  if (typeid(*this) != typeid(StreamReaderProtocol)) return false;  // it may have a data_received()
  const auto reader = reader_.lock();
  return reader && reader->leave_data(source);
}

void StreamReaderProtocol::asyncio_fetch_data() {
  if (const auto reader = reader_.lock()) reader->buffer().fetch();
}

bool StreamReaderProtocol::eof_received() {
  if (const auto reader = reader_.lock()) reader->feed_eof();
  // The connection stays open for writing, which TLS does not know.
  return !over_ssl_;
}

void StreamReaderProtocol::connection_lost(std::exception_ptr error) {
  if (const auto reader = reader_.lock()) {
    if (error)
      reader->set_exception(error);
    else
      reader->feed_eof();
  }
  if (const Future<> closed = get_close_waiter(); !closed.done()) {
    if (error)
      closed.set_exception(error);
    else
      closed.set_result();
    // Nobody has to ask (rule 213).
    closed.state()->mark_retrieved();
  }
  FlowControlMixin::connection_lost(error);
  reader_.reset();
}

// -- open_connection, start_server, and their Unix kin

namespace detail {

namespace {

using Streams = std::pair<StreamReader, StreamWriter>;

template <class... Args>
std::shared_ptr<StreamReaderProtocol> make_protocol(Args&&... args) {
  return std::allocate_shared<StreamReaderProtocol>(PoolAllocator<void>(),
                                                    std::forward<Args>(args)...);
}

/// `request` says what to connect to, and in which way.
template <class Request>
Coroutine<Streams> open_streams(Request request, std::ptrdiff_t limit) {
  LoopCore& core = core_of(running_scheduler());
  const StreamReader reader(*core.facade, limit);
  const auto protocol = make_protocol(*core.facade, reader);
  ProtocolFactory factory = [protocol] { return protocol; };
  Connection connection = co_await open_connection(core, std::move(factory), std::move(request));
  StreamWriter writer(std::move(connection.first), protocol, reader, *core.facade);
  co_return Streams(reader, std::move(writer));
}

template <class Request>
Coroutine<Server> serve_streams(ClientConnected client_connected_cb, Request request,
                                std::ptrdiff_t limit) {
  ProtocolFactory factory = [client_connected_cb = std::move(client_connected_cb), limit] {
    return make_protocol(StreamReader(limit), client_connected_cb);
  };
  Server server =
      co_await serve(core_of(running_scheduler()), std::move(factory), std::move(request));
  co_return server;
}

std::ptrdiff_t limit_of(const std::optional<std::ptrdiff_t>& option) {
  return option.value_or(constants::stream_limit);
}

}  // namespace

Coroutine<Server> start_server(ClientConnected client_connected_cb, std::vector<std::string> hosts,
                               const Port& port, ServerOptions options) {
  return serve_streams(std::move(client_connected_cb),
                       ServerRequest(std::move(hosts), port, options), limit_of(options.limit));
}

Coroutine<Server> start_unix_server(ClientConnected client_connected_cb, const UnixPath* path,
                                    UnixServerOptions options) {
  return serve_streams(std::move(client_connected_cb), UnixServerRequest(path, options),
                       limit_of(options.limit));
}

}  // namespace detail

Coroutine<std::pair<StreamReader, StreamWriter>> open_connection(std::string_view host,
                                                                 const Port& port,
                                                                 ConnectionOptions options) {
  return detail::open_streams(detail::ConnectionRequest(std::string(host), port, options),
                              detail::limit_of(options.limit));
}

Coroutine<std::pair<StreamReader, StreamWriter>> open_connection(ConnectionOptions options) {
  return detail::open_streams(detail::ConnectionRequest({}, Port(), options),
                              detail::limit_of(options.limit));
}

Coroutine<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    const UnixPath& path, UnixConnectionOptions options) {
  return detail::open_streams(detail::UnixConnectionRequest(&path, options),
                              detail::limit_of(options.limit));
}

Coroutine<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    UnixConnectionOptions options) {
  return detail::open_streams(detail::UnixConnectionRequest(nullptr, options),
                              detail::limit_of(options.limit));
}

}  // namespace asyncio::inline v1
