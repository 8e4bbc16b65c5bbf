// SPDX-License-Identifier: BSL-1.0
// What stands behind an SSLContext.
#pragma once

#include <array>
#include <asyncio/ssl.hpp>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include <openssl/ssl.h>
#include <boost/asio/ssl/context.hpp>

namespace asyncio::inline v1::detail {

/// The file of SSLContext::set_keylog_filename().
class KeyLog {
 public:
  /// Opens it to append. OSError if that fails.
  explicit KeyLog(std::string filename);

  const std::string& filename() const noexcept { return filename_; }
  /// Thread-safe.
  void write(const char* line) noexcept;

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };

  std::string filename_;
  std::unique_ptr<std::FILE, Close> file_;
  std::mutex mutex_;
};

class SSLContextState {
 public:
  explicit SSLContextState(ssl::Protocol wanted);

  SSL_CTX* native() noexcept { return context_.native_handle(); }
  /// A session is resumed only with the context that it belongs to: another may verify otherwise.
  using SessionContext = std::array<unsigned char, 16>;
  const SessionContext& session_context() const noexcept { return session_context_; }

  const ssl::Protocol protocol;
  bool check_hostname;
  bool post_handshake_auth = false;
  std::string alpn_protocols;  // each behind its length
  std::shared_ptr<const ssl::SNICallback> sni_callback;
  std::unique_ptr<KeyLog> keylog;

 private:
  boost::asio::ssl::context context_;
  SessionContext session_context_;
};

inline SSL_CTX* native(const ssl::SSLContext& context) { return context.state()->native(); }

}  // namespace asyncio::inline v1::detail
