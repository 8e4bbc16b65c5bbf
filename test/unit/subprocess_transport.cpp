// SPDX-License-Identifier: BSL-1.0
// subprocess_exec and subprocess_shell with real children, rule by rule (surface B20).
#include <asyncio/subprocess_options.hpp>

#include <fstream>
#include <thread>

#include <unistd.h>

#include <asyncio/logging.hpp>

#include "../../src/child_process.hpp"
#include "child_fixture.hpp"

using namespace child_tests;

BOOST_AUTO_TEST_SUITE(subprocess_transport_tests)

// -- events

BOOST_FIXTURE_TEST_CASE(pr16_what_the_child_writes_comes_with_its_descriptor, Child) {
  output_of("echo out; echo err >&2");
  BOOST_TEST(protocol->out == "out\n");
  BOOST_TEST(protocol->err == "err\n");
  BOOST_TEST(protocol->events.front() == "made");
  BOOST_TEST(protocol->events.back() == "lost None");
  BOOST_TEST(protocol->events.size() == 6u);
  for (const char* event : {"pipe 0 None", "pipe 1 None", "pipe 2 None", "exited 0"})
    BOOST_TEST(happened(event));
}

BOOST_FIXTURE_TEST_CASE(stdin_reaches_the_child_and_comes_back, Child) {
  const auto transport = start("cat");
  transport->get_pipe_transport(0)->write("meow");
  transport->get_pipe_transport(0)->close();
  finish();
  BOOST_TEST(protocol->out == "meow");
  BOOST_TEST(protocol->code.value() == 0);
}

BOOST_FIXTURE_TEST_CASE(b2_without_pipes_it_takes_two_passes_with_three_eight, Child) {
  const auto passes = [&](Stdio all) {
    const SubprocessOptions options{.stdin = all, .stdout = all, .stderr = all};
    auto task = loop.create_task(loop.subprocess_exec(factory(), "sleep", "100", options));
    pass();
    int count = 0;
    for (; !task.done(); ++count) pass();
    task.result().first->close();
    finish();
    return count;
  };
  BOOST_TEST(passes(INHERIT) == 2);
  BOOST_TEST(passes(PIPE) == 8);
}

BOOST_FIXTURE_TEST_CASE(r184_connection_lost_waits_for_a_pipe_that_a_grandchild_has, Child) {
  auto [in, out] = FileDescriptor::pipe();
  const int number = in.fileno();
  const std::vector<int> passed{number};
  const auto transport =
      start("sh", "-c", "read line <&" + std::to_string(number) + " && echo late & exit 4",
            SubprocessOptions{.stdin = DEVNULL, .stderr = DEVNULL, .pass_fds = passed});
  in.close();
  while (!protocol->code) pass();
  BOOST_TEST(protocol->out == "");
  BOOST_TEST((protocol->events == Events{"made", "exited 4"}));
  BOOST_REQUIRE(::write(out.fileno(), "\n", 1) == 1);
  finish();
  BOOST_TEST(protocol->out == "late\n");
  BOOST_TEST((protocol->events == Events{"made", "exited 4", "pipe 1 None", "lost None"}));
}

BOOST_FIXTURE_TEST_CASE(flow_control_of_stdin_is_the_protocols, Child) {
  const auto transport = start("sh", "-c", "read line; cat >/dev/null");
  const auto stdin = transport->get_pipe_transport(0);
  stdin->write(std::string(1'000'000, 'x'));
  BOOST_TEST((protocol->events == Events{"made", "pause"}));
  stdin->write("\n");
  stdin->close();
  finish();
  BOOST_TEST(protocol->events[2] == "resume");
}

BOOST_FIXTURE_TEST_CASE(pausing_a_pipe_keeps_its_data, Child) {
  const auto transport = start("sh", "-c", "read line; echo answer; read line");
  const auto stdout = transport->get_pipe_transport(1);
  stdout->pause_reading();
  transport->get_pipe_transport(0)->write("\n\n");
  while (!protocol->code) pass();
  pass(5);
  BOOST_TEST(protocol->out == "");
  BOOST_TEST(!protocol->lost.done());
  stdout->resume_reading();
  finish();
  BOOST_TEST(protocol->out == "answer\n");
}

BOOST_FIXTURE_TEST_CASE(set_protocol_takes_effect_for_what_comes, Child) {
  const auto transport = start("cat");
  const std::shared_ptr<Recorder> first = protocol;
  loop.call_soon([&] {
    const auto second = factory()();
    second->transport = transport;
    transport->set_protocol(second);
    BOOST_CHECK_THROW(transport->set_protocol(nullptr), TypeError);
    transport->get_pipe_transport(0)->write("x");
    transport->get_pipe_transport(0)->close();
  });
  pass();
  finish();
  BOOST_TEST(first->out == "");
  BOOST_TEST(protocol->out == "x");
  BOOST_TEST((first->events == Events{"made"}));
}

