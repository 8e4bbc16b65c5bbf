// SPDX-License-Identifier: BSL-1.0
// connect_read_pipe and connect_write_pipe over real pipes, rule by rule (surface B18).
#include <asyncio/pipes.hpp>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/protocols.hpp>

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

struct CapturedLog {
  Events lines;
  CapturedLog() {
    set_log_sink([this](const LogRecord& record) {
      lines.push_back(std::string(level_name(record.level)) + ":" + std::string(record.message));
    });
  }
  ~CapturedLog() { set_log_sink({}); }
};

/// A loop with a transport at one end of a pipe, the other end being the test's.
struct Pipe {
  EventLoop loop;
  Events reports;
  std::shared_ptr<Recorder> protocol = std::make_shared<Recorder>();
  std::shared_ptr<Transport> transport;
  FileDescriptor other;

  Pipe() {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + ' ' + repr(context.exception));
    });
  }
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

  /// Exactly so many passes, each with a look at the kernel (rule 18).
  void pass(int count = 1) {
    while (count-- > 0) {
      loop.stop();
      loop.run_forever();
    }
  }
  template <class Done>
  void run_until(Done done) {
    for (int i = 0; i < 100'000; ++i) {
      if (done()) return;
      pass();
    }
    BOOST_FAIL("it never happens");
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

template <class F>
std::string thrown_by(F f) {
  try {
    f();
  } catch (...) {
    return repr(std::current_exception());
  }
  return "None";
}

/// Every call that opens a descriptor takes the lowest free number: the same one, if nothing leaks.
int next_descriptor() {
  auto [in, out] = FileDescriptor::pipe();
  return out.fileno();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pipes_tests)

// -- FileDescriptor

BOOST_AUTO_TEST_CASE(a_descriptor_is_closed_with_its_owner_unless_given_away) {
  const int before = next_descriptor();
  {
    auto [in, out] = FileDescriptor::pipe();
    FileDescriptor moved = std::move(in);
    BOOST_TEST(!in);
    BOOST_TEST(in.fileno() == -1);
    BOOST_TEST(moved.fileno() >= 0);
    FileDescriptor adopted(out.detach());
    BOOST_TEST(!out);
    adopted = std::move(moved);
    BOOST_TEST(bool(adopted));
    adopted.close();
    adopted.close();
    BOOST_TEST(!adopted);
  }
  BOOST_TEST(next_descriptor() == before);
  static_assert(!std::is_copy_constructible_v<FileDescriptor>);
}

BOOST_AUTO_TEST_CASE(pipes_are_not_inherited) {
  auto [in, out] = FileDescriptor::pipe();
  BOOST_TEST(::fcntl(in.fileno(), F_GETFD) == FD_CLOEXEC);
  BOOST_TEST(::fcntl(out.fileno(), F_GETFD) == FD_CLOEXEC);
}

// -- opening

BOOST_FIXTURE_TEST_CASE(r177_only_pipes_sockets_and_character_devices, Pipe) {
  char path[] = "/tmp/asyncio_pipes_XXXXXX";
  const int before = next_descriptor();
  FileDescriptor file(::mkstemp(path));
  ::unlink(path);
  BOOST_REQUIRE(file.fileno() >= 0);
  FileDescriptor again(::dup(file.fileno()));
  BOOST_TEST(thrown_by([&] {
               loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(file)));
             }) == "ValueError('Pipe transport is for pipes/sockets only.')");
  BOOST_TEST(
      thrown_by([&] {
        loop.run_until_complete(loop.connect_write_pipe(factory(), std::move(again)));
      }) == "ValueError('Pipe transport is only for pipes, sockets and character devices')");
  BOOST_TEST(next_descriptor() == before);
  BOOST_TEST(protocol->events == Events{});
}

BOOST_FIXTURE_TEST_CASE(a_closed_descriptor_is_an_os_error, Pipe) {
  BOOST_TEST(thrown_by([&] {
               loop.run_until_complete(loop.connect_read_pipe(factory(), FileDescriptor()));
             }) == "OSError(9, 'Bad file descriptor')");
}

