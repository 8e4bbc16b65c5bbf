// SPDX-License-Identifier: BSL-1.0
// For test/interop/bulk.py and unix.py: interop_echo with streams. PLACE is a port, or the path of
// a Unix socket.
//
//   interop_streams server PLACE
//   interop_streams client PLACE SIZE   sends SIZE bytes, reads to the end, prints two checksums
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <asyncio/asyncio.hpp>
#include <boost/crc.hpp>

namespace {

constexpr const char* host = "127.0.0.1";

asyncio::Coroutine<> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  try {
    for (;;) {
      const asyncio::Bytes data = co_await reader.read(100'000);
      if (data.empty()) break;
      writer.write(data);
      co_await writer.drain();
    }
  } catch (const asyncio::ConnectionError&) {  // the client is gone; so is the connection
  }
  writer.close();
}

struct Count {
  std::uint64_t size = 0;
  boost::crc_32_type crc;

  void add(asyncio::BytesView data) {
    size += data.size();
    crc.process_bytes(data.data(), data.size());
  }
  void print(const char* what) const {
    std::printf("%s %llu crc32=%08x\n", what, static_cast<unsigned long long>(size),
                static_cast<unsigned>(crc.checksum()));
  }
};

asyncio::Coroutine<> send(asyncio::StreamWriter writer, std::uint64_t size, Count& sent) {
  std::uint32_t random = 1;
  while (sent.size < size) {
    std::string piece(std::min<std::uint64_t>(100'000, size - sent.size), '\0');
    for (char& byte : piece) {
      random = random * 1664525 + 1013904223;
      byte = static_cast<char>(random >> 24);
    }
    sent.add(piece);
    writer.write(piece);
    co_await writer.drain();
  }
  writer.write_eof();
}

asyncio::Coroutine<> receive(asyncio::StreamReader reader, Count& received) {
  for (;;) {
    const asyncio::Bytes data = co_await reader.read(1'000'000);
    if (data.empty()) break;
    received.add(data);
  }
}

using Streams = std::pair<asyncio::StreamReader, asyncio::StreamWriter>;

bool is_path(const std::string& place) { return place.find('/') != std::string::npos; }

asyncio::Coroutine<Streams> connect(const std::string& place) {
  return is_path(place) ? asyncio::open_unix_connection(place)
                        : asyncio::open_connection(host, place);
}

asyncio::Coroutine<asyncio::Server> listen(const std::string& place) {
  return is_path(place) ? asyncio::start_unix_server(echo, place, {.backlog = 1000})
                        : asyncio::start_server(echo, host, place, {.backlog = 1000});
}

asyncio::Coroutine<> client(std::string place, std::uint64_t size) {
  auto [reader, writer] = co_await connect(place);
  Count sent;
  Count received;
  auto both = asyncio::gather(send(writer, size, sent), receive(reader, received));
  co_await std::move(both);
  writer.close();
  co_await writer.wait_closed();
  sent.print("sent");
  received.print("received");
}

int serve(const std::string& place) {
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(listen(place));
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  std::puts("listening");
  std::fflush(stdout);
  loop.run_forever();
  server.close();
  server.close_clients();
  loop.run_until_complete(server.wait_closed());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view part = argc > 2 ? argv[1] : "";
  if (part == "server") return serve(argv[2]);
  if (part == "client" && argc > 3) {
    asyncio::run(client(argv[2], std::strtoull(argv[3], nullptr, 10)));
    return 0;
  }
  std::fputs("usage: interop_streams server PLACE | client PLACE SIZE\n", stderr);
  return 2;
}
