// SPDX-License-Identifier: BSL-1.0
// The trace, the labels and variables of a scenario, its loops and its script.
#include "scenario_interpreter.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "scenario_fields.hpp"
#include "scenario_operations.hpp"

namespace scenario {

using namespace asyncio;
namespace json = boost::json;

namespace {

constexpr std::uint64_t max_passes = 2000;
constexpr int max_lines = 5000;

// How a run of the loop ends when the program does not end it. These fly through the library, which
// must not take them for errors of the program.
struct Deadlock {};
struct LimitReached {};
struct Abandoned {};

}  // namespace

// -- the trace

void Interpreter::emit(std::string_view who, std::string_view text) {
  if (closed_ || lines_ == max_lines - 1) return;
  ++lines_;
  write(who, text);
}

// PASS TIME WHO EVENT
void Interpreter::write(std::string_view who, std::string_view text) {
  trace_ += std::to_string(scheduler_->passes()) + ' ' + show(time()) + ' ';
  trace_ += who;
  trace_ += ' ';
  trace_ += text;
  trace_ += '\n';
}

void Interpreter::fail(const Frame& frame, const std::string& path, std::exception_ptr error) {
  emit(frame.who, path + " ! " + show_exception(error));
  std::rethrow_exception(std::move(error));
}

std::string Interpreter::show(const Value& value) const {
  struct {
    std::string operator()(std::monostate) const { return "null"; }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(const std::string& text) const { return show_text(text); }
    std::string operator()(const List& list) const {
      std::string text;
      for (const Value& item : list) text += (text.empty() ? "" : ", ") + self.show(item);
      return '[' + text + ']';
    }
    std::string operator()(const std::exception_ptr& error) const { return show_exception(error); }
    std::string operator()(const std::shared_ptr<Object>& object) const {
      const std::string* const label = self.find_label(object->identity());
      return '<' + (label ? *label : "object") + '>';
    }
    const Interpreter& self;
  } const print{*this};
  return std::visit(print, value.data());
}

void Interpreter::loop_exception(const ExceptionContext& context) {
  const auto begins_with = [&](const char* text) { return context.message.starts_with(text); };
  if (begins_with("Exception in callback"))
    emit("loop", "error callback " + show_exception(context.exception));
  else if (begins_with("unhandled exception during asyncio.run"))
    emit("loop", "error shutdown " + show_exception(context.exception));
  else if (begins_with("Task was destroyed but it is pending") && !closed_)
    left_behind_.push_back(labels_of({context.task}).front().text());
}

void Interpreter::pass_begins() {
  if (closed_) throw Abandoned();
  if (scheduler_->passes() > max_passes || lines_ == max_lines - 1) throw LimitReached();
}

void Interpreter::waits_for_ever() { throw Deadlock(); }

// -- labels

void Interpreter::label(const Value& object, std::string_view name) {
  if (const void* const identity = object.identity();
      identity && labels_.emplace(identity, name).second)
    labelled_.push_back(object);
}

const std::string* Interpreter::find_label(const void* identity) const {
  const auto place = labels_.find(identity);
  return place == labels_.end() ? nullptr : &place->second;
}

List Interpreter::labels_of(const std::vector<AnyFuture>& futures) const {
  std::vector<std::string> labels;
  for (const AnyFuture& future : futures) {
    const std::string* const label = find_label(future.state().get());
    labels.push_back(label ? *label : "?");
  }
  std::ranges::sort(labels);
  return List(labels.begin(), labels.end());
}

List Interpreter::pending() const {
  std::vector<AnyFuture> unfinished;
  if (EventLoop* const loop = scheduler_->facade) {
    for (const AnyTask& task : all_tasks(*loop)) unfinished.push_back(task);
  }
  List labels = labels_of(unfinished);
  for (const std::string& label : left_behind_) labels.push_back(label);
  std::ranges::sort(labels, Value::less);
  return labels;
}

/// The label of a new use of step.fn.
std::string Interpreter::instance(const Step& step) {
  for (const char* const field : {"name", "label"}) {
    if (const std::string_view given = text_of(step, field); !given.empty())
      return std::string(given);
  }
  const std::string fn(text_of(step, "fn"));
  const int number = ++instances_[fn];
  return number == 1 ? fn : fn + '#' + std::to_string(number);
}

// -- variables and expressions

const Value& Interpreter::read(const Frame& frame, std::string_view name) const {
  const auto& table = name.starts_with('$') ? globals_ : frame.variables;
  const auto place = table.find(name);
  if (place == table.end()) throw Unset();
  return place->second;
}

const Value& Interpreter::read(const Frame& frame, const Step& step, std::string_view field) const {
  return read(frame, text_of(step, field));
}

void Interpreter::store(Frame& frame, const Step& step, const Value& value,
                        std::string_view field) {
  std::string_view name = text_of(step, field);
  if (name.empty()) return;
  auto& table = name.starts_with('$') ? globals_ : frame.variables;
  table.insert_or_assign(std::string(name), value);
  if (name.starts_with('$')) name.remove_prefix(1);
  label(value, name);
}

Value Interpreter::value(const Frame& frame, const json::value& expression) const {
  switch (expression.kind()) {
    case json::kind::null:
      return {};
    case json::kind::bool_:
      return expression.get_bool();
    case json::kind::string:
      return std::string(expression.get_string());
    case json::kind::array: {
      List list;
      for (const json::value& item : expression.get_array()) list.push_back(value(frame, item));
      return list;
    }
    case json::kind::object:
      break;
    default:
      return expression.to_number<std::int64_t>();
  }
  const auto& [name, operand] = *expression.get_object().begin();
  const std::string_view operation = name;
  if (operation == "get") return read(frame, std::string_view(operand.as_string()));
  const Value given = value(frame, operand);
  if (operation == "now") return time() + Duration(given.integer());
  if (operation == "not") return !given;
  const List* const list = std::get_if<List>(&given.data());
  if (operation == "len") return list ? list->size() : given.text().size();
  if (!list || list->size() != 2) throw TypeError(std::string(operation) + " needs two operands");
  const Value& left = list->front();
  const Value& right = list->back();
  if (operation == "add") return left.integer() + right.integer();
  if (operation == "sub") return left.integer() - right.integer();
  if (operation == "eq") return left == right;
  if (operation == "lt") return Value::less(left, right);
  if (operation == "and") return left ? right : left;
  if (operation == "or") return left ? left : right;
  throw TypeError("unknown expression " + std::string(operation));
}

Value Interpreter::value(const Frame& frame, const Step& step, std::string_view field) const {
  const json::value* const expression = step.if_contains(field);
  return expression ? value(frame, *expression) : Value();
}

List Interpreter::values(const Frame& frame, const Step& step, std::string_view field) const {
  List list;
  for (const json::value& item : steps_of(step, field)) list.push_back(value(frame, item));
  return list;
}

Value Interpreter::awaitable(Frame& frame, const json::value& expression) {
  if (expression.is_string()) return read(frame, std::string_view(expression.get_string()));
  const Step& step = expression.as_object();
  return find_awaitable(op_of(step))(*this, frame, step);
}

List Interpreter::awaitables(Frame& frame, const json::value& expressions) {
  List list;
  for (const json::value& item : expressions.as_array()) list.push_back(awaitable(frame, item));
  return list;
}

// -- loops

EventLoop& Interpreter::loop() const {
  if (!scheduler_->facade) throw RuntimeError("Event loop is closed");
  return *scheduler_->facade;
}

void Interpreter::use_loop(EventLoop& loop) {
  if (scheduler_.get() == &loop.scheduler()) return;
  scheduler_ = detail::Ref<detail::Scheduler>(&loop.scheduler());
  left_behind_.clear();
  set_event_loop(&loop);
}

std::unique_ptr<EventLoop> Interpreter::new_loop() {
  constexpr LoopOptions options{.clock = Clock::virtual_time};
  auto loop = host_ ? std::make_unique<EventLoop>(*host_, options)
                    : std::make_unique<EventLoop>(options);
  loop->set_observer(this);
  loop->set_exception_handler(
      [this](EventLoop&, const ExceptionContext& context) { loop_exception(context); });
  use_loop(*loop);
  return loop;
}

std::shared_ptr<Runner> Interpreter::new_runner() {
  const LoopFactory factory = [this] { return new_loop(); };
  runners_.push_back(std::make_shared<Runner>(RunnerOptions{.loop_factory = &factory}));
  return runners_.back();
}

void Interpreter::set_eager(bool eager) {
  loop().set_task_factory(eager ? eager_task_factory : TaskFactory());
}

// -- the script

Interpreter::Interpreter(const Step& scenario, boost::asio::io_context* host)
    : scenario_(scenario), host_(host), own_loop_(new_loop()) {}

Interpreter::~Interpreter() {
  closed_ = true;
  for (const std::shared_ptr<Runner>& runner : runners_) {
    try {
      runner->close();
    } catch (const Abandoned&) {  // it would run what is left of the scenario
    }
  }
  own_loop_.reset();
  set_event_loop(nullptr);
}

std::string Interpreter::run() {
  const std::string_view outcome = run_script();
  write("scenario", std::string(outcome) + ' ' + show(pending()));
  closed_ = true;
  return std::move(trace_);
}

std::string_view Interpreter::run_script() {
  static const json::value run_main =
      json::parse(R"([{"op": "run_until_complete", "of": {"op": "call", "fn": "main"}}])");
  const auto shared_frame = std::make_shared<Frame>("script");
  Frame& frame = *shared_frame;
  if (text_of(scenario_, "task_factory") == "eager") set_eager(true);
  for (const json::value& item : steps_of(scenario_, "setup")) {
    const Step& step = item.as_object();
    store(frame, step, find_action(op_of(step))->run(*this, frame, step));
  }
  const Steps& script = steps_of(scenario_, "script");
  int index = 0;
  for (const json::value& item : script.empty() ? run_main.get_array() : script) {
    const Step& step = item.as_object();
    const std::string path = std::to_string(index++);
    try {
      if (find_driver(op_of(step)))
        drive(frame, step, path);
      else
        action(frame, step, path);
    } catch (const Deadlock&) {
      return "deadlock";
    } catch (const LimitReached&) {
      return "limit";
    } catch (...) {  // it is in the trace: the script goes on
    }
  }
  return "finish";
}

void Interpreter::drive(Frame& frame, const Step& step, const std::string& path) {
  const std::string op(op_of(step));
  emit(frame.who, path + " > " + op);
  Value result;
  try {
    result = find_driver(op)(*this, frame, step);
    store(frame, step, result);
  } catch (const Deadlock&) {
    throw;
  } catch (const LimitReached&) {
    throw;
  } catch (...) {
    fail(frame, path, std::current_exception());
  }
  emit(frame.who, path + " < " + show(result));
}

}  // namespace scenario
