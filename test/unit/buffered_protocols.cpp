// SPDX-License-Identifier: BSL-1.0
// BufferedProtocol on connections: the ways in which its calls may end (rules 131, 132).
#include <asyncio/protocols.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/streams.hpp>

#include "on_virtual_time.hpp"

using namespace on_virtual_time;

namespace {

/// Offers a hundred bytes, writes down what it is told, and does what the test says.
class Receiver : public BufferedProtocol {
 public:
  std::function<void()> on_get, on_updated, on_eof, on_resume;
  bool keeps_open = false;
  std::size_t room = 100;
  std::string log, data;
  std::vector<std::size_t> sizes;
  unsigned buffers = 0;  // how often it was asked for one
  Future<> lost{get_running_loop()};

  MutableBytes get_buffer(std::ptrdiff_t) override {
    ++buffers;
    call(on_get);
    return MutableBytes(memory_.data(), room);
  }
  void buffer_updated(std::size_t size) override {
    data += memory_.substr(0, size);
    sizes.push_back(size);
    log += "updated ";
    call(on_updated);
  }
  bool eof_received() override {
    log += "eof ";
    call(on_eof);
    return keeps_open;
  }
  void resume_writing() override { call(on_resume); }
  void connection_lost(std::exception_ptr error) override {
    log += "lost " + repr(error);
    lost.set_result();
  }

 private:
  static void call(const std::function<void()>& function) {
    if (function) function();
  }

  std::string memory_ = std::string(100'000, '\0');
};

/// Keeps what it is given.
class Collector : public Protocol {
 public:
  void data_received(BytesView received) override { data += received.str(); }

  std::string data;
};

/// A connection with a Receiver, whose other end is the test's.
struct Connection {
  Connection() {
    Socket mine;
    std::tie(mine, peer) = Socket::pair();
    const auto factory = [] { return std::make_shared<Receiver>(); };
    std::tie(transport, protocol) =
        loop.run_until_complete(loop.create_connection(factory, {.sock = &mine}));
  }
  /// The only one.
  std::string report() const {
    BOOST_TEST_REQUIRE(loop.reports().size() == 1u);
    return loop.reports()[0];
  }

  Loop loop;
  Socket peer;
  std::shared_ptr<Transport> transport;
  std::shared_ptr<Receiver> protocol;
};

/// The protocol is told of ten bytes, asks for eighty, and has room for thirty. More than thirty
/// are received by then: it is busy, and had room for a hundred.
struct TooMuch : Connection {
  TooMuch() {
    protocol->on_updated = [this] {
      protocol->on_updated = nullptr;
      protocol->room = 30;
      peer.send(eighty);
    };
    peer.send("0123456789");
  }

  const std::string eighty = std::string(30, 'a') + std::string(30, 'b') + std::string(20, 'c');
};

}  // namespace

BOOST_AUTO_TEST_SUITE(buffered_protocols_tests)

BOOST_AUTO_TEST_CASE(a_server_sends_and_the_protocol_answers_when_it_has_all) {
  EventLoop loop;
  std::string noise;
  for (int i = 0; i < 1024; ++i) noise += "12345678+";
  const auto serve = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
    writer.write(noise);
    const Bytes answer = co_await reader.readexactly(1);
    BOOST_TEST(answer == "1");
    writer.close();
    co_await writer.wait_closed();
  };
  const auto body = [&]() -> Coroutine<std::string> {
    const Server server = co_await start_server(serve, "127.0.0.1", 0);
    const int port = server.sockets()[0].getsockname().port();
    auto [transport, protocol] = co_await loop.create_connection<Receiver>("127.0.0.1", port);
    protocol->on_updated = [&transport = *transport, &protocol = *protocol, &noise] {
      if (protocol.data == noise) transport.write("1");
    };
    co_await protocol->lost;
    BOOST_TEST(protocol->log.ends_with("updated eof lost None"));
    server.close();
    co_await server.wait_closed();
    co_return protocol->data;
  };
  BOOST_TEST(loop.run_until_complete(body()) == noise);
}

BOOST_FIXTURE_TEST_CASE(a_failing_get_buffer_is_reported_and_fatal, Connection) {
  protocol->on_get = [] { throw ValueError("no room"); };
  peer.send("x");
  loop.pass();
  BOOST_TEST(report() == "Fatal error: protocol.get_buffer() call failed.: ValueError('no room')");
  BOOST_TEST(protocol->log == "lost ValueError('no room')");
}

