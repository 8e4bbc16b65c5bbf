// SPDX-License-Identifier: BSL-1.0
//
// The write buffer without sockets; then the stream transport over socket pairs and loopback TCP,
// rule by rule (surface B15).
#include <asyncio/transports.hpp>

#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/protocols.hpp>

#include "../../src/transports/stream_transport.hpp"
#include "../../src/transports/write_buffer.hpp"

namespace {

using namespace asyncio;
using Events = std::vector<std::string>;

std::string lost_text(const std::exception_ptr& error) {
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
  template <class Done>
  void run_until(Done done) {
    for (int i = 0; i < 100'000 && !done(); ++i) pass();
    BOOST_REQUIRE(done());
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

std::string text_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return type_name(std::current_exception()) + ": " + error.what();
  }
  return "nothing thrown";
}

std::string joined(const detail::WriteBuffer& buffer) {
  std::vector<BytesView> pieces(100);
  pieces.resize(buffer.pieces(pieces));
  std::string all;
  for (const BytesView piece : pieces) all += piece.str();
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transports_tests)

// -- the write buffer

BOOST_AUTO_TEST_CASE(buffer_gives_back_what_was_appended_less_what_was_sent) {
  detail::WriteBuffer buffer;
  BOOST_TEST(buffer.empty());
  buffer.append("abc");
  buffer.append("");
  buffer.append(std::string(detail::WriteBuffer::chunk_size, 'x'));
  buffer.append("def");
  BOOST_TEST(buffer.size() == detail::WriteBuffer::chunk_size + 6);
  buffer.consume(2);
  BOOST_TEST(joined(buffer).substr(0, 3) == "cxx");
  buffer.consume(1 + detail::WriteBuffer::chunk_size + 1);
  BOOST_TEST(joined(buffer) == "ef");
  buffer.append("gh");
  BOOST_TEST(joined(buffer) == "efgh");
  buffer.consume(4);
  BOOST_TEST(buffer.empty());
  BOOST_TEST(joined(buffer) == "");
}

BOOST_AUTO_TEST_CASE(buffer_joins_small_pieces_and_keeps_large_ones_apart) {
  detail::WriteBuffer buffer;
  BytesView pieces[10];
  for (int i = 0; i < 1000; ++i) buffer.append("0123456789");
  BOOST_TEST(buffer.pieces(pieces) == 1u);
  buffer.append(std::string(detail::WriteBuffer::chunk_size, 'x'));
  BOOST_TEST(buffer.pieces(pieces) == 2u);
  BOOST_TEST(buffer.pieces(std::span(pieces, 1)) == 1u);
}

BOOST_AUTO_TEST_CASE(buffer_keeps_order_over_many_partial_sends) {
  detail::WriteBuffer buffer;
  std::string expected, sent;
  for (int i = 0; i < 200; ++i) {
    const std::string data(static_cast<std::size_t>(i) * 997 % 40'000,
                           static_cast<char>('a' + i % 26));
    expected += data;
    buffer.append(data);
    BytesView piece[1];
    if (i % 3 == 0 && buffer.pieces(piece) == 1) {
      const std::size_t count = piece[0].size() - piece[0].size() / 3;
      sent += piece[0].subview(0, count).str();
      buffer.consume(count);
    }
  }
  BOOST_TEST(buffer.size() == expected.size() - sent.size());
  BytesView piece[1];
  while (buffer.pieces(piece) == 1) {
    sent += piece[0].str();
    buffer.consume(piece[0].size());
  }
  BOOST_TEST((sent == expected));
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(rule_138_limits_default_and_derive_from_each_other) {
  detail::WriteBuffer buffer;
  const auto limits = [&] { return std::pair(buffer.low(), buffer.high()); };
  using Limits = std::pair<std::size_t, std::size_t>;
  BOOST_TEST((limits() == Limits(16384, 65536)));
  buffer.set_limits({.high = 1000});
  BOOST_TEST((limits() == Limits(250, 1000)));
  buffer.set_limits({.low = 50});
  BOOST_TEST((limits() == Limits(50, 200)));
  buffer.set_limits({.high = 0});
  BOOST_TEST((limits() == Limits(0, 0)));
  buffer.set_limits({});
  BOOST_TEST((limits() == Limits(16384, 65536)));
}

BOOST_AUTO_TEST_CASE(limits_in_the_wrong_order_are_a_value_error_and_change_nothing) {
  detail::WriteBuffer buffer;
  BOOST_TEST(text_of([&] { buffer.set_limits({.high = 10, .low = 20}); }) ==
             "ValueError: high (10) must be >= low (20) must be >= 0");
  BOOST_TEST(buffer.high() == 65536u);
  BOOST_TEST(buffer.low() == 16384u);
}

BOOST_AUTO_TEST_CASE(rule_138_pause_strictly_above_high_and_resume_at_low_in_turns) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 10, .low = 4});
  buffer.append("0123456789");
  BOOST_TEST(!buffer.pause_due());
  BOOST_TEST(!buffer.resume_due());
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  BOOST_TEST(!buffer.pause_due());
  buffer.consume(6);
  BOOST_TEST(!buffer.resume_due());
  buffer.consume(1);
  BOOST_TEST(buffer.resume_due());
  BOOST_TEST(!buffer.resume_due());
}

