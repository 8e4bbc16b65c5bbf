// SPDX-License-Identifier: BSL-1.0
//
// The registry of loggers, formatting, and the lines on stderr.
#include <asyncio/logging.hpp>

#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <time.h>

#include <asyncio/bytes.hpp>
#include <asyncio/exceptions.hpp>

namespace asyncio::inline v1 {

namespace {

// ---- loggers ----------------------------------------------------------------------------------

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<detail::LoggerNode>, std::less<>> nodes;
};

// Never destroyed: destructors of static objects log too.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

// With the registry locked.
LogLevel inherited_level(const Registry& loggers, std::string_view name) {
  for (auto dot = name.rfind('.'); dot != name.npos; dot = name.rfind('.')) {
    name = name.substr(0, dot);
    const auto parent = loggers.nodes.find(name);
    if (parent != loggers.nodes.end() && parent->second->own_level != LogLevel::notset) {
      return parent->second->own_level;
    }
  }
  return detail::root_logger().own_level;
}

void update_level(const Registry& loggers, detail::LoggerNode& node) {
  const LogLevel level =
      node.own_level != LogLevel::notset ? node.own_level : inherited_level(loggers, node.name);
  node.effective_level.store(static_cast<int>(level), std::memory_order_relaxed);
}

// ---- formatting -------------------------------------------------------------------------------

std::string format_message(std::string_view format, const detail::LogArgument* next,
                           std::size_t count) {
  if (count == 0) return std::string(format);
  const detail::LogArgument* const end = next + count;
  std::string out;
  while (!format.empty()) {
    const std::string_view pair = format.substr(0, 2);
    std::size_t taken = 2;
    if (pair == "{{") {
      out += '{';
    } else if (pair == "}}") {
      out += '}';
    } else if (pair == "{}" && next != end) {
      next++->append_to(out);
    } else {
      out += format.front();
      taken = 1;
    }
    format.remove_prefix(taken);
  }
  return out;
}

// ---- the console ------------------------------------------------------------------------------

struct Console {
  std::mutex mutex;
  std::optional<std::string> format;  // what basic_config() asked for
};

Console& console() {
  static Console& instance = *new Console;
  return instance;
}

// Python's default form: 2025-01-31 12:00:00,123.
std::string local_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts{};
  localtime_r(&now.tv_sec, &parts);
  char seconds[32];
  std::strftime(seconds, sizeof seconds, "%Y-%m-%d %H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof text, "%s,%03d", seconds, static_cast<int>(now.tv_nsec / 1'000'000));
  return text;
}

std::string format_line(std::string_view format, const LogRecord& record) {
  std::string out;
  const auto take = [&](std::string_view field) {
    if (!format.starts_with(field)) return false;
    format.remove_prefix(field.size());
    return true;
  };
  while (!format.empty()) {
    if (take("%(message)s")) {
      out += record.message;
    } else if (take("%(name)s")) {
      out += record.name;
    } else if (take("%(levelname)s")) {
      out += level_name(record.level);
    } else if (take("%(asctime)s")) {
      out += local_time();
    } else if (take("%%")) {
      out += '%';
    } else {
      out += format.front();
      format.remove_prefix(1);
    }
  }
  return out;
}

// One call per line, so that lines of several threads and processes do not mix.
void write_line(std::string line) {
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

void write_to_console(const LogRecord& record) {
  Console& out = console();
  const std::lock_guard lock(out.mutex);
  if (out.format) {
    write_line(format_line(*out.format, record));
  } else if (record.level >= LogLevel::warning) {
    write_line(std::string(record.message));
  }
}

// ---- the sink ---------------------------------------------------------------------------------

using Sink = std::function<void(const LogRecord&)>;

struct SinkSlot {
  std::mutex mutex;
  std::shared_ptr<const Sink> sink;  // null: the default sink
};

SinkSlot& sink_slot() {
  static SinkSlot& instance = *new SinkSlot;
  return instance;
}

void emit(const LogRecord& record) {
  std::shared_ptr<const Sink> sink;
  {
    SinkSlot& slot = sink_slot();
    const std::lock_guard lock(slot.mutex);
    sink = slot.sink;
  }
  if (sink) {
    (*sink)(record);
  } else if (!detail::offer_to_boost_log(record)) {
    write_to_console(record);
  }
}

}  // namespace

namespace detail {

LoggerNode& root_logger() noexcept {
  static LoggerNode& root =
      *new LoggerNode{"root", static_cast<int>(LogLevel::warning), LogLevel::warning};
  return root;
}

void LogArgument::append_text(std::string& out, const void* text) {
  out += text ? static_cast<const char*>(text) : "None";
}

void LogArgument::append_float(std::string& out, double value) { out += repr_float(value); }

void LogArgument::append_signed(std::string& out, std::int64_t value) {
  out += std::to_string(value);
}

void LogArgument::append_unsigned(std::string& out, std::uint64_t value) {
  out += std::to_string(value);
}

void LogArgument::append_exception(std::string& out, const std::exception_ptr& error) {
  out += to_string(error);
}

void log(const LoggerNode& logger, LogLevel level, std::string_view format,
         const LogArgument* arguments, std::size_t count) {
  std::string message;
  try {
    message = format_message(format, arguments, count);
    emit({logger.name, level, message});
  } catch (const BaseException&) {
    throw;
  } catch (...) {
    write_line("--- Logging error ---\n" + repr(std::current_exception()) +
               "\nMessage: " + repr_str(message.empty() ? format : message));
  }
}

}  // namespace detail

void Logger::set_level(LogLevel level) const {
  Registry& loggers = registry();
  const std::lock_guard lock(loggers.mutex);
  node_->own_level = level;
  detail::LoggerNode& root = detail::root_logger();
  root.effective_level.store(static_cast<int>(root.own_level), std::memory_order_relaxed);
  for (const auto& entry : loggers.nodes) update_level(loggers, *entry.second);
}

Logger get_logger(std::string_view name) {
  if (name.empty() || name == "root") return Logger();
  Registry& loggers = registry();
  const std::lock_guard lock(loggers.mutex);
  if (const auto found = loggers.nodes.find(name); found != loggers.nodes.end()) {
    return Logger(*found->second);
  }
  std::unique_ptr<detail::LoggerNode> node(
      new detail::LoggerNode{std::string(name), 0, LogLevel::notset});
  update_level(loggers, *node);
  return Logger(*loggers.nodes.emplace(name, std::move(node)).first->second);
}

std::string_view level_name(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::notset:
      return "NOTSET";
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warning:
      return "WARNING";
    case LogLevel::error:
      return "ERROR";
    case LogLevel::critical:
      return "CRITICAL";
  }
  return "";
}

void set_log_sink(std::function<void(const LogRecord&)> sink) {
  std::shared_ptr<const Sink> replacement;
  if (sink) replacement = std::make_shared<const Sink>(std::move(sink));
  SinkSlot& slot = sink_slot();
  const std::lock_guard lock(slot.mutex);
  slot.sink.swap(replacement);
}

void basic_config(BasicConfig config) {
  {
    Console& out = console();
    const std::lock_guard lock(out.mutex);
    if (out.format && !config.force) return;
    out.format = std::string(config.format);
  }
  if (config.level != LogLevel::notset) Logger().set_level(config.level);
}

}  // namespace asyncio::inline v1
