// SPDX-License-Identifier: BSL-1.0
// Asks another program for the date, with a protocol that collects what it writes.
// After the CPython documentation, "loop.subprocess_exec() and SubprocessProtocol".
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

class DateProtocol : public asyncio::SubprocessProtocol {
 public:
  explicit DateProtocol(asyncio::Future<bool> exit_future) : exit_future_(std::move(exit_future)) {}

  void pipe_connection_lost(int, std::exception_ptr) override {
    pipe_closed_ = true;
    check_for_exit();
  }

  void pipe_data_received(int, asyncio::BytesView data) override { output_ += data; }

  void process_exited() override {
    exited_ = true;
    // Either may come first: the end of the process, or the end of what it wrote.
    check_for_exit();
  }

  const asyncio::Bytes& output() const { return output_; }

 private:
  void check_for_exit() {
    if (!pipe_closed_ || !exited_) return;
    if (!exit_future_.done()) exit_future_.set_result(true);  // Ctrl-C has cancelled it
  }

  asyncio::Future<bool> exit_future_;
  asyncio::Bytes output_;
  bool pipe_closed_ = false;
  bool exited_ = false;
};

asyncio::Coroutine<std::string> get_date() {
  using asyncio::subprocess::INHERIT;
  asyncio::EventLoop& loop = asyncio::get_running_loop();

  asyncio::Future<bool> exit_future = loop.create_future<bool>();

  // Only stdout is a pipe.
  auto [transport, protocol] = co_await loop.subprocess_exec(
      asyncio::make<DateProtocol>(exit_future), "date", "+%Y-%m-%d %H:%M:%S",
      asyncio::SubprocessOptions{.stdin = INHERIT, .stderr = INHERIT});

  // Until the process has ended and all its output has come; it does not outlive us in any case.
  try {
    co_await exit_future;
  } catch (...) {
    transport->close();
    throw;
  }
  transport->close();

  const asyncio::Bytes& data = protocol->output();
  co_return data.substr(0, data.find('\n'));
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