BOOST_AUTO_TEST_CASE(rule_138_high_0_pauses_for_a_single_byte) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 0});
  BOOST_TEST(!buffer.pause_due());
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  buffer.consume(1);
  BOOST_TEST(buffer.resume_due());
}

BOOST_AUTO_TEST_CASE(a_cleared_buffer_stays_paused) {
  detail::WriteBuffer buffer;
  buffer.set_limits({.high = 0});
  buffer.append("x");
  BOOST_TEST(buffer.pause_due());
  buffer.clear();
  BOOST_TEST(buffer.empty());
  buffer.append("y");
  BOOST_TEST(!buffer.pause_due());
}

// -- beginning

BOOST_AUTO_TEST_CASE(rule_129_connection_made_then_the_waiter_then_data_one_pass_later) {
  Connection c;
  Future<void> waiter(c.loop);
  c.transport = c.open(c.protocol, detail::Ref(&waiter.typed_state()));
  c.peer.send("hello");
  BOOST_TEST(c.protocol->events.empty());
  bool made_before_waiter = false;
  waiter.add_done_callback([&] { made_before_waiter = !c.protocol->events.empty(); });
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"made"});
  BOOST_TEST(waiter.done());
  c.pass();
  BOOST_TEST(made_before_waiter);
  BOOST_TEST(c.protocol->events == (Events{"made", "data 5"}));
}

BOOST_AUTO_TEST_CASE(a_waiter_that_was_cancelled_is_left_alone) {
  Connection c;
  Future<void> waiter(c.loop);
  c.transport = c.open(c.protocol, detail::Ref(&waiter.typed_state()));
  waiter.cancel();
  c.pass(2);
  BOOST_TEST(waiter.cancelled());
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_129_pausing_in_connection_made_is_honoured) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->pause_reading(); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(5);
  BOOST_TEST(c.protocol->events == Events{"made"});
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_129_closing_in_connection_made_is_honoured) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->close(); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"made", "lost None"}));
}

BOOST_AUTO_TEST_CASE(rule_103_a_failing_connection_made_is_reported_and_the_connection_goes_on) {
  Connection c;
  c.protocol->on_made = [] { throw ValueError("no"); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(3);
  BOOST_REQUIRE(c.reports.size() == 1);
  BOOST_TEST(c.reports[0].find("Exception in callback") == 0u);
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_130_nagle_is_off_for_tcp) {
  Connection c;
  c.established_tcp();
  const TransportSocket view = c.transport->get_extra_info(asyncio::socket);
  BOOST_TEST(view.getsockopt(IPPROTO_TCP, TCP_NODELAY) != 0);
}

BOOST_AUTO_TEST_CASE(no_protocol_or_one_of_another_kind_is_a_type_error_and_closes_the_socket) {
  class Other : public BaseProtocol {};
  Connection c;
  BOOST_TEST(text_of([&] { c.open(nullptr); }) ==
             "TypeError: a Protocol or BufferedProtocol was expected, got None");
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(text_of([&] { c.open(std::make_shared<Other>()); }) ==
             "TypeError: a Protocol or BufferedProtocol was expected, got Other");
}

BOOST_AUTO_TEST_CASE(a_closed_loop_makes_no_transport) {
  Connection c;
  c.loop.close();
  BOOST_TEST(text_of([&] { c.open(c.protocol); }) == "RuntimeError: Event loop is closed");
}

BOOST_AUTO_TEST_CASE(events_are_handled_in_the_context_that_made_the_transport) {
  Connection c;
  const ContextVar<int> variable("variable", 0);
  int seen = 0;
  c.protocol->on_data = [&] { seen += variable.get(); };
  Context context;
  context.run([&] {
    const auto token = variable.set(7);
    c.transport = c.open(c.protocol);
  });
  c.peer.send("x");
  c.pass(2);
  BOOST_TEST(seen == 7);
}

// -- reading

BOOST_AUTO_TEST_CASE(rule_131_one_read_of_at_most_256_kib_in_a_pass) {
  Connection c;
  c.established();
  const std::string block(100'000, 'x');
  std::size_t sent = 0;
  c.transport->pause_reading();
  try {
    for (;;) sent += c.peer.send(block);
  } catch (const BlockingIOError&) {
  }
  c.transport->resume_reading();
  std::size_t reads = 0;
  while (c.protocol->data.size() < sent) {
    c.pass();
    BOOST_REQUIRE(c.protocol->events.size() == ++reads);
    BOOST_TEST(std::stoul(c.protocol->events.back().substr(5)) <= 262144u);
  }
}

BOOST_AUTO_TEST_CASE(data_is_delivered_in_the_pass_that_sees_it_for_any_number_of_rounds) {
  Connection c;
  c.established();
  for (int round = 0; round < 300; ++round) {  // with early reads, without, and tried again
    c.protocol->data.clear();
    c.peer.send("ping");
    c.pass();
    BOOST_REQUIRE(c.protocol->data == "ping");
    if (round % 7 == 0) c.pass(2);
  }
}

BOOST_AUTO_TEST_CASE(rule_132_eof_with_a_false_answer_closes) {
  Connection c;
  c.established();
  c.peer.shutdown(SHUT_WR);
  bool closing_after_eof = false;
  c.protocol->on_eof = [&] {
    c.loop.call_soon([&] { closing_after_eof = c.transport->is_closing(); });
    return false;
  };
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"eof"});
  c.pass();
  BOOST_TEST(c.protocol->events == (Events{"eof", "lost None"}));
  BOOST_TEST(closing_after_eof);  // rule 148
}

