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
std::string abbreviated(std::string text);
/// `0x7f...`
std::string address_of(const void* object);
/// `<Connection object at 0x7f...>`
std::string object_repr(const std::type_info& type, const void* object);

/// Numbers, strings, containers, pairs and tuples as Python shows them, anything with a to_string()
/// as that says, other things by their class and address. Brief: as Python's reprlib, with the
/// middle of long strings and the end of long containers left out.
template <class T>
std::string repr_value(const T& value, bool brief = false) {
  constexpr std::size_t shown = 6;  // elements, if brief
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
    const std::string text = repr_str(std::string_view(value));
    return brief ? abbreviated(text) : text;
  } else if constexpr (requires {
                         { to_string(value) } -> std::convertible_to<std::string>;
                       }) {
    return to_string(value);
  } else if constexpr (requires {
                         value.has_value() ? repr_value(*value, brief) : std::string();
                       }) {
    if (value.has_value()) return repr_value(*value, brief);
    if constexpr (requires { repr_value(std::exception_ptr(value.exception())); })  // a Result
      return repr_value(std::exception_ptr(value.exception()));
    else
      return "None";
  } else if constexpr (
      requires { std::tuple_size<T>::value; } && !requires { value.begin(); }) {
    std::string text = "(";
    std::apply(
        [&](const auto&... members) {
          ((text += (text.size() > 1 ? ", " : "") + repr_value(members, brief)), ...);
        },
        value);
    if constexpr (std::tuple_size_v<T> == 1) text += ',';
    return text + ')';
  } else if constexpr (requires {
                         value.begin() != value.end();
                         requires !std::same_as<std::remove_cvref_t<decltype(*value.begin())>, T>;
                       }) {
    std::string text = "[";
    std::size_t count = 0;
    for (const auto& element : value) {
      if (count != 0) text += ", ";
      if (count++ == shown && brief) {
        text += "...";
        break;
      }
      using Element = std::remove_cvref_t<decltype(element)>;  // vector<bool> has none to refer to
      text += repr_value(static_cast<const Element&>(element), brief);
    }
    return text + ']';
  } else {
    return object_repr(typeid(T), &value);
  }
}

}  // namespace asyncio::inline v1::detail
