// SPDX-License-Identifier: BSL-1.0
// Addresses, sockets and views of sockets (surface A7: TR40; checklist P9).
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <asyncio/exceptions.hpp>
#include <asyncio/sockets.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>
#include <type_traits>
#include <unordered_set>

#include "sockaddr.hpp"
#include "thrown_by.hpp"

using namespace asyncio;
using unit_tests::thrown_by;

namespace {

Address through_the_system(const Address& address) {
  return detail::to_address(detail::SockAddr(address));
}

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) != -1; }

}  // namespace

BOOST_AUTO_TEST_SUITE(sockets_tests)

// -- Address

BOOST_AUTO_TEST_CASE(a_literal_decides_the_family_of_an_address) {
  BOOST_TEST(Address("127.0.0.1", 80).family() == AF_INET);
  BOOST_TEST(Address("::1", 80).family() == AF_INET6);
  BOOST_TEST(Address("localhost", 80).family() == 0);
  BOOST_TEST(Address("::1%lo", 80).family() == 0);
  BOOST_TEST(Address("127.0.0.1\0x", 80).family() == AF_INET);  // a C string ends there
  BOOST_TEST(Address(std::string_view("127.0.0.1\0x", 11), 80).family() == 0);
  BOOST_TEST(Address(std::string(200, '1'), 80).family() == 0);
  BOOST_TEST(Address::from_path("/run/x").family() == AF_UNIX);
}

BOOST_AUTO_TEST_CASE(addresses_print_as_python_prints_its_tuples) {
  BOOST_TEST(to_string(Address("127.0.0.1", 10000)) == "('127.0.0.1', 10000)");
  BOOST_TEST(to_string(Address("::1", 10000)) == "('::1', 10000, 0, 0)");
  BOOST_TEST(to_string(Address("fe80::1", 1, 2, 3)) == "('fe80::1', 1, 2, 3)");
  BOOST_TEST(to_string(Address("localhost", 80)) == "('localhost', 80)");
  BOOST_TEST(to_string(Address::from_path("/run/x")) == "'/run/x'");
  BOOST_TEST(to_string(Address::from_path("")) == "''");
  BOOST_TEST(to_string(Address::from_path(std::string_view("\0abc", 4))) == "b'\\x00abc'");
  BOOST_TEST(to_string(Address()) == "None");
}

BOOST_AUTO_TEST_CASE(with_a_separator_only_host_and_port_are_printed) {
  BOOST_TEST(to_string(Address("127.0.0.1", 10000), "_") == "127.0.0.1_10000");
  BOOST_TEST(to_string(Address("::1", 10000, 5, 6), "_") == "::1_10000");
  BOOST_TEST(to_string(Address::from_path("/run/x"), "_") == "/run/x");
}

BOOST_AUTO_TEST_CASE(a_port_beyond_16_bits_is_a_value_error) {
  BOOST_TEST(thrown_by([] { Address("127.0.0.1", 65536); }) ==
             "ValueError('port must be 0-65535.')");
  BOOST_TEST(thrown_by([] { Address("127.0.0.1", -1); }) == "ValueError('port must be 0-65535.')");
}

BOOST_AUTO_TEST_CASE(addresses_are_equal_ordered_and_hashed_by_value) {
  const Address a("127.0.0.1", 80);
  BOOST_TEST((a == Address("127.0.0.1", 80)));
  BOOST_TEST((a != Address("127.0.0.1", 81)));
  BOOST_TEST((a != Address::from_path("127.0.0.1")));
  BOOST_TEST((a < Address("127.0.0.1", 81)));
  BOOST_TEST((Address() < a));
  const std::unordered_set<Address> set{a, Address("127.0.0.1", 80), Address("::1", 80)};
  BOOST_TEST(set.size() == 2u);
  BOOST_TEST(Address().empty());
  BOOST_TEST(!Address::from_path("").empty());
}

BOOST_AUTO_TEST_CASE(addresses_survive_the_way_through_the_system_s_form) {
  for (const Address& address :
       {Address("127.0.0.1", 80), Address("::1", 80), Address("fe80::1", 80, 5, 7),
        Address::from_path("/run/x"), Address::from_path(""),
        Address::from_path(std::string_view("\0abc\0d", 6)),
        Address::from_path(std::string(sizeof(sockaddr_un::sun_path) - 1, 'p'))}) {
    BOOST_TEST((through_the_system(address) == address), to_string(address));
  }
}

