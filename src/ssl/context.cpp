// SPDX-License-Identifier: BSL-1.0
#include "ssl/context.hpp"

#include <algorithm>
#include <asyncio/detail/repr.hpp>
#include <asyncio/logging.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "ssl/errors.hpp"
#include "ssl/object.hpp"

namespace asyncio::inline v1 {

namespace {

static_assert(ssl::VERIFY_CRL_CHECK_LEAF == X509_V_FLAG_CRL_CHECK);
static_assert(ssl::VERIFY_CRL_CHECK_CHAIN == (X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL));
static_assert(ssl::VERIFY_X509_STRICT == X509_V_FLAG_X509_STRICT);
static_assert(ssl::VERIFY_X509_TRUSTED_FIRST == X509_V_FLAG_TRUSTED_FIRST);
static_assert(ssl::VERIFY_X509_PARTIAL_CHAIN == X509_V_FLAG_PARTIAL_CHAIN);
static_assert(ssl::OP_IGNORE_UNEXPECTED_EOF == SSL_OP_IGNORE_UNEXPECTED_EOF);
static_assert(ssl::OP_NO_TICKET == SSL_OP_NO_TICKET);
static_assert(ssl::OP_NO_COMPRESSION == SSL_OP_NO_COMPRESSION);
static_assert(ssl::OP_CIPHER_SERVER_PREFERENCE == SSL_OP_CIPHER_SERVER_PREFERENCE);
static_assert(ssl::OP_NO_SSLv3 == SSL_OP_NO_SSLv3);
static_assert(ssl::OP_NO_TLSv1_2 == SSL_OP_NO_TLSv1_2);
static_assert(ssl::OP_NO_TLSv1_3 == SSL_OP_NO_TLSv1_3);
static_assert(ssl::OP_NO_RENEGOTIATION == SSL_OP_NO_RENEGOTIATION);
static_assert(int(ssl::TLSVersion::SSLv3) == SSL3_VERSION);
static_assert(int(ssl::TLSVersion::TLSv1_3) == TLS1_3_VERSION);
static_assert(ssl::ALERT_DESCRIPTION_UNRECOGNIZED_NAME == SSL_AD_UNRECOGNIZED_NAME);

// Python's choice: forward secrecy and authenticated ciphers, no SHA-1 and no DSA.
constexpr const char* default_ciphers =
    "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM";

constexpr int verify_required = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

constexpr std::size_t longest_password = PEM_BUFSIZE;

void require(bool succeeded) {
  if (!succeeded) detail::throw_openssl_error();
}

// To be called before a file is read; what fails then is an OSError if the system refused.
void forget_errors() {
  ERR_clear_error();
  errno = 0;
}

void require_read(bool succeeded) {
  // OpenSSL does not always say so in its queue: not for a directory, for one.
  const int error = errno;
  if (!succeeded && error != 0) {
    ERR_clear_error();
    throw_os_error(error);
  }
  require(succeeded);
}

const char* null_if_empty(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// ---- callbacks of OpenSSL ---------------------------------------------------------------------

int give_password(char* buffer, int size, int, void* password) {
  // Without one this fails, where OpenSSL's own callback would ask on the terminal.
  if (!password) return -1;
  const std::string_view text = *static_cast<const std::string_view*>(password);
  if (text.size() > static_cast<std::size_t>(size)) return -1;
  std::ranges::copy(text, buffer);
  return static_cast<int>(text.size());
}

void log_secret(const SSL* ssl, const char* line) {
  detail::SSLObjectState::of(ssl).context.state()->keylog->write(line);
}

int select_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                const unsigned char* offered, unsigned int offered_size, void* state) {
  const std::string& ours = static_cast<detail::SSLContextState*>(state)->alpn_protocols;
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(
      &found, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
      static_cast<unsigned int>(ours.size()), offered, offered_size);
  if (outcome != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

/// A server's handshake that fails is the client's affair; a callback that does is the program's.
void log_ignored(const std::exception_ptr& error) noexcept {
  try {
    get_logger("asyncio").error("Exception ignored in an SNI callback: {}", error);
  } catch (...) {  // a sink's; it must not pass through OpenSSL
  }
}

int on_server_name(SSL* ssl, int* alert, void* state) {
  const auto callback = static_cast<detail::SSLContextState*>(state)->sni_callback;
  if (!callback) return SSL_TLSEXT_ERR_OK;
  detail::SSLObjectState& connection = detail::SSLObjectState::of(ssl);
  std::optional<std::string_view> name;
  if (const char* const text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) name = text;
  try {
    const auto refusal =
        (*callback)(ssl::SSLObject(connection.shared_from_this()), name, connection.first_context);
    if (!refusal) return SSL_TLSEXT_ERR_OK;
    *alert = *refusal;
  } catch (...) {
    connection.thrown = std::current_exception();
    log_ignored(connection.thrown);
    *alert = SSL_AD_HANDSHAKE_FAILURE;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// ---- authorities in memory --------------------------------------------------------------------

using Bio = detail::Owned<BIO, &BIO_free>;
using X509Owner = detail::Owned<X509, &X509_free>;

// A certificate in DER begins so: a sequence of more than 127 bytes. No text does.
bool is_der(BytesView data) {
  return data.size() > 1 && data[0] == 0x30 && (static_cast<unsigned char>(data[1]) & 0x80) != 0;
}

void add_authorities(SSL_CTX* context, BytesView data) {
  if (data.empty()) throw ValueError("Empty certificate data");
  if (data.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw ValueError("Certificate data is too long.");
  }
  ERR_clear_error();
  const bool der = is_der(data);
  const Bio source(BIO_new_mem_buf(data.data(), static_cast<int>(data.size())));
  require(source != nullptr);
  std::size_t count = 0;
  while (!der || BIO_pending(source.get()) != 0) {
    const X509Owner certificate(
        der ? d2i_X509_bio(source.get(), nullptr)
            : PEM_read_bio_X509(source.get(), nullptr, give_password, nullptr));
    if (!certificate) break;
    require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) == 1);
    ++count;
  }
  const unsigned long error = ERR_peek_last_error();
  if (count == 0) {
    ERR_clear_error();
    throw ssl::SSLError(der ? "not enough data: cadata does not contain a certificate"
                            : "no start line: cadata does not contain a certificate");
  }
  const bool end_of_text =
      !der && ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (error != 0 && !end_of_text) detail::throw_openssl_error();
  ERR_clear_error();
}

}  // namespace

// ---- states -----------------------------------------------------------------------------------

namespace detail {

KeyLog::KeyLog(std::string filename)
    : filename_(std::move(filename)), file_(std::fopen(filename_.c_str(), "ae")) {
  if (!file_) {
    const int error = errno;
    throw_os_error(error, std::strerror(error) + (": " + repr_str(filename_)));
  }
  std::fseek(file_.get(), 0, SEEK_END);
  if (std::ftell(file_.get()) == 0) write("# TLS secrets log file, generated by OpenSSL / asyncio");
}

void KeyLog::write(const char* line) noexcept {
  const std::lock_guard lock(mutex_);
  std::fprintf(file_.get(), "%s\n", line);
  std::fflush(file_.get());
}

SSLContextState::SSLContextState(ssl::Protocol wanted)
    : protocol(wanted),
      check_hostname(wanted == ssl::PROTOCOL_TLS_CLIENT),
      context_(check_hostname ? boost::asio::ssl::context::tls_client
                              : boost::asio::ssl::context::tls_server) {
  SSL_CTX* const context = native();
  SSL_CTX_set_verify(context, check_hostname ? verify_required : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_options(context, (SSL_OP_ALL & ~SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS) |
                                   SSL_OP_NO_SSLv3 | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
  // An idle connection gives its two buffers of 16 KiB back.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  require(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
  require(SSL_CTX_set_cipher_list(context, default_ciphers) == 1);
  require(RAND_bytes(session_context_.data(), session_context_.size()) == 1);
  require(SSL_CTX_set_session_id_context(context, session_context_.data(),
                                         session_context_.size()) == 1);
  X509_VERIFY_PARAM* const verification = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(verification, X509_V_FLAG_TRUSTED_FIRST);
  X509_VERIFY_PARAM_set_hostflags(verification, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_CTX_set_default_passwd_cb(context, give_password);
}

}  // namespace detail

// ---- SSLContext -------------------------------------------------------------------------------

namespace ssl {

using detail::native;

SSLContext::SSLContext(Protocol protocol)
    : state_(std::make_shared<detail::SSLContextState>(protocol)) {}

Protocol SSLContext::protocol() const { return state_->protocol; }

void SSLContext::load_cert_chain(std::string_view certfile, CertChainOptions options) const {
  if (options.password.size() > longest_password) {
    throw ValueError("password cannot be longer than " + std::to_string(longest_password) +
                     " bytes");
  }
  struct WithPassword {
    WithPassword(SSL_CTX* target, std::string_view& password) : context(target) {
      SSL_CTX_set_default_passwd_cb_userdata(context, password.empty() ? nullptr : &password);
    }
    ~WithPassword() { SSL_CTX_set_default_passwd_cb_userdata(context, nullptr); }
    SSL_CTX* context;
  };

  SSL_CTX* const context = native(*this);
  const std::string certificates(certfile);
  const std::string key(options.keyfile.empty() ? certfile : options.keyfile);
  const WithPassword with_password(context, options.password);
  forget_errors();
  require_read(SSL_CTX_use_certificate_chain_file(context, certificates.c_str()) == 1);
  forget_errors();
  require_read(SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1);
  require(SSL_CTX_check_private_key(context) == 1);
}

void SSLContext::load_verify_locations(VerifyLocations locations) const {
  const bool files = !locations.cafile.empty() || !locations.capath.empty();
  if (!files && !locations.cadata.data()) {
    throw TypeError("cafile, capath and cadata cannot be all omitted");
  }
  if (locations.cadata.data()) add_authorities(native(*this), locations.cadata);
  if (!files) return;
  const std::string cafile(locations.cafile);
  const std::string capath(locations.capath);
  forget_errors();
  require_read(SSL_CTX_load_verify_locations(native(*this), null_if_empty(cafile),
                                             null_if_empty(capath)) == 1);
}

void SSLContext::load_default_certs(Purpose) const { set_default_verify_paths(); }

void SSLContext::set_default_verify_paths() const {
  ERR_clear_error();
  require(SSL_CTX_set_default_verify_paths(native(*this)) == 1);
}

VerifyMode SSLContext::verify_mode() const {
  const int mode = SSL_CTX_get_verify_mode(native(*this));
  if ((mode & SSL_VERIFY_PEER) == 0) return CERT_NONE;
  return (mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) == 0 ? CERT_OPTIONAL : CERT_REQUIRED;
}

void SSLContext::set_verify_mode(VerifyMode mode) const {
  if (mode == CERT_NONE && check_hostname()) {
    throw ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.");
  }
  const int flags = mode == CERT_NONE       ? SSL_VERIFY_NONE
                    : mode == CERT_OPTIONAL ? SSL_VERIFY_PEER
                                            : verify_required;
  SSL_CTX_set_verify(native(*this), flags, nullptr);
}

bool SSLContext::check_hostname() const { return state_->check_hostname; }

void SSLContext::set_check_hostname(bool check) const {
  if (check && verify_mode() == CERT_NONE) set_verify_mode(CERT_REQUIRED);
  state_->check_hostname = check;
}

unsigned long SSLContext::verify_flags() const {
  return X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(native(*this)));
}

void SSLContext::set_verify_flags(unsigned long flags) const {
  X509_VERIFY_PARAM* const verification = SSL_CTX_get0_param(native(*this));
  X509_VERIFY_PARAM_clear_flags(verification, X509_VERIFY_PARAM_get_flags(verification));
  X509_VERIFY_PARAM_set_flags(verification, flags);
}

namespace {

void require_version(bool accepted, TLSVersion version) {
  if (!accepted) {
    throw ValueError("Unsupported protocol version " + std::to_string(static_cast<int>(version)));
  }
}

}  // namespace

TLSVersion SSLContext::minimum_version() const {
  const auto version = SSL_CTX_get_min_proto_version(native(*this));
  return version == 0 ? TLSVersion::MINIMUM_SUPPORTED : static_cast<TLSVersion>(version);
}

void SSLContext::set_minimum_version(TLSVersion version) const {
  if (version == TLSVersion::SSLv3) set_options(options() & ~OP_NO_SSLv3);
  const int number = version == TLSVersion::MINIMUM_SUPPORTED   ? 0
                     : version == TLSVersion::MAXIMUM_SUPPORTED ? TLS1_3_VERSION
                                                                : static_cast<int>(version);
  require_version(SSL_CTX_set_min_proto_version(native(*this), number) == 1, version);
}

TLSVersion SSLContext::maximum_version() const {
  const auto version = SSL_CTX_get_max_proto_version(native(*this));
  return version == 0 ? TLSVersion::MAXIMUM_SUPPORTED : static_cast<TLSVersion>(version);
}

void SSLContext::set_maximum_version(TLSVersion version) const {
  const int number = version == TLSVersion::MAXIMUM_SUPPORTED   ? 0
                     : version == TLSVersion::MINIMUM_SUPPORTED ? TLS1_VERSION
                                                                : static_cast<int>(version);
  require_version(SSL_CTX_set_max_proto_version(native(*this), number) == 1, version);
}

std::uint64_t SSLContext::options() const { return SSL_CTX_get_options(native(*this)); }

void SSLContext::set_options(std::uint64_t wanted) const {
  SSL_CTX_clear_options(native(*this), options() & ~wanted);
  SSL_CTX_set_options(native(*this), wanted);
}

void SSLContext::set_ciphers(std::string_view ciphers) const {
  ERR_clear_error();
  const bool chosen = SSL_CTX_set_cipher_list(native(*this), std::string(ciphers).c_str()) == 1;
  ERR_clear_error();
  if (!chosen) throw SSLError("No cipher can be selected.");
}

std::vector<std::string> SSLContext::get_ciphers() const {
  const STACK_OF(SSL_CIPHER)* const ciphers = SSL_CTX_get_ciphers(native(*this));
  std::vector<std::string> names;
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    names.emplace_back(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
  }
  return names;
}

void SSLContext::set_alpn_protocols(std::span<const std::string_view> protocols) const {
  std::string joined;
  for (const std::string_view name : protocols) {
    if (name.empty() || name.size() > 255) {
      throw SSLError("ALPN protocols must be 1 to 255 in length");
    }
    joined += static_cast<char>(name.size());
    joined += name;
  }
  state_->alpn_protocols = std::move(joined);
  const std::string& kept = state_->alpn_protocols;
  // Unlike its kin, this returns 0 when it has succeeded.
  require(SSL_CTX_set_alpn_protos(native(*this),
                                  reinterpret_cast<const unsigned char*>(kept.data()),
                                  static_cast<unsigned int>(kept.size())) == 0);
  SSL_CTX_set_alpn_select_cb(native(*this), kept.empty() ? nullptr : select_alpn, state_.get());
}

void SSLContext::set_alpn_protocols(std::initializer_list<std::string_view> protocols) const {
  set_alpn_protocols(std::span(protocols.begin(), protocols.size()));
}

void SSLContext::set_sni_callback(SNICallback callback) const {
  const auto function = callback ? on_server_name : nullptr;
  state_->sni_callback =
      callback ? std::make_shared<const SNICallback>(std::move(callback)) : nullptr;
  SSL_CTX_set_tlsext_servername_callback(native(*this), function);
  SSL_CTX_set_tlsext_servername_arg(native(*this), state_.get());
}

std::size_t SSLContext::num_tickets() const { return SSL_CTX_get_num_tickets(native(*this)); }

void SSLContext::set_num_tickets(std::size_t number) const {
  if (protocol() != PROTOCOL_TLS_SERVER) throw ValueError("SSLContext is not a server context.");
  if (SSL_CTX_set_num_tickets(native(*this), number) != 1) {
    throw ValueError("failed to set num tickets.");
  }
}

SessionStats SSLContext::session_stats() const {
  SSL_CTX* const context = native(*this);
  return {.number = SSL_CTX_sess_number(context),
          .connect = SSL_CTX_sess_connect(context),
          .connect_good = SSL_CTX_sess_connect_good(context),
          .connect_renegotiate = SSL_CTX_sess_connect_renegotiate(context),
          .accept = SSL_CTX_sess_accept(context),
          .accept_good = SSL_CTX_sess_accept_good(context),
          .accept_renegotiate = SSL_CTX_sess_accept_renegotiate(context),
          .hits = SSL_CTX_sess_hits(context),
          .misses = SSL_CTX_sess_misses(context),
          .timeouts = SSL_CTX_sess_timeouts(context),
          .cache_full = SSL_CTX_sess_cache_full(context)};
}

bool SSLContext::post_handshake_auth() const { return state_->post_handshake_auth; }

void SSLContext::set_post_handshake_auth(bool enabled) const {
  state_->post_handshake_auth = enabled;
}

std::string SSLContext::keylog_filename() const {
  return state_->keylog ? state_->keylog->filename() : std::string();
}

void SSLContext::set_keylog_filename(std::string_view filename) const {
  auto keylog =
      filename.empty() ? nullptr : std::make_unique<detail::KeyLog>(std::string(filename));
  SSL_CTX_set_keylog_callback(native(*this), keylog ? log_secret : nullptr);
  state_->keylog = std::move(keylog);
}

std::string to_string(const SSLContext& context) {
  return "<ssl.SSLContext object at " + detail::address_of(context.state().get()) + '>';
}

SSLContext create_default_context(Purpose purpose, VerifyLocations trusted) {
  SSLContext context(purpose == Purpose::SERVER_AUTH ? PROTOCOL_TLS_CLIENT : PROTOCOL_TLS_SERVER);
  context.set_verify_flags(context.verify_flags() | VERIFY_X509_PARTIAL_CHAIN | VERIFY_X509_STRICT);
  if (!trusted.cafile.empty() || !trusted.capath.empty() || !trusted.cadata.empty()) {
    context.load_verify_locations(trusted);
  } else if (context.verify_mode() != CERT_NONE) {
    context.load_default_certs(purpose);
  }
  const char* const keylog = std::getenv("SSLKEYLOGFILE");
  if (keylog && *keylog != '\0') context.set_keylog_filename(keylog);
  return context;
}

}  // namespace ssl

}  // namespace asyncio::inline v1
