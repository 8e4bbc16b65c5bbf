// SPDX-License-Identifier: BSL-1.0
// For tests of Asio's operations in tasks: an operation that the test completes by hand, and a pair
// of connected sockets.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>
#include <asyncio/testing.hpp>

#include "error_of.hpp"

namespace operation_tests {

using namespace asyncio;
namespace io = boost::asio;
using boost::system::error_code;
using io::ip::tcp;
using unit_tests::error_of;

/// An asynchronous operation with the signature void(T...). One at a time.
template <class... T>
class Manual {
 public:
  template <class Token>
  auto start(Token&& token) {
    return io::async_initiate<Token, void(T...)>(Initiation(this), token);
  }
  auto operator()() { return start(asyncio::use_awaitable); }

  /// Is there a handler?
  bool pending() const noexcept { return handler_ != nullptr; }
  /// Calls the handler, here and now.
  void complete(T... outcome) {
    const auto handler = std::move(handler_);
    handler->call(std::move(outcome)...);
  }
  /// Destroys the handler without calling it.
  void drop() { handler_.reset(); }
  /// A type-erased call, for other threads.
  std::function<void()> completion(T... outcome) {
    return [handler = std::shared_ptr<Handler>(std::move(handler_)), outcome...]() mutable {
      handler->call(outcome...);
      handler.reset();
    };
  }

  int starts = 0;
  int cancels = 0;
  io::cancellation_type offered = io::cancellation_type::none;
  std::function<void()> on_cancel;  // what it does when asked to end: nothing, if it is empty
  std::function<void()> on_start;

 private:
  struct Handler {
    virtual ~Handler() = default;
    virtual void call(T...) = 0;
  };
  template <class H>
  struct HandlerOf final : Handler {
    explicit HandlerOf(H held) : handler(std::move(held)) {}
    void call(T... outcome) override { std::move(handler)(std::move(outcome)...); }
    H handler;
  };
  class Initiation {
   public:
    explicit Initiation(Manual* self) : self_(self) {}
    template <class H>
    void operator()(H&& handler) const {
      ++self_->starts;
      if (const auto slot = io::get_associated_cancellation_slot(handler); slot.is_connected())
        connect(slot);
      self_->handler_ = std::make_unique<HandlerOf<std::decay_t<H>>>(std::forward<H>(handler));
      if (self_->on_start) self_->on_start();
    }

   private:
    void connect(io::cancellation_slot slot) const {
      slot.assign([self = self_](io::cancellation_type type) {
        ++self->cancels;
        self->offered = type;
        if (self->on_cancel) self->on_cancel();
      });
    }
    Manual* self_;
  };

  std::unique_ptr<Handler> handler_;
};

inline const error_code aborted = io::error::operation_aborted;

/// Two sockets of a loop's context that are connected.
class SocketPair {
 public:
  explicit SocketPair(io::io_context& context) : a(context), b(context) {
    tcp::acceptor acceptor(context, tcp::endpoint(io::ip::address_v4::loopback(), 0));
    a.connect(acceptor.local_endpoint());
    b = acceptor.accept();
  }
  tcp::socket a;
  tcp::socket b;
};

}  // namespace operation_tests