BOOST_AUTO_TEST_CASE(rule_132_eof_with_a_true_answer_keeps_it_open_and_resuming_tells_it_again) {
  Connection c;
  c.established();
  c.protocol->on_eof = [] { return true; };
  c.peer.shutdown(SHUT_WR);
  c.pass(5);
  BOOST_TEST(c.protocol->events == Events{"eof"});
  BOOST_TEST(c.transport->is_reading());
  c.transport->write("still");
  BOOST_TEST(c.received() == "still");
  c.transport->pause_reading();
  c.transport->resume_reading();
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"eof", "eof"}));
}

BOOST_AUTO_TEST_CASE(rule_146_pausing_skips_what_is_due_in_this_very_pass) {
  Connection c;
  c.established();
  c.peer.send("x");
  c.loop.call_soon([&] { c.transport->pause_reading(); });  // runs ahead of the I/O of its pass
  c.pass(5);
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(!c.transport->is_reading());
  c.transport->resume_reading();
  BOOST_TEST(c.transport->is_reading());
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_146_resumed_in_the_same_pass_data_comes_with_the_next) {
  Connection c;
  c.established();
  c.peer.send("x");
  c.loop.call_soon([&] {
    c.transport->pause_reading();
    c.transport->resume_reading();
  });
  c.pass();
  BOOST_TEST(c.protocol->events.empty());
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_146_pausing_in_data_received_leaves_the_rest_in_the_kernel) {
  Connection c;
  c.established();
  c.protocol->on_data = [&] { c.transport->pause_reading(); };
  c.peer.send("first");
  c.pass();
  c.peer.send("second");
  c.pass(5);
  BOOST_TEST(c.protocol->data == "first");
  c.transport->pause_reading();  // idempotent
  c.transport->resume_reading();
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->data == "firstsecond");
}

BOOST_AUTO_TEST_CASE(pausing_and_resuming_for_ever_loses_nothing) {
  Connection c;
  c.established();
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    if (i % 2) c.transport->pause_reading();
    if (i % 3 == 0) expected += c.peer.send("0123456789") == 10 ? "0123456789" : "";
    if (i % 5 < 3) c.transport->resume_reading();
    c.pass(i % 4);
  }
  c.transport->resume_reading();
  c.run_until([&] { return c.protocol->data.size() >= expected.size(); });
  BOOST_TEST(c.protocol->data == expected);
}

BOOST_AUTO_TEST_CASE(a_paused_transport_hears_of_no_eof) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  c.peer.close();
  c.pass(5);
  BOOST_TEST(c.protocol->events.empty());
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"eof"});
}

BOOST_AUTO_TEST_CASE(data_that_comes_after_close_is_not_delivered) {
  Connection c;
  c.established();
  c.protocol->on_data = [&] { c.transport->close(); };
  c.peer.send("first");
  c.pass();
  BOOST_TEST(!c.transport->is_reading());
  try {
    c.peer.send("second");
  } catch (const OSError&) {
  }
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"data 5", "lost None"}));
}

BOOST_AUTO_TEST_CASE(a_reset_is_a_connection_lost_with_its_error_and_no_report) {
  Connection c;
  c.established_tcp();
  const linger abort{1, 0};
  c.peer.setsockopt(SOL_SOCKET, SO_LINGER, BytesView(&abort, sizeof abort));
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
  BOOST_TEST(c.protocol->events == Events{"lost ConnectionResetError"});
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(a_failing_data_received_is_reported_and_fatal) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw ValueError("bad data"); };
  c.peer.send("x");
  c.pass();
  BOOST_TEST(c.reports ==
             Events{"Fatal error: protocol.data_received() call failed. ValueError('bad data')"});
  BOOST_TEST(c.transport->is_closing());
  c.pass();
  BOOST_TEST(c.protocol->events == (Events{"data 1", "lost ValueError"}));
}

