// SPDX-License-Identifier: BSL-1.0
//
// A guest and its host's context, destroyed in either order, in the middle of everything: tasks,
// timers, transports, servers, watched descriptors, signals, children, work in threads. The address
// sanitizer build proves that nothing leaks and that nothing is used after it is gone.
#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../unit/core_helpers.hpp"

namespace {

namespace asio = boost::asio;
using namespace asyncio;
using core_tests::Counted;

/// A host and its guest. Either may go first.
struct House {
  enum class On { context, own_strand, hosts_strand };

  explicit House(On on) : io(std::make_unique<asio::io_context>()) {
    if (on == On::hosts_strand)
      loop = std::make_unique<EventLoop>(asio::make_strand(*io));
    else
      loop = std::make_unique<EventLoop>(*io, LoopOptions{.single_threaded = on == On::context});
    loop->set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
  }

  std::vector<std::string> reports;
  std::unique_ptr<asio::io_context> io;
  std::unique_ptr<EventLoop> loop;
};

/// What is alive when one of them goes. What a filler returns goes last of all.
using Filler = std::function<std::shared_ptr<void>(House&)>;

Coroutine<> waits(Future<> future) {
  const Counted counted;
  co_await future;
}

std::shared_ptr<void> tasks(House& house) {
  const Future<> future = house.loop->create_future();
  for (int i = 0; i < 3; ++i) house.loop->create_task(waits(future));
  return std::make_shared<Future<>>(future);
}

std::shared_ptr<void> timers(House& house) {
  house.loop->call_later(3600, [counted = Counted()] {});
  house.loop->create_task(asyncio::sleep(3600));
  return std::make_shared<TimerHandle>(house.loop->call_later(7200, [counted = Counted()] {}));
}

std::shared_ptr<void> queued_callbacks(House& house) {
  asio::post(*house.io, [counted = Counted(), loop = house.loop.get()] {});
  house.loop->call_soon_threadsafe([counted = Counted()] {});
  std::thread([&] { house.loop->call_soon_threadsafe([counted = Counted()] {}); }).join();
  return std::make_shared<Handle>(house.loop->call_soon([counted = Counted()] {}));
}

class Keeps : public Protocol {
 public:
  void connection_made(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    transport_->write(std::string(4 << 20, 'x'));  // more than the kernel takes
  }

