// SPDX-License-Identifier: BSL-1.0
// Places in the source, as Python's reprs and stacks name them. Private to the library.
#pragma once

#include <asyncio/tasks.hpp>
#include <source_location>
#include <string>

namespace asyncio::inline v1::detail {

/// The function without its return type and parameters: "Service::handle", "main()::<lambda()>".
std::string function_name(const std::source_location& place);
/// "file.cpp:12"
std::string file_and_line(const std::source_location& place);
StackFrame stack_frame(const std::source_location& place);
/// As Python's tracebacks have it: `  File "file.cpp", line 12, in Service::handle`.
std::string traceback_line(const StackFrame& frame);
/// Was there a place to note? Nobody's is line 0.
inline bool known(const std::source_location& place) noexcept { return place.line() != 0; }

}  // namespace asyncio::inline v1::detail
