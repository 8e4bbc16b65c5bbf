// SPDX-License-Identifier: BSL-1.0
// Asks another program for the date, and reads its answer like a file.
// After the CPython documentation, "Subprocesses".
#include <cstdlib>
#include <iostream>
#include <string>

#include <asyncio/asyncio.hpp>

asyncio::Coroutine<std::string> get_date() {
  using asyncio::subprocess::PIPE;

  // The child's stdout is a pipe, from which we read.
  const asyncio::subprocess::Process proc = co_await asyncio::create_subprocess_exec(
      "date", "+%Y-%m-%d %H:%M:%S", asyncio::SubprocessOptions{.stdout = PIPE});

  const asyncio::Bytes data = co_await proc.stdout->readline();
  const std::string line = data.substr(0, data.find('\n'));

  // Until it has ended.
  co_await proc.wait();
  co_return line;
}

int main() {
  try {
    const std::string date = asyncio::run(get_date());
    std::cout << "Current date: " << date << std::endl;
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
