// SPDX-License-Identifier: BSL-1.0
// For tests of stream transports: protocols that write down what they are told, and a loop with a
// transport at one end of a connection.
#pragma once

#include <cstddef>
#include <exception>
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
#include "transports/stream_transport.hpp"

namespace transport_tests {

using namespace asyncio;
using namespace unit_tests;
using Events = std::vector<std::string>;

/// Writes down what it is told, and does what the test says.
class Recorder : public Protocol {
 public:
  Events events;
  std::string data;
  std::shared_ptr<Transport> transport;
  std::exception_ptr error;
  std::function<void()> on_made, on_data, on_pause, on_resume, on_lost;
  std::function<bool()> on_eof;

  void connection_made(std::shared_ptr<Transport> made) override {
    transport = std::move(made);
    note("made", on_made);
  }
  void data_received(BytesView bytes) override {
    data += bytes.str();
    note("data " + std::to_string(bytes.size()), on_data);
  }
  bool eof_received() override {
    events.push_back("eof");
    return on_eof && on_eof();
  }
  void pause_writing() override { note("pause", on_pause); }
  void resume_writing() override { note("resume", on_resume); }
  void connection_lost(std::exception_ptr why) override {
    error = why;
    transport.reset();
    note(lost_text(why), on_lost);
  }

  bool lost() const { return !events.empty() && events.back().substr(0, 4) == "lost"; }

 private:
  void note(std::string event, const std::function<void()>& action) {
    events.push_back(std::move(event));
    if (action) action();
  }
};

class BufferedRecorder : public BufferedProtocol {
 public:
  explicit BufferedRecorder(std::size_t size) : memory(size, '\0') {}
  Events events;
  std::string memory, data;
  std::ptrdiff_t hint = 0;

  int asked = 0;

  MutableBytes get_buffer(std::ptrdiff_t sizehint) override {
    ++asked;
    hint = sizehint;
    return MutableBytes(memory);
  }
  void buffer_updated(std::size_t size) override {
    data += memory.substr(0, size);
    events.push_back("updated " + std::to_string(size));
  }
  bool eof_received() override {
    events.push_back("eof");
    return false;
  }
  void connection_lost(std::exception_ptr why) override { events.push_back(lost_text(why)); }
};

/// A loop with one transport at one end of a pair, the other end being the test's.
struct Connection : LoopFixture {
  std::shared_ptr<Recorder> protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  Socket peer;
  bool peer_at_eof = false;

  ~Connection() {
    // What the tests' own closures hold.
    protocol->on_made = protocol->on_data = protocol->on_pause = protocol->on_resume =
        protocol->on_lost = nullptr;
    protocol->on_eof = nullptr;
  }

  std::shared_ptr<Transport> open(std::shared_ptr<BaseProtocol> with,
                                  detail::Ref<detail::FutureState<void>> waiter = nullptr) {
    auto [ours, theirs] = Socket::pair();
    peer = std::move(theirs);
    peer_at_eof = false;
    return detail::make_stream_transport(loop.core(), std::move(ours), std::move(with),
                                         std::move(waiter), {}, nullptr);
  }
  /// Open, connection_made called, and waiting for data.
  void established() {
    transport = open(protocol);
    pass(2);
    protocol->events.clear();
  }
  /// The same over TCP.
  void established_tcp() {
    const Socket listener = socket_tests::listening_socket();
    peer = socket_tests::connected_socket(listener.getsockname());
    int accepted = -1;
    while (accepted < 0) accepted = ::accept(listener.fileno(), nullptr, nullptr);
    transport = detail::make_stream_transport(loop.core(), Socket(accepted), protocol, nullptr, {},
                                              nullptr);
    pass(2);
    protocol->events.clear();
  }
  /// What the peer can read now; the end is told once.
  std::string received() {
    std::string all;
    try {
      while (!peer_at_eof) {
        const Bytes some = peer.recv(1 << 16);
        peer_at_eof = some.empty();
        all += peer_at_eof ? "<EOF>" : some;
      }
    } catch (const BlockingIOError&) {
    }
    return all;
  }
  /// Fills the kernel's buffers until something stays in the transport's.
  std::string write_until_buffered() {
    const std::string block(50'000, 'b');
    std::string all;
    while (transport->get_write_buffer_size() == 0) {
      transport->write(block);
      all += block;
    }
    return all;
  }
  /// The peer reads until the transport has nothing more to send.
  std::string drain() {
    std::string all;
    run_until([&] {
      all += received();
      return transport->get_write_buffer_size() == 0;
    });
    return all + received();
  }
};

}  // namespace transport_tests