BOOST_FIXTURE_TEST_CASE(the_protocol_must_be_of_the_right_kind, Pipe) {
  const auto thrown = [&]<class P>(std::type_identity<P>, bool to_read) {
    auto [in, out] = FileDescriptor::pipe();
    const auto make = [] { return std::make_shared<P>(); };
    return thrown_by([&] {
      if (to_read)
        loop.run_until_complete(loop.connect_read_pipe(make, std::move(in)));
      else
        loop.run_until_complete(loop.connect_write_pipe(make, std::move(out)));
    });
  };
  BOOST_TEST(thrown(std::type_identity<OnlyBuffered>(), true) ==
             "TypeError('a Protocol was expected, got OnlyBuffered')");
  BOOST_TEST(thrown(std::type_identity<Neither>(), true) ==
             "TypeError('a Protocol was expected, got Neither')");
  BOOST_TEST(thrown(std::type_identity<OnlyBuffered>(), false) == "None");
  BOOST_TEST(thrown(std::type_identity<Neither>(), false) ==
             "TypeError('a Protocol or BufferedProtocol was expected, got Neither')");
}

BOOST_FIXTURE_TEST_CASE(connecting_takes_two_passes_and_the_protocol_keeps_its_type, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  other = std::move(out);
  auto task = loop.create_task(loop.connect_read_pipe(factory(), std::move(in)));
  pass();
  BOOST_TEST(protocol->events == Events{});
  pass();
  BOOST_TEST(protocol->events == Events{"made"});
  BOOST_TEST(!task.done());
  pass();
  BOOST_REQUIRE(task.done());
  const auto [read_transport, same] = task.result();
  static_assert(std::is_same_v<decltype(same), const std::shared_ptr<Recorder>>);
  static_assert(std::is_same_v<decltype(read_transport), const std::shared_ptr<ReadTransport>>);
  BOOST_TEST(same == protocol);
  BOOST_TEST(read_transport == protocol->transport);
}

BOOST_FIXTURE_TEST_CASE(cancelled_while_connecting_it_is_closed, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  const int number = in.fileno();
  auto task = loop.create_task(loop.connect_read_pipe(factory(), std::move(in)));
  pass(2);
  task.cancel();
  pass(3);
  BOOST_TEST(task.cancelled());
  BOOST_TEST((protocol->events == Events{"made", "lost None"}));
  BOOST_TEST(::fcntl(number, F_GETFD) == -1);
}

BOOST_FIXTURE_TEST_CASE(tr38_the_descriptor_is_known_as_pipe, Pipe) {
  reading();
  const int number = transport->get_extra_info(asyncio::pipe, -1);
  BOOST_TEST((::fcntl(number, F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST(to_string(*transport) ==
             "<ReadPipeTransport fd=" + std::to_string(number) + " polling>");
  transport->close();
  BOOST_TEST(to_string(*transport) ==
             "<ReadPipeTransport closing fd=" + std::to_string(number) + " idle>");
  pass();
  BOOST_TEST(to_string(*transport) ==
             "<ReadPipeTransport closed fd=" + std::to_string(number) + ">");
}

// -- reading

BOOST_FIXTURE_TEST_CASE(r178_data_then_eof_then_lost_each_in_its_turn, Pipe) {
  reading();
  send("one");
  run_until([&] { return protocol->data == "one"; });
  send("two");
  run_until([&] { return protocol->data == "onetwo"; });
  other.close();
  run_until([&] { return protocol->lost(); });
  // What eof_received returns does not matter.
  BOOST_TEST((protocol->events == Events{"data one", "data two", "eof", "lost None"}));
  BOOST_TEST(transport->is_closing());
  BOOST_TEST(!transport->get_protocol());
}

BOOST_FIXTURE_TEST_CASE(r178_at_the_end_eof_and_lost_come_in_the_following_pass, Pipe) {
  reading();
  other.close();
  run_until([&] { return transport->is_closing(); });
  BOOST_TEST(protocol->events == Events{});
  pass();
  BOOST_TEST((protocol->events == Events{"eof", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(r178_an_exception_of_data_received_is_reported_and_reading_goes_on, Pipe) {
  reading();
  protocol->on_data = [] { throw ValueError("no"); };
  send("1");
  run_until([&] { return protocol->data == "1"; });
  BOOST_TEST(reports ==
             Events{"Exception in callback ReadPipeTransport::ready() ValueError('no')"});
  protocol->on_data = nullptr;
  send("2");
  run_until([&] { return protocol->data == "12"; });
  BOOST_TEST(!transport->is_closing());
}

BOOST_FIXTURE_TEST_CASE(r178_read_errors_are_reported_and_end_it, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(out)));  // cannot be read
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"made", "lost OSError"}));
  BOOST_TEST(reports ==
             Events{"Fatal read error on pipe transport OSError(9, 'Bad file descriptor')"});
}

BOOST_FIXTURE_TEST_CASE(r178_the_end_of_a_terminal_is_not_reported, Pipe) {
  FileDescriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  BOOST_REQUIRE(master.fileno() >= 0);
  BOOST_REQUIRE(::grantpt(master.fileno()) == 0);
  BOOST_REQUIRE(::unlockpt(master.fileno()) == 0);
  FileDescriptor slave(::open(::ptsname(master.fileno()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  BOOST_REQUIRE(slave.fileno() >= 0);
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(master)));
  other = std::move(slave);
  send("hello");
  run_until([&] { return protocol->data == "hello"; });
  other.close();
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"made", "data hello", "lost OSError"}));
  BOOST_TEST(reports == Events{});
}

