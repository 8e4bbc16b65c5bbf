// SPDX-License-Identifier: BSL-1.0
#include <asyncio/exceptions.hpp>
#include <csignal>
#include <utility>

#include "loop_core.hpp"
#include "restarted_calls.hpp"

namespace asyncio::inline v1::detail {

class LoopCore::SignalWatch : public std::enable_shared_from_this<SignalWatch> {
 public:
  SignalWatch(LoopCore& core, int number)
      : core_(core), number_(number), signals_(core.io_executor()) {
    boost::system::error_code error;
    signals_.add(number, error);
    if (error) throw RuntimeError("sig " + std::to_string(number) + " cannot be caught");
    restart_interrupted_calls(number);
  }
  /// The former one still runs if it is queued.
  void set_callback(Ref<HandleNode> callback) {
    const Ref<HandleNode> former = std::exchange(callback_, std::move(callback));
  }
  const Ref<HandleNode>& callback() const noexcept { return callback_; }
  void listen() {
    const auto arrived = [foreign = core_.foreign_queue(), &core = core_, number = number_,
                          weak = weak_from_this()](const boost::system::error_code& error, int) {
      if (error || !foreign->open()) return;
      core.signal_arrived(number);
      if (const auto self = weak.lock()) self->listen();
    };
    core_.async_wait(signals_, arrived);
  }

 private:
  LoopCore& core_;
  const int number_;
  boost::asio::basic_signal_set<Executor> signals_;
  Ref<HandleNode> callback_;
};

/// Rule 180: the signal is noticed in one pass, its callback runs in the following. It is that of
/// whoever handles the signal when it is noticed.
void LoopCore::signal_arrived(int number) {
  call_soon([this, number] {
    const auto place = signals_.find(number);
    if (place == signals_.end()) return;
    call_soon([callback = place->second->callback()] {
      callback->add_ref();
      callback->run();
    });
  });
}

static void check_signal_number(int number) {
  if (number < 1 || number >= NSIG)
    throw ValueError("invalid signal number " + std::to_string(number));
}

void LoopCore::add_signal_handler(int signal_number, Ref<HandleNode> callback) {
  check_usable();
  check_signal_number(signal_number);
  if (signal_number == SIGKILL || signal_number == SIGSTOP)
    throw RuntimeError("sig " + std::to_string(signal_number) + " cannot be caught");
  auto place = signals_.find(signal_number);
  if (place == signals_.end()) {
    auto watch = std::make_shared<SignalWatch>(*this, signal_number);
    watch->listen();
    place = signals_.emplace(signal_number, std::move(watch)).first;
  }
  place->second->set_callback(std::move(callback));
}

const HandleNode* LoopCore::signal_callback(int signal_number) const noexcept {
  const auto place = signals_.find(signal_number);
  return place == signals_.end() ? nullptr : place->second->callback().get();
}

bool LoopCore::remove_signal_handler(int signal_number) {
  check_signal_number(signal_number);
  const HandleNode* const callback = signal_callback(signal_number);
  if (!callback || callback == interrupt_callback_ || callback == interrupt_.get()) return false;
  if (signal_number == SIGINT && interrupt_)
    signals_.find(SIGINT)->second->set_callback(interrupt_);
  else
    forget_signal(signal_number);
  return true;
}

/// What the callback holds may come back here when it is destroyed.
void LoopCore::forget_signal(int number) noexcept { signals_.extract(number); }

void LoopCore::forget_signals() noexcept {
  while (!signals_.empty()) forget_signal(signals_.begin()->first);
}

void LoopCore::set_interrupt_handler(Ref<HandleNode> callback) {
  const HandleNode* const added = callback.get();
  add_signal_handler(SIGINT, std::move(callback));
  interrupt_callback_ = added;
  interrupt_ = make_callback([] { throw KeyboardInterrupt(); }, nullptr);
}

bool LoopCore::has_interrupt_handler() const noexcept {
  return interrupt_callback_ && signal_callback(SIGINT) == interrupt_callback_;
}

void LoopCore::remove_interrupt_handler() noexcept {
  const HandleNode* const callback = signal_callback(SIGINT);
  if (callback && (callback == interrupt_callback_ || callback == interrupt_.get()))
    forget_signal(SIGINT);
  interrupt_callback_ = nullptr;
  if (interrupt_) interrupt_->cancel();  // it may be queued
  interrupt_ = {};
}

}  // namespace asyncio::inline v1::detail
