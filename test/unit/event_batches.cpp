// SPDX-License-Identifier: BSL-1.0
// Events that the kernel reports at once belong to one pass, whatever the first of them does (rules
// 6, 9, 10, 13). No observer here: the loop then counts such passes otherwise.

#include <boost/test/unit_test.hpp>

#include <array>
#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "transports/stream_transport.hpp"

namespace {

using namespace asyncio;

/// Who runs the loop.
enum class Run { by_itself, as_guest, on_strand };
constexpr std::array every_way{Run::by_itself, Run::as_guest, Run::on_strand};

std::ostream& operator<<(std::ostream& out, Run run) {
  constexpr std::array names{"by itself", "as a guest", "on a strand"};
  return out << names[static_cast<std::size_t>(run)];
}

/// A loop with connections whose other ends are the test's.
class Batches {
 public:
  explicit Batches(Run run)
      : loop_(run == Run::by_itself  ? EventLoop()
              : run == Run::as_guest ? EventLoop(io_, {.single_threaded = true})
                                     : EventLoop(boost::asio::make_strand(io_))),
        guest_(run != Run::by_itself) {}

  class End : public BufferedProtocol {
   public:
    End(Batches& batches, std::string name, std::function<void()> action)
        : batches_(batches), name_(std::move(name)), action_(std::move(action)) {}

    std::shared_ptr<Transport> transport;
    Socket peer;

    void connection_made(std::shared_ptr<Transport> made) override { transport = std::move(made); }
    MutableBytes get_buffer(std::ptrdiff_t) override { return MutableBytes(memory_); }
    void buffer_updated(std::size_t) override {
      batches_.note(name_);
      if (action_) std::exchange(action_, nullptr)();
    }
    void resume_writing() override { batches_.note("writes"); }
    void connection_lost(std::exception_ptr) override { transport.reset(); }

   private:
    Batches& batches_;
    const std::string name_;
    std::function<void()> action_;
    std::array<char, 4> memory_;
  };

  /// The action is done with the first that comes.
  std::shared_ptr<End> open(std::string name, std::function<void()> action = {}) {
    auto end = std::make_shared<End>(*this, std::move(name), std::move(action));
    auto [ours, theirs] = Socket::pair();
    end->peer = std::move(theirs);
    detail::make_stream_transport(loop_.core(), std::move(ours), end, nullptr, {}, nullptr);
    return end;
  }
  void note(const std::string& what) { seen_ += (seen_.empty() ? "" : " ") + what; }
  auto noting(std::string what) {
    return [this, what = std::move(what)] { note(what); };
  }
  void queue(std::string what) { loop_.call_soon(noting(std::move(what))); }

  /// Lets the connections wait, then does this, and goes on until end() or an exception.
  void run(std::function<void()> then) {
    after(8, std::move(then));
    run();
  }
  /// The same, with something for each of these.
  void receive(std::initializer_list<std::shared_ptr<End>> ends) {
    run([&] {
      for (const auto& end : ends) end->peer.send("1");
    });
  }
  void run() {
    ended_ = false;
    if (!guest_) return loop_.run_forever();
    while (!ended_) io_.run_one();
  }
  void end() {
    ended_ = true;
    if (!guest_) loop_.stop();
  }
  void end_soon() {
    after(8, [this] { end(); });
  }

  EventLoop& loop() { return loop_; }
  std::string seen() { return std::exchange(seen_, {}); }

 private:
  void after(int passes, std::function<void()> action) {
    if (passes == 0) return action();
    loop_.call_soon(
        [this, passes, action = std::move(action)] { after(passes - 1, action); });
  }

  boost::asio::io_context io_{1};
  EventLoop loop_;
  const bool guest_;
  bool ended_ = false;
  std::string seen_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(event_batches_tests)

BOOST_AUTO_TEST_CASE(what_came_at_once_is_handled_before_what_it_queues) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto first = b.open("first", [&] { b.queue("soon"); });
    const auto second = b.open("second", [&] { b.queue("soon too"); });
    const auto third = b.open("third", [&] { b.end_soon(); });
    b.receive({first, second, third});
    BOOST_TEST(b.seen() == "first second third soon soon too");
  }
}

BOOST_AUTO_TEST_CASE(what_an_event_brings_about_comes_with_the_next_pass) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto third = b.open("third", [&] { b.end_soon(); });
    const auto first = b.open("first", [&] {
      third->peer.send("1");
      b.queue("soon");
    });
    const auto second = b.open("second", [&] { b.queue("soon too"); });
    b.receive({first, second});
    BOOST_TEST(b.seen() == "first second soon soon too third");
  }
}

BOOST_AUTO_TEST_CASE(a_timer_that_an_event_sets_comes_behind_the_others) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto first = b.open("first", [&] { b.loop().call_later(0, b.noting("timer")); });
    const auto second = b.open("second", [&] { b.end_soon(); });
    b.receive({first, second});
    BOOST_TEST(b.seen() == "first second timer");
  }
}

