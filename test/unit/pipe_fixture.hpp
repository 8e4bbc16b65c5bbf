// SPDX-License-Identifier: BSL-1.0
// For tests of pipe transports: a protocol that writes down what it is told, and a loop with a
// transport at one end of a pipe.
#pragma once

#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/pipes.hpp>
#include <asyncio/protocols.hpp>

#include "captured_log.hpp"
#include "loop_fixture.hpp"
#include "thrown_by.hpp"

namespace pipe_tests {

using namespace asyncio;
using namespace unit_tests;
using Events = std::vector<std::string>;

/// Writes down what it is told, and does what the test says.
class Recorder : public Protocol {
 public:
  Events events;
  std::string data;
  std::shared_ptr<Transport> transport;
  std::function<void()> on_made, on_data, on_eof, on_pause, on_resume, on_lost;

  void connection_made(std::shared_ptr<Transport> made) override {
    transport = std::move(made);
    note("made", on_made);
  }
  void data_received(BytesView bytes) override {
    data += bytes.str();
    note("data " + bytes.str(), on_data);
  }
  bool eof_received() override {
    note("eof", on_eof);
    return true;
  }
  void pause_writing() override { note("pause", on_pause); }
  void resume_writing() override { note("resume", on_resume); }
  void connection_lost(std::exception_ptr why) override { note(lost_text(why), on_lost); }

  bool lost() const { return !events.empty() && events.back().starts_with("lost"); }

 private:
  void note(std::string event, const std::function<void()>& action) {
    events.push_back(std::move(event));
    if (action) action();
  }
};

class OnlyBuffered : public BufferedProtocol {
 public:
  MutableBytes get_buffer(std::ptrdiff_t) override { return {}; }
};
class Neither : public BaseProtocol {};

/// A loop with a transport at one end of a pipe, the other end being the test's.
struct Pipe : LoopFixture {
  std::shared_ptr<Recorder> protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  FileDescriptor other;

  ~Pipe() {
    loop.close();
    protocol->on_made = protocol->on_data = protocol->on_eof = protocol->on_pause =
        protocol->on_resume = protocol->on_lost = nullptr;
    protocol->transport.reset();
  }

  auto factory() {
    return [this] { return protocol; };
  }
  void reading() {
    auto [in, out] = FileDescriptor::pipe();
    other = std::move(out);
    loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(in)));
    opened();
  }
  void writing() {
    auto [in, out] = FileDescriptor::pipe();
    BOOST_REQUIRE(::fcntl(in.fileno(), F_SETFL, O_NONBLOCK) == 0);
    other = std::move(in);
    loop.run_until_complete(loop.connect_write_pipe(factory(), std::move(out)));
    opened();
  }
  void opened() {
    transport = protocol->transport;
    pass();
    BOOST_TEST(protocol->events == Events{"made"});
    protocol->events.clear();
  }

  void send(BytesView bytes) {
    BOOST_REQUIRE(::write(other.fileno(), bytes.data(), bytes.size()) == ssize_t(bytes.size()));
  }
  /// What is in the pipe now; "<EOF>" if the transport has closed its end.
  std::string received() {
    std::string all;
    char block[65536];
    ssize_t size;
    while ((size = ::read(other.fileno(), block, sizeof block)) > 0)
      all.append(block, static_cast<std::size_t>(size));
    return size == 0 ? all + "<EOF>" : all;
  }
  /// Fills the pipe until something stays in the transport's buffer.
  std::size_t fill() {
    const std::string block(50'000, 'b');
    std::size_t size = 0;
    for (; transport->get_write_buffer_size() == 0; size += block.size()) transport->write(block);
    return size;
  }
};

/// A new terminal, in raw mode: its master, and the end that programs use.
inline std::pair<FileDescriptor, FileDescriptor> terminal() {
  FileDescriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  BOOST_REQUIRE(master.fileno() >= 0);
  BOOST_REQUIRE(::grantpt(master.fileno()) == 0);
  BOOST_REQUIRE(::unlockpt(master.fileno()) == 0);
  FileDescriptor slave(::open(::ptsname(master.fileno()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  BOOST_REQUIRE(slave.fileno() >= 0);
  termios mode;
  BOOST_REQUIRE(::tcgetattr(slave.fileno(), &mode) == 0);
  ::cfmakeraw(&mode);
  BOOST_REQUIRE(::tcsetattr(slave.fileno(), TCSANOW, &mode) == 0);
  return {std::move(master), std::move(slave)};
}

/// Every call that opens a descriptor takes the lowest free number: the same one, if nothing leaks.
inline int next_descriptor() {
  auto [in, out] = FileDescriptor::pipe();
  return out.fileno();
}

}  // namespace pipe_tests
