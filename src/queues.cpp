// SPDX-License-Identifier: BSL-1.0
#include <asyncio/queues.hpp>

#include <string>

namespace asyncio::inline v1::detail {

void QueueBase::task_done() {
  if (unfinished_ == 0) throw ValueError("task_done() called too many times");
  if (--unfinished_ == 0) finished_->set();
}

void QueueBase::shutdown(bool immediate) {
  shut_down_ = true;
  if (immediate) {
    while (!empty()) {
      --size_;
      if (unfinished_ > 0) --unfinished_;
      drop_item();  // whose destructor may look at the queue
    }
    if (unfinished_ == 0) finished_->set();
  }
  while (getters_.dismiss_next()) continue;
  while (putters_.dismiss_next()) continue;
}

void QueueBase::throw_cannot_put() const {
  if (shut_down_) throw QueueShutDown();
  throw QueueFull();
}

void QueueBase::throw_cannot_get() const {
  if (shut_down_) throw QueueShutDown();
  throw QueueEmpty();
}

std::string QueueBase::repr() const {
  std::string text =
      std::string("<") + name_ + " at " + address_of(this) + " maxsize=" + std::to_string(maxsize_);
  const std::string items = empty() ? std::string() : repr_items();
  if (!items.empty()) text += " _queue=" + items;
  const auto add = [&](std::size_t count, const char* before, const char* after) {
    if (count != 0) text += before + std::to_string(count) + after;
  };
  add(getters_.size(), " _getters[", "]");
  add(putters_.size(), " _putters[", "]");
  add(unfinished_, " tasks=", "");
  if (shut_down_) text += " shutdown";
  return text + '>';
}

}  // namespace asyncio::inline v1::detail
