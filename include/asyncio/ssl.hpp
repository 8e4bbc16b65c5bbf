// SPDX-License-Identifier: BSL-1.0
// Python's module ssl, as far as asyncio's connections need it; OpenSSL does the work.
//
// SSLContext, SSLObject and SSLSession are handles: copies stand for the same thing. A context is
// set up by one thread; then connections of several loops and threads may be made from it. An
// SSLObject belongs to the thread of its connection's loop.
//
// What Python gives as None is an empty optional here, or nothing at all in a container. Where a
// function names no errors it may still throw SSLError when OpenSSL refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
#include <asyncio/exceptions.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v1 {

namespace detail {
class SSLContextState;
class SSLObjectState;
class SSLSessionState;
}  // namespace detail

namespace ssl {

// ---- errors -----------------------------------------------------------------------------------

/// TLS failed. what() is Python's text without its "(_ssl.c:1000)": "[SSL: WRONG_VERSION_NUMBER]
/// wrong version number". errno_value() is Python's errno, which is no errno of the system; code()
/// is what an asio::ssl stream would have reported. Python: ssl.SSLError.
class SSLError : public OSError {
 public:
  /// What OpenSSL says beside its text; empty where it says nothing.
  struct Details {
    std::string library;  // "SSL", "X509"
    std::string reason;   // "WRONG_VERSION_NUMBER"
    boost::system::error_code code;
  };

  explicit SSLError(const std::string& text = {});
  SSLError(int errno_value, const std::string& text, Details details = {});

  const char* what() const noexcept override;
  const std::string& library() const noexcept { return details_->library; }
  const std::string& reason() const noexcept { return details_->reason; }

 private:
  std::shared_ptr<const Details> details_;
};

/// The peer closed the connection in order (close_notify).
class SSLZeroReturnError : public SSLError {
 public:
  using SSLError::SSLError;
};

/// More bytes of the peer are needed first.
class SSLWantReadError : public SSLError {
 public:
  using SSLError::SSLError;
};

/// Bytes must be sent first.
class SSLWantWriteError : public SSLError {
 public:
  using SSLError::SSLError;
};

class SSLSyscallError : public SSLError {
 public:
  using SSLError::SSLError;
};

/// The connection ended without close_notify: what came before may have been cut short by anyone.
class SSLEOFError : public SSLError {
 public:
  using SSLError::SSLError;
};

/// The peer's certificate was not accepted. Python's is a ValueError too; here it is not, as both
/// are a std::exception and it could then be caught as neither.
class SSLCertVerificationError : public SSLError {
 public:
  using SSLError::SSLError;
  SSLCertVerificationError(int errno_value, const std::string& text, Details details,
                           long verify_code, const std::string& verify_message);

  /// OpenSSL's number: 62 is a wrong host name.
  long verify_code() const noexcept { return verify_code_; }
  /// "Hostname mismatch, certificate is not valid for 'example.org'."
  const std::string& verify_message() const noexcept { return *verify_message_; }

 private:
  static std::shared_ptr<const std::string> no_message();

