// SPDX-License-Identifier: BSL-1.0
// create_subprocess_exec, create_subprocess_shell and Process, with real children (surface A21).
#include <asyncio/subprocess.hpp>

#include <csignal>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/pipes.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>

#include "captured_log.hpp"
#include "error_of.hpp"
#include "socket_helpers.hpp"
#include "thrown_by.hpp"

namespace {

using namespace asyncio;
using namespace asyncio::subprocess;
using unit_tests::CapturedLog;
using unit_tests::error_of;
using unit_tests::thrown_by;

constexpr SubprocessOptions all_pipes{.stdin = PIPE, .stdout = PIPE, .stderr = PIPE};

/// Runs the body in a loop of its own; nothing may be logged, and no child be left.
template <class Body>
void run_silently(Body body) {
  const CapturedLog log;  // of warnings, which include everything that was not handled
  asyncio::run(body());
  BOOST_TEST(log.messages() == std::vector<std::string>());
  siginfo_t info{};
  BOOST_TEST(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(subprocess_tests)

BOOST_AUTO_TEST_CASE(sp4_streams_are_those_that_were_asked_for) {
  run_silently([]() -> Coroutine<> {
    const Process process =
        co_await create_subprocess_exec("cat", SubprocessOptions{.stdin = PIPE, .stdout = PIPE});
    BOOST_TEST(bool(process.stdin));
    BOOST_TEST(bool(process.stdout));
    BOOST_TEST(!process.stderr);
    BOOST_TEST(process.pid > 0);
    BOOST_TEST(!process.returncode());
    BOOST_TEST(to_string(process) == "<Process " + std::to_string(process.pid) + ">");
    process.stdin->write("some data\nmore");
    co_await process.stdin->drain();
    const Bytes line = co_await process.stdout->readline();
    BOOST_TEST(line == "some data\n");
    process.stdin->close();
    const Bytes rest = co_await process.stdout->read();
    BOOST_TEST(rest == "more");
    const int code = co_await process.wait();
    BOOST_TEST(code == 0);
    BOOST_TEST(process.returncode().value() == 0);
    co_await process.stdin->wait_closed();
  });
}

BOOST_AUTO_TEST_CASE(sp1_without_options_the_streams_are_ours) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec("sh", "-c", "exit 3");
    BOOST_TEST(!process.stdin);
    BOOST_TEST(!process.stdout);
    BOOST_TEST(!process.stderr);
    const auto [out, err] = co_await process.communicate();
    BOOST_TEST(!out);
    BOOST_TEST(!err);
    BOOST_TEST(process.returncode().value() == 3);
  });
}

BOOST_AUTO_TEST_CASE(r188_communicate_feeds_and_reads_all_at_once) {
  run_silently([]() -> Coroutine<> {
    const Process process =
        co_await create_subprocess_shell("tee /dev/stderr </dev/stdin", all_pipes);
    const std::string input(1'000'000, 'x');
    const auto [out, err] = co_await process.communicate(input);
    BOOST_TEST((*out == input));
    BOOST_TEST((*err == input));
    BOOST_TEST(process.returncode().value() == 0);
  });
}

BOOST_AUTO_TEST_CASE(r188_communicate_closes_stdin_also_without_input) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec("cat", all_pipes);
    const auto [out, err] = co_await process.communicate();
    BOOST_TEST(*out == "");
    BOOST_TEST(*err == "");
  });
}

BOOST_AUTO_TEST_CASE(r188_the_child_sees_the_end_of_its_input_whatever_it_inherits) {
  run_silently([]() -> Coroutine<> {
    const SubprocessOptions options{
        .stdin = PIPE, .stdout = PIPE, .stderr = PIPE, .close_fds = false};
    for (const std::string input : {"abc", ""}) {
      const Process process = co_await create_subprocess_exec("wc", "-c", options);
      const auto [out, err] = co_await process.communicate(input);
      BOOST_TEST(*out == std::to_string(input.size()) + "\n");
      BOOST_TEST(*err == "");
      BOOST_TEST(process.returncode().value() == 0);
    }
  });
}

BOOST_AUTO_TEST_CASE(r188_communicate_ignores_that_the_child_does_not_read) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_shell("echo done", all_pipes);
    const std::string input(10'000'000, 'x');
    const auto [out, err] = co_await process.communicate(input);
    BOOST_TEST(*out == "done\n");
    BOOST_TEST(process.returncode().value() == 0);
  });
}

