// SPDX-License-Identifier: BSL-1.0
// Boost.JSON, compiled once for the protocol tracer.
#include <boost/json/src.hpp>
