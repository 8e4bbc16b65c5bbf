// SPDX-License-Identifier: BSL-1.0
// connect_read_pipe and connect_write_pipe over real pipes: opening, reading and the end, rule by
// rule (surface B18). Writing is in pipes_writing.cpp.
#include <asyncio/pipes.hpp>

#include <type_traits>

#include <poll.h>
#include <sys/stat.h>

#include "pipe_fixture.hpp"

using namespace pipe_tests;

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
  BOOST_TEST(thrown_by([&] {
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

BOOST_FIXTURE_TEST_CASE(a_transport_takes_over_a_pipe_that_was_watched, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  other = std::move(out);
  int called = 0;
  loop.add_reader(in, [&] { ++called; });
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(in)));
  send("x");
  run_until([&] { return !protocol->data.empty(); });
  BOOST_TEST(called == 0);
  BOOST_TEST(protocol->data == "x");
}

BOOST_FIXTURE_TEST_CASE(r124_a_transports_pipe_may_be_watched_until_it_is_closed, Pipe) {
  reading();
  const int number = transport->get_extra_info(asyncio::pipe);
  int called = 0;
  loop.add_reader(number, [&] { ++called; });  // as in Python, which refuses sockets only
  send("x");
  run_until([&] { return called != 0 && protocol->data == "x"; });
  transport->close();
  pass(2);
  BOOST_TEST(!loop.remove_reader(number));
  pollfd reader{other.fileno(), POLLOUT, 0};
  BOOST_TEST(::poll(&reader, 1, 0) == 1);
  BOOST_TEST((reader.revents & POLLERR) != 0);  // nobody can read any more
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
             Events{"Exception in callback ReadPipeTransport::ready(): ValueError('no')"});
  protocol->on_data = nullptr;
  send("2");
  run_until([&] { return protocol->data == "12"; });
  BOOST_TEST(!transport->is_closing());
}

BOOST_FIXTURE_TEST_CASE(r178_read_errors_are_reported_and_end_it, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(out)));  // cannot be read
  in.close();  // an error, which is announced
  run_until([&] { return protocol->lost(); });
  BOOST_TEST((protocol->events == Events{"made", "lost OSError"}));
  BOOST_TEST(reports ==
             Events{"Fatal read error on pipe transport: OSError(9, 'Bad file descriptor')"});
}

BOOST_FIXTURE_TEST_CASE(r178_the_end_of_a_terminal_is_not_reported, Pipe) {
  auto [master, slave] = terminal();
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

// -- the end

BOOST_AUTO_TEST_CASE(rule_110_in_debug_mode_closing_the_loop_warns_of_pipes) {
  const CapturedLog log;
  Pipe in;
  in.reading();
  in.loop.set_debug(true);
  in.loop.close();
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].message.starts_with("unclosed transport <ReadPipeTransport fd="));
}

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
  const CapturedLog log;
  const std::string repr = to_string(*transport);
  protocol->transport.reset();
  transport.reset();
  BOOST_TEST(log.lines() == Events{"WARNING:asyncio:unclosed transport " + repr});
}

BOOST_FIXTURE_TEST_CASE(in_debug_mode_it_says_what_happens, Pipe) {
  loop.set_debug(true);
  const CapturedLog log(LogLevel::debug);
  reading();
  transport->pause_reading();
  transport->resume_reading();
  other.close();
  run_until([&] { return protocol->lost(); });
  const std::string fd = std::to_string(transport->get_extra_info(asyncio::pipe));
  const std::string name = "<ReadPipeTransport fd=" + fd;
  BOOST_TEST(
      (log.lines() == Events{"DEBUG:asyncio:Read pipe " + fd + " connected: " + name + " polling>",
                             "DEBUG:asyncio:" + name + " idle> pauses reading",
                             "DEBUG:asyncio:" + name + " polling> resumes reading",
                             "INFO:asyncio:" + name + " idle> was closed by peer"}));
}

BOOST_FIXTURE_TEST_CASE(r178_a_named_pipe_waits_for_its_first_writer, Pipe) {
  char path[] = "/tmp/asyncio_pipes_XXXXXX";
  ::close(::mkstemp(path));
  ::unlink(path);
  BOOST_REQUIRE(::mkfifo(path, 0600) == 0);
  FileDescriptor in(::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(in)));
  opened();
  pass(5);
  BOOST_TEST(protocol->events == Events{});
  other = FileDescriptor(::open(path, O_WRONLY | O_CLOEXEC));
  ::unlink(path);
  send("x");
  pass(2);
  BOOST_TEST(protocol->events == Events{"data x"});
  other.close();
  pass(3);
  BOOST_TEST(protocol->events == (Events{"data x", "eof", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(r178_a_pipe_that_somebody_made_blocking_is_read_when_there_is_something, Pipe) {
  auto [in, out] = FileDescriptor::pipe();
  const FileDescriptor same(::fcntl(in.fileno(), F_DUPFD_CLOEXEC, 0));
  other = std::move(out);
  loop.run_until_complete(loop.connect_read_pipe(factory(), std::move(in)));
  opened();
  ::fcntl(same.fileno(), F_SETFL, ::fcntl(same.fileno(), F_GETFL) & ~O_NONBLOCK);
  send("x");
  pass(5);
  BOOST_TEST(protocol->events == Events{"data x"});
}

BOOST_AUTO_TEST_SUITE_END()
