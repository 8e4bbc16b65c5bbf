// SPDX-License-Identifier: BSL-1.0
// Answers every request with a greeting, over TLS: a server of streams with a certificate.
//
//   https_server CERTFILE KEYFILE [HOST [PORT]]
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <asyncio/asyncio.hpp>
#include <asyncio/ssl.hpp>

asyncio::Coroutine<> answer(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  try {
    const asyncio::Bytes request = co_await reader.readuntil("\r\n\r\n");
    const std::string body = "Hello over " +
                             writer.get_extra_info(asyncio::ssl_object).version().value() + "\n";
    writer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                 "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
    if (!request.starts_with("HEAD ")) writer.write(body);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "no request: %s\n", error.what());  // and no answer
  }
  writer.close();
}

asyncio::Coroutine<> serve(asyncio::SSLContext context, std::string host, int port) {
  const asyncio::Server server = co_await asyncio::start_server(answer, host, port,
                                                                {.ssl = &context});
  std::printf("Serving on https://%s:%d\n", host.c_str(), port);
  std::fflush(stdout);
  co_await server.serve_forever();
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: https_server CERTFILE KEYFILE [HOST [PORT]]\n", stderr);
    return 2;
  }
  const std::string host = argc > 3 ? argv[3] : "localhost";
  const int port = argc > 4 ? std::atoi(argv[4]) : 8443;
  try {
    const asyncio::SSLContext context(asyncio::ssl::PROTOCOL_TLS_SERVER);
    context.load_cert_chain(argv[1], {.keyfile = argv[2]});
    asyncio::run(serve(context, host, port));
  } catch (const asyncio::KeyboardInterrupt&) {  // Ctrl-C
  } catch (const asyncio::OSError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
