// SPDX-License-Identifier: BSL-1.0
// What a scheduler keeps beside futures and handles, because few loops need it. Private.
#pragma once

#include <asyncio/futures.hpp>
#include <asyncio/scheduler.hpp>
#include <unordered_map>
#include <vector>

namespace asyncio::inline v1::detail {

/// What to name if a callback turns out to be slow: one of these. Kept while the callback runs.
struct Subject {
  std::string repr() const;

  Ref<FutureBase> future;
  Ref<HandleNode> handle;
  std::string text;
};

/// Of an object that is gone, nothing is kept.
class Notes {
 public:
  Notes() = default;
  Notes(const Notes&) = delete;
  Notes& operator=(const Notes&) = delete;
  ~Notes();

  /// Where the object was made.
  void add_origin(FutureBase& future, const std::source_location& place);
  void add_origin(HandleNode& node, const std::source_location& place);
  /// Nobody's place if it was not noted.
  std::source_location origin_of(const FutureBase& future) const noexcept;
  std::source_location origin_of(const HandleNode& node) const noexcept;

  /// Who waits for a future, beyond what the future's callbacks tell.
  void add_awaiter(FutureBase& future, FutureBase& awaiter);
  void discard_awaiter(FutureBase& future, const FutureBase& awaiter) noexcept;
  std::vector<FutureBase*> awaiters_of(const FutureBase& future) const;

  /// The object is being destroyed.
  void forget(const FutureBase& future) noexcept;
  void forget(const HandleNode& node) noexcept;

 private:
  std::unordered_map<const FutureBase*, std::source_location> futures_;
  std::unordered_map<const HandleNode*, std::source_location> handles_;
  std::unordered_map<const FutureBase*, std::vector<FutureBase*>> awaiters_;  // kept by nobody
};

/// Where it was made, as debug mode knows; nobody's place otherwise.
std::source_location origin_of(const FutureBase& future) noexcept;

}  // namespace asyncio::inline v1::detail
