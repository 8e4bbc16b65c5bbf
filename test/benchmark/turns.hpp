// SPDX-License-Identifier: BSL-1.0
// Load for echo servers with several threads, that does not run while they do.
//
// Servers and clients take turns: the clients send a request on each connection, the servers answer
// all of them, the clients read the answers. Meanwhile the others are blocked. So each serving
// thread has a processor of its own and always something to do, whatever the load costs, and as
// many threads as the machine has processors can be measured on it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace turns {

using Clock = std::chrono::steady_clock;
constexpr unsigned connections_per_thread = 256;
constexpr std::size_t request_size = 1024;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(1);
}

/// Binds the calling thread to one of the processors that the process may use.
inline void pin(unsigned which) {
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  which %= static_cast<unsigned>(CPU_COUNT(&allowed));
  int processor = 0;
  while (!CPU_ISSET(processor, &allowed) || which-- != 0) ++processor;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  CPU_SET(processor, &mine);
  ::pthread_setaffinity_np(::pthread_self(), sizeof mine, &mine);
}

/// Whose turn it is.
class Rhythm {
 public:
  Rhythm(unsigned threads, double seconds)
      : threads_(threads),
        seconds_(std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(seconds))),
        next_(2 * threads, Next{this}) {}

  /// Waits for the other servers and clients.
  void pass() { next_.arrive_and_wait(); }
  /// Waits for the other servers, which are about to begin: nobody gets ahead while others wake up.
  void begin_together() {
    const std::uint64_t place = begun_.fetch_add(1) / threads_;
    while (begun_.load() / threads_ == place) std::this_thread::yield();
  }
  /// These change between two turns only.
  bool measured() const noexcept { return measured_; }
  bool over() const noexcept { return over_; }

 private:
  struct Next {
    void operator()() const noexcept { rhythm->look_at_the_clock(); }
    Rhythm* rhythm;
  };
  void look_at_the_clock() noexcept {
    served_ = !served_;
    if (!served_) return;
    const Clock::time_point now = Clock::now();
    if (measured_) {
      over_ = now >= until_;
    } else if (now >= until_) {
      measured_ = true;
      until_ = now + seconds_;
    }
  }

  const unsigned threads_;
  const Clock::duration seconds_;
  Clock::time_point until_ = Clock::now() + seconds_ / 5;  // warm-up, then what is measured
  std::barrier<Next> next_;
  std::atomic<std::uint64_t> begun_ = 0;
  bool served_ = false;
  bool measured_ = false;
  bool over_ = false;
};

/// What a serving thread counts; in cache lines of its own.
class alignas(64) Serving {
 public:
  explicit Serving(Rhythm& rhythm) : rhythm_(rhythm) {}

  /// A request was answered. After the last one of a turn it returns when the next turn has begun;
  /// false: there is none.
  bool answered() {
    if (--left_ != 0) return true;
    left_ = connections_per_thread;
    if (rhythm_.measured()) taken_.push_back(Clock::now() - begin_);
    rhythm_.pass();  // the clients read, and send
    if (rhythm_.over()) return false;
    rhythm_.pass();
    rhythm_.begin_together();
    begin_ = Clock::now();
    return true;
  }
  std::uint64_t requests() const noexcept { return taken_.size() * connections_per_thread; }
  /// Per second of serving, in the median turn: now and then somebody else wants the processor.
  double rate() const {
    std::vector<Clock::duration> taken = taken_;
    const auto median = taken.begin() + static_cast<std::ptrdiff_t>(taken.size() / 2);
    std::ranges::nth_element(taken, median);
    return connections_per_thread / std::chrono::duration<double>(*median).count();
  }

 private:
  Rhythm& rhythm_;
  unsigned left_ = connections_per_thread;
  Clock::time_point begin_;
  std::vector<Clock::duration> taken_;  // by each turn
};

/// The clients of one serving thread.
class Clients {
 public:
  bool full() const noexcept { return sockets_.size() == connections_per_thread; }
  void add(int socket) { sockets_.push_back(socket); }

  void run(Rhythm& rhythm) {
    std::array<char, request_size> request;
    request.fill('x');
    send_all(request);
    for (;;) {
      rhythm.pass();  // the servers have answered
      if (rhythm.over()) return;
      for (const int socket : sockets_) {
        std::array<char, request_size> answer;
        const ssize_t size = ::recv(socket, answer.data(), answer.size(), MSG_WAITALL);
        if (size != static_cast<ssize_t>(answer.size()) || answer != request)
          fail("the server has not sent back what it was sent");
      }
      send_all(request);
      rhythm.pass();
    }
  }

 private:
  void send_all(const std::array<char, request_size>& request) const {
    for (const int socket : sockets_) {
      if (::send(socket, request.data(), request.size(), MSG_NOSIGNAL) != request_size)
        fail("a connection broke");
    }
  }
  std::vector<int> sockets_;
};

/// Connects until each serving thread has its clients. The kernel chooses the thread, which says
/// who it is by a first byte.
inline std::vector<Clients> connect(int port, unsigned threads) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<Clients> clients(threads);
  while (!std::ranges::all_of(clients, &Clients::full)) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char server;
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::recv(socket, &server, 1, 0) != 1)
      fail("no connection");
    Clients& theirs = clients.at(static_cast<unsigned char>(server));
    if (theirs.full())
      ::close(socket);
    else
      theirs.add(socket);
  }
  return clients;
}

/// What a program's arguments ask for.
struct Options {
  Options(int argc, char** argv)
      : threads(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0),
        seconds(argc > 2 ? std::atof(argv[2]) : 1) {
    if (threads == 0 || threads > 255 || seconds <= 0) {
      std::fprintf(stderr, "usage: %s THREADS [SECONDS]\n", argv[0]);
      std::exit(2);
    }
  }
  unsigned threads;
  double seconds;
};

/// The servers' counts, and the load.
class Turns {
 public:
  explicit Turns(const Options& options) : rhythm_(options.threads, options.seconds) {
    while (servings_.size() != options.threads)
      servings_.push_back(std::make_unique<Serving>(rhythm_));
  }

  Serving& serving(unsigned index) { return *servings_[index]; }
  /// Loads the servers that listen on the port, each from another processor than its own.
  void play(int port) {
    const auto threads = static_cast<unsigned>(servings_.size());
    std::vector<Clients> clients = connect(port, threads);
    std::vector<std::jthread> running;
    for (unsigned index = 0; index < threads; ++index) {
      running.emplace_back([this, index, &mine = clients[index]] {
        pin(index + 1);
        mine.run(rhythm_);
      });
    }
  }
  /// After play(): the sum of what each thread answered in a second of serving.
  void print_result() const {
    std::uint64_t requests = 0;
    double rate = 0;
    for (const auto& serving : servings_) {
      requests += serving->requests();
      rate += serving->rate();
    }
    std::printf("RESULT threads %llu %.0f requests/s\n",
                static_cast<unsigned long long>(requests), rate);
  }

 private:
  Rhythm rhythm_;
  std::vector<std::unique_ptr<Serving>> servings_;
};

}  // namespace turns
