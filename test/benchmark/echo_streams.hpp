// SPDX-License-Identifier: BSL-1.0
// Echo by streams.
#pragma once

#include <asyncio/asyncio.hpp>

inline asyncio::Coroutine<> echo_streams(asyncio::StreamReader reader,
                                         asyncio::StreamWriter writer) {
  try {
    for (;;) {
      const asyncio::Bytes data = co_await reader.read(256 * 1024);
      if (data.empty()) break;
      writer.write(data);
      co_await writer.drain();
    }
  } catch (const asyncio::ConnectionError&) {  // the client has gone with answers on their way
  }
  writer.close();
}
