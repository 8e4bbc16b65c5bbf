// SPDX-License-Identifier: BSL-1.0
//
// A connection's socket taken out of its transport, for other use, and put into one again.
#include <asyncio/asio.hpp>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <asyncio/pipes.hpp>
#include <asyncio/streams.hpp>

#include "core_helpers.hpp"
#include "transport_fixture.hpp"

namespace asio = boost::asio;
using namespace transport_tests;
using asio::ip::tcp;
using asio::local::stream_protocol;
using core_tests::says;

namespace {

/// As soon as there is something.
Bytes receive(Connection& c, Socket& socket, std::size_t size = 100) {
  for (;;) {
    try {
      return socket.recv(size);
    } catch (const BlockingIOError&) {
      c.pass();
    }
  }
}

/// Data goes both ways over a socket and the test's end of it.
void check_connected(Connection& c, Socket& socket) {
  socket.send("to the peer");
  BOOST_TEST(receive(c, c.peer) == "to the peer");
  c.peer.send("from the peer");
  BOOST_TEST(receive(c, socket) == "from the peer");
}

/// The same for one of Asio's, with operations that block.
template <class AsioSocket>
void check_connected_in_asio(Connection& c, AsioSocket& socket) {
  asio::write(socket, asio::buffer("to the peer", 11));
  BOOST_TEST(receive(c, c.peer) == "to the peer");
  c.peer.send("from the peer");
  std::array<char, 13> data;
  asio::read(socket, asio::buffer(data));
  BOOST_TEST(std::string(data.data(), data.size()) == "from the peer");
}

auto established_unix = [](Connection& c) { c.established(); };
auto established_tcp = [](Connection& c) { c.established_tcp(); };

}  // namespace

BOOST_AUTO_TEST_SUITE(release_socket_tests)

BOOST_AUTO_TEST_CASE(the_connection_goes_on_and_the_protocol_has_lost_it) {
  for (void (*establish)(Connection&) : {+established_unix, +established_tcp}) {
    Connection c;
    establish(c);
    c.transport->write("by the transport");
    BOOST_TEST(receive(c, c.peer) == "by the transport");
    Socket socket = c.transport->release_socket();
    BOOST_TEST(c.transport->is_closing());
    BOOST_TEST(c.protocol->events.empty());
    check_connected(c, socket);
    c.pass(3);
    BOOST_TEST(c.protocol->events == Events{"lost None"});
    check_connected(c, socket);
    BOOST_TEST(c.protocol->data == "");
    BOOST_TEST(c.reports.empty());
  }
}

BOOST_AUTO_TEST_CASE(what_has_arrived_and_was_not_read_is_the_new_owners) {
  Connection c;
  c.established();
  c.pass(5);  // it waits for readiness by now
  c.peer.send("unread");
  Socket socket = c.transport->release_socket();
  c.pass(3);
  BOOST_TEST(receive(c, socket) == "unread");
  BOOST_TEST(c.protocol->events == Events{"lost None"});
}

BOOST_AUTO_TEST_CASE(the_socket_may_be_released_while_the_protocol_is_given_data) {
  Connection c;
  c.established();
  Socket socket;
  c.protocol->on_data = [&] { socket = c.transport->release_socket(); };
  c.peer.send("last");
  c.run_until([&] { return c.protocol->lost(); });
  BOOST_TEST(c.protocol->events == (Events{"data 4", "lost None"}));
  check_connected(c, socket);
}

