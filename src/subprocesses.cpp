// SPDX-License-Identifier: BSL-1.0
// subprocess_exec, subprocess_shell (surface A21).
#include <asyncio/event_loop.hpp>
#include <asyncio/logging.hpp>

#include "child_process.hpp"
#include "transports/subprocess_transport.hpp"
#include "transports/transport_support.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

using subprocess::Stdio;

std::string stdio_repr(const Stdio& stdio) {
  switch (stdio.kind()) {
    case Stdio::Kind::pipe:
      return "<pipe>";
    case Stdio::Kind::as_stdout:
      return "<stdout>";
    case Stdio::Kind::devnull:
      return "-3";  // Python's number for it
    default:
      return std::to_string(stdio.descriptor());
  }
}

std::string streams_repr(const ChildRequest& request) {
  const auto& [in, out, err] = request.streams;
  const auto shown = [](const Stdio& stdio) { return stdio.kind() != Stdio::Kind::inherit; };
  const bool joined = shown(out) && err.kind() == Stdio::Kind::as_stdout;
  std::string text;
  if (shown(in)) text += " stdin=" + stdio_repr(in);
  if (shown(out)) text += (joined ? " stdout=stderr=" : " stdout=") + stdio_repr(out);
  if (shown(err) && !joined) text += " stderr=" + stdio_repr(err);
  return text;
}

Coroutine<std::pair<std::shared_ptr<SubprocessTransport>, std::shared_ptr<BaseProtocol>>> run_child(
    LoopCore& core, ProtocolFactory factory, ChildRequest request, std::string what) {
  core.check_usable();
  std::shared_ptr<BaseProtocol> protocol = factory();
  if (core.debug()) transport_logger().debug("{}{}", what, streams_repr(request));
  auto transport = std::make_shared<ChildTransport>(core, protocol);
  co_await ChildTransport::start(transport, std::move(request));
  if (core.debug()) transport_logger().info("{}: {}", what, to_string(*transport));
  co_return std::pair(std::move(transport), std::move(protocol));
}

}  // namespace

}  // namespace detail

Coroutine<EventLoop::ConnectionOf<SubprocessTransport>> EventLoop::start_child(
    ProtocolFactory factory, std::vector<std::string> arguments, const SubprocessOptions& options) {
  // Arguments may be secret, and long.
  std::string what;
  if (get_debug() && !arguments.empty()) what = "execute program " + repr_str(arguments[0]);
  return detail::run_child(
      core(), std::move(factory),
      detail::ChildRequest(std::move(arguments), options, subprocess::PIPE), std::move(what));
}

Coroutine<EventLoop::ConnectionOf<SubprocessTransport>> EventLoop::start_shell(
    ProtocolFactory factory, std::string_view cmd, const SubprocessOptions& options) {
  std::string what;
  if (get_debug()) what = "run shell command " + repr_str(cmd);
  return detail::run_child(
      core(), std::move(factory),
      detail::ChildRequest({"/bin/sh", "-c", std::string(cmd)}, options, subprocess::PIPE),
      std::move(what));
}

}  // namespace asyncio::inline v1
