// SPDX-License-Identifier: BSL-1.0
// The smallest program with asyncio; run.cmake compares what it prints.

#include <asyncio/asyncio.hpp>
#include <cstdio>

namespace {

asyncio::Coroutine<int> answer() {
  co_await asyncio::sleep(0);
  co_return 42;
}

}  // namespace

int main() { std::printf("answer %d\n", asyncio::run(answer())); }