 private:
  const Counted counted_;
  std::shared_ptr<Transport> transport_;
};

struct Connections {
  Server server;
  std::shared_ptr<Transport> transport;
  std::shared_ptr<Keeps> protocol;
};

std::shared_ptr<void> transports(House& house) {
  EventLoop& loop = *house.loop;
  const auto connect = [&]() -> Coroutine<std::shared_ptr<Connections>> {
    auto result = std::make_shared<Connections>();
    result->server = co_await loop.create_server<Keeps>("127.0.0.1", 0);
    const Address address = result->server.sockets().front().getsockname();
    auto [transport, protocol] =
        co_await loop.create_connection([] { return std::make_shared<Keeps>(); }, address.host(),
                                        address.port());
    result->transport = transport;
    result->protocol = protocol;
    co_return result;
  };
  return loop.run_until_complete(connect());
}

std::shared_ptr<void> streams(House& house) {
  EventLoop& loop = *house.loop;
  auto [ours, theirs] = Socket::pair();
  auto socket = std::make_shared<Socket>(std::move(theirs));
  const auto read = [](Socket& socket) -> Coroutine<> {
    const Counted counted;
    auto [reader, writer] = co_await open_connection({.sock = &socket});
    const Bytes data = co_await reader.read(1);
  };
  loop.create_task(read, std::move(ours));
  return socket;
}

std::shared_ptr<void> watched_descriptors(House& house) {
  auto [ours, theirs] = Socket::pair();
  house.loop->add_reader(ours, [counted = Counted()] {});
  house.loop->add_writer(theirs, [counted = Counted()] {});
  return std::make_shared<std::array<Socket, 2>>(std::array{std::move(ours), std::move(theirs)});
}

std::shared_ptr<void> signals(House& house) {
  house.loop->add_signal_handler(SIGUSR2, [counted = Counted()] {});
  return nullptr;
}

std::shared_ptr<void> children(House& house) {
  EventLoop& loop = *house.loop;
  const auto start = []() -> Coroutine<std::shared_ptr<subprocess::Process>> {
    auto process = co_await create_subprocess_exec(
        "cat", SubprocessOptions{.stdin = subprocess::PIPE, .stdout = subprocess::PIPE});
    co_return std::make_shared<subprocess::Process>(std::move(process));
  };
  auto process = loop.run_until_complete(start());
  const auto wait = [](std::shared_ptr<subprocess::Process> process) -> Coroutine<> {
    const Counted counted;
    co_await process->wait();
  };
  loop.create_task(wait, process);
  return process;
}

std::shared_ptr<void> work_in_threads(House& house) {
  const auto work = []() -> Coroutine<> {
    const Counted counted;
    co_await asyncio::to_thread([] {});
  };
  for (int i = 0; i < 4; ++i) house.loop->create_task(work);
  return nullptr;
}

const std::vector<std::pair<std::string, Filler>> fillers = {
    {"tasks", tasks},
    {"timers", timers},
    {"queued callbacks", queued_callbacks},
    {"transports", transports},
    {"streams", streams},
    {"watched descriptors", watched_descriptors},
    {"signals", signals},
    {"children", children},
    {"work in threads", work_in_threads},
};

/// Once with each filler alone, once with all.
template <class Check>
void with_everything(Check check) {
  for (const auto on : {House::On::context, House::On::own_strand, House::On::hosts_strand}) {
    std::vector<Filler> all;
    for (const auto& [name, filler] : fillers) {
      BOOST_TEST_CONTEXT("with " << name) {
        check(on, std::vector{filler});
        BOOST_TEST(Counted::alive == 0);
      }
      all.push_back(filler);
    }
    check(on, all);
    BOOST_TEST(Counted::alive == 0);
  }
}

std::vector<std::shared_ptr<void>> fill(House& house, const std::vector<Filler>& with) {
  std::vector<std::shared_ptr<void>> kept;
  for (const Filler& filler : with) kept.push_back(filler(house));
  return kept;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(guest_teardown_tests)

BOOST_AUTO_TEST_CASE(the_loop_goes_first) {
  with_everything([](House::On on, const std::vector<Filler>& with) {
    House house(on);
    const auto kept = fill(house, with);
    for (int i = 0; i < 20; ++i) house.io->poll_one();
    house.loop.reset();
    house.io->restart();
    house.io->run();  // what is left of its handlers does nothing, and is no work
  });
}

BOOST_AUTO_TEST_CASE(the_context_goes_first) {
  with_everything([](House::On on, const std::vector<Filler>& with) {
    House house(on);
    const auto kept = fill(house, with);
    for (int i = 0; i < 20; ++i) house.io->poll_one();
    house.io.reset();
    BOOST_TEST(house.loop->is_closed());
    BOOST_CHECK_THROW(house.loop->call_soon([] {}), RuntimeError);
    BOOST_CHECK_THROW(house.loop->call_soon_threadsafe([] {}), RuntimeError);
    BOOST_CHECK_THROW(house.loop->run_forever(), RuntimeError);
    house.loop->close();
  });
}

BOOST_AUTO_TEST_CASE(the_context_goes_first_and_nothing_of_it_ever_ran) {
  with_everything([](House::On on, const std::vector<Filler>& with) {
    House house(on);
    const auto kept = fill(house, with);
    house.io.reset();
    house.loop.reset();
  });
}

BOOST_AUTO_TEST_CASE(what_the_program_kept_goes_before_the_loop_or_the_context) {
  with_everything([](House::On on, const std::vector<Filler>& with) {
    House house(on);
    auto kept = fill(house, with);
    for (int i = 0; i < 20; ++i) house.io->poll_one();
    kept.clear();
    house.io.reset();
  });
}

BOOST_AUTO_TEST_CASE(the_loop_is_closed_by_a_handler_of_the_host_while_four_threads_run) {
  with_everything([](House::On on, const std::vector<Filler>& with) {
    if (on == House::On::context) return;
    House house(on);
    const auto kept = fill(house, with);
    asio::post(house.loop->get_executor(), [&] { house.loop.reset(); });
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { house.io->run(); });
    house.io->run();
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(!house.loop);
  });
}

BOOST_AUTO_TEST_CASE(pending_tasks_are_reported_when_the_context_goes) {
  House house(House::On::own_strand);
  const auto kept = tasks(house);
  house.io->poll();
  house.io.reset();
  BOOST_TEST(house.reports.size() == 3u);
  BOOST_TEST(house.reports.front() == "Task was destroyed but it is pending!");
}

BOOST_AUTO_TEST_CASE(several_guests_go_with_their_context) {
  auto io = std::make_unique<asio::io_context>();
  EventLoop first(*io);
  EventLoop second(*io, {.single_threaded = true});
  first.create_task(waits(first.create_future()), {.daemon = true});
  second.create_task(waits(second.create_future()), {.daemon = true});
  io->poll();
  io.reset();
  BOOST_TEST(first.is_closed());
  BOOST_TEST(second.is_closed());
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
