// SPDX-License-Identifier: BSL-1.0
// BufferedProtocol on connections: the ways in which its calls may end (rules 131, 132).
#include <asyncio/protocols.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

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
  std::function<void()> on_get, on_updated, on_eof;
  bool keeps_open = false;
  std::string log, data;
  Future<> lost{get_running_loop()};

  MutableBytes get_buffer(std::ptrdiff_t) override {
    call(on_get);
    return MutableBytes(memory_);
  }
  void buffer_updated(std::size_t size) override {
    data += memory_.substr(0, size);
    log += "updated ";
    call(on_updated);
  }
  bool eof_received() override {
    log += "eof ";
    call(on_eof);
    return keeps_open;
  }
  void connection_lost(std::exception_ptr error) override {
    log += "lost " + repr(error);
    lost.set_result();
  }

 private:
  static void call(const std::function<void()>& function) {
    if (function) function();
  }

  std::string memory_ = std::string(100, '\0');
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

BOOST_FIXTURE_TEST_CASE(a_reset_is_a_connection_lost_with_its_error_and_no_report, Connection) {
  transport->write("unread");
  peer.close();
  loop.pass();
  BOOST_TEST(protocol->log == "lost ConnectionResetError(104, 'Connection reset by peer')");
  BOOST_TEST(loop.reports().empty());
}

BOOST_AUTO_TEST_SUITE_END()
