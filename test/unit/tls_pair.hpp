// SPDX-License-Identifier: BSL-1.0
// For tests of TLS: certificates, a protocol that writes down what it is told, and two TLS
// transports joined by a wire that carries what the test says, when it says.
#pragma once

#include <algorithm>
#include <any>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <asyncio/protocols.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/transports.hpp>

#include "captured_log.hpp"
#include "on_virtual_time.hpp"
#include "transports/lower_transport.hpp"
#include "transports/tls_transport.hpp"

namespace tls_tests {

using namespace on_virtual_time;
using unit_tests::CapturedLog;

// -- contexts

inline std::string certificate(const std::string& file) {
  const auto folder = std::filesystem::path(__FILE__).parent_path().parent_path() / "certificates";
  return (folder / file).string();
}

inline SSLContext server_context(const std::string& name = "server") {
  const SSLContext context(ssl::PROTOCOL_TLS_SERVER);
  const std::string key = certificate(name + ".key");
  context.load_cert_chain(certificate(name + ".pem"), {.keyfile = key});
  return context;
}

/// Trusts what signed the server's certificate.
inline SSLContext client_context() {
  const SSLContext context(ssl::PROTOCOL_TLS_CLIENT);
  context.load_verify_locations({.cafile = certificate("ca.pem")});
  return context;
}

// -- what is written down

/// The error of a connection that ends without close_notify.
inline const std::string truncated =
    "SSLEOFError(8, '[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol')";

inline std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::minstd_rand random(1);
  for (char& letter : text) letter = static_cast<char>(random());
  return text;
}

/// What both kinds of protocol of these tests have: a log of the calls, and actions for each.
struct Notes {
  std::string log;
  std::string data;
  std::shared_ptr<Transport> transport;
  std::function<void()> on_made, on_data, on_eof, on_pause, on_resume;
  bool keeps_open = false;

  void note(const char* event, const std::function<void()>& action = {}) {
    log += log.empty() ? event : std::string(" ") + event;
    if (action) action();
  }
};

template <class Base>
struct Noting : Base, Notes {
  void connection_made(std::shared_ptr<Transport> made) override {
    transport = std::move(made);
    note("made", on_made);
  }
  bool eof_received() override {
    note("eof", on_eof);
    return keeps_open;
  }
  void connection_lost(std::exception_ptr error) override {
    note(("lost " + repr(error)).c_str());
    transport.reset();
  }
  void pause_writing() override { note("pause", on_pause); }
  void resume_writing() override { note("resume", on_resume); }
};

/// Data is not in the log: it comes in pieces of any size.
struct Plain : Noting<Protocol> {
  void data_received(BytesView piece) override {
    data += piece.str();
    if (on_data) on_data();
  }
};

struct Buffered : Noting<BufferedProtocol> {
  explicit Buffered(std::size_t size) : memory(size, '\0') {}
  MutableBytes get_buffer(std::ptrdiff_t hint) override {
    sizehint = hint;
    if (on_get) on_get();
    return MutableBytes(memory);
  }
  void buffer_updated(std::size_t size) override {
    data += memory.substr(0, size);
    ++updates;
    if (on_data) on_data();
  }

  std::string memory;
  std::ptrdiff_t sizehint = -2;
  int updates = 0;
  std::function<void()> on_get;
};

// -- the wire

