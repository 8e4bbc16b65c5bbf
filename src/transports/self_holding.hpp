// SPDX-License-Identifier: BSL-1.0
// Objects that the program holds by shared_ptr, and the loop's queues and Asio's handlers by Ref.
#pragma once

#include <asyncio/detail/ref.hpp>
#include <cstdint>
#include <memory>
#include <utility>

namespace asyncio::inline v1::detail {

/// While there is a Ref<T> the object keeps itself alive; a Ref costs no atomic operation, as it is
/// for the loop's thread only.
template <class T>
class SelfHolding : public std::enable_shared_from_this<T> {
 public:
  void add_ref() noexcept {
    if (references_++ == 0) self_ = this->shared_from_this();
  }
  void release() noexcept {
    if (--references_ == 0) const std::shared_ptr<T> last = std::move(self_);
  }

 protected:
  ~SelfHolding() = default;
  /// Does the program hold it?
  bool held_by_the_program() const noexcept {
    return this->weak_from_this().use_count() > (self_ ? 1 : 0);
  }

 private:
  std::shared_ptr<T> self_;
  std::uint32_t references_ = 0;
};

}  // namespace asyncio::inline v1::detail
