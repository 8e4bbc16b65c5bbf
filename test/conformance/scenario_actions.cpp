// SPDX-License-Identifier: BSL-1.0
// What is done at once: on tasks, futures, callbacks, locks, readers, context variables.
#include <boost/json/value.hpp>

#include "scenario_operations.hpp"

namespace scenario {

using namespace asyncio;
using M = Interpreter;
using F = Frame;
using S = Step;

namespace {

std::optional<std::string> text_of(const S& s, std::string_view field) {
  const boost::json::value* const text = s.if_contains(field);
  if (!text) return std::nullopt;
  return std::string(text->as_string());
}

std::exception_ptr exception_of(const S& s) {
  return make_exception(*text_of(s, "type"), text_of(s, "msg"));
}

AnyTask task_on(const M& m, const F& f, const S& s) {
  const AnyTask task(on<Future>(m, f, s).state());
  if (!task.state()->as_task()) throw TypeError("a task is needed here");
  return task;
}

Value raise(M&, F& f, const S& s) {
  std::rethrow_exception(s.contains("type") ? exception_of(s) : f.handling);
}

Value current_task_label(M& m, F&, const S&) {
  const AnyTask task = current_task(m.loop());
  if (!task) return {};
  return m.labels_of({task}).front();
}

Value ensure_future(M& m, F& f, const S& s) {
  const Value given = m.awaitable(f, s.at("of"));
  if (given.find<Future>()) return given;
  return Value::object(Future(asyncio::ensure_future(std::move(given.as<Coroutine>()))));
}

Value cancel(M& m, F& f, const S& s) {
  const Future& future = on<Future>(m, f, s);
  return s.contains("msg") ? future.cancel(m.value(f, s, "msg").text()) : future.cancel();
}

Value new_future(M& m, F&, const S& s) {
  const Value future = Value::object(m.loop().create_future<Value>());
  if (const auto label = text_of(s, "label")) m.label(future, *label);
  return future;
}

Value new_callback(M& m, F& f, const S& s) { return Value::object(m.callback(f, s)); }

Value add_done_callback(M& m, F& f, const S& s) {
  on<Future>(m, f, s).add_done_callback(m.callback(f, s), {.context = context_of(m, f, s)});
  return {};
}

Value remove_done_callback(M& m, F& f, const S& s) {
  return on<Future>(m, f, s).remove_done_callback(m.callback(f, s));
}

/// A handle of either kind; only a timer's has a deadline.
struct Scheduled : Handle {
  explicit Scheduled(Handle handle) : Handle(std::move(handle)) {}
  explicit Scheduled(const TimerHandle& handle) : Handle(handle), when(handle.when()) {}
  TimePoint when;
};

Value call_soon(M& m, F& f, const S& s) {
  const CallbackOptions options{.context = context_of(m, f, s)};
  return Value::object(Scheduled(m.loop().call_soon(options, m.callback(f, s))));
}

Value call_later(M& m, F& f, const S& s) {
  const Duration delay(m.value(f, s, "delay").integer());
  const CallbackOptions options{.context = context_of(m, f, s)};
  return Value::object(Scheduled(m.loop().call_later(options, delay, m.callback(f, s))));
}

Value call_at(M& m, F& f, const S& s) {
  const TimePoint when(m.value(f, s, "when").integer());
  const CallbackOptions options{.context = context_of(m, f, s)};
  return Value::object(Scheduled(m.loop().call_at(options, when, m.callback(f, s))));
}

Value new_condition(M& m, F& f, const S& s) {
  return Value::object(s.contains("lock") ? Condition(m.read(f, s, "lock").as<Lock>())
                                          : Condition());
}

int units(M& m, F& f, const S& s) {
  return s.contains("value") ? static_cast<int>(m.value(f, s, "value").integer()) : 1;
}

struct SmallerFirst {
  bool operator()(const Value& a, const Value& b) const { return Value::less(a, b); }
};

Value new_queue(M& m, F& f, const S& s) {
  const int maxsize =
      s.contains("maxsize") ? static_cast<int>(m.value(f, s, "maxsize").integer()) : 0;
  const std::string kind = text_of(s, "kind").value_or("fifo");
  return Value::object(kind == "priority" ? PriorityQueue<Value, SmallerFirst>(maxsize)
                       : kind == "lifo"   ? LifoQueue<Value>(maxsize)
                                          : Queue<Value>(maxsize));
}

Value new_reader(M& m, F& f, const S& s) {
  return Value::object(s.contains("limit")
                           ? StreamReader(m.loop(), m.value(f, s, "limit").integer())
                           : StreamReader(m.loop()));
}

Value feed_data(M& m, F& f, const S& s) {
  on<StreamReader>(m, f, s).feed_data(latin1_of_utf8(m.value(f, s, "data").text()));
  return {};
}

using Variable = ContextVar<Value>;

Value new_variable(M& m, F& f, const S& s) {
  const std::string name = *text_of(s, "to");
  return Value::object(s.contains("default") ? Variable(name, m.value(f, s, "default"))
                                             : Variable(name));
}

Value get_variable(M& m, F& f, const S& s) {
  const Variable& variable = on<Variable>(m, f, s);
  return s.contains("default") ? variable.get(m.value(f, s, "default")) : variable.get();
}

Value reset_variable(M& m, F& f, const S& s) {
  on<Variable>(m, f, s).reset(m.read(f, s, "token").as<Token<Value>>());
  return {};
}

Value run_in_context(M& m, F& f, const S& s) {
  on<Context>(m, f, s).run(m.callback(f, s));
  return {};
}

constexpr bool quiet = true;

const std::pair<std::string_view, Action> actions[] = {
    {"set", {[](M& m, F& f, const S& s) { return m.value(f, s, "value"); }}},
    {"log", {[](M& m, F& f, const S& s) { return m.value(f, s, "value"); }}},
    {"raise", {raise}},
    {"make", {[](M& m, F& f, const S& s) { return m.awaitable(f, s.at("of")); }, quiet}},
    {"time", {[](M& m, F&, const S&) { return Value(m.time()); }}},
    {"stop", {[](M& m, F&, const S&) { return m.loop().stop(), Value(); }}},
    {"is_running", {[](M& m, F&, const S&) { return Value(m.loop().is_running()); }}},
    {"set_task_factory",
     {[](M& m, F& f, const S& s) { return m.set_eager(bool(m.value(f, s, "eager"))), Value(); }}},

    {"spawn", {spawn, quiet}},
    {"ensure_future", {ensure_future, quiet}},
    {"cancel", {cancel}},
    {"uncancel", {[](M& m, F& f, const S& s) { return Value(task_on(m, f, s).uncancel()); }}},
    {"cancelling", {[](M& m, F& f, const S& s) { return Value(task_on(m, f, s).cancelling()); }}},
    {"current_task", {current_task_label}},
    {"all_tasks", {[](M& m, F&, const S&) { return Value(m.pending()); }}},

    {"future", {new_future, quiet}},
    {"set_result", {[](M& m, F& f, const S& s) {
       return on<Future>(m, f, s).set_result(m.value(f, s, "value")), Value();
     }}},
    {"set_exception", {[](M& m, F& f, const S& s) {
       return on<Future>(m, f, s).set_exception(exception_of(s)), Value();
     }}},
    {"done", {[](M& m, F& f, const S& s) { return Value(on<Future>(m, f, s).done()); }}},
    {"cancelled", {[](M& m, F& f, const S& s) { return Value(on<Future>(m, f, s).cancelled()); }}},
    {"result", {[](M& m, F& f, const S& s) { return on<Future>(m, f, s).result(); }}},
    {"exception", {[](M& m, F& f, const S& s) { return Value(on<Future>(m, f, s).exception()); }}},
    {"callback", {new_callback, quiet}},
    {"add_done_callback", {add_done_callback}},
    {"remove_done_callback", {remove_done_callback}},

    {"call_soon", {call_soon, quiet}},
    {"call_later", {call_later, quiet}},
    {"call_at", {call_at, quiet}},
    {"handle.cancel",
     {[](M& m, F& f, const S& s) { return on<Scheduled>(m, f, s).cancel(), Value(); }}},
    {"handle.cancelled",
     {[](M& m, F& f, const S& s) { return Value(on<Scheduled>(m, f, s).cancelled()); }}},
    {"handle.when",
     {[](M& m, F& f, const S& s) { return Value(on<Scheduled>(m, f, s).when); }}},

    {"timeout.reschedule", {[](M& m, F& f, const S& s) {
       return on<TimeoutScope>(m, f, s).reschedule(to_time_point(m.value(f, s, "when"))), Value();
     }}},
    {"timeout.when", {[](M& m, F& f, const S& s) { return on<TimeoutScope>(m, f, s).when(); }}},
    {"timeout.expired",
     {[](M& m, F& f, const S& s) { return Value(on<TimeoutScope>(m, f, s).expired()); }}},

    {"lock", {[](M&, F&, const S&) { return Value::object(Lock()); }, quiet}},
    {"lock.release", {[](M& m, F& f, const S& s) { return on<Lock>(m, f, s).release(), Value(); }}},
    {"lock.locked", {[](M& m, F& f, const S& s) { return Value(on<Lock>(m, f, s).locked()); }}},

    {"event", {[](M&, F&, const S&) { return Value::object(Event()); }, quiet}},
    {"event.set", {[](M& m, F& f, const S& s) { return on<Event>(m, f, s).set(), Value(); }}},
    {"event.clear", {[](M& m, F& f, const S& s) { return on<Event>(m, f, s).clear(), Value(); }}},
    {"event.is_set", {[](M& m, F& f, const S& s) { return Value(on<Event>(m, f, s).is_set()); }}},
    {"condition", {new_condition, quiet}},
    {"condition.release",
     {[](M& m, F& f, const S& s) { return on<Condition>(m, f, s).release(), Value(); }}},
    {"condition.locked",
     {[](M& m, F& f, const S& s) { return Value(on<Condition>(m, f, s).locked()); }}},
    {"condition.notify", {[](M& m, F& f, const S& s) {
       const std::size_t count = s.contains("n") ? m.value(f, s, "n").integer() : 1;
       return on<Condition>(m, f, s).notify(count), Value();
     }}},
    {"condition.notify_all",
     {[](M& m, F& f, const S& s) { return on<Condition>(m, f, s).notify_all(), Value(); }}},
    {"semaphore",
     {[](M& m, F& f, const S& s) { return Value::object(Semaphore(units(m, f, s))); }, quiet}},
    {"bounded_semaphore",
     {[](M& m, F& f, const S& s) {
        return Value::object(Semaphore(BoundedSemaphore(units(m, f, s))));
      },
      quiet}},
    {"semaphore.release",
     {[](M& m, F& f, const S& s) { return on<Semaphore>(m, f, s).release(), Value(); }}},
    {"semaphore.locked",
     {[](M& m, F& f, const S& s) { return Value(on<Semaphore>(m, f, s).locked()); }}},
    {"barrier",
     {[](M& m, F& f, const S& s) {
        return Value::object(Barrier(static_cast<int>(m.value(f, s, "parties").integer())));
      },
      quiet}},
    {"barrier.n_waiting",
     {[](M& m, F& f, const S& s) { return Value(on<Barrier>(m, f, s).n_waiting()); }}},
    {"barrier.broken",
     {[](M& m, F& f, const S& s) { return Value(on<Barrier>(m, f, s).broken()); }}},

    {"queue", {new_queue, quiet}},
    {"queue.put_nowait", {[](M& m, F& f, const S& s) {
       return on<Queue<Value>>(m, f, s).put_nowait(m.value(f, s, "value")), Value();
     }}},
    {"queue.get_nowait",
     {[](M& m, F& f, const S& s) { return on<Queue<Value>>(m, f, s).get_nowait(); }}},
    {"queue.task_done",
     {[](M& m, F& f, const S& s) { return on<Queue<Value>>(m, f, s).task_done(), Value(); }}},
    {"queue.qsize",
     {[](M& m, F& f, const S& s) { return Value(on<Queue<Value>>(m, f, s).qsize()); }}},
    {"queue.empty",
     {[](M& m, F& f, const S& s) { return Value(on<Queue<Value>>(m, f, s).empty()); }}},
    {"queue.full",
     {[](M& m, F& f, const S& s) { return Value(on<Queue<Value>>(m, f, s).full()); }}},
    {"queue.shutdown", {[](M& m, F& f, const S& s) {
       return on<Queue<Value>>(m, f, s).shutdown(bool(m.value(f, s, "immediate"))), Value();
     }}},

    {"reader", {new_reader, quiet}},
    {"reader.feed_data", {feed_data}},
    {"reader.feed_eof",
     {[](M& m, F& f, const S& s) { return on<StreamReader>(m, f, s).feed_eof(), Value(); }}},
    {"reader.set_exception", {[](M& m, F& f, const S& s) {
       return on<StreamReader>(m, f, s).set_exception(exception_of(s)), Value();
     }}},
    {"reader.at_eof",
     {[](M& m, F& f, const S& s) { return Value(on<StreamReader>(m, f, s).at_eof()); }}},

    {"contextvar", {new_variable, quiet}},
    {"var.get", {get_variable}},
    {"var.set",
     {[](M& m, F& f, const S& s) {
        return Value::object(on<Variable>(m, f, s).set(m.value(f, s, "value")));
      },
      quiet}},
    {"var.reset", {reset_variable}},
    {"copy_context", {[](M&, F&, const S&) { return Value::object(copy_context()); }, quiet}},
    {"context.run", {run_in_context}},

    {"runner", {[](M& m, F&, const S&) { return Value::object(m.new_runner()); }, quiet}},
};

}  // namespace

const Action* find_action(std::string_view op) { return find_row(actions, op); }

Value spawn(M& m, F& f, const S& s) {
  const Value given = s.contains("fn") ? m.call(f, s) : m.awaitable(f, s.at("of"));
  Coroutine& coroutine = given.as<Coroutine>();
  const std::optional<std::string> name = text_of(s, "name");
  TaskOptions options{.context = context_of(m, f, s)};
  if (name) options.name = *name;
  // Also from outside the loop, where create_task() finds none.
  const Value task = Value::object(
      Future(s.contains("in")
                 ? m.read(f, s, "in").as<TaskGroup>().create_task(std::move(coroutine), options)
                 : m.loop().create_task(std::move(coroutine), options)));
  const std::string* const label = m.find_label(given.identity());
  m.label(task, label ? *label : name ? *name : text_of(s, "to").value_or("task"));
  return task;
}

}  // namespace scenario