BOOST_AUTO_TEST_CASE(what_the_system_has_no_form_for_is_refused) {
  BOOST_TEST(thrown_by([] { detail::SockAddr address(Address("localhost", 80)); }) ==
             "ValueError(\"address ('localhost', 80) is not resolved to an IP address\")");
  BOOST_TEST(thrown_by([] { detail::SockAddr address{Address()}; }) ==
             "ValueError('address None is not resolved to an IP address')");
  const std::string long_path(sizeof(sockaddr_un::sun_path), 'p');
  BOOST_TEST(thrown_by([&] { detail::SockAddr address(Address::from_path(long_path)); }) ==
             "OSError('AF_UNIX path too long')");
}

BOOST_AUTO_TEST_CASE(the_empty_host_is_every_interface_of_the_socket_s_family) {
  Socket socket(AF_INET, SOCK_STREAM);
  socket.bind(Address("", 0));
  BOOST_TEST(socket.getsockname().host() == "0.0.0.0");
}

// -- Socket

BOOST_AUTO_TEST_CASE(sockets_are_non_blocking_and_close_on_exec) {
  auto [a, b] = Socket::pair();
  Socket c(AF_INET, SOCK_STREAM);
  Socket d = a.dup();
  for (const Socket* socket : {&a, &b, &c, &d}) {
    BOOST_TEST((::fcntl(socket->fileno(), F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST(!socket->get_inheritable());
  }
  BOOST_TEST(thrown_by([&] { (void)a.recv(1); }).starts_with("BlockingIOError"));
}

BOOST_AUTO_TEST_CASE(a_socket_tells_how_it_was_made) {
  const Socket socket(AF_INET, SOCK_STREAM);
  BOOST_TEST(socket.family() == AF_INET);
  BOOST_TEST(socket.type() == SOCK_STREAM);
  BOOST_TEST(socket.proto() == 0);
  BOOST_TEST(Socket(AF_INET, SOCK_STREAM, IPPROTO_TCP).proto() == IPPROTO_TCP);
}

BOOST_AUTO_TEST_CASE(the_socket_is_closed_with_its_owner) {
  int descriptor = -1;
  {
    Socket first(AF_INET, SOCK_STREAM);
    descriptor = first.fileno();
    Socket second(std::move(first));
    BOOST_TEST(!first);
    BOOST_TEST(first.fileno() == -1);
    first = std::move(second);
    BOOST_TEST(first.fileno() == descriptor);
    BOOST_TEST(is_open(descriptor));
  }
  BOOST_TEST(!is_open(descriptor));
}

BOOST_AUTO_TEST_CASE(close_is_idempotent_and_detach_keeps_the_descriptor_open) {
  Socket socket(AF_INET, SOCK_STREAM);
  const int descriptor = socket.detach();
  BOOST_TEST(!socket);
  BOOST_TEST(is_open(descriptor));
  socket = Socket(descriptor);
  BOOST_TEST(socket.type() == SOCK_STREAM);
  socket.close();
  socket.close();
  BOOST_TEST(!is_open(descriptor));
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_no_socket_stays_the_caller_s) {
  const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  BOOST_TEST(thrown_by([&] { Socket socket(descriptor); }) ==
             "OSError(88, 'Socket operation on non-socket')");
  BOOST_TEST(is_open(descriptor));
  ::close(descriptor);
}

BOOST_AUTO_TEST_CASE(an_asio_socket_is_taken_over) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::socket asio_socket(context, boost::asio::ip::tcp::v4());
  const int descriptor = asio_socket.native_handle();
  Socket socket(std::move(asio_socket));
  BOOST_TEST(!asio_socket.is_open());
  BOOST_TEST(socket.fileno() == descriptor);
  BOOST_TEST(socket.family() == AF_INET);
  BOOST_TEST(socket.type() == SOCK_STREAM);
  BOOST_TEST((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
  static_assert(!std::is_constructible_v<Socket, boost::asio::ip::tcp::socket&>);
  static_assert(std::is_convertible_v<boost::asio::ip::tcp::acceptor, Socket>);
}

BOOST_AUTO_TEST_CASE(bytes_go_from_one_end_of_a_pair_to_the_other) {
  auto [a, b] = Socket::pair();
  BOOST_TEST(a.send("hello") == 5u);
  BOOST_TEST(b.recv(100) == "hello");
  a.shutdown(SHUT_WR);
  BOOST_TEST(b.recv(100) == "");
}

BOOST_AUTO_TEST_CASE(sending_to_a_closed_peer_is_an_error_and_no_signal) {
  auto [a, b] = Socket::pair();
  b.close();
  BOOST_TEST(thrown_by([&] { a.send("x"); }) == "BrokenPipeError(32, 'Broken pipe')");
}

BOOST_AUTO_TEST_CASE(options_are_numbers_or_bytes) {
  const Socket socket(AF_INET, SOCK_STREAM);
  BOOST_TEST(socket.getsockopt(SOL_SOCKET, SO_KEEPALIVE) == 0);
  socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1);
  BOOST_TEST(socket.getsockopt(SOL_SOCKET, SO_KEEPALIVE) == 1);
  const linger wanted{.l_onoff = 1, .l_linger = 3};
  socket.setsockopt(SOL_SOCKET, SO_LINGER, BytesView(&wanted, sizeof wanted));
  const Bytes got = socket.getsockopt(SOL_SOCKET, SO_LINGER, sizeof wanted);
  BOOST_TEST((BytesView(got) == BytesView(&wanted, sizeof wanted)));
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_under_way_is_a_blocking_io_error) {
  Socket listener(AF_INET, SOCK_STREAM);
  listener.bind(Address("127.0.0.1", 0));
  listener.listen();
  Socket client(AF_INET, SOCK_STREAM);
  const std::string text = thrown_by([&] { client.connect(listener.getsockname()); });
  BOOST_TEST((text == "None" || text.starts_with("BlockingIOError(115, ")), text);
}

BOOST_AUTO_TEST_CASE(a_closed_socket_answers_with_errors) {
  Socket socket;
  BOOST_TEST(thrown_by([&] { (void)socket.getsockname(); }) == "OSError(9, 'Bad file descriptor')");
  BOOST_TEST(thrown_by([&] { socket.bind(Address("127.0.0.1", 0)); }) ==
             "OSError(9, 'Bad file descriptor')");
  BOOST_TEST(thrown_by([&] { socket.listen(); }) == "OSError(9, 'Bad file descriptor')");
  BOOST_TEST(thrown_by([&] { (void)socket.dup(); }) == "OSError(9, 'Bad file descriptor')");
}

// -- printing and TransportSocket

BOOST_AUTO_TEST_CASE(sockets_print_as_in_python) {
  Socket socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  socket.bind(Address("127.0.0.1", 0));
  const std::string fields =
      "fd=" + std::to_string(socket.fileno()) +
      ", family=2, type=1, proto=6, laddr=" + to_string(socket.getsockname());
  BOOST_TEST(to_string(socket) == "<socket.socket " + fields + ">");
  BOOST_TEST(to_string(TransportSocket(socket)) == "<asyncio.TransportSocket " + fields + ">");
  socket.close();
  BOOST_TEST(to_string(socket) == "<socket.socket [closed] fd=-1, family=2, type=1, proto=6>");
  const auto [a, b] = Socket::pair();
  BOOST_TEST(to_string(TransportSocket(a)) ==
             "<asyncio.TransportSocket fd=" + std::to_string(a.fileno()) +
                 ", family=1, type=1, proto=0>");
}

BOOST_AUTO_TEST_CASE(a_transport_socket_is_a_view_that_owns_nothing) {
  Socket socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  {
    const TransportSocket view(socket);
    BOOST_TEST(view.fileno() == socket.fileno());
    BOOST_TEST(view.family() == AF_INET);
    view.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
    BOOST_TEST(view.getsockopt(IPPROTO_TCP, TCP_NODELAY) != 0);
    BOOST_TEST((view == TransportSocket(socket)));
  }
  BOOST_TEST(is_open(socket.fileno()));
  BOOST_TEST(TransportSocket().fileno() == -1);
}

BOOST_AUTO_TEST_CASE(a_transport_socket_cannot_be_made_blocking) {
  const TransportSocket view;
  view.settimeout(0);
  view.setblocking(false);
  BOOST_TEST(view.gettimeout() == 0);
  BOOST_TEST(thrown_by([&] { view.settimeout(1); }) ==
             "ValueError('settimeout(): only 0 timeout is allowed on transport sockets')");
  BOOST_TEST(thrown_by([&] { view.setblocking(true); }) ==
             "ValueError('setblocking(): transport sockets cannot be blocking')");
}

BOOST_AUTO_TEST_SUITE_END()
