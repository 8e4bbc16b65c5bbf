// SPDX-License-Identifier: BSL-1.0
// Ref<T>: an intrusive, non-atomic reference. T offers add_ref() and release() noexcept. Without
// std::exchange, which the compiler would make anew for each T in every file that includes asyncio.
#pragma once

#include <cstddef>
#include <type_traits>

namespace asyncio::inline v1::detail {

struct adopt_ref_t {};
/// Tag: the new Ref takes over a reference that somebody already counted.
inline constexpr adopt_ref_t adopt_ref{};

template <class T>
class Ref {
 public:
  constexpr Ref() noexcept = default;
  constexpr Ref(std::nullptr_t) noexcept {}
  explicit Ref(T* object) noexcept : object_(object) {
    if (object_) object_->add_ref();
  }
  Ref(adopt_ref_t, T* object) noexcept : object_(object) {}
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(other.detach()) {}
  template <class U>
    requires(!std::is_same_v<T, U>) && std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) noexcept : object_(other.detach()) {}
  [[gnu::always_inline]] ~Ref() {
    if (object_) object_->release();
  }
  Ref& operator=(Ref other) noexcept {
    T* const former = object_;
    object_ = other.object_;
    other.object_ = former;
    return *this;
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  /// Gives the counted reference to the caller.
  T* detach() noexcept {
    T* const object = object_;
    object_ = nullptr;
    return object;
  }

  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

}  // namespace asyncio::inline v1::detail
