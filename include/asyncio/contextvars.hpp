// SPDX-License-Identifier: BSL-1.0
// Context variables (surface A24, B24): values that belong to a task, a callback or a thread.
//
// Every task and every callback has a context of its own, a copy of the one that was current when
// it was made. Copying is constant time; a program that sets no variable pays for none of this.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/detail/ref.hpp>
#include <asyncio/detail/repr.hpp>
#include <asyncio/detail/thread_state.hpp>

namespace asyncio::inline v1 {

namespace detail {

/// Immutable once it is shared; sorted by the variables' numbers.
using ContextMap = std::vector<std::pair<std::uint64_t, std::shared_ptr<const void>>>;

class ContextState : public Pooled {
 public:
  explicit ContextState(std::shared_ptr<const ContextMap> values) noexcept
      : map(std::move(values)) {}
  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) [[unlikely]]
      destroy();
  }

  const std::shared_ptr<const void>* find(std::uint64_t variable) const noexcept;
  /// Null removes the variable.
  void assign(std::uint64_t variable, std::shared_ptr<const void> value);

  std::shared_ptr<const ContextMap> map;  // null: empty
  bool entered = false;                   // by Context::run, or around one of another context

 private:
  void destroy() noexcept;
  std::uint32_t references_ = 1;
};

/// Where the current context is kept; it is null until a variable is set.
Ref<ContextState>& context_slot();
/// The current context, made if there is none yet.
ContextState& current_context();
/// Counted for the caller; null if it is empty.
ContextState* new_copy_of(const ContextState& context);

/// A copy of the current context for a new task or callback; null, and free, if it is empty.
inline Ref<ContextState> capture_context() {
  const Ref<ContextState>* const slot = thread_state.context;
  if (!slot || !*slot) [[likely]]
    return {};
  return {adopt_ref, new_copy_of(**slot)};
}

/// RuntimeError if the context is entered, by Context::run or by the step that runs.
void check_not_entered(const ContextState& context);
/// Enters it, checked. A step says nowhere that it has entered its context, which can be seen as
/// long as that is the current one: it is said now. Returns that context, null if it was said before.
ContextState* enter(ContextState& context);

/// Makes `slot` the current context for a scope.
class ContextScope {
 public:
  explicit ContextScope(Ref<ContextState>& slot) noexcept
      : outer_(std::exchange(thread_state.context, &slot)) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() { thread_state.context = outer_; }

 private:
  Ref<ContextState>* outer_;
};

struct VariableInfo {
  std::string name;
  std::uint64_t number;
  std::string default_value;  // its repr; empty if there is none
};
/// Python's repr: `<ContextVar name='x' default=5 at 0x7f...>`.
std::string variable_repr(const VariableInfo& variable);

/// What a token remembers.
struct Replaced {
  /// `<Token used var=<ContextVar name='x' at 0x7f...> at 0x7f...>`
  std::string repr() const;

  std::shared_ptr<const VariableInfo> variable;
  std::shared_ptr<const void> old_value;
  Ref<ContextState> context;
  bool used = false;
};

/// The part of a variable and of a token that does not depend on the type of the value.
class VariableBase {
 public:
  const std::string& name() const noexcept { return info_->name; }

 protected:
  explicit VariableBase(std::string name, std::string default_value = {});

  const void* find() const noexcept;
  const void* find_in(const ContextState& context) const noexcept;
  std::shared_ptr<Replaced> assign(std::shared_ptr<const void> value) const;
  void restore(Replaced& token) const;
  [[noreturn]] void throw_lookup_error() const;
  [[noreturn]] void throw_key_error() const;
  std::shared_ptr<const VariableInfo> info_;
};

}  // namespace detail

template <class T>
class ContextVar;

/// What ContextVar::set returns; hand it to ContextVar::reset. Copies stand for the same token.
/// Python: contextvars.Token.
template <class T>
class [[nodiscard]] Token {
 public:
  /// The variable that was set.
  const ContextVar<T>& var() const noexcept { return variable_; }
  /// The value before set(), or nothing if the variable had none.
  std::optional<T> old_value() const {
    if (!replaced_->old_value) return std::nullopt;
    return *static_cast<const T*>(replaced_->old_value.get());
  }
  /// Python's repr: `<Token var=<ContextVar name='x' at 0x7f...> at 0x7f...>`.
  friend std::string to_string(const Token& token) { return token.replaced_->repr(); }

 private:
  friend class ContextVar<T>;
  Token(const ContextVar<T>& variable, std::shared_ptr<detail::Replaced> replaced) noexcept
      : variable_(variable), replaced_(std::move(replaced)) {}

