// SPDX-License-Identifier: BSL-1.0
// Both ways to start a child process (surface A21), and Process.
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/subprocess.hpp>
#include <asyncio/wait.hpp>

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

/// What is logged of a child that is to be started. Arguments may be secret, and long.
std::string exec_text(const std::vector<std::string>& arguments) {
  return "execute program " + (arguments.empty() ? "None" : repr_str(arguments[0]));
}
std::string shell_text(std::string_view cmd) { return "run shell command " + repr_str(cmd); }

/// The shell is called by the name under which it was asked for.
std::vector<std::string> shell_arguments(std::string_view cmd, const SubprocessOptions& options) {
  const std::string_view shell = options.executable.empty() ? "/bin/sh" : options.executable;
  return {std::string(shell), "-c", std::string(cmd)};
}

using Started = std::pair<std::shared_ptr<SubprocessTransport>, std::shared_ptr<BaseProtocol>>;

Coroutine<Started> run_child(LoopCore& core, ProtocolFactory factory, ChildRequest request,
                             std::string text) {
  core.check_usable();
  std::shared_ptr<BaseProtocol> protocol = factory();
  if (core.debug()) transport_logger().debug("{}{}", text, streams_repr(request));
  auto transport = std::make_shared<ChildTransport>(core, protocol);
  co_await ChildTransport::start(transport, std::move(request));
  if (core.debug()) transport_logger().info("{}: {}", text, to_string(*transport));
  co_return std::pair(std::move(transport), std::move(protocol));
}

// -- Process

/// What drain() and wait_closed() of stdin ask.
class StdinFlow final : public FlowControlMixin {
 public:
  explicit StdinFlow(EventLoop& loop) : FlowControlMixin(loop), closed_(loop) {}
  Future<> get_close_waiter() override { return closed_; }

  void lost(const std::exception_ptr& error) {
    connection_lost(error);
    if (closed_.done()) return;
    if (error) {
      closed_.set_exception(error);
      closed_.state()->mark_retrieved();  // nobody has to ask
    } else {
      closed_.set_result();
    }
  }

 private:
  const Future<> closed_;
};

/// Between the child's pipes and the streams. Python: SubprocessStreamProtocol.
class ProcessProtocol final : public SubprocessProtocol {
 public:
  ProcessProtocol(EventLoop& loop, std::ptrdiff_t limit)
      : loop_(loop), limit_(limit), flow_(std::make_shared<StdinFlow>(loop)) {}

  void connection_made(std::shared_ptr<SubprocessTransport> transport) override {
    transport_ = std::move(transport);
    stdout = open_reader(1);
    stderr = open_reader(2);
    if (auto pipe = transport_->get_pipe_transport(0))
      stdin.emplace(std::move(pipe), flow_, std::nullopt, loop_);
  }
  void pipe_data_received(int fd, BytesView data) override {
    if (const auto& reader = reader_of(fd)) reader->feed_data(data);
  }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    if (fd == 0) {
      if (stdin) stdin->close();
      flow_->lost(error);
      return;
    }
    if (const auto& reader = reader_of(fd)) {
      if (error)
        reader->set_exception(error);
      else
        reader->feed_eof();
      --open_readers_;
    }
    close_if_all_is_over();
  }
  void process_exited() override {
    exited_ = true;
    close_if_all_is_over();
  }
  void pause_writing() override { flow_->pause_writing(); }
  void resume_writing() override { flow_->resume_writing(); }

  std::optional<StreamWriter> stdin;
  std::optional<StreamReader> stdout;
  std::optional<StreamReader> stderr;

 private:
  const std::optional<StreamReader>& reader_of(int fd) const { return fd == 1 ? stdout : stderr; }
  std::optional<StreamReader> open_reader(int fd) {
    auto pipe = transport_->get_pipe_transport(fd);
    if (!pipe) return std::nullopt;
    StreamReader reader(loop_, limit_);
    reader.set_transport(std::move(pipe));
    ++open_readers_;
    return reader;
  }
  void close_if_all_is_over() {
    if (open_readers_ == 0 && exited_ && transport_) std::exchange(transport_, nullptr)->close();
  }

  EventLoop& loop_;
  const std::ptrdiff_t limit_;
  const std::shared_ptr<StdinFlow> flow_;
  std::shared_ptr<SubprocessTransport> transport_;  // until all is over
  int open_readers_ = 0;
  bool exited_ = false;
};

using Output = std::optional<Bytes>;

void log_debug(const char* event) {
  if (get_running_loop().get_debug()) transport_logger().debug("communicate: {}", event);
}

Coroutine<Output> nothing() { co_return std::nullopt; }

