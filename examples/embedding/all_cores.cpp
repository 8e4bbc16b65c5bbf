// SPDX-License-Identifier: BSL-1.0
// One echo server on all cores: a loop in each thread, which share nothing but the port. At Ctrl-C
// nobody new is let in, and those who are connected have five seconds to finish.
//
//   all_cores [HOST [PORT [THREADS]]]
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <asyncio/asyncio.hpp>

class Echo : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override { transport_->write(data); }
  void connection_lost(std::exception_ptr) override { transport_ = nullptr; }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

int main(int argc, char** argv) try {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  const unsigned count = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 0;

  asyncio::ServerThreads servers = asyncio::serve_on_threads(
      count,
      [=](asyncio::EventLoop& loop) {
        return loop.create_server<Echo>(host, port, {.reuse_port = true});
      },
      {.drain_timeout = 5.0});
  std::printf("serving on %s\n", to_string(servers.addresses().front()).c_str());
  std::fflush(stdout);

  asyncio::EventLoop loop;  // of this thread, which only waits for a signal
  for (const int signal : {SIGINT, SIGTERM}) loop.add_signal_handler(signal, [&] { loop.stop(); });
  loop.run_forever();

  std::puts("waiting for those who are connected");
  std::fflush(stdout);
  servers.stop();
  servers.join();
  std::puts("bye");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return EXIT_FAILURE;
}
