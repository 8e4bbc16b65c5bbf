// SPDX-License-Identifier: BSL-1.0
// Echo server over TLS, plain Asio's ssl::stream with awaitables, one thread.
#include <boost/asio/ssl.hpp>

#include "../new_certificate.hpp"
#include "asio_echo_awaitable.hpp"

namespace {

namespace ssl = boost::asio::ssl;
using tcp = boost::asio::ip::tcp;

boost::asio::awaitable<void> serve(tcp::socket socket, ssl::context& context) {
  ssl::stream<tcp::socket> stream(std::move(socket), context);
  auto [failure] = co_await stream.async_handshake(ssl::stream_base::server, as_result);
  if (!failure) co_await echo(stream);
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint16_t port = port_argument(argc, argv);
  ssl::context context(ssl::context::tls_server);
  const NewCertificate certificate;
  context.use_certificate_chain_file(certificate.path());
  context.use_private_key_file(certificate.path(), ssl::context::pem);
  run_server(port, [&](tcp::socket socket) { return serve(std::move(socket), context); });
}
