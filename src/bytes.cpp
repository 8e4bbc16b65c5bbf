// SPDX-License-Identifier: BSL-1.0
//
// Python's printed forms of bytes, str and float.
#include <asyncio/bytes.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace asyncio::inline v1 {

namespace {

void append_hex(std::string& out, std::uint32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> shift) & 0xf];
  }
}

char quote_for(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos;
  const bool has_double = text.find('"') != text.npos;
  return has_single && !has_double ? '"' : '\'';
}

// Escapes what bytes and str escape alike; false for anything else.
bool append_escape(std::string& out, char c, char quote) {
  switch (c) {
    case '\n':
      out += "\\n";
      return true;
    case '\r':
      out += "\\r";
      return true;
    case '\t':
      out += "\\t";
      return true;
    case '\\':
      out += "\\\\";
      return true;
    default:
      break;
  }
  if (c != quote) return false;
  out += '\\';
  out += c;
  return true;
}

bool is_plain_ascii(unsigned char c) { return c >= 0x20 && c < 0x7f; }

void append_byte(std::string& out, char c) {
  out += "\\x";
  append_hex(out, static_cast<unsigned char>(c), 2);
}

struct Decoded {
  std::uint32_t code_point;
  std::size_t length;  // 0: not valid UTF-8
};

Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return static_cast<unsigned char>(text[i]);
  };
  const std::uint32_t first = byte(0);
  std::size_t length = 0;
  std::uint32_t code = 0;
  std::uint32_t smallest = 0;  // below it the encoding is overlong
  if (first < 0x80) return {first, 1};
  if (first >= 0xc0 && first < 0xe0) length = 2, code = first & 0x1f, smallest = 0x80;
  if (first >= 0xe0 && first < 0xf0) length = 3, code = first & 0x0f, smallest = 0x800;
  if (first >= 0xf0 && first < 0xf8) length = 4, code = first & 0x07, smallest = 0x10000;
  if (length == 0 || text.size() < length) return {0, 0};
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < smallest || code > 0x10ffff || surrogate) return {0, 0};
  return {code, length};
}

// The characters beyond ASCII that Python escapes and that turn up in practice: controls, spaces
// other than the plain one, separators, directional and other invisible marks, private use.
bool is_unprintable(std::uint32_t code) {
  return (code >= 0x80 && code <= 0xa0) || code == 0xad || code == 0x1680 || code == 0x180e ||
         (code >= 0x2000 && code <= 0x200f) || (code >= 0x2028 && code <= 0x202f) ||
         (code >= 0x205f && code <= 0x206f) || code == 0x3000 ||
         (code >= 0xe000 && code <= 0xf8ff) || code == 0xfeff ||
         (code >= 0xfff0 && code <= 0xfffb) || (code & 0xfffe) == 0xfffe || code >= 0xe0000;
}

void append_code_point(std::string& out, std::uint32_t code) {
  if (code <= 0xff) {
    out += "\\x";
    append_hex(out, code, 2);
  } else if (code <= 0xffff) {
    out += "\\u";
    append_hex(out, code, 4);
  } else {
    out += "\\U";
    append_hex(out, code, 8);
  }
}

}  // namespace

std::string repr(BytesView bytes) {
  const char quote = quote_for(bytes);
  std::string out = {'b', quote};
  out.reserve(bytes.size() + 3);
  for (const char c : bytes) {
    if (append_escape(out, c, quote)) continue;
    if (is_plain_ascii(static_cast<unsigned char>(c))) {
      out += c;
    } else {
      append_byte(out, c);
    }
  }
  out += quote;
  return out;
}

std::string repr_str(std::string_view text) {
  const char quote = quote_for(text);
  std::string out = {quote};
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const Decoded next = decode(text);
    const std::size_t length = next.length ? next.length : 1;
    if (next.length == 0) {
      append_byte(out, text[0]);
    } else if (next.code_point < 0x80) {
      if (!append_escape(out, text[0], quote)) {
        if (is_plain_ascii(static_cast<unsigned char>(text[0]))) {
          out += text[0];
        } else {
          append_byte(out, text[0]);
        }
      }
    } else if (is_unprintable(next.code_point)) {
      append_code_point(out, next.code_point);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  out += quote;
  return out;
}

std::string repr_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(scientific.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(),
                  exponent);
  // Python changes to the exponent form at the same places.
  if (exponent < -4 || exponent >= 16) return std::string(text);
  char fixed[64];
  const auto end = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed);
  std::string out(fixed, end.ptr);
  if (out.find('.') == out.npos) out += ".0";
  return out;
}

}  // namespace asyncio::inline v1
