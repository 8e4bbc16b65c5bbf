// SPDX-License-Identifier: BSL-1.0
// subprocess_exec and subprocess_shell with real children, rule by rule (surface B20).
#include <asyncio/subprocess_options.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/wait.hpp>

#include "../../src/child_process.hpp"

namespace {

using namespace asyncio;
using namespace asyncio::subprocess;
using Events = std::vector<std::string>;

/// Collects what the child says; `lost` is done when all is over.
class Recorder : public SubprocessProtocol {
 public:
  Events events;
  std::string out, err;
  std::shared_ptr<SubprocessTransport> transport;
  std::optional<int> code;
  Future<> lost{get_running_loop()};
  std::function<void()> on_made, on_exit, on_lost;

  void connection_made(std::shared_ptr<SubprocessTransport> made) override {
    transport = std::move(made);
    events.push_back("made");
    if (on_made) on_made();
  }
  void pipe_data_received(int fd, BytesView data) override { (fd == 1 ? out : err) += data.str(); }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    events.push_back("pipe " + std::to_string(fd) + ' ' + (error ? type_name(error) : "None"));
  }
  void process_exited() override {
    code = transport->get_returncode();
    events.push_back("exited " + (code ? std::to_string(*code) : std::string("None")));
    if (on_exit) on_exit();
  }
  void pause_writing() override { events.push_back("pause"); }
  void resume_writing() override { events.push_back("resume"); }
  void connection_lost(std::exception_ptr error) override {
    events.push_back("lost " + (error ? type_name(error) : std::string("None")));
    if (on_lost) on_lost();
    transport.reset();
    if (!lost.done()) lost.set_result();
  }
};

/// The open descriptors of this process.
std::vector<int> descriptors() {
  std::vector<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    numbers.push_back(std::stoi(entry.path().filename()));
  std::sort(numbers.begin(), numbers.end());
  numbers.pop_back();  // the one with which the directory was read, usually
  return numbers;
}

/// Is there any child of this process, running or a zombie?
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void wait_until_gone(pid_t pid) {
  while (::kill(pid, 0) == 0) std::this_thread::yield();
}

struct Child {
  EventLoop loop;
  Events reports;
  std::shared_ptr<Recorder> protocol;

  Child() {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + ' ' + repr(context.exception));
    });
  }
  ~Child() {
    loop.close();
    if (protocol) protocol->on_made = protocol->on_exit = protocol->on_lost = nullptr;
  }

  auto factory() {
    return [this] { return protocol = std::make_shared<Recorder>(); };
  }
  /// Runs a shell script to its end; its stdin is closed at once.
  std::string output_of(std::string script, SubprocessOptions options = {}) {
    loop.run_until_complete(run_to_the_end(*this, std::move(script), options));
    return protocol->out;
  }
  static Coroutine<> run_to_the_end(Child& child, std::string script, SubprocessOptions options) {
    const auto factory = child.factory();
    auto [transport, protocol] =
        co_await child.loop.subprocess_shell(factory, script, options);
    if (const auto stdin = transport->get_pipe_transport(0)) stdin->close();
    co_await protocol->lost;
  }
  /// Starts a program; the transport.
  template <class... Parts>
  std::shared_ptr<SubprocessTransport> start(const Parts&... parts) {
    return loop.run_until_complete(loop.subprocess_exec(factory(), parts...)).first;
  }
  void finish() { loop.run_until_complete(protocol->lost); }
  void pass(int count = 1) {
    while (count-- > 0) {
      loop.stop();
      loop.run_forever();
    }
  }
  template <class... Parts>
  std::string error_of(const Parts&... parts) {
    try {
      start(parts...);
    } catch (...) {
      return repr(std::current_exception());
    }
    return "None";
  }
  bool happened(const std::string& event) const {
    return std::count(protocol->events.begin(), protocol->events.end(), event) == 1;
  }
};

}  // namespace

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
  BOOST_REQUIRE(::waitid(P_PID, static_cast<id_t>(transport->get_pid()), &info,
                         WEXITED | WNOWAIT) == 0);
  transport->close();
  finish();
  BOOST_TEST(protocol->code.value() == 3);
}

