// SPDX-License-Identifier: BSL-1.0
// The doors between asyncio and Boost.Asio, both ways. The only header that needs Boost.Asio.
//
//   boost::asio::io_context io;
//   asyncio::EventLoop loop(boost::asio::make_strand(io));   // a guest: host.hpp
//   co_await timer.async_wait(asyncio::use_awaitable);       // in a coroutine: use_awaitable.hpp
//   asyncio::async_run(loop, service(), token);              // in Asio's code: async_run.hpp
//   asyncio::AsioStream stream(reader, writer);              // for composed operations: stream.hpp
//
// Asio's handler tracking (BOOST_ASIO_ENABLE_HANDLER_TRACKING, which the library must be compiled
// with, too) shows the line of each co_await, and the lines of the library where it waits.
#pragma once

#include <asyncio/asio/async_run.hpp>
#include <asyncio/asio/host.hpp>
#include <asyncio/asio/stream.hpp>
#include <asyncio/asio/use_awaitable.hpp>
#include <asyncio/event_loop.hpp>
