// SPDX-License-Identifier: BSL-1.0
//
// The report on a coroutine that the compiler has broken. It goes to stderr and not to the logger:
// the process is about to abort, and no sink may run before that.
#include <asyncio/detail/compiler.hpp>

#include <cstdio>
#include <cstdlib>

namespace asyncio::inline v1::detail {

void report_miscompiled_coroutine(const char* file, unsigned line) noexcept {
  std::fprintf(stderr,
               "asyncio: %s:%u: g++ 12.2 has miscompiled the coroutine that ends here: it awaits "
               "in a bare condition, as in `if (co_await x())`, and declares no variable, so its "
               "promise is at a wrong address\n"
               "asyncio: declare a variable: `if (bool ok = co_await x(); ok)`\n",
               file, line);
  std::abort();
}

}  // namespace asyncio::inline v1::detail
