// SPDX-License-Identifier: BSL-1.0
// asyncio for C++20: everything but the doors to Asio, which are in <asyncio/asio.hpp>.
#pragma once

#include <asyncio/as_completed.hpp>
#include <asyncio/bytes.hpp>
#include <asyncio/contextvars.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/duration.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/executors.hpp>
#include <asyncio/futures.hpp>
#include <asyncio/generators.hpp>
#include <asyncio/graph.hpp>
#include <asyncio/handles.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/none.hpp>
#include <asyncio/pipes.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/serve_on_threads.hpp>
#include <asyncio/server.hpp>
#include <asyncio/ssl.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/subprocess.hpp>
#include <asyncio/taskgroups.hpp>
#include <asyncio/tasks.hpp>
#include <asyncio/threads.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/transports.hpp>
#include <asyncio/wait.hpp>
