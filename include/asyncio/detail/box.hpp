// SPDX-License-Identifier: BSL-1.0
// Box<T>: the only pointer to an object, which it deletes. std::unique_ptr can do more, and has a
// tuple for it, which the compiler would make anew for each T in every file that includes asyncio.
#pragma once

namespace asyncio::inline v1::detail {

template <class T>
class Box {
 public:
  constexpr Box() noexcept = default;
  explicit Box(T* object) noexcept : object_(object) {}
  Box(Box&& other) noexcept : object_(other.detach()) {}
  Box& operator=(Box&& other) noexcept {
    reset(other.detach());
    return *this;
  }
  ~Box() { delete object_; }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

  void reset(T* object = nullptr) noexcept {
    T* const former = object_;
    object_ = object;
    delete former;
  }
  /// The object is the caller's.
  T* detach() noexcept {
    T* const object = object_;
    object_ = nullptr;
    return object;
  }

 private:
  T* object_ = nullptr;
};

}  // namespace asyncio::inline v1::detail
