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

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>

#include "transports/stream_transport.hpp"

namespace transport_tests {

using namespace asyncio;
using Events = std::vector<std::string>;

inline std::string lost_text(const std::exception_ptr& error) {
  return "lost " + (error ? type_name(error) : std::string("None"));
}

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

struct CapturedLog {
  Events lines;
  CapturedLog() {
    set_log_sink([this](const LogRecord& record) {
      lines.push_back(std::string(level_name(record.level)) + ":" + std::string(record.name) + ":" +
                      std::string(record.message));
    });
  }
  ~CapturedLog() { set_log_sink({}); }
};

/// A loop with one transport at one end of a pair, the other end being the test's.
struct Connection {
  EventLoop loop;
  Events reports;
  std::shared_ptr<Recorder> protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  Socket peer;
  bool peer_at_eof = false;

  Connection() {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + (context.exception ? " " + repr(context.exception) : ""));
    });
  }
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
    Socket listener(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    listener.bind(Address("127.0.0.1", 0));
    listener.listen(1);
    peer = Socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    try {
      peer.connect(listener.getsockname());
    } catch (const BlockingIOError&) {
    }
    int accepted = -1;
    while (accepted < 0) accepted = ::accept(listener.fileno(), nullptr, nullptr);
    transport = detail::make_stream_transport(loop.core(), Socket(accepted), protocol, nullptr, {},
                                              nullptr);
    pass(2);
    protocol->events.clear();
  }
  /// Exactly so many passes, each with a look at the kernel (rule 18).
  void pass(int count = 1) {
    while (count-- > 0) {
      loop.stop();
      loop.run_forever();
    }
  }
  /// However many passes that takes: the kernel hands things over in its own time.
  template <class Done>
  void run_until(Done done) {
    while (!done()) pass();
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

/// "Type: text" of what a call throws.
inline std::string text_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return type_name(std::current_exception()) + ": " + error.what();
  }
  return "nothing thrown";
}

}  // namespace transport_tests
