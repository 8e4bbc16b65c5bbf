// SPDX-License-Identifier: BSL-1.0
#include "tls_settings.hpp"

#include <asyncio/exceptions.hpp>
#include <utility>

namespace asyncio::inline v1::detail {

namespace {

Duration positive(const char* option, const std::optional<Duration>& time, double usual) {
  if (!time) return Duration(usual);
  if (*time <= Duration(0)) {
    throw ValueError(std::string(option) + " should be a positive number, got " +
                     to_string(*time));
  }
  return *time;
}

}  // namespace

TlsRequest::TlsRequest(ssl::SSLContext context, bool server_side,
                       std::string_view server_hostname,
                       const std::optional<Duration>& handshake_timeout,
                       const std::optional<Duration>& shutdown_timeout)
    : context(std::move(context)),
      server_side(server_side),
      server_hostname(server_hostname),
      handshake_timeout(positive("ssl_handshake_timeout", handshake_timeout,
                                 constants::ssl_handshake_timeout)),
      shutdown_timeout(
          positive("ssl_shutdown_timeout", shutdown_timeout, constants::ssl_shutdown_timeout)) {}

void TlsSettings::check_meaning() const {
  const auto only_with_ssl = [this](const char* option, bool given) {
    if (given && !wanted_) throw ValueError(option + std::string(" is only meaningful with ssl"));
  };
  only_with_ssl("server_hostname", server_hostname_.has_value());
  only_with_ssl("ssl_handshake_timeout", handshake_timeout_.has_value());
  only_with_ssl("ssl_shutdown_timeout", shutdown_timeout_.has_value());
}

std::optional<TlsRequest> TlsSettings::for_client(const std::string& server_hostname) const {
  check_meaning();
  if (!wanted_) return std::nullopt;
  ssl::SSLContext context = context_;
  if (!context) {
    context = ssl::create_default_context();
    if (server_hostname.empty()) context.set_check_hostname(false);
  }
  return TlsRequest(std::move(context), false, server_hostname, handshake_timeout_,
                    shutdown_timeout_);
}

std::optional<TlsRequest> TlsSettings::for_server() const {
  check_meaning();
  if (!wanted_) return std::nullopt;
  if (!context_) throw ValueError("Server side SSL needs a valid SSLContext");
  return TlsRequest(context_, true, {}, handshake_timeout_, shutdown_timeout_);
}

}  // namespace asyncio::inline v1::detail
