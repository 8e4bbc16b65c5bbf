// SPDX-License-Identifier: BSL-1.0
//
// Loggers, levels, formatting, and what the default sink does with and without Boost.Log sinks.
#include <asyncio/logging.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <boost/core/null_deleter.hpp>
#include <boost/log/core.hpp>
#include <boost/log/expressions.hpp>
#include <boost/log/sinks/sync_frontend.hpp>
#include <boost/log/sinks/text_ostream_backend.hpp>
#include <boost/log/trivial.hpp>
#include <boost/make_shared.hpp>
#include <boost/test/unit_test.hpp>

#include <asyncio/bytes.hpp>
#include <asyncio/duration.hpp>
#include <asyncio/exceptions.hpp>

#include "captured_log.hpp"

namespace {

using namespace asyncio;
using unit_tests::CapturedLog;

// Keeps what is written to a descriptor until stop(). No check may run in between: Boost.Test's own
// report would be kept too.
class Redirected {
 public:
  explicit Redirected(int descriptor)
      : descriptor_(descriptor), saved_(::dup(descriptor)), file_(std::tmpfile()) {
    std::fflush(nullptr);
    ::dup2(::fileno(file_), descriptor_);
  }
  Redirected(const Redirected&) = delete;
  ~Redirected() { stop(); }

  std::string stop() {
    if (!file_) return {};
    std::fflush(nullptr);
    ::dup2(saved_, descriptor_);
    ::close(saved_);
    std::string out;
    char buffer[4096];
    ::lseek(::fileno(file_), 0, SEEK_SET);
    for (ssize_t n; (n = ::read(::fileno(file_), buffer, sizeof buffer)) > 0;) {
      out.append(buffer, static_cast<std::size_t>(n));
    }
    std::fclose(std::exchange(file_, nullptr));
    return out;
  }

 private:
  int descriptor_;
  int saved_;
  std::FILE* file_;
};

// A Boost.Log sink of the embedding program.
class ProgramSink {
 public:
  explicit ProgramSink(boost::log::trivial::severity_level least = boost::log::trivial::trace)
      : frontend_(boost::make_shared<Frontend>()) {
    namespace expr = boost::log::expressions;
    frontend_->locked_backend()->add_stream(
        boost::shared_ptr<std::ostream>(&stream_, boost::null_deleter()));
    frontend_->set_filter(boost::log::trivial::severity >= least);
    frontend_->set_formatter(expr::stream << expr::attr<std::string>("Channel") << "|"
                                          << boost::log::trivial::severity << "|"
                                          << expr::smessage);
    boost::log::core::get()->add_sink(frontend_);
  }
  ~ProgramSink() { boost::log::core::get()->remove_sink(frontend_); }

  std::string text() {
    frontend_->flush();
    return stream_.str();
  }

 private:
  using Frontend = boost::log::sinks::synchronous_sink<boost::log::sinks::text_ostream_backend>;
  boost::shared_ptr<Frontend> frontend_;
  std::ostringstream stream_;
};

struct Printable {};
std::string to_string(const Printable&) { return "printable"; }

const auto after_the_unconfigured_case = boost::unit_test::depends_on(
    "logging_tests/without_configuration_stderr_gets_the_bare_text_of_warnings");

}  // namespace

BOOST_AUTO_TEST_SUITE(logging_tests)

BOOST_AUTO_TEST_CASE(same_name_is_the_same_logger) {
  BOOST_TEST((get_logger("same") == get_logger("same")));
  BOOST_TEST((get_logger("same") != get_logger("other")));
  BOOST_TEST((get_logger() == Logger()));
  BOOST_TEST((get_logger("root") == Logger()));
  BOOST_TEST(get_logger("same").name() == "same");
  BOOST_TEST(Logger().name() == "root");
}

