// SPDX-License-Identifier: BSL-1.0
#include <asyncio/as_completed.hpp>

namespace asyncio::inline v1::detail {

namespace {

std::vector<FutureBase*> each_once(const std::vector<Ref<FutureBase>>& futures) {
  std::vector<FutureBase*> states;
  states.reserve(futures.size());
  for (const Ref<FutureBase>& future : futures) states.push_back(future.get());
  return distinct(std::move(states));
}

}  // namespace

Completions::Completions(Scheduler& loop, const std::vector<Ref<FutureBase>>& futures)
    : FutureBase(loop), Watcher(static_cast<FutureBase&>(*this)) {
  const std::vector<FutureBase*> watched = each_once(futures);
  pending_ = turns_ = watched.size();
  watch(watched);
}

void Completions::set_timeout(Duration timeout) {
  Scheduler& loop = scheduler();
  timer_ =
      loop.call_at(loop.time() + timeout, [self = Ref<Completions>(this)] { self->on_timeout(); });
}

Coroutine<Ref<FutureBase>> Completions::wait_for_one() {
  Ref<FutureBase> future = co_await done_.get();
  if (!future) throw TimeoutError();
  co_return future;
}

void Completions::child_done(Ref<FutureBase> child) {
  if (pending_ == 0) return;  // the time was over while this was queued
  --pending_;
  done_.put_nowait(std::move(child));
  if (pending_ == 0 && timer_) timer_->cancel();
}

void Completions::on_timeout() {
  timer_ = nullptr;  // which keeps us
  unwatch();
  for (; pending_ != 0; --pending_) done_.put_nowait(nullptr);
}

}  // namespace asyncio::inline v1::detail
