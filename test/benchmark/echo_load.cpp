// SPDX-License-Identifier: BSL-1.0
// Load for echo servers, and a check that they echo:
//   echo_load HOST PORT [--connections N] [--size B] [--depth D] [--seconds S] [--tls] [--connect]
//             [--server PID]
// Each of N connections has D requests of B bytes on their way, and sends the next as soon as an
// answer is complete. With --connect each connection is closed after one request, and another is
// made. Every byte that comes back is compared with the one that was sent.
//
// After a warm-up it counts for S seconds and prints "RESULT requests N rate requests/s", and with
// --server also the CPU time that this process spent per request, "... cpu us". A server that ends
// a connection, answers wrongly, or does not answer for a minute, is a failure: status 1.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_channel.hpp"
#include "workloads.hpp"

namespace {

struct Options {
  sockaddr_in server{};
  int connections = 1;
  std::size_t size = 64;
  std::size_t depth = 1;
  double seconds = 1;
  bool tls = false;
  bool connect = false;
  pid_t server_process = 0;  // 0: its CPU time is not asked for
};

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

/// Seconds for which all threads of the process have run.
double cpu_time(pid_t process) {
  clockid_t clock;
  timespec time;
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    throw Failure("the server is gone");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// What every connection sends: byte n is the same for all of them and depends on n alone, with a
/// period that no power of two divides.
class Pattern {
 public:
  explicit Pattern(std::size_t longest) : bytes_(period + longest, '\0') {
    for (std::size_t i = 0; i < bytes_.size(); ++i)
      bytes_[i] = static_cast<char>(i % period * 31 % period);
  }
  /// The bytes from the given place on, at least as many as the longest that was promised.
  const char* from(std::uint64_t place) const { return bytes_.data() + place % period; }

 private:
  static constexpr std::size_t period = 251;
  std::string bytes_;
};

class PlainChannel : public Channel {
 public:
  explicit PlainChannel(int socket) : socket_(socket) {
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  }
  std::size_t send(const char* data, std::size_t size) override {
    return done(::send(socket_, data, size, MSG_NOSIGNAL));
  }
  std::size_t receive(char* data, std::size_t size) override {
    const ssize_t received = ::recv(socket_, data, size, 0);
    if (received == 0) throw Failure("the server has ended a connection");
    return done(received);
  }
  bool holds_more() const override { return false; }

 private:
  static std::size_t done(ssize_t result) {
    if (result >= 0) return static_cast<std::size_t>(result);
    if (errno != EAGAIN) throw Failure(std::string("a connection broke: ") + std::strerror(errno));
    return 0;
  }
  int socket_;
};

class Connection {
 public:
  /// Connects. The kernel is asked to report what happens to it as `slot`.
  Connection(const Options& options, const Pattern& pattern, int epoll, std::uint32_t slot,
             in_addr source)
      : options_(options),
        pattern_(pattern),
        epoll_(epoll),
        slot_(slot),
        socket_(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source.s_addr != INADDR_ANY) {
      ::setsockopt(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      const sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = source,
                                .sin_zero = {}};
      checked(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    }
    const auto* const server = reinterpret_cast<const sockaddr*>(&options.server);
    checked(::connect(socket_, server, sizeof options.server), "connect");
    channel_ = make_channel(socket_, options.tls);
    watch(EPOLL_CTL_ADD);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(socket_); }

  /// Sends as much as may be on its way.
  void send() {
    const std::uint64_t allowed = (answered() + options_.depth) * options_.size;
    std::size_t done = 1;
    while (sent_ < allowed && done > 0) {
      done = channel_->send(pattern_.from(sent_), allowed - sent_);
      sent_ += done;
    }
    if (const bool blocked = done == 0; blocked != blocked_) {
      blocked_ = blocked;
      watch(EPOLL_CTL_MOD);
    }
  }

  void receive(std::vector<char>& buffer) {
    do {
      const std::size_t size = channel_->receive(buffer.data(), buffer.size());
      if (received_ + size > sent_) throw Failure("the server has sent more than it was sent");
      if (std::memcmp(buffer.data(), pattern_.from(received_), size) != 0)
        throw Failure("the server has not sent back what it was sent");
      received_ += size;
    } while (channel_->holds_more());
  }

  std::uint64_t answered() const noexcept { return received_ / options_.size; }

 private:
  static std::unique_ptr<Channel> make_channel(int socket, [[maybe_unused]] bool tls) {
#ifdef ECHO_LOAD_TLS
    if (tls) return make_tls_channel(socket);
#endif
    return std::make_unique<PlainChannel>(socket);
  }

  void watch(int operation) const {
    epoll_event event{};
    event.events = blocked_ ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u32 = slot_;
    checked(::epoll_ctl(epoll_, operation, socket_, &event), "epoll_ctl");
  }

  const Options& options_;
  const Pattern& pattern_;
  const int epoll_;
  const std::uint32_t slot_;
  const int socket_;
  std::unique_ptr<Channel> channel_;
  std::uint64_t sent_ = 0;  // bytes, as below
  std::uint64_t received_ = 0;
  bool blocked_ = false;  // the kernel has no room for more
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        pattern_(std::max(buffer_.size(), options.size * options.depth)),
        connections_(options.connections) {
    for (std::uint32_t slot = 0; slot < connections_.size(); ++slot) open(slot);
  }

  /// Serves the connections for that long, and until there were so many answers; how many came.
  std::uint64_t run(double seconds, std::uint64_t at_least) {
    const std::uint64_t before = answers_;
    const double end = now() + seconds;
    while (now() < end || answers_ - before < at_least) serve_once();
    return answers_ - before;
  }

 private:
  void open(std::uint32_t slot) {
    connections_[slot].reset();
    connections_[slot] =
        std::make_unique<Connection>(options_, pattern_, epoll_, slot, next_source());
    connections_[slot]->send();
  }

  /// On one machine the kernel keeps the ports of closed connections longer than those of one
  /// address last.
  in_addr next_source() noexcept {
    const bool here = ntohl(options_.server.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return {here ? htonl(INADDR_LOOPBACK + opened_++ % 200) : INADDR_ANY};
  }

  void serve_once() {
    std::array<epoll_event, 256> events;
    const int count =
        checked(::epoll_wait(epoll_, events.data(), events.size(), 60'000), "epoll_wait");
    if (count == 0) throw Failure("the server has not answered for a minute");
    for (int i = 0; i < count; ++i) serve(events[i].data.u32, events[i].events);
  }

  void serve(std::uint32_t slot, std::uint32_t what) {
    Connection& connection = *connections_[slot];
    const std::uint64_t before = connection.answered();
    if (what & ~EPOLLOUT) connection.receive(buffer_);
    answers_ += connection.answered() - before;
    if (options_.connect && connection.answered() > 0)
      open(slot);
    else
      connection.send();
  }

  const Options& options_;
  const int epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
  const Pattern pattern_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint32_t opened_ = 0;
  std::uint64_t answers_ = 0;
};

[[noreturn]] void complain() {
  std::fputs(
      "usage: echo_load HOST PORT [--connections N] [--size B] [--depth D] [--seconds S]\n"
      "                 [--tls] [--connect] [--server PID]\n",
      stderr);
  std::exit(2);
}

/// A number of at least 1.
int count_of(const char* text) {
  const int count = std::atoi(text);
  if (count < 1) complain();
  return count;
}

Options options_of(int argc, char** argv) {
  constexpr option known[] = {
      {"connections", required_argument, nullptr, 'n'},
      {"size", required_argument, nullptr, 'b'},
      {"depth", required_argument, nullptr, 'd'},
      {"seconds", required_argument, nullptr, 's'},
      {"tls", no_argument, nullptr, 't'},
      {"connect", no_argument, nullptr, 'c'},
      {"server", required_argument, nullptr, 'p'},
      {},
  };
  Options options;
  for (int which; (which = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (which) {
      case 'n': options.connections = count_of(optarg); break;
      case 'b': options.size = count_of(optarg); break;
      case 'd': options.depth = count_of(optarg); break;
      case 's': options.seconds = std::atof(optarg); break;
      case 't': options.tls = true; break;
      case 'c': options.connect = true; break;
      case 'p': options.server_process = count_of(optarg); break;
      default: complain();
    }
  }
  if (argc - optind != 2) complain();
  options.server.sin_family = AF_INET;
  options.server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[optind + 1])));
  if (::inet_pton(AF_INET, argv[optind], &options.server.sin_addr) != 1) complain();
#ifndef ECHO_LOAD_TLS
  if (options.tls) throw Failure("this build has no TLS");
#endif
  return options;
}

void measure(const Options& options) {
  Load load(options);
  load.run(options.seconds / 5, options.connections);
  const pid_t server = options.server_process;
  const double cpu_before = server ? cpu_time(server) : 0;
  const double begin = now();
  const auto answers = static_cast<double>(load.run(options.seconds, 1));
  const double elapsed = now() - begin;
  std::printf("RESULT requests %.0f %.1f requests/s", answers, answers / elapsed);
  if (server) std::printf(" %.3f us", (cpu_time(server) - cpu_before) / answers * 1e6);
  std::puts("");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    measure(options_of(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "echo_load: %s\n", error.what());
    return 1;
  }
}
