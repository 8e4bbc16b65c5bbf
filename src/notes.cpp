// SPDX-License-Identifier: BSL-1.0
#include "notes.hpp"

#include <algorithm>

namespace asyncio::inline v1::detail {

std::string Subject::repr() const {
  if (future) return future->repr();
  if (handle) return handle->repr();
  return text;
}

// Futures refer to the scheduler and are gone by now; handles do not, and may stay.
Notes::~Notes() {
  for (const auto& [node, place] : handles_)
    const_cast<HandleNode*>(node)->flags_ &= ~HandleNode::Is::noted;
}

void Notes::add_origin(FutureBase& future, const std::source_location& place) {
  futures_.insert_or_assign(&future, place);
  future.noted_ = true;
}

void Notes::add_origin(HandleNode& node, const std::source_location& place) {
  handles_.insert_or_assign(&node, place);
  node.flags_ |= HandleNode::Is::noted;
}

std::source_location Notes::origin_of(const FutureBase& future) const noexcept {
  const auto entry = futures_.find(&future);
  return entry == futures_.end() ? std::source_location() : entry->second;
}

std::source_location Notes::origin_of(const HandleNode& node) const noexcept {
  const auto entry = handles_.find(&node);
  return entry == handles_.end() ? std::source_location() : entry->second;
}

void Notes::add_awaiter(FutureBase& future, FutureBase& awaiter) {
  std::vector<FutureBase*>& awaiters = awaiters_[&future];
  if (std::ranges::find(awaiters, &awaiter) == awaiters.end()) awaiters.push_back(&awaiter);
  future.noted_ = awaiter.noted_ = true;
}

void Notes::discard_awaiter(FutureBase& future, const FutureBase& awaiter) noexcept {
  const auto entry = awaiters_.find(&future);
  if (entry == awaiters_.end()) return;
  std::erase(entry->second, &awaiter);
  if (entry->second.empty()) awaiters_.erase(entry);
}

std::vector<FutureBase*> Notes::awaiters_of(const FutureBase& future) const {
  const auto entry = awaiters_.find(&future);
  return entry == awaiters_.end() ? std::vector<FutureBase*>() : entry->second;
}

void Notes::forget(const FutureBase& future) noexcept {
  futures_.erase(&future);
  awaiters_.erase(&future);
  for (auto& [other, awaiters] : awaiters_) std::erase(awaiters, &future);
}

void Notes::forget(const HandleNode& node) noexcept { handles_.erase(&node); }

std::source_location origin_of(const FutureBase& future) noexcept {
  const Notes* const notes = future.scheduler().notes_if_any();
  return notes ? notes->origin_of(future) : std::source_location();
}

}  // namespace asyncio::inline v1::detail