BOOST_AUTO_TEST_CASE(drain_throws_when_the_child_does_not_read) {
  run_silently([]() -> Coroutine<> {
    const Process process =
        co_await create_subprocess_shell("read line; exit 0", SubprocessOptions{.stdin = PIPE});
    process.stdin->write("line\n" + std::string(10'000'000, 'x'));
    const std::string error = co_await error_of(process.stdin->drain());
    BOOST_TEST(error == "BrokenPipeError()");
    const std::string again = co_await error_of(process.stdin->drain());
    BOOST_TEST(again == "ConnectionResetError('Connection lost')");
    const std::string closed = co_await error_of(process.stdin->wait_closed());
    BOOST_TEST(closed == "BrokenPipeError()");
    const int code = co_await process.wait();
    BOOST_TEST(code == 0);
  });
}

BOOST_AUTO_TEST_CASE(sp8_signals) {
  run_silently([]() -> Coroutine<> {
    const Process killed = co_await create_subprocess_exec("sleep", "100");
    killed.kill();
    const int kill_code = co_await killed.wait();
    BOOST_TEST(kill_code == -SIGKILL);
    const Process terminated = co_await create_subprocess_exec("sleep", "100");
    terminated.terminate();
    const int terminate_code = co_await terminated.wait();
    BOOST_TEST(terminate_code == -SIGTERM);
    const Process hung_up = co_await create_subprocess_exec("sleep", "100", all_pipes);
    hung_up.send_signal(SIGHUP);
    const int hup_code = co_await hung_up.wait();
    BOOST_TEST(hup_code == -SIGHUP);
    co_await asyncio::sleep(0);
    co_await asyncio::sleep(0);
    const auto late = [&]() -> Coroutine<> {
      killed.kill();
      co_return;
    };
    const std::string error = co_await error_of(late());
    BOOST_TEST(error == "ProcessLookupError()");
  });
}

BOOST_AUTO_TEST_CASE(r185_wait_resolves_on_exit_alone) {
  run_silently([]() -> Coroutine<> {
    // The grandchild has the child's stdout, and lives on.
    const Process process = co_await create_subprocess_shell(
        "sleep 100 & echo $!; exit 5", SubprocessOptions{.stdin = DEVNULL, .stdout = PIPE});
    const Bytes grandchild = co_await process.stdout->readline();
    const int code = co_await process.wait();
    BOOST_TEST(code == 5);
    BOOST_TEST(!process.stdout->at_eof());
    ::kill(std::stoi(grandchild), SIGKILL);
    const Bytes rest = co_await process.stdout->read();
    BOOST_TEST(rest == "");
  });
}

BOOST_AUTO_TEST_CASE(several_may_wait_and_one_may_give_up) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec("cat", all_pipes);
    const Task<int> first = create_task(process.wait());
    const Task<int> second = create_task(process.wait());
    const Task<int> third = create_task(process.wait());
    co_await asyncio::sleep(0);
    first.cancel();
    process.stdin->close();
    const int code = co_await second;
    const int same = co_await third;
    BOOST_TEST(code == 0);
    BOOST_TEST(same == 0);
    BOOST_TEST(first.cancelled());
    const int at_once = co_await process.wait();
    BOOST_TEST(at_once == 0);
  });
}

BOOST_AUTO_TEST_CASE(communicate_may_be_given_up_and_the_child_goes_on) {
  const socket_tests::Folder folder;
  const std::string name = folder / "fifo";
  BOOST_TEST_REQUIRE(::mkfifo(name.c_str(), 0600) == 0);
  FileDescriptor fifo(::open(name.c_str(), O_RDWR | O_CLOEXEC));
  run_silently([&]() -> Coroutine<> {
    const Process process =
        co_await create_subprocess_exec("cat", name, SubprocessOptions{.stdout = PIPE});
    auto communicate = create_task(process.communicate());
    for (int i = 0; i != 3; ++i) co_await asyncio::sleep(0);
    communicate.cancel();
    const std::string error = co_await error_of(communicate);
    BOOST_TEST(error == "CancelledError()");
    BOOST_TEST(::write(fifo.fileno(), "still here\n", 11) == 11);
    const Bytes line = co_await process.stdout->readline();
    BOOST_TEST(line == "still here\n");
    fifo.close();
    const auto [rest, err] = co_await process.communicate();
    BOOST_TEST(rest->empty());
    BOOST_TEST(process.returncode().value() == 0);
  });
}

BOOST_AUTO_TEST_CASE(the_limit_is_that_of_the_readers) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec(
        "echo", "0123456789", SubprocessOptions{.stdout = PIPE, .limit = 4});
    const std::string error = co_await error_of(process.stdout->readuntil("\n"));
    BOOST_TEST(error.starts_with("LimitOverrunError("));
    co_await process.communicate();
  });
}

BOOST_AUTO_TEST_CASE(a_reader_that_nobody_reads_pauses_the_child) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec(
        "head", "-c", "10000000", "/dev/zero", SubprocessOptions{.stdout = PIPE, .limit = 1024});
    const Bytes first = co_await process.stdout->readexactly(1);
    for (int i = 0; i != 100; ++i) co_await asyncio::sleep(0);
    BOOST_TEST(to_string(*process.stdout).find("paused") != std::string::npos);
    const auto [rest, err] = co_await process.communicate();
    BOOST_TEST(rest->size() == 9'999'999u);
  });
}