BOOST_FIXTURE_TEST_CASE(pausing_keeps_the_data_in_the_pipe, Pipe) {
  reading();
  BOOST_TEST(transport->is_reading());
  transport->pause_reading();
  transport->pause_reading();
  BOOST_TEST(!transport->is_reading());
  send("later");
  other.close();
  pass(5);
  BOOST_TEST(protocol->events == Events{});
  transport->resume_reading();
  transport->resume_reading();
  pass();
  BOOST_TEST(protocol->events == Events{"data later"});
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"data later", "eof", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(paused_in_connection_made_nothing_is_read, Pipe) {
  protocol->on_made = [&] { protocol->transport->pause_reading(); };
  auto [in, out] = FileDescriptor::pipe();
  other = std::move(out);
  send("x");
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(in)));
  pass(3);
  BOOST_TEST(protocol->events == Events{"made"});
  protocol->transport->resume_reading();
  pass();
  BOOST_TEST((protocol->events == Events{"made", "data x"}));
}

BOOST_FIXTURE_TEST_CASE(data_in_the_pipe_comes_in_the_pass_in_which_connecting_completes, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  other = std::move(out);
  send("x");
  auto task = loop.create_task(loop.connect_read_pipe(factory(), std::move(in)));
  pass(2);
  BOOST_TEST(protocol->events == Events{"made"});
  pass();
  BOOST_TEST(task.done());
  BOOST_TEST((protocol->events == Events{"made", "data x"}));
}

BOOST_FIXTURE_TEST_CASE(pausing_stops_the_read_that_this_pass_would_make, Pipe) {
  reading();
  pass(2);
  send("x");
  loop.call_soon([&] { transport->pause_reading(); });
  pass(3);
  BOOST_TEST(protocol->events == Events{});
}

BOOST_FIXTURE_TEST_CASE(closing_the_read_end_drops_what_is_in_the_pipe, Pipe) {
  reading();
  send("never read");
  transport->close();
  transport->close();
  transport->pause_reading();
  transport->resume_reading();
  BOOST_TEST(!transport->is_reading());
  BOOST_TEST(transport->is_closing());
  BOOST_TEST(protocol->events == Events{});
  pass();
  BOOST_TEST(protocol->events == Events{"lost None"});
  pass(2);
  BOOST_TEST(protocol->events.size() == 1u);
  transport->close();
  transport->resume_reading();
}

BOOST_FIXTURE_TEST_CASE(the_read_end_cannot_write, Pipe) {
  reading();
  BOOST_TEST(!transport->can_write_eof());
  BOOST_TEST(transport->get_write_buffer_size() == 0u);
  BOOST_TEST(thrown_by([&] { transport->write("x"); }) == "NotImplementedError()");
  BOOST_TEST(thrown_by([&] { transport->writelines({"x"}); }) == "NotImplementedError()");
  BOOST_TEST(thrown_by([&] { transport->write_eof(); }) == "NotImplementedError()");
  BOOST_TEST(thrown_by([&] { transport->set_write_buffer_limits(); }) == "NotImplementedError()");
}

