// SPDX-License-Identifier: BSL-1.0
// The values of the scenario language: what Python's variables hold, in C++.
#pragma once

#include <asyncio/asyncio.hpp>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace scenario {

/// Something with an identity: a task, a lock, a handle.
class Object {
 public:
  virtual ~Object() = default;
  /// Labels go by it. Two handles of one future are the same object.
  virtual const void* identity() const noexcept = 0;
};

template <class T>
class ObjectOf final : public Object {
 public:
  explicit ObjectOf(T content) : content(std::move(content)) {}
  const void* identity() const noexcept override {
    if constexpr (std::derived_from<T, asyncio::AnyFuture>)
      return content.state().get();
    else
      return this;
  }
  T content;
};

class Value;
using List = std::vector<Value>;

class Value {
 public:
  using Data = std::variant<std::monostate, bool, std::int64_t, std::string, List,
                            std::exception_ptr, std::shared_ptr<Object>>;

  Value() = default;
  Value(asyncio::NoneType) {}
  template <std::same_as<bool> Bool>
  Value(Bool value) : data_(value) {}
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) Value(Integer value)
      : data_(static_cast<std::int64_t>(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(List value) : data_(std::move(value)) {}
  /// A null pointer is null.
  Value(std::exception_ptr value) {
    if (value) data_ = std::move(value);
  }
  Value(asyncio::TimePoint when) : data_(static_cast<std::int64_t>(when.seconds())) {}
  template <class T>
  static Value object(T content) {
    Value value;
    value.data_ = std::shared_ptr<Object>(std::make_shared<ObjectOf<T>>(std::move(content)));
    return value;
  }

  const Data& data() const noexcept { return data_; }
  bool is_null() const noexcept { return std::holds_alternative<std::monostate>(data_); }
  /// As Python's bool().
  explicit operator bool() const;
  /// Null if it is no object.
  const void* identity() const noexcept;

  /// The object as a T; null if it is something else.
  template <class T>
  T* find() const noexcept {
    const auto* const object = std::get_if<std::shared_ptr<Object>>(&data_);
    auto* const found = object ? dynamic_cast<ObjectOf<T>*>(object->get()) : nullptr;
    return found ? &found->content : nullptr;
  }
  /// The object as a T. TypeError if it is something else.
  template <class T>
  T& as() const {
    if (T* const found = find<T>()) return *found;
    throw_type_error();
  }
  /// TypeError if it is something else.
  std::int64_t integer() const;
  const std::string& text() const;

  friend bool operator==(const Value& a, const Value& b);
  /// Of integers, texts, or lists of them; TypeError otherwise.
  static bool less(const Value& a, const Value& b);

 private:
  [[noreturn]] static void throw_type_error();

  Data data_;
};

/// Every future and task of a scenario has the same type of result.
using Future = asyncio::Future<Value>;
using Coroutine = asyncio::Coroutine<Value>;

// -- what scenarios raise

struct E : public asyncio::Exception {
  using Exception::Exception;
};
struct E1 : public E {
  using E::E;
};
struct E2 : public E {
  using E::E;
};
/// Not caught by `except Exception`.
struct B : public asyncio::BaseException {
  using BaseException::BaseException;
};
/// A variable was read before it was assigned.
struct Unset : public asyncio::Exception {
  using Exception::Exception;
};

/// An exception of the class that Python calls `type`. TypeError if scenarios cannot raise it.
std::exception_ptr make_exception(std::string_view type, const std::optional<std::string>& message);
/// Would `except TYPE` catch it?
bool matches(std::string_view type, const std::exception_ptr& error);

/// A text, which is Latin-1 as far as it stands for bytes, and those bytes.
std::string latin1_of_utf8(std::string_view utf8);
std::string utf8_of_latin1(std::string_view bytes);

/// As the trace shows them: a JSON string, and the type's name with what belongs to it.
std::string show_text(std::string_view utf8);
std::string show_exception(const std::exception_ptr& error);

}  // namespace scenario
