// SPDX-License-Identifier: BSL-1.0
// Many children, and much data through their pipes: nothing is lost, nothing is left behind.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/asyncio.hpp>

#include "../unit/sanitized.hpp"

namespace {

using namespace asyncio;
using namespace asyncio::subprocess;

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Is there a child, running or a zombie?
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

struct Clean {
  const std::size_t before = open_descriptors();
  ~Clean() {
    BOOST_TEST(!has_children());
    BOOST_TEST(open_descriptors() == before);
  }
};

/// A block whose repetitions are not alike when a byte is missing.
std::string pattern() {
  std::string block(1 << 20, '\0');
  unsigned state = 12345;
  for (char& byte : block) {
    state = state * 1103515245 + 12345;
    byte = static_cast<char>(state >> 16);
  }
  return block;
}

/// The undefined behaviour sanitizer looks at an object's virtual table through a pipe, and calls the
/// object bad when it gets none.
boost::test_tools::assertion_result can_do_without_descriptors(boost::unit_test::test_unit_id) {
  boost::test_tools::assertion_result result(!address_sanitized);
  result.message() << "the sanitizer needs descriptors";
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(children_tests)

BOOST_FIXTURE_TEST_CASE(a_quarter_of_a_gibibyte_through_a_shell_pipeline, Clean) {
  constexpr int blocks = 256;
  const std::string block = pattern();
  boost::crc_32_type expected;
  for (int i = 0; i != blocks; ++i) expected.process_bytes(block.data(), block.size());

  const auto feed = [&](StreamWriter stdin) -> Coroutine<> {
    for (int i = 0; i != blocks; ++i) {
      stdin.write(block);
      co_await stdin.drain();
    }
    stdin.close();
  };
  const auto main = [&]() -> Coroutine<> {
    const Process process = co_await create_subprocess_shell(
        "cat | cat", SubprocessOptions{.stdin = PIPE, .stdout = PIPE});
    auto feeding = create_task(feed, *process.stdin);
    std::size_t size = 0;
    boost::crc_32_type sum;
    for (;;) {
      const Bytes data = co_await process.stdout->read(1 << 18);
      if (data.empty()) break;
      size += data.size();
      sum.process_bytes(data.data(), data.size());
    }
    co_await feeding;
    const int code = co_await process.wait();
    BOOST_TEST(code == 0);
    BOOST_TEST(size == blocks * block.size());
    BOOST_TEST(sum.checksum() == expected.checksum());
  };
  asyncio::run(main());
}

BOOST_FIXTURE_TEST_CASE(a_pipeline_of_two_processes_joined_by_a_pipe, Clean) {
  const auto main = []() -> Coroutine<> {
    auto [in, out] = FileDescriptor::pipe();
    const Process producer = co_await create_subprocess_exec("head", "-c", "50000000", "/dev/zero",
                                                             SubprocessOptions{.stdout = out});
    out.close();
    const Process consumer =
        co_await create_subprocess_exec("wc", "-c", SubprocessOptions{.stdin = in, .stdout = PIPE});
    in.close();
    const auto [count, nothing] = co_await consumer.communicate();
    BOOST_TEST(std::stoi(*count) == 50'000'000);
    const int code = co_await producer.wait();
    BOOST_TEST(code == 0);
  };
  asyncio::run(main());
}

BOOST_FIXTURE_TEST_CASE(a_thousand_short_children_in_a_row, Clean) {
  const auto main = []() -> Coroutine<> {
    int wrong = 0;
    for (int i = 0; i != 1000; ++i) {
      const Process process = co_await create_subprocess_exec("true");
      const int code = co_await process.wait();
      if (code != 0) ++wrong;
    }
    BOOST_TEST(wrong == 0);
  };
  asyncio::run(main());
}

BOOST_FIXTURE_TEST_CASE(a_hundred_children_at_once, Clean) {
  const auto one = [](int number) -> Coroutine<bool> {
    const Process process =
        co_await create_subprocess_exec("sh", "-c", "cat; exit " + std::to_string(number),
                                        SubprocessOptions{.stdin = PIPE, .stdout = PIPE});
    const std::string input(static_cast<std::size_t>(number) * 1000, 'x');
    const auto [out, err] = co_await process.communicate(input);
    co_return *out == input&& process.returncode() == number;
  };
  const auto main = [&]() -> Coroutine<> {
    std::vector<Coroutine<bool>> all;
    for (int number = 0; number != 100; ++number) all.push_back(one(number));
    auto together = gather(std::move(all));
    const std::vector<bool> right = co_await std::move(together);
    BOOST_TEST(std::count(right.begin(), right.end(), true) == 100);
  };
  asyncio::run(main());
}

BOOST_FIXTURE_TEST_CASE(a_child_whose_start_fails_leaves_nothing, Clean) {
  const auto main = []() -> Coroutine<> {
    int failed = 0;
    for (int i = 0; i != 200; ++i) {
      try {
        co_await create_subprocess_exec(
            "/nonexistent", SubprocessOptions{.stdin = PIPE, .stdout = PIPE, .stderr = PIPE});
      } catch (const FileNotFoundError&) {
        ++failed;
      }
    }
    BOOST_TEST(failed == 200);
  };
  asyncio::run(main());
}

BOOST_FIXTURE_TEST_CASE(without_a_free_descriptor_the_start_is_an_os_error, Clean,
                        *boost::unit_test::precondition(can_do_without_descriptors)) {
  const auto main = []() -> Coroutine<> {
    std::vector<FileDescriptor> taken;
    std::vector<std::string> errors;
    // First all but one number are taken, then all but two, ...: each step of the start fails once.
    for (;;) {
      FileDescriptor one(::dup(STDERR_FILENO));
      if (!one) break;
      ::fcntl(one.fileno(), F_SETFD, FD_CLOEXEC);
      taken.push_back(std::move(one));
    }
    bool started = false;
    while (!started) {
      taken.pop_back();
      std::exception_ptr error;
      try {
        const Process process = co_await create_subprocess_exec(
            "true", SubprocessOptions{.stdin = PIPE, .stdout = PIPE, .stderr = PIPE});
        co_await process.communicate();
        started = true;
      } catch (const OSError&) {
        error = std::current_exception();
      }
      if (error) errors.push_back(repr(error));
    }
    BOOST_TEST(errors.size() >= 6u);
    for (const std::string& error : errors)
      BOOST_TEST(error == "OSError(24, 'Too many open files')");
  };
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit lower{64, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &lower);
  asyncio::run(main());
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

BOOST_FIXTURE_TEST_CASE(a_loop_that_ends_takes_its_children_along, Clean) {
  std::vector<int> pids;
  {
    EventLoop loop;
    const auto start = [&]() -> Coroutine<> {
      const Process process = co_await create_subprocess_exec("sleep", "1000");
      pids.push_back(process.pid);
    };
    for (int i = 0; i != 50; ++i) loop.run_until_complete(start());
  }
  for (const int pid : pids)
    while (::kill(pid, 0) == 0) std::this_thread::yield();
}

BOOST_AUTO_TEST_SUITE_END()