BOOST_FIXTURE_TEST_CASE(another_protocol_gets_what_comes_next, Pipe) {
  reading();
  const auto second = std::make_shared<Recorder>();
  protocol->on_data = [&] { transport->set_protocol(second); };
  send("1");
  run_until([&] { return protocol->data == "1"; });
  protocol->on_data = nullptr;
  BOOST_TEST(transport->get_protocol() == second);
  send("2");
  run_until([&] { return second->data == "2"; });
  BOOST_TEST(thrown_by([&] { transport->set_protocol(std::make_shared<OnlyBuffered>()); }) ==
             "TypeError('a Protocol was expected, got OnlyBuffered')");
  other.close();
  run_until([&] { return second->lost(); });
  BOOST_TEST(protocol->events == Events{"data 1"});
}

BOOST_FIXTURE_TEST_CASE(system_exit_in_data_received_leaves_the_loop_and_loses_nothing, Pipe) {
  reading();
  protocol->on_data = [] { throw SystemExit(3); };
  send("1");
  BOOST_CHECK_THROW(loop.run_forever(), SystemExit);
  protocol->on_data = nullptr;
  send("2");
  run_until([&] { return protocol->data == "12"; });
}

BOOST_FIXTURE_TEST_CASE(a_device_that_epoll_does_not_know_is_read_all_the_same, Pipe) {
  FileDescriptor device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(device)));
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"made", "eof", "lost None"}));
}

// -- writing

BOOST_FIXTURE_TEST_CASE(r179_writes_at_once_while_the_buffer_is_empty, Pipe) {
  writing();
  transport->write("ab");
  transport->write("");
  transport->writelines({"cd", "", "ef"});
  BOOST_TEST(received() == "abcdef");
  BOOST_TEST(transport->get_write_buffer_size() == 0u);
  BOOST_TEST(transport->can_write_eof());
  BOOST_TEST(!transport->is_reading());
  BOOST_TEST(thrown_by([&] { transport->pause_reading(); }) == "NotImplementedError()");
}