BOOST_AUTO_TEST_CASE(the_released_socket_does_not_block_and_is_not_inherited) {
  Connection c;
  c.established_tcp();
  const auto view = c.transport->get_extra_info(asyncio::socket);
  const Socket socket = c.transport->release_socket();
  BOOST_TEST(socket.fileno() == view.fileno());
  BOOST_TEST(socket.family() == AF_INET);
  BOOST_TEST(socket.type() == SOCK_STREAM);
  BOOST_TEST((::fcntl(socket.fileno(), F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST(!socket.get_inheritable());
}

BOOST_AUTO_TEST_CASE(a_released_transport_is_a_closed_one) {
  Connection c;
  c.established();
  const Socket socket = c.transport->release_socket();
  c.transport->write("dropped");
  c.transport->resume_reading();
  c.transport->write_eof();
  c.transport->close();
  c.transport->abort();
  BOOST_TEST(c.transport->get_extra_info(asyncio::socket).fileno() == -1);
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport closing fd=-1 read=idle write=<idle, bufsize=0>>");
  c.pass(3);
  BOOST_TEST(c.protocol->events == Events{"lost None"});
  BOOST_TEST(c.received() == "");
}

BOOST_AUTO_TEST_CASE(the_loop_may_watch_the_socket_before_the_protocol_has_lost_it) {
  Connection c;
  c.established();
  const Socket socket = c.transport->release_socket();
  int readable = 0;
  c.loop.add_reader(socket, [&] { ++readable; });
  c.run_until([&] { return c.protocol->lost(); });
  c.peer.send("x");
  c.run_until([&] { return readable > 0; });
  BOOST_TEST(c.loop.remove_reader(socket));
}

BOOST_AUTO_TEST_CASE(a_loop_that_is_closed_first_does_not_touch_the_socket) {
  Connection c;
  c.established();
  Socket socket = c.transport->release_socket();
  c.loop.close();
  socket.send("still there");
  BOOST_TEST(c.received() == "still there");
}

// -- when it cannot be done

BOOST_AUTO_TEST_CASE(a_closing_transport_has_no_socket_to_give) {
  Connection c;
  c.established();
  c.transport->close();
  for (int i = 0; i != 2; ++i) {  // before and after connection_lost
    BOOST_TEST(thrown_by([&] { static_cast<void>(c.transport->release_socket()); }) ==
               "RuntimeError('Transport is closing')");
    c.pass(3);
  }
}

BOOST_AUTO_TEST_CASE(what_is_written_must_have_been_sent) {
  Connection c;
  c.established();
  c.write_until_buffered();
  const std::string size = std::to_string(c.transport->get_write_buffer_size());
  BOOST_TEST(thrown_by([&] { static_cast<void>(c.transport->release_socket()); }) ==
             "RuntimeError('unable to release the socket; " + size + " bytes are not sent yet')");
  BOOST_TEST(!c.transport->is_closing());
  c.drain();
  Socket socket = c.transport->release_socket();
  check_connected(c, socket);
}

BOOST_AUTO_TEST_CASE(a_file_must_have_been_sent) {
  Connection c;
  c.established();
  auto& transport = static_cast<detail::StreamTransport&>(*c.transport);
  const Future<> flushed = transport.begin_sendfile();
  BOOST_TEST(thrown_by([&] { static_cast<void>(c.transport->release_socket()); }) ==
             "RuntimeError('unable to release the socket; sendfile is in progress')");
  transport.end_sendfile();
  Socket socket = c.transport->release_socket();
  check_connected(c, socket);
}

BOOST_AUTO_TEST_CASE(pipes_have_none) {
  Connection c;
  int ends[2];
  BOOST_TEST_REQUIRE(::pipe(ends) == 0);
  const FileDescriptor reading(ends[0]);
  const auto pipe = c.loop.run_until_complete(
      c.loop.connect_write_pipe([&] { return c.protocol; }, FileDescriptor(ends[1])));
  BOOST_TEST(thrown_by([&] { static_cast<void>(pipe.first->release_socket()); }) ==
             "NotImplementedError('release_socket is not supported for transport " +
                 to_string(*pipe.first) + "')");
}

// -- those who hold on to the connection

BOOST_AUTO_TEST_CASE(a_server_counts_the_connection_as_gone) {
  Connection c;
  const auto factory = [&] { return c.protocol; };
  const Server server = c.loop.run_until_complete(c.loop.create_server(factory, "127.0.0.1", 0));
  c.peer = Socket(AF_INET, SOCK_STREAM);
  c.loop.run_until_complete(c.loop.sock_connect(c.peer, server.sockets()[0].getsockname()));
  c.run_until([&] { return c.protocol->transport != nullptr; });
  Socket socket = c.protocol->transport->release_socket();
  server.close();
  server.close_clients();
  server.abort_clients();
  c.loop.run_until_complete(server.wait_closed());
  BOOST_TEST(c.protocol->lost());
  check_connected(c, socket);
}

BOOST_AUTO_TEST_CASE(the_reader_still_gives_what_it_has_and_then_the_end) {
  const core_tests::CapturedLog log;
  Connection c;
  auto [mine, theirs] = Socket::pair();
  c.peer = std::move(theirs);
  Socket released;
  {
    const auto [reader, writer] = c.loop.run_until_complete(open_connection({.sock = &mine}));
    c.peer.send("GET / HTTP/1.1\nbody");
    BOOST_TEST(c.loop.run_until_complete(reader.readline()) == "GET / HTTP/1.1\n");
    released = writer.release_socket();
    c.loop.run_until_complete(writer.wait_closed());
    BOOST_TEST(c.loop.run_until_complete(reader.read()) == "body");
    BOOST_TEST(reader.at_eof());
  }
  check_connected(c, released);
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(with_a_limit_of_zero_drain_waits_until_the_socket_can_be_released) {
  Connection c;
  auto [mine, theirs] = Socket::pair();
  c.peer = std::move(theirs);
  const auto [reader, writer] = c.loop.run_until_complete(open_connection({.sock = &mine}));
  const std::string large(1'000'000, 'x');
  writer.write(large);
  writer.transport()->set_write_buffer_limits({.high = 0});
  const auto drained = c.loop.create_task(writer.drain());
  std::string all;
  c.run_until([&] {
    all += c.received();
    return drained.done();
  });
  Socket socket = writer.release_socket();
  while (all.size() != large.size()) all += receive(c, c.peer, 1 << 16);
  BOOST_TEST((all == large));
  check_connected(c, socket);
}

// -- into Asio, and back

BOOST_AUTO_TEST_CASE(asios_sockets_take_it_over) {
  asio::io_context io;
  {
    Connection c;
    c.established_tcp();
    auto socket = release_socket<tcp::socket>(*c.transport, io);
    check_connected_in_asio(c, socket);
    BOOST_TEST(socket.local_endpoint().address().is_loopback());
  }
  {
    Connection c;
    c.established();
    auto socket = release_socket<stream_protocol::socket>(*c.transport, io.get_executor());
    check_connected_in_asio(c, socket);
  }
  {
    Connection c;
    c.established();
    auto socket = release_socket<asio::generic::stream_protocol::socket>(*c.transport, io);
    check_connected_in_asio(c, socket);
  }
}

BOOST_AUTO_TEST_CASE(another_protocols_socket_is_refused) {
  asio::io_context io;
  Connection c;
  c.established();
  const std::string error = thrown_by([&] { release_socket<tcp::socket>(*c.transport, io); });
  BOOST_TEST(
      error.starts_with("TypeError('another kind of socket was expected, got <socket.socket fd="));
  BOOST_TEST(c.received() == "<EOF>");
}

BOOST_AUTO_TEST_CASE(asios_operations_run_on_the_loops_own_context_and_the_way_back_is_sock) {
  Connection c;
  c.established_tcp();
  auto socket = release_socket<tcp::socket>(*c.transport, c.loop.get_io_context());
  std::array<char, 4> data;
  std::size_t size = 0;
  asio::async_read(socket, asio::buffer(data),
                   [&](const boost::system::error_code&, std::size_t n) { size = n; });
  c.peer.send("spam");
  c.run_until([&] { return size != 0; });
  BOOST_TEST(std::string(data.data(), size) == "spam");

  Socket again(std::move(socket));
  const auto protocol = std::make_shared<Recorder>();
  const auto [transport, _] = c.loop.run_until_complete(
      c.loop.create_connection([&] { return protocol; }, {.sock = &again}));
  c.peer.send("eggs");
  c.run_until([&] { return protocol->data == "eggs"; });
  transport->write("ham");
  BOOST_TEST(receive(c, c.peer) == "ham");
}

BOOST_AUTO_TEST_SUITE_END()
