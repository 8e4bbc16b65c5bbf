// SPDX-License-Identifier: BSL-1.0
//
// Named loggers with levels, as Python's logging has them, as far as asyncio needs them.
//
// A call below the logger's level costs one relaxed atomic load. Above it the text is formatted and
// given to the sink. The default sink is Boost.Log: a program that has registered Boost.Log sinks
// finds the records there, with the attributes "Channel" (the logger's name), "Severity" (a
// boost::log::trivial::severity_level, CRITICAL being fatal) and "Message". A program that has
// registered none gets lines on stderr, as in Python: the bare text of what is WARNING or worse,
// or what basic_config() asks for.
//
// Everything here may be used from any thread.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

namespace asyncio::inline v1 {

enum class LogLevel {
  notset = 0,  // for set_level(): inherit
  debug = 10,
  info = 20,
  warning = 30,
  error = 40,
  critical = 50,
};

namespace detail {

// What all Logger handles of one name share. Lives for ever.
struct LoggerNode {
  std::string name;
  std::atomic<int> effective_level;
  LogLevel own_level;  // guarded by the registry's mutex
};

LoggerNode& root_logger() noexcept;

template <class T>
concept has_to_string = requires(const T& value) {
  { to_string(value) } -> std::convertible_to<std::string>;
};

// One argument of a log call without its type. Refers to the caller's object.
class LogArgument {
 public:
  template <class T>
  LogArgument(const T& value) noexcept : value_(&value), append_(&append_value<T>) {}
  LogArgument(const char* text) noexcept : value_(text), append_(&append_text) {}

  void append_to(std::string& out) const { append_(out, value_); }

 private:
  using Append = void (*)(std::string& out, const void* value);

  template <class T>
  static void append_value(std::string& out, const void* erased) {
    const T& value = *static_cast<const T*>(erased);
    if constexpr (std::same_as<T, bool>) {
      out += value ? "True" : "False";
    } else if constexpr (std::same_as<T, char>) {
      out += value;
    } else if constexpr (std::is_floating_point_v<T>) {
      append_float(out, static_cast<double>(value));
    } else if constexpr (std::signed_integral<T>) {
      append_signed(out, value);
    } else if constexpr (std::unsigned_integral<T>) {
      append_unsigned(out, value);
    } else if constexpr (std::same_as<T, std::exception_ptr>) {
      append_exception(out, value);
    } else if constexpr (std::same_as<T, char*>) {
      append_text(out, value);
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
      out += static_cast<std::string_view>(value);
    } else {
      static_assert(has_to_string<T>, "a log argument needs a to_string() found by its type");
      out += to_string(value);
    }
  }
  static void append_text(std::string& out, const void* text);  // null: Python's None
  static void append_float(std::string& out, double value);
  static void append_signed(std::string& out, std::int64_t value);
  static void append_unsigned(std::string& out, std::uint64_t value);
  static void append_exception(std::string& out, const std::exception_ptr& error);

  const void* value_;
  Append append_;
};

void log(const LoggerNode& logger, LogLevel level, std::string_view format,
         const LogArgument* arguments, std::size_t count);

}  // namespace detail

// A handle to the logger of one name; copies are the same logger. The default one is the root.
//
// Texts are formats: each {} is replaced by the next argument, {{ and }} are braces. Without
// arguments the text is taken as it is. An argument is a string, a number, a bool (True), an
// exception_ptr (its str()) or anything with a to_string(). A {} without an argument stays, an
// argument without a {} is left out: a log call never fails for its format.
class Logger {
 public:
  Logger() noexcept : node_(&detail::root_logger()) {}

  template <class... Args>
  void debug(std::string_view format, const Args&... args) const {
    log(LogLevel::debug, format, args...);
  }
  template <class... Args>
  void info(std::string_view format, const Args&... args) const {
    log(LogLevel::info, format, args...);
  }
  template <class... Args>
  void warning(std::string_view format, const Args&... args) const {
    log(LogLevel::warning, format, args...);
  }
  template <class... Args>
  void error(std::string_view format, const Args&... args) const {
    log(LogLevel::error, format, args...);
  }
  template <class... Args>
  void critical(std::string_view format, const Args&... args) const {
    log(LogLevel::critical, format, args...);
  }
  template <class... Args>
  void log(LogLevel level, std::string_view format, const Args&... args) const {
    if (!is_enabled_for(level)) return;
    const std::array<detail::LogArgument, sizeof...(Args)> arguments{args...};
    detail::log(*node_, level, format, arguments.data(), arguments.size());
  }

  bool is_enabled_for(LogLevel level) const noexcept {
    return static_cast<int>(level) >= node_->effective_level.load(std::memory_order_relaxed);
  }
  // The least level that gets through. notset: that of the nearest parent ("a" for "a.b", the root
  // for "a") which has one; on the root: everything.
  void set_level(LogLevel level) const;
  LogLevel effective_level() const noexcept {
    return static_cast<LogLevel>(node_->effective_level.load(std::memory_order_relaxed));
  }
  const std::string& name() const noexcept { return node_->name; }

  friend bool operator==(const Logger&, const Logger&) noexcept = default;

 private:
  friend Logger get_logger(std::string_view name);
  explicit Logger(detail::LoggerNode& node) noexcept : node_(&node) {}

  detail::LoggerNode* node_;
};

// Python's logging.getLogger: the same logger for the same name; the root for "" and "root". A new
// logger inherits its level; the root's is WARNING. A logger is never destroyed: names are meant to
// be few, or at least bounded.
Logger get_logger(std::string_view name = {});

// What a sink is given. The views are valid during the call.
struct LogRecord {
  std::string_view name;
  LogLevel level;
  std::string_view message;
};

// Python's name of a level: "WARNING".
std::string_view level_name(LogLevel level) noexcept;

// Replaces the default sink; an empty function brings it back. Several threads may call the sink at
// once, and a call under way may still end after set_log_sink() has returned. An exception that the
// sink throws is shown on stderr and goes no further; a BaseException passes.
void set_log_sink(std::function<void(const LogRecord&)> sink);

struct BasicConfig {
  LogLevel level = LogLevel::notset;  // the root's new level; notset leaves it
  // %(name)s, %(message)s, %(levelname)s, %(asctime)s and %% are known.
  std::string_view format = "%(levelname)s:%(name)s:%(message)s";
  bool force = false;  // replace an earlier configuration
};
static_assert(std::is_trivially_copyable_v<BasicConfig>);

// Python's logging.basicConfig: how the lines on stderr look. Only the first call counts, unless
// forced.
void basic_config(BasicConfig config = {});

namespace detail {

// Boost.Log's side of the default sink: true if a sink of the program took the record or its
// filters refused it, false if the program has no Boost.Log sink.
bool offer_to_boost_log(const LogRecord& record);

}  // namespace detail

}  // namespace asyncio::inline v1