BOOST_FIXTURE_TEST_CASE(r179_what_the_pipe_does_not_take_is_buffered_and_follows_in_order, Pipe) {
  writing();
  std::string all(300'000, '\0');
  for (std::size_t i = 0; i != all.size(); ++i) all[i] = static_cast<char>(i * i >> 5);
  transport->write(BytesView(all).subview(0, 100'000));
  const std::size_t waiting = transport->get_write_buffer_size();
  BOOST_TEST(waiting > 0u);
  transport->write(BytesView(all).subview(100'000, 50'000));
  BOOST_TEST(transport->get_write_buffer_size() == waiting + 50'000);
  transport->writelines({BytesView(all).subview(150'000, 100'000), BytesView(all).subview(250'000)});
  BOOST_TEST(to_string(*transport).find(
                 " polling bufsize=" + std::to_string(transport->get_write_buffer_size()) + ">") !=
             std::string::npos);
  std::string got;
  run_until([&] {
    got += received();
    return transport->get_write_buffer_size() == 0;
  });
  got += received();
  BOOST_TEST((got == all));
}

BOOST_FIXTURE_TEST_CASE(pauses_above_the_high_mark_and_resumes_when_all_is_written, Pipe) {
  writing();
  transport->set_write_buffer_limits({.high = 100'000, .low = 90'000});
  BOOST_TEST((transport->get_write_buffer_limits() == std::pair<std::size_t, std::size_t>(
                                                          90'000, 100'000)));
  fill();
  BOOST_TEST(protocol->events == Events{});
  transport->write(std::string(100'000, 'x'));
  BOOST_TEST(protocol->events == Events{"pause"});
  std::size_t at_resume = 1;
  protocol->on_resume = [&] { at_resume = transport->get_write_buffer_size(); };
  run_until([&] {
    received();
    return protocol->events.size() == 2;
  });
  BOOST_TEST((protocol->events == Events{"pause", "resume"}));
  BOOST_TEST(at_resume == 0u);
}

BOOST_FIXTURE_TEST_CASE(lower_limits_pause_at_once, Pipe) {
  writing();
  fill();
  BOOST_TEST(protocol->events == Events{});
  transport->set_write_buffer_limits({.high = 0});
  BOOST_TEST(protocol->events == Events{"pause"});
}

BOOST_FIXTURE_TEST_CASE(what_pause_and_resume_writing_throw_is_reported, Pipe) {
  writing();
  protocol->on_pause = [] { throw ValueError("p"); };
  protocol->on_resume = [] { throw ValueError("r"); };
  transport->set_write_buffer_limits({.high = 0});
  fill();
  run_until([&] {
    received();
    return protocol->events.size() == 2;
  });
  BOOST_TEST((reports == Events{"protocol.pause_writing() failed ValueError('p')",
                                "protocol.resume_writing() failed ValueError('r')"}));
  transport->write("on");
  BOOST_TEST(received() == "on");
}

BOOST_FIXTURE_TEST_CASE(r179_close_writes_what_is_buffered, Pipe) {
  writing();
  const std::size_t size = fill();
  transport->close();
  BOOST_TEST(transport->is_closing());
  transport->write("dropped");
  std::size_t got = 0;
  std::string some;
  run_until([&] {
    some = received();
    got += some.size();
    return some.ends_with("<EOF>");
  });
  BOOST_TEST(got == size + 5);
  BOOST_TEST(protocol->events.back() == "lost None");
}

BOOST_FIXTURE_TEST_CASE(r179_write_eof_is_close, Pipe) {
  writing();
  transport->write("last");
  transport->write_eof();
  transport->write_eof();
  transport->close();
  BOOST_TEST(protocol->events == Events{});
  BOOST_TEST(transport->is_closing());
  pass();
  BOOST_TEST(protocol->events == Events{"lost None"});
  BOOST_TEST(received() == "last<EOF>");
  pass(2);
  BOOST_TEST(protocol->events.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(abort_drops_what_is_buffered, Pipe) {
  writing();
  const std::size_t size = fill();
  const std::size_t waiting = transport->get_write_buffer_size();
  transport->abort();
  transport->abort();
  BOOST_TEST(transport->get_write_buffer_size() == 0u);
  pass();
  BOOST_TEST(protocol->events == Events{"lost None"});
  BOOST_TEST(received().size() == size - waiting + 5);
  transport->abort();
}

BOOST_FIXTURE_TEST_CASE(aborted_while_closing_it_is_lost_once, Pipe) {
  writing();
  fill();
  transport->close();
  transport->abort();
  pass(3);
  BOOST_TEST(protocol->events == Events{"lost None"});
}

BOOST_FIXTURE_TEST_CASE(r179_the_readers_end_is_noticed_without_writing, Pipe) {
  writing();
  other.close();
  run_until([&] { return protocol->lost(); });
  BOOST_TEST(protocol->events == Events{"lost None"});
}

BOOST_FIXTURE_TEST_CASE(r179_with_data_waiting_the_readers_end_is_a_broken_pipe, Pipe) {
  writing();
  fill();
  other.close();
  run_until([&] { return protocol->lost(); });
  BOOST_TEST(protocol->events == Events{"lost BrokenPipeError"});
  BOOST_TEST(reports == Events{});
}

BOOST_FIXTURE_TEST_CASE(closing_with_data_waiting_the_readers_end_is_a_broken_pipe, Pipe) {
  writing();
  fill();
  transport->close();
  other.close();
  run_until([&] { return protocol->lost(); });
  BOOST_TEST(protocol->events == Events{"lost BrokenPipeError"});
}

BOOST_FIXTURE_TEST_CASE(r179_a_write_nobody_can_read_is_a_broken_pipe_and_no_signal, Pipe) {
  writing();
  const auto before = std::signal(SIGPIPE, SIG_DFL);  // would end the process
  other.close();
  transport->write("x");
  BOOST_TEST(transport->is_closing());
  sigset_t pending;
  sigpending(&pending);
  BOOST_TEST(!sigismember(&pending, SIGPIPE));
  std::signal(SIGPIPE, before);
  pass();
  BOOST_TEST(protocol->events == Events{"lost BrokenPipeError"});
  BOOST_TEST(reports == Events{});
}

BOOST_FIXTURE_TEST_CASE(r179_dropped_writes_are_logged_from_the_fifth_on, Pipe) {
  writing();
  CapturedLog log;
  other.close();
  for (int i = 0; i < 5; ++i) transport->write("x");  // the first one fails
  BOOST_TEST(log.lines == Events{});
  transport->write("x");
  BOOST_TEST(log.lines ==
             Events{"WARNING:pipe closed by peer or os.write(pipe, data) raised exception."});
}

BOOST_FIXTURE_TEST_CASE(written_to_in_resume_writing_and_closed_it_still_writes_all, Pipe) {
  writing();
  transport->set_write_buffer_limits({.high = 0});
  protocol->on_resume = [&] {
    protocol->on_resume = nullptr;
    const std::size_t size = fill();
    BOOST_TEST(size > 0u);
    transport->close();
  };
  fill();
  std::string some;
  run_until([&] {
    some = received();
    return some.ends_with("<EOF>");
  });
  BOOST_TEST((protocol->events == Events{"pause", "resume", "pause", "resume", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(closed_in_resume_writing_it_is_lost_once, Pipe) {
  writing();
  transport->set_write_buffer_limits({.high = 0});
  protocol->on_resume = [&] { transport->close(); };
  fill();
  run_until([&] {
    received();
    return protocol->lost();
  });
  pass(2);
  BOOST_TEST((protocol->events == Events{"pause", "resume", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(a_device_that_epoll_does_not_know_is_written_all_the_same, Pipe) {
  FileDescriptor device(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  loop.run_until_complete(loop.connect_write_pipe(factory(), std::move(device)));
  protocol->transport->write(std::string(1'000'000, 'x'));
  BOOST_TEST(protocol->transport->get_write_buffer_size() == 0u);
  protocol->transport->close();
  pass();
  BOOST_TEST((protocol->events == Events{"made", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(a_socket_is_written_to_like_a_pipe, Pipe) {
  auto [ours, theirs] = Socket::pair();
  loop.run_until_complete(loop.connect_write_pipe(factory(), std::move(ours)));
  protocol->transport->write("x");
  BOOST_TEST(theirs.recv(10) == "x");
  theirs.close();
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"made", "lost None"}));
}

// -- the end

BOOST_AUTO_TEST_CASE(closing_the_loop_closes_pipes_without_a_word) {
  const int before = next_descriptor();
  Events reading, writing;
  {
    Pipe in, out;
    in.reading();
    out.writing();
    out.fill();
    in.loop.close();
    out.loop.close();
    BOOST_TEST(to_string(*in.transport).starts_with("<ReadPipeTransport closed"));
    in.transport->close();
    in.transport->resume_reading();
    out.transport->write("x");
    out.transport->close();
    out.transport->abort();
    reading = in.protocol->events;
    writing = out.protocol->events;
  }
  BOOST_TEST(reading == Events{});
  BOOST_TEST(writing == Events{});
  BOOST_TEST(next_descriptor() == before);
}

BOOST_FIXTURE_TEST_CASE(a_paused_transport_that_nobody_holds_says_that_it_was_not_closed, Pipe) {
  reading();
  send("x");
  transport->pause_reading();
  run_until([&] { return to_string(*transport).ends_with(" idle>"); });
  pass(3);
  CapturedLog log;
  const std::string repr = to_string(*transport);
  protocol->transport.reset();
  transport.reset();
  BOOST_TEST(log.lines == Events{"WARNING:unclosed transport " + repr});
}

BOOST_FIXTURE_TEST_CASE(in_debug_mode_it_says_what_happens, Pipe) {
  loop.set_debug(true);
  CapturedLog log;
  get_logger("asyncio").set_level(LogLevel::debug);
  reading();
  transport->pause_reading();
  transport->resume_reading();
  other.close();
  run_until([&] { return protocol->lost(); });
  get_logger("asyncio").set_level(LogLevel::notset);
  const std::string fd = std::to_string(transport->get_extra_info(asyncio::pipe));
  const std::string name = "<ReadPipeTransport fd=" + fd;
  BOOST_TEST((log.lines == Events{"DEBUG:Read pipe " + fd + " connected: " + name +
                                        " polling>",
                                    "DEBUG:" + name + " idle> pauses reading",
                                    "DEBUG:" + name + " polling> resumes reading",
                                    "INFO:" + name + " idle> was closed by peer"}));
}

BOOST_AUTO_TEST_SUITE_END()
