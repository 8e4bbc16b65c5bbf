// SPDX-License-Identifier: BSL-1.0
// What may be done with a handler's executor. Private to the library.
#pragma once

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/use_future.hpp>

namespace asyncio::inline v1::detail {

/// use_future's: it runs whatever is posted to it in a system's thread, which nobody needs to set a
/// promise.
template <class Executor>
inline constexpr bool sets_promise = false;
template <class T, class Blocking>
inline constexpr bool sets_promise<boost::asio::detail::promise_executor<T, Blocking>> = true;

/// Can something be posted to it? To any_completion_executor, of any_completion_handler, it can only
/// be dispatched.
template <class Executor>
inline constexpr bool takes_posts =
    boost::asio::can_require_v<Executor, boost::asio::execution::blocking_t::never_t>;

}  // namespace asyncio::inline v1::detail
