// SPDX-License-Identifier: BSL-1.0
// How a loop is driven: an owned one makes its passes in run_forever, a guest in the pump.
#include <algorithm>
#include <asyncio/constants.hpp>
#include <asyncio/detail/pool_allocator.hpp>

#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

namespace {

/// Between two looks at the kernel while callbacks are queued.
constexpr Duration longest_between_polls = Duration::from_nanoseconds(1'000'000);

/// As many as Asio asks epoll for.
constexpr unsigned events_at_once = 128;

/// Rule 5: timers wake at whole milliseconds, never early.
std::chrono::milliseconds round_up(Duration time) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(time));
}

}  // namespace

/// The thread runs this loop, for a scope.
class LoopCore::Running {
 public:
  explicit Running(LoopCore& core) noexcept : core_(core), outer_(thread_state.running) {
    core_.running_ = true;
    core_.set_runner(&thread_state);
    thread_state.running = &core_;
  }
  ~Running() {
    core_.running_ = false;
    core_.set_runner(nullptr);
    thread_state.running = outer_;
  }

 private:
  LoopCore& core_;
  Scheduler* outer_;
};

/// What is left of a guest's pass, also by an exception, has its turn after the host's handlers.
struct LoopCore::Rest {
  ~Rest() { core.rest(); }
  LoopCore& core;
};

void LoopCore::check_runnable() const {
  check_usable();
  if (running_ || in_run_host_) throw RuntimeError("This event loop is already running");
  if (thread_state.running)
    throw RuntimeError("Cannot run the event loop while another loop is running");
}

void LoopCore::run_forever() {
  check_runnable();
  struct End {
    ~End() { core.stopping_ = core.in_run_host_ = core.pass_begun_ = false; }
    LoopCore& core;
  } const end{*this};
  if (owned_context_)
    run_owned();
  else
    run_host();
}

// -- owned

void LoopCore::run_owned() {
  const Running running(*this);
  const auto work = boost::asio::make_work_guard(*context_);
  context_->restart();
  budget_ = Budget::used_up();  // the first pass looks at the kernel and other threads
  if (batch_open_) finish_batch();  // an exception came in between
  do {
    const bool plain = only_callbacks();  // no batch is open then: I/O begins one
    if (plain && may_go_on(budget_)) [[likely]] {
      run_callbacks();
      continue;
    }
    begin_pass();
    if (plain || !has_ready() || stopping_ || batch_open_ || !may_go_on(budget_)) poll();
    if (batch_open_)
      run_first_event();
    else
      run_pass();
  } while (!stopping_);
}

// The kernel is asked in every pass that would wait, and at least every so many passes and so much
// time; in between, passes follow each other without a system call.
void LoopCore::poll() {
  const Duration time_to_wait = wait_time();
  unsigned events;
  if (time_to_wait != Duration()) {
    events = wait(time_to_wait);
    if (batch_open_) return;
  } else {
    batch_open_ = false;
    events = take_events();
    if (events != events_at_once && context_->stopped()) stop();
  }
  budget_ = events == events_at_once ? Budget::used_up() : Budget(time());
}

// What has come is for this pass; of very much, the rest comes with the next ones. A busy loop would
// otherwise touch each of many connections twice, and find none in the processor's cache; and a
// handler that always posts another would keep the loop from its own work. Returns how many.
unsigned LoopCore::take_events() {
  unsigned events = 0;
  while (events != events_at_once && context_->poll_one() != 0) ++events;
  return events;
}

// The clock costs more than a short pass. It is read after the first, and then when it would be time
// if all passes took as long as those so far, but not later than after four times as many.
bool LoopCore::look_at_clock(Budget& budget) const noexcept {
  if (budget.passes == Budget::most) return false;
  budget.next_look = 4 * budget.passes;
  if (!virtual_time()) {
    const std::int64_t taken = (time() - budget.begin).nanoseconds();
    const std::int64_t most = longest_between_polls.nanoseconds();
    if (taken >= most) return false;
    if (taken * 4 > most)
      budget.next_look = static_cast<unsigned>(budget.passes * most / taken) + 1;
  }
  budget.next_look = std::min(budget.next_look, Budget::most);
  return true;
}

/// The mark behind a batch, as a handler of Asio: runs what was queued of it.
class LoopCore::EndOfBatch {
 public:
  using allocator_type = PoolAllocator<void>;

  explicit EndOfBatch(LoopCore& core) : core_(core) {}
  allocator_type get_allocator() const noexcept { return {}; }
  void operator()() const {
    if (std::exchange(core_.more_expected_, false))
      core_.post(*this);
    else if (std::exchange(core_.batch_open_, false))
      core_.run_events();
  }

 private:
  LoopCore& core_;
};

// What the kernel reports at once is handled in one pass, in its order, timers that are due by then
// behind it (rule 9). Asio hands it over one by one, and finds that there is no more only by looking
// at the kernel again. So the first event is handled alone, and the next in a pass that waits again:
// to the program that is the same as long as there is nothing else to do. Where many come at once
// collecting them is cheaper: each look that finds no second event allows so many without one.
// Returns how many came behind the first.
unsigned LoopCore::wait(Duration time_to_wait) {
  const bool for_ever = time_to_wait == Duration::max();
  batch_open_ = false;
  more_expected_ = false;
  std::size_t events = 0;
  if (virtual_time()) {
    if (const unsigned taken = take_events(); taken != 0 || has_ready()) return taken;
    if (thread_work_ == 0) {  // a thread at work is not waited for in virtual time
      if (!for_ever) {
        advance(time_to_wait);
        return 0;
      }
      if (observer_) observer_->waits_for_ever();
    }
    events = context_->run_one();
  } else if (for_ever) {
    events = context_->run_one();
  } else if (exact_timers_) {
    arm_timer();
    events = context_->run_one();
  } else {
    events = context_->run_one_for(round_up(time_to_wait));
  }
  if (events == 0) {
    if (context_->stopped()) stop();
    return 0;
  }
  batch_open_ = alone_credit_ != 0 && comes_alone();
  if (batch_open_) {
    --alone_credit_;
    return 0;
  }
  const unsigned more = take_events();
  if (more == 0) alone_credit_ = most_alone;
  return more;
}

