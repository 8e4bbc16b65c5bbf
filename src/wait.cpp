// SPDX-License-Identifier: BSL-1.0
#include <asyncio/wait.hpp>

#include <algorithm>
#include <unordered_set>

namespace asyncio::inline v1::detail {

// -- sleep

/// Completed by its timer, which goes with it.
class SleepBase::Waking final : public FutureState<void> {
 public:
  Waking(Scheduler& loop, Duration delay)
      : FutureState(loop), timer_(loop.call_at(loop.time() + delay, [this] {
          if (!done()) set_result();
        })) {}

 private:
  ~Waking() override { timer_->cancel(); }

  const Ref<HandleNode> timer_;
};

void SleepBase::wait() {
  future_ = Ref<FutureBase>(adopt_ref, new Waking(task_->scheduler(), delay_));
  task_->wait_for(*future_);
}

// -- gather

std::vector<FutureBase*> distinct(std::vector<FutureBase*> futures) {
  std::vector<FutureBase*> sorted = futures;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) == sorted.end()) return futures;
  std::unordered_set<const FutureBase*> seen;
  std::erase_if(futures, [&](const FutureBase* future) { return !seen.insert(future).second; });
  return futures;
}

void check_same_loop(const Scheduler& loop, const FutureBase& future) {
  if (&future.scheduler() != &loop)
    throw ValueError("The future belongs to a different loop than the one specified as the loop "
                     "argument");
}

Gathering::Gathering(FutureBase& self, std::vector<Ref<FutureBase>> children,
                     bool return_exceptions)
    : Watcher(self), children_(std::move(children)), return_exceptions_(return_exceptions) {
  retrieves_ = true;
}

Gathering::Gathering(FutureBase& self, std::size_t count, bool return_exceptions)
    : Watcher(self), return_exceptions_(return_exceptions) {
  retrieves_ = true;
  children_.reserve(count);
  expect(count);
}

void Gathering::begin(bool may_repeat) {
  std::vector<FutureBase*> each;
  each.reserve(children_.size());
  for (const Ref<FutureBase>& child : children_) each.push_back(child.get());
  if (may_repeat) each = distinct(std::move(each));
  expect(each.size());
  for (FutureBase* child : each) wait_for(*child);
  seal();
}

void Gathering::add(Ref<FutureBase> child) {
  if (std::ranges::find(children_, child) == children_.end()) wait_for(*child);
  children_.push_back(std::move(child));
}

void Gathering::wait_for(FutureBase& child) {
  ++waiting_;
  if (child.done())
    done_before_.push_back(&child);
  else
    watch(child);
}

// Those that were done already are seen to now, without a pass.
void Gathering::seal() {
  sealed_ = true;
  try {
    if (waiting_ == 0) return collect();
    for (FutureBase* child : std::exchange(done_before_, {}))
      Gathering::child_done(Ref<FutureBase>(child));
  } catch (...) {  // copying a value threw: that is the outcome
    std::exception_ptr error = caught_error();
    if (!self_.done()) self_.set_exception(std::move(error));
  }
}

void Gathering::child_done(Ref<FutureBase> child) {
  --waiting_;
  if (self_.done()) {
    child->mark_retrieved();
    return;
  }
  if (!return_exceptions_) {
    if (child->cancelled()) {
      // Stored, not a cancellation: the gathering itself was not cancelled (rule 66).
      self_.set_exception(child->make_cancelled_error());
      return;
    }
    if (child->failed()) {
      self_.set_exception(child->exception());
      return;
    }
  }
  child = nullptr;  // a result that nobody else holds is moved
  if (waiting_ != 0) return;
  if (cancel_requested_) {
    for (const Ref<FutureBase>& each : children_) each->mark_retrieved();
    // The last argument's, whoever came last (a variable that CPython uses twice).
    FutureBase& last = *children_.back();
    const std::string* const message = last.cancel_message();
    self_.set_exception(last.cancelled() ? last.make_cancelled_error()
                        : message ? std::make_exception_ptr(CancelledError(*message))
                                  : std::make_exception_ptr(CancelledError()));
    return;
  }
  if (!orphaned()) return collect();
  for (const Ref<FutureBase>& each : children_) each->mark_retrieved();
  self_.set_cancelled(nullptr);  // without a result, which stays with the children
}

bool Gathering::cancel_children(const std::string* message) {
  if (self_.done()) return false;
  bool accepted = false;
  for (const Ref<FutureBase>& child : children_) accepted |= child->cancel(message);
  cancel_requested_ |= accepted;
  return accepted;
}