BOOST_AUTO_TEST_CASE(a_failing_eof_received_is_reported_and_fatal) {
  Connection c;
  c.established();
  c.protocol->on_eof = []() -> bool { throw ValueError("bad end"); };
  c.peer.close();
  c.pass(2);
  BOOST_TEST(c.reports ==
             Events{"Fatal error: protocol.eof_received() call failed. ValueError('bad end')"});
  BOOST_TEST(c.protocol->events == (Events{"eof", "lost ValueError"}));
}

BOOST_AUTO_TEST_CASE(an_os_error_out_of_data_received_is_fatal_and_not_reported) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw ConnectionAbortedError("enough"); };
  c.peer.send("x");
  c.pass(2);
  BOOST_TEST(c.reports.empty());
  BOOST_TEST(c.protocol->events == (Events{"data 1", "lost ConnectionAbortedError"}));
}

BOOST_AUTO_TEST_CASE(rule_13_system_exit_out_of_data_received_leaves_the_loop_and_nothing_is_lost) {
  Connection c;
  c.established();
  c.protocol->on_data = [] { throw SystemExit(3); };
  c.peer.send("x");
  c.loop.stop();
  BOOST_CHECK_THROW(c.loop.run_forever(), SystemExit);
  c.protocol->on_data = nullptr;
  c.peer.send("y");
  c.pass(2);
  BOOST_TEST(c.protocol->data == "xy");
}

BOOST_AUTO_TEST_CASE(
    rule_13_system_exit_out_of_resume_writing_leaves_the_loop_and_nothing_is_lost) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 300'000, .low = 299'999});
  c.protocol->on_resume = [] { throw SystemExit(3); };
  const std::string large(2'000'000, 'x');
  c.transport->write(large);
  std::string all;
  try {
    c.run_until([&] {
      all += c.received();
      return false;
    });
  } catch (const SystemExit&) {
  }
  BOOST_TEST(c.transport->get_write_buffer_size() > 0u);
  all += c.drain();
  BOOST_TEST((all == large));
}

BOOST_AUTO_TEST_CASE(rule_131_a_buffered_protocol_gets_the_data_where_it_says) {
  Connection c;
  const auto protocol = std::make_shared<BufferedRecorder>(4);
  c.transport = c.open(protocol);
  c.peer.send("abcdefghij");
  c.pass(4);
  BOOST_TEST(protocol->hint == -1);
  BOOST_TEST(protocol->events == (Events{"updated 4", "updated 4", "updated 2"}));
  BOOST_TEST(protocol->data == "abcdefghij");
  BOOST_TEST(protocol->asked == 3);
  c.peer.close();
  c.pass(2);
  BOOST_TEST(protocol->asked == 4);
  BOOST_TEST(protocol->events.back() == "lost None");
}

BOOST_AUTO_TEST_CASE(rule_131_an_empty_buffer_is_a_fatal_runtime_error) {
  Connection c;
  const auto protocol = std::make_shared<BufferedRecorder>(0);
  c.transport = c.open(protocol);
  c.peer.send("x");
  c.pass(3);
  BOOST_TEST(c.reports == Events{"Fatal error: protocol.get_buffer() call failed. "
                                 "RuntimeError('get_buffer() returned an empty buffer')"});
  BOOST_TEST(protocol->events == Events{"lost RuntimeError"});
}

// -- writing

BOOST_AUTO_TEST_CASE(rule_134_what_the_kernel_takes_is_sent_at_once) {
  Connection c;
  c.established();
  c.transport->write("hello");
  BOOST_TEST(c.transport->get_write_buffer_size() == 0u);
  BOOST_TEST(c.received() == "hello");
  c.transport->write("");
  BOOST_TEST(c.received() == "");
}

BOOST_AUTO_TEST_CASE(rule_134_the_rest_is_buffered_and_sent_when_the_kernel_takes_more) {
  Connection c;
  c.established();
  std::string expected = c.write_until_buffered();
  BOOST_TEST(c.transport->get_write_buffer_size() > 0u);
  c.transport->write("tail");
  expected += "tail";
  BOOST_TEST((c.drain() == expected));
}

BOOST_AUTO_TEST_CASE(rule_135_the_caller_may_reuse_its_memory_at_once) {
  Connection c;
  c.established();
  const std::string before = c.write_until_buffered();
  std::string mine = "precious";
  c.transport->write(mine);
  mine = "reused!!";
  BOOST_TEST((c.drain() == before + "precious"));
}