/// One end of a connection without sockets. What is written waits until the other end, or the test,
/// lets it come. Transports that are told to stall take no more.
class WireEnd final : public Transport,
                      public detail::LowerTransport,
                      public std::enable_shared_from_this<WireEnd> {
 public:
  explicit WireEnd(Loop& loop) : loop_(loop) {}

  static void join(const std::shared_ptr<WireEnd>& a, const std::shared_ptr<WireEnd>& b) {
    a->peer_ = b;
    b->peer_ = a;
  }

  // -- for tests

  /// What was written and has not come to the other end.
  std::string sent;
  std::size_t written = 0;  // in all, what has come and what was lost included
  std::size_t high = 64 * 1024;
  bool automatic = false;  // all that can come does, in the next pass
  bool closed = false;     // by close() or force_close()
  std::exception_ptr error;

  /// Takes so much of what the other end has sent, and its end behind that. False if nothing came.
  bool receive(std::size_t most = std::string::npos) {
    const std::shared_ptr<WireEnd> peer = peer_.lock();
    if (!protocol_ || paused_ || closed || !peer) return false;
    if (peer->sent.empty()) {
      if (!peer->ended_ || std::exchange(eof_told_, true)) return false;
      const std::shared_ptr<Protocol> protocol = protocol_;
      if (!protocol->eof_received()) close();
      return true;
    }
    const std::string piece = peer->sent.substr(0, most);
    peer->sent.erase(0, most);
    const std::shared_ptr<Protocol> protocol = protocol_;
    try {
      protocol->data_received(piece);
    } catch (...) {
      force_close(std::current_exception());
    }
    peer->was_flushed();
    return true;
  }
  /// The connection breaks.
  void lose(std::exception_ptr why) { force_close(std::move(why)); }
  void end_writing() { ended_ = true; }
  bool ended() const { return ended_; }

  // -- a transport

  void close() override {
    if (std::exchange(closed, true)) return;
    ended_ = true;
    if (sent.empty()) lose_soon(nullptr);
    wake_peer();
  }
  void abort() override { force_close(nullptr); }
  bool writing_paused() const noexcept override { return writing_paused_; }
  void force_close(std::exception_ptr why) override {
    if (lost_) return;
    closed = ended_ = true;
    sent.clear();
    error = why;
    lose_soon(std::move(why));
    wake_peer();
  }
  bool is_closing() const override { return closed; }
  std::any get_extra_info(std::string_view name) const override {
    return name == peername.name ? std::any(Address("10.0.0.1", 7)) : std::any();
  }
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override {
    if (!lost_ || protocol_) protocol_ = std::dynamic_pointer_cast<Protocol>(std::move(protocol));
  }
  std::shared_ptr<BaseProtocol> get_protocol() const override { return protocol_; }
  std::string repr() const override { return "<WireEnd>"; }
  bool is_reading() const override { return !paused_ && !closed; }
  void pause_reading() override { paused_ = true; }
  void resume_reading() override {
    paused_ = false;
    if (automatic) receive_soon();
  }
  void write(BytesView data) override {
    if (closed) return;
    sent += data.str();
    written += data.size();
    wake_peer();
    if (sent.size() > high && !std::exchange(writing_paused_, true)) protocol_->pause_writing();
  }
  void writelines(std::span<const BytesView> lines) override {
    for (const BytesView line : lines) write(line);
  }
  void write_eof() override { end_writing(); }
  bool can_write_eof() const override { return true; }
  std::size_t get_write_buffer_size() const override { return sent.size(); }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override { return {0, high}; }
  void set_write_buffer_limits(WriteBufferLimits) override {}

 private:
  void was_flushed() {
    if (!sent.empty()) return;
    if (std::exchange(writing_paused_, false) && protocol_) protocol_->resume_writing();
    if (closed && sent.empty()) lose_soon(nullptr);
  }
  void lose_soon(std::exception_ptr why) {
    if (std::exchange(lost_, true)) return;
    loop_.call_soon([self = shared_from_this(), why] {
      if (const std::shared_ptr<Protocol> protocol = std::exchange(self->protocol_, nullptr))
        protocol->connection_lost(why);
    });
  }
  void wake_peer() {
    if (const std::shared_ptr<WireEnd> peer = peer_.lock(); peer && peer->automatic)
      peer->receive_soon();
  }
  void receive_soon() {
    if (loop_.is_closed()) return;
    loop_.call_soon([self = shared_from_this()] {
      while (self->receive()) {
      }
    });
  }

  Loop& loop_;
  std::weak_ptr<WireEnd> peer_;
  std::shared_ptr<Protocol> protocol_;
  bool ended_ = false;
  bool lost_ = false;
  bool paused_ = false;
  bool eof_told_ = false;
  bool writing_paused_ = false;
};

// -- both ends

struct EndOptions {
  double handshake_timeout = 60;
  double shutdown_timeout = 30;
  std::string server_hostname = "localhost";
};

/// A protocol, its TLS transport, and the wire below that.
template <class P>
struct End {
  End(Loop& loop, const SSLContext& context, bool server_side, std::shared_ptr<P> protocol,
      const EndOptions& options)
      : protocol(std::move(protocol)),
        wire(std::make_shared<WireEnd>(loop)),
        ready(loop),
        tls(std::make_shared<detail::TlsTransport>(
            loop.core(),
            detail::TlsRequest(context, server_side, server_side ? "" : options.server_hostname,
                               Duration(options.handshake_timeout),
                               Duration(options.shutdown_timeout)),
            this->protocol, detail::Ref<detail::FutureState<void>>(&ready.typed_state()), true)) {
    wire->set_protocol(tls);
  }
  /// The exception that came instead of a connection, or "None"; "waiting" before.
  std::string outcome() const {
    return ready.done() ? ready.cancelled() ? "cancelled" : repr(ready.exception()) : "waiting";
  }

  std::shared_ptr<P> protocol;
  std::shared_ptr<WireEnd> wire;
  Future<> ready;
  std::shared_ptr<detail::TlsTransport> tls;
};

/// A client and a server. The server's protocol is always a Plain.
template <class P>
struct Ends {
  explicit Ends(std::shared_ptr<P> client_protocol = std::make_shared<P>(),
                const EndOptions& options = {}, const SSLContext& clients = client_context(),
                const SSLContext& servers = server_context())
      : client(loop, clients, false, std::move(client_protocol), options),
        server(loop, servers, true, std::make_shared<Plain>(), options) {
    WireEnd::join(client.wire, server.wire);
  }

  void begin() {
    begun = true;
    server.tls->connection_made(server.wire);
    client.tls->connection_made(client.wire);
  }
  /// One piece each way, and what the loop does then. False if nothing came.
  bool step(std::size_t most = std::string::npos) {
    const bool to_server = server.wire->receive(most);
    loop.pass(1);
    const bool to_client = client.wire->receive(most);
    loop.pass(1);
    return to_server || to_client;
  }
  /// Until nothing moves any more.
  void settle(std::size_t most = std::string::npos) {
    do
      while (step(most)) {
      }
    while ((loop.pass(), step(most)));
  }
  void connect() {
    begin();
    settle();
    BOOST_TEST_REQUIRE(client.outcome() == "None");
    BOOST_TEST_REQUIRE(server.outcome() == "None");
  }
  /// Both have closed the connection below.
  bool closed() const { return client.wire->closed && server.wire->closed; }

  Loop loop;
  End<P> client;
  End<Plain> server;
  bool begun = false;
};

using Pair = Ends<Plain>;

struct Connected : Pair {
  Connected() { connect(); }
};

}  // namespace tls_tests
