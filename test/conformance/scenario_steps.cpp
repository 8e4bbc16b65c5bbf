// SPDX-License-Identifier: BSL-1.0
// The functions of a scenario, and the steps that control what follows them.
#include <algorithm>
#include <boost/json/value.hpp>
#include <iterator>

#include "scenario_fields.hpp"
#include "scenario_interpreter.hpp"
#include "scenario_operations.hpp"

namespace scenario {

using namespace asyncio;
namespace json = boost::json;

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

}  // namespace scenario