  long verify_code_ = 0;
  std::shared_ptr<const std::string> verify_message_ = no_message();
};

using CertificateError = SSLCertVerificationError;

// ---- constants --------------------------------------------------------------------------------

enum Protocol {
  PROTOCOL_TLS_CLIENT = 16,
  PROTOCOL_TLS_SERVER = 17,
};

/// What becomes of the peer's certificate. A client that does not verify has no security at all; a
/// server that does not verify asks for none.
enum VerifyMode {
  CERT_NONE = 0,
  CERT_OPTIONAL = 1,
  CERT_REQUIRED = 2,
};

/// Whom a context is to authenticate: SERVER_AUTH is for clients, CLIENT_AUTH for servers.
enum class Purpose { SERVER_AUTH, CLIENT_AUTH };

enum class TLSVersion : int {
  MINIMUM_SUPPORTED = -2,
  SSLv3 = 0x300,
  TLSv1 = 0x301,
  TLSv1_1 = 0x302,
  TLSv1_2 = 0x303,
  TLSv1_3 = 0x304,
  MAXIMUM_SUPPORTED = -1,
};

/// Bits of SSLContext::verify_flags().
inline constexpr unsigned long VERIFY_DEFAULT = 0;
inline constexpr unsigned long VERIFY_CRL_CHECK_LEAF = 0x4;
inline constexpr unsigned long VERIFY_CRL_CHECK_CHAIN = 0x4 | 0x8;
inline constexpr unsigned long VERIFY_X509_STRICT = 0x20;
inline constexpr unsigned long VERIFY_X509_TRUSTED_FIRST = 0x8000;
inline constexpr unsigned long VERIFY_X509_PARTIAL_CHAIN = 0x80000;

/// Bits of SSLContext::options().
inline constexpr std::uint64_t OP_IGNORE_UNEXPECTED_EOF = std::uint64_t(1) << 7;
inline constexpr std::uint64_t OP_NO_TICKET = std::uint64_t(1) << 14;
inline constexpr std::uint64_t OP_NO_COMPRESSION = std::uint64_t(1) << 17;
inline constexpr std::uint64_t OP_CIPHER_SERVER_PREFERENCE = std::uint64_t(1) << 22;
inline constexpr std::uint64_t OP_NO_SSLv3 = std::uint64_t(1) << 25;
inline constexpr std::uint64_t OP_NO_TLSv1_2 = std::uint64_t(1) << 27;
inline constexpr std::uint64_t OP_NO_TLSv1_3 = std::uint64_t(1) << 29;
inline constexpr std::uint64_t OP_NO_RENEGOTIATION = std::uint64_t(1) << 30;

/// What a callback may end a handshake with.
enum AlertDescription {
  ALERT_DESCRIPTION_HANDSHAKE_FAILURE = 40,
  ALERT_DESCRIPTION_BAD_CERTIFICATE = 42,
  ALERT_DESCRIPTION_UNSUPPORTED_CERTIFICATE = 43,
  ALERT_DESCRIPTION_CERTIFICATE_REVOKED = 44,
  ALERT_DESCRIPTION_CERTIFICATE_EXPIRED = 45,
  ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN = 46,
  ALERT_DESCRIPTION_ILLEGAL_PARAMETER = 47,
  ALERT_DESCRIPTION_UNKNOWN_CA = 48,
  ALERT_DESCRIPTION_ACCESS_DENIED = 49,
  ALERT_DESCRIPTION_DECODE_ERROR = 50,
  ALERT_DESCRIPTION_DECRYPT_ERROR = 51,
  ALERT_DESCRIPTION_PROTOCOL_VERSION = 70,
  ALERT_DESCRIPTION_INSUFFICIENT_SECURITY = 71,
  ALERT_DESCRIPTION_INTERNAL_ERROR = 80,
  ALERT_DESCRIPTION_USER_CANCELLED = 90,
  ALERT_DESCRIPTION_UNSUPPORTED_EXTENSION = 110,
  ALERT_DESCRIPTION_UNRECOGNIZED_NAME = 112,
};

// ---- what connections tell --------------------------------------------------------------------

/// A certificate as Python's getpeercert() shows it.
struct Certificate {
  /// In order, each a set of (field, value), nearly always of one: {{{"commonName", "localhost"}}}.
  using Name = std::vector<std::vector<std::pair<std::string, std::string>>>;

  Name subject;
  Name issuer;
  int version = 0;           // 3
  std::string serialNumber;  // hexadecimal
  std::string notBefore;     // "Jan  1 00:00:00 2020 GMT"; see cert_time_to_seconds()
  std::string notAfter;
  /// (kind, value): {"DNS", "localhost"}, {"IP Address", "127.0.0.1"}. The value of a "DirName" is
  /// the text that Python's repr gives.
  std::vector<std::pair<std::string, std::string>> subjectAltName;
  std::vector<std::string> OCSP;
  std::vector<std::string> caIssuers;
  std::vector<std::string> crlDistributionPoints;

