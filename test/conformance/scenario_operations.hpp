// SPDX-License-Identifier: BSL-1.0
// The operations of the scenario language that are calls of the library. To support another one,
// add a row to the table it belongs to.
#pragma once

#include <functional>
#include <string_view>

#include "scenario_interpreter.hpp"

namespace scenario {

/// Done at once; also in plain functions, setup and script.
struct Action {
  Value (*run)(Interpreter& m, Frame& frame, const Step& step);
  /// Gives an object: the trace shows only that it was done.
  bool quiet = false;
};

/// Gives a future, or a coroutine that does nothing yet.
using AwaitableOperation = Value (*)(Interpreter& m, Frame& frame, const Step& step);

/// The body of a `with` step, run with what `as` stands for.
using Body = std::function<asyncio::Coroutine<Completion>(Value entered)>;
/// `async with`: enters, runs the body, leaves.
using ContextOperation = asyncio::Coroutine<Completion> (*)(Interpreter& m, Frame& frame,
                                                            const Step& what, const Body& body);

/// Runs the loop from outside.
using DriverOperation = Value (*)(Interpreter& m, Frame& frame, const Step& step);

/// Each null if there is none of that name.
const Action* find_action(std::string_view op);
AwaitableOperation find_awaitable(std::string_view op);
ContextOperation find_context(std::string_view op);
DriverOperation find_driver(std::string_view op);

/// A timeout as a scenario sees it: also when the library's own scope is left and gone.
class TimeoutScope {
 public:
  explicit TimeoutScope(asyncio::Timeout& timeout)
      : state_(std::make_shared<State>(State{.timeout = &timeout})) {}
  /// To be called when the body is over.
  void leave() const {
    state_->expired = expired();
    state_->when = state_->timeout->when();
    state_->timeout = nullptr;
  }
  Value when() const {
    const auto when = state_->timeout ? state_->timeout->when() : state_->when;
    return when ? Value(*when) : Value();
  }
  bool expired() const { return state_->timeout ? state_->timeout->expired() : state_->expired; }
  void reschedule(std::optional<asyncio::TimePoint> when) const {
    if (!state_->timeout) throw asyncio::RuntimeError("Cannot change state of finished Timeout");
    state_->timeout->reschedule(when);
  }

 private:
  struct State {
    asyncio::Timeout* timeout;
    std::optional<asyncio::TimePoint> when{};
    bool expired = false;
  };
  std::shared_ptr<State> state_;
};

/// Awaits what Interpreter::awaitable gave. TypeError if it is not awaitable.
Coroutine await_value(Value awaitable);
/// create_task, or what stands for it; TypeError if it is no coroutine.
Value spawn(Interpreter& m, Frame& frame, const Step& step);

// -- for the tables

/// The object in the variable `step.on`.
template <class T>
T& on(const Interpreter& m, const Frame& frame, const Step& step) {
  return m.read(frame, step, "on").as<T>();
}

/// The context in `step.context`; null if the step names none.
inline const asyncio::Context* context_of(const Interpreter& m, const Frame& frame,
                                          const Step& step) {
  return step.contains("context") ? &m.read(frame, step, "context").as<asyncio::Context>()
                                  : nullptr;
}

inline std::optional<asyncio::Duration> to_duration(const Value& ticks) {
  if (ticks.is_null()) return std::nullopt;
  return asyncio::Duration(ticks.integer());
}
inline std::optional<asyncio::TimePoint> to_time_point(const Value& ticks) {
  if (ticks.is_null()) return std::nullopt;
  return asyncio::TimePoint(ticks.integer());
}

template <class Operation, std::size_t size>
const Operation* find_row(const std::pair<std::string_view, Operation> (&table)[size],
                          std::string_view op) {
  for (const auto& [name, operation] : table) {
    if (name == op) return &operation;
  }
  return nullptr;
}

}  // namespace scenario
