// SPDX-License-Identifier: BSL-1.0
// A certificate for the TLS servers, made at start.
#pragma once

#include <cstdio>
#include <string>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>

/// A file, in memory, with a key and a certificate for localhost that it has signed itself, good
/// for a day. The file is there as long as this is.
class NewCertificate {
 public:
  NewCertificate() : file_(::fdopen(::memfd_create("certificate", MFD_CLOEXEC), "w")) {
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
    PEM_write_PrivateKey(file_, key, nullptr, nullptr, 0, nullptr, nullptr);
    PEM_write_X509(file_, certificate);
    std::fflush(file_);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  NewCertificate(const NewCertificate&) = delete;
  NewCertificate& operator=(const NewCertificate&) = delete;
  ~NewCertificate() { std::fclose(file_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(::fileno(file_)); }

 private:
  std::FILE* file_;
};
