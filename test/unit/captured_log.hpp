// SPDX-License-Identifier: BSL-1.0
// For tests of what is logged.
#pragma once

#include <string>
#include <vector>

#include <asyncio/logging.hpp>

namespace unit_tests {

/// Keeps what is logged while it lives, instead of showing it.
class CapturedLog {
 public:
  struct Record {
    std::string name;
    asyncio::LogLevel level;
    std::string message;
  };

  CapturedLog() {
    asyncio::set_log_sink([this](const asyncio::LogRecord& record) {
      records.push_back({std::string(record.name), record.level, std::string(record.message)});
    });
  }
  /// With "asyncio" at this level.
  explicit CapturedLog(asyncio::LogLevel level) : CapturedLog() {
    asyncio::get_logger("asyncio").set_level(level);
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog() {
    asyncio::set_log_sink({});
    asyncio::get_logger("asyncio").set_level(asyncio::LogLevel::notset);
  }

  std::vector<std::string> messages() const {
    std::vector<std::string> texts;
    for (const Record& record : records) texts.push_back(record.message);
    return texts;
  }
  /// As "LEVEL:name:message".
  std::vector<std::string> lines() const {
    std::vector<std::string> texts;
    for (const auto& [name, level, message] : records)
      texts.push_back(std::string(level_name(level)) + ':' + name + ':' + message);
    return texts;
  }

  std::vector<Record> records;
};

}  // namespace unit_tests
