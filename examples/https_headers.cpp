// SPDX-License-Identifier: BSL-1.0
// Prints the headers of a page. After the Python documentation, "Get HTTP headers".
//
//   https_headers HOST [PORT [PATH [CAFILE]]]      CAFILE: whom to trust instead of the system's
#include <cstdio>
#include <cstdlib>
#include <string>

#include <asyncio/asyncio.hpp>
#include <asyncio/ssl.hpp>

asyncio::Coroutine<> print_headers(std::string host, int port, std::string path,
                                   asyncio::SSLContext context) {
  auto [reader, writer] = co_await asyncio::open_connection(host, port, {.ssl = &context});
  writer.write("HEAD " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n");
  while (auto line = co_await reader.next_line()) {
    line->resize(line->find_last_not_of("\r\n") + 1);
    if (!line->empty()) std::printf("HTTP header> %s\n", line->c_str());
  }
  // Ignore the body, close the socket.
  writer.close();
  co_await writer.wait_closed();
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "localhost";
  const int port = argc > 2 ? std::atoi(argv[2]) : 443;
  const std::string path = argc > 3 ? argv[3] : "/";
  try {
    const auto context = argc > 4 ? asyncio::ssl::create_default_context(
                                        asyncio::ssl::Purpose::SERVER_AUTH, {.cafile = argv[4]})
                                  : asyncio::ssl::create_default_context();
    asyncio::run(print_headers(host, port, path, context));
  } catch (const asyncio::KeyboardInterrupt&) {
  } catch (const asyncio::OSError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
