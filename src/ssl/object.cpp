// SPDX-License-Identifier: BSL-1.0
#include "ssl/object.hpp"

#include <algorithm>
#include <array>
#include <asyncio/detail/repr.hpp>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "ssl/context.hpp"
#include "ssl/errors.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

// OpenSSL takes a name up to its first null byte, and a leading dot for "any host of".
void require_host_name(std::string_view name) {
  if (name.front() == '.') {
    throw ValueError("server_hostname cannot be an empty string or start with a leading dot.");
  }
  if (std::ranges::any_of(name, [](unsigned char letter) { return letter == 0 || letter > 127; })) {
    throw ValueError("server_hostname " + repr_str(name) +
                     " is not ASCII; give a name in other letters in its IDNA form, 'xn--...'");
  }
}

void require_side(const ssl::SSLContext& context, bool server_side) {
  const bool for_servers = context.protocol() == ssl::PROTOCOL_TLS_SERVER;
  if (server_side && !for_servers) {
    throw ssl::SSLError("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context");
  }
  if (!server_side && for_servers) {
    throw ssl::SSLError("Cannot create a client socket with a PROTOCOL_TLS_SERVER context");
  }
}

}  // namespace

SSLObjectState::SSLObjectState(const ssl::SSLContext& from, bool is_server,
                               std::optional<std::string_view> name)
    : first_context(from), context(from), server_side(is_server) {
  require_side(context, server_side);
  ERR_clear_error();
  ssl_.reset(SSL_new(detail::native(context)));
  if (!ssl_) throw_openssl_error();
  SSL* const ssl = native();
  SSL_set_app_data(ssl, this);
  if (name && !name->empty()) {
    require_host_name(*name);
    expect_host(server_hostname.emplace(*name));
  }
  SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  if (!server_side) {
    SSL_set_post_handshake_auth(ssl, context.post_handshake_auth() ? 1 : 0);
    SSL_set_connect_state(ssl);
    return;
  }
  if (context.post_handshake_auth() && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0) {
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl) | SSL_VERIFY_POST_HANDSHAKE, nullptr);
  }
  SSL_set_accept_state(ssl);
}

void SSLObjectState::expect_host(const std::string& name) {
  const Owned<ASN1_OCTET_STRING, &ASN1_OCTET_STRING_free> address(a2i_IPADDRESS(name.c_str()));
  ERR_clear_error();
  X509_VERIFY_PARAM* const verification = SSL_get0_param(native());
  bool accepted = true;
  if (!address) accepted = SSL_set_tlsext_host_name(native(), name.c_str()) == 1;
  if (accepted && context.check_hostname()) {
    checked_host = name;
    accepted = address ? X509_VERIFY_PARAM_set1_ip(
                             verification, ASN1_STRING_get0_data(address.get()),
                             static_cast<std::size_t>(ASN1_STRING_length(address.get()))) == 1
                       : X509_VERIFY_PARAM_set1_host(verification, name.data(), name.size()) == 1;
  }
  if (!accepted) throw_openssl_error();
}

SSLSessionState::SSLSessionState(const SSLObjectState& connection, const SSL_SESSION* session)
    : context(connection.context),
      // What this copies is const since OpenSSL 3.2 only.
      session_(SSL_SESSION_dup(const_cast<SSL_SESSION*>(session))),
      verified_(connection.verifies()),
      checked_host_(connection.checked_host) {
  if (!session_) throw_openssl_error();
}

bool SSLSessionState::proves_enough_for(const SSLObjectState& connection) const noexcept {
  return (verified_ || !connection.verifies()) &&
         (connection.checked_host.empty() || connection.checked_host == checked_host_);
}

}  // namespace detail

namespace ssl {

namespace {

// The certificates in DER. Null: none.
std::vector<Bytes> der_of_all(const STACK_OF(X509) * chain) {
  std::vector<Bytes> all;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    all.push_back(detail::der_of(sk_X509_value(chain, i)));
  }
  return all;
}

std::optional<std::string> text_if_any(const char* text) {
  return text ? std::optional<std::string>(text) : std::nullopt;
}

// Null if there is none.
const X509* peer_certificate(const detail::SSLObjectState& state) {
  if (!state.handshake_done) throw ValueError("handshake not done yet");
  // A client that is asked for it later proves only in its next message that it has the key.
  if (state.server_side && SSL_in_init(state.native()) != 0) return nullptr;
  return SSL_get0_peer_certificate(state.native());
}

}  // namespace

// ---- SSLObject --------------------------------------------------------------------------------

std::optional<std::string> SSLObject::version() const {
  if (!state_->handshake_done) return std::nullopt;
  return SSL_get_version(state_->native());
}

std::optional<Cipher> SSLObject::cipher() const {
  const SSL_CIPHER* const current = SSL_get_current_cipher(state_->native());
  if (!current) return std::nullopt;
  return Cipher{SSL_CIPHER_get_name(current), SSL_CIPHER_get_version(current),
                SSL_CIPHER_get_bits(current, nullptr)};
}

std::optional<std::string> SSLObject::compression() const {
  const COMP_METHOD* const method = SSL_get_current_compression(state_->native());
  if (!method) return std::nullopt;
  return text_if_any(SSL_COMP_get_name(method));
}

std::optional<std::string> SSLObject::selected_alpn_protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(state_->native(), &name, &size);
  if (!name) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(name), size);
}

bool SSLObject::server_side() const { return state_->server_side; }

std::optional<std::string> SSLObject::server_hostname() const { return state_->server_hostname; }

Certificate SSLObject::getpeercert() const {
  const X509* const certificate = peer_certificate(*state_);
  return certificate && state_->verifies() ? detail::describe(certificate) : Certificate();
}

