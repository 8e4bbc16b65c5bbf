// SPDX-License-Identifier: BSL-1.0
// What stands behind an SSLObject and an SSLSession.
#pragma once

#include <asyncio/ssl.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace asyncio::inline v1::detail {

template <auto free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};
/// Something of OpenSSL's, with the function that frees it.
template <class T, auto free>
using Owned = std::unique_ptr<T, FreeWith<free>>;

class SSLObjectState : public std::enable_shared_from_this<SSLObjectState> {
 public:
  /// An empty name is no name. ValueError for one that cannot be a host's, SSLError for the wrong
  /// side of the context.
  SSLObjectState(const ssl::SSLContext& context, bool server_side,
                 std::optional<std::string_view> server_hostname);
  SSLObjectState(const SSLObjectState&) = delete;
  SSLObjectState& operator=(const SSLObjectState&) = delete;

  static SSLObjectState& of(const SSL* ssl) noexcept {
    return *static_cast<SSLObjectState*>(SSL_get_app_data(ssl));
  }
  SSL* native() const noexcept { return ssl_.get(); }
  bool verifies() const noexcept { return (SSL_get_verify_mode(native()) & SSL_VERIFY_PEER) != 0; }

  const ssl::SSLContext first_context;  // OpenSSL calls back into this one, whatever follows it
  ssl::SSLContext context;
  const bool server_side;
  std::optional<std::string> server_hostname;
  std::string checked_host;  // the certificate is compared with this; empty: with none
  bool handshake_done = false;
  /// What a callback threw through OpenSSL.
  std::exception_ptr thrown;

 private:
  void expect_host(const std::string& name);

  Owned<SSL, &SSL_free> ssl_;
};

class SSLSessionState {
 public:
  /// Copies the session: a connection changes its own.
  SSLSessionState(const SSLObjectState& connection, const SSL_SESSION* session);

  SSL_SESSION* native() const noexcept { return session_.get(); }
  /// Has the session's connection verified what this one is to? Who resumes is not verified again.
  bool proves_enough_for(const SSLObjectState& connection) const noexcept;

  const ssl::SSLContext context;

 private:
  Owned<SSL_SESSION, &SSL_SESSION_free> session_;
  bool verified_;
  std::string checked_host_;
};

/// What getpeercert() shows of it.
ssl::Certificate describe(const X509* certificate);
Bytes der_of(const X509* certificate);

}  // namespace asyncio::inline v1::detail
