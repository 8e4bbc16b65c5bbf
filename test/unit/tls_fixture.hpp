// SPDX-License-Identifier: BSL-1.0
// Two ends of a TLS connection, and the wire between them.
#pragma once

#include <algorithm>
#include <array>
#include <asyncio/ssl.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <boost/test/unit_test.hpp>

#include "ssl/engine.hpp"

namespace tls_tests {

using namespace asyncio;
using detail::TlsEngine;
using Status = TlsEngine::Status;

/// A file of test/certificates.
inline std::string file(const std::string& name) {
  return std::string(ASYNCIO_TEST_CERTIFICATES "/") + name;
}

inline ssl::SSLContext server_context(const std::string& certificate = "server") {
  const ssl::SSLContext context(ssl::PROTOCOL_TLS_SERVER);
  const std::string key = file(certificate + ".key");
  context.load_cert_chain(file(certificate + ".pem"), {.keyfile = key});
  return context;
}

/// Trusts this authority.
inline ssl::SSLContext client_context(const std::string& authority = "ca") {
  const std::string cafile = file(authority + ".pem");
  return ssl::create_default_context(ssl::Purpose::SERVER_AUTH, {.cafile = cafile});
}

inline ssl::SSLContext client_with_certificate() {
  const ssl::SSLContext context = client_context();
  const std::string key = file("client.key");
  context.load_cert_chain(file("client.pem"), {.keyfile = key});
  return context;
}

/// A server that demands certificates of its clients.
inline ssl::SSLContext demanding_context() {
  const ssl::SSLContext context = server_context();
  const std::string cafile = file("ca.pem");
  context.load_verify_locations({.cafile = cafile});
  context.set_verify_mode(ssl::CERT_REQUIRED);
  return context;
}

/// "ValueError: text" of what it throws, "" if nothing.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
    return {};
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    return type_name(error) + ": " + to_string(error);
  }
}

/// How an error of OpenSSL reads: `reason` is SSL_R_ and the name. Its words depend on the version.
inline std::string ssl_error(const std::string& name, int reason) {
  return "SSLError: [SSL: " + name + "] " +
         ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
}

/// What the other end calls a handshake that was refused.
inline std::string handshake_failure() {
  return ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE", SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
}

/// An error in a record. OpenSSL has a name for all of them since 3.2.
inline std::string record_error(const std::string& name, int reason) {
  constexpr int record_layer_failure = 313;  // no macro before 3.2
  if (OpenSSL_version_num() >= 0x30200000UL)
    return ssl_error("RECORD_LAYER_FAILURE", record_layer_failure);
  return ssl_error(name, reason);
}

inline const char* name(Status status) {
  switch (status) {
    case Status::done:
      return "done";
    case Status::wants_input:
      return "wants_input";
    case Status::closed:
      return "closed";
  }
  return "?";
}

/// How many of so many bytes on the wire come at once.
using Cut = std::function<std::size_t(std::size_t)>;

inline std::size_t whole(std::size_t size) { return size; }
inline std::size_t byte_by_byte(std::size_t) { return 1; }
inline Cut at_random(unsigned seed) {
  return [generator = std::mt19937(seed)](std::size_t size) mutable {
    const std::size_t most = generator() % 4 == 0 ? size : std::min<std::size_t>(size, 40);
    return 1 + generator() % most;
  };
}

/// One end, with the ciphertext that is on its way to it.
struct End {
  End(const ssl::SSLContext& context, bool server_side, std::optional<std::string_view> host)
      : engine(context, server_side, host) {}

  /// Feeds what comes next; false if nothing does.
  bool receive(const Cut& cut) {
    if (wire.empty()) return false;
    const std::size_t size = cut(wire.size());
    engine.feed(BytesView(wire).subview(0, size));
    wire.erase(0, size);
    return true;
  }
  /// Puts all output on the wire; false if there is none.
  bool send(End& peer) {
    const BytesView output = engine.output();
    if (output.empty()) return false;
    peer.wire.append(output.data(), output.size());
    engine.consume_output(output.size());
    return true;
  }
  /// "done", or the error.
  std::string handshake() {
    std::string outcome;
    const std::string error = error_of([&] { outcome = name(engine.handshake()); });
    return error.empty() ? outcome : error;
  }
  /// All that can be read, and then "|" with why it ends.
  std::string read() {
    std::string text;
    std::string end;
    while (end.empty()) {
      std::array<char, 1000> buffer;
      std::size_t count = 0;
      Status status = Status::done;
      end = error_of([&] { status = engine.read(buffer, count); });
      text.append(buffer.data(), count);
      if (end.empty() && status != Status::done) end = name(status);
    }
    return text + '|' + end;
  }
  std::string write(BytesView data) {
    Status status = Status::done;
    const std::string error = error_of([&] {
      while (!data.empty() && status == Status::done) {
        std::size_t count = 0;
        status = engine.write(data, count);
        data = data.subview(count);
      }
    });
    return error.empty() ? name(status) : error;
  }
  std::string shutdown() {
    std::string outcome;
    const std::string error = error_of([&] { outcome = name(engine.shutdown()); });
    return error.empty() ? outcome : error;
  }

  TlsEngine engine;
  std::string wire;
};

struct Connection {
  Connection(const ssl::SSLContext& of_client, const ssl::SSLContext& of_server,
             std::optional<std::string_view> host = "localhost")
      : client(of_client, false, host), server(of_server, true, std::nullopt) {}

  /// Goes on until nothing moves any more. What became of the client, and of the server.
  std::pair<std::string, std::string> handshake() {
    std::pair<std::string, std::string> outcome("wants_input", "wants_input");
    const auto turn = [this](End& self, End& peer, std::string& of_self) {
      bool moved = self.receive(cut);
      if (of_self == "wants_input") of_self = self.handshake();
      moved |= self.send(peer);
      return moved;
    };
    bool moved = true;
    while (moved) {
      moved = turn(client, server, outcome.first);
      moved |= turn(server, client, outcome.second);
    }
    return outcome;
  }
  /// The same, to succeed.
  void connect() {
    const auto [of_client, of_server] = handshake();
    BOOST_REQUIRE_EQUAL(of_client, "done");
    BOOST_REQUIRE_EQUAL(of_server, "done");
  }
  /// All that is on the wire to `self` arrives; the bytes read from that, and why they end.
  std::string receive(End& self) {
    std::string text;
    std::string last = self.read();
    while (self.receive(cut)) {
      text += last.substr(0, last.rfind('|'));
      last = self.read();
    }
    return text + last;
  }
  void move(End& from, End& to) {
    from.send(to);
    while (to.receive(cut)) {
    }
  }

  End client;
  End server;
  Cut cut = whole;
};

}  // namespace tls_tests
