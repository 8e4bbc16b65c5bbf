// SPDX-License-Identifier: BSL-1.0
// Echo server, Protocol over TLS with a certificate made at start: bench_echo_tls PORT. Prints READY
// and echoes until it is killed.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include <asyncio/ssl.hpp>

#include "echo_protocol.hpp"

/// A key and a certificate for localhost that it has signed itself, good for a day.
void use_new_certificate(const asyncio::SSLContext& context) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 60 * 60);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());

  // A context loads files: this one is in memory.
  const int file = ::memfd_create("certificate", MFD_CLOEXEC);
  std::FILE* const stream = ::fdopen(file, "w");
  PEM_write_PrivateKey(stream, key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_X509(stream, certificate);
  std::fflush(stream);
  context.load_cert_chain("/proc/self/fd/" + std::to_string(file));
  std::fclose(stream);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_tls PORT\n", stderr);
    return 2;
  }
  const asyncio::SSLContext context(asyncio::ssl::PROTOCOL_TLS_SERVER);
  use_new_certificate(context);
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(loop.create_server<Echo>(
      "127.0.0.1", std::atoi(argv[1]), {.backlog = 4096, .ssl = &context}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
