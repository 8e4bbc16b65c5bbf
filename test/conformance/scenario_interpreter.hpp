// SPDX-License-Identifier: BSL-1.0
// Runs a scenario on the library and writes its trace, as the reference does on CPython.
//
// The functions of a scenario are coroutines here, interpreted step by step. Whatever waits, wakes
// or schedules is the library's: the interpreter has no queue and no order of its own.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenario_value.hpp"

namespace scenario {

using Step = boost::json::object;
using Steps = boost::json::array;

/// What a block of steps came to: the value of a `return`, or nothing.
using Completion = std::optional<Value>;

/// One running function: its label and its local variables.
struct Frame {
  std::string who;
  std::map<std::string, Value, std::less<>> variables{};
  std::exception_ptr handling{};  // by the innermost except clause
};

/// The callback that a plain function of a scenario makes; copies are the same callback.
class Callback {
 public:
  struct Content {
    std::function<void(List extra)> run;
  };
  explicit Callback(Content content) : content_(std::make_shared<Content>(std::move(content))) {}
  void operator()() const { content_->run({}); }
  /// As a done-callback, which gets the future.
  void operator()(const Future& future) const { content_->run({Value::object(future)}); }
  friend bool operator==(const Callback&, const Callback&) = default;

 private:
  std::shared_ptr<Content> content_;
};

class Interpreter : private asyncio::LoopObserver {
 public:
  explicit Interpreter(const Step& scenario);
  /// Releases everything, without running any more of the scenario.
  ~Interpreter() override;

  /// The trace.
  std::string run();

  // -- for operations

  const Value& read(const Frame& frame, std::string_view name) const;
  /// Of the variable that the step names in a field.
  const Value& read(const Frame& frame, const Step& step, std::string_view field) const;
  /// Evaluates an expression.
  Value value(const Frame& frame, const boost::json::value& expression) const;
  /// Of a field of the step; null if it is not there.
  Value value(const Frame& frame, const Step& step, std::string_view field) const;
  List arguments(const Frame& frame, const Step& step) const;

  /// A future, or a coroutine that was not started: of a variable, or by evaluating an operation.
  Value awaitable(Frame& frame, const boost::json::value& expression);
  /// The coroutine of `step.fn`.
  Value call(const Frame& frame, const Step& step);
  Callback callback(const Frame& frame, const Step& step);
  /// Throws what the scenario's exception `step.type` is.
  static std::exception_ptr exception(const Step& step);

  /// Gives an object its label, unless it has one.
  void label(const Value& object, std::string_view name);
  /// Null if it has none.
  const std::string* find_label(const void* identity) const;
  std::string label_of(const asyncio::AnyFuture& future) const;
  /// The sorted labels.
  List labels_of(const std::vector<asyncio::AnyFuture>& futures) const;
  /// Labels of the current loop's unfinished tasks, sorted.
  List pending() const;

  /// The current loop; RuntimeError if it is no more.
  asyncio::EventLoop& loop() const;
  asyncio::TimePoint time() const { return scheduler_->time(); }
  void use_loop(asyncio::EventLoop& loop);
  /// With virtual time; seen by this interpreter. It becomes the current one.
  std::unique_ptr<asyncio::EventLoop> new_loop();
  std::shared_ptr<asyncio::Runner> new_runner();
  void set_eager(bool eager);

 private:
  using Control = Coroutine_of_block;
};

}  // namespace scenario
