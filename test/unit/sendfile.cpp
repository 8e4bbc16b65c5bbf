// SPDX-License-Identifier: BSL-1.0
// sendfile and sock_sendfile (surface SK9, rules 200-202).
#include <asyncio/event_loop.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "on_virtual_time.hpp"
#include "socket_helpers.hpp"

using namespace on_virtual_time;
using namespace socket_tests;

namespace {

std::string numbers(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

/// An open file.
class File {
 public:
  explicit File(std::FILE* file) : file_(file) {}
  /// Of that content, somewhere.
  explicit File(const std::string& content) : file_(std::tmpfile()) {
    std::fwrite(content.data(), 1, content.size(), file_);
    std::rewind(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (file_) std::fclose(file_);
  }
  operator std::FILE*() const { return file_; }
  long tell() const { return std::ftell(file_); }

 private:
  std::FILE* file_;
};

/// The reading end of a pipe that holds this; no kernel sends it to a socket of ours as a file.
std::FILE* pipe_with(const std::string& content) {
  int ends[2];
  BOOST_TEST_REQUIRE(::pipe(ends) == 0);
  BOOST_TEST(::write(ends[1], content.data(), content.size()) ==
             static_cast<ssize_t>(content.size()));
  ::close(ends[1]);
  return ::fdopen(ends[0], "rb");
}

/// Notes what it is told.
struct Recorder : Protocol {
  void data_received(BytesView data) override { log += data.str() + " "; }
  void pause_writing() override { log += "pause "; }
  void resume_writing() override { log += "resume "; }
  bool eof_received() override {
    log += "eof ";
    return true;
  }
  void connection_lost(std::exception_ptr error) override { log += "lost " + repr(error) + " "; }
  std::string log;
};

/// A transport and the socket at its other end.
struct Connection {
  Connection() {
    Socket mine;
    std::tie(mine, peer) = Socket::pair();
    const auto factory = [] { return std::make_shared<Recorder>(); };
    std::tie(transport, protocol) =
        loop.run_until_complete(loop.create_unix_connection(factory, {.sock = &mine}));
  }

  template <class T>
  T get(Coroutine<T> coroutine) {
    return loop.run_until_complete(std::move(coroutine));
  }
  template <class T>
  std::string error(Coroutine<T> coroutine) {
    return loop.run_until_complete(ending(std::move(coroutine))).what();
  }
  /// Everything that is sent until the task is done.
  template <class T>
  Bytes received(const Task<T>& task) {
    Bytes data;
    for (bool last = false; !last;) {
      last = task.done();
      loop.pass(1);
      data += read_all();
    }
    return data;
  }
  Bytes read_all() {
    Bytes data;
    try {
      for (;;) {
        const Bytes piece = peer.recv(65536);
        if (piece.empty()) return data;
        data += piece;
      }
    } catch (const BlockingIOError&) {
    }
    return data;
  }
  /// So that a large file surely has to wait.
  void small_buffer() const {
    transport->get_extra_info(asyncio::socket).setsockopt(SOL_SOCKET, SO_SNDBUF, 4096);
  }

  NoDescriptorLeft check;
  Socket peer;
  Loop loop;
  std::shared_ptr<Transport> transport;
  std::shared_ptr<Recorder> protocol;
};

struct Pair {
  Pair() { std::tie(a, b) = Socket::pair(); }

  template <class T>
  std::string error(Coroutine<T> coroutine) {
    return loop.run_until_complete(ending(std::move(coroutine))).what();
  }
  std::uint64_t send(std::FILE* file, SendfileOptions options = {}) {
    return loop.run_until_complete(loop.sock_sendfile(a, file, options));
  }

  NoDescriptorLeft check;
  Socket a, b;
  Loop loop;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sendfile_tests)

// -- sock_sendfile

BOOST_FIXTURE_TEST_CASE(a_file_is_sent_and_then_stands_at_its_end, Pair) {
  const File file("content");
  BOOST_TEST(send(file, {.fallback = false}) == 7);
  BOOST_TEST(b.recv(100) == "content");
  BOOST_TEST(file.tell() == 7);
}

BOOST_FIXTURE_TEST_CASE(a_part_of_a_file_is_sent, Pair) {
  const File file("0123456789");
  BOOST_TEST(send(file, {.offset = 2, .count = 3, .fallback = false}) == 3);
  BOOST_TEST(b.recv(100) == "234");
  BOOST_TEST(file.tell() == 5);
  BOOST_TEST(send(file, {.offset = 8, .fallback = false}) == 2);
  BOOST_TEST(b.recv(100) == "89");
  BOOST_TEST(send(file, {.offset = 8, .count = 100, .fallback = false}) == 2);
  BOOST_TEST(b.recv(100) == "89");
  BOOST_TEST(file.tell() == 10);
}

BOOST_FIXTURE_TEST_CASE(an_empty_file_is_sent_without_a_pass, Pair) {
  const File file("");
  const Ending end = loop.run_until_complete(ending(loop.sock_sendfile(a, file)));
  BOOST_TEST(end.what() == "None");
  BOOST_TEST(end.passes == 0);
  BOOST_TEST(file.tell() == 0);
}

BOOST_FIXTURE_TEST_CASE(r201_the_end_of_the_file_is_noticed_one_readiness_later, Pair) {
  const File file("content");
  BOOST_TEST(loop.run_until_complete(ending(loop.sock_sendfile(a, file))).passes == 2);
}

BOOST_FIXTURE_TEST_CASE(a_file_goes_between_other_data, Pair) {
  const File file("file");
  const auto body = [&]() -> Coroutine<> {
    co_await loop.sock_sendall(a, "before ");
    co_await loop.sock_sendfile(a, file);
    co_await loop.sock_sendall(a, " after");
  };
  loop.run_until_complete(body());
  BOOST_TEST(b.recv(100) == "before file after");
}

BOOST_FIXTURE_TEST_CASE(what_the_kernel_does_not_take_for_a_file_is_copied, Pair) {
  const std::string content = numbers(50'000);
  const File pipe(pipe_with(content));
  BOOST_TEST(send(pipe) == content.size());
  BOOST_TEST((b.recv(100'000) == content));

  std::string memory = "0123456789";
  const File in_memory(::fmemopen(memory.data(), memory.size(), "rb"));
  BOOST_TEST(send(in_memory, {.offset = 2, .count = 5}) == 5);
  BOOST_TEST(b.recv(100) == "23456");
  BOOST_TEST(in_memory.tell() == 7);
  BOOST_TEST(send(in_memory) == 3);  // copied, offset 0 is where the file stands
  BOOST_TEST(in_memory.tell() == 10);
}

BOOST_FIXTURE_TEST_CASE(without_fallback_only_the_kernel_copies, Pair) {
  const File pipe(pipe_with("content"));
  BOOST_TEST(error(loop.sock_sendfile(a, pipe, {.fallback = false})) ==
             "SendfileNotAvailableError('not a regular file')");
  const File file("content");
  b.close();
  BOOST_TEST(error(loop.sock_sendfile(a, file, {.fallback = false})) ==
             "SendfileNotAvailableError('os.sendfile call failed')");
  BOOST_TEST(file.tell() == 0);
}

BOOST_FIXTURE_TEST_CASE(r200_wrong_arguments_are_refused, Pair) {
  const File file("content");
  BOOST_TEST(error(loop.sock_sendfile(a, file, {.offset = -1})) ==
             "ValueError('offset must be a non-negative integer (got -1)')");
  BOOST_TEST(error(loop.sock_sendfile(a, file, {.count = 0})) ==
             "ValueError('count must be a positive integer (got 0)')");
  BOOST_TEST(error(loop.sock_sendfile(a, file, {.count = -1})) ==
             "ValueError('count must be a positive integer (got -1)')");
  BOOST_TEST(error(loop.sock_sendfile(a, nullptr)) ==
             "TypeError('a file was expected, got a null pointer')");
  const Socket datagrams(AF_INET, SOCK_DGRAM);
  BOOST_TEST(error(loop.sock_sendfile(datagrams, file)) ==
             "ValueError('only SOCK_STREAM type sockets are supported')");
}

BOOST_FIXTURE_TEST_CASE(only_debug_mode_asks_whether_the_socket_blocks, Pair) {
  const File file("content");
  ::fcntl(a.fileno(), F_SETFL, 0);
  BOOST_TEST(send(file, {.count = 7}) == 7);
  loop.set_debug(true);
  BOOST_TEST(error(loop.sock_sendfile(a, file)) == "ValueError('the socket must be non-blocking')");
}

BOOST_FIXTURE_TEST_CASE(a_lost_connection_is_an_error_and_no_signal, Pair) {
  const std::string content = numbers(3'000'000);
  const File file(content);
  const auto sending = loop.create_task(loop.sock_sendfile(a, file));
  loop.pass();
  BOOST_TEST_REQUIRE(!sending.done());
  b.close();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "BrokenPipeError(32, 'Broken pipe')");
  BOOST_TEST(file.tell() > 0);
  BOOST_TEST(file.tell() < static_cast<long>(content.size()));
  // The first call fails, then the copy.
  BOOST_TEST(error(loop.sock_sendfile(a, file)) == "BrokenPipeError(32, 'Broken pipe')");
  sigset_t pending;
  sigpending(&pending);
  BOOST_TEST(!sigismember(&pending, SIGPIPE));
}

BOOST_FIXTURE_TEST_CASE(cancelled_the_file_stands_behind_what_was_sent, Pair) {
  const std::string content = numbers(3'000'000);
  const File file(content);
  const auto sending = loop.create_task(loop.sock_sendfile(a, file));
  loop.pass();
  sending.cancel();
  loop.pass();
  BOOST_TEST(sending.cancelled());
  BOOST_TEST(!loop.remove_writer(a));
  a.shutdown(SHUT_WR);
  std::string received;
  for (;;) {
    const Bytes piece = b.recv(65536);
    if (piece.empty()) break;
    received += piece;
  }
  BOOST_TEST(received.size() == static_cast<std::size_t>(file.tell()));
  BOOST_TEST((content.substr(0, received.size()) == received));
}

// -- sendfile

BOOST_FIXTURE_TEST_CASE(a_transport_sends_a_file_between_what_is_written, Connection) {
  const File file("file");
  transport->write("before ");
  BOOST_TEST(get(loop.sendfile(transport, file, {.fallback = false})) == 4);
  transport->write(" after");
  BOOST_TEST(read_all() == "before file after");
  BOOST_TEST(file.tell() == 4);
}

BOOST_FIXTURE_TEST_CASE(a_part_of_a_file_is_sent_through_a_transport, Connection) {
  small_buffer();
  const std::string content = numbers(500'000);
  const File file(content);
  const auto sending =
      loop.create_task(loop.sendfile(transport, file, {.offset = 1000, .count = 400'000}));
  const Bytes data = received(sending);
  BOOST_TEST((data == content.substr(1000, 400'000)));
  BOOST_TEST(sending.result() == 400'000);
  BOOST_TEST(file.tell() == 401'000);
}

BOOST_FIXTURE_TEST_CASE(the_peer_closes_when_it_has_the_file, Connection) {
  const File file("content");
  const auto sending = loop.create_task(loop.sendfile(transport, file));
  loop.pass(1);
  BOOST_TEST(!sending.done());
  BOOST_TEST(peer.recv(100) == "content");
  peer.close();
  BOOST_TEST(loop.run_until_complete(sending) == 7);
  loop.pass();
  BOOST_TEST(protocol->log == "eof ");
  transport->close();
  loop.pass();
}

BOOST_FIXTURE_TEST_CASE(r201_what_was_buffered_goes_first, Connection) {
  small_buffer();
  const std::string before = numbers(500'000), content = numbers(700'000);
  const File file(content);
  transport->write(before);
  BOOST_TEST(transport->get_write_buffer_size() > 0);
  const auto sending = loop.create_task(loop.sendfile(transport, file, {.fallback = false}));
  const Bytes data = received(sending);
  BOOST_TEST((data == before + content));
  BOOST_TEST(sending.result() == content.size());
  BOOST_TEST(protocol->log == "pause resume ");
}

BOOST_FIXTURE_TEST_CASE(r201_meanwhile_nobody_writes_and_nothing_is_read, Connection) {
  small_buffer();
  const File file(numbers(500'000));
  const auto sending = loop.create_task(loop.sendfile(transport, file));
  loop.pass();
  BOOST_TEST(thrown_by([&] { transport->write("x"); }) ==
             "RuntimeError('unable to write; sendfile is in progress')");
  BOOST_TEST(thrown_by([&] {
               transport->writelines({"x", "y"});
             }) == "RuntimeError('unable to writelines; sendfile is in progress')");
  BOOST_TEST(error(loop.sendfile(transport, file)) ==
             "RuntimeError('Empty waiter is already set')");
  peer.send("data");
  loop.pass();
  BOOST_TEST(!transport->is_reading());
  BOOST_TEST(protocol->log == "");
  received(sending);
  loop.pass();
  BOOST_TEST(transport->is_reading());
  BOOST_TEST(protocol->log == "data ");
  transport->write("x");
  BOOST_TEST(read_all() == "x");
}

BOOST_FIXTURE_TEST_CASE(reading_that_was_paused_before_stays_so, Connection) {
  transport->pause_reading();
  const File file("content");
  get(loop.sendfile(transport, file));
  BOOST_TEST(!transport->is_reading());
  transport->close();
  loop.pass();
}

BOOST_FIXTURE_TEST_CASE(a_closing_transport_sends_no_file, Connection) {
  const File file("content");
  transport->close();
  BOOST_TEST(error(loop.sendfile(transport, file)) == "RuntimeError('Transport is closing')");
}

BOOST_FIXTURE_TEST_CASE(a_transport_that_knows_nothing_of_files_is_refused, Connection) {
  struct Other : Transport {
    void close() override {}
    bool is_closing() const override { return false; }
    std::any get_extra_info(std::string_view) const override { return {}; }
    void set_protocol(std::shared_ptr<BaseProtocol>) override {}
    std::shared_ptr<BaseProtocol> get_protocol() const override { return nullptr; }
    std::string repr() const override { return "<Other>"; }
    bool is_reading() const override { return true; }
    void pause_reading() override {}
    void resume_reading() override {}
    void write(BytesView) override {}
    void writelines(std::span<const BytesView>) override {}
    void write_eof() override {}
    bool can_write_eof() const override { return false; }
    void abort() override {}
    std::size_t get_write_buffer_size() const override { return 0; }
    std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override { return {}; }
    void set_write_buffer_limits(WriteBufferLimits) override {}
  };
  const File file("content");
  BOOST_TEST(error(loop.sendfile(std::make_shared<Other>(), file)) ==
             "RuntimeError('sendfile is not supported for transport <Other>')");
  BOOST_TEST(file.tell() == 0);
}

BOOST_FIXTURE_TEST_CASE(the_peer_goes_in_the_middle, Connection) {
  small_buffer();
  const File file(numbers(3'000'000));
  const auto sending = loop.create_task(loop.sendfile(transport, file, {.fallback = false}));
  loop.pass();
  peer.close();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "BrokenPipeError(32, 'Broken pipe')");
  BOOST_TEST(file.tell() > 0);
  loop.pass();
  // Reading goes on, and tells the rest: what was sent is unread.
  BOOST_TEST(protocol->log == "lost ConnectionResetError(104, 'Connection reset by peer') ");
}

BOOST_FIXTURE_TEST_CASE(a_transport_that_is_closed_in_the_middle_ends_it, Connection) {
  small_buffer();
  const File file(numbers(3'000'000));
  const auto sending = loop.create_task(loop.sendfile(transport, file));
  loop.pass();
  transport->abort();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "ConnectionError('Connection is closed by peer')");
  BOOST_TEST(protocol->log == "lost None ");
}

BOOST_FIXTURE_TEST_CASE(a_transport_that_is_closed_before_its_turn_ends_it, Connection) {
  small_buffer();
  const File file("content");
  transport->write(numbers(500'000));
  const auto sending = loop.create_task(loop.sendfile(transport, file));
  loop.pass();
  transport->abort();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "ConnectionError('Connection is closed by peer')");
  BOOST_TEST(file.tell() == 0);
}

BOOST_FIXTURE_TEST_CASE(cancelled_the_transport_goes_on, Connection) {
  small_buffer();
  const std::string content = numbers(3'000'000);
  const File file(content);
  const auto sending = loop.create_task(loop.sendfile(transport, file));
  loop.pass();
  sending.cancel();
  loop.pass();
  BOOST_TEST(sending.cancelled());
  const Bytes sent = read_all();
  BOOST_TEST(static_cast<std::size_t>(file.tell()) == sent.size());
  BOOST_TEST(transport->is_reading());
  transport->write("after");
  loop.pass();
  BOOST_TEST(read_all() == "after");
}

// -- copied into a transport (rule 202)

BOOST_FIXTURE_TEST_CASE(r202_a_pipe_is_copied_with_flow_control, Connection) {
  small_buffer();
  const std::string before = numbers(100'000), content = numbers(60'000);
  const File pipe(pipe_with(content));
  transport->write(before);
  BOOST_TEST(protocol->log == "pause ");
  peer.send("held");
  const auto sending = loop.create_task(loop.sendfile(transport, pipe));
  Bytes data = received(sending);
  BOOST_TEST(sending.result() == content.size());
  while (transport->get_write_buffer_size() != 0) {
    loop.pass(1);
    data += read_all();
  }
  BOOST_TEST((data == before + content));
  loop.pass();
  BOOST_TEST(transport->get_protocol() == protocol);
  BOOST_TEST((protocol->log == "pause resume held " || protocol->log == "pause held resume "));
}

BOOST_FIXTURE_TEST_CASE(r202_without_fallback_nothing_is_copied_and_the_transport_goes_on,
                        Connection) {
  const File pipe(pipe_with("content"));
  BOOST_TEST(error(loop.sendfile(transport, pipe, {.fallback = false})) ==
             "SendfileNotAvailableError('not a regular file')");
  transport->write("after");
  BOOST_TEST(read_all() == "after");
  BOOST_TEST(transport->is_reading());
}

BOOST_FIXTURE_TEST_CASE(r202_the_protocol_learns_that_writing_is_paused, Connection) {
  small_buffer();
  transport->set_write_buffer_limits({.high = 0});
  const File pipe(pipe_with(numbers(15'000)));
  BOOST_TEST(get(loop.sendfile(transport, pipe)) == 15'000);  // one block, and nobody reads
  BOOST_TEST(protocol->log == "pause ");
  while (protocol->log == "pause ") {
    read_all();
    loop.pass(1);
  }
  BOOST_TEST(protocol->log == "pause resume ");
}

BOOST_FIXTURE_TEST_CASE(r202_a_connection_lost_while_it_is_copied, Connection) {
  small_buffer();
  transport->set_write_buffer_limits({.high = 1000});
  const File pipe(pipe_with(numbers(60'000)));
  const auto sending = loop.create_task(loop.sendfile(transport, pipe));
  while (transport->get_write_buffer_size() == 0) loop.pass(1);
  transport->abort();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "ConnectionError('Connection closed by peer')");
  BOOST_TEST(protocol->log == "lost None ");
}

BOOST_FIXTURE_TEST_CASE(r202_a_connection_lost_while_it_waits_to_write, Connection) {
  small_buffer();
  transport->set_write_buffer_limits({.high = 1000});
  loop.set_default_executor(
      std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1}));
  const File pipe(pipe_with(numbers(60'000)));
  const auto sending = loop.create_task(loop.sendfile(transport, pipe));
  while (transport->get_write_buffer_size() == 0) loop.pass(1);
  loop.run_until_complete(loop.run_in_executor(nullptr, [] {}));  // behind the next block
  loop.pass();
  transport->abort();
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "ConnectionError('Connection is closed by peer')");
}

BOOST_FIXTURE_TEST_CASE(r202_a_connection_lost_while_a_block_is_read, Connection) {
  int ends[2];
  BOOST_TEST_REQUIRE(::pipe(ends) == 0);
  const File pipe(::fdopen(ends[0], "rb"));
  const auto sending = loop.create_task(loop.sendfile(transport, pipe));
  loop.pass(2);
  transport->abort();
  loop.pass(2);
  BOOST_TEST(::write(ends[1], "x", 1) == 1);
  ::close(ends[1]);
  BOOST_TEST(thrown_by([&] { loop.run_until_complete(sending); }) ==
             "ConnectionError('Connection closed by peer')");
}

BOOST_FIXTURE_TEST_CASE(r202_cancelled_the_protocol_is_in_its_place_again, Connection) {
  small_buffer();
  transport->set_write_buffer_limits({.high = 1000});
  const File pipe(pipe_with(numbers(60'000)));
  const auto sending = loop.create_task(loop.sendfile(transport, pipe));
  while (transport->get_write_buffer_size() == 0) loop.pass(1);
  sending.cancel();
  loop.pass();
  BOOST_TEST(sending.cancelled());
  BOOST_TEST(transport->get_protocol() == protocol);
  BOOST_TEST(protocol->log == "pause ");
  BOOST_TEST(transport->is_reading());
}

BOOST_FIXTURE_TEST_CASE(r200_a_file_of_proc_says_that_it_is_empty, Connection) {
  const File file(std::fopen("/proc/self/stat", "rb"));
  const auto sending = loop.create_task(loop.sendfile(transport, file, {.count = 4}));
  BOOST_TEST(received(sending).size() == 4u);
}

BOOST_AUTO_TEST_SUITE_END()
