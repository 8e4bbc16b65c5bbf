// SPDX-License-Identifier: BSL-1.0
// scenario_runner FILE... [--only NAME] [--guest]
// Runs every scenario of the files, or the one of that name, and prints their traces. With --guest
// the loops are guests, on strands of an io_context, whose handlers run one by one.
#include <boost/asio/io_context.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "scenario_interpreter.hpp"
#include "scenario_operations.hpp"

namespace {

namespace json = boost::json;
using scenario::Step;

/// The objects of a file, separated by white space.
std::vector<json::value> load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw asyncio::FileNotFoundError(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<json::value> scenarios;
  std::size_t position = 0;
  while ((position = text.find_first_not_of(" \t\r\n", position)) != std::string::npos) {
    json::parser parser;
    position += parser.write_some(text.data() + position, text.size() - position);
    scenarios.push_back(parser.release());
  }
  return scenarios;
}

/// The first operation in there that the library does not have; empty if it has them all.
std::string_view find_unsupported(const json::value& part) {
  std::string_view missing;
  if (const json::array* const items = part.if_array()) {
    for (const json::value& item : *items) {
      if (missing = find_unsupported(item); !missing.empty()) break;
    }
  } else if (const Step* const step = part.if_object()) {
    if (const json::value* const op = step->if_contains("op")) {
      if (!scenario::Interpreter::has(op->as_string())) return op->as_string();
    }
    for (const auto& [name, field] : *step) {
      const json::value* const context = name == "what" ? &field.at("op") : nullptr;
      if (context && !scenario::find_context(context->as_string())) return context->as_string();
      if (missing = context ? "" : find_unsupported(field); !missing.empty()) break;
    }
  }
  return missing;
}

std::string trace_of(const json::value& given, bool guest) {
  if (const std::string_view op = find_unsupported(given); !op.empty())
    return "unsupported: " + std::string(op) + '\n';
  const auto run = [&] {
    boost::asio::io_context host;
    scenario::Interpreter interpreter(given.as_object(), guest ? &host : nullptr);
    return interpreter.run();
  };
  // What a script does to context variables stays in its own context.
  return asyncio::copy_context().run(run);
}

}  // namespace

int main(int argc, char* argv[]) {
  std::vector<std::string> files;
  std::string_view only;
  bool guest = false;
  for (int i = 1; i != argc; ++i) {
    if (argv[i] == std::string_view("--only") && i + 1 != argc)
      only = argv[++i];
    else if (argv[i] == std::string_view("--guest"))
      guest = true;
    else
      files.push_back(argv[i]);
  }
  if (files.empty()) {
    std::fputs("usage: scenario_runner FILE... [--only NAME] [--guest]\n", stderr);
    return 2;
  }
  // Errors that nobody retrieved are no part of a trace.
  asyncio::get_logger("asyncio").set_level(asyncio::LogLevel::critical);
  for (const std::string& file : files) {
    for (const json::value& given : load(file)) {
      const std::string_view name = given.at("name").as_string();
      if (!only.empty() && name != only) continue;
      std::printf("# %.*s\n%s", static_cast<int>(name.size()), name.data(),
                  trace_of(given, guest).c_str());
      std::fflush(stdout);
    }
  }
}
