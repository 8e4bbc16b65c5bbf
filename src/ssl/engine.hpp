// SPDX-License-Identifier: BSL-1.0
// One end of a TLS connection as bytes in and bytes out. Knows no loop and no socket.
#pragma once

#include <asyncio/bytes.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/detail/stream_buffer.hpp>
#include <asyncio/ssl.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace asyncio::inline v1::detail {

/// The owner feeds it what the peer sent, asks for operations, and sends what output() holds after
/// each of them: also after one that threw, for that is the alert that tells the peer, and after
/// read(), which may have to answer the peer.
///
/// Operations throw SSLError and its family. After a failed handshake(), read() or shutdown() the
/// connection is broken, and every operation throws the same again. One thread.
class TlsEngine {
 public:
  enum class Status {
    done,
    wants_input,  // go on when more was fed
    closed,       // the peer has ended the connection in order (close_notify)
  };

  /// No name, or an empty one: the server is not told a name, and its certificate not compared with
  /// one. ValueError if the name cannot be a host's, SSLError if the context is for the other side.
  TlsEngine(const ssl::SSLContext& context, bool server_side,
            std::optional<std::string_view> server_hostname);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  /// Ciphertext of the peer; copied.
  void feed(BytesView ciphertext) {
    lend(ciphertext);
    keep();
  }
  /// The same without the copy: `ciphertext` must stay until keep(), which copies what no operation
  /// has consumed by then. After a read() that wants input, that is nothing.
  void lend(BytesView ciphertext) {
    keep();
    lent_ = ciphertext;
  }
  void keep();
  /// The connection has ended: operations that want more input fail.
  void feed_eof() noexcept { at_eof_ = true; }
  /// Bytes fed and not yet consumed.
  std::size_t undecrypted() const noexcept { return kept_.size() + lent_.size(); }

  /// Ciphertext for the peer. Valid until the next operation.
  BytesView output() const noexcept { return output_.view(); }
  /// The first `count` bytes of it were sent.
  void consume_output(std::size_t count) noexcept {
    output_.drop(count, constants::ssl_kept_output);
    if (output_.empty()) answers_ = 0;
  }

  /// Never `closed`: a peer that leaves during the handshake is an SSLZeroReturnError.
  Status handshake();
  /// Fills `into`, which is not empty, as far as the input goes. Done if that was at all possible:
  /// then what ends the input, or is wrong with it, is told by the next call. A peer that makes us
  /// answer again and again is an SSLError when constants::ssl_most_answers bytes of that wait.
  Status read(std::span<char> into, std::size_t& count);
  /// Encrypts the first `count` bytes, never 0 of some when done: at most
  /// constants::ssl_write_size. Wants input only while negotiating().
  Status write(BytesView plaintext, std::size_t& count);
  /// Sends close_notify. Done when the peer's has come too; wants_input until then. Input that
  /// comes before it is an error, unless it is read: read() goes on working, write() does not.
  Status shutdown();

  /// For ever, once it was.
  bool handshake_done() const noexcept;
  /// Before the handshake is done, and when the peer has begun something of that kind later (new
  /// keys, its certificate) and not ended it. Then write() waits, and shutdown() is an error.
  bool negotiating() const noexcept;
  /// Keeps OpenSSL's side of the connection alive.
  ssl::SSLObject object() const { return ssl::SSLObject(state_); }

 private:
  friend struct TlsEngineBio;

  void begin();
  Status read_records(std::span<char> into, std::size_t& count);
  /// What the operation that ended with `result` is to throw; null if its status is wants_input.
  std::exception_ptr failure_of(int result, Status& status);

  StreamBuffer kept_;
  BytesView lent_;  // behind what is kept
  bool at_eof_ = false;
  std::size_t answers_ = 0;  // of the output: what read() made
  StreamBuffer output_;
  std::exception_ptr failure_;
  std::shared_ptr<SSLObjectState> state_;
};

}  // namespace asyncio::inline v1::detail
