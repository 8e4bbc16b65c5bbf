// SPDX-License-Identifier: BSL-1.0
// For tests of datagrams: a protocol that writes down what it is told, and an endpoint with a peer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>

#include "captured_log.hpp"
#include "loop_fixture.hpp"
#include "socket_helpers.hpp"
#include "thrown_by.hpp"

namespace datagram_fixture {

using namespace asyncio;
using namespace unit_tests;
using socket_tests::NoDescriptorLeft;
using socket_tests::udp_socket;
using Lines = std::vector<std::string>;

/// Writes down what it is told, and does what the test says.
class Recorder : public DatagramProtocol {
 public:
  Lines events;
  std::vector<Address> senders;
  std::shared_ptr<DatagramTransport> transport;
  std::function<void()> on_made, on_datagram, on_error, on_pause, on_resume;

  void connection_made(std::shared_ptr<DatagramTransport> made) override {
    transport = std::move(made);
    note("made", on_made);
  }
  void datagram_received(BytesView data, const Address& addr) override {
    senders.push_back(addr);
    note("got " + (data.size() > 100 ? std::to_string(data.size()) : data.str()), on_datagram);
    // Whatever was sent meanwhile, the address is still this one's.
    BOOST_TEST((addr == senders.back()));
  }
  void error_received(std::exception_ptr error) override {
    note("error " + type_name(error), on_error);
  }
  void pause_writing() override { note("pause", on_pause); }
  void resume_writing() override { note("resume", on_resume); }
  void connection_lost(std::exception_ptr error) override {
    transport.reset();
    on_made = on_datagram = on_error = on_pause = on_resume = nullptr;
    events.push_back(lost_text(error));
  }
  /// What was written down since the last call.
  Lines news() { return std::exchange(events, {}); }

 private:
  void note(std::string event, const std::function<void()>& action) {
    events.push_back(std::move(event));
    if (action) action();
  }
};

/// Two connected Unix datagram sockets. Unlike UDP they say when the receiver's queue is full.
inline std::pair<Socket, Socket> datagram_pair() {
  int handles[2];
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM, 0, handles) == 0);
  return {Socket(handles[0]), Socket(handles[1])};
}

/// Nobody is there.
inline Address unused_address() { return udp_socket().getsockname(); }

/// All that waits in a socket.
inline Lines received(Socket& socket) {
  Lines all;
  try {
    while (true) all.push_back(socket.recv(1 << 16));
  } catch (const BlockingIOError&) {
  }
  return all;
}

/// A loop with one endpoint, and a peer that is the test's.
struct Fixture : LoopFixture {
  std::shared_ptr<Recorder> protocol = std::make_shared<Recorder>();
  std::shared_ptr<DatagramTransport> transport;
  Socket peer;

  ~Fixture() {  // what the tests' own closures hold
    protocol->on_made = protocol->on_datagram = protocol->on_error = protocol->on_pause =
        protocol->on_resume = nullptr;
  }

  void open(DatagramOptions options) {
    transport =
        loop.run_until_complete(loop.create_datagram_endpoint([this] { return protocol; }, options))
            .first;
    BOOST_TEST_REQUIRE(protocol->news() == Lines{"made"});
  }
  /// At one end of a pair.
  void open_pair() {
    auto [ours, theirs] = datagram_pair();
    peer = std::move(theirs);
    open({.sock = &ours});
  }
  /// UDP, the peer connected to it.
  void open_server() {
    open({.local_addr = {"127.0.0.1", 0}});
    peer = udp_socket();
    peer.connect(transport->get_extra_info(sockname));
  }
  /// UDP, connected to the peer and the peer to it.
  void open_client() {
    peer = udp_socket();
    open({.remote_addr = peer.getsockname()});
    peer.connect(transport->get_extra_info(sockname));
  }

  void run_until_event(const std::string& event) {
    run_until([&] { return !protocol->events.empty() && protocol->events.back() == event; });
  }
  /// Sends "0", "1", ... until one has to wait; returns how many were sent.
  int send_until_buffered() {
    int count = 0;
    while (transport->get_write_buffer_size() == 0) transport->sendto(std::to_string(count++));
    return count;
  }
};

}  // namespace datagram_fixture
