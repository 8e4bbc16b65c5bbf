// SPDX-License-Identifier: BSL-1.0
// Where a loop may live, and where what uses it may run, for tests that hold in each of these
// places.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/asio/host.hpp>
#include <asyncio/event_loop.hpp>

namespace asio_homes {

class Home {
 public:
  using Ready = std::function<bool()>;

  virtual ~Home() = default;
  virtual asyncio::EventLoop& loop() = 0;
  /// Where what uses the loop runs: where the loop does, or elsewhere.
  virtual boost::asio::any_io_executor caller() { return loop().get_executor(); }
  /// Does everything that was posted to the loop and the caller, and what comes of it, until
  /// nothing is left to do; by then ready() must be true. It may be asked in any thread.
  virtual void run(const Ready& ready) = 0;
};

/// The loop has a context of its own.
class Owned : public Home {
 public:
  asyncio::EventLoop& loop() override { return loop_; }
  void run(const Ready& ready) override {
    while (!ready()) turn();
    for (int turns = 0; turns != 10; ++turns) turn();  // nothing more comes
  }

 protected:
  void turn() {
    loop_.stop();
    loop_.run_forever();
  }

 private:
  asyncio::EventLoop loop_;
};

/// The same, and the caller runs in another thread.
class OwnedElsewhere final : public Owned {
 public:
  boost::asio::any_io_executor caller() override { return callers_.get_executor(); }
  void run(const Ready& ready) override {
    auto work = boost::asio::make_work_guard(callers_);
    std::thread thread([&] { callers_.run(); });
    Owned::run(ready);
    work.reset();
    thread.join();
  }

 private:
  boost::asio::io_context callers_{1};
};

/// The loop is a guest. Its context ends by itself: as long as there is something to wait for,
/// there is work for it.
class Guest final : public Home {
 public:
  enum class On { context, own_strand, hosts_strand };
  enum class Caller { inside, on_a_strand };

  Guest(On on, unsigned threads, Caller caller)
      : threads_(threads), caller_(boost::asio::make_strand(context_)), caller_kind_(caller) {
    if (on == On::hosts_strand)
      loop_.emplace(boost::asio::make_strand(context_));
    else
      loop_.emplace(context_, asyncio::LoopOptions{.single_threaded = on == On::context});
  }

  asyncio::EventLoop& loop() override { return *loop_; }
  boost::asio::any_io_executor caller() override {
    if (caller_kind_ == Caller::inside) return Home::caller();
    return caller_;
  }
  void run(const Ready& ready) override {
    context_.restart();
    {
      std::vector<std::jthread> others;
      for (unsigned i = 1; i != threads_; ++i) others.emplace_back([this] { context_.run(); });
      context_.run();
    }
    BOOST_TEST(ready());
  }

 private:
  const unsigned threads_;
  boost::asio::io_context context_;
  const boost::asio::strand<boost::asio::io_context::executor_type> caller_;
  const Caller caller_kind_;
  std::optional<asyncio::EventLoop> loop_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Home> (*make)();
};

template <Guest::On on, unsigned threads, Guest::Caller caller>
std::unique_ptr<Home> make_guest() {
  return std::make_unique<Guest>(on, threads, caller);
}

inline constexpr std::array kinds{
    Kind{"an owned loop", [] { return std::unique_ptr<Home>(new Owned); }},
    Kind{"an owned loop, used from another thread",
         [] { return std::unique_ptr<Home>(new OwnedElsewhere); }},
    Kind{"a guest without a strand, one thread",
         make_guest<Guest::On::context, 1, Guest::Caller::inside>},
    Kind{"a guest on its strand, one thread",
         make_guest<Guest::On::own_strand, 1, Guest::Caller::inside>},
    Kind{"a guest on its strand, four threads",
         make_guest<Guest::On::own_strand, 4, Guest::Caller::inside>},
    Kind{"a guest on its strand, four threads, used from another strand",
         make_guest<Guest::On::own_strand, 4, Guest::Caller::on_a_strand>},
    Kind{"a guest on the host's strand, four threads, used from another strand",
         make_guest<Guest::On::hosts_strand, 4, Guest::Caller::on_a_strand>},
};

}  // namespace asio_homes
