// SPDX-License-Identifier: BSL-1.0
// The concepts of ranges, and std::ranges::find, without the views of <ranges>, which are large and
// of no use here; libstdc++ has a header for that.
#pragma once

#include <iterator>

#if defined(__GLIBCXX__) && __has_include(<bits/ranges_util.h>)
#include <bits/ranges_util.h>
#else
#include <algorithm>
#include <ranges>
#endif