BOOST_FIXTURE_TEST_CASE(r183_a_child_that_somebody_else_has_reaped_ends_with_255, Child) {
  Events lines;
  set_log_sink([&](const LogRecord& record) { lines.emplace_back(record.message); });
  const auto transport = start("sleep", "100");
  const int pid = transport->get_pid();
  transport->kill();
  BOOST_REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  transport->close();
  finish();
  set_log_sink({});
  BOOST_TEST(protocol->code.value() == 255);
  BOOST_TEST(lines == Events{"child process pid " + std::to_string(pid) +
                             " exit status already read:  will report returncode 255"});
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

// -- errors

BOOST_FIXTURE_TEST_CASE(what_exec_says_is_the_error, Child) {
  const std::vector<int> before = descriptors();
  BOOST_TEST(error_of("/nonexistent") ==
             "FileNotFoundError(2, \"No such file or directory: '/nonexistent'\")");
  BOOST_TEST(error_of("no such program at all") ==
             "FileNotFoundError(2, \"No such file or directory: 'no such program at all'\")");
  BOOST_TEST(error_of("/dev/null") == "PermissionError(13, \"Permission denied: '/dev/null'\")");
  BOOST_TEST(error_of("true", SubprocessOptions{.cwd = "/nonexistent/dir"}) ==
             "FileNotFoundError(2, \"No such file or directory: '/nonexistent/dir'\")");
  BOOST_TEST(descriptors() == before, boost::test_tools::per_element());
  BOOST_TEST(!has_children());
  BOOST_TEST(protocol->events == Events{});
}

BOOST_FIXTURE_TEST_CASE(what_no_child_can_be_given_is_a_value_error, Child) {
  BOOST_TEST(error_of("echo", std::string_view("a\0b", 3)) == "ValueError('embedded null byte')");
  BOOST_TEST(error_of("true", SubprocessOptions{.stdout = STDOUT}) ==
             "ValueError('STDOUT can only be used for stderr')");
  const Environment wrong{{"A=B", "c"}};
  BOOST_TEST(error_of("true", SubprocessOptions{.env = &wrong}) ==
             "ValueError('illegal environment variable name')");
  BOOST_TEST(error_of(std::vector<std::string>()) == "ValueError('no program was given')");
  BOOST_TEST(error_of("true", SubprocessOptions{.stdin = 9999}) ==
             "OSError(9, 'Bad file descriptor')");
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_that_cannot_be_passed_is_an_os_error, Child) {
  const std::vector<int> passed{9999};
  BOOST_TEST(error_of("true", SubprocessOptions{.pass_fds = passed}) ==
             "OSError(9, 'Bad file descriptor')");
}

// -- what the child gets

BOOST_FIXTURE_TEST_CASE(sp3_streams_may_be_joined_thrown_away_inherited_or_given, Child) {
  BOOST_TEST(output_of("echo a; echo b >&2", {.stderr = STDOUT}) == "a\nb\n");
  BOOST_TEST(output_of("echo a; echo b >&2", {.stdin = DEVNULL, .stderr = DEVNULL}) == "a\n");
  BOOST_TEST(protocol->err == "");
  BOOST_TEST((protocol->events.size() == 4));
  BOOST_TEST(output_of("cat", {.stdin = DEVNULL}) == "");

  auto [in, out] = FileDescriptor::pipe();
  output_of("echo given >&2", {.stdout = INHERIT, .stderr = out});
  char buffer[100];
  BOOST_TEST(std::string(buffer, static_cast<std::size_t>(
                                     ::read(in.fileno(), buffer, sizeof buffer))) == "given\n");
  BOOST_TEST(bool(out));
  BOOST_REQUIRE(::write(out.fileno(), "into", 4) == 4);
  out.close();
  BOOST_TEST(output_of("cat", {.stdin = in}) == "into");
}

BOOST_FIXTURE_TEST_CASE(streams_may_be_given_crosswise, Child) {
  // 1 and 2 of the child are ours, exchanged: no copy may overwrite one that is still needed.
  auto [in, out] = FileDescriptor::pipe();
  const int saved_out = ::dup(1);
  const int saved_err = ::dup(2);
  ::dup2(out.fileno(), 2);
  output_of("echo to2 >&1", {.stdin = DEVNULL, .stdout = 2, .stderr = 1});
  ::dup2(saved_out, 1);
  ::dup2(saved_err, 2);
  ::close(saved_out);
  ::close(saved_err);
  char buffer[100];
  BOOST_TEST(std::string(buffer, static_cast<std::size_t>(
                                     ::read(in.fileno(), buffer, sizeof buffer))) == "to2\n");
}

BOOST_FIXTURE_TEST_CASE(get_pipe_transport_is_null_for_what_is_no_pipe, Child) {
  const auto transport = start("sleep", "100", SubprocessOptions{.stdin = DEVNULL, .stderr = STDOUT});
  BOOST_TEST(!transport->get_pipe_transport(0));
  BOOST_TEST(bool(transport->get_pipe_transport(1)));
  BOOST_TEST(!transport->get_pipe_transport(2));
  BOOST_TEST(!transport->get_pipe_transport(3));
  BOOST_TEST(!transport->get_pipe_transport(-1));
  transport->close();
  finish();
  BOOST_TEST(transport->get_pipe_transport(1)->is_closing());
}

BOOST_FIXTURE_TEST_CASE(environment_directory_and_path_are_the_childs, Child) {
  const Environment environment{{"PATH", "/nonexistent:/bin:/usr/bin"}, {"GREETING", "hi = ho"}};
  BOOST_TEST(output_of("echo $GREETING; echo $HOME", {.env = &environment}) == "hi = ho\n\n");
  BOOST_TEST(output_of("pwd", {.cwd = "/"}) == "/\n");
  start("env", SubprocessOptions{.env = &environment});
  finish();
  BOOST_TEST(protocol->out == "GREETING=hi = ho\nPATH=/nonexistent:/bin:/usr/bin\n");
  const Environment nowhere{{"PATH", "/nonexistent"}};
  BOOST_TEST(error_of("env", SubprocessOptions{.env = &nowhere}) ==
             "FileNotFoundError(2, \"No such file or directory: 'env'\")");
}

BOOST_FIXTURE_TEST_CASE(the_options_need_not_outlive_the_call, Child) {
  std::shared_ptr<SubprocessTransport> transport;
  auto call = [&] {
    const Environment environment{{"PATH", "/bin:/usr/bin"}, {"A", std::string(100, 'a')}};
    const std::string directory = "/usr";
    auto [in, out] = FileDescriptor::pipe();
    BOOST_REQUIRE(::write(out.fileno(), "x", 1) == 1);
    return loop.subprocess_shell(
        factory(), "echo $A; pwd; cat",
        {.stdin = in, .env = &environment, .cwd = directory});
  }();
  loop.run_until_complete(std::move(call));
  finish();
  BOOST_TEST(protocol->out == std::string(100, 'a') + "\n/usr\nx");
}

BOOST_FIXTURE_TEST_CASE(no_descriptor_but_those_that_are_passed_is_inherited, Child) {
  const FileDescriptor device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  // Numbers that the shell does not use itself.
  const FileDescriptor inheritable(::fcntl(device.fileno(), F_DUPFD, 70));
  const FileDescriptor passed(::fcntl(device.fileno(), F_DUPFD_CLOEXEC, 80));
  const std::vector<int> numbers{passed.fileno()};
  const std::string list = "for f in /proc/$$/fd/*; do echo ${f##*/}; done";
  const auto open_in_child = [&](SubprocessOptions options) {
    std::string lines = output_of(list, options);
    const auto has = [&](int number) {
      return ("\n" + lines).find("\n" + std::to_string(number) + "\n") != std::string::npos;
    };
    return std::pair(has(inheritable.fileno()), has(passed.fileno()));
  };
  BOOST_TEST((open_in_child({}) == std::pair(false, false)));
  BOOST_TEST((open_in_child({.pass_fds = numbers}) == std::pair(false, true)));
  BOOST_TEST((open_in_child({.close_fds = false}) == std::pair(true, false)));
}

BOOST_FIXTURE_TEST_CASE(sessions_and_groups_are_those_asked_for, Child) {
  const auto numbers = [&](SubprocessOptions options) {
    const std::string line = output_of("set -- $(cat /proc/$$/stat); echo $1 $5 $6", options);
    int pid = 0, group = 0, session = 0;
    std::sscanf(line.c_str(), "%d %d %d", &pid, &group, &session);
    return std::pair(group == pid, session == pid);
  };
  BOOST_TEST((numbers({}) == std::pair(false, false)));
  BOOST_TEST((numbers({.process_group = 0}) == std::pair(true, false)));
  BOOST_TEST((numbers({.start_new_session = true}) == std::pair(true, true)));
}

BOOST_FIXTURE_TEST_CASE(signals_are_as_at_the_start_of_a_program, Child) {
  const auto ignored = [&](SubprocessOptions options) {
    const std::string text = output_of("grep -i '^Sig[IB]' /proc/self/status", options);
    unsigned long blocked = 1, ignored_mask = 0;
    std::sscanf(text.c_str(), "SigBlk: %lx SigIgn: %lx", &blocked, &ignored_mask);
    BOOST_TEST(blocked == 0u);
    return (ignored_mask >> (SIGPIPE - 1) & 1) != 0;
  };
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  BOOST_TEST(!ignored({}));
  BOOST_TEST(ignored({.restore_signals = false}));
  std::signal(SIGPIPE, before);
}

BOOST_FIXTURE_TEST_CASE(arguments_are_passed_as_they_are, Child) {
  const std::string odd = "two words \"$HOME\" *";
  start(std::vector<std::string>{"printf", "%s|%s|", odd, ""});
  finish();
  BOOST_TEST(protocol->out == odd + "||");
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
             "<SubprocessTransport pid=" + pid + " running stdin=" +
                 to_string(*transport->get_pipe_transport(0)) +
                 " stdout=" + to_string(*transport->get_pipe_transport(1)) + ">");
  transport->close();
  finish();
  BOOST_TEST(to_string(*transport).starts_with("<SubprocessTransport closed pid=" + pid +
                                               " returncode=-9 stdin="));
}

