// SPDX-License-Identifier: BSL-1.0
#include <csignal>

#include "loop_core.hpp"

namespace asyncio::inline v1::detail {

class LoopCore::SignalWatch : public std::enable_shared_from_this<SignalWatch> {
 public:
  SignalWatch(LoopCore& core, int number) : core_(core), signals_(core.io_executor()) {
    boost::system::error_code error;
    signals_.add(number, error);
    if (error) throw RuntimeError("sig " + std::to_string(number) + " cannot be caught");
  }
  ~SignalWatch() {
    if (callback_) callback_->cancel();
  }
  /// The former one still runs if it is queued.
  void set_callback(Ref<HandleNode> callback) { callback_ = std::move(callback); }
  const HandleNode* callback() const noexcept { return callback_.get(); }
  void listen() {
    const auto arrived = [weak = weak_from_this()](const boost::system::error_code& error, int) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->arrived();
      self->listen();
    };
    core_.async_wait(signals_, arrived);
  }

 private:
  void arrived() {
    // Rule 180: the signal is noticed in one pass, its callback runs in the following.
    core_.call_soon([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->core_.call_soon([callback = self->callback_] {
        callback->add_ref();
        callback->run();
      });
    });
  }

  LoopCore& core_;
  boost::asio::basic_signal_set<Executor> signals_;
  Ref<HandleNode> callback_;
};

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
  return place == signals_.end() ? nullptr : place->second->callback();
}

bool LoopCore::remove_signal_handler(int signal_number) {
  check_signal_number(signal_number);
  return signals_.erase(signal_number) != 0;
}

}  // namespace asyncio::inline v1::detail