BOOST_AUTO_TEST_CASE(errors_of_exec_are_thrown) {
  run_silently([]() -> Coroutine<> {
    const std::string error = co_await error_of(create_subprocess_exec("/nonexistent"));
    BOOST_TEST(error == "FileNotFoundError(2, \"No such file or directory: '/nonexistent'\")");
    const Process shell =
        co_await create_subprocess_shell("/nonexistent", SubprocessOptions{.stderr = DEVNULL});
    const int code = co_await shell.wait();
    BOOST_TEST(code == 127);
  });
}

BOOST_AUTO_TEST_CASE(a_timeout_can_end_the_waiting_and_then_the_child) {
  run_silently([]() -> Coroutine<> {
    const Process process = co_await create_subprocess_exec("sleep", "100");
    const std::string error = co_await error_of(asyncio::wait_for(process.wait(), 0.001));
    BOOST_TEST(error == "TimeoutError()");
    process.kill();
    const int code = co_await process.wait();
    BOOST_TEST(code == -SIGKILL);
  });
}

BOOST_AUTO_TEST_CASE(cancelled_while_it_starts_no_child_is_left) {
  run_silently([]() -> Coroutine<> {
    for (int passes = 0; passes != 10; ++passes) {
      auto task = create_task(create_subprocess_exec("cat", all_pipes));
      for (int i = 0; i != passes; ++i) co_await asyncio::sleep(0);
      const bool running = task.cancel();
      const std::string error = co_await error_of(task);
      BOOST_TEST(error == (running ? "CancelledError()" : "None"));
      if (running) continue;
      const Process process = task.result();
      process.kill();
      co_await process.wait();
    }
    for (int i = 0; i != 10; ++i) co_await asyncio::sleep(0);
  });
}

BOOST_AUTO_TEST_CASE(the_handle_may_be_dropped_and_the_child_goes_on) {
  auto [in, out] = FileDescriptor::pipe();
  int pid = 0;
  {
    EventLoop loop;
    auto start = [&]() -> Coroutine<> {
      const Process process = co_await create_subprocess_exec(
          "cat", SubprocessOptions{.stdin = PIPE, .stdout = out, .stderr = PIPE});
      process.stdin->write("kept");
      pid = process.pid;
    };
    loop.run_until_complete(start());
    loop.run_until_complete(asyncio::sleep(0));
    char text[4];
    BOOST_REQUIRE(::read(in.fileno(), text, 4) == 4);
    BOOST_TEST(std::string(text, 4) == "kept");
    BOOST_TEST(::kill(pid, 0) == 0);
  }
  while (::kill(pid, 0) == 0) ::usleep(0);  // killed with the loop
  BOOST_TEST(::waitpid(pid, nullptr, 0) == -1);
}

BOOST_AUTO_TEST_CASE(the_loop_may_end_while_children_run) {
  for (int passes = 0; passes != 14; ++passes) {
    EventLoop loop;
    auto body = [&]() -> Coroutine<> {
      const Process process = co_await create_subprocess_exec("cat", all_pipes);
      process.stdin->write(std::string(1'000'000, 'x'));
      co_await process.communicate("never ends");
    };
    loop.create_task(body());
    for (int i = 0; i != passes; ++i) {
      loop.stop();
      loop.run_forever();
    }
    const CapturedLog log;
    loop.close();
  }
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) ::usleep(0);
  BOOST_TEST(errno == ECHILD);
}

BOOST_AUTO_TEST_CASE(a_process_whose_loop_is_closed_is_waited_for_by_nobody) {
  const auto start = []() -> Coroutine<Process> {
    co_return co_await create_subprocess_exec("sleep", "1000");
  };
  const Process process = asyncio::run(start());
  BOOST_TEST(thrown_by([&] { asyncio::run(process.wait()); }) ==
             "RuntimeError('Event loop is closed')");
}

BOOST_AUTO_TEST_CASE(a_process_whose_loop_is_closed_has_no_pipes) {
  const auto start = []() -> Coroutine<Process> {
    const Process process = co_await create_subprocess_exec(
        "sh", "-c", "exec sleep 1000 1>&-", SubprocessOptions{.stdout = PIPE});
    const Bytes nothing = co_await process.stdout->read();
    BOOST_TEST(nothing == "");
    co_return process;
  };
  const Process process = asyncio::run(start());
  BOOST_TEST(thrown_by([&] { asyncio::run(process.communicate()); }) ==
             "RuntimeError('Event loop is closed')");
}

BOOST_AUTO_TEST_SUITE_END()