BOOST_FIXTURE_TEST_CASE(a_failing_buffer_updated_is_reported_and_fatal, Connection) {
  protocol->on_updated = [] { throw ValueError("bad data"); };
  peer.send("x");
  loop.pass();
  BOOST_TEST(report() ==
             "Fatal error: protocol.buffer_updated() call failed.: ValueError('bad data')");
  BOOST_TEST(protocol->log == "updated lost ValueError('bad data')");
}

BOOST_FIXTURE_TEST_CASE(a_failing_eof_received_is_reported_and_fatal, Connection) {
  protocol->on_eof = [] { throw ValueError("bad end"); };
  peer.close();
  loop.pass();
  BOOST_TEST(report() ==
             "Fatal error: protocol.eof_received() call failed.: ValueError('bad end')");
  BOOST_TEST(protocol->log == "eof lost ValueError('bad end')");
}

BOOST_FIXTURE_TEST_CASE(rule_132_eof_closes, Connection) {
  peer.shutdown(SHUT_WR);
  loop.pass();
  BOOST_TEST(protocol->log == "eof lost None");
  BOOST_TEST(peer.recv(10) == "");
}

BOOST_FIXTURE_TEST_CASE(rule_132_eof_with_a_true_answer_keeps_it_open, Connection) {
  protocol->keeps_open = true;
  peer.shutdown(SHUT_WR);
  loop.pass();
  BOOST_TEST(protocol->log == "eof ");
  transport->write("still");
  BOOST_TEST(peer.recv(10) == "still");
  transport->close();
  loop.pass();
  BOOST_TEST(protocol->log == "eof lost None");
}

BOOST_FIXTURE_TEST_CASE(rule_132_eof_comes_once_also_if_it_resumes_reading, Connection) {
  protocol->keeps_open = true;
  protocol->on_eof = [this] {
    transport->pause_reading();
    transport->resume_reading();
  };
  peer.shutdown(SHUT_WR);
  loop.pass(8);
  BOOST_TEST(protocol->log == "eof ");
  transport->pause_reading();
  transport->resume_reading();
  loop.pass();
  BOOST_TEST(protocol->log == "eof eof ");
}

BOOST_FIXTURE_TEST_CASE(rule_132_eof_comes_once_also_if_resume_writing_ends_the_loop, Connection) {
  protocol->keeps_open = true;
  peer.shutdown(SHUT_WR);
  loop.pass();
  protocol->on_resume = [] { throw SystemExit(1); };
  std::size_t size = 0;
  while (transport->get_write_buffer_size() == 0) {
    const std::string much(1'000'000, 'm');
    transport->write(much);
    size += much.size();
  }
  BOOST_CHECK_THROW(
      while (size != 0) {
        size -= peer.recv(size).size();
        loop.pass();
      },
      SystemExit);
  protocol->on_resume = nullptr;
  loop.pass(8);
  BOOST_TEST(protocol->log == "eof ");
}

BOOST_FIXTURE_TEST_CASE(a_reset_is_a_connection_lost_with_its_error_and_no_report, Connection) {
  transport->write("unread");
  peer.close();
  loop.pass();
  BOOST_TEST(protocol->log == "lost ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(loop.reports().empty());
}

// -- what is received before there is a place for it

BOOST_FIXTURE_TEST_CASE(no_buffer_is_asked_for_in_vain, Connection) {
  for (unsigned i = 1; i != 5; ++i) {
    peer.send("x");
    loop.pass();
    BOOST_TEST(protocol->buffers == i);
  }
  peer.close();
  loop.pass();
  BOOST_TEST(protocol->buffers == 5u);  // as Python: for the end
}

BOOST_FIXTURE_TEST_CASE(what_the_buffer_has_no_room_for_comes_with_the_next_reads, TooMuch) {
  loop.pass(8);
  BOOST_TEST(protocol->sizes == std::vector<std::size_t>({10, 30, 30, 20}),
             boost::test_tools::per_element());
  BOOST_TEST(protocol->data == "0123456789" + eighty);
  BOOST_TEST(protocol->buffers == 4u);
  peer.send("and on");
  loop.pass();
  BOOST_TEST(protocol->data == "0123456789" + eighty + "and on");
}

BOOST_FIXTURE_TEST_CASE(it_comes_before_what_is_received_later, TooMuch) {
  protocol->on_get = [this] {
    if (protocol->sizes.size() == 2) peer.send("later");
  };
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty + "later");
  BOOST_TEST(protocol->sizes == std::vector<std::size_t>({10, 30, 30, 25}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(it_waits_while_reading_is_paused, TooMuch) {
  protocol->on_get = [this] {
    if (protocol->sizes.size() == 1) transport->pause_reading();
  };
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty.substr(0, 30));
  transport->resume_reading();
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty);
}

BOOST_FIXTURE_TEST_CASE(it_is_for_the_next_protocol_if_there_is_another, TooMuch) {
  const auto collector = std::make_shared<Collector>();
  protocol->on_get = [&] {
    if (protocol->sizes.size() == 1) transport->set_protocol(collector);
  };
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty.substr(0, 30));
  BOOST_TEST(collector->data == eighty.substr(30));
}