  /// There is none, or nobody has verified it.
  bool empty() const noexcept { return version == 0; }
  friend bool operator==(const Certificate&, const Certificate&) = default;
};

/// Python's repr of the dictionary: "{'subject': ((('commonName', 'localhost'),),), ...}".
std::string to_string(const Certificate& certificate);

struct Cipher {
  std::string name;      // "TLS_AES_256_GCM_SHA384"
  std::string protocol;  // "TLSv1.3"
  int bits = 0;          // of the secret

  friend bool operator==(const Cipher&, const Cipher&) = default;
};

/// Python's repr of the tuple: "('TLS_AES_256_GCM_SHA384', 'TLSv1.3', 256)".
std::string to_string(const Cipher& cipher);

/// What two ends remember of each other, to connect faster next time. Python: ssl.SSLSession.
class SSLSession {
 public:
  /// Stands for no session.
  SSLSession() noexcept = default;
  explicit SSLSession(std::shared_ptr<const detail::SSLSessionState> state) noexcept
      : state_(std::move(state)) {}
  explicit operator bool() const noexcept { return state_ != nullptr; }

  Bytes id() const;
  /// Seconds since 1970 when it began, and for how many it may be used.
  std::int64_t time() const;
  std::int64_t timeout() const;
  bool has_ticket() const;
  /// Seconds; 0 if the server gave none.
  unsigned long ticket_lifetime_hint() const;

  const std::shared_ptr<const detail::SSLSessionState>& state() const noexcept { return state_; }
  /// The same session, by its id.
  friend bool operator==(const SSLSession& a, const SSLSession& b);

 private:
  std::shared_ptr<const detail::SSLSessionState> state_;
};

std::string to_string(const SSLSession& session);

class SSLContext;

/// The TLS side of a connection: what get_extra_info(asyncio::ssl_object) gives. It may be kept
/// beyond the connection, but should not be, as it holds much memory. Python: ssl.SSLObject.
class SSLObject {
 public:
  /// Stands for no connection.
  SSLObject() noexcept = default;
  explicit SSLObject(std::shared_ptr<detail::SSLObjectState> state) noexcept
      : state_(std::move(state)) {}
  explicit operator bool() const noexcept { return state_ != nullptr; }

  /// "TLSv1.3"; none before the handshake, as with those below.
  std::optional<std::string> version() const;
  std::optional<Cipher> cipher() const;
  std::optional<std::string> compression() const;
  std::optional<std::string> selected_alpn_protocol() const;
  bool server_side() const;
  /// What the peer's certificate is to be valid for; none on the server's side.
  std::optional<std::string> server_hostname() const;

  /// The peer's certificate; empty if there is none, or with CERT_NONE, where it proves nothing. On
  /// the server's side also while the client is in the middle of verify_client_post_handshake().
  /// ValueError before the handshake.
  Certificate getpeercert() const;
  /// The same in DER, also with CERT_NONE; empty if there is none. ValueError before the handshake.
  Bytes getpeercert_der() const;
  /// From the peer's certificate to the authority that was trusted, in DER; what the peer sent if
  /// nothing was verified.
  std::vector<Bytes> get_verified_chain() const;
  /// What the peer sent, in DER.
  std::vector<Bytes> get_unverified_chain() const;
  /// Bytes that both ends of this connection share with no other, for protocols that bind their
  /// authentication to them; empty before the handshake. ValueError unless `type` is "tls-unique".
  Bytes get_channel_binding(std::string_view type = "tls-unique") const;

  /// What this connection can be resumed from; none before the handshake. With TLS 1.3 good for
  /// that only when the client has read something.
  SSLSession session() const;
  /// Resumes it if the server agrees. A server that resumes is not verified again: so a session
  /// whose connection has not verified what this one is to, the same host's name included, is
  /// ignored. ValueError on the server's side, for a session of another context, and after the
  /// handshake.
  void set_session(const SSLSession& session) const;
  bool session_reused() const;

