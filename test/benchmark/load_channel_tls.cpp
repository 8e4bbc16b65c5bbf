// SPDX-License-Identifier: BSL-1.0
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <openssl/ssl.h>

#include "load_channel.hpp"

namespace {

SSL_CTX* client_context() {
  static const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context = [] {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>(made, &SSL_CTX_free);
  }();
  return context.get();
}

class TlsChannel : public Channel {
 public:
  explicit TlsChannel(int socket) : ssl_(SSL_new(client_context()), &SSL_free) {
    SSL_set_fd(ssl_.get(), socket);
    if (SSL_connect(ssl_.get()) != 1) throw Failure("the TLS handshake failed");
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  }
  std::size_t send(const char* data, std::size_t size) override {
    std::size_t sent = 0;
    return completed(SSL_write_ex(ssl_.get(), data, size, &sent)) ? sent : 0;
  }
  std::size_t receive(char* data, std::size_t size) override {
    std::size_t received = 0;
    return completed(SSL_read_ex(ssl_.get(), data, size, &received)) ? received : 0;
  }
  bool holds_more() const override { return SSL_pending(ssl_.get()) > 0; }

 private:
  bool completed(int result) const {
    if (result == 1) return true;
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
      throw Failure("the server has ended a connection");
    return false;
  }

  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

}  // namespace

std::unique_ptr<Channel> make_tls_channel(int socket) {
  return std::make_unique<TlsChannel>(socket);
}
