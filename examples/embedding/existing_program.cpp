// SPDX-License-Identifier: BSL-1.0
// An existing Boost.Asio program, to which an asyncio service is added. The program tells the time
// of day to whoever connects (RFC 867), and says on the screen how often it did, by callbacks. What
// is new are the ten lines between the two marks, and the two lines that start it: a service that
// answers every line in capitals. Nothing else was touched.
//
//   existing_program [HOST [DAYTIME_PORT [SHOUT_PORT]]]
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>

#include <asyncio/asyncio.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;

class DaytimeServer {
 public:
  DaytimeServer(asio::io_context& io, const tcp::endpoint& endpoint)
      : acceptor_(io, endpoint), pause_(io) {
    accept();
  }
  int answers() const { return answers_; }

 private:
  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket peer) {
      if (error) return accept_later();
      answer(std::make_shared<tcp::socket>(std::move(peer)));
      accept();
    });
  }
  /// Out of descriptors, for instance: some connection will end.
  void accept_later() {
    pause_.expires_after(std::chrono::seconds(1));
    pause_.async_wait([this](const boost::system::error_code& error) {
      if (!error) accept();
    });
  }
  void answer(const std::shared_ptr<tcp::socket>& peer) {
    const std::time_t now = std::time(nullptr);
    char line[64];
    std::strftime(line, sizeof line, "%A, %B %d, %Y %H:%M:%S-%Z\r\n", std::gmtime(&now));
    const auto text = std::make_shared<std::string>(line);
    asio::async_write(*peer, asio::buffer(*text), [peer, text](const auto&, std::size_t) {});
    ++answers_;
  }

  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  int answers_ = 0;
};

class Report {
 public:
  Report(asio::io_context& io, const DaytimeServer& server) : timer_(io), server_(server) {
    wait();
  }

 private:
  void wait() {
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      if (server_.answers() != reported_)
        std::printf("told the time %d times\n", reported_ = server_.answers());
      std::fflush(stdout);
      wait();
    });
  }

  asio::steady_timer timer_;
  const DaytimeServer& server_;
  int reported_ = 0;
};

// -- new
asyncio::Coroutine<> shout(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  for (;;) {
    asyncio::Bytes line = co_await reader.readline();
    if (line.empty()) break;
    std::ranges::transform(line, line.begin(), [](unsigned char c) { return std::toupper(c); });
    writer.write(line);
    co_await writer.drain();
  }
  writer.close();
}
// -- end of new

int main(int argc, char** argv) try {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int daytime_port = argc > 2 ? std::atoi(argv[2]) : 1313;
  const int shout_port = argc > 3 ? std::atoi(argv[3]) : 8888;

  asio::io_context io;
  const DaytimeServer daytime(
      io, tcp::endpoint(asio::ip::make_address(host), static_cast<unsigned short>(daytime_port)));
  const Report report(io, daytime);

  asyncio::EventLoop loop(io);  // new
  const asyncio::Server shouting =
      loop.run_until_complete(asyncio::start_server(shout, host, shout_port));  // new

  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
  std::printf("daytime on port %d, shouting on port %d\n", daytime_port, shout_port);
  std::fflush(stdout);
  io.run();
  std::puts("bye");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return EXIT_FAILURE;
}