  /// Asks a client for its certificate when the connection is up; the request goes with what is
  /// sent next. On the server's side of TLS 1.3, when both contexts have post_handshake_auth().
  void verify_client_post_handshake() const;

  SSLContext context() const;
  /// Goes on with the certificates and authorities of another context: for callbacks of
  /// set_sni_callback(). The client's certificate is verified if either context says so; in Python
  /// only the first one counts. SSLError if that context verifies, and the client resumes a session
  /// that it got elsewhere; TypeError for no context.
  void set_context(const SSLContext& context) const;

  const std::shared_ptr<detail::SSLObjectState>& state() const noexcept { return state_; }
  friend bool operator==(const SSLObject&, const SSLObject&) = default;

 private:
  std::shared_ptr<detail::SSLObjectState> state_;
};

/// Python's repr: "<ssl.SSLObject object at 0x7f...>".
std::string to_string(const SSLObject& object);

// ---- contexts ---------------------------------------------------------------------------------

struct CertChainOptions {
  std::string_view keyfile{};   // none: the certificates' own file
  std::string_view password{};  // of the key
};
static_assert(detail::require_inline_options<CertChainOptions>());

struct VerifyLocations {
  std::string_view cafile{};  // certificates, in PEM
  std::string_view capath{};  // a directory of them, named by openssl's rehash
  BytesView cadata{};         // certificates themselves, in PEM or DER
};
static_assert(detail::require_inline_options<VerifyLocations>());

struct SessionStats {
  long number, connect, connect_good, connect_renegotiate, accept, accept_good, accept_renegotiate,
      hits, misses, timeouts, cache_full;

  friend bool operator==(const SessionStats&, const SessionStats&) = default;
};

/// Is called in a server's handshake, in the thread of its connection, with the name that the
/// client asked for, if it did, and the context the connection was made with. It may give the
/// connection another context, or end the handshake with an alert. When it throws, the alert is
/// ALERT_DESCRIPTION_HANDSHAKE_FAILURE, and what it threw the cause of the handshake's error.
using SNICallback = std::function<std::optional<AlertDescription>(
    const SSLObject& connection, std::optional<std::string_view> server_name,
    const SSLContext& context)>;

/// Settings and certificates of connections, with Python 3.13's defaults: TLS 1.2 or newer, no
/// compression, strong ciphers. Python's also lets a peer renegotiate, these do not.
/// Python: ssl.SSLContext.
class SSLContext {
 public:
  /// Stands for no context.
  SSLContext() noexcept = default;
  /// For clients: verifies the server's certificate and name, but trusts nobody yet. For servers:
  /// asks clients for no certificate, and has none itself yet.
  explicit SSLContext(Protocol protocol);
  explicit SSLContext(std::shared_ptr<detail::SSLContextState> state) noexcept
      : state_(std::move(state)) {}
  explicit operator bool() const noexcept { return state_ != nullptr; }

  Protocol protocol() const;

  /// -- who we are

  /// Our certificate and those that lead to an authority, and its key; all in PEM. A key that needs
  /// a password and is given none is an error; nobody is asked on the terminal. OSError if a file
  /// cannot be read; ValueError for a password of more than 1024 bytes.
  void load_cert_chain(std::string_view certfile, CertChainOptions options) const;
  void load_cert_chain(std::string_view certfile) const { load_cert_chain(certfile, {}); }

  /// -- whom we trust

  /// Adds authorities. TypeError if nothing is given, OSError if `cafile` cannot be read.
  void load_verify_locations(VerifyLocations locations) const;
  /// Adds what the system trusts, for this purpose.
  void load_default_certs(Purpose purpose = Purpose::SERVER_AUTH) const;
  /// Adds the directory and file that OpenSSL was built for, or that SSL_CERT_DIR and SSL_CERT_FILE
  /// name. That they do not exist is no error.
  void set_default_verify_paths() const;

