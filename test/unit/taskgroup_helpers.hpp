// SPDX-License-Identifier: BSL-1.0
// For tests of task groups: what came out of one, and children that end badly.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <asyncio/taskgroups.hpp>

#include "on_virtual_time.hpp"

namespace on_virtual_time {

/// The await of a group, with what came out of it.
template <class Body>
Coroutine<Ending> group_of(Body body) {
  return ending(task_group(std::move(body)));
}

/// "text [member, member]", in brackets of their own for groups within groups.
inline std::string members(const std::exception_ptr& error) {
  const auto* group = exception_cast<ExceptionGroup>(error);
  const auto* base_group = exception_cast<BaseExceptionGroup>(error);
  if (!group && !base_group) return repr(error);
  std::string text;
  for (const std::exception_ptr& each : group ? group->exceptions() : base_group->exceptions())
    text += (text.empty() ? "[" : ", ") + members(each);
  return text + ']';
}

inline Coroutine<> exits() {
  throw SystemExit(3);
  co_return;
}

/// Ends with an exception when it is cancelled.
inline Coroutine<> fails_when_cancelled(std::string text) {
  try {
    co_await asyncio::sleep(1000);
  } catch (const CancelledError&) {
    throw ValueError(text);
  }
}

}  // namespace on_virtual_time
