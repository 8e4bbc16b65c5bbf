// SPDX-License-Identifier: BSL-1.0
// asyncio from Asio: coroutines, futures and tasks as asynchronous operations, for any completion token.
#pragma once