BOOST_AUTO_TEST_CASE(rule_139_pause_and_resume_come_from_inside_write_and_the_flush) {
  Connection c;
  c.established();
  bool paused_inside = false;
  bool writing = false;
  c.protocol->on_pause = [&] { paused_inside = writing; };
  writing = true;
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  writing = false;
  BOOST_TEST(paused_inside);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.transport->write(large);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  BOOST_TEST(c.drain().size() == 2 * large.size());
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(a_failing_pause_or_resume_is_reported_and_the_connection_goes_on) {
  Connection c;
  c.established();
  c.protocol->on_pause = [] { throw ValueError("p"); };
  c.protocol->on_resume = [] { throw ValueError("r"); };
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  BOOST_TEST(c.drain().size() == large.size());
  BOOST_TEST(c.reports == (Events{"protocol.pause_writing() failed ValueError('p')",
                                  "protocol.resume_writing() failed ValueError('r')"}));
  BOOST_TEST(!c.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(resume_writing_may_write_more_and_may_close) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 1});
  c.protocol->on_resume = [&] {
    c.transport->write("last");
    c.transport->close();
  };
  std::string expected = c.write_until_buffered();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "last<EOF>"));
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume", "lost None"}));
}

BOOST_AUTO_TEST_CASE(rule_138_new_limits_are_looked_at_at_once) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 100'000'000});
  c.write_until_buffered();
  BOOST_TEST(c.protocol->events.empty());
  c.transport->set_write_buffer_limits({.high = 0});
  BOOST_TEST(c.protocol->events == Events{"pause"});
  BOOST_TEST((c.transport->get_write_buffer_limits() == std::pair<std::size_t, std::size_t>(0, 0)));
}

BOOST_AUTO_TEST_CASE(rule_133_writing_after_write_eof_is_a_runtime_error) {
  Connection c;
  c.established();
  BOOST_TEST(c.transport->can_write_eof());
  c.transport->write("end");
  c.transport->write_eof();
  c.transport->write_eof();
  BOOST_TEST(text_of([&] { c.transport->write("x"); }) ==
             "RuntimeError: Cannot call write() after write_eof()");
  BOOST_TEST(text_of([&] { c.transport->writelines({"x"}); }) ==
             "RuntimeError: Cannot call writelines() after write_eof()");
  BOOST_TEST(c.received() == "end<EOF>");
}

BOOST_AUTO_TEST_CASE(rule_145_write_eof_waits_for_the_buffer_and_reading_goes_on) {
  Connection c;
  c.established();
  const std::string expected = c.write_until_buffered();
  c.transport->write_eof();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return all.size() > 5 && all.substr(all.size() - 5) == "<EOF>";
  });
  BOOST_TEST((all == expected + "<EOF>"));
  c.peer.send("answer");
  c.pass();
  BOOST_TEST(c.protocol->data == "answer");
}

BOOST_AUTO_TEST_CASE(rule_137_writelines_sends_pieces_in_order_and_skips_empty_ones) {
  Connection c;
  c.established();
  c.transport->writelines({"a", "", "bc", "def"});
  BOOST_TEST(c.received() == "abcdef");
  const std::vector<std::string> many(200, "xy");  // more than one gathered send takes
  c.transport->writelines(many);
  std::string all;
  c.run_until([&] { return (all += c.received()).size() == 400; });
  c.transport->writelines(std::vector<std::string>{});
  c.transport->writelines({"", ""});
  c.pass(2);
  BOOST_TEST(c.received() == "");
}

BOOST_AUTO_TEST_CASE(writelines_checks_the_high_water_mark) {
  Connection c;
  c.established();
  const std::vector<std::string> many(100, std::string(50'000, 'x'));
  c.transport->writelines(many);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.transport->writelines({"y", "z"});
  std::string expected(5'000'000, 'x');
  BOOST_TEST((c.drain() == expected + "yz"));
  BOOST_TEST(c.protocol->events == (Events{"pause", "resume"}));
}

BOOST_AUTO_TEST_CASE(rule_134_a_write_error_loses_the_connection_with_the_next_pass) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  c.peer.close();
  c.transport->write("x");
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(c.transport->is_closing());
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"lost BrokenPipeError"});
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_142_writes_to_a_lost_connection_warn_from_the_fifth_on) {
  Connection c;
  c.established();
  const CapturedLog log;
  c.transport->close();
  for (int i = 0; i < 4; ++i) c.transport->write("x");
  BOOST_TEST(log.lines.empty());
  c.transport->write("x");
  c.pass();
  c.transport->writelines({"x"});
  BOOST_TEST(log.lines == (Events{"WARNING:asyncio:socket.send() raised exception.",
                                  "WARNING:asyncio:socket.send() raised exception."}));
  BOOST_TEST(c.received() == "<EOF>");
}