  ContextVar<T> variable_;
  std::shared_ptr<detail::Replaced> replaced_;
};

/// A variable whose value depends on the context. Copies stand for the same variable.
/// A variable may be used from any thread; each thread sees its own context.
/// Python: contextvars.ContextVar.
template <class T>
class ContextVar : public detail::VariableBase {
 public:
  explicit ContextVar(std::string name) : VariableBase(std::move(name)) {}
  ContextVar(std::string name, T default_value)
      : VariableBase(std::move(name), detail::repr_value(default_value)),
        default_(std::make_shared<const T>(std::move(default_value))) {}

  /// The value in the current context, else the variable's default, else LookupError.
  T get() const {
    if (const void* const value = find()) return *static_cast<const T*>(value);
    if (!default_) throw_lookup_error();
    return *default_;
  }
  /// The value in the current context, else `fallback`.
  T get(T fallback) const {
    if (const void* const value = find()) return *static_cast<const T*>(value);
    return fallback;
  }
  /// Changes the value in the current context only.
  Token<T> set(T value) const {
    return Token<T>(*this, assign(std::make_shared<const T>(std::move(value))));
  }
  /// Puts back what set() replaced. RuntimeError if the token was used already, ValueError if it
  /// comes from another variable or another context.
  void reset(const Token<T>& token) const { restore(*token.replaced_); }

  /// Python's repr: `<ContextVar name='x' default=5 at 0x7f...>`.
  friend std::string to_string(const ContextVar& variable) {
    return detail::variable_repr(*variable.info_);
  }

 private:
  friend class Context;
  /// In that context, without the default; null if there is none.
  const T* value_in(const detail::ContextState& context) const noexcept {
    return static_cast<const T*>(find_in(context));
  }

  std::shared_ptr<const T> default_;
};

/// A set of values of context variables. A cheap handle: copies of the handle are the same
/// context, copy() makes another. Not thread safe. Python: contextvars.Context, a mapping; as its
/// values are of many types, it cannot be iterated over.
class Context {
 public:
  /// An empty context.
  Context() : state_(detail::adopt_ref, new detail::ContextState(nullptr)) {}
  explicit Context(detail::Ref<detail::ContextState> state) noexcept : state_(std::move(state)) {}

  /// A new context with the same values; constant time.
  Context copy() const;
  /// How many variables have a value.
  std::size_t size() const noexcept;
  /// Has the variable a value here? Python: variable in context.
  template <class T>
  bool contains(const ContextVar<T>& variable) const noexcept {
    return variable.value_in(*state_) != nullptr;
  }
  /// The variable's value here, whatever its default; KeyError if it has none. Python:
  /// context[variable].
  template <class T>
  T at(const ContextVar<T>& variable) const {
    if (const T* const value = variable.value_in(*state_)) return *value;
    variable.throw_key_error();
  }
  /// The same, nothing if it has none.
  template <class T>
  std::optional<T> get(const ContextVar<T>& variable) const {
    const T* const value = variable.value_in(*state_);
    return value ? std::optional<T>(*value) : std::nullopt;
  }
  /// The same, `fallback` if it has none.
  template <class T>
  T get(const ContextVar<T>& variable, std::type_identity_t<T> fallback) const {
    const T* const value = variable.value_in(*state_);
    return value ? *value : std::move(fallback);
  }
  /// Calls f(args...) with this context as the current one; what it sets stays in this context.
  /// RuntimeError if the context is entered already, as that of the running task or callback is.
  template <class F, class... Args>
  decltype(auto) run(F&& f, Args&&... args) const {
    const Entered entered(state_);
    return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
  }
  const detail::Ref<detail::ContextState>& state() const noexcept { return state_; }

  /// The same variables with the same values; unlike Python, values that were set apart differ.
  friend bool operator==(const Context& a, const Context& b) noexcept { return a.equals(b); }

 private:
  bool equals(const Context& other) const noexcept;

  class Entered {
   public:
    explicit Entered(detail::Ref<detail::ContextState> state);
    ~Entered();

   private:
    detail::ContextState* const step_;  // in which it is, if nobody said so before
    detail::Ref<detail::ContextState> state_;
    detail::ContextScope scope_;
  };

  detail::Ref<detail::ContextState> state_;
};

namespace detail {
/// The context kept in `slot`, made if there is none yet.
Context context_in(Ref<ContextState>& slot);
}  // namespace detail

/// A copy of the current context. Python: contextvars.copy_context().
Context copy_context();

std::string to_string(const Context& context);

}  // namespace asyncio::inline v1
