// SPDX-License-Identifier: BSL-1.0
//
// A guest and its host's context, destroyed in either order, in the middle of everything: tasks,
// timers, transports, servers, watched descriptors, signals, children, work in threads, operations
// of Asio's in tasks and tasks in operations of Asio's. The address sanitizer build proves that
// nothing leaks and that nothing is used after it is gone.
#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <future>
#include <list>
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

asio::awaitable<void> waits_as_asio(asio::io_context& io) {
  const Counted counted;
  asio::steady_timer timer(io, std::chrono::hours(1));
  co_await timer.async_wait(asio::use_awaitable);
}

std::shared_ptr<void> operations_of_asio(House& house) {
  const auto timer = [](asio::io_context& io) -> Coroutine<> {
    const Counted counted;
    asio::steady_timer timer(io, std::chrono::hours(1));
    co_await timer.async_wait(asyncio::use_awaitable);
  };
  const auto future = [](asio::io_context& io) -> Coroutine<> {
    const Counted counted;
    asio::steady_timer timer(io, std::chrono::hours(1));
    const Future<> expired = timer.async_wait(asyncio::use_future);
    co_await expired;
  };
  const auto socket = [](asio::io_context& io) -> Coroutine<> {
    const Counted counted;
    asio::local::stream_protocol::socket ours(io), theirs(io);
    asio::local::connect_pair(ours, theirs);
    std::array<char, 8> memory;
    const auto other = asio::make_strand(io);
    co_await asio::async_read(ours, asio::buffer(memory),
                              asio::bind_executor(other, asyncio::use_awaitable));
  };
  house.loop->create_task(timer, std::ref(*house.io));
  house.loop->create_task(future, std::ref(*house.io));
  house.loop->create_task(socket, std::ref(*house.io));
  house.loop->create_task(waits_as_asio(*house.io));
  return nullptr;
}

/// The operations of a handler that somebody may cancel when all is over.
struct Cancellable {
  auto handler() {
    return asio::bind_cancellation_slot(signals.emplace_back().slot(),
                                        [counted = Counted()](std::exception_ptr) {});
  }
  ~Cancellable() {
    for (auto& signal : signals) signal.emit(asio::cancellation_type::terminal);
  }
  std::list<asio::cancellation_signal> signals;
  std::vector<std::future<void>> futures;
};

asio::awaitable<void> runs(EventLoop& loop, Future<> future) {
  const Counted counted;
  co_await async_run(loop, waits(future), asio::use_awaitable);
}

std::shared_ptr<void> coroutines_run_by_handlers(House& house) {
  EventLoop& loop = *house.loop;
  const Future<> future(loop);
  auto kept = std::make_shared<Cancellable>();
  async_run(loop, waits(future), kept->handler());
  async_run(loop, waits(future),
            asio::bind_executor(asio::make_strand(*house.io), kept->handler()));
  kept->futures.push_back(async_run(loop, waits(future), asio::use_future));
  async_run(loop, waits(future), asio::detached);
  asio::co_spawn(loop.get_executor(), runs(loop, future), asio::detached);  // it has a Future
  const auto elsewhere = []() -> Coroutine<> {
    const Counted counted;
    co_await asyncio::sleep(3600);
  };
  std::thread([&] { async_run(loop, elsewhere, kept->handler()); }).join();
  return kept;
}

std::shared_ptr<void> futures_waited_for_by_handlers(House& house) {
  const Future<> future = house.loop->create_future();
  const Task<> task = house.loop->create_task(waits(future));
  auto kept = std::make_shared<Cancellable>();
  future.async_wait(kept->handler());
  task.async_wait(asio::bind_executor(asio::make_strand(*house.io), kept->handler()));
  kept->futures.push_back(task.async_wait(asio::use_future));
  return kept;
}

std::shared_ptr<void> operations_on_streams(House& house) {
  auto [ours, theirs] = Socket::pair();
  struct Streams {
    Socket peer;
    AsioStream stream;
    std::array<char, 8> memory{};
    std::string text = std::string(4 << 20, 'x');  // more than the kernel takes
  };
  auto pair = house.loop->run_until_complete(open_connection({.sock = &ours}));
  auto kept = std::make_shared<Streams>(std::move(theirs), AsioStream(std::move(pair)));
  const auto handler = [counted = Counted()](boost::system::error_code, std::size_t) {};
  kept->stream.async_read_some(asio::buffer(kept->memory), handler);
  asio::async_write(kept->stream, asio::buffer(kept->text), handler);
  return kept;
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
    {"operations of Asio's", operations_of_asio},
    {"coroutines run by handlers", coroutines_run_by_handlers},
    {"futures waited for by handlers", futures_waited_for_by_handlers},
    {"operations on streams", operations_on_streams},
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
