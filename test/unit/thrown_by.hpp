// SPDX-License-Identifier: BSL-1.0
// For tests of what an ordinary call throws.
#pragma once

#include <exception>
#include <string>

#include <asyncio/exceptions.hpp>

namespace unit_tests {

/// Its repr; "None" if nothing is thrown.
template <class F>
std::string thrown_by(F call) {
  try {
    call();
  } catch (...) {
    return asyncio::repr(std::current_exception());
  }
  return "None";
}

}  // namespace unit_tests