BOOST_FIXTURE_TEST_CASE(what_callbacks_throw_is_reported_and_the_end_still_comes, Child) {
  const auto make = [this] {
    const auto made = factory()();
    made->on_exit = [] { throw ValueError("exit"); };
    made->on_lost = [] { throw ValueError("lost"); };
    return made;
  };
  auto [transport, same] = loop.run_until_complete(loop.subprocess_exec(make, "true"));
  transport->get_pipe_transport(0)->close();
  while (transport->get_protocol()) pass();
  BOOST_TEST(reports.size() == 2u);
  BOOST_TEST(transport->get_returncode().value() == 0);
  protocol->transport.reset();
}

// -- how it ends

BOOST_FIXTURE_TEST_CASE(r189_the_return_code_is_the_status_or_minus_the_signal, Child) {
  output_of("exit 7");
  BOOST_TEST(protocol->code.value() == 7);
  output_of("kill -USR1 $$");
  BOOST_TEST(protocol->code.value() == -SIGUSR1);
}

BOOST_FIXTURE_TEST_CASE(sp8_signals_reach_the_child, Child) {
  const auto ended_by = [&](auto send) {
    const auto transport = start("sleep", "100");
    BOOST_TEST(!transport->get_returncode());
    send(*transport);
    finish();
    return protocol->code.value();
  };
  BOOST_TEST(ended_by([](SubprocessTransport& t) { t.kill(); }) == -SIGKILL);
  BOOST_TEST(ended_by([](SubprocessTransport& t) { t.terminate(); }) == -SIGTERM);
  BOOST_TEST(ended_by([](SubprocessTransport& t) { t.send_signal(SIGHUP); }) == -SIGHUP);
}

BOOST_FIXTURE_TEST_CASE(r186_a_child_that_has_ended_is_sent_nothing, Child) {
  const auto transport = start("cat");
  bool sent = false;
  protocol->on_exit = [&] {
    transport->kill();
    sent = true;
  };
  transport->get_pipe_transport(0)->close();
  finish();
  BOOST_TEST(sent);
  BOOST_TEST(reports == Events{});
  BOOST_CHECK_THROW(transport->kill(), ProcessLookupError);
  BOOST_CHECK_THROW(transport->terminate(), ProcessLookupError);
  BOOST_CHECK_THROW(transport->send_signal(SIGINT), ProcessLookupError);
  transport->close();
  BOOST_TEST(transport->get_returncode().value() == 0);
}

BOOST_FIXTURE_TEST_CASE(an_impossible_signal_is_an_os_error, Child) {
  const auto transport = start("cat");
  BOOST_CHECK_THROW(transport->send_signal(12345), OSError);
  transport->close();
  finish();
}

BOOST_FIXTURE_TEST_CASE(r186_close_kills_a_child_that_runs, Child) {
  const auto transport = start("sleep", "100");
  BOOST_TEST(!transport->is_closing());
  transport->close();
  transport->close();
  BOOST_TEST(transport->is_closing());
  finish();
  BOOST_TEST(protocol->code.value() == -SIGKILL);
  for (const char* event : {"pipe 0 None", "pipe 1 None", "pipe 2 None"})
    BOOST_TEST(happened(event));
}

BOOST_FIXTURE_TEST_CASE(closed_when_it_has_ended_unnoticed_its_own_code_is_told, Child) {
  const auto transport = start("sh", "-c", "read line; exit 3");
  transport->get_pipe_transport(0)->write("\n");
  siginfo_t info{};  // it has ended, and nobody has reaped it
  BOOST_REQUIRE(
      ::waitid(P_PID, static_cast<id_t>(transport->get_pid()), &info, WEXITED | WNOWAIT) == 0);
  transport->close();
  finish();
  BOOST_TEST(protocol->code.value() == 3);
}

BOOST_FIXTURE_TEST_CASE(r183_a_child_that_somebody_else_has_reaped_ends_with_255, Child) {
  const CapturedLog log;
  const auto transport = start("sleep", "100");
  const int pid = transport->get_pid();
  transport->kill();
  BOOST_REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  transport->close();
  finish();
  BOOST_TEST(protocol->code.value() == 255);
  BOOST_TEST(log.messages() == Events{"child process pid " + std::to_string(pid) +
                                      " exit status already read:  will report returncode 255"});
}

/// The next process gets the number after this one, if nobody is faster. Needs privileges.
bool say_last_pid(pid_t pid) {
  std::ofstream file("/proc/sys/kernel/ns_last_pid");
  return static_cast<bool>(file << pid << std::flush);
}

boost::test_tools::assertion_result may_choose_pids(boost::unit_test::test_unit_id) {
  return say_last_pid(::getpid());
}

