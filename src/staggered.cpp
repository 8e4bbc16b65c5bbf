// SPDX-License-Identifier: BSL-1.0
#include "staggered.hpp"

#include <algorithm>
#include <asyncio/tasks.hpp>
#include <asyncio/wait.hpp>
#include <vector>

namespace asyncio::inline v1::detail {

namespace {

/// The state of one race. It lives in the frame of staggered_race, which ends after all its tasks.
/// Every task waits for its turn, makes the task that is next in line, and only then begins its
/// attempt; so there is always exactly one task in line, until the attempts have run out.
class Race {
 public:
  Race(Scheduler& loop, std::size_t count, Attempt attempt, Duration delay)
      : loop_(loop), count_(count), attempt_(std::move(attempt)), delay_(delay) {}

  bool over() const noexcept { return running_.empty(); }
  std::optional<std::size_t> winner() const noexcept { return winner_; }

  /// Puts a task in line. `previous` is done when the attempt before it has failed; null for the
  /// first.
  void start_next(Future<void> previous) {
    // An eager task runs at once, but must not begin before it is among the running ones.
    const Future<void> may_begin(loop_);
    AnyTask task = create_task(loop_, run(*this, may_begin, std::move(previous)));
    running_.push_back(task);
    task.add_done_callback([this](const AnyFuture& done) { ended(done); });
    may_begin.set_result();
  }

  /// Done when no task is left.
  Future<void> wait_for_end() {
    end_ = Future<void>(loop_);
    return end_;
  }

  void cancel_all_but(const AnyFuture& spared) {
    const std::vector<AnyTask> tasks = running_;
    for (const AnyTask& task : tasks)
      if (task != spared) task.cancel();
  }

 private:
  static Coroutine<> until_done(Future<void> future) { co_await future; }

  static Coroutine<> run(Race& race, Future<void> may_begin, Future<void> previous) {
    co_await may_begin;
    if (previous) {
      try {
        Coroutine<> failure = until_done(std::move(previous));
        co_await asyncio::wait_for(std::move(failure), race.delay_);
      } catch (const TimeoutError&) {
      }
    }
    if (race.next_ == race.count_) co_return;
    const std::size_t index = race.next_++;
    const Future<void> failed(race.loop_);
    race.start_next(failed);
    bool succeeded = false;
    try {
      co_await race.attempt_(index);
      succeeded = true;
    } catch (...) {  // a cancellation too: the race is over then, or the attempt is
      (void)caught_error();
    }
    if (succeeded)
      race.won(index);
    else if (!failed.done())  // the one in line may have waited long enough, and given it up
      failed.set_result();
  }

  void won(std::size_t index) {
    if (winner_) return;
    winner_ = index;
    cancel_all_but(current_task());
  }

  void ended(const AnyFuture& task) {
    running_.erase(std::find(running_.begin(), running_.end(), task));
    if (running_.empty() && end_ && !end_.done()) end_.set_result();
  }

  Scheduler& loop_;
  const std::size_t count_;
  const Attempt attempt_;
  const Duration delay_;
  std::size_t next_ = 0;
  std::optional<std::size_t> winner_;
  std::vector<AnyTask> running_;
  Future<void> end_{nullptr};
};

}  // namespace

Coroutine<std::optional<std::size_t>> staggered_race(Scheduler& loop, std::size_t count,
                                                     Attempt attempt, Duration delay) {
  Race race(loop, count, std::move(attempt), delay);
  race.start_next(Future<void>(nullptr));
  std::exception_ptr cancelled;
  while (!race.over()) {
    Future<void> end = race.wait_for_end();
    try {
      co_await end;
    } catch (const CancelledError&) {
      cancelled = std::current_exception();
      race.cancel_all_but(AnyFuture());
    }
  }
  if (cancelled) std::rethrow_exception(cancelled);
  co_return race.winner();
}

}  // namespace asyncio::inline v1::detail
