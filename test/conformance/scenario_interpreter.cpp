// SPDX-License-Identifier: BSL-1.0
#include "scenario_interpreter.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

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

std::string_view op_of(const Step& step) { return step.at("op").as_string(); }

/// A field that may be missing.
const Steps& steps_of(const Step& step, std::string_view field) {
  static const Steps none;
  const json::value* const steps = step.if_contains(field);
  return steps ? steps->as_array() : none;
}

std::string_view text_of(const Step& step, std::string_view field) {
  const json::value* const text = step.if_contains(field);
  return text ? std::string_view(text->as_string()) : std::string_view();
}

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

// -- functions

std::shared_ptr<Frame> Interpreter::new_frame(std::string_view fn, const List& arguments,
                                              const std::string& who) const {
  auto frame = std::make_shared<Frame>(who);
  const Step& function = scenario_.at("fns").at(fn).as_object();
  const Steps& parameters = steps_of(function, "params");
  for (std::size_t i = 0; i != std::min(parameters.size(), arguments.size()); ++i)
    frame->variables.emplace(parameters[i].as_string(), arguments[i]);
  return frame;
}

Value Interpreter::call(const Frame& frame, const Step& step) {
  List arguments = values(frame, step, "args");
  const std::string who = instance(step);
  Value coroutine =
      Value::object(run_coroutine(std::string(text_of(step, "fn")), std::move(arguments), who));
  label(coroutine, who);
  return coroutine;
}

Callback Interpreter::callback(const Frame& frame, const Step& step) {
  if (step.contains("cb")) return read(frame, step, "cb").as<Callback>();
  Callback::Content content{[this, fn = text_of(step, "fn"),
                             arguments = values(frame, step, "args"),
                             who = instance(step)](List extra) {
    List all = arguments;
    std::ranges::move(extra, std::back_inserter(all));
    run_plain(fn, all, who);
  }};
  return Callback(std::move(content));
}

Coroutine Interpreter::run_coroutine(std::string fn, List arguments, std::string who) {
  const std::shared_ptr<Frame> frame = new_frame(fn, arguments, who);
  label(Value::object(Future(current_task().state())), who);
  emit(who, "begin");
  const Steps& steps = steps_of(scenario_.at("fns").at(fn).as_object(), "body");
  Completion completion;
  std::exception_ptr error;
  try {
    completion = co_await block(*frame, steps, "");
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    emit(who, "end ! " + show_exception(error));
    std::rethrow_exception(error);
  }
  const Value result = completion.value_or(Value());
  emit(who, "end " + show(result));
  co_return result;
}

void Interpreter::run_plain(std::string_view fn, const List& arguments, const std::string& who) {
  const std::shared_ptr<Frame> frame = new_frame(fn, arguments, who);
  emit(who, "begin");
  try {
    int index = 0;
    for (const json::value& step : steps_of(scenario_.at("fns").at(fn).as_object(), "body"))
      action(*frame, step.as_object(), std::to_string(index++));
  } catch (...) {
    emit(who, "end ! " + show_exception(std::current_exception()));
    throw;
  }
  emit(who, "end null");
}

// -- steps

Interpreter::Block Interpreter::block(Frame& frame, const Steps& steps, std::string prefix) {
  for (std::size_t index = 0; index != steps.size(); ++index) {
    const Step& step = steps[index].as_object();
    const std::string path = prefix + std::to_string(index);
    const auto control = controls().find(op_of(step));
    if (control != controls().end()) {
      const Control run = control->second;
      const Completion completion = co_await (this->*run)(frame, step, path);
      if (completion) co_return completion;
    } else if (find_awaitable(op_of(step))) {
      co_await await_step(frame, step, path);
    } else {
      action(frame, step, path);
    }
  }
  co_return std::nullopt;
}

asyncio::Coroutine<> Interpreter::await_step(Frame& frame, const Step& step, std::string path) {
  emit(frame.who, path + " > " + std::string(op_of(step)));
  Value result;
  std::exception_ptr error;
  try {
    const Value operand = find_awaitable(op_of(step))(*this, frame, step);
    result = co_await await_value(operand);
  } catch (...) {
    error = std::current_exception();
  }
  if (error) fail(frame, path, error);
  store(frame, step, result);
  emit(frame.who, path + " < " + show(result));
}

void Interpreter::action(Frame& frame, const Step& step, const std::string& path) {
  const std::string op(op_of(step));
  const Action* const action = find_action(op);
  Value result;
  try {
    result = action->run(*this, frame, step);
    store(frame, step, result);
  } catch (...) {
    fail(frame, path, std::current_exception());
  }
  emit(frame.who, path + " = " + op + (action->quiet ? "" : ' ' + show(result)));
}

// No co_await may stand in a handler, so an exception is kept, and dealt with outside.
Interpreter::Block Interpreter::do_try(Frame& frame, const Step& step, std::string path) {
  Completion completion;
  std::exception_ptr error;
  try {
    completion = co_await block(frame, steps_of(step, "body"), path + ".b");
  } catch (...) {
    error = std::current_exception();
  }
  const Steps& clauses = steps_of(step, "except");
  for (std::size_t number = 0; error && number != clauses.size(); ++number) {
    const Step& clause = clauses[number].as_object();
    const bool caught = std::ranges::any_of(clause.at("catch").as_array(), [&](const auto& type) {
      return matches(std::string_view(type.as_string()), error);
    });
    if (!caught) continue;
    emit(frame.who, path + " catch " + show_exception(error));
    const std::exception_ptr outer = std::exchange(frame.handling, error);
    if (clause.contains("as"))
      frame.variables.insert_or_assign(std::string(text_of(clause, "as")), error);
    error = nullptr;
    const std::string prefix = path + ".x" + std::to_string(number) + '.';
    try {
      completion = co_await block(frame, steps_of(clause, "body"), prefix);
    } catch (...) {
      error = std::current_exception();
    }
    frame.handling = outer;
    break;
  }
  const Completion last = co_await block(frame, steps_of(step, "finally"), path + ".f");
  if (last) co_return last;
  if (error) std::rethrow_exception(error);
  co_return completion;
}

