// SPDX-License-Identifier: BSL-1.0
// bench_threads on epoll and nothing else: what the kernel gives to threads that have an epoll and a
// listening socket each, and share nothing.
#include <array>
#include <cerrno>
#include <system_error>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../turns.hpp"

namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

void watch(int epoll, int socket) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = socket;
  checked(::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

/// A socket that listens on the port, 0: on any.
int listener(in_port_t port) {
  const int socket = checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  checked(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  checked(::listen(socket, 4096), "listen");
  return socket;
}

in_port_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  checked(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return address.sin_port;
}

void accept_all(int epoll, int listener, char index) {
  const int on = 1;
  for (int socket; (socket = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(epoll, socket);
    checked(static_cast<int>(::send(socket, &index, 1, MSG_NOSIGNAL)), "send");
  }
}

/// One thread, until all is measured.
void serve(int listener, char index, turns::Serving& serving) {
  const int epoll = checked(::epoll_create1(0), "epoll_create1");
  watch(epoll, listener);
  std::vector<char> buffer(256 * 1024);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int socket = events[i].data.fd;
      if (socket == listener) {
        accept_all(epoll, listener, index);
        continue;
      }
      const ssize_t received = ::recv(socket, buffer.data(), buffer.size(), 0);
      if (received <= 0) {
        ::close(socket);
        continue;
      }
      if (::send(socket, buffer.data(), received, MSG_NOSIGNAL) != turns::request_size)
        turns::fail("not a request in one piece");
      if (!serving.answered()) return;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const turns::Options options(argc, argv);
  turns::Turns turns(options);
  in_port_t port = 0;
  std::vector<std::jthread> threads;
  for (unsigned index = 0; index < options.threads; ++index) {
    const int socket = listener(port);
    port = port_of(socket);
    threads.emplace_back([&turns, socket, index] {
      turns::pin(index);
      serve(socket, static_cast<char>(index), turns.serving(index));
    });
  }
  turns.play(ntohs(port));
  threads.clear();
  turns.print_result();
}
