// SPDX-License-Identifier: BSL-1.0
// EventLoop: the facade. Every loop.xxx() of asyncio, delegating downwards.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/connections.hpp>
#include <asyncio/exception_context.hpp>
#include <asyncio/executors.hpp>
#include <asyncio/pipes.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/scheduler.hpp>
#include <asyncio/server.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/subprocess_options.hpp>
#include <asyncio/tasks.hpp>
#include <asyncio/transports.hpp>

namespace boost::asio {
class any_io_executor;
class io_context;
template <class Executor>
class strand;
}  // namespace boost::asio

namespace asyncio::inline v1 {

class Runner;

namespace detail {
class LoopCore;
struct Host;

std::vector<std::string> strings(std::initializer_list<std::string_view> texts);
}  // namespace detail

enum class Clock {
  steady,       ///< the system's monotonic clock
  virtual_time  ///< for tests: waiting for a timer moves the clock instead
};

struct LoopOptions {
  Clock clock = Clock::steady;
  /// Python wakes for timers at whole milliseconds, up to one late (rule 5), which is also much
  /// cheaper. True: as exactly as the system can.
  bool exact_timers = false;
  /// Of a guest: at any time at most one thread runs the host's context. Then it needs no strand.
  bool single_threaded = false;
};
static_assert(detail::require_inline_options<LoopOptions>());

/// Runs callbacks, tasks and I/O, one at a time, in passes that follow CPython's.
///
/// A loop owns its io_context, or is a guest of one that exists. It is one logical thread: only
/// call_soon_threadsafe, run_coroutine_threadsafe and async_run may be called from another one.
///
/// A guest runs when its host's context does, in run(), run_for(), poll() or run_one(), by one
/// thread or by several: all that belongs to the loop runs on one strand, where the host may run
/// handlers of his own that use the loop. As long as there is a task that is not done, and no
/// daemon, or something that the loop waits for, there is work for the context; an idle loop does
/// not keep run() from returning. Several loops may share a context.
///
/// close(), or the destructor, releases everything: tasks still pending are reported and their
/// frames destroyed without running, connections are closed without a word to their protocols,
/// child processes are killed. When a guest's context is destroyed first, the loop is closed then.
/// Python: asyncio.EventLoop.
class EventLoop {
 public:
  EventLoop() : EventLoop(LoopOptions{}) {}
  explicit EventLoop(LoopOptions options);
  /// A guest of the caller's io_context, on a strand of its own.
  explicit EventLoop(boost::asio::io_context& context, LoopOptions options = {});
  /// A guest on the caller's strand of an io_context. Needs <asyncio/asio.hpp>.
  template <class Executor>
  explicit EventLoop(const boost::asio::strand<Executor>& strand, LoopOptions options = {});
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // -- running (surface A2)

  /// Runs until stop(). RuntimeError if the loop is closed or running, or if another loop runs in
  /// this thread (rule 15). SystemExit and KeyboardInterrupt of a callback or task leave it.
  ///
  /// A guest's runs the host's context with all its handlers, in this thread, and is for the time
  /// before and after the host does it: no other thread may run the context meanwhile. From other
  /// threads there are run_coroutine_threadsafe and async_run. Whoever stops the context ends it.
  void run_forever();
  /// Runs until the awaitable is done; its value, or what it threw. A coroutine becomes a task.
  /// RuntimeError "Event loop stopped before Future completed." if stop() came first.
  template <Awaitable A>
  await_result<A> run_until_complete(A&& awaitable) {
    check_runnable();
    constexpr bool new_task = !detail::a_future<A>;
    auto future = detail::ensure_future(scheduler(), std::forward<A>(awaitable));
    run_until_done(*future.state(), new_task);
    if constexpr (std::is_void_v<await_result<A>>)
      future.state()->check_result();
    else if constexpr (new_task || !std::is_lvalue_reference_v<A>)
      return detail::take_result(future.typed_state());
    else
      return future.result();
  }
  /// Ends run_forever after the pass that runs now; before run_forever: after its first pass
  /// (rules 17, 18). The host's run() is not ended by it.
  void stop() noexcept { scheduler().stop(); }
  bool is_running() const noexcept { return scheduler().running(); }
  bool is_closed() const noexcept { return scheduler().closed(); }
  /// Releases everything. RuntimeError "Cannot close a running event loop"; idempotent (rule 20).
  /// A guest is closed by a handler on its strand, or while no thread runs the context.
  /// Does not wait for work that the default executor was given: that is still done, its results
  /// are dropped, and the end of the process waits for it.
  void close();

