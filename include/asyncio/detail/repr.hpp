// SPDX-License-Identifier: BSL-1.0
// Python's repr of a value, as far as C++ knows it.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <asyncio/bytes.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/none.hpp>

namespace asyncio::inline v1::detail {

/// A text longer than 30 characters with its middle left out, as reprlib does it.
std::string abbreviated(std::string_view text);
/// The same of repr_str(text), without making that of a long text.
std::string brief_repr_str(std::string_view text);
/// `0x7f...`
std::string address_of(const void* object);
/// `<Connection object at 0x7f...>`
std::string object_repr(const std::type_info& type, const void* object);

/// What stands in brackets.
class Elements {
 public:
  explicit Elements(std::size_t limit) noexcept : limit_(limit) {}
  bool full() const noexcept { return count_ == limit_; }
  void add(const std::string& repr);
  /// There are more: three dots, once.
  void leave_out();
  const std::string& text() const noexcept { return text_; }

 private:
  const std::size_t limit_;
  std::size_t count_ = 0;
  bool more_ = false;
  std::string text_;
};

/// What std::apply takes; not a range.
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; } &&
                    !requires(const T& value) { value.begin(); } &&
                    (std::tuple_size<T>::value == 0 ||
                     requires(const T& value) { std::get<0>(value); });
template <class T>
concept MapLike = requires(const T& value) {
  typename T::mapped_type;
  (*value.begin()).first;
  (*value.begin()).second;
};

/// Numbers, strings, containers, pairs and tuples as Python shows them, anything with a to_string()
/// as that says, other things by their class and address. Brief: as Python's reprlib, with the
/// middle of long texts and the end of long containers left out.
template <class T>
std::string repr_value(const T& value, bool brief = false) {
  constexpr std::size_t no_limit = -1;
  if constexpr (std::same_as<T, NoneType> || std::same_as<T, std::nullptr_t>) {
    return "None";
  } else if constexpr (std::same_as<T, bool>) {
    return value ? "True" : "False";
  } else if constexpr (std::floating_point<T>) {
    return repr_float(static_cast<double>(value));
  } else if constexpr (std::integral<T>) {
    return std::to_string(value);
  } else if constexpr (std::same_as<T, std::exception_ptr>) {
    return value ? asyncio::repr(value) : "None";
  } else if constexpr (requires {
                         { value.native() } -> std::convertible_to<std::string_view>;
                       }) {
    return repr_value(std::string_view(value.native()), brief);  // a path, whose elements are paths
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    if constexpr (std::is_pointer_v<T>) {
      if (!value) return "None";
    }
    return brief ? brief_repr_str(value) : repr_str(std::string_view(value));
  } else if constexpr (requires {
                         { to_string(value) } -> std::convertible_to<std::string>;
                       }) {
    return brief ? abbreviated(to_string(value)) : std::string(to_string(value));
  } else if constexpr (requires {
                         value.has_value() ? repr_value(*value, brief) : std::string();
                       }) {
    if (value.has_value()) return repr_value(*value, brief);
    if constexpr (requires { repr_value(std::exception_ptr(value.exception())); })  // a Result
      return repr_value(std::exception_ptr(value.exception()));
    else
      return "None";
  } else if constexpr (TupleLike<T>) {
    Elements elements(brief ? 6 : no_limit);
    std::apply(
        [&](const auto&... members) {
          ((elements.full() ? elements.leave_out() : elements.add(repr_value(members, brief))),
           ...);
        },
        value);
    return '(' + elements.text() + (std::tuple_size_v<T> == 1 ? ",)" : ")");
  } else if constexpr (requires {
                         value.begin() != value.end();
                         requires !std::same_as<std::remove_cvref_t<decltype(*value.begin())>, T>;
                       }) {
    constexpr bool is_map = MapLike<T>;
    constexpr bool is_set = requires { typename T::key_type; } && !requires { typename T::mapped_type; };
    Elements elements(!brief ? no_limit : is_map ? 4 : 6);
    for (const auto& element : value) {
      if (elements.full()) {
        elements.leave_out();
        break;
      }
      if constexpr (is_map) {
        elements.add(repr_value(element.first, brief) + ": " + repr_value(element.second, brief));
      } else {
        using Element = std::remove_cvref_t<decltype(element)>;  // vector<bool> has none to refer to
        elements.add(repr_value(static_cast<const Element&>(element), brief));
      }
    }
    if constexpr (is_map)
      return '{' + elements.text() + '}';
    else if constexpr (is_set)
      return elements.text().empty() ? "set()" : '{' + elements.text() + '}';
    else
      return '[' + elements.text() + ']';
  } else {
    const std::string text = object_repr(typeid(T), &value);
    return brief ? abbreviated(text) : text;
  }
}

}  // namespace asyncio::inline v1::detail
