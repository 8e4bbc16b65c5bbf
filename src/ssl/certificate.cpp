// SPDX-License-Identifier: BSL-1.0
// Certificates as Python shows them.
#include <strings.h>

#include <algorithm>
#include <array>
#include <asyncio/bytes.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include <openssl/x509v3.h>

#include "ssl/errors.hpp"
#include "ssl/object.hpp"

namespace asyncio::inline v1 {

namespace {

using ssl::Certificate;
using Bio = detail::Owned<BIO, &BIO_free>;

// What `print` writes.
template <class Print>
std::string printed(Print print) {
  const Bio text(BIO_new(BIO_s_mem()));
  if (!text) detail::throw_openssl_error();
  print(text.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string raw_text(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

std::string utf8_text(const ASN1_STRING* text) {
  unsigned char* data = nullptr;
  const int size = ASN1_STRING_to_UTF8(&data, text);
  if (size < 0) detail::throw_openssl_error();
  const std::string utf8(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return utf8;
}

std::string object_text(const ASN1_OBJECT* object, bool by_name) {
  std::array<char, 256> text;
  OBJ_obj2txt(text.data(), static_cast<int>(text.size()), object, by_name ? 0 : 1);
  return text.data();
}

Certificate::Name name_of(const X509_NAME* name) {
  Certificate::Name sets;
  int last_set = -1;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    if (const int set = X509_NAME_ENTRY_set(entry); set != last_set) {
      sets.emplace_back();
      last_set = set;
    }
    sets.back().emplace_back(object_text(X509_NAME_ENTRY_get_object(entry), true),
                             utf8_text(X509_NAME_ENTRY_get_data(entry)));
  }
  return sets;
}

std::string time_text(const ASN1_TIME* time) {
  return printed([time](BIO* out) { ASN1_TIME_print(out, time); });
}

// ---- Python's tuples --------------------------------------------------------------------------

// "(a, b)"; of one "(a,)".
template <class Items, class Show>
std::string tuple_text(const Items& items, Show show) {
  std::string text = "(";
  for (const auto& item : items) text += (text.size() > 1 ? ", " : "") + show(item);
  return text + (items.size() == 1 ? ",)" : ")");
}

std::string pair_text(const std::pair<std::string, std::string>& pair) {
  // Of the alternative names, a directory's is a tuple already.
  const std::string second = pair.first == "DirName" ? pair.second : repr_str(pair.second);
  return '(' + repr_str(pair.first) + ", " + second + ')';
}

std::string name_text(const Certificate::Name& name) {
  return tuple_text(name, [](const auto& set) { return tuple_text(set, pair_text); });
}

std::string strings_text(const std::vector<std::string>& strings) {
  return tuple_text(strings, [](const std::string& text) { return repr_str(text); });
}

// ---- extensions -------------------------------------------------------------------------------

std::string address_text(const ASN1_OCTET_STRING* address) {
  const unsigned char* const bytes = ASN1_STRING_get0_data(address);
  std::string text;
  switch (ASN1_STRING_length(address)) {
    case 4:
      for (int i = 0; i < 4; ++i) text += (i > 0 ? "." : "") + std::to_string(bytes[i]);
      return text;
    case 16:
      for (int i = 0; i < 16; i += 2) {
        std::array<char, 8> group;
        std::snprintf(group.data(), group.size(), "%X", bytes[i] << 8 | bytes[i + 1]);
        text.append(i > 0 ? ":" : "").append(group.data());
      }
      return text;
    default:
      return "<invalid>";
  }
}

std::pair<std::string, std::string> alternative_name(GENERAL_NAME* name) {
  int kind = 0;
  void* const value = GENERAL_NAME_get0_value(name, &kind);
  switch (kind) {
    case GEN_DIRNAME:
      return {"DirName", name_text(name_of(static_cast<const X509_NAME*>(value)))};
    case GEN_EMAIL:
      return {"email", raw_text(static_cast<const ASN1_STRING*>(value))};
    case GEN_DNS:
      return {"DNS", raw_text(static_cast<const ASN1_STRING*>(value))};
    case GEN_URI:
      return {"URI", raw_text(static_cast<const ASN1_STRING*>(value))};
    case GEN_RID:
      return {"Registered ID", object_text(static_cast<const ASN1_OBJECT*>(value), true)};
    case GEN_IPADD:
      return {"IP Address", address_text(static_cast<const ASN1_OCTET_STRING*>(value))};
    default: {
      const std::string text = printed([name](BIO* out) { GENERAL_NAME_print(out, name); });
      const std::size_t colon = text.find(':');
      return {text.substr(0, colon), colon == text.npos ? "" : text.substr(colon + 1)};
    }
  }
}

using GeneralNames = detail::Owned<GENERAL_NAMES, &GENERAL_NAMES_free>;
using AccessDescriptions = detail::Owned<AUTHORITY_INFO_ACCESS, &AUTHORITY_INFO_ACCESS_free>;
using DistributionPoints = detail::Owned<CRL_DIST_POINTS, &CRL_DIST_POINTS_free>;

// Null if the certificate does not have it.
template <class Owner>
Owner extension(const X509* certificate, int kind) {
  return Owner(
      static_cast<typename Owner::pointer>(X509_get_ext_d2i(certificate, kind, nullptr, nullptr)));
}

void add_uri(std::vector<std::string>& uris, GENERAL_NAME* name) {
  int kind = 0;
  void* const value = GENERAL_NAME_get0_value(name, &kind);
  if (kind == GEN_URI) uris.push_back(raw_text(static_cast<const ASN1_STRING*>(value)));
}

}  // namespace

namespace detail {

Bytes der_of(const X509* certificate) {
  return printed([certificate](BIO* out) { i2d_X509_bio(out, certificate); });
}

Certificate describe(const X509* certificate) {
  Certificate description;
  description.subject = name_of(X509_get_subject_name(certificate));
  description.issuer = name_of(X509_get_issuer_name(certificate));
  description.version = static_cast<int>(X509_get_version(certificate)) + 1;
  description.serialNumber = printed(
      [certificate](BIO* out) { i2a_ASN1_INTEGER(out, X509_get0_serialNumber(certificate)); });
  description.notBefore = time_text(X509_get0_notBefore(certificate));
  description.notAfter = time_text(X509_get0_notAfter(certificate));

  const auto names = extension<GeneralNames>(certificate, NID_subject_alt_name);
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    description.subjectAltName.push_back(alternative_name(sk_GENERAL_NAME_value(names.get(), i)));
  }
  const auto accesses = extension<AccessDescriptions>(certificate, NID_info_access);
  for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(accesses.get()); ++i) {
    const ACCESS_DESCRIPTION* const access = sk_ACCESS_DESCRIPTION_value(accesses.get(), i);
    const int method = OBJ_obj2nid(access->method);
    if (method == NID_ad_OCSP) add_uri(description.OCSP, access->location);
    if (method == NID_ad_ca_issuers) add_uri(description.caIssuers, access->location);
  }
  const auto points = extension<DistributionPoints>(certificate, NID_crl_distribution_points);
  for (int i = 0; i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT_NAME* const point = sk_DIST_POINT_value(points.get(), i)->distpoint;
    if (!point || point->type != 0) continue;  // 0: full names, not relative to the issuer's
    for (int j = 0; j < sk_GENERAL_NAME_num(point->name.fullname); ++j) {
      add_uri(description.crlDistributionPoints, sk_GENERAL_NAME_value(point->name.fullname, j));
    }
  }
  return description;
}

}  // namespace detail

namespace ssl {

std::string to_string(const Certificate& certificate) {
  if (certificate.empty()) return "{}";
  std::string text = "{'subject': " + name_text(certificate.subject) +
                     ", 'issuer': " + name_text(certificate.issuer) +
                     ", 'version': " + std::to_string(certificate.version) +
                     ", 'serialNumber': " + repr_str(certificate.serialNumber) +
                     ", 'notBefore': " + repr_str(certificate.notBefore) +
                     ", 'notAfter': " + repr_str(certificate.notAfter);
  if (!certificate.subjectAltName.empty()) {
    text += ", 'subjectAltName': " + tuple_text(certificate.subjectAltName, pair_text);
  }
  const auto add = [&text](const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) text += ", '" + std::string(key) + "': " + strings_text(values);
  };
  add("OCSP", certificate.OCSP);
  add("caIssuers", certificate.caIssuers);
  add("crlDistributionPoints", certificate.crlDistributionPoints);
  return text + '}';
}

std::string to_string(const Cipher& cipher) {
  return '(' + repr_str(cipher.name) + ", " + repr_str(cipher.protocol) + ", " +
         std::to_string(cipher.bits) + ')';
}

std::int64_t cert_time_to_seconds(std::string_view cert_time) {
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string text(cert_time);
  std::array<char, 4> name{};
  std::array<char, 4> zone{};
  int day = 0, hour = 0, minute = 0, second = 0, year = 0, end = 0;
  const int fields = std::sscanf(text.c_str(), "%3s %2d %2d:%2d:%2d %4d %3s%n", name.data(), &day,
                                 &hour, &minute, &second, &year, zone.data(), &end);
  const auto month = std::ranges::find_if(
      months, [&name](const char* known) { return ::strcasecmp(known, name.data()) == 0; });
  const bool in_range = month != months.end() && day >= 1 && day <= 31 && hour >= 0 && hour <= 23 &&
                        minute >= 0 && minute <= 59 && second >= 0 && second <= 61 && year >= 1;
  if (fields != 7 || end != static_cast<int>(text.size()) || !in_range ||
      std::string_view(zone.data()) != "GMT") {
    throw ValueError("time data " + repr_str(text) +
                     " does not match format \"%b %d %H:%M:%S %Y GMT\"");
  }
  namespace chrono = std::chrono;
  const auto number = static_cast<unsigned>(month - months.begin()) + 1;
  const auto first = chrono::sys_days(chrono::year(year) / chrono::month(number) / 1);
  return chrono::sys_seconds(first + chrono::days(day - 1) + chrono::hours(hour) +
                             chrono::minutes(minute) + chrono::seconds(second))
      .time_since_epoch()
      .count();
}

}  // namespace ssl

}  // namespace asyncio::inline v1
