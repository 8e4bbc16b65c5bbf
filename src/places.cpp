// SPDX-License-Identifier: BSL-1.0
#include "places.hpp"

#include <string_view>

namespace asyncio::inline v1::detail {

namespace {

bool opens(char c) noexcept { return c == '(' || c == '<' || c == '{' || c == '['; }
bool closes(char c) noexcept { return c == ')' || c == '>' || c == '}' || c == ']'; }

/// Where the bracketed part begins that the text ends with.
std::size_t begin_of_last_group(std::string_view text) noexcept {
  int depth = 0;
  for (std::size_t i = text.size(); i-- != 0;) {
    if (closes(text[i])) ++depth;
    if (opens(text[i])) --depth;
    if (depth == 0) return i;
  }
  return text.size();
}

/// Behind the last space that is in no brackets: where the return type ends.
std::string_view without_return_type(std::string_view text) noexcept {
  int depth = 0;
  for (std::size_t i = text.size(); i-- != 0;) {
    if (closes(text[i])) ++depth;
    if (opens(text[i])) --depth;
    if (depth == 0 && text[i] == ' ') return text.substr(i + 1);
  }
  return text;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

}  // namespace

// The compilers write "Coroutine<T> Service::handle(int) const [with T = int]"; g++ 12, for what
// stands in the body of a coroutine, "void Service::handle(Service::handle(int)::_Z...Frame*)". A
// lambda has neither return type nor parameters: "main()::<lambda(int)>".
std::string function_name(const std::source_location& place) {
  std::string_view text = place.function_name();
  if (text.ends_with(']')) text = text.substr(0, begin_of_last_group(text));
  for (const std::string_view suffix : {" ", " noexcept", " &&", " &", " const"}) {
    if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  }
  if (text.ends_with(')')) text = text.substr(0, begin_of_last_group(text));
  std::string name(without_return_type(text));
  for (const std::string_view call : {"::operator()", "::operator ()"}) {
    if (name.ends_with(call)) name.resize(name.size() - call.size());
  }
  replace_all(name, "asyncio::v1::", "asyncio::");
  replace_all(name, "(anonymous class)", "<lambda>");
  replace_all(name, "{anonymous}::", "");
  replace_all(name, "(anonymous namespace)::", "");
  return name;
}

std::string file_and_line(const std::source_location& place) {
  return place.file_name() + (":" + std::to_string(place.line()));
}

StackFrame stack_frame(const std::source_location& place) {
  return {place.file_name(), place.line(), function_name(place)};
}

std::string traceback_line(const StackFrame& frame) {
  return "  File \"" + frame.file + "\", line " + std::to_string(frame.line) + ", in " +
         frame.function;
}

}  // namespace asyncio::inline v1::detail
