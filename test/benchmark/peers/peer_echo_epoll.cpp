// SPDX-License-Identifier: BSL-1.0
// Echo server on epoll and nothing else, which all others are compared with: per request one
// epoll_wait (or less), one recv, one send.
#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.hpp"

namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

struct Connection {
  explicit Connection(int descriptor) : socket(descriptor) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(socket); }

  int socket;
  std::string unsent;  // as long as there is some, nothing is read
};

class Server {
 public:
  explicit Server(std::uint16_t port)
      : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        listener_(checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                          "socket")) {
    set_option(listener_, SOL_SOCKET, SO_REUSEADDR);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    checked(::listen(listener_, backlog), "listen");
    watch(EPOLL_CTL_ADD, listener_, nullptr, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* const connection = static_cast<Connection*>(events[i].data.ptr);
        if (!connection)
          accept_all();
        else if (!(connection->unsent.empty() ? echo(*connection) : send_rest(*connection)))
          delete connection;
      }
    }
  }

 private:
  static void set_option(int socket, int level, int name) {
    const int on = 1;
    checked(::setsockopt(socket, level, name, &on, sizeof on), "setsockopt");
  }

  void watch(int operation, int descriptor, Connection* connection, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.ptr = connection;
    checked(::epoll_ctl(epoll_, operation, descriptor, &event), "epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      set_option(socket, IPPROTO_TCP, TCP_NODELAY);
      watch(EPOLL_CTL_ADD, socket, new Connection(socket), EPOLLIN);
    }
  }

  /// False, here and below: the connection has ended.
  bool echo(Connection& connection) {
    const ssize_t received = ::recv(connection.socket, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received < 0 && errno == EAGAIN;
    const ssize_t sent = ::send(connection.socket, buffer_.data(), received, MSG_NOSIGNAL);
    if (sent == received) return true;
    if (sent < 0 && errno != EAGAIN) return false;
    const ssize_t done = sent < 0 ? 0 : sent;
    connection.unsent.assign(buffer_.data() + done, received - done);
    watch(EPOLL_CTL_MOD, connection.socket, &connection, EPOLLOUT);
    return true;
  }

  bool send_rest(Connection& connection) {
    std::string& unsent = connection.unsent;
    const ssize_t sent = ::send(connection.socket, unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    unsent.erase(0, sent);
    if (unsent.empty()) watch(EPOLL_CTL_MOD, connection.socket, &connection, EPOLLIN);
    return true;
  }

  int epoll_;
  int listener_;
  std::array<char, 256 * 1024> buffer_;  // for all: what was read is sent or kept at once
};

}  // namespace

int main(int argc, char** argv) {
  static Server server(port_argument(argc, argv));
  announce();
  server.run();
}
