// SPDX-License-Identifier: BSL-1.0
// connect_write_pipe over real pipes, rule by rule (surface B18).
#include <asyncio/pipes.hpp>

#include <csignal>

#include "pipe_fixture.hpp"

using namespace pipe_tests;

BOOST_AUTO_TEST_SUITE(pipes_writing_tests)

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
  transport->writelines(
      {BytesView(all).subview(150'000, 100'000), BytesView(all).subview(250'000)});
  BOOST_TEST(to_string(*transport)
                 .find(" polling bufsize=" + std::to_string(transport->get_write_buffer_size()) +
                       ">") != std::string::npos);
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
  BOOST_TEST((transport->get_write_buffer_limits() ==
              std::pair<std::size_t, std::size_t>(90'000, 100'000)));
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
  BOOST_TEST((reports == Events{"protocol.pause_writing() failed: ValueError('p')",
                                "protocol.resume_writing() failed: ValueError('r')"}));
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

/// SIGPIPE blocked in this thread, for a scope.
struct BlockedSigPipe {
  BlockedSigPipe() {
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
  }
  ~BlockedSigPipe() {
    const timespec at_once{};
    sigtimedwait(&pipe, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  static bool pending() {
    sigset_t signals;
    sigpending(&signals);
    return sigismember(&signals, SIGPIPE) == 1;
  }
  sigset_t pipe, before;
};

BOOST_FIXTURE_TEST_CASE(a_program_that_blocks_the_signal_does_not_find_ours_waiting, Pipe) {
  writing();
  other.close();
  const BlockedSigPipe blocked;
  transport->write("x");
  BOOST_TEST(transport->is_closing());
  BOOST_TEST(!blocked.pending());
}

BOOST_FIXTURE_TEST_CASE(a_signal_that_was_waiting_before_stays, Pipe) {
  writing();
  other.close();
  const BlockedSigPipe blocked;
  pthread_kill(pthread_self(), SIGPIPE);
  transport->write("x");
  BOOST_TEST(transport->is_closing());
  BOOST_TEST(blocked.pending());
}

BOOST_FIXTURE_TEST_CASE(r179_dropped_writes_are_logged_from_the_fifth_on, Pipe) {
  writing();
  const CapturedLog log;
  other.close();
  for (int i = 0; i < 5; ++i) transport->write("x");  // the first one fails
  BOOST_TEST(log.records.empty());
  transport->write("x");
  BOOST_TEST(log.lines() == Events{"WARNING:asyncio:pipe closed by peer or os.write(pipe, data) "
                                   "raised exception."});
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

// What the terminal has to be read is not the end of a reader to its writer.
BOOST_FIXTURE_TEST_CASE(a_terminal_is_read_and_written_side_by_side, Pipe) {
  auto [master, slave] = terminal();
  FileDescriptor same(::fcntl(slave.fileno(), F_DUPFD_CLOEXEC, 0));
  BOOST_REQUIRE(::fcntl(master.fileno(), F_SETFL, O_NONBLOCK) == 0);
  other = std::move(master);
  const auto writer = std::make_shared<Recorder>();
  const auto make_writer = [&] { return writer; };
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(slave)));
  loop.run_until_complete(loop.connect_write_pipe(make_writer, std::move(same)));
  std::string written;
  const auto arrived = [&](const std::string& all) {
    return [&written, this, all] { return (written += received()) == all; };
  };
  writer->transport->write("1");
  run_until(arrived("1"));
  send("a");
  run_until([&] { return protocol->data == "a"; });
  writer->transport->write("2345");
  run_until(arrived("12345"));
  send("bcde");
  run_until([&] { return protocol->data == "abcde"; });
  BOOST_TEST(writer->events == Events{"made"});
  protocol->transport->close();
  writer->transport->close();
  pass();
  BOOST_TEST(protocol->events.back() == "lost None");
  BOOST_TEST((writer->events == Events{"made", "lost None"}));
  BOOST_TEST(reports == Events{});
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

BOOST_FIXTURE_TEST_CASE(limits_that_are_set_after_the_loop_was_closed_tell_nobody, Pipe) {
  writing();
  fill();
  protocol->events.clear();
  loop.close();
  transport->set_write_buffer_limits({.high = 0});
  BOOST_TEST(protocol->events == Events());
}

BOOST_FIXTURE_TEST_CASE(r179_many_pieces_are_one_write, Pipe) {
  writing();
  transport->writelines(std::vector<std::string>(200, "xy"));
  BOOST_TEST(transport->get_write_buffer_size() == 0u);
  BOOST_TEST(received().size() == 400u);
}

BOOST_AUTO_TEST_SUITE_END()
