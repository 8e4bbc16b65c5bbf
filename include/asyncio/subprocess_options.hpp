// SPDX-License-Identifier: BSL-1.0
// What a child process is started with (surface A21). POSIX.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asyncio/constants.hpp>
#include <asyncio/detail/compiler.hpp>
#include <asyncio/pipes.hpp>

namespace asyncio::inline v1 {

namespace subprocess {

/// What a standard stream of a child is: PIPE, DEVNULL, STDOUT, INHERIT, or a descriptor, of which
/// the child gets a copy.
class Stdio {
 public:
  enum class Kind : unsigned char { unset, inherit, pipe, devnull, as_stdout, descriptor };

  /// Left to the function: a pipe for loop.subprocess_exec and subprocess_shell, ours for
  /// create_subprocess_exec and create_subprocess_shell.
  constexpr Stdio() noexcept = default;
  constexpr explicit Stdio(Kind kind) noexcept : kind_(kind) {}
  constexpr Stdio(int descriptor) noexcept : kind_(Kind::descriptor), descriptor_(descriptor) {}
  /// It stays the caller's, and must be open until the function that is given it returns.
  Stdio(const FileDescriptor& descriptor) noexcept : Stdio(descriptor.fileno()) {}

  constexpr Kind kind() const noexcept { return kind_; }
  constexpr int descriptor() const noexcept { return descriptor_; }

 private:
  Kind kind_ = Kind::unset;
  int descriptor_ = -1;
};

/// A new pipe, the other end of which is ours.
inline constexpr Stdio PIPE{Stdio::Kind::pipe};
/// /dev/null.
inline constexpr Stdio DEVNULL{Stdio::Kind::devnull};
/// For stderr: the same as the child's stdout.
inline constexpr Stdio STDOUT{Stdio::Kind::as_stdout};
/// Ours. Python: None.
inline constexpr Stdio INHERIT{Stdio::Kind::inherit};

using Environment = std::unordered_map<std::string, std::string>;

/// What a transport tells of its child: get_extra_info(asyncio::popen). Python: subprocess.Popen.
struct Popen {
  int pid = 0;
  std::vector<std::string> args;
  std::optional<int> returncode;
};

}  // namespace subprocess

/// Options of subprocess_exec, subprocess_shell, create_subprocess_exec and
/// create_subprocess_shell. What they refer to must live until the function returns.
struct SubprocessOptions {
  subprocess::Stdio stdin{};
  subprocess::Stdio stdout{};
  subprocess::Stdio stderr{};
  /// The child's whole environment; its PATH is where the program is looked for. Null: ours.
  const subprocess::Environment* env = nullptr;
  std::string_view cwd{};  ///< the child's directory; empty: ours
  /// Descriptors that the child gets, under the same numbers. Above 2 it gets no others.
  std::span<const int> pass_fds{};
  bool close_fds = true;           ///< false, without pass_fds: also those that are inheritable
  bool restore_signals = true;     ///< SIGPIPE and SIGXFSZ have their default action in the child
  bool start_new_session = false;  ///< setsid()
  std::optional<int> process_group{};  ///< setpgid(); 0: a group of its own
  std::optional<unsigned> user{};      ///< setreuid(); a name's number is getpwnam()'s
  std::optional<unsigned> group{};     ///< setregid()
  std::optional<std::span<const unsigned>> extra_groups{};  ///< setgroups(); empty: none
  int umask = -1;                                           ///< negative: ours
  /// The program that is run, if not the first argument, which is then only its name; in a command
  /// line, another shell.
  std::string_view executable{};
  /// Of the StreamReaders of create_subprocess_exec and create_subprocess_shell.
  std::ptrdiff_t limit = constants::stream_limit;
};
static_assert(detail::require_inline_options<SubprocessOptions>());

namespace detail {

/// A program with its arguments, and the options, where they all stand in one list.
struct Command {
  std::vector<std::string> arguments;
  SubprocessOptions options{};
};

template <class T>
concept command_part =
    std::convertible_to<const T&, std::string_view> || std::same_as<T, SubprocessOptions>;

template <class... Parts>
Command make_command(std::string_view program, const Parts&... parts) {
  Command command{{std::string(program)}};
  [[maybe_unused]] const auto add = [&]<class T>(const T& part) {  // unless there are none
    if constexpr (std::same_as<T, SubprocessOptions>)
      command.options = part;
    else
      command.arguments.emplace_back(std::string_view(part));
  };
  (add(parts), ...);
  return command;
}

}  // namespace detail
}  // namespace asyncio::inline v1
