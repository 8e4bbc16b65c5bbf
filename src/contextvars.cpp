// SPDX-License-Identifier: BSL-1.0
#include <asyncio/contextvars.hpp>

#include <algorithm>
#include <asyncio/exceptions.hpp>
#include <atomic>

namespace asyncio::inline v1 {

namespace detail {

namespace {

auto lower_bound(const ContextMap& map, std::uint64_t variable) {
  return std::ranges::lower_bound(map, variable, {}, &ContextMap::value_type::first);
}

}  // namespace

void ContextState::destroy() noexcept { delete this; }

const std::shared_ptr<const void>* ContextState::find(std::uint64_t variable) const noexcept {
  if (!map) return nullptr;
  const auto place = lower_bound(*map, variable);
  return place != map->end() && place->first == variable ? &place->second : nullptr;
}

void ContextState::assign(std::uint64_t variable, std::shared_ptr<const void> value) {
  auto changed = map ? std::make_shared<ContextMap>(*map) : std::make_shared<ContextMap>();
  const auto place = changed->begin() + (lower_bound(*changed, variable) - changed->begin());
  const bool present = place != changed->end() && place->first == variable;
  if (!value) {
    if (present) changed->erase(place);
  } else if (present) {
    place->second = std::move(value);
  } else {
    changed->emplace(place, variable, std::move(value));
  }
  map = std::move(changed);
}

namespace {

/// The context of a thread outside tasks and callbacks.
class ThreadContext {
 public:
  /// Destructors that come later find it empty, those of its own values too.
  ~ThreadContext() {
    ended_ = true;
    if (thread_state.context == &context_) thread_state.context = nullptr;
    const Ref<ContextState> last = std::move(context_);
  }
  static Ref<ContextState>& of_this_thread() {
    if (ended_) return *new Ref<ContextState>;  // nobody will be left to free it
    thread_local ThreadContext context;
    return context.context_;
  }

 private:
  ThreadContext() = default;

  static inline constinit thread_local bool ended_ = false;
  Ref<ContextState> context_;
};

}  // namespace

Ref<ContextState>& context_slot() {
  if (!thread_state.context) thread_state.context = &ThreadContext::of_this_thread();
  return *thread_state.context;
}

static ContextState& state_in(Ref<ContextState>& slot) {
  if (!slot) slot = Ref<ContextState>(adopt_ref, new ContextState(nullptr));
  return *slot;
}

Context context_in(Ref<ContextState>& slot) { return Context(Ref(&state_in(slot))); }

ContextState& current_context() { return state_in(context_slot()); }

ContextState* new_copy_of(const ContextState& context) {
  if (!context.map || context.map->empty()) return nullptr;
  return new ContextState(context.map);
}

std::string variable_repr(const VariableInfo& variable) {
  std::string text = "<ContextVar name=" + repr_str(variable.name);
  if (!variable.default_value.empty()) text += " default=" + variable.default_value;
  return text + " at " + address_of(&variable) + '>';
}

std::string Replaced::repr() const {
  return std::string("<Token ") + (used ? "used " : "") + "var=" + variable_repr(*variable) +
         " at " + address_of(this) + '>';
}

VariableBase::VariableBase(std::string name, std::string default_value) {
  static std::atomic<std::uint64_t> next{0};
  info_ = std::make_shared<const VariableInfo>(
      VariableInfo{std::move(name), ++next, std::move(default_value)});
}

const void* VariableBase::find() const noexcept {
  const Ref<ContextState>* const slot = thread_state.context;
  if (!slot || !*slot) return nullptr;
  return find_in(**slot);
}

const void* VariableBase::find_in(const ContextState& context) const noexcept {
  const auto* const value = context.find(info_->number);
  return value ? value->get() : nullptr;
}

std::shared_ptr<Replaced> VariableBase::assign(std::shared_ptr<const void> value) const {
  ContextState& context = current_context();
  const auto* const old_value = context.find(info_->number);
  auto token = std::make_shared<Replaced>(
      Replaced{info_, old_value ? *old_value : nullptr, Ref<ContextState>(&context)});
  context.assign(info_->number, std::move(value));
  return token;
}

void VariableBase::restore(Replaced& token) const {
  const auto message = [&](const char* text) { return token.repr() + ' ' + text; };
  if (token.used) throw RuntimeError(message("has already been used once"));
  if (token.variable != info_)
    throw ValueError(message("was created by a different ContextVar"));
  if (token.context.get() != &current_context())
    throw ValueError(message("was created in a different Context"));
  token.used = true;
  token.context->assign(info_->number, token.old_value);
}

void VariableBase::throw_lookup_error() const {
  throw LookupError(variable_repr(*info_));
}

void VariableBase::throw_key_error() const { throw KeyError(variable_repr(*info_)); }

}  // namespace detail

Context Context::copy() const {
  return Context({detail::adopt_ref, new detail::ContextState(state_->map)});
}

std::size_t Context::size() const noexcept { return state_->map ? state_->map->size() : 0; }

bool Context::equals(const Context& other) const noexcept {
  if (state_->map == other.state_->map) return true;
  return size() == other.size() && (size() == 0 || *state_->map == *other.state_->map);
}

namespace detail {

static ContextState* context_of_step() noexcept {
  const Ref<ContextState>* const slot = thread_state.context;
  return slot ? slot->get() : nullptr;
}

void check_not_entered(const ContextState& context) {
  if (context.entered || &context == context_of_step())
    throw RuntimeError("cannot enter context: <Context object at " + address_of(&context) +
                       "> is already entered");
}

ContextState* enter(ContextState& context) {
  check_not_entered(context);
  context.entered = true;
  ContextState* const step = context_of_step();
  return step && !std::exchange(step->entered, true) ? step : nullptr;
}

}  // namespace detail

Context::Entered::Entered(detail::Ref<detail::ContextState> state)
    : step_(detail::enter(*state)), state_(std::move(state)), scope_(state_) {}

Context::Entered::~Entered() {
  state_->entered = false;
  if (step_) step_->entered = false;
}

Context copy_context() {
  const detail::Ref<detail::ContextState>& slot = detail::context_slot();
  return slot ? Context(slot).copy() : Context();
}

std::string to_string(const Context& context) {
  return "<Context object at " + detail::address_of(context.state().get()) + ">";
}

}  // namespace asyncio::inline v1
