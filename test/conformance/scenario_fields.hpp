// SPDX-License-Identifier: BSL-1.0
// The fields of a step, as the interpreter reads them.
#pragma once

#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "scenario_interpreter.hpp"

namespace scenario {

/// The name of its operation.
inline std::string_view op_of(const Step& step) { return step.at("op").as_string(); }

/// The steps in a field; none if it is missing.
inline const Steps& steps_of(const Step& step, std::string_view field) {
  static const Steps none;
  const boost::json::value* const steps = step.if_contains(field);
  return steps ? steps->as_array() : none;
}

/// The text in a field; empty if it is missing.
inline std::string_view text_of(const Step& step, std::string_view field) {
  const boost::json::value* const text = step.if_contains(field);
  return text ? std::string_view(text->as_string()) : std::string_view();
}

}  // namespace scenario
