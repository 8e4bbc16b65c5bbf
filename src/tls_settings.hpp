// SPDX-License-Identifier: BSL-1.0
// The TLS options of create_connection, create_server and their kin (rules 159, 169, 191, 198).
// Private to the library.
#pragma once

#include <asyncio/connections.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/duration.hpp>
#include <asyncio/ssl.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace asyncio::inline v1::detail {

/// What TLS was asked for, owned.
struct TlsRequest {
  /// Each time is the default if it is none. ValueError if one is not positive.
  TlsRequest(ssl::SSLContext context, bool server_side, std::string_view server_hostname,
             const std::optional<Duration>& handshake_timeout,
             const std::optional<Duration>& shutdown_timeout);

  ssl::SSLContext context;
  bool server_side;
  std::string server_hostname;  // empty: no name is asked for, and none is checked
  Duration handshake_timeout;
  Duration shutdown_timeout;
};

/// The options as they were given, owned; what is wrong with them is found when they are used.
class TlsSettings {
 public:
  /// Of a client.
  template <class Options>
  requires requires(const Options& options) { options.server_hostname; }
  explicit TlsSettings(const Options& options)
      : wanted_(bool(options.ssl)),
        handshake_timeout_(options.ssl_handshake_timeout),
        shutdown_timeout_(options.ssl_shutdown_timeout) {
    if (options.ssl.context()) context_ = *options.ssl.context();
    if (options.server_hostname) server_hostname_ = std::string(*options.server_hostname);
  }
  /// Of a server.
  template <class Options>
  explicit TlsSettings(const Options& options)
      : wanted_(options.ssl != nullptr),
        handshake_timeout_(options.ssl_handshake_timeout),
        shutdown_timeout_(options.ssl_shutdown_timeout) {
    if (options.ssl) context_ = *options.ssl;
  }

  bool wanted() const noexcept { return wanted_; }
  const std::optional<std::string>& server_hostname() const noexcept { return server_hostname_; }
  /// None without `ssl`. ValueError for what is meaningless then, or a time that is not positive.
  std::optional<TlsRequest> for_client(const std::string& server_hostname) const;
  std::optional<TlsRequest> for_server() const;

 private:
  void check_meaning() const;

  bool wanted_;
  ssl::SSLContext context_;  // none: the default one
  std::optional<std::string> server_hostname_;
  std::optional<Duration> handshake_timeout_;
  std::optional<Duration> shutdown_timeout_;
};

}  // namespace asyncio::inline v1::detail
