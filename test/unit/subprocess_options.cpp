// SPDX-License-Identifier: BSL-1.0
// What children are started with, and why they are not (surface A21).
#include <asyncio/subprocess_options.hpp>

#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child_fixture.hpp"

using namespace child_tests;

BOOST_AUTO_TEST_SUITE(subprocess_options_tests)

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
  const std::vector<int> negative{-1};
  BOOST_TEST(error_of("true", SubprocessOptions{.pass_fds = negative}) ==
             "ValueError('bad value(s) in fds_to_keep')");
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
  const auto transport =
      start("sleep", "100", SubprocessOptions{.stdin = DEVNULL, .stderr = STDOUT});
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
    return loop.subprocess_shell(factory(), "echo $A; pwd; cat",
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
  const SubprocessOptions both{.pass_fds = numbers, .close_fds = false};
  BOOST_TEST((open_in_child(both) == std::pair(false, true)));
}

BOOST_FIXTURE_TEST_CASE(a_standard_stream_that_is_passed_is_inherited_in_any_case, Child) {
  const std::vector<int> numbers{STDERR_FILENO};
  const std::string is_open = "test -e /proc/$$/fd/2 && echo open";
  const int flags = ::fcntl(STDERR_FILENO, F_GETFD);
  ::fcntl(STDERR_FILENO, F_SETFD, FD_CLOEXEC);
  const std::string inherited = output_of(is_open, {.stderr = INHERIT});
  const std::string passed = output_of(is_open, {.stderr = INHERIT, .pass_fds = numbers});
  ::fcntl(STDERR_FILENO, F_SETFD, flags);
  BOOST_TEST(inherited == "");
  BOOST_TEST(passed == "open\n");
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

BOOST_FIXTURE_TEST_CASE(the_umask_is_the_one_asked_for, Child) {
  const mode_t ours = ::umask(022);
  BOOST_TEST(output_of("umask", {.umask = 027}) == "0027\n");
  BOOST_TEST(output_of("umask", {}) == "0022\n");
  ::umask(ours);
}

// Only root may become somebody else; anybody may become what he is.
BOOST_FIXTURE_TEST_CASE(user_and_groups_are_those_asked_for, Child) {
  const bool is_root = ::geteuid() == 0;
  const unsigned user = is_root ? 65534 : ::geteuid();
  const unsigned group = is_root ? 65533 : ::getegid();
  const std::vector<unsigned> extra{65533, 65532};
  SubprocessOptions options{.user = user, .group = group};
  if (is_root) options.extra_groups = extra;
  const std::string ids = std::to_string(user) + "\n" + std::to_string(group) + "\n";
  const std::string text = output_of("id -u; id -g; id -G", options);
  BOOST_TEST(text.starts_with(ids));
  if (is_root) {
    BOOST_TEST(text == ids + "65533 65532\n");
    const SubprocessOptions alone{.group = 65533, .extra_groups = std::span<const unsigned>()};
    BOOST_TEST(output_of("id -G", alone) == "65533\n");
  } else {
    BOOST_TEST(error_of("true", SubprocessOptions{.extra_groups = extra}) ==
               "PermissionError(1, 'Operation not permitted')");
  }
}

BOOST_FIXTURE_TEST_CASE(the_program_may_be_another_than_its_name, Child) {
  BOOST_TEST(output_of("echo $0", {.executable = "sh"}) == "sh\n");  // a shell goes by that
  BOOST_TEST(error_of("true", SubprocessOptions{.executable = "/nonexistent"}) ==
             "FileNotFoundError(2, \"No such file or directory: '/nonexistent'\")");
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

BOOST_AUTO_TEST_SUITE_END()