Interpreter::Block Interpreter::do_if(Frame& frame, const Step& step, std::string path) {
  const bool truth(value(frame, step, "cond"));
  const std::string prefix = path + (truth ? ".t" : ".e");
  return block(frame, steps_of(step, truth ? "then" : "else"), prefix);
}

Interpreter::Block Interpreter::do_repeat(Frame& frame, const Step& step, std::string path) {
  const std::int64_t times = value(frame, step, "times").integer();
  for (std::int64_t index = 0; index < times; ++index) {
    if (step.contains("as"))
      frame.variables.insert_or_assign(std::string(text_of(step, "as")), index);
    const Completion completion = co_await block(frame, steps_of(step, "body"), path + ".b");
    if (completion) co_return completion;
  }
  co_return std::nullopt;
}

Interpreter::Block Interpreter::do_while(Frame& frame, const Step& step, std::string path) {
  while (value(frame, step, "cond")) {
    const Completion completion = co_await block(frame, steps_of(step, "body"), path + ".b");
    if (completion) co_return completion;
  }
  co_return std::nullopt;
}

Interpreter::Block Interpreter::do_with(Frame& frame, const Step& step, std::string path) {
  const Step& what = step.at("what").as_object();
  const std::string op(op_of(what));
  emit(frame.who, path + " > with." + op);
  const Body body = [&](Value entered) {
    return do_with_body(frame, step, path, std::move(entered));
  };
  Completion completion;
  std::exception_ptr error;
  try {
    completion = co_await find_context(op)(*this, frame, what, body);
  } catch (...) {
    error = std::current_exception();
  }
  if (error) fail(frame, path, error);
  emit(frame.who, path + " < null");
  co_return completion;
}

Interpreter::Block Interpreter::do_with_body(Frame& frame, const Step& step, std::string path,
                                             Value entered) {
  store(frame, step, entered, "as");
  emit(frame.who, path + " | enter");
  Completion completion;
  std::exception_ptr error;
  try {
    completion = co_await block(frame, steps_of(step, "body"), path + ".b");
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    emit(frame.who, path + " | exit " + show_exception(error));
    std::rethrow_exception(error);
  }
  emit(frame.who, path + " | exit");
  co_return completion;
}

Interpreter::Block Interpreter::do_as_completed(Frame& frame, const Step& step, std::string path) {
  std::vector<Future> futures;
  for (const json::value& item : step.at("of").as_array()) {  // one after another, as the reference
    const Value given = awaitable(frame, item);
    if (const Future* const future = given.find<Future>())
      futures.push_back(*future);
    else
      futures.push_back(asyncio::ensure_future(std::move(given.as<Coroutine>())));
  }
  const AsCompletedOptions options{.timeout = to_duration(value(frame, step, "timeout"))};
  const AsCompleted<Future> completed = asyncio::as_completed(futures, options);
  const bool gives_futures(value(frame, step, "async"));
  for (;;) {
    emit(frame.who, path + " > as_completed");
    std::optional<Value> item;
    std::exception_ptr error;
    try {
      if (gives_futures) {
        const Future future = co_await completed.next();
        if (future) item = Value::object(future);
      } else if (const auto next = completed.begin(); next != completed.end()) {
        item = co_await *next;
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (error) fail(frame, path, error);
    if (!item) break;
    store(frame, step, *item, "as");
    emit(frame.who, path + " < " + show(*item));
    const Completion completion = co_await block(frame, steps_of(step, "body"), path + ".b");
    if (completion) co_return completion;
  }
  emit(frame.who, path + " < exhausted");
  co_return std::nullopt;
}

Interpreter::Block Interpreter::do_return(Frame& frame, const Step& step, std::string) {
  co_return value(frame, step, "value");
}

Interpreter::Block Interpreter::do_raise(Frame& frame, const Step& step, std::string path) {
  action(frame, step, path);
  co_return std::nullopt;
}

const std::map<std::string_view, Interpreter::Control>& Interpreter::controls() {
  static const std::map<std::string_view, Control> table = {
      {"as_completed", &Interpreter::do_as_completed},
      {"if", &Interpreter::do_if},
      {"raise", &Interpreter::do_raise},
      {"repeat", &Interpreter::do_repeat},
      {"return", &Interpreter::do_return},
      {"try", &Interpreter::do_try},
      {"while", &Interpreter::do_while},
      {"with", &Interpreter::do_with},
  };
  return table;
}

bool Interpreter::has(std::string_view op) {
  return controls().contains(op) || find_action(op) || find_awaitable(op) || find_driver(op);
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
  auto loop = std::make_unique<EventLoop>(LoopOptions{.clock = Clock::virtual_time});
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

Interpreter::Interpreter(const Step& scenario) : scenario_(scenario), own_loop_(new_loop()) {}

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
