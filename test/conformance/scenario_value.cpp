// SPDX-License-Identifier: BSL-1.0
#include "scenario_value.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

namespace scenario {

using namespace asyncio;

// -- values

Value::operator bool() const {
  struct {
    bool operator()(std::monostate) const { return false; }
    bool operator()(bool value) const { return value; }
    bool operator()(std::int64_t value) const { return value != 0; }
    bool operator()(const std::string& value) const { return !value.empty(); }
    bool operator()(const List& value) const { return !value.empty(); }
    bool operator()(const std::exception_ptr&) const { return true; }
    bool operator()(const std::shared_ptr<Object>&) const { return true; }
  } constexpr test;
  return std::visit(test, data_);
}

const void* Value::identity() const noexcept {
  const auto* const object = std::get_if<std::shared_ptr<Object>>(&data_);
  return object ? (*object)->identity() : nullptr;
}

std::int64_t Value::integer() const {
  if (const auto* const value = std::get_if<std::int64_t>(&data_)) return *value;
  if (const auto* const value = std::get_if<bool>(&data_)) return *value;
  throw_type_error();
}

const std::string& Value::text() const {
  if (const auto* const value = std::get_if<std::string>(&data_)) return *value;
  throw_type_error();
}

bool operator==(const Value& a, const Value& b) {
  if (a.identity() || b.identity()) return a.identity() == b.identity();
  return a.data_ == b.data_;
}

bool Value::less(const Value& a, const Value& b) {
  if (std::holds_alternative<std::string>(a.data_)) return a.text() < b.text();
  if (const auto* left = std::get_if<List>(&a.data_), *right = std::get_if<List>(&b.data_);
      left && right)
    return std::ranges::lexicographical_compare(*left, *right, Value::less);
  return a.integer() < b.integer();
}

void Value::throw_type_error() { throw TypeError("a value of another kind is needed here"); }

// -- exceptions

namespace {

struct Type {
  std::exception_ptr (*make)(const std::optional<std::string>& message);
  bool (*matches)(const std::exception_ptr& error);
};

template <class X>
std::exception_ptr make(const std::optional<std::string>& message) {
  if constexpr (std::constructible_from<X, const std::string&>) {
    if (message) return std::make_exception_ptr(X(*message));
  }
  if constexpr (std::default_initializable<X>) return std::make_exception_ptr(X());
  throw TypeError("scenarios do not raise this exception");
}

template <class X>
constexpr Type type = {&make<X>, &isinstance<X>};

const Type& find_type(std::string_view name) {
  static const std::map<std::string_view, Type> types = {
      {"AssertionError", type<AssertionError>},
      {"B", type<B>},
      {"BaseException", {&make<BaseException>, [](const std::exception_ptr&) { return true; }}},
      {"BaseExceptionGroup",
       {&make<BaseExceptionGroup>, &isinstance<BaseExceptionGroup, ExceptionGroup>}},
      {"BrokenBarrierError", type<BrokenBarrierError>},
      {"CancelledError", type<CancelledError>},
      {"E", type<E>},
      {"E1", type<E1>},
      {"E2", type<E2>},
      {"EOFError", type<EOFError>},
      {"Exception", type<Exception>},
      {"ExceptionGroup", type<ExceptionGroup>},
      {"IncompleteReadError", type<IncompleteReadError>},
      {"InvalidStateError", type<InvalidStateError>},
      {"LimitOverrunError", type<LimitOverrunError>},
      {"LookupError", type<LookupError>},
      {"QueueEmpty", type<QueueEmpty>},
      {"QueueFull", type<QueueFull>},
      {"QueueShutDown", type<QueueShutDown>},
      {"RuntimeError", type<RuntimeError>},
      {"SystemExit", type<SystemExit>},
      {"TimeoutError", type<TimeoutError>},
      {"TypeError", type<TypeError>},
      {"Unset", type<Unset>},
      {"ValueError", type<ValueError>},
  };
  const auto place = types.find(name);
  if (place == types.end()) throw TypeError("unknown exception type " + std::string(name));
  return place->second;
}

/// What a scenario gave the exception to say; empty for those whose texts are free.
std::string message_of(const std::exception_ptr& error) {
  if (const auto* const own = exception_cast<E>(error)) return own->what();
  if (isinstance<B, CancelledError>(error)) return exception_cast<BaseException>(error)->what();
  return {};
}

std::string show_group(const detail::GroupData& group) {
  std::string text;
  for (const std::exception_ptr& member : group.exceptions())
    text += (text.empty() ? "" : ", ") + show_exception(member);
  return '[' + text + ']';
}

}  // namespace

std::exception_ptr make_exception(std::string_view type,
                                  const std::optional<std::string>& message) {
  return find_type(type).make(message);
}

bool matches(std::string_view type, const std::exception_ptr& error) {
  return find_type(type).matches(error);
}

// -- printing

namespace {

/// Takes the first character off a valid UTF-8 text.
char32_t next_character(std::string_view& text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  const unsigned size = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t character = size == 1 ? first : first & (0x7Fu >> size);
  for (unsigned i = 1; i < size; ++i) character = character << 6 | (byte(i) & 0x3F);
  text.remove_prefix(std::min<std::size_t>(size, text.size()));
  return character;
}

std::string escape(char32_t unit) {
  char text[8];
  std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(unit));
  return text;
}

}  // namespace

std::string latin1_of_utf8(std::string_view utf8) {
  std::string bytes;
  while (!utf8.empty()) bytes += static_cast<char>(next_character(utf8));
  return bytes;
}

std::string utf8_of_latin1(std::string_view bytes) {
  std::string utf8;
  for (const char character : bytes) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x80) utf8 += static_cast<char>(0xC0 | byte >> 6);
    utf8 += byte >= 0x80 ? static_cast<char>(0x80 | (byte & 0x3F)) : character;
  }
  return utf8;
}

// ASCII only, as Python's json.dumps writes it.
std::string show_text(std::string_view utf8) {
  std::string text = "\"";
  while (!utf8.empty()) {
    const char32_t character = next_character(utf8);
    switch (character) {
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      case '\b':
        text += "\\b";
        break;
      case '\f':
        text += "\\f";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\t':
        text += "\\t";
        break;
      default:
        if (character >= 0x10000)
          text += escape(0xD7C0 + (character >> 10)) + escape(0xDC00 + (character & 0x3FF));
        else if (character < 0x20 || character > 0x7E)
          text += escape(character);
        else
          text += static_cast<char>(character);
    }
  }
  return text + '"';
}

std::string show_exception(const std::exception_ptr& error) {
  const std::string name = type_name(error);
  if (const auto* const group = exception_cast<ExceptionGroup>(error))
    return name + show_group(*group);
  if (const auto* const group = exception_cast<BaseExceptionGroup>(error))
    return name + show_group(*group);
  if (const auto* const read = exception_cast<IncompleteReadError>(error)) {
    const std::string expected = read->expected() ? std::to_string(*read->expected()) : "null";
    return name + "(partial=" + show_text(utf8_of_latin1(read->partial())) +
           ", expected=" + expected + ')';
  }
  if (const auto* const overrun = exception_cast<LimitOverrunError>(error))
    return name + "(consumed=" + std::to_string(overrun->consumed()) + ')';
  const std::string message = message_of(error);
  return message.empty() ? name : name + '(' + show_text(message) + ')';
}

}  // namespace scenario