BOOST_FIXTURE_TEST_CASE(in_debug_mode_it_says_what_happens, Child) {
  Events lines;
  set_log_sink([&](const LogRecord& record) {
    if (record.message.find("ipe") != record.message.npos && record.level == LogLevel::debug &&
        record.message.find("execute") == record.message.npos)
      return;  // of the pipes
    lines.push_back(std::string(level_name(record.level)) + ':' + std::string(record.message));
  });
  loop.set_debug(true);
  get_logger("asyncio").set_level(LogLevel::debug);
  const auto transport =
      start("sleep", "100", SubprocessOptions{.stdin = INHERIT, .stdout = DEVNULL, .stderr = STDOUT});
  const std::string pid = std::to_string(transport->get_pid());
  transport->close();
  finish();
  get_logger("asyncio").set_level(LogLevel::notset);
  loop.set_debug(false);
  set_log_sink({});
  BOOST_TEST((lines == Events{"DEBUG:execute program 'sleep' stdout=stderr=-3",
                              "DEBUG:process 'sleep' created: pid " + pid,
                              "INFO:execute program 'sleep': <SubprocessTransport pid=" + pid +
                                  " running>",
                              "WARNING:Close running child process: kill <SubprocessTransport "
                              "closed pid=" + pid + " running>",
                              "INFO:<SubprocessTransport closed pid=" + pid +
                                  " running> exited with return code -9"}));
}

// -- the watch

BOOST_FIXTURE_TEST_CASE(without_pidfds_the_end_is_seen_by_sigchld, Child) {
  using namespace asyncio::detail;
  std::vector<int> codes;
  std::vector<std::shared_ptr<ChildProcess>> children;
  const int count = 20;
  for (int i = 0; i != count; ++i) {
    const StartedChild started = start_child(
        ChildRequest({"sh", "-c", i % 2 ? "exit 1" : "kill -TERM $$"}, {}, INHERIT));
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
  const auto child =
      std::make_shared<ChildProcess>(loop.core(), started.pid, ExitNotice::sigchld);
  child->watch([&](int ended) { code = ended; });
  pass(3);
  BOOST_TEST(code == 0);
  BOOST_TEST(child->reaped());
}

BOOST_AUTO_TEST_SUITE_END()
