// SPDX-License-Identifier: BSL-1.0
// What is awaited, what is entered and left, and what runs the loop.
#include <boost/json/value.hpp>
#include <map>

#include "scenario_operations.hpp"

namespace scenario {

using namespace asyncio;
using M = Interpreter;
using F = Frame;
using S = Step;
namespace json = boost::json;

Coroutine await_value(Value awaitable) {
  if (const Future* const future = awaitable.find<Future>()) {
    co_return co_await *future;
  }
  Coroutine& coroutine = awaitable.as<Coroutine>();
  co_return co_await coroutine;
}

namespace {

// -- library coroutines: nothing happens before they are awaited

/// Awaits something of the library; its result as a value.
template <Awaitable A>
Coroutine as_value(A awaitable) {
  if constexpr (std::is_void_v<await_result<A>>) {
    co_await std::move(awaitable);
    co_return Value();
  } else {
    auto result = co_await std::move(awaitable);
    co_return Value(std::move(result));
  }
}

Coroutine sleep_for(Duration delay, Value result) {
  co_return co_await asyncio::sleep(delay, result);
}

Value sleep(M& m, F& f, const S& s) {
  const Duration delay(m.value(f, s, "delay").integer());
  return Value::object(sleep_for(delay, m.value(f, s, "value")));
}

/// Gives the labels of what is done, and of what is pending.
Coroutine wait_for_all(M& m, List given, std::string return_when, std::optional<Duration> timeout) {
  std::vector<AnyFuture> futures;
  for (const Value& future : given) futures.push_back(future.as<Future>());
  const WaitOptions options{.timeout = timeout,
                            .return_when = return_when == "FIRST_COMPLETED"   ? FIRST_COMPLETED
                                           : return_when == "FIRST_EXCEPTION" ? FIRST_EXCEPTION
                                                                              : ALL_COMPLETED};
  const auto [done, pending] = co_await asyncio::wait(futures, options);
  List result;
  result.push_back(m.labels_of(done));
  result.push_back(m.labels_of(pending));
  co_return Value(std::move(result));
}

Value wait(M& m, F& f, const S& s) {
  List futures = m.awaitables(f, s.at("of"));
  const Value return_when = m.value(f, s, "return_when");
  return Value::object(wait_for_all(m, std::move(futures),
                                    return_when.is_null() ? "" : return_when.text(),
                                    to_duration(m.value(f, s, "timeout"))));
}

Value wait_for(M& m, F& f, const S& s) {
  const Value given = m.awaitable(f, s.at("of"));
  const std::optional<Duration> timeout = to_duration(m.value(f, s, "timeout"));
  if (const Future* const future = given.find<Future>())
    return Value::object(asyncio::wait_for(*future, timeout));
  return Value::object(asyncio::wait_for(std::move(given.as<Coroutine>()), timeout));
}

Value wait_for_condition(M& m, F& f, const S& s) {
  const auto until = [&m, frame = f.shared_from_this(), &s] { return m.value(*frame, s, "until"); };
  return Value::object(on<Condition>(m, f, s).wait_for(until));
}

/// The object that an operation of the library gave, as a coroutine.
template <class A>
Value lazily(A awaitable) {
  return Value::object(as_value(std::move(awaitable)));
}

// -- readers: text stands for bytes

Coroutine as_text(asyncio::Coroutine<Bytes> reading) {
  const Bytes bytes = co_await std::move(reading);
  co_return Value(utf8_of_latin1(bytes));
}

Value read(M& m, F& f, const S& s) {
  const std::ptrdiff_t n = s.contains("n") ? m.value(f, s, "n").integer() : -1;
  return Value::object(as_text(on<StreamReader>(m, f, s).read(n)));
}

Value readexactly(M& m, F& f, const S& s) {
  const std::ptrdiff_t n = m.value(f, s, "n").integer();
  return Value::object(as_text(on<StreamReader>(m, f, s).readexactly(n)));
}

Value readline(M& m, F& f, const S& s) {
  return Value::object(as_text(on<StreamReader>(m, f, s).readline()));
}

Value readuntil(M& m, F& f, const S& s) {
  const StreamReader& reader = on<StreamReader>(m, f, s);
  const json::value& given = s.at("sep");
  if (given.is_string())
    return Value::object(as_text(reader.readuntil(latin1_of_utf8(given.as_string()))));
  std::vector<Bytes> separators;
  for (const json::value& one : given.as_array())
    separators.push_back(latin1_of_utf8(one.as_string()));
  return Value::object(as_text(reader.readuntil(std::move(separators))));
}

// -- futures

Value shield(M& m, F& f, const S& s) {
  const Value given = m.awaitable(f, s.at("of"));
  if (const Future* const future = given.find<Future>())
    return Value::object(asyncio::shield(*future));
  return Value::object(asyncio::shield(std::move(given.as<Coroutine>())));
}

/// What gather() makes, except that its result is one value, a list: in the scenario language, as
/// in Python, the future of a gather() may stand beside any other future.
class Gathered final : public detail::FutureState<Value>, private detail::Gathering {
 public:
  Gathered(detail::Scheduler& loop, std::size_t count, bool return_exceptions)
      : FutureState(loop),
        Gathering(static_cast<FutureBase&>(*this), count, return_exceptions),
        return_exceptions_(return_exceptions) {}
  using Gathering::add;
  using Gathering::seal;
  bool cancel(const std::string* message) override { return cancel_children(message); }

