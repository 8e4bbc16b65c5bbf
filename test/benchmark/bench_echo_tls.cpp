// SPDX-License-Identifier: BSL-1.0
// Echo server, Protocol over TLS with a certificate made at start: bench_echo_tls PORT. Prints READY
// and echoes until it is killed.
#include <asyncio/ssl.hpp>
#include <cstdio>
#include <cstdlib>

#include "echo_protocol.hpp"
#include "new_certificate.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_echo_tls PORT\n", stderr);
    return 2;
  }
  const asyncio::SSLContext context(asyncio::ssl::PROTOCOL_TLS_SERVER);
  context.load_cert_chain(NewCertificate().path());
  asyncio::EventLoop loop;
  const asyncio::Server server = loop.run_until_complete(loop.create_server<Echo>(
      "127.0.0.1", std::atoi(argv[1]), {.backlog = 4096, .ssl = &context}));
  std::puts("READY");
  std::fflush(stdout);
  loop.run_forever();
}
