// SPDX-License-Identifier: BSL-1.0
#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

bool ForeignQueue::push(ReadyNode& node) {
  const std::lock_guard lock(mutex_);
  if (!core_) return false;
  if (thread_state.running == core_) {
    core_->push(nodes_);  // what came before comes before
    core_->push(node);
    return true;
  }
  nodes_.push_back(node);
  if (!std::exchange(posted_, true)) core_->post([self = shared_from_this()] { self->drain(); });
  return true;
}

bool ForeignQueue::in_thread() const {
  const std::lock_guard lock(mutex_);
  return core_ && core_->in_thread();
}

void ForeignQueue::drain() {
  const std::lock_guard lock(mutex_);
  posted_ = false;
  if (core_) core_->push(nodes_);
}

void ForeignQueue::close() noexcept {
  const std::lock_guard lock(mutex_);
  core_->push(nodes_);
  core_ = nullptr;
}

}  // namespace asyncio::inline v1::detail
