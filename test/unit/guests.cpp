// SPDX-License-Identifier: BSL-1.0
// The loop as a guest of somebody else's io_context: when it runs, what counts as work, strands,
// and who may be destroyed first.

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core_helpers.hpp"

namespace {

namespace asio = boost::asio;
using namespace asyncio;
using core_tests::Counted;

/// Runs the context in so many threads, until it is out of work.
void run_in_threads(asio::io_context& io, unsigned count) {
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < count; ++i) threads.emplace_back([&] { io.run(); });
  io.run();
  for (std::thread& thread : threads) thread.join();
}

/// Notices if two threads are in it at the same time.
class OneAtATime {
 public:
  explicit OneAtATime(std::atomic<int>& inside, bool& overlapped) : inside_(inside) {
    if (inside_.fetch_add(1) != 0) overlapped = true;
  }
  ~OneAtATime() { --inside_; }

 private:
  std::atomic<int>& inside_;
};

class Silent : public Protocol {};

Coroutine<> wait_for_ever() {
  const Counted counted;
  co_await get_running_loop().create_future();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(guests_tests)

// -- when it runs

BOOST_AUTO_TEST_CASE(a_task_starts_with_whatever_runs_the_context) {
  const std::vector<std::function<void(asio::io_context&)>> ways = {
      [](asio::io_context& io) { io.run(); },
      [](asio::io_context& io) { io.run_for(std::chrono::hours(1)); },
      [](asio::io_context& io) { io.poll(); },
      [](asio::io_context& io) { io.run_one(); },
      [](asio::io_context& io) { io.poll_one(); },
  };
  for (const bool single_threaded : {false, true}) {
    for (const auto& run : ways) {
      asio::io_context io;
      EventLoop loop(io, {.single_threaded = single_threaded});
      bool ran = false;
      const auto body = [&]() -> Coroutine<> {
        ran = true;
        co_return;
      };
      loop.create_task(body);
      BOOST_TEST(!ran);
      run(io);
      BOOST_TEST(ran);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_live_task_is_work_for_the_context_and_an_idle_loop_is_none) {
  asio::io_context io;
  EventLoop loop(io);
  BOOST_TEST(io.poll() == 0u);
  BOOST_TEST(io.stopped());  // it is out of work
  io.restart();

  const Future<> future = loop.create_future();
  const auto body = [&]() -> Coroutine<> { co_await future; };
  const Task<> task = loop.create_task(body);
  io.poll();
  BOOST_TEST(!io.stopped());
  future.set_result();
  io.run();
  BOOST_TEST(task.done());
  BOOST_TEST(io.stopped());
}

BOOST_AUTO_TEST_CASE(a_daemon_is_no_work_and_goes_without_a_report) {
  asio::io_context io;
  std::vector<std::string> reports;
  {
    EventLoop loop(io);
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
    loop.create_task(wait_for_ever(), {.daemon = true});
    io.run();
    BOOST_TEST(Counted::alive == 1);
    BOOST_TEST(all_tasks(loop).size() == 1u);
  }
  BOOST_TEST(Counted::alive == 0);
  BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(a_timer_a_server_and_work_in_a_thread_are_work_for_the_context) {
  asio::io_context io;
  EventLoop loop(io);
  for (const bool by_a_handler : {false, true}) {
    TimerHandle timer = loop.call_later(3600, [] {});
    io.poll();
    BOOST_TEST(!io.stopped());
    if (by_a_handler)
      asio::post(loop.get_executor(), [&] { timer.cancel(); });
    else
      loop.call_soon([&] { timer.cancel(); });
    io.run();  // comes back
    io.restart();
  }

  EventLoop serving(io);
  Server server =
      serving.run_until_complete(serving.create_server<Silent>("127.0.0.1", 0));
  io.poll();
  BOOST_TEST(!io.stopped());
  server.close();
}

BOOST_AUTO_TEST_CASE(a_batch_costs_the_context_one_handler) {
  asio::io_context io;
  EventLoop loop(io);
  int ran = 0;
  for (int i = 0; i < 1000; ++i) loop.call_soon([&] { ++ran; });
  BOOST_TEST(io.poll() == 1u);
  BOOST_TEST(ran == 1000);
}

BOOST_AUTO_TEST_CASE(two_guests_share_a_context) {
  asio::io_context io;
  EventLoop first(io);
  EventLoop second(io, {.single_threaded = true});
  std::string trace;
  const auto body = [&](EventLoop& loop, char name) -> Coroutine<> {
    for (int i = 0; i < 3; ++i) {
      BOOST_TEST((&get_running_loop() == &loop));
      trace += name;
      co_await asyncio::sleep(0.001);
    }
  };
  first.create_task(body, std::ref(first), 'a');
  second.create_task(body, std::ref(second), 'b');
  io.run();
  BOOST_TEST(std::count(trace.begin(), trace.end(), 'a') == 3);
  BOOST_TEST(std::count(trace.begin(), trace.end(), 'b') == 3);
}

BOOST_AUTO_TEST_CASE(passes_are_counted_as_in_a_loop_of_ones_own) {
  const auto passes = [](EventLoop& loop) {
    std::vector<std::uint64_t> seen;
    const auto body = [&]() -> Coroutine<> {
      seen.push_back(loop.passes());
      co_await asyncio::sleep(0);
      seen.push_back(loop.passes());
      loop.call_later(0.001, [] {}).cancel();
      co_await asyncio::sleep(0.002);
      seen.push_back(loop.passes());
      co_await asyncio::sleep(0.001);
      seen.push_back(loop.passes());
    };
    loop.run_until_complete(body());
    return seen;
  };
  EventLoop own(LoopOptions{.clock = Clock::virtual_time});
  asio::io_context io;
  EventLoop guest(io, {.clock = Clock::virtual_time});
  const auto expected = passes(own);
  const auto seen = passes(guest);
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

// -- run_forever, run_until_complete and stop of a guest

BOOST_AUTO_TEST_CASE(stop_by_a_handler_of_the_host_ends_run_forever) {
  asio::io_context io;
  EventLoop loop(io);
  asio::post(io, [&] { loop.stop(); });
  loop.run_forever();
  BOOST_TEST(!loop.is_running());
}

BOOST_AUTO_TEST_CASE(rule_15_a_guest_that_runs_cannot_be_run_by_a_handler_of_the_host) {
  asio::io_context io;
  EventLoop loop(io);
  std::string text;
  asio::post(io, [&] {
    try {
      loop.run_forever();
    } catch (const RuntimeError& error) {
      text = error.what();
    }
    try {
      loop.close();
    } catch (const RuntimeError& error) {
      text += std::string(", ") + error.what();
    }
    loop.stop();
  });
  loop.run_forever();
  BOOST_TEST(text == "This event loop is already running, Cannot close a running event loop");
}

BOOST_AUTO_TEST_CASE(rule_18_stop_before_run_forever_lets_one_pass_go_by) {
  asio::io_context io;
  EventLoop loop(io);
  int ran = 0;
  loop.call_soon([&] {
    ++ran;
    loop.call_soon([&] { ++ran; });
  });
  loop.stop();
  loop.run_forever();
  BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(stop_leaves_the_hosts_run_alone) {
  asio::io_context io;
  EventLoop loop(io);
  bool later = false;
  loop.call_soon([&] {
    loop.stop();
    asio::post(io, [&] { later = true; });
  });
  io.run();
  BOOST_TEST(later);
}

BOOST_AUTO_TEST_CASE(a_guest_on_virtual_time_can_be_run) {
  asio::io_context io;
  EventLoop loop(io, {.clock = Clock::virtual_time});
  const TimePoint begin = loop.time();
  loop.run_until_complete(asyncio::sleep(3600));
  BOOST_TEST((loop.time() - begin).seconds() == 3600);
}

BOOST_AUTO_TEST_CASE(rule_18_a_stop_during_the_hosts_run_is_for_the_next_run_forever) {
  asio::io_context io;
  EventLoop loop(io);
  loop.call_soon([&] { loop.stop(); });
  io.run();
  const std::uint64_t before = loop.passes();
  loop.run_forever();
  BOOST_TEST(loop.passes() - before <= 1u);
  bool ran = false;
  loop.call_soon([&] {
    ran = true;
    loop.stop();
  });
  loop.run_forever();
  BOOST_TEST(ran);
}

// -- many threads

BOOST_AUTO_TEST_CASE(callbacks_steps_and_timers_never_overlap) {
  asio::io_context io;
  EventLoop loop(io);
  std::atomic<int> inside = 0;
  bool overlapped = false;
  int done = 0;
  const auto body = [&](int number) -> Coroutine<> {
    for (int i = 0; i < 50; ++i) {
      {
        const OneAtATime scope(inside, overlapped);
        loop.call_soon([&] { const OneAtATime scope(inside, overlapped); });
      }
      if ((i + number) % 8 == 0)
        co_await asyncio::sleep(0.001);
      else
        co_await asyncio::sleep(0);
    }
    ++done;
  };
  for (int i = 0; i < 20; ++i) loop.create_task(body, i);
  run_in_threads(io, 4);
  BOOST_TEST(done == 20);
  BOOST_TEST(!overlapped);
}

BOOST_AUTO_TEST_CASE(callbacks_come_from_other_threads_while_four_run_the_context) {
  asio::io_context io;
  EventLoop loop(io);
  std::atomic<int> inside = 0;
  bool overlapped = false;
  int ran = 0;
  auto work = asio::make_work_guard(io);
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        loop.call_soon_threadsafe([&] {
          const OneAtATime scope(inside, overlapped);
          ++ran;
        });
      }
    });
  }
  std::thread releases([&] {
    for (std::thread& thread : others) thread.join();
    work.reset();
  });
  run_in_threads(io, 4);
  releases.join();
  BOOST_TEST(ran == 600);
  BOOST_TEST(!overlapped);
}

namespace {

/// Echoes, and looks whether its callbacks overlap with anything else of the loop.
class Echo : public Protocol {
 public:
  Echo(std::atomic<int>& inside, bool& overlapped) : inside_(inside), overlapped_(overlapped) {}
  void connection_made(std::shared_ptr<Transport> transport) override {
    const OneAtATime scope(inside_, overlapped_);
    transport_ = std::move(transport);
  }
  void data_received(BytesView data) override {
    const OneAtATime scope(inside_, overlapped_);
    transport_->write(data);
  }
  void connection_lost(std::exception_ptr) override {
    const OneAtATime scope(inside_, overlapped_);
    transport_ = nullptr;
  }

 private:
  std::atomic<int>& inside_;
  bool& overlapped_;
  std::shared_ptr<Transport> transport_;
};

Coroutine<int> talk(Address address, int times) {
  auto [reader, writer] = co_await open_connection(address.host(), address.port());
  int right = 0;
  for (int i = 0; i < times; ++i) {
    writer.write("ping");
    const Bytes answer = co_await reader.readexactly(4);
    right += answer == "ping";
  }
  writer.close();
  co_await writer.wait_closed();
  co_return right;
}

}  // namespace

BOOST_AUTO_TEST_CASE(protocols_and_streams_work_while_four_threads_run_the_context) {
  asio::io_context io;
  const auto strand = asio::make_strand(io);
  EventLoop serving(strand);
  EventLoop calling(io);
  std::atomic<int> inside = 0;
  bool overlapped = false;
  int right = 0;
  Server server = serving.run_until_complete(serving.create_server(
      [&] { return std::make_shared<Echo>(inside, overlapped); }, "127.0.0.1", 0));
  const Address address = server.sockets().front().getsockname();
  const auto client = [&]() -> Coroutine<> {
    const int answers = co_await talk(address, 25);
    right += answers;
  };
  const auto clients = [&]() -> Coroutine<> {
    co_await asyncio::task_group([&](TaskGroup& group) -> Coroutine<> {
      for (int i = 0; i < 8; ++i) group.create_task(client);
      co_return;
    });
    asio::post(strand, [&] {  // a handler of the host on the loop's strand may use the loop
      const OneAtATime scope(inside, overlapped);
      server.close();
    });
  };
  calling.create_task(clients);
  run_in_threads(io, 4);
  BOOST_TEST(right == 200);
  BOOST_TEST(!overlapped);
}

BOOST_AUTO_TEST_CASE(executor_jobs_and_children_come_back_to_the_strand) {
  asio::io_context io;
  EventLoop loop(io);
  bool in_strand = true;
  std::string output;
  const auto body = [&]() -> Coroutine<> {
    for (int i = 0; i < 20; ++i) {
      const int n = co_await asyncio::to_thread([](int n) { return n; }, i);
      in_strand = in_strand && n == i && detail::in_loop_thread(loop.scheduler());
    }
    auto process = co_await create_subprocess_exec(
        "echo", "hello", SubprocessOptions{.stdout = subprocess::PIPE});
    auto [out, err] = co_await process.communicate();
    output = out.value_or("");
    in_strand = in_strand && detail::in_loop_thread(loop.scheduler());
  };
  const Task<> task = loop.create_task(body);
  run_in_threads(io, 4);
  BOOST_TEST(task.done());
  BOOST_TEST(output == "hello\n");
  BOOST_TEST(in_strand);
}

BOOST_AUTO_TEST_CASE(a_guest_that_is_closed_is_still_where_it_was) {
  asio::io_context io;
  EventLoop loop(io);
  const asio::any_io_executor strand = loop.get_executor();
  loop.close();
  BOOST_TEST((loop.get_executor() == strand));
}

BOOST_AUTO_TEST_SUITE_END()