 private:
  void dispose() noexcept override {
    if (!stays()) FutureState::dispose();
  }
  void collect() override {
    List results;
    for (const detail::Ref<detail::FutureBase>& child : children_) {
      const std::exception_ptr error = return_exceptions_ ? exception_of(*child) : nullptr;
      results.push_back(error ? Value(error) : detail::take_child<Value>(*child));
    }
    set_result(std::move(results));
  }
  const bool return_exceptions_;
};

Value gather(M& m, F& f, const S& s) {
  const List given = m.awaitables(f, s.at("of"));
  detail::Scheduler* loop = &m.loop().scheduler();
  if (const Future* const first = given.empty() ? nullptr : given.front().find<Future>())
    loop = &first->state()->scheduler();
  const bool return_exceptions(m.value(f, s, "return_exceptions"));
  const detail::Ref<Gathered> gathered(detail::adopt_ref,
                                       new Gathered(*loop, given.size(), return_exceptions));
  std::map<const void*, detail::Ref<detail::FutureBase>> tasks;  // of each coroutine
  for (const Value& child : given) {
    detail::Ref<detail::FutureBase>& task = tasks[child.identity()];
    if (const Future* const future = child.find<Future>())
      task = future->state();
    else if (!task)
      task = detail::gather_child(*loop, std::move(child.as<Coroutine>()));
    gathered->add(task);
  }
  gathered->seal();
  return Value::object(Future(detail::Ref<detail::FutureBase>(gathered)));
}

const std::pair<std::string_view, AwaitableOperation> awaitables[] = {
    {"await", [](M& m, F& f, const S& s) { return m.awaitable(f, s.at("of")); }},
    {"call", [](M& m, F& f, const S& s) { return m.call(f, s); }},
    {"sleep", sleep},
    {"gather", gather},
    {"wait", wait},
    {"wait_for", wait_for},
    {"shield", shield},
    {"lock.acquire", [](M& m, F& f, const S& s) { return lazily(on<Lock>(m, f, s).acquire()); }},
    {"event.wait", [](M& m, F& f, const S& s) { return lazily(on<Event>(m, f, s).wait()); }},
    {"condition.acquire",
     [](M& m, F& f, const S& s) { return lazily(on<Condition>(m, f, s).acquire()); }},
    {"condition.wait",
     [](M& m, F& f, const S& s) { return lazily(on<Condition>(m, f, s).wait()); }},
    {"condition.wait_for", wait_for_condition},
    {"semaphore.acquire",
     [](M& m, F& f, const S& s) { return lazily(on<Semaphore>(m, f, s).acquire()); }},
    {"barrier.wait", [](M& m, F& f, const S& s) { return lazily(on<Barrier>(m, f, s).wait()); }},
    {"barrier.reset", [](M& m, F& f, const S& s) { return lazily(on<Barrier>(m, f, s).reset()); }},
    {"barrier.abort", [](M& m, F& f, const S& s) { return lazily(on<Barrier>(m, f, s).abort()); }},
    {"queue.get", [](M& m, F& f, const S& s) { return lazily(on<Queue<Value>>(m, f, s).get()); }},
    {"queue.put",
     [](M& m, F& f, const S& s) {
       return lazily(on<Queue<Value>>(m, f, s).put(m.value(f, s, "value")));
     }},
    {"queue.join", [](M& m, F& f, const S& s) { return lazily(on<Queue<Value>>(m, f, s).join()); }},
    {"reader.read", read},
    {"reader.readexactly", readexactly},
    {"reader.readline", readline},
    {"reader.readuntil", readuntil},
};

// -- contexts

using Block = asyncio::Coroutine<Completion>;

Block timeout_body(Timeout& timeout, const Body& body) {
  const TimeoutScope scope(timeout);
  const Value entered = Value::object(scope);
  struct Leave {
    ~Leave() { scope.leave(); }
    const TimeoutScope& scope;
  } const leave{scope};
  co_return co_await body(entered);
}

Block with_timeout(M& m, F& f, const S& what, const Body& body) {
  const std::optional<Duration> delay = to_duration(m.value(f, what, "delay"));
  return asyncio::timeout(delay, [&body](Timeout& scope) { return timeout_body(scope, body); });
}

Block with_timeout_at(M& m, F& f, const S& what, const Body& body) {
  const std::optional<TimePoint> when = to_time_point(m.value(f, what, "when"));
  return asyncio::timeout_at(when, [&body](Timeout& scope) { return timeout_body(scope, body); });
}

Block with_task_group(M&, F&, const S&, const Body& body) {
  return asyncio::task_group(
      [&body](TaskGroup& group) { return body(Value::object(TaskGroup(group))); });
}

// Not scoped(): its guard is silent when the body has released the lock, Python is not.
template <class L>
Block hold(L lock, const Body& body) {
  co_await lock.acquire();
  Completion completion;
  std::exception_ptr error;
  try {
    completion = co_await body(Value());
  } catch (...) {
    error = std::current_exception();
  }
  lock.release();
  if (error) std::rethrow_exception(error);
  co_return completion;
}

template <class L>
Block with_lock(M& m, F& f, const S& what, const Body& body) {
  return hold(on<L>(m, f, what), body);
}

Block pass_barrier(Barrier barrier, const Body& body) {
  const int index = co_await barrier.wait();
  co_return co_await body(Value(index));
}

Block with_barrier(M& m, F& f, const S& what, const Body& body) {
  return pass_barrier(on<Barrier>(m, f, what), body);
}

const std::pair<std::string_view, ContextOperation> contexts[] = {
    {"timeout", with_timeout},           {"timeout_at", with_timeout_at},
    {"taskgroup", with_task_group},      {"lock", with_lock<Lock>},
    {"condition", with_lock<Condition>}, {"semaphore", with_lock<Semaphore>},
    {"barrier", with_barrier},
};

// -- drivers

Value run_until_complete(M& m, F& f, const S& s) {
  const Value given = m.awaitable(f, s.at("of"));
  if (const Future* const future = given.find<Future>())
    return m.loop().run_until_complete(*future);
  return m.loop().run_until_complete(std::move(given.as<Coroutine>()));
}

Value run_forever(M& m, F&, const S&) {
  m.loop().run_forever();
  return {};
}

Value run_in(Runner& runner, const Value& given, const Context* context) {
  if (const Future* const future = given.find<Future>()) return runner.run(*future, context);
  return runner.run(std::move(given.as<Coroutine>()), context);
}

// asyncio.run, taken apart: the loop must be there before the operand is evaluated.
Value run(M& m, F& f, const S& s) {
  const std::shared_ptr<Runner> runner = m.new_runner();
  runner->get_loop();
  Value result;
  std::exception_ptr error;
  try {
    result = run_in(*runner, m.awaitable(f, s.at("of")), nullptr);
  } catch (...) {
    error = std::current_exception();
  }
  runner->close();
  if (error) std::rethrow_exception(error);
  return result;
}

Value runner_run(M& m, F& f, const S& s) {
  Runner& runner = *on<std::shared_ptr<Runner>>(m, f, s);
  m.use_loop(runner.get_loop());
  return run_in(runner, m.awaitable(f, s.at("of")), context_of(m, f, s));
}

Value runner_close(M& m, F& f, const S& s) {
  on<std::shared_ptr<Runner>>(m, f, s)->close();
  return {};
}

const std::pair<std::string_view, DriverOperation> drivers[] = {
    {"run_until_complete", run_until_complete},
    {"run_forever", run_forever},
    {"run", run},
    {"runner.run", runner_run},
    {"runner.close", runner_close},
};

template <class Operation, std::size_t size>
Operation find(const std::pair<std::string_view, Operation> (&table)[size], std::string_view op) {
  const Operation* const row = find_row(table, op);
  return row ? *row : nullptr;
}

}  // namespace

AwaitableOperation find_awaitable(std::string_view op) { return find(awaitables, op); }
ContextOperation find_context(std::string_view op) { return find(contexts, op); }
DriverOperation find_driver(std::string_view op) { return find(drivers, op); }

}  // namespace scenario