  VerifyMode verify_mode() const;
  /// ValueError for CERT_NONE while check_hostname().
  void set_verify_mode(VerifyMode mode) const;
  /// Must the certificate be valid for the host's name?
  bool check_hostname() const;
  /// True turns CERT_NONE into CERT_REQUIRED.
  void set_check_hostname(bool check) const;
  unsigned long verify_flags() const;
  void set_verify_flags(unsigned long flags) const;

  /// -- what we speak

  TLSVersion minimum_version() const;
  void set_minimum_version(TLSVersion version) const;
  TLSVersion maximum_version() const;
  void set_maximum_version(TLSVersion version) const;
  std::uint64_t options() const;
  void set_options(std::uint64_t options) const;
  /// OpenSSL's language: "ECDHE+AESGCM:!SHA1". For TLS 1.2 and older; those of TLS 1.3 are all on.
  /// SSLError if none is left.
  void set_ciphers(std::string_view ciphers) const;
  /// Their names, best first.
  std::vector<std::string> get_ciphers() const;
  /// What is offered, best first; a server picks the first of its own that the client has too.
  /// SSLError unless each has 1 to 255 bytes.
  void set_alpn_protocols(std::span<const std::string_view> protocols) const;
  void set_alpn_protocols(std::initializer_list<std::string_view> protocols) const;
  /// Null: none. A callback that holds this context, which it is given, would keep it for ever.
  void set_sni_callback(SNICallback callback) const;

  /// -- sessions and the rest

  /// Tickets that a server gives with TLS 1.3.
  std::size_t num_tickets() const;
  /// ValueError on the client's side.
  void set_num_tickets(std::size_t number) const;
  SessionStats session_stats() const;
  /// May a server ask for the client's certificate after the handshake, and only then?
  bool post_handshake_auth() const;
  void set_post_handshake_auth(bool enabled) const;
  /// Where the secrets of all connections are written, for Wireshark; empty: nowhere.
  std::string keylog_filename() const;
  /// OSError if it cannot be opened.
  void set_keylog_filename(std::string_view filename) const;

  const std::shared_ptr<detail::SSLContextState>& state() const noexcept { return state_; }
  friend bool operator==(const SSLContext&, const SSLContext&) = default;

 private:
  std::shared_ptr<detail::SSLContextState> state_;
};

/// Python's repr: "<ssl.SSLContext object at 0x7f...>".
std::string to_string(const SSLContext& context);

/// A context with settings for today. With SERVER_AUTH it verifies the server's certificate and
/// name, trusting the authorities given, or the system's if none are. Writes the secrets to the
/// file that the environment's SSLKEYLOGFILE names, if it does.
SSLContext create_default_context(Purpose purpose, VerifyLocations trusted);
inline SSLContext create_default_context(Purpose purpose = Purpose::SERVER_AUTH) {
  return create_default_context(purpose, {});
}

/// Seconds since 1970 of a certificate's notBefore or notAfter: "Jan  5 09:34:43 2018 GMT".
/// ValueError if it is no such text.
std::int64_t cert_time_to_seconds(std::string_view cert_time);

}  // namespace ssl

using ssl::SSLContext;

/// The context of a TLS connection; known before the handshake.
inline constexpr ExtraInfoKey<ssl::SSLContext> sslcontext{"sslcontext"};
inline constexpr ExtraInfoKey<ssl::SSLObject> ssl_object{"ssl_object"};
/// What SSLObject::getpeercert(), cipher() and compression() said after the handshake.
inline constexpr ExtraInfoKey<ssl::Certificate> peercert{"peercert"};
inline constexpr ExtraInfoKey<ssl::Cipher> cipher{"cipher"};
inline constexpr ExtraInfoKey<std::string> compression{"compression"};

}  // namespace asyncio::inline v1
