// SPDX-License-Identifier: BSL-1.0
//
// What the checks accept in an awaiting statement, on every compiler.
#include "../../include/asyncio/detail/compiler.hpp"
#include "trap.hpp"

#include <functional>
#include <optional>
#include <string_view>

template <class F>
trap::Later<int> create_server(F&&) {
  static_assert(asyncio::detail::require_inline_callable<F>());
  return trap::later(1);
}

struct Options {
  std::string_view host = "localhost";
  std::optional<int> port = {};
  const void* ssl = nullptr;
};
static_assert(asyncio::detail::require_inline_options<Options>());

class Factory {
 public:
  explicit Factory(trap::Object object) : object_(object) {}

 private:
  trap::Object object_;
};
template <>
inline constexpr bool asyncio::has_constructor<Factory> = true;

void function() {}

trap::Coroutine<> body() {
  trap::Object object;
  int number = 1;
  auto owning = [object] {};
  const auto constant = [object] {};
  co_await create_server([&] { return object.value(); });
  co_await create_server([number] { return number; });
  co_await create_server(owning);
  co_await create_server(constant);
  co_await create_server(std::ref(owning));
  co_await create_server(std::function<void()>(owning));
  co_await create_server(function);
  co_await create_server(&function);
  co_await create_server(Factory(object));
}

int main() { return trap::always_balanced(body); }
