// SPDX-License-Identifier: BSL-1.0
// Starting a child process.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef __linux__
#include <grp.h>
#endif

#include <algorithm>
#include <asyncio/exceptions.hpp>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "child_process.hpp"

extern char** environ;

namespace asyncio::inline v1::detail {

namespace {

using subprocess::Stdio;

constexpr std::string_view default_path = "/bin:/usr/bin";  // Python's os.defpath

/// A copy above the numbers of the standard streams: there dup2() to these never meets one that is
/// still needed. -1 and errno.
int copy_above_standard(int descriptor) noexcept {
  return ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

FileDescriptor above_standard(FileDescriptor descriptor) {
  if (descriptor.fileno() > STDERR_FILENO) return descriptor;
  FileDescriptor copy(copy_above_standard(descriptor.fileno()));
  if (!copy) throw_os_error(errno);
  return copy;
}

FileDescriptor open_devnull() {
  FileDescriptor device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!device) throw_os_error(errno, std::generic_category().message(errno) + ": '/dev/null'");
  return above_standard(std::move(device));
}

/// Where a program may be: in the directories of PATH, unless its name has a slash.
std::vector<std::string> places_of(const std::string& program, std::string_view path) {
  if (program.find('/') != program.npos) return {program};
  std::vector<std::string> places;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    std::string place(path.substr(begin, end - begin));
    if (!place.empty() && !place.ends_with('/')) place += '/';
    places.push_back(place + program);
    begin = end + 1;
  }
  return places;
}

std::string_view path_of(const std::optional<subprocess::Environment>& environment) {
  if (environment) {
    const auto place = environment->find("PATH");
    return place == environment->end() ? default_path : std::string_view(place->second);
  }
  const char* const path = std::getenv("PATH");
  return path ? path : default_path;
}

void check_text(std::string_view text) {
  if (text.find('\0') != text.npos) throw ValueError("embedded null byte");
}

/// NAME=value
std::vector<std::string> to_lines(const subprocess::Environment& environment) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : environment) {
    if (name.empty() || name.find('=') != name.npos)
      throw ValueError("illegal environment variable name");
    lines.push_back(name + '=' + value);
    check_text(lines.back());
  }
  std::sort(lines.begin(), lines.end());  // no two runs differ in what the child sees
  return lines;
}

void check(const ChildRequest& request) {
  if (request.arguments.empty()) throw ValueError("no program was given");
  for (const std::string& argument : request.arguments) check_text(argument);
  check_text(request.program);
  check_text(request.directory);
  for (const int number : {STDIN_FILENO, STDOUT_FILENO}) {
    if (request.streams[static_cast<std::size_t>(number)].kind() == Stdio::Kind::as_stdout)
      throw ValueError("STDOUT can only be used for stderr");
  }
  if (request.copy_error != 0) throw_os_error(request.copy_error);
  // A number that is free now might become that of the report, which must not be passed on.
  for (const int number : request.pass_fds) {
    if (number < 0) throw ValueError("bad value(s) in fds_to_keep");
    if (::fcntl(number, F_GETFD) < 0) throw_os_error(errno);
  }
}

/// As exec wants them: the texts and a null pointer.
std::vector<char*> to_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// -- in the child, until exec

enum class Step { prepare, directory, execute };

/// What the child says if it does not get as far as the program.
struct Failure {
  Step step;
  int error;
};

constexpr int as_stdout = -2;

/// All that the child needs, ready made: it may share our memory, and has only one thread of ours.
struct Plan {
  int sources[3];  // -1: inherited
  int report;      // where a Failure is written to
  const ChildRequest* request;
  const char* directory;  // null: ours
  char* const* programs;
  char* const* arguments;
  char* const* environment;
  long most_descriptors;
  sigset_t mask;
};

[[noreturn]] void fail(const Plan& plan, Step step) noexcept {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t written = ::write(plan.report, &failure, sizeof failure);
  ::_exit(255);
}