BOOST_AUTO_TEST_CASE(rule_6_of_both_directions_reading_goes_first) {
  Connection c;
  c.established();
  c.transport->set_write_buffer_limits({.high = 1});
  const std::string expected = c.write_until_buffered();
  // Both in one pass: the peer makes room and sends before the loop looks.
  c.peer.send("x");
  std::string all = c.received();
  c.run_until([&] {
    all += c.received();
    return c.protocol->events.size() == 3;
  });
  BOOST_TEST(c.protocol->events == (Events{"pause", "data 1", "resume"}));
}

// -- ending

BOOST_AUTO_TEST_CASE(rule_140_close_calls_connection_lost_with_the_next_pass_and_once) {
  Connection c;
  c.established();
  c.transport->close();
  BOOST_TEST(c.transport->is_closing());
  BOOST_TEST(c.protocol->events.empty());
  c.transport->close();
  c.transport->abort();
  c.pass(3);
  BOOST_TEST(c.protocol->events == Events{"lost None"});
  BOOST_TEST(!c.protocol->error);
}

BOOST_AUTO_TEST_CASE(rule_141_what_is_written_while_a_closing_buffer_drains_is_sent) {
  Connection c;
  c.established();
  std::string expected = c.write_until_buffered();
  c.transport->close();
  c.transport->write("more");
  c.transport->writelines({"and", "more"});
  expected += "moreandmore";
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "<EOF>"));
  BOOST_TEST(c.protocol->events.back() == "lost None");
}

BOOST_AUTO_TEST_CASE(rule_143_abort_drops_the_buffer_and_does_not_resume) {
  Connection c;
  c.established();
  const std::string large(1'000'000, 'x');
  c.transport->write(large);
  c.transport->abort();
  BOOST_TEST(c.transport->get_write_buffer_size() == 0u);
  BOOST_TEST(c.protocol->events == Events{"pause"});
  c.pass(3);
  BOOST_TEST(c.protocol->events == (Events{"pause", "lost None"}));
  BOOST_TEST(c.received().size() < large.size());
}

BOOST_AUTO_TEST_CASE(rule_144_after_connection_lost_socket_and_protocol_are_let_go) {
  Connection c;
  c.established();
  const std::weak_ptr<Recorder> watched = c.protocol;
  bool open_inside = false;
  c.protocol->on_lost = [&] {
    open_inside = c.transport->get_extra_info(asyncio::socket).fileno() >= 0 &&
                  c.transport->get_protocol() != nullptr;
  };
  c.transport->close();
  c.pass();
  BOOST_TEST(open_inside);
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(c.transport->get_protocol() == nullptr);
  BOOST_TEST(c.protocol.use_count() == 1);
  // Harmless from here on.
  c.transport->close();
  c.transport->abort();
  c.transport->pause_reading();
  c.transport->resume_reading();
  c.transport->write_eof();
  c.transport->set_write_buffer_limits({.high = 7});
  c.transport->set_protocol(c.protocol);
  BOOST_TEST(c.transport->get_protocol() == nullptr);
  BOOST_TEST(!c.transport->is_reading());
}

BOOST_AUTO_TEST_CASE(rule_144_a_failing_connection_lost_is_reported_and_the_socket_closed) {
  for (const bool after_flush : {false, true}) {
    Connection c;
    c.established();
    c.protocol->on_lost = [] { throw ValueError("late"); };
    if (after_flush) c.write_until_buffered();
    c.transport->close();
    c.run_until([&] {
      c.received();
      return c.protocol->lost();
    });
    BOOST_REQUIRE(c.reports.size() == 1);
    BOOST_TEST(c.reports[0].find("Exception in callback") == 0u);
    c.received();
    BOOST_TEST(c.peer_at_eof);
    BOOST_TEST(c.transport->get_protocol() == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(rule_110_a_transport_dropped_while_open_warns_and_closes_its_socket) {
  const CapturedLog log;
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->pause_reading(); };
  c.open(c.protocol);
  c.pass();
  BOOST_TEST(log.lines.empty());
  c.protocol->transport.reset();
  BOOST_REQUIRE(log.lines.size() == 1);
  BOOST_TEST(log.lines[0].find("WARNING:asyncio:unclosed transport <StreamTransport fd=") == 0u);
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(c.protocol->events == Events{"made"});
}

BOOST_AUTO_TEST_CASE(a_transport_that_reads_lives_without_being_held) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport.reset(); };
  c.open(c.protocol);
  c.pass(3);
  c.peer.send("x");
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
}

BOOST_AUTO_TEST_CASE(a_transport_that_flushes_lives_without_being_held) {
  Connection c;
  c.established();
  c.transport->pause_reading();
  const std::string expected = c.write_until_buffered();
  c.transport->close();
  c.transport.reset();
  c.protocol->transport.reset();
  std::string all;
  c.run_until([&] {
    all += c.received();
    return c.protocol->lost();
  });
  BOOST_TEST((all + c.received() == expected + "<EOF>"));
}

