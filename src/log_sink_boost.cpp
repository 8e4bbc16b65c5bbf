// SPDX-License-Identifier: BSL-1.0
//
// The default log sink's door to Boost.Log. No other file knows Boost.Log.
#include <mutex>
#include <string>

#include <boost/log/attributes/attribute_value_set.hpp>
#include <boost/log/core/core.hpp>
#include <boost/log/core/record.hpp>
#include <boost/log/core/record_view.hpp>
#include <boost/log/keywords/channel.hpp>
#include <boost/log/keywords/severity.hpp>
#include <boost/log/sinks/sink.hpp>
#include <boost/log/sources/record_ostream.hpp>
#include <boost/log/sources/severity_channel_logger.hpp>
#include <boost/log/trivial.hpp>
#include <boost/smart_ptr/make_shared_object.hpp>

#include <asyncio/logging.hpp>

namespace asyncio::inline v1 {

namespace {

namespace logging = boost::log;
using logging::trivial::severity_level;
using BoostLogger = logging::sources::severity_channel_logger_mt<severity_level, std::string>;

severity_level severity(LogLevel level) {
  if (level >= LogLevel::critical) return severity_level::fatal;
  if (level >= LogLevel::error) return severity_level::error;
  if (level >= LogLevel::warning) return severity_level::warning;
  if (level >= LogLevel::info) return severity_level::info;
  return severity_level::debug;
}

// A sink that takes nothing. Boost.Log has a last resort of its own, which prints to stdout, and it
// steps in only while no sink is registered. With this one registered, a record that opens is one
// that a sink of the program wants.
class Refusal : public logging::sinks::sink {
 public:
  Refusal() : sink(false) {}
  bool will_consume(const logging::attribute_value_set&) override { return false; }
  void consume(const logging::record_view&) override {}
  void flush() override {}
};

struct Door {
  std::mutex mutex;
  BoostLogger logger;
  boost::shared_ptr<Refusal> refusal = boost::make_shared<Refusal>();

  logging::record open(const LogRecord& record) {
    return logger.open_record((logging::keywords::channel = std::string(record.name),
                               logging::keywords::severity = severity(record.level)));
  }

  // Registered for a moment only: Boost.Log's last resort is somebody else's, and would be silent
  // for good. (What another thread prints through it in that moment is not printed.)
  logging::record open_for_registered_sinks(const LogRecord& record) {
    const auto core = logging::core::get();
    core->add_sink(refusal);
    logging::record result;
    try {
      result = open(record);
    } catch (...) {
      core->remove_sink(refusal);
      throw;
    }
    core->remove_sink(refusal);
    return result;
  }
};

Door& door() {
  static Door& instance = *new Door;  // never destroyed: destructors of static objects log too
  return instance;
}

}  // namespace

bool detail::offer_to_boost_log(const LogRecord& record) {
  Door& boost_log = door();
  std::unique_lock lock(boost_log.mutex);
  if (logging::record accepted = boost_log.open_for_registered_sinks(record)) {
    lock.unlock();  // the program's sinks may log themselves
    logging::record_ostream stream(accepted);
    stream << record.message;
    stream.flush();
    boost_log.logger.push_record(boost::move(accepted));
    return true;
  }
  // Nobody wants it. If it still opens now, it is Boost.Log's last resort that would take it, so no
  // sink is registered; if not, the filters of the program refuse it.
  return !boost_log.open(record);
}

}  // namespace asyncio::inline v1
