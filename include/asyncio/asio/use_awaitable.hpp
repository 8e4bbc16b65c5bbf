// SPDX-License-Identifier: BSL-1.0
// Asio from asyncio: any asynchronous operation can be awaited, or made a future.
#pragma once