BOOST_FIXTURE_TEST_CASE(it_is_not_lost_when_get_buffer_ends_the_loop, TooMuch) {
  protocol->on_get = [&] {
    if (protocol->sizes.size() != 1) return;
    protocol->on_get = nullptr;
    throw SystemExit(1);
  };
  BOOST_CHECK_THROW(loop.pass(8), SystemExit);
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty);
}

/// Nothing came early for so long that it is not tried again; the kernel has nothing more to tell.
BOOST_FIXTURE_TEST_CASE(it_is_not_lost_when_all_of_it_was_early, Connection) {
  for (int i = 0; i != 8; ++i) {
    peer.send("x");
    loop.pass(2);
  }
  transport->pause_reading();
  peer.send("question");
  transport->resume_reading();
  protocol->on_get = [&] {
    protocol->on_get = nullptr;
    throw SystemExit(1);
  };
  BOOST_CHECK_THROW(loop.pass(8), SystemExit);
  loop.pass(8);
  BOOST_TEST(protocol->data == "xxxxxxxxquestion");
}

BOOST_FIXTURE_TEST_CASE(the_end_comes_after_it, TooMuch) {
  protocol->on_get = [this] {
    if (protocol->sizes.size() == 2) peer.close();
  };
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty);
  BOOST_TEST(protocol->log == "updated updated updated updated eof lost None");
}

BOOST_FIXTURE_TEST_CASE(a_socket_is_not_released_while_there_is_some, TooMuch) {
  protocol->on_get = [this] {
    if (protocol->sizes.size() == 1) transport->pause_reading();
  };
  loop.pass(8);
  BOOST_TEST(thrown_by([&] { transport->release_socket(); }) ==
             "RuntimeError('unable to release the socket; 50 bytes are received that get_buffer() "
             "had no room for')");
  transport->resume_reading();
  loop.pass(8);
  BOOST_TEST(protocol->data == "0123456789" + eighty);
  BOOST_TEST(transport->release_socket().fileno() >= 0);
}

BOOST_FIXTURE_TEST_CASE(who_asks_for_no_more_than_he_wants_may_release_the_socket, Connection) {
  Socket released;
  protocol->room = 4;
  protocol->on_updated = [&] {
    protocol->room = 2;
    if (protocol->data == "head1234") released = transport->release_socket();
  };
  peer.send("head1234and all the rest");
  loop.pass(8);
  BOOST_TEST(protocol->data == "head1234");
  BOOST_TEST(released.recv(100) == "and all the rest");
}

BOOST_FIXTURE_TEST_CASE(a_socket_is_not_released_while_a_buffer_is_asked_for, Connection) {
  std::string refused;
  protocol->on_get = [&] { refused = thrown_by([&] { transport->release_socket(); }); };
  peer.send("0123456789");
  loop.pass(2);
  BOOST_TEST(refused == "RuntimeError('unable to release the socket in get_buffer()')");
  BOOST_TEST(protocol->data == "0123456789");
}

BOOST_FIXTURE_TEST_CASE(a_larger_buffer_gets_all_there_is_at_once, Connection) {
  const std::string much(50'000, 'm');
  protocol->on_updated = [&] {
    protocol->on_updated = nullptr;
    protocol->room = 100'000;
    peer.send(much);
  };
  peer.send("0123456789");
  loop.pass(8);
  BOOST_TEST(protocol->sizes == std::vector<std::size_t>({10, much.size()}),
             boost::test_tools::per_element());
  BOOST_TEST(protocol->data == "0123456789" + much);
}

BOOST_AUTO_TEST_SUITE_END()