std::exception_ptr Gathering::exception_of(FutureBase& child) const {
  if (child.cancelled()) {
    const std::string* const message = child.cancel_message();
    return std::make_exception_ptr(CancelledError(message ? *message : std::string()));
  }
  return child.exception();
}

namespace {

class GatherAny final : public FutureState<void>, private Gathering {
 public:
  GatherAny(Scheduler& loop, std::vector<Ref<FutureBase>> children)
      : FutureState(loop), Gathering(static_cast<FutureBase&>(*this), std::move(children), true) {
    begin(true);
  }
  bool cancel(const std::string* message) override { return cancel_children(message); }

 private:
  void collect() override {
    for (const Ref<FutureBase>& child : children_) child->mark_retrieved();
    set_result();
  }
};

}  // namespace

Future<void> gather_states(Scheduler& loop, const std::vector<AnyTask>& tasks) {
  std::vector<Ref<FutureBase>> children;
  for (const AnyTask& task : tasks) children.push_back(task.state());
  return Future<void>(Ref<FutureBase>(adopt_ref, new GatherAny(loop, std::move(children))));
}

// -- wait

/// The future for which wait() waits.
class WaitState final : public FutureState<void>, private Watcher {
 public:
  WaitState(Scheduler& loop, const std::vector<FutureBase*>& futures, ReturnWhen return_when)
      : FutureState(loop), Watcher(static_cast<FutureBase&>(*this)), left_(futures.size()),
        return_when_(return_when) {
    watch(futures);
  }
  /// Not interested any more.
  void leave() noexcept { unwatch(); }
  void release_waiter() {
    if (!done()) set_result();
  }
  Ref<HandleNode> timer;

 private:
  void child_done(Ref<FutureBase> child) override {
    --left_;
    const bool enough = left_ == 0 || return_when_ == FIRST_COMPLETED ||
                        (return_when_ == FIRST_EXCEPTION && child->failed() && child->exception());
    if (!enough) return;
    if (timer) timer->cancel();
    release_waiter();
  }
  const char* callback_name() const noexcept override { return "wait._on_completion()"; }
  /// The task that waits in wait().
  FutureBase* awaiter() noexcept override {
    const std::vector<Ref<FutureBase>> tasks = awaiters();
    return tasks.empty() ? nullptr : tasks.front().get();
  }

  std::size_t left_;
  ReturnWhen return_when_;
};

WaitScope::WaitScope(const std::vector<FutureBase*>& futures, const WaitOptions& options) {
  Scheduler& loop = running_scheduler();
  state_ = {adopt_ref, new WaitState(loop, futures, options.return_when)};
  if (options.timeout) {
    state_->timer = loop.call_at(loop.time() + *options.timeout,
                                 [state = state_.get()] { state->release_waiter(); });
  }
}

WaitScope::~WaitScope() {
  if (state_->timer) state_->timer->cancel();
  state_->leave();
}

FutureAwaiter<void> WaitScope::operator co_await() const { return FutureAwaiter<void>(state_); }

// -- wait_for

Coroutine<> cancel_and_wait(AnyFuture future) {
  const std::vector<FutureBase*> futures(1, future.state().get());
  const WaitScope scope(futures, WaitOptions());
  future.cancel();
  co_await scope;
}

void throw_timeout_error(std::exception_ptr cause) {
  TimeoutError error;
  error.set_cause(std::move(cause));
  throw error;
}

// -- shield

Shield::Shield(FutureBase& self, Ref<FutureBase> inner)
    : Watcher(self), inner_(std::move(inner)) {}

Shield::~Shield() {
  self_.remove_callback(detach_);
}

void Shield::begin() {
  watch({inner_.get()});
  detach_.shield = this;
  calls_itself_ = true;
  self_.add_callback(detach_, true);
}

void Shield::child_done(Ref<FutureBase> inner) {
  if (self_.done()) {
    inner->mark_retrieved();
  } else if (inner->cancelled()) {
    self_.cancel(nullptr);
  } else if (inner->failed()) {
    self_.set_exception(inner->exception());
  } else if (orphaned()) {
    self_.set_cancelled(nullptr);  // without the result, which stays with the inner one
  } else {
    inner = nullptr;  // moved, if nobody else holds it
    copy_result(*inner_);
  }
}

// The outer future is done: whatever becomes of the inner one is not ours any more.
void Shield::Detach::run() {
  const Ref<FutureBase> entry(adopt_ref, &shield->self_);
  shield->unwatch();
}

void Shield::Detach::drop() noexcept {
  if (queued) shield->self_.release();
}

void Shield::Detach::completed_by(FutureBase&) noexcept {
  queued = true;
  shield->self_.add_ref();
}

}  // namespace asyncio::inline v1::detail
