// SPDX-License-Identifier: BSL-1.0
#include "subprocess_transport.hpp"

#include <signal.h>

#include <asyncio/exceptions.hpp>
#include <utility>

#include "pipe_transport.hpp"
#include "transport_support.hpp"

namespace asyncio::inline v1::detail {

/// The protocol of one pipe.
class ChildTransport::Pipe final : public Protocol {
 public:
  Pipe(std::shared_ptr<ChildTransport> child, int fd) : child_(std::move(child)), fd_(fd) {}

  void connection_made(std::shared_ptr<Transport> made) override { transport = std::move(made); }
  void data_received(BytesView data) override { child_->pipe_data_received(fd_, data); }
  void connection_lost(std::exception_ptr error) override {
    disconnected = true;
    std::exchange(child_, nullptr)->pipe_connection_lost(fd_, std::move(error));
  }
  void pause_writing() override { child_->protocol_->pause_writing(); }
  void resume_writing() override { child_->protocol_->resume_writing(); }

  std::shared_ptr<Transport> transport;
  bool disconnected = false;

 private:
  std::shared_ptr<ChildTransport> child_;  // until the pipe is lost
  const int fd_;
};

ChildTransport::ChildTransport(LoopCore& core, std::shared_ptr<BaseProtocol> protocol)
    : loop_(&core) {
  ChildTransport::set_protocol(std::move(protocol));
}

// -- the beginning

Coroutine<> ChildTransport::start(std::shared_ptr<ChildTransport> self, ChildRequest request) {
  LoopCore& loop = *self->loop_;
  StartedChild child = start_child(request);
  self->register_with(loop);
  self->arguments_ = std::move(request.arguments);
  self->pid_ = child.pid;
  self->child_ = std::make_shared<ChildProcess>(loop, child.pid);
  for (std::size_t fd = 0; fd != self->pipes_.size(); ++fd)
    self->piped_[fd] = bool(child.pipes[fd]);
  if (loop.debug()) {
    transport_logger().debug("process {} created: pid {}", repr_str(self->arguments_[0]),
                             self->pid_);
  }
  const Ref<FutureState<void>> waiter(adopt_ref, new FutureState<void>(loop));
  const Future<void> connected{Ref<FutureBase>(waiter)};
  Coroutine<> connecting = connect_pipes(self, std::move(child), waiter);
  create_task(loop, std::move(connecting));
  self->child_->watch([self](int return_code) { self->process_exited(return_code); });
  std::exception_ptr failure;
  try {
    co_await connected;
  } catch (...) {
    failure = caught_error();
  }
  if (!failure) co_return;
  self->close();
  co_await wait(self);
  std::rethrow_exception(failure);
}

Coroutine<> ChildTransport::connect_pipes(std::shared_ptr<ChildTransport> self, StartedChild child,
                                          Ref<FutureState<void>> waiter) {
  LoopCore& loop = *self->loop_;
  std::exception_ptr failure;
  try {
    for (int fd = 0; fd != 3; ++fd) {
      FileDescriptor& pipe = child.pipes[static_cast<std::size_t>(fd)];
      if (!pipe) continue;
      const auto protocol = std::make_shared<Pipe>(self, fd);
      MakePipeTransport* const make =
          fd == 0 ? make_write_pipe_transport : make_read_pipe_transport;
      co_await connect_pipe(loop, make, std::move(pipe), protocol);
      self->pipes_[static_cast<std::size_t>(fd)] = protocol;
      if (self->closed_) protocol->transport->close();
    }
    self->connected();
  } catch (...) {
    failure = caught_error();
  }
  if (waiter->done()) co_return;
  if (failure)
    waiter->set_exception(std::move(failure));
  else
    waiter->set_result();
}

void ChildTransport::connected() {
  loop_->call_soon(
      [self = shared_from_this(), protocol = protocol_] { protocol->connection_made(self); });
  for (std::function<void()>& f : held_back_) loop_->call_soon(std::move(f));
  held_back_.clear();
  connected_ = true;
}

void ChildTransport::call(std::function<void()> f) {
  if (connected_)
    loop_->call_soon(std::move(f));
  else
    held_back_.push_back(std::move(f));
}

// -- what happens

void ChildTransport::pipe_data_received(int fd, BytesView data) {
  call([protocol = protocol_, fd, data = data.str()] { protocol->pipe_data_received(fd, data); });
}

void ChildTransport::pipe_connection_lost(int fd, std::exception_ptr error) {
  call([protocol = protocol_, fd, error = std::move(error)] {
    protocol->pipe_connection_lost(fd, error);
  });
  try_finish();
}

void ChildTransport::process_exited(int return_code) {
  if (!loop_) return;
  if (loop_->debug()) transport_logger().info("{} exited with return code {}", repr(), return_code);
  return_code_ = return_code;
  call([protocol = protocol_] { protocol->process_exited(); });
  for (const Future<int>& waiter : std::exchange(exit_waiters_, {}))
    if (!waiter.done()) waiter.set_result(return_code);
  try_finish();
}

void ChildTransport::try_finish() {
  if (!return_code_ || finished_) return;
  for (std::size_t fd = 0; fd != pipes_.size(); ++fd)
    if (piped_[fd] && !(pipes_[fd] && pipes_[fd]->disconnected)) return;
  finished_ = true;
  call([self = shared_from_this()] { self->connection_lost(); });
}

Coroutine<int> ChildTransport::wait(std::shared_ptr<ChildTransport> self) {
  if (self->return_code_) co_return *self->return_code_;
  if (!self->loop_) throw RuntimeError("Event loop is closed");
  std::erase_if(self->exit_waiters_, [](const Future<int>& waiter) { return waiter.done(); });
  const Future<int> waiter;
  self->exit_waiters_.push_back(waiter);
  co_return co_await waiter;
}

// -- the end

void ChildTransport::close() {
  if (std::exchange(closed_, true)) return;
  for (const std::shared_ptr<Pipe>& pipe : pipes_)
    if (pipe) pipe->transport->close();
  if (!child_ || child_->reaped()) return;
  warn_of_killing();
  try {
    child_->send_signal(SIGKILL);
  } catch (const PermissionError&) {  // it has made itself another user's
  }
}

void ChildTransport::warn_of_killing() const {
  if (loop_ && loop_->debug())
    transport_logger().warning("Close running child process: kill {}", repr());
}

void ChildTransport::connection_lost() {
  if (!loop_) return;
  struct Finally {
    ~Finally() { transport.release_all(); }
    ChildTransport& transport;
  } const finally{*this};
  const std::shared_ptr<SubprocessProtocol> protocol = protocol_;  // it may be replaced in there
  protocol->connection_lost(nullptr);
}

/// The pipes stay known, closed.
void ChildTransport::release_all() noexcept {
  loop_ = nullptr;
  unregister();
  protocol_.reset();
  held_back_.clear();
  exit_waiters_.clear();
}

void ChildTransport::loop_closing() noexcept {
  const std::shared_ptr<ChildTransport> self = shared_from_this();
  if (!closed_ && loop_->debug()) {
    transport_logger().warning("unclosed transport {}", repr());
    if (child_ && !return_code_) warn_of_killing();
  }
  release_all();
  child_.reset();
  pipes_ = {};
}

// -- what it knows

std::any ChildTransport::get_extra_info(std::string_view name) const {
  if (name == popen.name && pid_ != -1) return subprocess::Popen{pid_, arguments_, return_code_};
  return {};
}

void ChildTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto of_child = std::dynamic_pointer_cast<SubprocessProtocol>(protocol);
  if (!of_child)
    throw TypeError(std::string("a SubprocessProtocol was expected, got ") +
                    name_of(protocol.get()));
  if (loop_) protocol_ = std::move(of_child);  // after connection_lost it would never be released
}

std::shared_ptr<Transport> ChildTransport::get_pipe_transport(int fd) const {
  if (fd < 0 || fd > 2) return nullptr;
  const std::shared_ptr<Pipe>& pipe = pipes_[static_cast<std::size_t>(fd)];
  return pipe ? pipe->transport : nullptr;
}

void ChildTransport::send_signal(int signal_number) {
  if (!loop_) throw ProcessLookupError();
  child_->send_signal(signal_number);
}

void ChildTransport::terminate() { send_signal(SIGTERM); }

void ChildTransport::kill() { send_signal(SIGKILL); }

std::string ChildTransport::repr() const {
  std::string text = "<SubprocessTransport";
  if (closed_) text += " closed";
  if (pid_ != -1) text += " pid=" + std::to_string(pid_);
  if (return_code_)
    text += " returncode=" + std::to_string(*return_code_);
  else
    text += pid_ != -1 ? " running" : " not started";
  constexpr const char* names[] = {" stdin=", " stdout=", " stderr="};
  for (std::size_t fd = 0; fd != pipes_.size(); ++fd)
    if (pipes_[fd]) text += names[fd] + to_string(*pipes_[fd]->transport);
  return text + '>';
}

}  // namespace asyncio::inline v1::detail
