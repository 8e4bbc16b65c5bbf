// SPDX-License-Identifier: BSL-1.0
#include "ssl/errors.hpp"

#include <algorithm>
#include <asyncio/ssl.hpp>
#include <string_view>
#include <utility>

#include <openssl/err.h>
#include <boost/asio/ssl/error.hpp>

namespace asyncio::inline v1 {

namespace ssl {

SSLError::SSLError(const std::string& text) : SSLError(0, text) {}

SSLError::SSLError(int errno_value, const std::string& text, Details details)
    : OSError(details.code, errno_value, text),
      details_(std::make_shared<const Details>(std::move(details))) {}

const char* SSLError::what() const noexcept { return strerror().c_str(); }

std::shared_ptr<const std::string> SSLCertVerificationError::no_message() {
  return std::make_shared<const std::string>();
}
SSLCertVerificationError::SSLCertVerificationError(int errno_value, const std::string& text,
                                                   Details details, long verify_code,
                                                   const std::string& verify_message)
    : SSLError(errno_value, text, std::move(details)),
      verify_code_(verify_code),
      verify_message_(std::make_shared<const std::string>(verify_message)) {}

}  // namespace ssl

namespace detail {

namespace {

using ssl::SSLCertVerificationError;
using ssl::SSLError;

// Python's ssl.SSLErrorNumber, as far as the two differ.
constexpr int eof_error = 8;
constexpr const char* truncated = "EOF occurred in violation of protocol";

const char* library_name(unsigned long code) {
  switch (ERR_GET_LIB(code)) {
    case ERR_LIB_SSL:
      return "SSL";
    case ERR_LIB_X509:
      return "X509";
    case ERR_LIB_X509V3:
      return "X509V3";
    case ERR_LIB_PEM:
      return "PEM";
    case ERR_LIB_ASN1:
      return "ASN1";
    case ERR_LIB_EVP:
      return "EVP";
    case ERR_LIB_RSA:
      return "RSA";
    case ERR_LIB_EC:
      return "EC";
    case ERR_LIB_BIO:
      return "BIO";
    case ERR_LIB_CRYPTO:
      return "CRYPTO";
    case ERR_LIB_BN:
      return "BN";
    case ERR_LIB_DH:
      return "DH";
    case ERR_LIB_RAND:
      return "RAND";
    case ERR_LIB_PKCS12:
      return "PKCS12";
    default:
      return "";
  }
}

// OpenSSL gives its macro's name in words: "wrong version number". Only SSLV3_ALERT_... has become
// "ssl/tls alert ..." in OpenSSL 3.2. Reasons that all libraries have in common ("PEM lib") have no
// name in Python.
std::string reason_name(unsigned long code) {
  const char* const words = ERR_reason_error_string(code);
  if (!words || (ERR_GET_REASON(code) & ERR_RFLAG_COMMON) != 0) return {};
  std::string name = words;
  constexpr std::string_view alert = "ssl/tls alert";
  if (name.starts_with(alert)) name.replace(0, alert.size(), "sslv3 alert");
  std::ranges::transform(name, name.begin(), [](char letter) {
    if (letter >= 'a' && letter <= 'z') return static_cast<char>(letter - 'a' + 'A');
    const bool named = (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
    return named ? letter : '_';
  });
  return name;
}

SSLError::Details details_of(unsigned long code) {
  return {library_name(code),
          reason_name(code),
          {static_cast<int>(code), boost::asio::error::get_ssl_category()}};
}

const char* words_of(unsigned long code) {
  const char* const words = ERR_reason_error_string(code);
  return words ? words : "unknown error";
}

std::string text_of(const SSLError::Details& details, std::string_view words) {
  std::string text;
  if (!details.library.empty()) {
    text = '[' + details.library + (details.reason.empty() ? "" : ": " + details.reason) + "] ";
  }
  return text.append(words);
}

std::string verify_message(long verify_code, const std::optional<std::string>& server_hostname) {
  const std::string name = server_hostname.value_or("None");
  switch (verify_code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return "Hostname mismatch, certificate is not valid for '" + name + "'.";
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "IP address mismatch, certificate is not valid for '" + name + "'.";
    default:
      return X509_verify_cert_error_string(verify_code);
  }
}

std::exception_ptr protocol_error(const SSL* ssl, unsigned long code,
                                  const std::optional<std::string>& server_hostname,
                                  const std::exception_ptr& cause) {
  const auto made = [&cause](auto error) {
    return std::make_exception_ptr(with_cause(std::move(error), cause));
  };
  const auto is = [code](int reason) {
    return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == reason;
  };
  SSLError::Details details = details_of(code);
  if (is(SSL_R_CERTIFICATE_VERIFY_FAILED)) {
    const long verify_code = SSL_get_verify_result(ssl);
    const std::string message = verify_message(verify_code, server_hostname);
    const std::string text = text_of(details, words_of(code)) + ": " + message;
    return made(ssl::SSLCertVerificationError(SSL_ERROR_SSL, text, std::move(details), verify_code,
                                              message));
  }
  if (is(SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
    details.code = boost::asio::ssl::error::stream_truncated;
    const std::string text = text_of(details, truncated);
    return made(ssl::SSLEOFError(eof_error, text, std::move(details)));
  }
  const std::string text = text_of(details, words_of(code));
  return made(SSLError(SSL_ERROR_SSL, text, std::move(details)));
}

}  // namespace

void throw_openssl_error() {
  const unsigned long last = ERR_peek_last_error();
  ERR_clear_error();
  SSLError::Details details = details_of(last);
  const std::string text = text_of(details, words_of(last));
  throw SSLError(ERR_GET_REASON(last), text, std::move(details));
}

std::exception_ptr connection_error(const SSL* ssl, int result,
                                    const std::optional<std::string>& server_hostname,
                                    const std::exception_ptr& thrown) {
  const int kind = SSL_get_error(ssl, result);
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  switch (kind) {
    case SSL_ERROR_SSL:
      if (code != 0) return protocol_error(ssl, code, server_hostname, thrown);
      return std::make_exception_ptr(SSLError(kind, "A failure in the SSL library occurred"));
    case SSL_ERROR_ZERO_RETURN:
      return std::make_exception_ptr(
          ssl::SSLZeroReturnError(kind, "TLS/SSL connection has been closed (EOF)"));
    case SSL_ERROR_SYSCALL:
      if (thrown) return thrown;
      return std::make_exception_ptr(ssl::SSLEOFError(eof_error, truncated));
    default:
      return std::make_exception_ptr(SSLError(kind, "Invalid error code"));
  }
}

}  // namespace detail

}  // namespace asyncio::inline v1