Coroutine<Output> feed(StreamWriter stdin, Bytes input) {
  try {
    if (!input.empty()) stdin.write(std::exchange(input, {}));  // it is in memory once
    co_await stdin.drain();
  } catch (const BrokenPipeError&) {
    log_debug("stdin got BrokenPipeError");
  } catch (const ConnectionResetError&) {
    log_debug("stdin got ConnectionResetError");
  }
  stdin.close();
  co_return std::nullopt;
}

Coroutine<Output> read_all(std::shared_ptr<ChildTransport> transport, int fd, StreamReader stream) {
  const std::shared_ptr<Transport> pipe = transport->get_pipe_transport(fd);
  Bytes output = co_await stream.read();
  if (pipe) pipe->close();
  co_return std::move(output);
}

Coroutine<std::pair<Output, Output>> communicate(std::shared_ptr<ChildTransport> transport,
                                                 subprocess::Process process, Bytes input) {
  std::vector<Coroutine<Output>> parts;
  parts.push_back(process.stdin ? feed(*process.stdin, std::move(input)) : nothing());
  parts.push_back(process.stdout ? read_all(transport, 1, *process.stdout) : nothing());
  parts.push_back(process.stderr ? read_all(transport, 2, *process.stderr) : nothing());
  auto all = gather(std::move(parts));
  std::vector<Output> outputs = co_await std::move(all);
  co_await ChildTransport::wait(std::move(transport));
  co_return std::pair(std::move(outputs[1]), std::move(outputs[2]));
}

Coroutine<subprocess::Process> create_process(ChildRequest request, std::string text,
                                              std::ptrdiff_t limit) {
  EventLoop& loop = get_running_loop();
  const auto protocol = std::make_shared<ProcessProtocol>(loop, limit);
  ProtocolFactory factory = [protocol] { return protocol; };
  const Started started =
      co_await run_child(loop.core(), std::move(factory), std::move(request), std::move(text));
  co_return subprocess::Process(std::static_pointer_cast<ChildTransport>(started.first),
                                protocol->stdin, protocol->stdout, protocol->stderr);
}

}  // namespace

}  // namespace detail

Coroutine<EventLoop::ConnectionOf<SubprocessTransport>> EventLoop::start_child(
    ProtocolFactory factory, std::vector<std::string> arguments, const SubprocessOptions& options) {
  std::string text = detail::exec_text(arguments);
  return detail::run_child(core(), std::move(factory),
                           detail::ChildRequest(std::move(arguments), options, subprocess::PIPE),
                           std::move(text));
}

Coroutine<EventLoop::ConnectionOf<SubprocessTransport>> EventLoop::start_shell(
    ProtocolFactory factory, std::string_view cmd, const SubprocessOptions& options) {
  return detail::run_child(
      core(), std::move(factory),
      detail::ChildRequest(detail::shell_arguments(cmd, options), options, subprocess::PIPE),
      detail::shell_text(cmd));
}

Coroutine<subprocess::Process> create_subprocess_exec(std::vector<std::string> arguments,
                                                      SubprocessOptions options) {
  std::string text = detail::exec_text(arguments);
  return detail::create_process(
      detail::ChildRequest(std::move(arguments), options, subprocess::INHERIT), std::move(text),
      options.limit);
}

Coroutine<subprocess::Process> create_subprocess_shell(std::string_view cmd,
                                                       SubprocessOptions options) {
  return detail::create_process(
      detail::ChildRequest(detail::shell_arguments(cmd, options), options, subprocess::INHERIT),
      detail::shell_text(cmd), options.limit);
}

namespace subprocess {

Process::Process(std::shared_ptr<detail::ChildTransport> transport,
                 std::optional<StreamWriter> stdin, std::optional<StreamReader> stdout,
                 std::optional<StreamReader> stderr)
    : stdin(std::move(stdin)),
      stdout(std::move(stdout)),
      stderr(std::move(stderr)),
      pid(transport->get_pid()),
      transport_(std::move(transport)) {}

std::optional<int> Process::returncode() const { return transport_->get_returncode(); }
Coroutine<int> Process::wait() const { return detail::ChildTransport::wait(transport_); }
Coroutine<std::pair<std::optional<Bytes>, std::optional<Bytes>>> Process::communicate(
    BytesView input) const {
  return detail::communicate(transport_, *this, input.str());
}
void Process::send_signal(int signal_number) const { transport_->send_signal(signal_number); }
void Process::terminate() const { transport_->terminate(); }
void Process::kill() const { transport_->kill(); }

}  // namespace subprocess

}  // namespace asyncio::inline v1
