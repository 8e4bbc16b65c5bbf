// SPDX-License-Identifier: BSL-1.0
// For tests of subprocess transports: a protocol that collects what its child says, and a loop with
// a child.
#pragma once

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/subprocess_options.hpp>

#include "captured_log.hpp"
#include "loop_fixture.hpp"
#include "thrown_by.hpp"

namespace child_tests {

using namespace asyncio;
using namespace asyncio::subprocess;
using namespace unit_tests;
using Events = std::vector<std::string>;

/// Collects what the child says; `lost` is done when all is over.
class Recorder : public SubprocessProtocol {
 public:
  Events events;
  std::string out, err;
  std::shared_ptr<SubprocessTransport> transport;
  std::optional<int> code;
  Future<> lost{get_running_loop()};
  std::function<void()> on_made, on_exit, on_lost;

  void connection_made(std::shared_ptr<SubprocessTransport> made) override {
    transport = std::move(made);
    events.push_back("made");
    if (on_made) on_made();
  }
  void pipe_data_received(int fd, BytesView data) override { (fd == 1 ? out : err) += data.str(); }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    events.push_back("pipe " + std::to_string(fd) + ' ' + (error ? type_name(error) : "None"));
  }
  void process_exited() override {
    code = transport->get_returncode();
    events.push_back("exited " + (code ? std::to_string(*code) : std::string("None")));
    if (on_exit) on_exit();
  }
  void pause_writing() override { events.push_back("pause"); }
  void resume_writing() override { events.push_back("resume"); }
  void connection_lost(std::exception_ptr error) override {
    events.push_back(lost_text(error));
    if (on_lost) on_lost();
    transport.reset();
    if (!lost.done()) lost.set_result();
  }
};

/// The open descriptors of this process, and the one with which that is found out.
inline std::vector<int> descriptors() {
  std::vector<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    numbers.push_back(std::stoi(entry.path().filename()));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Is there any child of this process, running or a zombie?
inline bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

inline void wait_until_gone(pid_t pid) {
  while (::kill(pid, 0) == 0) std::this_thread::yield();
}

struct Child : LoopFixture {
  std::shared_ptr<Recorder> protocol;

  ~Child() {
    loop.close();
    if (protocol) protocol->on_made = protocol->on_exit = protocol->on_lost = nullptr;
  }

  auto factory() {
    return [this] { return protocol = std::make_shared<Recorder>(); };
  }
  /// Runs a shell script to its end; its stdin is closed at once.
  std::string output_of(std::string script, SubprocessOptions options = {}) {
    loop.run_until_complete(run_to_the_end(*this, std::move(script), options));
    return protocol->out;
  }
  static Coroutine<> run_to_the_end(Child& child, std::string script, SubprocessOptions options) {
    const auto factory = child.factory();
    auto [transport, protocol] = co_await child.loop.subprocess_shell(factory, script, options);
    if (const auto stdin = transport->get_pipe_transport(0)) stdin->close();
    co_await protocol->lost;
  }
  /// Starts a program; the transport.
  template <class... Parts>
  std::shared_ptr<SubprocessTransport> start(const Parts&... parts) {
    return loop.run_until_complete(loop.subprocess_exec(factory(), parts...)).first;
  }
  void finish() { loop.run_until_complete(protocol->lost); }
  template <class... Parts>
  std::string error_of(const Parts&... parts) {
    return thrown_by([&] { start(parts...); });
  }
  bool happened(const std::string& event) const {
    return std::count(protocol->events.begin(), protocol->events.end(), event) == 1;
  }
};

}  // namespace child_tests
