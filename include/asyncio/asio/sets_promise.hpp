// SPDX-License-Identifier: BSL-1.0
// Tells the executor of boost::asio::use_future from others. Private to the library.
#pragma once

#include <boost/asio/use_future.hpp>

namespace asyncio::inline v1::detail {

/// use_future's: it runs whatever is posted to it in a system's thread, which nobody needs to set a
/// promise.
template <class Executor>
inline constexpr bool sets_promise = false;
template <class T, class Blocking>
inline constexpr bool sets_promise<boost::asio::detail::promise_executor<T, Blocking>> = true;

}  // namespace asyncio::inline v1::detail