BOOST_AUTO_TEST_CASE(records_carry_name_level_and_message) {
  const CapturedLog captured;
  const Logger log = get_logger("carrier");
  log.set_level(LogLevel::debug);
  log.debug("a");
  log.info("b");
  log.warning("c");
  log.error("d");
  log.critical("e");
  log.log(LogLevel::info, "f {}", 1);
  const std::vector<std::string> expected = {"DEBUG:carrier:a",    "INFO:carrier:b",
                                             "WARNING:carrier:c",  "ERROR:carrier:d",
                                             "CRITICAL:carrier:e", "INFO:carrier:f 1"};
  BOOST_TEST(captured.lines() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(new_logger_inherits_warning_from_the_root) {
  const CapturedLog captured;
  const Logger log = get_logger("fresh");
  log.info("unseen");
  log.warning("seen");
  BOOST_TEST(captured.lines() == std::vector<std::string>{"WARNING:fresh:seen"},
             boost::test_tools::per_element());
  BOOST_TEST(!log.is_enabled_for(LogLevel::info));
  BOOST_TEST(log.is_enabled_for(LogLevel::warning));
}

BOOST_AUTO_TEST_CASE(level_of_the_root_reaches_loggers_without_their_own) {
  const CapturedLog captured;
  const Logger inheriting = get_logger("level.inheriting");
  const Logger own = get_logger("level.own");
  own.set_level(LogLevel::error);
  get_logger().set_level(LogLevel::debug);
  BOOST_TEST((inheriting.effective_level() == LogLevel::debug));
  BOOST_TEST((own.effective_level() == LogLevel::error));
  own.set_level(LogLevel::notset);
  BOOST_TEST((own.effective_level() == LogLevel::debug));
  get_logger().set_level(LogLevel::warning);
}

BOOST_AUTO_TEST_CASE(level_of_a_dotted_parent_comes_before_the_roots) {
  const Logger early = get_logger("parent.child.leaf");
  get_logger("parent").set_level(LogLevel::info);
  BOOST_TEST((early.effective_level() == LogLevel::info));
  BOOST_TEST((get_logger("parent.late").effective_level() == LogLevel::info));
  BOOST_TEST((get_logger("parental").effective_level() == LogLevel::warning));
  get_logger("parent").set_level(LogLevel::notset);
  BOOST_TEST((early.effective_level() == LogLevel::warning));
}

BOOST_AUTO_TEST_CASE(arguments_take_the_place_of_braces) {
  const CapturedLog captured;
  const Logger log = get_logger("format");
  const std::string string = "string";
  const char* none = nullptr;
  char buffer[] = "pointer";
  char* const pointer = buffer;
  log.error("{} {} {} {} {}", string, std::string_view("view"), "array", pointer, none);
  log.error("{} {}", buffer, static_cast<const char*>(buffer));
  log.error("{} {} {} {} {}", 1, -2L, 3u, std::uint8_t{4}, 'c');
  log.error("{} {} {} {}", 0.5, 10.0, true, false);
  log.error("{}", std::make_exception_ptr(ValueError("bad")));
  log.error("{} {}", Printable(), Duration(0.25));
  log.error("{} {}", BytesView("bytes"), repr(BytesView("\n")));
  const std::vector<std::string> expected = {"ERROR:format:string view array pointer None",
                                             "ERROR:format:pointer pointer",
                                             "ERROR:format:1 -2 3 4 c",
                                             "ERROR:format:0.5 10.0 True False",
                                             "ERROR:format:bad",
                                             "ERROR:format:printable 0.25",
                                             "ERROR:format:bytes b'\\n'"};
  BOOST_TEST(captured.lines() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(odd_formats_never_fail) {
  const CapturedLog captured;
  const Logger log = get_logger("odd");
  log.error("{{{}}} {{}}", 1);
  log.error("{} {}", 1);
  log.error("{}", 1, 2);
  log.error("{x} { } {", 1);
  log.error("taken {} as {{ it is");
  const std::vector<std::string> expected = {"ERROR:odd:{1} {}", "ERROR:odd:1 {}", "ERROR:odd:1",
                                             "ERROR:odd:{x} { } {",
                                             "ERROR:odd:taken {} as {{ it is"};
  BOOST_TEST(captured.lines() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(raising_sink_is_shown_and_goes_no_further) {
  Redirected err(STDERR_FILENO);
  set_log_sink([](const LogRecord&) { throw std::runtime_error("sink is full"); });
  get_logger("raising").error("lost {}", 1);
  set_log_sink([](const LogRecord&) { throw KeyboardInterrupt(); });
  bool passed = false;
  try {
    get_logger("raising").error("x");
  } catch (const KeyboardInterrupt&) {
    passed = true;
  }
  set_log_sink({});
  const std::string text = err.stop();
  BOOST_TEST(passed);
  BOOST_TEST(text == "--- Logging error ---\nruntime_error('sink is full')\nMessage: 'lost 1'\n");
}

BOOST_AUTO_TEST_CASE(loggers_may_be_used_from_several_threads) {
  std::atomic<int> count = 0;
  set_log_sink([&](const LogRecord&) { ++count; });
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int k = 0; k < 100; ++k) {
        const Logger log = get_logger("thread." + std::to_string(k));
        log.set_level(k % 2 ? LogLevel::info : LogLevel::notset);
        log.error("{}", k);
      }
    });
  }
  threads.clear();
  set_log_sink({});
  BOOST_TEST(count == 400);
}

// The console belongs to the process, and basic_config() cannot be undone: this case comes before
// those that call it.

BOOST_AUTO_TEST_CASE(without_configuration_stderr_gets_the_bare_text_of_warnings) {
  const Logger log = get_logger("bare");
  log.set_level(LogLevel::debug);
  Redirected err(STDERR_FILENO);
  Redirected out(STDOUT_FILENO);
  log.debug("unseen");
  log.info("unseen");
  log.warning("seen {}", 1);
  log.error("seen {}", 2);
  const std::string on_stdout = out.stop();
  const std::string on_stderr = err.stop();
  BOOST_TEST(on_stderr == "seen 1\nseen 2\n");
  BOOST_TEST(on_stdout == "");
}

BOOST_AUTO_TEST_CASE(basic_config_sets_level_and_format_once, *after_the_unconfigured_case) {
  const Logger log = get_logger("main");
  Redirected err(STDERR_FILENO);
  basic_config({.level = LogLevel::debug, .format = "%(name)s: %(message)s", .force = true});
  log.debug("starting up on {} port {}", "localhost", 10000);
  basic_config({.level = LogLevel::error, .format = "ignored"});
  log.debug("still");
  basic_config({.force = true});
  log.warning("default format");
  basic_config({.format = "%(asctime)s %(levelname)s 100%% %(other)s", .force = true});
  log.info("x");
  get_logger().set_level(LogLevel::warning);
  const std::string text = err.stop();
  const std::string expected =
      "main: starting up on localhost port 10000\nmain: still\nWARNING:main:default format\n";
  BOOST_TEST(text.substr(0, expected.size()) == expected);
  const std::string last = text.substr(expected.size());
  const std::string_view shape = "0000-00-00 00:00:00,000 INFO 100% %(other)s\n";
  BOOST_REQUIRE(last.size() == shape.size());
  BOOST_TEST(last.substr(23) == shape.substr(23));
  BOOST_TEST(last[4] == '-');
  BOOST_TEST(last[19] == ',');
}

BOOST_AUTO_TEST_CASE(boost_log_sinks_of_the_program_get_the_records_instead_of_stderr) {
  const Logger log = get_logger("guest");
  log.set_level(LogLevel::debug);
  Redirected err(STDERR_FILENO);
  ProgramSink sink;
  log.debug("a {}", 1);
  log.info("b");
  log.warning("c");
  log.error("d");
  log.critical("e");
  const std::string on_stderr = err.stop();
  BOOST_TEST(sink.text() ==
             "guest|debug|a 1\nguest|info|b\nguest|warning|c\nguest|error|d\nguest|fatal|e\n");
  BOOST_TEST(on_stderr == "");
}

BOOST_AUTO_TEST_CASE(boost_log_filters_of_the_program_have_the_last_word) {
  Redirected err(STDERR_FILENO);
  ProgramSink sink(boost::log::trivial::error);
  get_logger("filtered").warning("refused");
  get_logger("filtered").error("taken");
  const std::string on_stderr = err.stop();
  BOOST_TEST(sink.text() == "filtered|error|taken\n");
  BOOST_TEST(on_stderr == "");
}

BOOST_AUTO_TEST_CASE(last_resort_of_boost_log_keeps_working_for_the_program,
                     *after_the_unconfigured_case) {
  basic_config({.force = true});
  Redirected err(STDERR_FILENO);
  Redirected out(STDOUT_FILENO);
  get_logger("ours").error("ours");
  BOOST_LOG_TRIVIAL(info) << "theirs";
  const std::string on_stdout = out.stop();
  const std::string on_stderr = err.stop();
  BOOST_TEST(on_stdout.ends_with("theirs\n"));
  BOOST_TEST(on_stdout.find("ours") == std::string::npos);
  BOOST_TEST(on_stderr == "ERROR:ours:ours\n");
}

BOOST_AUTO_TEST_SUITE_END()
