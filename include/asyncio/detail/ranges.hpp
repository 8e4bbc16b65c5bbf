// SPDX-License-Identifier: BSL-1.0
// The concepts of ranges, without the views of <ranges>, which are large and of no use here;
// libstdc++ has a header for that.
#pragma once

#include <iterator>

#if defined(__GLIBCXX__) && __has_include(<bits/ranges_base.h>)
#include <bits/ranges_base.h>
#else
#include <ranges>
#endif
