// SPDX-License-Identifier: BSL-1.0
// The durations and clocks of std::chrono, with their literals. In C++20 <chrono> also has calendars
// and what reads and writes them, which every file that includes asyncio would have to pay for;
// libstdc++ has a header without.
#pragma once

#include <compare>
#include <version>

#if defined(__GLIBCXX__) && __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif
