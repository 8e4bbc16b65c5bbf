// SPDX-License-Identifier: BSL-1.0
// Transports: a program's side of its connections (surface A7).
//
// The loop makes them (create_connection, create_server, ...) and hands them to the protocol's
// connection_made. A transport is used in its loop's thread only. It lives as long as somebody
// holds it or it is open; every call on a closed one is harmless, also after the loop is gone.
#pragma once

#include <any>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asyncio/bytes.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/sockets.hpp>

namespace asyncio::inline v1 {

class BaseProtocol;

namespace subprocess {
struct Popen;
}

/// Names a piece of information that a transport may have, and its type.
template <class T>
struct ExtraInfoKey {
  std::string_view name;
};

/// The address of the other end; of an accepted connection the one that accept gave. Empty if
/// unknown.
inline constexpr ExtraInfoKey<Address> peername{"peername"};
/// The address of this end. Empty if unknown.
inline constexpr ExtraInfoKey<Address> sockname{"sockname"};
/// A view of the socket.
inline constexpr ExtraInfoKey<TransportSocket> socket{"socket"};
/// The number of a pipe transport's descriptor; closed by the transport.
inline constexpr ExtraInfoKey<int> pipe{"pipe"};
/// The child of a subprocess transport.
inline constexpr ExtraInfoKey<subprocess::Popen> popen{"subprocess"};

/// What all transports have in common. Python: asyncio.BaseTransport.
class BaseTransport {
 public:
  virtual ~BaseTransport() = default;

  /// Stops reading, sends what is buffered, then calls connection_lost with no error. Idempotent.
  virtual void close() = 0;
  /// Is it closing, or closed?
  virtual bool is_closing() const = 0;
  /// What the transport knows under this name; empty if nothing. The keys above name the types.
  virtual std::any get_extra_info(std::string_view name) const = 0;
  /// The same with its type: `transport->get_extra_info(asyncio::peername)`. A transport that does
  /// not know gives `fallback`.
  template <class T>
  T get_extra_info(ExtraInfoKey<T> key, T fallback = T()) const {
    const std::any value = get_extra_info(key.name);
    const T* const typed = std::any_cast<T>(&value);
    return typed ? *typed : fallback;
  }
  /// Another protocol from the next event on. connection_made is not called on it. TypeError if it
  /// is of a kind that this transport cannot serve. Plain and buffered stream protocols may follow
  /// each other.
  virtual void set_protocol(std::shared_ptr<BaseProtocol> protocol) = 0;
  /// Null once connection_lost was called.
  virtual std::shared_ptr<BaseProtocol> get_protocol() const = 0;
  /// Python's repr: "<StreamTransport fd=7 read=polling write=<idle, bufsize=0>>".
  virtual std::string repr() const = 0;

  friend std::string to_string(const BaseTransport& transport) { return transport.repr(); }

 protected:
  BaseTransport() = default;
  BaseTransport(const BaseTransport&) = delete;
  BaseTransport& operator=(const BaseTransport&) = delete;
};

/// A transport that receives. Python: asyncio.ReadTransport.
class ReadTransport : public virtual BaseTransport {
 public:
  /// Neither paused nor closing.
  virtual bool is_reading() const = 0;
  /// No data and no EOF until resume_reading(), also none that was about to be delivered in the
  /// running pass. Does nothing when paused or closing.
  virtual void pause_reading() = 0;
  /// Does nothing unless paused.
  virtual void resume_reading() = 0;
};

/// Options of set_write_buffer_limits, in bytes. Only low given: high is 4 * low. Only high given:
/// low is high / 4. None: 64 KiB and 16 KiB.
struct WriteBufferLimits {
  std::optional<std::size_t> high{};
  std::optional<std::size_t> low{};
};
static_assert(detail::require_inline_options<WriteBufferLimits>());

/// What transports that send have in common: a buffer for what the kernel does not take at once.
class SendingTransport : public virtual BaseTransport {
 public:
  /// Closes at once: drops what is buffered. connection_lost(nullptr) comes with the next pass.
  virtual void abort() = 0;

  /// Bytes that wait to be sent.
  virtual std::size_t get_write_buffer_size() const = 0;
  /// (low, high), in this order.
  virtual std::pair<std::size_t, std::size_t> get_write_buffer_limits() const = 0;
  /// pause_writing() is called as soon as more than `high` bytes wait, which may be now (over TLS,
  /// as in Python, as soon as `high` do), and resume_writing() when a flush leaves `low` or fewer.
  /// ValueError unless high >= low.
  virtual void set_write_buffer_limits(WriteBufferLimits limits) = 0;
  void set_write_buffer_limits() { set_write_buffer_limits(WriteBufferLimits{}); }
};

/// A transport that sends a stream. Python: asyncio.WriteTransport.
class WriteTransport : public SendingTransport {
 public:
  /// Sends, or buffers what cannot be sent at once; never blocks. Nothing of `data` is kept: what
  /// is buffered is copied. After a loss data is dropped, with a warning from the fifth time on.
  /// RuntimeError after write_eof().
  virtual void write(BytesView data) = 0;
  /// The same for several pieces, sent together without joining them.
  virtual void writelines(std::span<const BytesView> lines) = 0;
  void writelines(std::initializer_list<BytesView> lines);
  /// Any container of strings, vectors, views, ...
  template <class Lines>
  requires(!std::same_as<Lines, std::initializer_list<BytesView>> &&
           !std::convertible_to<const Lines&, std::span<const BytesView>> &&
           requires(const Lines& lines) {
             { *lines.begin() } -> std::convertible_to<BytesView>;
             lines.end();
           }) void writelines(const Lines& lines) {
    using Line = decltype(*lines.begin());
    if constexpr (std::is_reference_v<Line> || std::is_pointer_v<Line> ||
                  std::same_as<Line, BytesView> || std::ranges::enable_borrowed_range<Line>) {
      std::vector<BytesView> views;
      for (const auto& line : lines) views.emplace_back(line);
      write_views(views);
    } else {  // each is made on the way, and would be gone
      std::vector<Line> made;
      for (auto&& line : lines) made.push_back(std::move(line));
      writelines(made);
    }
  }
  /// Closes the sending side when the buffer is empty; reading goes on. Idempotent, and does
  /// nothing when closing. OSError if the system refuses at once: the peer is gone.
  virtual void write_eof() = 0;
  virtual bool can_write_eof() const = 0;

  /// Gives up the connection: its socket, still connected and non-blocking, is the caller's from
  /// now on, for any loop or library; <asyncio/asio.hpp> makes one of Asio's of it. Nothing more is
  /// read, and the transport is closed as by close(), with connection_lost(nullptr) in the next
  /// pass. What the protocol was given before stays there: a StreamReader still gives it, and then
  /// the end. Not Python's.
  ///
  /// Only for stream sockets, and not over TLS: NotImplementedError. RuntimeError "Transport is
  /// closing", or "unable to release the socket; ..." while a file or bytes are to be sent (drain()
  /// waits for it if {.high = 0} is the buffer's limit), or some are for the next get_buffer(); the
  /// same in get_buffer().
  virtual Socket release_socket();

 private:
  void write_views(const std::vector<BytesView>& lines);
};

/// A two-way stream. Python: asyncio.Transport.
class Transport : public ReadTransport, public WriteTransport {};

/// Options of set_read_buffer_limits, as those of set_write_buffer_limits. None: 256 KiB and 64 KiB.
using ReadBufferLimits = WriteBufferLimits;

/// A stream over TLS: what connections made with `ssl`, and start_tls(), give as Transport.
///
/// While the program does not read, and while it is slower than its peer, ciphertext waits here.
/// Written data counts for the limits of writing as soon as it is encrypted, and no longer when the
/// transport below has taken it; none of both: 512 KiB and 128 KiB. write_eof() is a
/// NotImplementedError, as TLS has no half-closed connections.
class SSLTransport : public Transport {
 public:
  /// Bytes that came and are not decrypted yet.
  virtual std::size_t get_read_buffer_size() const = 0;
  /// (low, high), in this order.
  virtual std::pair<std::size_t, std::size_t> get_read_buffer_limits() const = 0;
  /// Nothing more is read from below when `high` bytes or more wait, until there are `low` or fewer.
  /// ValueError unless high >= low.
  virtual void set_read_buffer_limits(ReadBufferLimits limits) = 0;
  void set_read_buffer_limits() { set_read_buffer_limits(ReadBufferLimits{}); }
};

/// Sends and receives datagrams. Python: asyncio.DatagramTransport.
class DatagramTransport : public ReadTransport, public SendingTransport {
 public:
  /// Sends one datagram, which may be empty, to `addr`, or to the endpoint's remote address if that
  /// is empty. What the kernel does not take at once is buffered, as a copy, and counts 8 bytes
  /// more than it has. A failure to send is the protocol's error_received, and the datagram is
  /// lost.
  ///
  /// ValueError if there is a remote address and `addr` is another one, or if its host is a name:
  /// unlike Python, nothing is resolved here, as that would block. Without an address anywhere, or
  /// with one of another kind than the socket's, the endpoint fails: connection_lost(TypeError).
  /// After a loss datagrams are dropped, with a warning from the fifth one on.
  virtual void sendto(BytesView data, const Address& addr) = 0;
  void sendto(BytesView data) { sendto(data, Address()); }
};

/// A child process and the pipes to it. Python: asyncio.SubprocessTransport.
///
/// It lives until connection_lost, whoever holds it. When the loop is closed before that, the child
/// is killed.
class SubprocessTransport : public BaseTransport {
 public:
  /// Closes the pipes and kills the child if it has not ended. connection_lost comes when that is
  /// done. Idempotent.
  void close() override = 0;
  /// Was close() called?
  bool is_closing() const override = 0;

  virtual int get_pid() const = 0;
  /// The exit status, or minus the number of the signal that ended the child; nothing while it
  /// runs. 255 if somebody else has asked the system before us.
  virtual std::optional<int> get_returncode() const = 0;
  /// The transport of the child's stdin (0), stdout (1) or stderr (2), also when it is lost; null
  /// if that is no pipe. It reads or writes; for the other direction it throws
  /// NotImplementedError.
  virtual std::shared_ptr<Transport> get_pipe_transport(int fd) const = 0;

  /// Does nothing if the child has ended; ProcessLookupError once connection_lost was called.
  /// OSError if the system refuses.
  virtual void send_signal(int signal_number) = 0;
  /// SIGTERM.
  virtual void terminate() = 0;
  /// SIGKILL.
  virtual void kill() = 0;
};

}  // namespace asyncio::inline v1
