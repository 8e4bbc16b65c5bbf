// SPDX-License-Identifier: BSL-1.0
// The doors between asyncio and Boost.Asio, both ways. The only header that needs Boost.Asio.
#pragma once

#include <asyncio/asio/async_run.hpp>
#include <asyncio/asio/host.hpp>
#include <asyncio/asio/stream.hpp>
#include <asyncio/asio/use_awaitable.hpp>
#include <asyncio/event_loop.hpp>