BOOST_FIXTURE_TEST_CASE(whoever_gets_the_number_of_a_reaped_child_is_left_alone, Child,
                        *boost::unit_test::precondition(may_choose_pids)) {
  using namespace asyncio::detail;
  const auto transport = start("sleep", "1000");
  const pid_t pid = transport->get_pid();
  ::kill(pid, SIGKILL);
  BOOST_REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  pid_t other = -1;
  int status = 0;
  for (int tries = 0; tries != 100 && other != pid; ++tries) {
    if (other != -1) {
      ::kill(other, SIGKILL);
      ::waitpid(other, &status, 0);
    }
    say_last_pid(pid - 1);
    other = start_child(ChildRequest({"sleep", "1000"}, {}, INHERIT)).pid;
  }
  if (other == pid) transport->send_signal(SIGTERM);
  ::kill(other, SIGKILL);
  ::waitpid(other, &status, 0);
  BOOST_TEST(other == pid);
  BOOST_TEST(WTERMSIG(status) == SIGKILL);  // that SIGTERM would be before it
}

BOOST_FIXTURE_TEST_CASE(cancelled_while_it_starts_the_child_is_killed_and_waited_for, Child) {
  for (int passes = 1; passes <= 8; ++passes) {
    auto task = loop.create_task(loop.subprocess_exec(factory(), "sleep", "100"));
    pass(passes);
    task.cancel();
    while (!task.done()) pass();
    BOOST_TEST(task.cancelled());
    BOOST_TEST(!has_children());
    pass(10);
  }
  BOOST_TEST(reports == Events{});
}

BOOST_FIXTURE_TEST_CASE(cancelled_while_it_starts_pipes_are_closed_whoever_else_has_them, Child) {
  auto [running, tell] = FileDescriptor::pipe();
  const std::vector<int> passed{tell.fileno()};
  // The grandchild goes when it is at the end of its input, which is the child's stdin.
  const std::string script =
      "exec 3<&0; cat <&3 & echo >&" + std::to_string(tell.fileno()) + "; wait";
  auto start = loop.subprocess_shell(factory(), script, {.pass_fds = passed});
  auto task = loop.create_task(std::move(start));
  pass();
  char byte = 0;
  BOOST_REQUIRE(::read(running.fileno(), &byte, 1) == 1);
  task.cancel();
  BOOST_CHECK_THROW(loop.run_until_complete(task), CancelledError);
  pass(20);
  BOOST_TEST(happened("lost None"));
}

BOOST_AUTO_TEST_CASE(rule_182_what_happens_before_all_pipes_are_connected_comes_after_connection_made) {
  Child child;
  const auto starting = child.loop.create_task(child.loop.subprocess_exec(child.factory(), "true"));
  while (!has_children()) child.pass(1);
  siginfo_t info{};
  BOOST_TEST_REQUIRE(::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);  // it has ended
  child.loop.run_until_complete(starting);
  child.finish();
  BOOST_TEST_REQUIRE(!child.protocol->events.empty());
  BOOST_TEST(child.protocol->events.front() == "made");
  BOOST_TEST(child.happened("made"));
}

BOOST_AUTO_TEST_CASE(rule_110_in_debug_mode_closing_the_loop_tells_of_the_child) {
  const CapturedLog log;
  int pid = 0;
  {
    Child child;
    const auto transport = child.start("sleep", "100");
    pid = transport->get_pid();
    child.loop.set_debug(true);
    child.loop.close();
    child.protocol->transport.reset();
  }
  wait_until_gone(pid);
  const std::string number = "pid=" + std::to_string(pid) + " running ";
  const auto told = [&](const std::string& begin) {
    return std::any_of(log.records.begin(), log.records.end(), [&](const auto& record) {
      return record.message.starts_with(begin + "<SubprocessTransport " + number);
    });
  };
  BOOST_TEST(told("unclosed transport "));
  BOOST_TEST(told("Close running child process: kill "));
}