BOOST_AUTO_TEST_CASE(more_data_of_the_same_connection_comes_with_the_next_pass) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto first = b.open("first", [&] { b.queue("soon"); });
    const auto second = b.open("second", [&] { b.end_soon(); });
    b.run([&] {
      first->peer.send("12345678");
      second->peer.send("1");
    });
    BOOST_TEST(b.seen() == "first second soon first");
  }
}

BOOST_AUTO_TEST_CASE(rule_9_a_reader_that_an_event_sets_waits_for_the_next_report) {
  for (const Run way : every_way) {
    Batches b(way);
    auto [ours, theirs] = Socket::pair();
    const auto first = b.open("first", [&] {
      b.queue("soon");
      b.loop().add_reader(ours, [&] {
        b.note("new");
        b.loop().remove_reader(ours);
        b.end();
      });
    });
    b.loop().add_reader(ours, b.noting("old"));
    b.run([&] {
      first->peer.send("1");
      theirs.send("1");
    });
    BOOST_TEST_CONTEXT(way) BOOST_TEST(b.seen() == "first soon new");
  }
}

BOOST_AUTO_TEST_CASE(rule_9_what_an_event_resumes_waits_for_the_next_report) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto second = b.open("second", [&] { b.end(); });
    const auto first = b.open("first", [&] {
      b.queue("soon");
      second->transport->resume_reading();
    });
    b.run([&] {
      second->transport->pause_reading();
      first->peer.send("1");
      second->peer.send("1");
    });
    BOOST_TEST_CONTEXT(way) BOOST_TEST(b.seen() == "first soon second");
  }
}

BOOST_AUTO_TEST_CASE(rule_9_a_pipe_that_an_event_resumes_waits_for_the_next_report) {
  class Pipe : public Protocol {
   public:
    explicit Pipe(Batches& batches) : batches_(batches) {}
    void data_received(BytesView) override {
      batches_.note("pipe");
      batches_.end();
    }

   private:
    Batches& batches_;
  };
  for (const Run way : every_way) {
    Batches b(way);
    auto [reading, writing] = FileDescriptor::pipe();
    const auto pipe = b.loop().run_until_complete(
        b.loop().connect_read_pipe(make<Pipe>(std::ref(b)), std::move(reading)));
    const auto first = b.open("first", [&] {
      b.queue("soon");
      pipe.first->resume_reading();
    });
    b.run([&] {
      pipe.first->pause_reading();
      first->peer.send("1");
      BOOST_TEST(::write(writing.fileno(), "1", 1) == 1);
    });
    BOOST_TEST_CONTEXT(way) BOOST_TEST(b.seen() == "first soon pipe");
  }
}

BOOST_AUTO_TEST_CASE(stop_ends_with_the_events_that_came_at_once) {
  Batches b(Run::by_itself);
  const auto first = b.open("first", [&] {
    b.queue("soon");
    b.end();
  });
  const auto second = b.open("second");
  b.receive({first, second});
  BOOST_TEST(b.seen() == "first second");
  b.end();
  b.run();
  BOOST_TEST(b.seen() == "soon");
}

BOOST_AUTO_TEST_CASE(what_an_exception_leaves_behind_keeps_its_place) {
  for (const Run way : every_way) {
    Batches b(way);
    const auto first = b.open("first", [&] {
      b.queue("soon");
      throw SystemExit(1);
    });
    const auto second = b.open("second", [&] { b.end_soon(); });
    BOOST_CHECK_THROW(b.receive({first, second}), SystemExit);
    BOOST_TEST(b.seen() == "first");
    b.run();
    BOOST_TEST(b.seen() == "second soon");
  }
}

BOOST_AUTO_TEST_CASE(rule_6_reading_goes_before_writing) {
  for (const Run way : every_way) {
    for (const bool alone : {false, true}) {
      Batches b(way);
      const auto first = b.open("first", [&] { b.queue("soon"); });
      const auto both = b.open("reads", [&] { b.end_soon(); });
      b.run([&] {
        const std::string block(100'000, 'x');
        for (int i = 0; i < 20; ++i) both->transport->write(block);
        b.end_soon();
      });
      b.run([&] {
        if (!alone) first->peer.send("1");
        both->peer.send("2");
        try {
          for (;;) both->peer.recv(1 << 20);
        } catch (const BlockingIOError&) {
        }
        both->transport->set_write_buffer_limits({.high = 10'000'000, .low = 9'000'000});
      });
      BOOST_TEST_CONTEXT(way << ", alone " << alone)
      BOOST_TEST(b.seen() == (alone ? "reads writes" : "first reads writes soon"));
    }
  }
}

/// Very much that comes at once to a loop that has something to do is taken in parts.
BOOST_AUTO_TEST_CASE(a_busy_loop_makes_passes_between_many_handlers) {
  EventLoop loop;
  int handled = 0;
  for (int i = 0; i != 300; ++i) boost::asio::post(loop.get_executor(), [&] { ++handled; });
  std::vector<int> seen;
  const std::function<void()> look = [&] {
    seen.push_back(handled);
    if (handled == 300)
      loop.stop();
    else
      loop.call_soon(look);
  };
  loop.call_soon(look);
  loop.run_forever();
  BOOST_TEST(seen == (std::vector{128, 256, 300}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
