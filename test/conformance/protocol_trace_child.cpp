// SPDX-License-Identifier: BSL-1.0
// The protocol tracer's role of a parent process.
#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "protocol_trace.hpp"

namespace protocol_trace {

namespace json = boost::json;

namespace {

std::string_view text(const json::value& value) {
  const json::string& string = value.as_string();
  return {string.data(), string.size()};
}

int signal_number(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, int>, 6> signals{{{"SIGHUP", SIGHUP},
                                                                     {"SIGINT", SIGINT},
                                                                     {"SIGKILL", SIGKILL},
                                                                     {"SIGTERM", SIGTERM},
                                                                     {"SIGUSR1", SIGUSR1},
                                                                     {"SIGUSR2", SIGUSR2}}};
  const auto* const found =
      std::ranges::find(signals, name, &std::pair<std::string_view, int>::first);
  if (found == signals.end()) throw asyncio::ValueError("unknown signal " + std::string(name));
  return found->second;
}

class Parent final : public asyncio::SubprocessProtocol, public Endpoint {
 public:
  using Endpoint::Endpoint;

  void connection_made(std::shared_ptr<asyncio::SubprocessTransport> made) override {
    child = std::move(made);
    program_.add(*this);
    event("connection_made");
  }
  void pipe_data_received(int fd, asyncio::BytesView data) override {
    latest = data.str();
    event("pipe_data_received", std::to_string(fd) + ' ' + show_data(data));
  }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    event("pipe_connection_lost", std::to_string(fd) + ' ' + show_error(error));
  }
  void process_exited() override {
    const std::optional<int> code = child->get_returncode();
    event("process_exited", code ? std::to_string(*code) : "null");
  }
  void pause_writing() override { event("pause_writing"); }
  void resume_writing() override { event("resume_writing"); }
  void connection_lost(std::exception_ptr error) override { lost(error); }
};

}  // namespace

asyncio::Coroutine<> Program::open_subprocess() {
  std::vector<std::string> arguments;
  for (const json::value& argument : script_.at("argv").as_array())
    arguments.emplace_back(text(argument));
  const auto factory = [this] {
    const auto protocol = std::make_shared<Parent>(*this);
    protocols_.push_back(protocol);
    return protocol;
  };
  co_await loop_.subprocess_exec(factory, std::move(arguments));
}

std::string Program::act_on_child(std::string_view name, const json::object& action,
                                  asyncio::SubprocessTransport& child) {
  if (name == "stdin.write") {
    child.get_pipe_transport(0)->write(payload(action));
  } else if (name == "stdin.close") {
    child.get_pipe_transport(0)->close();
  } else if (name == "close") {
    child.close();
  } else if (name == "kill") {
    child.kill();
  } else if (name == "terminate") {
    child.terminate();
  } else if (name == "send_signal") {
    child.send_signal(signal_number(text(action.at("signal"))));
  } else if (name == "is_closing") {
    return child.is_closing() ? "true" : "false";
  } else if (name == "returncode") {
    const std::optional<int> code = child.get_returncode();
    return code ? std::to_string(*code) : "\"running\"";
  } else {
    throw asyncio::ValueError("unknown action " + std::string(name));
  }
  return {};
}

}  // namespace protocol_trace