BOOST_AUTO_TEST_CASE(closing_the_loop_closes_connections_without_a_word) {
  const CapturedLog log;
  Connection c;
  c.established();
  c.write_until_buffered();
  c.protocol->events.clear();
  c.loop.close();
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(c.received().find("<EOF>") != std::string::npos);
  BOOST_TEST(c.transport->is_closing());
  c.transport->write("x");
  c.transport->writelines({"x"});
  c.transport->write_eof();
  c.transport->close();
  c.transport->abort();
  c.transport->pause_reading();
  c.transport->resume_reading();
  BOOST_TEST(to_string(*c.transport).find("<StreamTransport closed fd=") == 0u);
  BOOST_TEST(log.lines.empty());
}

BOOST_AUTO_TEST_CASE(rule_104_of_a_slow_protocol_the_transport_is_named) {
  const CapturedLog log;
  Connection c;
  c.established();
  c.loop.set_debug(true);
  c.loop.set_slow_callback_duration(0);  // then everything is slow
  c.peer.send("x");
  c.run_until([&] { return !c.protocol->data.empty(); });
  const auto names_it = [](const std::string& line) {
    return line.starts_with("WARNING:asyncio:Executing <StreamTransport fd=");
  };
  BOOST_TEST(std::ranges::count_if(log.lines, names_it) > 0);
}

BOOST_AUTO_TEST_CASE(rule_110_in_debug_mode_closing_the_loop_warns_of_an_open_connection) {
  const CapturedLog log;
  Connection c;
  c.loop.set_debug(true);
  c.established();
  c.loop.close();
  const auto warns = [](const std::string& line) {
    return line.starts_with("WARNING:asyncio:unclosed transport <StreamTransport fd=");
  };
  BOOST_TEST(std::ranges::count_if(log.lines, warns) == 1);
}

BOOST_AUTO_TEST_CASE(a_transport_outlives_its_loop_harmlessly) {
  auto protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  {
    Connection c;
    transport = c.open(protocol);
    c.pass(2);
    transport->close();  // connection_lost is queued, and dropped
  }
  BOOST_TEST(protocol->events == Events{"made"});
  transport->write("x");
  transport->close();
}

BOOST_AUTO_TEST_CASE(a_guest_on_somebody_elses_io_context_serves_its_transports) {
  boost::asio::io_context io;
  std::shared_ptr<Transport> transport;
  auto protocol = std::make_shared<Recorder>();
  auto [ours, theirs] = Socket::pair();
  {
    EventLoop loop(io);
    transport =
        detail::make_stream_transport(loop.core(), std::move(ours), protocol, nullptr, {}, nullptr);
    theirs.send("ping");
    protocol->on_data = [&] { protocol->transport->write("pong"); };
    while (protocol->data.empty()) io.run_one();
    BOOST_TEST(theirs.recv(10) == "pong");
  }
  BOOST_TEST(theirs.recv(10).empty());
  io.poll();  // the aborted wait finds nothing to do
  transport->write("x");
  BOOST_TEST(protocol->events == (Events{"made", "data 4"}));
  protocol->on_data = nullptr;
}

// -- the rest

BOOST_AUTO_TEST_CASE(rule_149_set_protocol_counts_from_the_next_event_for_both_kinds) {
  Connection c;
  c.established();
  const auto buffered = std::make_shared<BufferedRecorder>(100);
  const auto plain = std::make_shared<Recorder>();
  c.transport->set_protocol(buffered);
  BOOST_TEST(c.transport->get_protocol() == buffered);
  c.peer.send("one");
  c.pass();
  c.transport->set_protocol(plain);
  c.peer.send("two");
  c.pass();
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(buffered->data == "one");
  BOOST_TEST(plain->events == Events{"data 3"});  // no connection_made
  c.transport->close();
  c.pass();
  BOOST_TEST(plain->events.back() == "lost None");
  BOOST_TEST(c.protocol->events.empty());
}

BOOST_AUTO_TEST_CASE(a_protocol_that_replaces_itself_while_called_lives_until_it_returns) {
  struct Fragile : Protocol {
    std::shared_ptr<Transport> transport;
    std::shared_ptr<BaseProtocol> successor;
    std::string memory = "a string long enough to be on the heap";
    bool* intact = nullptr;
    void data_received(BytesView) override {
      const auto held = transport;
      held->set_protocol(successor);
      held->set_protocol(successor);
      *intact = memory == "a string long enough to be on the heap";
    }
  };
  Connection c;
  bool intact = false;
  auto fragile = std::make_shared<Fragile>();
  fragile->successor = c.protocol;
  fragile->intact = &intact;
  c.transport = c.open(fragile);
  fragile->transport = c.transport;
  const std::weak_ptr<Fragile> watched = fragile;
  fragile.reset();
  c.pass(2);
  c.peer.send("x");
  c.pass();
  BOOST_TEST(intact);
  BOOST_TEST(watched.expired());
  c.peer.send("y");
  c.pass();
  BOOST_TEST(c.protocol->data == "y");
}

