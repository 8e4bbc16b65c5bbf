// SPDX-License-Identifier: BSL-1.0
// Owned<T>: the only pointer to an object, which it deletes. A std::unique_ptr without deleters:
// each type of that one is a tuple, and costs whoever includes asyncio several milliseconds.
#pragma once

namespace asyncio::inline v1::detail {

template <class T>
class Owned {
 public:
  constexpr Owned() noexcept = default;
  explicit Owned(T* object) noexcept : object_(object) {}
  Owned(Owned&& other) noexcept : object_(other.detach()) {}
  Owned& operator=(Owned&& other) noexcept {
    reset(other.detach());
    return *this;
  }
  ~Owned() { delete object_; }

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