/// Every descriptor beyond the standard ones will be closed by exec; until then the report is open.
void close_on_exec(long most_descriptors) noexcept {
#ifdef SYS_close_range
  constexpr unsigned on_exec = 1u << 2;  // CLOSE_RANGE_CLOEXEC
  if (::syscall(SYS_close_range, STDERR_FILENO + 1u, ~0u, on_exec) == 0) return;
#endif
  for (int number = STDERR_FILENO + 1; number < most_descriptors; ++number)
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
}

/// No handler of ours may run in the child, which may share our memory.
void reset_signal_handlers() noexcept {
  struct sigaction action;
  for (int number = 1; number < NSIG; ++number) {
    if (::sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL) ::signal(number, SIG_DFL);
  }
}

bool changes_identity(const ChildRequest& request) noexcept {
  return request.user || request.group || request.extra_groups;
}

/// The kernel's own calls where they are: the C library's would tell all threads of ours. False and
/// errno.
bool change_identity(const ChildRequest& request) noexcept {
  static_assert(sizeof(unsigned) == sizeof(gid_t) && sizeof(unsigned) == sizeof(uid_t));
  const auto& groups = request.extra_groups;
#ifdef __linux__
  return (!groups || ::syscall(SYS_setgroups, groups->size(), groups->data()) == 0) &&
         (!request.group || ::syscall(SYS_setregid, *request.group, *request.group) == 0) &&
         (!request.user || ::syscall(SYS_setreuid, *request.user, *request.user) == 0);
#else
  return (!groups || ::setgroups(static_cast<int>(groups->size()), groups->data()) == 0) &&
         (!request.group || ::setregid(*request.group, *request.group) == 0) &&
         (!request.user || ::setreuid(*request.user, *request.user) == 0);
#endif
}

/// Only async-signal-safe calls.
[[noreturn]] void run_child(const Plan& plan) noexcept {
  const ChildRequest& request = *plan.request;
  for (int number = 0; number != 3; ++number) {
    const int source = plan.sources[number] == as_stdout ? STDOUT_FILENO : plan.sources[number];
    if (source >= 0 && ::dup2(source, number) < 0) fail(plan, Step::prepare);
  }
  if (request.close_fds) close_on_exec(plan.most_descriptors);
  for (const int number : request.pass_fds)
    if (::fcntl(number, F_SETFD, 0) < 0) fail(plan, Step::prepare);
  if (plan.directory && ::chdir(plan.directory) != 0) fail(plan, Step::directory);
  if (request.umask >= 0) ::umask(static_cast<mode_t>(request.umask));
  reset_signal_handlers();
  if (request.restore_signals) {
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGXFSZ, SIG_DFL);
  }
  if (request.start_new_session && ::setsid() < 0) fail(plan, Step::prepare);
  if (request.process_group && ::setpgid(0, *request.process_group) != 0) fail(plan, Step::prepare);
  if (!change_identity(request)) fail(plan, Step::prepare);
  ::pthread_sigmask(SIG_SETMASK, &plan.mask, nullptr);

  int telling = 0;  // of the first place where there is something that cannot be run
  for (char* const* program = plan.programs; *program; ++program) {
    ::execve(*program, plan.arguments, plan.environment);
    if (telling == 0 && errno != ENOENT && errno != ENOTDIR) telling = errno;
  }
  if (telling != 0) errno = telling;
  fail(plan, Step::execute);
}

/// -1 and errno. vfork: the child borrows our memory until exec, however much it is; not one that
/// becomes another user, who could look at that memory then. Nothing but the child runs in this
/// thread meanwhile, also no signal handler.
pid_t fork_child(Plan& plan) noexcept {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &plan.mask);
  const pid_t pid = changes_identity(*plan.request) ? ::fork() : ::vfork();
  if (pid == 0) run_child(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &plan.mask, nullptr);
  errno = error;
  return pid;
}

// -- here again

/// What the child has to say; nothing once its program runs.
std::optional<Failure> read_report(const FileDescriptor& report) {
  Failure failure;
  ssize_t size;
  do {
    size = ::read(report.fileno(), &failure, sizeof failure);
  } while (size < 0 && errno == EINTR);
  if (size != sizeof failure) return std::nullopt;
  return failure;
}