  /// Completes at once: whoever holds a generator ends it (see Generator), none are kept track of.
  Coroutine<> shutdown_asyncgens();

  // -- callbacks and time (surface A3)

  /// Calls f(args...) in the next pass, in the order of the calls. RuntimeError if closed.
  /// Callable and arguments are copied or moved in; std::ref makes a reference.
  template <class F>
  [[gnu::always_inline]] Handle call_soon(
      F&& callback, std::source_location where = std::source_location::current()) {
    return call_soon(CallbackOptions{.where = where}, std::forward<F>(callback));
  }
  template <class F, class First, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, CallbackOptions>)
  Handle call_soon(F&& callback, First&& first, Args&&... args) {
    return call_soon(CallbackOptions{.where = {}}, std::forward<F>(callback),
                     std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  [[gnu::always_inline]] Handle call_soon(CallbackOptions options, F&& callback, Args&&... args) {
    return Handle(scheduler().call_soon(
        bind<F, Args...>(std::forward<F>(callback), std::forward<Args>(args)...),
        context_of(options), options.where));
  }
  /// The same from any thread, and from several; wakes the loop. The handle may be dropped in any
  /// thread; its cancel() is for the loop's thread.
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, CallbackOptions>)
  Handle call_soon_threadsafe(F&& callback, Args&&... args) {
    return call_soon_threadsafe(CallbackOptions{.where = {}}, std::forward<F>(callback),
                                std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  Handle call_soon_threadsafe(CallbackOptions options, F&& callback, Args&&... args) {
    return push_threadsafe(scheduler().make_callback(
        bind<F, Args...>(std::forward<F>(callback), std::forward<Args>(args)...),
        context_of(options)));
  }
  /// Calls f(args...) after `delay`; of equal deadlines, in the order of CPython's heap (rule 12).
  template <class F>
  TimerHandle call_later(Duration delay, F&& callback,
                         std::source_location where = std::source_location::current()) {
    return call_at(time() + delay, std::forward<F>(callback), where);
  }
  template <class F, class First, class... Args>
  TimerHandle call_later(Duration delay, F&& callback, First&& first, Args&&... args) {
    return call_at(time() + delay, std::forward<F>(callback), std::forward<First>(first),
                   std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  TimerHandle call_later(CallbackOptions options, Duration delay, F&& callback, Args&&... args) {
    return call_at(options, time() + delay, std::forward<F>(callback),
                   std::forward<Args>(args)...);
  }
  template <class F>
  TimerHandle call_at(TimePoint when, F&& callback,
                      std::source_location where = std::source_location::current()) {
    return call_at(CallbackOptions{.where = where}, when, std::forward<F>(callback));
  }
  template <class F, class First, class... Args>
  TimerHandle call_at(TimePoint when, F&& callback, First&& first, Args&&... args) {
    return call_at(CallbackOptions{.where = {}}, when, std::forward<F>(callback),
                   std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  TimerHandle call_at(CallbackOptions options, TimePoint when, F&& callback, Args&&... args) {
    return TimerHandle(scheduler().call_at(
        when, bind<F, Args...>(std::forward<F>(callback), std::forward<Args>(args)...),
        context_of(options), options.where));
  }
  /// The loop's clock, monotonic, read anew at every call.
  TimePoint time() const noexcept { return scheduler().time(); }

  // -- futures and tasks (surface A4, A5)

  template <class T = void>
  Future<T> create_future(std::source_location where = std::source_location::current()) {
    return Future<T>(scheduler(), where);
  }
  template <class T>
  Task<T> create_task(Coroutine<T> coroutine, TaskOptions options = {}) {
    return detail::create_task(scheduler(), std::move(coroutine), options);
  }
  template <class F>
    requires detail::coroutine_function<std::decay_t<F>>
  auto create_task(F&& function, TaskOptions options = {}) {
    return create_task(detail::call_and_keep<std::decay_t<F>>(std::forward<F>(function)), options);
  }
  template <class F, class First, class... Args>
    requires detail::coroutine_function<std::decay_t<F>, std::decay_t<First>, std::decay_t<Args>...>
  auto create_task(F&& function, First&& first, Args&&... args) {
    return create_task(
        detail::call_and_keep<std::decay_t<F>, std::decay_t<First>, std::decay_t<Args>...>(
            std::forward<F>(function), std::forward<First>(first), std::forward<Args>(args)...),
        {.where = {}});
  }
  /// Of any other awaitable, such as sleep(): a task that awaits it.
  template <Awaitable A>
    requires(!detail::a_coroutine<A> && !detail::a_future<A>)
  auto create_task(A&& awaitable, TaskOptions options = {}) {
    return create_task(detail::as_coroutine<std::decay_t<A>>(std::forward<A>(awaitable)), options);
  }
  /// Null restores the default. See TaskFactory and eager_task_factory.
  void set_task_factory(TaskFactory factory);
  const TaskFactory& get_task_factory() const noexcept;

  // -- threads (surface A15)

  /// Calls f(args...) in a thread of the executor, null for the default one; a future of what it
  /// returns or throws. Callable and arguments are copied or moved in, moved on to the call, and
  /// destroyed in that thread before the future is done; std::ref makes a reference. The context
  /// does not go with them; see to_thread (rule 121).
  /// Cancelling the future cancels the call if it has not begun; else it goes on, and its result is
  /// dropped (rule 119). RuntimeError "Event loop is closed", "Executor shutdown has been called".
  template <class F, class... Args>
  auto run_in_executor(Executor* executor, F&& function, Args&&... args) {
    static_assert(detail::require_inline_callable<F>());
    static_assert(!detail::coroutine_function<std::decay_t<F>, std::decay_t<Args>...>,
                  "asyncio: coroutines cannot be used with run_in_executor()");
    scheduler().check_usable();
    return detail::run_in_executor(scheduler(), executor ? *executor : default_executor(),
                                   std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// The former one is not shut down, but nothing waits for its work any more. TypeError for null.
  void set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor);
  /// Waits until all work given to the default executor is done, at most for `timeout`, and refuses
  /// more with RuntimeError "Executor shutdown has been called". When the time is over, it logs a
  /// warning. On cancel it only stops waiting.
  Coroutine<> shutdown_default_executor(std::optional<Duration> timeout = {});

  // -- signals (surface A14)

  /// Calls f(args...) in the loop when the signal arrives; replaces what was there (rule 180).
  /// ValueError for a bad number, RuntimeError if the signal cannot be caught.
  template <class F, class... Args>
  void add_signal_handler(int signal_number, F&& callback, Args&&... args) {
    add_signal_callback(signal_number,
                        scheduler().make_callback(bind<F, Args...>(std::forward<F>(callback),
                                                                   std::forward<Args>(args)...),
                                                  detail::capture_context()));
  }
  /// Restores the default action. False if there was no handler. ValueError for a bad number.
  bool remove_signal_handler(int signal_number);

  // -- descriptors (surface A13), POSIX

  /// Calls f(args...) in each pass in which the descriptor is readable, at its end or broken, until
  /// remove_reader(). Replaces what was there, which will not run any more (rule 123). The
  /// descriptor stays the caller's, blocking or not as it was, and must stay open until it is
  /// removed; a transport or a server that takes it over removes it. RuntimeError "File descriptor
  /// N is used by transport ...", of a socket; OSError if the system cannot wait for it, a
  /// PermissionError for regular files, /dev/null and the like.
  template <class F, class... Args>
  void add_reader(Descriptor descriptor, F&& callback, Args&&... args) {
    add_watch(descriptor, detail::Readiness::readable,
              scheduler().make_callback(bind<F, Args...>(std::forward<F>(callback),
                                                         std::forward<Args>(args)...),
                                        detail::capture_context()));
  }
  /// False if there was no reader. RuntimeError if a transport uses the descriptor.
  bool remove_reader(Descriptor descriptor) {
    return remove_watch(descriptor, detail::Readiness::readable);
  }
  /// The same for a descriptor that can be written to, or is broken.
  template <class F, class... Args>
  void add_writer(Descriptor descriptor, F&& callback, Args&&... args) {
    add_watch(descriptor, detail::Readiness::writable,
              scheduler().make_callback(bind<F, Args...>(std::forward<F>(callback),
                                                         std::forward<Args>(args)...),
                                        detail::capture_context()));
  }
  bool remove_writer(Descriptor descriptor) {
    return remove_watch(descriptor, detail::Readiness::writable);
  }

  // -- sockets (surface A11): for those who need no transport
  //
  // `sock` is a Socket or a TransportSocket; it must stay open until the operation is done. Each
  // tries at once, and completes then without a pass; else it waits for the socket. One operation
  // at a time in each direction: of two the first never completes (rule 128). On cancel they stop,
  // and what was received or accepted is not lost. Errors: OSError and its family; RuntimeError
  // "File descriptor N is used by transport ..." if it has to wait; in debug mode ValueError "the
  // socket must be non-blocking".

  /// At most `size` bytes, as soon as there are any; none at the end of the stream.
  Coroutine<Bytes> sock_recv(const detail::SocketBase& sock, std::size_t size);
  /// How many bytes were received into the buffer, the caller's, which is used until then.
  Coroutine<std::size_t> sock_recv_into(const detail::SocketBase& sock, MutableBytes buffer);
  /// A datagram, at most `size` bytes of it, and its sender; no address if the socket is connected
  /// for good.
  Coroutine<std::pair<Bytes, Address>> sock_recvfrom(const detail::SocketBase& sock,
                                                     std::size_t size);
  /// The same into the first `size` bytes of the buffer, all of it if that is 0. ValueError "nbytes
  /// is greater than the length of the buffer".
  Coroutine<std::pair<std::size_t, Address>> sock_recvfrom_into(const detail::SocketBase& sock,
                                                                MutableBytes buffer,
                                                                std::size_t size = 0);
  /// Completes when the system has taken all of the data, which must live until then. After an
  /// error or a cancellation any part of it may have been sent.
  Coroutine<> sock_sendall(const detail::SocketBase& sock, BytesView data);
  /// Sends a datagram; how many bytes it had. The data must live until then. A name is resolved.
  Coroutine<std::size_t> sock_sendto(const detail::SocketBase& sock, BytesView data,
                                     const Address& address);
  /// Completes when the connection stands; one that is under way already is waited for. A name is
  /// resolved, and its first address tried. OSError "Connect call failed ADDRESS", gaierror. After
  /// a cancellation the connection may still be made.
  Coroutine<> sock_connect(const detail::SocketBase& sock, const Address& address);
  /// A connection to the listening socket, and the address of its other end.
  Coroutine<std::pair<Socket, Address>> sock_accept(const detail::SocketBase& sock);

  // -- TLS on a connection that stands (rule 199)

  /// Goes on with TLS over a connection: the handshake begins, and when it is done the result is the
  /// transport that `protocol` is to use; the old one must not be used any more. The protocol's
  /// connection_made is not called again. When the handshake fails, or on cancel, the connection is
  /// closed. TypeError if the transport is not one of a stream socket; SSLError and its family;
  /// ConnectionAbortedError after ssl_handshake_timeout; ConnectionResetError if the peer goes.
  Coroutine<std::shared_ptr<Transport>> start_tls(std::shared_ptr<Transport> transport,
                                                  std::shared_ptr<BaseProtocol> protocol,
                                                  const ssl::SSLContext& context,
                                                  StartTlsOptions options = {});

  // -- files to sockets (rules 200-202), POSIX

  /// Sends a file, or a part of it, behind what was written to the transport before; how many
  /// bytes. The kernel copies regular files; others, such as pipes, are read in the default
  /// executor. Reading from the transport is paused meanwhile, and write() refused. However it
  /// ends, the file then stands behind what was sent. The file is the caller's, open until this is
  /// done, and after a cancellation until the default executor is; cancelling leaves the transport
  /// as it was, with a part of the file sent. Errors: OSError and its family, ConnectionError when
  /// the connection is lost; RuntimeError "Transport is closing", "sendfile is not supported for
  /// transport ..."; SendfileNotAvailableError without fallback; ValueError for a bad offset or
  /// count.
  Coroutine<std::uint64_t> sendfile(std::shared_ptr<Transport> transport, std::FILE* file,
                                    SendfileOptions options = {});
  /// The same to a stream socket; see sock_sendall.
  Coroutine<std::uint64_t> sock_sendfile(const detail::SocketBase& sock, std::FILE* file,
                                         SendfileOptions options = {});

  // -- errors (surface A16)

  /// Null restores the default.
  void set_exception_handler(ExceptionHandler handler);
  const ExceptionHandler& get_exception_handler() const noexcept;
  /// Logs at ERROR on the logger "asyncio": the message, then the other keys in alphabetical order.
  void default_exception_handler(const ExceptionContext& context) const;
  void call_exception_handler(const ExceptionContext& context);

  // -- debug mode (surface A17)

  /// In debug mode the loop
  /// - names callbacks and steps that took slow_callback_duration() or longer, in a warning;
  /// - refuses call_soon, call_later, call_at, create_task and the completion of a future that has
  ///   callbacks, from another thread while it runs: RuntimeError "Non-thread-safe operation
  ///   invoked on an event loop other than the current one";
  /// - knows where futures, tasks and handles were made ("created at file:line");
  /// - logs what its transports do, how long name look-ups take, and what was not closed.
  /// Initially on if the environment has ASYNCIO_DEBUG or PYTHONASYNCIODEBUG, not empty.
  void set_debug(bool enabled) noexcept;
  bool get_debug() const noexcept;
  /// 0.1 s unless set. Python: the attribute of that name.
  Duration slow_callback_duration() const noexcept { return scheduler().slow_callback_duration; }
  void set_slow_callback_duration(Duration duration) noexcept {
    scheduler().slow_callback_duration = duration;
  }

  // -- names (surface A12)

  /// Resolves in the default executor. gaierror if there is no answer.
  Coroutine<std::vector<AddressInfo>> getaddrinfo(std::string_view host, const Port& port,
                                                  ResolveOptions options = {});
  /// The host and service names of an address.
  Coroutine<std::pair<std::string, std::string>> getnameinfo(const Address& address,
                                                             int flags = 0);

  // -- connections (surface A9, A10). A factory is any callable that returns std::shared_ptr<P>.

  /// Connects to host and port and makes a transport and a protocol; both are returned, the
  /// protocol with the factory's own type. Addresses of a name are tried one after another, or
  /// staggered (happy_eyeballs_delay). Completes when connection_made was called. Cancelling closes
  /// whatever was opened. Errors: OSError and its family, ExceptionGroup with all_errors,
  /// ValueError for arguments that exclude each other (rules 159-166).
  template <class Factory>
  auto create_connection(Factory&& factory, std::string_view host, const Port& port,
                         ConnectionOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(connect(ProtocolFactory(std::forward<Factory>(factory)),
                                  std::string(host), port, options));
  }
  /// Adopts a connected socket: {.sock = &socket}. The socket is taken over, also on failure.
  template <class Factory>
  auto create_connection(Factory&& factory, ConnectionOptions options) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        connect(ProtocolFactory(std::forward<Factory>(factory)), {}, Port(), options));
  }
  template <std::derived_from<BaseProtocol> P>
  auto create_connection(std::string_view host, const Port& port, ConnectionOptions options = {}) {
    return create_connection([] { return std::make_shared<P>(); }, host, port, options);
  }

  /// Listens on every address of the host ("" for all interfaces); each connection gets a protocol
  /// of its own. Port 0 chooses a port, another one for each address. Listening when it completes,
  /// unless start_serving is false. Errors: rules 167-169.
  template <class Factory>
  Coroutine<Server> create_server(Factory&& factory, std::string_view host, const Port& port,
                                  ServerOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    static_assert(std::derived_from<protocol_of<Factory>, BaseProtocol>);
    return listen(ProtocolFactory(std::forward<Factory>(factory)), {std::string(host)}, port,
                  options);
  }
  template <class Factory>
  Coroutine<Server> create_server(Factory&& factory, std::vector<std::string> hosts,
                                  const Port& port, ServerOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    static_assert(std::derived_from<protocol_of<Factory>, BaseProtocol>);
    return listen(ProtocolFactory(std::forward<Factory>(factory)), std::move(hosts), port, options);
  }
  /// {"127.0.0.1", "::1"}; to be written outside of an awaiting statement on g++ 12, which refuses
  /// it.
  template <class Factory>
  Coroutine<Server> create_server(Factory&& factory, std::initializer_list<std::string_view> hosts,
                                  const Port& port, ServerOptions options = {}) {
    return create_server(std::forward<Factory>(factory), detail::strings(hosts), port, options);
  }
  /// Serves on a socket that is bound: {.sock = &socket}. The socket is taken over.
  template <class Factory>
  Coroutine<Server> create_server(Factory&& factory, ServerOptions options) {
    static_assert(detail::require_inline_callable<Factory>());
    static_assert(std::derived_from<protocol_of<Factory>, BaseProtocol>);
    return listen(ProtocolFactory(std::forward<Factory>(factory)), {}, Port(), options);
  }
  template <std::derived_from<BaseProtocol> P>
  Coroutine<Server> create_server(std::string_view host, const Port& port,
                                  ServerOptions options = {}) {
    return create_server([] { return std::make_shared<P>(); }, host, port, options);
  }

  /// create_connection to the Unix socket at `path`. Errors: OSError and its family, ValueError
  /// "path and sock can not be specified at the same time". POSIX.
  template <class Factory>
  auto create_unix_connection(Factory&& factory, const UnixPath& path,
                              UnixConnectionOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        connect_unix(ProtocolFactory(std::forward<Factory>(factory)), &path, options));
  }
  /// Adopts a connected socket: {.sock = &socket}. The socket is taken over, also on failure.
  template <class Factory>
  auto create_unix_connection(Factory&& factory, UnixConnectionOptions options) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        connect_unix(ProtocolFactory(std::forward<Factory>(factory)), nullptr, options));
  }
  template <std::derived_from<BaseProtocol> P>
  auto create_unix_connection(const UnixPath& path, UnixConnectionOptions options = {}) {
    return create_unix_connection([] { return std::make_shared<P>(); }, path, options);
  }

  /// Listens on a Unix socket that it makes at `path`, where it first removes a socket that was
  /// left behind. The server removes its own when it closes (cleanup_socket). Errors: OSError and
  /// its family, "Address PATH is already in use" if there is anything else than a socket;
  /// ValueError "path and sock can not be specified at the same time" (rule 170). POSIX.
  template <class Factory>
  Coroutine<Server> create_unix_server(Factory&& factory, const UnixPath& path,
                                       UnixServerOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    static_assert(std::derived_from<protocol_of<Factory>, BaseProtocol>);
    return listen_unix(ProtocolFactory(std::forward<Factory>(factory)), &path, options);
  }
  /// Serves on a socket that is bound: {.sock = &socket}. The socket is taken over.
  template <class Factory>
  Coroutine<Server> create_unix_server(Factory&& factory, UnixServerOptions options) {
    static_assert(detail::require_inline_callable<Factory>());
    static_assert(std::derived_from<protocol_of<Factory>, BaseProtocol>);
    return listen_unix(ProtocolFactory(std::forward<Factory>(factory)), nullptr, options);
  }
  template <std::derived_from<BaseProtocol> P>
  Coroutine<Server> create_unix_server(const UnixPath& path, UnixServerOptions options = {}) {
    return create_unix_server([] { return std::make_shared<P>(); }, path, options);
  }

  /// Makes transport and protocol for a connection that was accepted elsewhere.
  template <class Factory>
  auto connect_accepted_socket(Factory&& factory, Socket sock,
                               AcceptedSocketOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        adopt_accepted(ProtocolFactory(std::forward<Factory>(factory)), std::move(sock), options));
  }

  /// Opens an endpoint for datagrams, UDP or Unix, and makes its transport and protocol. With a
  /// remote_addr the socket is connected. Of several addresses that the hosts resolve to, the first
  /// that works is used. A socket file at a Unix local_addr is replaced, and left behind at the
  /// end. Completes when connection_made was called. Cancelling closes the socket. Errors: OSError
  /// and its family, ValueError and TypeError for arguments that do not fit together (rules 171,
  /// 172).
  template <class Factory>
  auto create_datagram_endpoint(Factory&& factory, DatagramOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        open_datagram_endpoint(ProtocolFactory(std::forward<Factory>(factory)), options));
  }
  template <std::derived_from<BaseProtocol> P>
  auto create_datagram_endpoint(DatagramOptions options = {}) {
    return create_datagram_endpoint([] { return std::make_shared<P>(); }, options);
  }

  // -- pipes (surface A10), POSIX

  /// Makes a transport that reads from the descriptor, which is one end of a pipe, a socket or a
  /// character device (ValueError else); both are returned, the protocol with the factory's own
  /// type, a Protocol. The descriptor is taken over, also on failure, and made non-blocking.
  /// Completes when connection_made was called. Cancelling closes the transport.
  ///
  /// At the end eof_received comes, whose answer does not matter, and then connection_lost. What
  /// data_received throws is reported, and reading goes on. The transport that connection_made is
  /// given cannot write: NotImplementedError.
  template <class Factory>
  auto connect_read_pipe(Factory&& factory, FileDescriptor pipe) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        open_read_pipe(ProtocolFactory(std::forward<Factory>(factory)), std::move(pipe)));
  }
  /// The same for writing. The protocol is a Protocol or BufferedProtocol, of which
  /// connection_made, pause_writing, resume_writing and connection_lost are called: resume_writing
  /// when the buffer is empty, connection_lost also when the reader has closed its end, with
  /// BrokenPipeError if data was waiting. write_eof() is close(); what is written from then on is
  /// dropped.
  template <class Factory>
  auto connect_write_pipe(Factory&& factory, FileDescriptor pipe) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    return as_protocol<P>(
        open_write_pipe(ProtocolFactory(std::forward<Factory>(factory)), std::move(pipe)));
  }

  // -- child processes (surface A21), POSIX; create_subprocess_exec is easier to use

  /// Starts a program with a transport and a SubprocessProtocol; both are returned, the protocol
  /// with the factory's own type. The program's name and arguments are texts, the last argument may
  /// be the options:
  ///   loop.subprocess_exec(factory, "sort", "-r", SubprocessOptions{.stderr = subprocess::STDOUT})
  /// stdin, stdout and stderr are pipes unless the options say something else. No shell is
  /// involved; a name without a slash is looked for in PATH.
  ///
  /// The program runs when the call has made its first step; it completes when connection_made is
  /// about to be called. Cancelling kills the child, and waits until it has ended. Errors: an
  /// OSError as exec has it (FileNotFoundError, PermissionError), with the name of the program, or
  /// of options.cwd; ValueError "embedded null byte", "STDOUT can only be used for stderr".
  template <class Factory, detail::command_part... Parts>
  auto subprocess_exec(Factory&& factory, std::string_view program, const Parts&... parts) {
    detail::Command command = detail::make_command(program, parts...);
    return subprocess_exec(std::forward<Factory>(factory), std::move(command.arguments),
                           command.options);
  }
  /// The same; the first argument is the program.
  template <class Factory>
  auto subprocess_exec(Factory&& factory, std::vector<std::string> arguments,
                       SubprocessOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    static_assert(std::derived_from<P, SubprocessProtocol>);
    return as_protocol<P>(start_child(ProtocolFactory(std::forward<Factory>(factory)),
                                      std::move(arguments), options));
  }
  /// Has /bin/sh do the command, which must not be put together from what others have written.
  template <class Factory>
  auto subprocess_shell(Factory&& factory, std::string_view cmd, SubprocessOptions options = {}) {
    static_assert(detail::require_inline_callable<Factory>());
    using P = protocol_of<Factory>;
    static_assert(std::derived_from<P, SubprocessProtocol>);
    return as_protocol<P>(
        start_shell(ProtocolFactory(std::forward<Factory>(factory)), cmd, options));
  }

  // -- beneath

  /// The context that this loop drives, or whose guest it is.
  boost::asio::io_context& get_io_context() noexcept;
  /// Where all of this loop runs: its context, or its strand. A handler bound to it may use the loop
  /// as the loop's callbacks may. Any thread, closed or not, while the loop and its context exist.
  boost::asio::any_io_executor get_executor() const;
  /// Where run_in_executor(nullptr, ...) does its work; made at the first call. RuntimeError "Event
  /// loop is closed", "Executor shutdown has been called".
  Executor& default_executor();
  /// For tests; null ends it. The observer must outlive the loop or that call.
  void set_observer(LoopObserver* observer) noexcept;
  /// Passes begun so far.
  std::uint64_t passes() const noexcept { return scheduler().passes(); }
  detail::Scheduler& scheduler() const noexcept { return *scheduler_; }
  detail::LoopCore& core() const noexcept;

 private:
  EventLoop(const detail::Host& host, LoopOptions options);
  template <class Factory>
  using protocol_of = typename std::invoke_result_t<Factory&>::element_type;
  template <class T>
  using ConnectionOf = std::pair<std::shared_ptr<T>, std::shared_ptr<BaseProtocol>>;
  using AnyConnection = ConnectionOf<Transport>;
  using AnyDatagramEndpoint = ConnectionOf<DatagramTransport>;

  template <class P, class T>
  static Coroutine<std::pair<std::shared_ptr<T>, std::shared_ptr<P>>> as_protocol(
      Coroutine<ConnectionOf<T>> connection) {
    auto [transport, protocol] = co_await std::move(connection);
    co_return std::pair(std::move(transport), std::static_pointer_cast<P>(std::move(protocol)));
  }

  static detail::Ref<detail::ContextState> context_of(CallbackOptions options) {
    return options.context ? options.context->state() : detail::capture_context();
  }
  template <class F, class... Args>
  static auto bind(F&& callback, Args&&... args) {
    static_assert(std::invocable<std::decay_t<F>&, std::decay_t<Args>&...>,
                  "asyncio: the callback cannot be called with these arguments");
    static_assert(!detail::coroutine_function<std::decay_t<F>, std::decay_t<Args>...>,
                  "asyncio: coroutines cannot be used with call_soon() and its like; "
                  "use create_task()");
    if constexpr (sizeof...(Args) == 0)
      return std::decay_t<F>(std::forward<F>(callback));
    else
      return detail::Bound<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(callback),
                                                                   std::forward<Args>(args)...);
  }

  friend class Runner;
  void check_runnable() const;
  void run_until_done(detail::FutureBase& future, bool new_task);
  Handle push_threadsafe(detail::Ref<detail::HandleNode> node);
  void add_signal_callback(int signal_number, detail::Ref<detail::HandleNode> callback);
  void add_watch(Descriptor descriptor, detail::Readiness readiness,
                 detail::Ref<detail::HandleNode> callback);
  bool remove_watch(Descriptor descriptor, detail::Readiness readiness);
  Coroutine<AnyConnection> connect(ProtocolFactory factory, std::string host, Port port,
                                   ConnectionOptions options);
  Coroutine<Server> listen(ProtocolFactory factory, std::vector<std::string> hosts, Port port,
                           ServerOptions options);
  Coroutine<AnyConnection> adopt_accepted(ProtocolFactory factory, Socket sock,
                                          AcceptedSocketOptions options);
  Coroutine<AnyDatagramEndpoint> open_datagram_endpoint(ProtocolFactory factory,
                                                        DatagramOptions options);
  Coroutine<AnyConnection> connect_unix(ProtocolFactory factory, const UnixPath* path,
                                        UnixConnectionOptions options);
  Coroutine<Server> listen_unix(ProtocolFactory factory, const UnixPath* path,
                                UnixServerOptions options);
  Coroutine<ConnectionOf<SubprocessTransport>> start_child(ProtocolFactory factory,
                                                           std::vector<std::string> arguments,
                                                           const SubprocessOptions& options);
  Coroutine<ConnectionOf<SubprocessTransport>> start_shell(ProtocolFactory factory,
                                                           std::string_view cmd,
                                                           const SubprocessOptions& options);
  Coroutine<ConnectionOf<ReadTransport>> open_read_pipe(ProtocolFactory factory,
                                                        FileDescriptor pipe);
  Coroutine<ConnectionOf<WriteTransport>> open_write_pipe(ProtocolFactory factory,
                                                          FileDescriptor pipe);

  detail::Ref<detail::Scheduler> scheduler_;
};

// -- which loop is mine (surface A23)

/// `<EventLoop running=True closed=False debug=False>`
std::string to_string(const EventLoop& loop);

/// The loop that runs in this thread; RuntimeError "no running event loop".
EventLoop& get_running_loop();
/// The running loop, else the one set for this thread, else RuntimeError (as from 3.14 on).
EventLoop& get_event_loop();
/// Sets the thread's current loop; null for none. The loop is not owned.
void set_event_loop(EventLoop* loop) noexcept;
std::unique_ptr<EventLoop> new_event_loop();

template <class T>
Future<T>::Future(EventLoop& loop, std::source_location where)
    : Future(loop.scheduler(), where) {}

}  // namespace asyncio::inline v1
