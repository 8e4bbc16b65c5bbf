// SPDX-License-Identifier: BSL-1.0
// Boost.JSON, which needs one source file of its own when it is not linked.
#include <boost/json/src.hpp>