[[noreturn]] void throw_failure(const Failure& failure, const ChildRequest& request) {
  std::string text = std::generic_category().message(failure.error);
  if (failure.step == Step::directory) text += ": " + repr_str(request.directory);
  if (failure.step == Step::execute) text += ": " + repr_str(request.program);
  throw_os_error(failure.error, text);
}

}  // namespace

ChildRequest::ChildRequest(std::vector<std::string> argv, const SubprocessOptions& options,
                           Stdio usual)
    : arguments(std::move(argv)),
      program(!options.executable.empty() ? options.executable
              : arguments.empty()         ? std::string_view()
                                          : std::string_view(arguments[0])),
      directory(options.cwd),
      pass_fds(options.pass_fds.begin(), options.pass_fds.end()),
      streams{options.stdin, options.stdout, options.stderr},
      close_fds(options.close_fds || !pass_fds.empty()),
      restore_signals(options.restore_signals),
      start_new_session(options.start_new_session),
      process_group(options.process_group),
      user(options.user),
      group(options.group),
      umask(options.umask) {
  if (options.extra_groups)
    extra_groups.emplace(options.extra_groups->begin(), options.extra_groups->end());
  if (options.env) environment = *options.env;
  for (std::size_t number = 0; number != streams.size(); ++number) {
    Stdio& stream = streams[number];
    if (stream.kind() == Stdio::Kind::unset) stream = usual;
    if (stream.kind() != Stdio::Kind::descriptor) continue;
    descriptors[number] = FileDescriptor(copy_above_standard(stream.descriptor()));
    if (!descriptors[number]) copy_error = errno;
  }
}

StartedChild start_child(const ChildRequest& request) {
  check(request);
  StartedChild child;
  std::array<FileDescriptor, 3> ends;  // the child's
  Plan plan{};
  for (std::size_t number = 0; number != ends.size(); ++number) {
    plan.sources[number] = -1;
    switch (request.streams[number].kind()) {
      case Stdio::Kind::pipe: {
        auto [in, out] = FileDescriptor::pipe();
        const bool child_reads = number == STDIN_FILENO;
        child.pipes[number] = std::move(child_reads ? out : in);
        ends[number] = above_standard(std::move(child_reads ? in : out));
        plan.sources[number] = ends[number].fileno();
        break;
      }
      case Stdio::Kind::devnull:
        ends[number] = open_devnull();
        plan.sources[number] = ends[number].fileno();
        break;
      case Stdio::Kind::descriptor:
        plan.sources[number] = request.descriptors[number].fileno();
        break;
      case Stdio::Kind::as_stdout:
        plan.sources[number] = as_stdout;
        break;
      case Stdio::Kind::inherit:
      case Stdio::Kind::unset:
        break;
    }
  }
  auto [report, reported] = FileDescriptor::pipe();
  reported = above_standard(std::move(reported));
  const std::vector<std::string> places =
      places_of(request.program, path_of(request.environment));
  std::vector<std::string> variables;
  if (request.environment) variables = to_lines(*request.environment);
  const std::vector<char*> programs = to_pointers(places);
  const std::vector<char*> arguments = to_pointers(request.arguments);
  const std::vector<char*> environment = to_pointers(variables);
  plan.report = reported.fileno();
  plan.request = &request;
  plan.directory = request.directory.empty() ? nullptr : request.directory.c_str();
  plan.programs = programs.data();
  plan.arguments = arguments.data();
  plan.environment = request.environment ? environment.data() : environ;
  plan.most_descriptors = ::sysconf(_SC_OPEN_MAX);

  child.pid = fork_child(plan);
  if (child.pid < 0) throw_os_error(errno);
  reported.close();
  if (const std::optional<Failure> failure = read_report(report)) {
    while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {  // it has called _exit
    }
    throw_failure(*failure, request);
  }
  return child;
}

}  // namespace asyncio::inline v1::detail
