// SPDX-License-Identifier: BSL-1.0
// One io_context that four threads run, with both kinds of code on it: an asyncio Protocol server,
// whose callbacks never overlap although the loop has no thread of its own, and a plain server of
// Asio awaitables on a strand of theirs. The awaitables ask the loop, as an asynchronous operation
// like any other; the asyncio side could ask them as well.
//
//   many_threads [HOST [ECHO_PORT [STATISTICS_PORT]]]
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;

/// Needs no lock: all of it happens in the loop.
struct Statistics {
  int connections = 0;
  std::size_t bytes = 0;
};

class Echo : public asyncio::Protocol {
 public:
  explicit Echo(Statistics& statistics) : statistics_(statistics) {}
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    ++statistics_.connections;
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override {
    statistics_.bytes += data.size();
    transport_->write(data);
  }
  void connection_lost(std::exception_ptr) override {
    --statistics_.connections;
    transport_ = nullptr;
  }

 private:
  Statistics& statistics_;
  std::shared_ptr<asyncio::Transport> transport_;
};

/// asyncio: runs in the loop.
asyncio::Coroutine<std::string> describe(const Statistics& statistics) {
  co_return std::to_string(statistics.connections) + " connections, " +
      std::to_string(statistics.bytes) + " bytes\n";
}

/// Asio: runs on a strand of its own, in any of the threads.
asio::awaitable<void> report(tcp::socket peer, asyncio::EventLoop& loop,
                             const Statistics& statistics) {
  const std::string text =
      co_await asyncio::async_run(loop, describe(statistics), asio::use_awaitable);
  co_await asio::async_write(peer, asio::buffer(text), asio::use_awaitable);
}

asio::awaitable<void> serve_reports(tcp::acceptor acceptor, asyncio::EventLoop& loop,
                                    const Statistics& statistics) {
  for (;;) {
    auto [error, peer] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (!error) {
      asio::co_spawn(acceptor.get_executor(), report(std::move(peer), loop, statistics),
                     asio::detached);
    } else {  // out of descriptors, for instance: some connection will end
      asio::steady_timer pause(acceptor.get_executor(), std::chrono::seconds(1));
      co_await pause.async_wait(asio::use_awaitable);
    }
  }
}

int main(int argc, char** argv) try {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int echo_port = argc > 2 ? std::atoi(argv[2]) : 8888;
  const int statistics_port = argc > 3 ? std::atoi(argv[3]) : 8889;

  asio::io_context io;
  Statistics statistics;
  asyncio::EventLoop loop(io);
  asyncio::Server server = loop.run_until_complete(
      loop.create_server(asyncio::make<Echo>(std::ref(statistics)), host, echo_port));

  const tcp::endpoint endpoint(asio::ip::make_address(host),
                               static_cast<unsigned short>(statistics_port));
  const auto strand = asio::make_strand(io);
  asio::co_spawn(strand, serve_reports(tcp::acceptor(strand, endpoint), loop, statistics),
                 asio::detached);

  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code&, int) { io.stop(); });

  std::printf("echo on port %d, statistics on port %d\n", echo_port, statistics_port);
  std::fflush(stdout);
  std::vector<std::jthread> threads;
  for (int i = 1; i < 4; ++i) threads.emplace_back([&] { io.run(); });
  io.run();
  threads.clear();
  std::puts("bye");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return EXIT_FAILURE;
}
