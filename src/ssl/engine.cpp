// SPDX-License-Identifier: BSL-1.0
#include "ssl/engine.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ssl/errors.hpp"
#include "ssl/object.hpp"

namespace asyncio::inline v1::detail {

namespace {

// More than the records of one write() are longer than what is in them.
constexpr std::size_t records_overhead = 512;

}  // namespace

// OpenSSL's door to the engine's buffers. An SSLObject may outlive the engine; the door is shut
// then.
struct TlsEngineBio {
  static TlsEngine* engine_of(BIO* bio) { return static_cast<TlsEngine*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* data, std::size_t wanted, std::size_t* count) {
    TlsEngine* const engine = engine_of(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    if (!engine) return 0;
    const bool from_kept = !engine->kept_.empty();
    const BytesView source = from_kept ? engine->kept_.view() : engine->lent_;
    if (source.empty()) {
      if (!engine->at_eof_) BIO_set_retry_read(bio);
      return 0;
    }
    *count = std::min(wanted, source.size());
    std::memcpy(data, source.data(), *count);
    if (from_kept) {
      engine->kept_.drop(*count);
    } else {
      engine->lent_ = engine->lent_.subview(*count);
    }
    return 1;
  }

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* count) {
    TlsEngine* const engine = engine_of(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    if (!engine) return 0;
    try {
      engine->output_.append(BytesView(data, size));
    } catch (...) {
      engine->state_->thrown = std::current_exception();
      return 0;
    }
    *count = size;
    return 1;
  }

  static long control(BIO* bio, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH:
        return 1;
      case BIO_CTRL_EOF: {
        const TlsEngine* const engine = engine_of(bio);
        return !engine || (engine->at_eof_ && engine->undecrypted() == 0);
      }
      default:
        return 0;
    }
  }

  static const BIO_METHOD* method() {
    // Never freed: connections may end after the static objects.
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* const fresh =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "asyncio TLS engine");
      if (!fresh) throw_openssl_error();
      BIO_meth_set_read_ex(fresh, &TlsEngineBio::read);
      BIO_meth_set_write_ex(fresh, &TlsEngineBio::write);
      BIO_meth_set_ctrl(fresh, &TlsEngineBio::control);
      return fresh;
    }();
    return made;
  }
};

TlsEngine::TlsEngine(const ssl::SSLContext& context, bool server_side,
                     std::optional<std::string_view> server_hostname)
    : state_(std::make_shared<SSLObjectState>(context, server_side, server_hostname)) {
  BIO* const bio = BIO_new(TlsEngineBio::method());
  if (!bio) throw_openssl_error();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(state_->native(), bio, bio);
}

TlsEngine::~TlsEngine() { BIO_set_data(SSL_get_rbio(state_->native()), nullptr); }

void TlsEngine::keep() { kept_.append(std::exchange(lent_, BytesView())); }

void TlsEngine::begin() {
  if (failure_) std::rethrow_exception(failure_);
  ERR_clear_error();
}

std::exception_ptr TlsEngine::failure_of(int result, Status& status) {
  SSL* const ssl = state_->native();
  if (SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ) {
    status = Status::wants_input;
    return nullptr;
  }
  const std::exception_ptr thrown = std::exchange(state_->thrown, nullptr);
  return connection_error(ssl, result, state_->server_hostname, thrown);
}

TlsEngine::Status TlsEngine::handshake() {
  begin();
  const int result = SSL_do_handshake(state_->native());
  if (result == 1) {
    state_->handshake_done = true;
    return Status::done;
  }
  Status status = Status::done;
  failure_ = failure_of(result, status);
  if (failure_) std::rethrow_exception(failure_);
  return status;
}

TlsEngine::Status TlsEngine::read(std::span<char> into, std::size_t& count) {
  count = 0;
  begin();
  const std::size_t before = output_.size();
  const Status status = read_records(into, count);
  answers_ += output_.size() - before;
  if (answers_ > constants::ssl_most_answers && !failure_) {
    failure_ = std::make_exception_ptr(
        ssl::SSLError("the peer asks for answers and does not read them"));
    if (count == 0) std::rethrow_exception(failure_);
  }
  return status;
}

TlsEngine::Status TlsEngine::read_records(std::span<char> into, std::size_t& count) {
  SSL* const ssl = state_->native();
  while (count < into.size()) {
    // One record at a time.
    std::size_t step = 0;
    const int result = SSL_read_ex(ssl, into.data() + count, into.size() - count, &step);
    count += step;
    if (result == 1) continue;
    if (SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN) {
      return count > 0 ? Status::done : Status::closed;
    }
    Status status = Status::done;
    failure_ = failure_of(result, status);
    if (count > 0) return Status::done;
    if (failure_) std::rethrow_exception(failure_);
    return status;
  }
  return Status::done;
}

TlsEngine::Status TlsEngine::write(BytesView plaintext, std::size_t& count) {
  count = 0;
  begin();
  if (plaintext.empty()) return Status::done;
  const BytesView part = plaintext.subview(0, constants::ssl_write_size);
  output_.reserve(part.size() + records_overhead);
  const int result = SSL_write_ex(state_->native(), part.data(), part.size(), &count);
  if (result == 1) return Status::done;
  Status status = Status::done;
  if (const auto failure = failure_of(result, status)) std::rethrow_exception(failure);
  return status;
}

TlsEngine::Status TlsEngine::shutdown() {
  begin();
  SSL* const ssl = state_->native();
  // The first call sends close_notify, the second one looks for the peer's.
  int result = SSL_shutdown(ssl);
  if (result == 0) result = SSL_shutdown(ssl);
  if (result == 1) return Status::done;
  Status status = Status::done;
  failure_ = failure_of(result, status);
  if (failure_) std::rethrow_exception(failure_);
  return status;
}

bool TlsEngine::handshake_done() const noexcept { return state_->handshake_done; }

bool TlsEngine::negotiating() const noexcept { return SSL_in_init(state_->native()) != 0; }

}  // namespace asyncio::inline v1::detail
