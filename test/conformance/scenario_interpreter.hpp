// SPDX-License-Identifier: BSL-1.0
// Runs a scenario on the library and writes its trace, as the reference does on CPython.
//
// The functions of a scenario are coroutines here, interpreted step by step. Whatever waits, wakes
// or schedules is the library's: the interpreter has no queue and no order of its own.
#pragma once

#include <boost/asio/io_context.hpp>
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

/// One running function: its label and its local variables. Closures may outlive the function.
struct Frame : std::enable_shared_from_this<Frame> {
  explicit Frame(std::string who) : who(std::move(who)) {}
  const std::string who;
  std::map<std::string, Value, std::less<>> variables;
  std::exception_ptr handling;  // by the innermost except clause
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
  /// With a context its loops are guests of that.
  explicit Interpreter(const Step& scenario, boost::asio::io_context* host = nullptr);
  /// Releases everything, without running any more of the scenario.
  ~Interpreter() override;

  /// The trace.
  std::string run();
  /// Is there a step of that name?
  static bool has(std::string_view op);

  // -- for operations

  const Value& read(const Frame& frame, std::string_view name) const;
  /// Of the variable that a field of the step names.
  const Value& read(const Frame& frame, const Step& step, std::string_view field) const;
  /// Of an expression.
  Value value(const Frame& frame, const boost::json::value& expression) const;
  /// Of a field of the step; null if it is not there.
  Value value(const Frame& frame, const Step& step, std::string_view field) const;
  List values(const Frame& frame, const Step& step, std::string_view field) const;
  /// A future, or a coroutine that was not started: of a variable, or by evaluating an operation.
  Value awaitable(Frame& frame, const boost::json::value& expression);
  List awaitables(Frame& frame, const boost::json::value& expressions);
  /// The coroutine of a call of `step.fn`.
  Value call(const Frame& frame, const Step& step);
  Callback callback(const Frame& frame, const Step& step);

  /// Gives an object its label, unless it has one.
  void label(const Value& object, std::string_view name);
  /// Null if it has none.
  const std::string* find_label(const void* identity) const;
  /// Sorted.
  List labels_of(const std::vector<asyncio::AnyFuture>& futures) const;
  /// Of the current loop's unfinished tasks, sorted.
  List pending() const;

  /// The current loop; RuntimeError if it is gone.
  asyncio::EventLoop& loop() const;
  asyncio::TimePoint time() const { return scheduler_->time(); }
  void use_loop(asyncio::EventLoop& loop);
  /// With virtual time, watched by this interpreter, and the current one from now on.
  std::unique_ptr<asyncio::EventLoop> new_loop();
  std::shared_ptr<asyncio::Runner> new_runner();
  void set_eager(bool eager);

 private:
  using Block = asyncio::Coroutine<Completion>;
  using Control = Block (Interpreter::*)(Frame&, const Step&, std::string path);

  static const std::map<std::string_view, Control>& controls();

  // -- the trace
  void write(std::string_view who, std::string_view text);
  void emit(std::string_view who, std::string_view text);
  /// Writes "PATH ! EXC" and throws on.
  [[noreturn]] void fail(const Frame& frame, const std::string& path, std::exception_ptr error);
  std::string show(const Value& value) const;
  void loop_exception(const asyncio::ExceptionContext& context);
  void pass_begins() override;
  void waits_for_ever() override;

  // -- names
  void store(Frame& frame, const Step& step, const Value& value, std::string_view field = "to");
  std::string instance(const Step& step);
  std::shared_ptr<Frame> new_frame(std::string_view fn, const List& arguments,
                                   const std::string& who) const;

  // -- functions and steps
  Coroutine run_coroutine(std::string fn, List arguments, std::string who);
  void run_plain(std::string_view fn, const List& arguments, const std::string& who);
  Block block(Frame& frame, const Steps& steps, std::string prefix);
  asyncio::Coroutine<> await_step(Frame& frame, const Step& step, std::string path);
  void action(Frame& frame, const Step& step, const std::string& path);
  Block do_try(Frame& frame, const Step& step, std::string path);
  Block do_if(Frame& frame, const Step& step, std::string path);
  Block do_repeat(Frame& frame, const Step& step, std::string path);
  Block do_while(Frame& frame, const Step& step, std::string path);
  Block do_with(Frame& frame, const Step& step, std::string path);
  Block do_with_body(Frame& frame, const Step& step, std::string path, Value entered);
  Block do_as_completed(Frame& frame, const Step& step, std::string path);
  Block do_return(Frame& frame, const Step& step, std::string path);
  Block do_raise(Frame& frame, const Step& step, std::string path);

  // -- the script
  std::string_view run_script();
  void drive(Frame& frame, const Step& step, const std::string& path);

  const Step& scenario_;
  boost::asio::io_context* const host_;  // null: loops own theirs
  std::map<std::string, Value, std::less<>> globals_;
  std::map<const void*, std::string> labels_;
  List labelled_;  // kept alive: an address stands for one object
  std::map<std::string, int, std::less<>> instances_;  // unlabelled uses of each function
  std::string trace_;
  int lines_ = 0;
  bool closed_ = false;                   // nothing is traced, and no pass is run, any more
  std::vector<std::string> left_behind_;  // tasks that the current loop destroyed when it closed
  std::vector<std::shared_ptr<asyncio::Runner>> runners_;
  asyncio::detail::Ref<asyncio::detail::Scheduler> scheduler_;  // of the current loop; outlives it
  std::unique_ptr<asyncio::EventLoop> own_loop_;
};

}  // namespace scenario