bool LoopCore::comes_alone() const noexcept {
  return !more_expected_ && !virtual_time() && !observer_ && only_events();
}

void LoopCore::run_first_event() {
  run_events();
  if (has_ready() || stopping_) finish_batch();
}

/// What the first event has queued is for the next pass, and so is what the kernel reports from now
/// on, perhaps because of it; the rest of the batch comes before either. In Asio's queue the mark
/// stands between the rest and what is new.
void LoopCore::finish_batch() {
  post(EndOfBatch{*this});
  while (batch_open_ && context_->poll_one() != 0) {  // poll() would look at the kernel once more
  }
  budget_ = Budget(time());
}

// -- as a guest

// The pump does the work of run_forever; what is different is who runs the context.
void LoopCore::run_host() {
  // A context that runs out of work is stopped, and the host has yet to run it.
  struct Restart {
    ~Restart() {
      if (!stopped) context.restart();
    }
    boost::asio::io_context& context;
    bool stopped = false;  // by the host
  } restart{*context_};
  in_run_host_ = true;
  if (!attended_) {
    if (stopping_)  // during the host's run: one pass
      attend();
    else
      begin_waiting();
  }
  const auto work = boost::asio::make_work_guard(*context_);
  context_->restart();
  do {
    if (!virtual_time() || context_->poll_one() == 0) wait_as_host();
    restart.stopped = context_->stopped();
  } while (in_run_host_ && !restart.stopped);
}

void LoopCore::wait_as_host() {
  if (virtual_time() && thread_work_ == 0) {
    const Duration time_to_wait = time_to_timer();
    if (time_to_wait != Duration::max()) return advance(time_to_wait);
    if (observer_) observer_->waits_for_ever();
  }
  context_->run_one();
}

void LoopCore::attend() noexcept {
  attended_ = true;
  post([foreign = foreign_, this] {
    if (foreign->open()) pump();
  });
}

/// In a guest that waits, the first event is handled at once. If the pump has to be posted then, it
/// is the mark behind the rest of the batch.
void LoopCore::push_event(ReadyNode& node, bool more) {
  more_expected_ |= more;
  const bool waited = !std::exchange(attended_, true);
  push_io(node);
  if (!waited) return;
  if (in_run_host_ || !comes_alone()) return attend();
  const Running running(*this);
  const Rest rest{*this};
  if (!std::exchange(pass_begun_, false)) begin_pass();
  batch_open_ = true;
  run_events();
  if (!has_ready()) begin_waiting();
}

void LoopCore::earliest_timer_changed() noexcept {
  if (!attended_) arm_timer();
}

void LoopCore::pump() {
  if (running_) return;  // a callback runs the host's context: the pass around it goes on after it
  if (batch_open_ && std::exchange(more_expected_, false)) return attend();
  const Running running(*this);
  const Rest rest{*this};
  Budget budget(time());
  do {
    if (std::exchange(batch_open_, false)) {
      run_events();
    } else {
      if (!std::exchange(pass_begun_, false)) begin_pass();
      run_pass();
    }
    if (in_run_host_ && stopping_) {
      in_run_host_ = false;
      return;
    }
  } while (has_ready() && may_go_on(budget));
  if (!has_ready()) begin_waiting();
}

/// As in run_forever, a pass begins before it waits.
void LoopCore::begin_waiting() {
  if (std::exchange(pass_begun_, true)) return;
  begin_pass();
  if (!attended_) arm_timer();
}

void LoopCore::rest() {
  hold_context();
  if (has_ready()) return attend();
  batch_open_ = false;
  more_expected_ = false;
  attended_ = false;
  arm_timer();
}

void LoopCore::arm_timer() {
  if (virtual_time() && !owned_context_) return;  // whoever runs the host moves the clock
  // stop() is for run_forever: it must not make a guest spin.
  const Duration time_to_wait = time_to_timer();
  if (time_to_wait == Duration::max()) {  // what was waited for was cancelled: it is work no more
    if (timer_deadline_ != TimePoint::max()) timer_->cancel();
    timer_deadline_ = TimePoint::max();
    return;
  }
  const TimePoint deadline = time() + time_to_wait;
  if (!timer_) timer_.emplace(io_executor());
  if (timer_deadline_ <= deadline && timer_deadline_ > time()) return;  // wakes early enough
  timer_deadline_ = deadline;
  if (exact_timers_)
    timer_->expires_after(std::chrono::nanoseconds(time_to_wait));
  else
    timer_->expires_after(round_up(time_to_wait));
  async_wait(*timer_, [foreign = foreign_, this](const boost::system::error_code& error) {
    if (error || !foreign->open()) return;
    timer_deadline_ = TimePoint::max();
    if (!attended_) {
      attended_ = true;
      pump();
    }
  });
}

}  // namespace asyncio::inline v1::detail