Bytes SSLObject::getpeercert_der() const {
  const X509* const certificate = peer_certificate(*state_);
  return certificate ? detail::der_of(certificate) : Bytes();
}

std::vector<Bytes> SSLObject::get_verified_chain() const {
  const STACK_OF(X509)* const chain = SSL_get0_verified_chain(state_->native());
  return chain ? der_of_all(chain) : get_unverified_chain();
}

std::vector<Bytes> SSLObject::get_unverified_chain() const {
  std::vector<Bytes> chain = der_of_all(SSL_get_peer_cert_chain(state_->native()));
  // On the server's side OpenSSL leaves the peer's own out.
  const X509* const own = SSL_get0_peer_certificate(state_->native());
  if (state_->server_side && own) chain.insert(chain.begin(), detail::der_of(own));
  return chain;
}

Bytes SSLObject::get_channel_binding(std::string_view type) const {
  if (type != "tls-unique") {
    throw ValueError(repr_str(type) + " channel binding type not implemented");
  }
  // The first Finished message of the handshake: the client's, or the server's of a resumption.
  const bool sent_by_us = session_reused() == state_->server_side;
  std::array<char, EVP_MAX_MD_SIZE> message;
  const std::size_t size =
      sent_by_us ? SSL_get_finished(state_->native(), message.data(), message.size())
                 : SSL_get_peer_finished(state_->native(), message.data(), message.size());
  return Bytes(message.data(), size);
}

SSLSession SSLObject::session() const {
  const SSL_SESSION* const current = SSL_get_session(state_->native());
  if (!current) return SSLSession();
  return SSLSession(std::make_shared<detail::SSLSessionState>(*state_, current));
}

void SSLObject::set_session(const SSLSession& session) const {
  if (!session || session.state()->context != state_->context) {
    throw ValueError("Session refers to a different SSLContext.");
  }
  if (state_->server_side) throw ValueError("Cannot set session for server-side SSLSocket.");
  if (state_->handshake_done) {
    throw ValueError("Cannot set session after handshake.");
  }
  if (!session.state()->proves_enough_for(*state_)) return;
  // The connection gets a copy of its own, for it changes what it has.
  const detail::SSLSessionState copy(*state_, session.state()->native());
  if (SSL_set_session(state_->native(), copy.native()) != 1) detail::throw_openssl_error();
}

bool SSLObject::session_reused() const { return SSL_session_reused(state_->native()) == 1; }

void SSLObject::verify_client_post_handshake() const {
  ERR_clear_error();
  if (SSL_verify_client_post_handshake(state_->native()) != 1) detail::throw_openssl_error();
}

SSLContext SSLObject::context() const { return state_->context; }

void SSLObject::set_context(const SSLContext& context) const {
  if (!context) throw TypeError("The value must be a SSLContext");
  SSL* const ssl = state_->native();
  SSL_CTX* const wanted = detail::native(context);
  if (wanted == SSL_get_SSL_CTX(ssl)) return;
  // OpenSSL takes the certificates only; who switches to a context that verifies clients counts on
  // that too. A resumed session brings no certificate, and began with the former context.
  const int wanted_mode = SSL_CTX_get_verify_mode(wanted);
  if ((wanted_mode & SSL_VERIFY_PEER) != 0 && session_reused()) {
    throw SSLError("The session to resume was not verified by this SSLContext");
  }
  if (!SSL_set_SSL_CTX(ssl, wanted)) detail::throw_openssl_error();
  int mode = SSL_get_verify_mode(ssl) | wanted_mode;
  // What one context leaves for later, another one may want now.
  if ((wanted_mode & SSL_VERIFY_PEER) != 0 && !context.post_handshake_auth())
    mode &= ~SSL_VERIFY_POST_HANDSHAKE;
  SSL_set_verify(ssl, mode, nullptr);
  // OpenSSL has made the session already, as one of the former context's.
  if (SSL_SESSION* const session = SSL_get_session(ssl);
      session && (wanted_mode & SSL_VERIFY_PEER) != 0 && !state_->handshake_done &&
      !session_reused()) {
    const auto& owner = context.state()->session_context();
    if (SSL_SESSION_set1_id_context(session, owner.data(), owner.size()) != 1)
      detail::throw_openssl_error();
  }
  state_->context = context;
}

std::string to_string(const SSLObject& object) {
  return "<ssl.SSLObject object at " + detail::address_of(object.state().get()) + '>';
}

// ---- SSLSession -------------------------------------------------------------------------------

Bytes SSLSession::id() const {
  unsigned int size = 0;
  const unsigned char* const id = SSL_SESSION_get_id(state_->native(), &size);
  return Bytes(reinterpret_cast<const char*>(id), size);
}

std::int64_t SSLSession::time() const {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  return SSL_SESSION_get_time_ex(state_->native());
#else
  return SSL_SESSION_get_time(state_->native());
#endif
}

std::int64_t SSLSession::timeout() const { return SSL_SESSION_get_timeout(state_->native()); }

bool SSLSession::has_ticket() const { return SSL_SESSION_has_ticket(state_->native()) == 1; }

unsigned long SSLSession::ticket_lifetime_hint() const {
  return SSL_SESSION_get_ticket_lifetime_hint(state_->native());
}

bool operator==(const SSLSession& a, const SSLSession& b) {
  return a.state_ == b.state_ || (a && b && a.id() == b.id());
}

std::string to_string(const SSLSession& session) {
  return "<_ssl.SSLSession object at " + detail::address_of(session.state().get()) + '>';
}

}  // namespace ssl

}  // namespace asyncio::inline v1
