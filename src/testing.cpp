// SPDX-License-Identifier: BSL-1.0
#include <asyncio/testing.hpp>

#include <asyncio/graph.hpp>
#include <sstream>

namespace asyncio::inline v1::testing {

// -- TestLoop

TestLoop::TestLoop() : TestLoop(LoopOptions{}) {}

TestLoop::TestLoop(LoopOptions options)
    : EventLoop(LoopOptions{.clock = Clock::virtual_time, .exact_timers = options.exact_timers}) {
  set_observer(this);
  set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
    reports_.push_back(context.message +
                       (context.exception ? ": " + repr(context.exception) : std::string()));
  });
}

TestLoop::~TestLoop() { close(); }

void TestLoop::run_passes(unsigned count) {
  while (count-- != 0) {
    stop();
    run_forever();
  }
}

void TestLoop::run_for(Duration time) {
  call_later(time, [this] { stop(); });
  run_forever();
}

void TestLoop::before_pass(std::uint64_t number, std::function<void()> action) {
  number_ = number;
  action_ = std::move(action);
}

void TestLoop::pass_begins() {
  if (action_ && passes() == number_) std::exchange(action_, nullptr)();
}

std::vector<std::string> TestLoop::leftovers() {
  run_passes();  // timers that were cancelled leave
  std::vector<std::string> found = reports_;
  for (const AnyTask& task : all_tasks(*this)) found.push_back(to_string(task));
  if (const Duration wait = scheduler().time_to_timer(); wait != Duration::max())
    found.push_back("a timer that is due in " + to_string(wait) + " seconds");
  return found;
}

void TestLoop::waits_for_ever() {
  std::ostringstream text;
  const std::vector<AnyTask> tasks = all_tasks(*this);
  text << "deadlock: nothing can happen any more";
  if (tasks.empty()) text << ", and nobody has called stop()";
  for (const AnyTask& task : tasks) {
    text << '\n';
    task.print_stack({}, &text);
  }
  throw DeadlockError(text.str());
}

// -- cancel_at_every_suspension

namespace {

/// Calls it and says what it threw, in Python's words; nothing if it did not throw.
template <class F>
std::string thrown_by(F&& function) {
  try {
    function();
    return {};
  } catch (...) {
    return repr(std::current_exception());
  }
}

constexpr unsigned aftermath = 20;  // passes for what the end of the body has set going

/// Runs the body in one loop after another, and notes what is wrong.
class Trials {
 public:
  explicit Trials(const detail::Subject& subject) : subject_(subject) {}

  /// Cancels the body before that pass. False if it ended earlier.
  bool cancel_before(std::uint64_t pass) {
    place_ = "cancelled before pass " + std::to_string(pass);
    bool reached = false;
    {
      const auto owner = subject_.make_loop();
      TestLoop& loop = *owner;
      const AnyTask task = subject_.make_task(loop);
      loop.before_pass(pass, [&] {
        note_stack(task);
        reached = task.cancel();
      });
      const std::string error = thrown_by([&] { loop.run_until_complete(task); });
      if (!error.starts_with("CancelledError(")) add(error);
      loop.run_passes(aftermath);
      add(thrown_by([&] { subject_.check(loop); }));
      for (const std::string& leftover : loop.leftovers()) add("left behind: " + leftover);
    }
    if (subject_.check_closed) add(thrown_by(subject_.check_closed));
    return reached;
  }
  /// Closes the loop before that pass.
  void close_before(std::uint64_t pass) {
    place_ = "closed before pass " + std::to_string(pass);
    {
      const auto loop = subject_.make_loop();
      const AnyTask task = subject_.make_task(*loop);
      loop->run_passes(static_cast<unsigned>(pass - 1));
      note_stack(task);
    }
    if (subject_.check_closed) add(thrown_by(subject_.check_closed));
  }

  std::vector<std::string> problems;

 private:
  void note_stack(const AnyTask& task) {
    const std::vector<StackFrame> stack = task.get_stack();
    if (stack.empty()) return;
    place_ += ", at " + stack.back().file + ':' + std::to_string(stack.back().line) + " in " +
              stack.back().function;
  }
  void add(const std::string& text) {
    if (!text.empty()) problems.push_back(place_ + ": " + text);
  }

  const detail::Subject& subject_;
  std::string place_;
};

}  // namespace

CancelReport detail::cancel_at_every_suspension(const Subject& subject) {
  Trials trials(subject);
  std::uint64_t points = 0;
  while (trials.cancel_before(points + 1)) ++points;
  for (std::uint64_t pass = 1; pass <= points; ++pass) trials.close_before(pass);
  return {points, std::move(trials.problems)};
}

std::string to_string(const CancelReport& report) {
  std::string text;
  for (const std::string& problem : report.problems) text += problem + '\n';
  return text;
}

}  // namespace asyncio::inline v1::testing