BOOST_AUTO_TEST_CASE(a_protocol_that_replaces_itself_in_connection_lost_lives_until_it_returns) {
  struct Leaving : Protocol {
    std::shared_ptr<Transport> transport;
    std::shared_ptr<BaseProtocol> successor;
    bool* destroyed = nullptr;
    bool* destroyed_too_early = nullptr;
    ~Leaving() override { *destroyed = true; }
    void connection_lost(std::exception_ptr) override {
      const auto held = transport;
      bool* const early = destroyed_too_early;
      bool* const gone = destroyed;
      held->set_protocol(successor);
      *early = *gone;
    }
  };
  Connection c;
  bool destroyed = false, destroyed_too_early = true;
  auto leaving = std::make_shared<Leaving>();
  leaving->successor = c.protocol;
  leaving->destroyed = &destroyed;
  leaving->destroyed_too_early = &destroyed_too_early;
  c.transport = c.open(leaving);
  leaving->transport = c.transport;
  leaving.reset();
  c.pass(2);
  c.transport->close();
  c.pass();
  BOOST_TEST(!destroyed_too_early);
  BOOST_TEST(destroyed);
  BOOST_TEST(c.protocol.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(set_protocol_of_another_kind_is_a_type_error_and_changes_nothing) {
  class Other : public BaseProtocol {};
  Connection c;
  c.established();
  BOOST_TEST(text_of([&] { c.transport->set_protocol(std::make_shared<Other>()); }) ==
             "TypeError: a Protocol or BufferedProtocol was expected, got Other");
  BOOST_TEST(c.transport->get_protocol() == c.protocol);
}

BOOST_AUTO_TEST_CASE(extra_information_by_typed_key_and_by_name) {
  Connection c;
  c.established_tcp();
  const Address there = c.transport->get_extra_info(peername);
  BOOST_TEST(to_string(there) == to_string(c.peer.getsockname()));
  BOOST_TEST(to_string(c.transport->get_extra_info(asyncio::peername), "_") ==
             "127.0.0.1_" + std::to_string(there.port()));
  BOOST_TEST(to_string(c.transport->get_extra_info(sockname)) == to_string(c.peer.getpeername()));
  BOOST_TEST((std::any_cast<Address>(c.transport->get_extra_info("peername")) == there));
  BOOST_TEST(!c.transport->get_extra_info("cipher").has_value());
  BOOST_TEST((c.transport->get_extra_info(ExtraInfoKey<int>{"cipher"}, 5) == 5));
  BOOST_TEST(c.transport->get_extra_info(asyncio::socket).fileno() >= 0);
  c.transport->close();
  c.pass();
  BOOST_TEST((c.transport->get_extra_info(peername) == there));
  BOOST_TEST(c.transport->get_extra_info(asyncio::socket).fileno() == -1);
}

BOOST_AUTO_TEST_CASE(the_repr_tells_the_state) {
  Connection c;
  c.established();
  const std::string fd = std::to_string(c.transport->get_extra_info(asyncio::socket).fileno());
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport fd=" + fd + " read=polling write=<idle, bufsize=0>>");
  c.transport->pause_reading();
  c.write_until_buffered();
  const std::string size = std::to_string(c.transport->get_write_buffer_size());
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport fd=" + fd + " read=idle write=<polling, bufsize=" + size + ">>");
  c.transport->abort();
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport closing fd=" + fd + " read=idle write=<idle, bufsize=0>>");
  c.pass();
  BOOST_TEST(to_string(*c.transport) == "<StreamTransport closed fd=" + fd + ">");
}

BOOST_AUTO_TEST_CASE(debug_mode_logs_what_happens) {
  get_logger("asyncio").set_level(LogLevel::debug);
  {
    const CapturedLog log;
    Connection c;
    c.loop.set_debug(true);
    c.established_tcp();
    c.transport->pause_reading();
    c.transport->resume_reading();
    c.peer.close();
    c.run_until([&] { return c.protocol->lost(); });
    const auto logged = [&](const std::string& what) {
      for (const std::string& line : log.lines)
        if (line.find(what) != std::string::npos) return true;
      return false;
    };
    BOOST_TEST(logged("pauses reading"));
    BOOST_TEST(logged("resumes reading"));
    BOOST_TEST(logged("received EOF"));
  }
  get_logger("asyncio").set_level(LogLevel::notset);
}

BOOST_AUTO_TEST_SUITE_END()