BOOST_AUTO_TEST_CASE(closing_the_loop_kills_the_child_and_nothing_is_left) {
  const std::vector<int> before = descriptors();
  int pid = 0;
  std::shared_ptr<SubprocessTransport> transport;
  Events events;
  {
    Child child;
    transport = child.start("sleep", "100");
    pid = transport->get_pid();
    child.loop.close();
    events = child.protocol->events;
    child.protocol->transport.reset();
  }
  wait_until_gone(pid);
  BOOST_TEST(!has_children());
  BOOST_TEST(events == Events{"made"});
  BOOST_TEST(!transport->get_returncode());
  BOOST_CHECK_THROW(transport->kill(), ProcessLookupError);
  transport->close();
  transport.reset();
  BOOST_TEST(descriptors() == before, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_loop_may_be_closed_in_any_pass_of_the_start) {
  const std::vector<int> before = descriptors();
  for (int passes = 1; passes <= 12; ++passes) {
    Child child;
    auto task = child.loop.create_task(child.loop.subprocess_exec(child.factory(), "cat"));
    child.pass(passes);
    child.loop.close();
    if (child.protocol) child.protocol->transport.reset();
  }
  while (has_children()) std::this_thread::yield();
  BOOST_TEST(descriptors() == before, boost::test_tools::per_element());
}

// -- what it tells of itself

BOOST_FIXTURE_TEST_CASE(tr39_the_child_is_known_as_subprocess, Child) {
  const auto transport = start("sh", "-c", "read line; exit 3");
  const Popen popen = transport->get_extra_info(asyncio::popen);
  BOOST_TEST(popen.pid == transport->get_pid());
  BOOST_TEST(popen.args == (Events{"sh", "-c", "read line; exit 3"}));
  BOOST_TEST(!popen.returncode);
  transport->get_pipe_transport(0)->close();
  finish();
  BOOST_TEST(transport->get_extra_info(asyncio::popen).returncode.value() == 3);
}

BOOST_FIXTURE_TEST_CASE(its_repr_is_pythons, Child) {
  const auto transport = start("cat", SubprocessOptions{.stderr = STDOUT});
  const std::string pid = std::to_string(transport->get_pid());
  BOOST_TEST(to_string(*transport) ==
             "<SubprocessTransport pid=" + pid +
                 " running stdin=" + to_string(*transport->get_pipe_transport(0)) +
                 " stdout=" + to_string(*transport->get_pipe_transport(1)) + ">");
  transport->close();
  finish();
  BOOST_TEST(to_string(*transport)
                 .starts_with("<SubprocessTransport closed pid=" + pid + " returncode=-9 stdin="));
}

BOOST_FIXTURE_TEST_CASE(in_debug_mode_it_says_what_happens, Child) {
  const CapturedLog log(LogLevel::debug);
  loop.set_debug(true);
  const auto transport = start(
      "sleep", "100", SubprocessOptions{.stdin = INHERIT, .stdout = DEVNULL, .stderr = STDOUT});
  const std::string pid = std::to_string(transport->get_pid());
  transport->close();
  finish();
  loop.set_debug(false);
  BOOST_TEST(log.lines() ==
                 (Events{"DEBUG:asyncio:execute program 'sleep' stdout=stderr=-3",
                         "DEBUG:asyncio:process 'sleep' created: pid " + pid,
                         "INFO:asyncio:execute program 'sleep': <SubprocessTransport pid=" + pid +
                             " running>",
                         "WARNING:asyncio:Close running child process: kill <SubprocessTransport "
                         "closed pid=" +
                             pid + " running>",
                         "INFO:asyncio:<SubprocessTransport closed pid=" + pid +
                             " running> exited with return code -9"}),
             boost::test_tools::per_element());
}

// -- the watch

BOOST_FIXTURE_TEST_CASE(without_pidfds_the_end_is_seen_by_sigchld, Child) {
  using namespace asyncio::detail;
  std::vector<int> codes;
  std::vector<std::shared_ptr<ChildProcess>> children;
  const int count = 20;
  for (int i = 0; i != count; ++i) {
    const StartedChild started =
        start_child(ChildRequest({"sh", "-c", i % 2 ? "exit 1" : "kill -TERM $$"}, {}, INHERIT));
    children.push_back(
        std::make_shared<ChildProcess>(loop.core(), started.pid, ExitNotice::sigchld));
    children.back()->watch([&](int code) { codes.push_back(code); });
  }
  while (codes.size() != count) {
    loop.call_later(0.001, [&] { loop.stop(); });
    loop.run_forever();
  }
  BOOST_TEST(std::count(codes.begin(), codes.end(), 1) == count / 2);
  BOOST_TEST(std::count(codes.begin(), codes.end(), -SIGTERM) == count / 2);
  BOOST_TEST(!has_children());
}

BOOST_FIXTURE_TEST_CASE(a_child_that_ended_before_it_is_watched_by_sigchld_is_seen, Child) {
  using namespace asyncio::detail;
  const StartedChild started = start_child(ChildRequest({"true"}, {}, INHERIT));
  siginfo_t info{};
  BOOST_REQUIRE(::waitid(P_PID, static_cast<id_t>(started.pid), &info, WEXITED | WNOWAIT) == 0);
  int code = -1;
  const auto child = std::make_shared<ChildProcess>(loop.core(), started.pid, ExitNotice::sigchld);
  child->watch([&](int ended) { code = ended; });
  pass(3);
  BOOST_TEST(code == 0);
  BOOST_TEST(child->reaped());
}

BOOST_AUTO_TEST_SUITE_END()
