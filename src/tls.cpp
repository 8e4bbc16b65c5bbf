// SPDX-License-Identifier: BSL-1.0
// TLS from the first byte on, and start_tls (rules 192, 199).
#include <asyncio/event_loop.hpp>

#include "connect.hpp"
#include "loop_core.hpp"
#include "tls_settings.hpp"
#include "transports/tls_transport.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

Coroutine<std::shared_ptr<Transport>> start_tls(LoopCore& core,
                                                std::shared_ptr<Transport> transport,
                                                std::shared_ptr<BaseProtocol> protocol,
                                                TlsRequest request) {
  if (!dynamic_cast<LowerTransport*>(transport.get())) {
    throw TypeError("transport " + (transport ? transport->repr() : std::string("None")) +
                    " is not supported by start_tls()");
  }
  const Ref<FutureState<void>> waiter(adopt_ref, new FutureState<void>(core));
  const auto over_tls = std::make_shared<TlsTransport>(core, std::move(request),
                                                       std::move(protocol), waiter, false);
  // Nothing may arrive before the handshake has begun.
  transport->pause_reading();
  transport->set_protocol(over_tls);
  if (transport->get_protocol() != over_tls) throw ConnectionResetError("Connection lost");
  const Ref<HandleNode> begin =
      core.call_soon([over_tls, transport] { over_tls->connection_made(transport); });
  const Ref<HandleNode> resume = core.call_soon([transport] { transport->resume_reading(); });
  const Future<void> done{waiter};
  try {
    co_await done;
  } catch (...) {
    transport->close();
    begin->cancel();
    resume->cancel();
    throw;
  }
  co_return over_tls;
}

}  // namespace

OverTls make_tls_transport(LoopCore& core, TlsRequest request,
                           std::shared_ptr<BaseProtocol> protocol,
                           Ref<FutureState<void>> waiter) {
  const auto both = std::make_shared<TlsTransport>(core, std::move(request), std::move(protocol),
                                                   std::move(waiter), true);
  return {both, both};
}

}  // namespace detail

Coroutine<std::shared_ptr<Transport>> EventLoop::start_tls(std::shared_ptr<Transport> transport,
                                                           std::shared_ptr<BaseProtocol> protocol,
                                                           const ssl::SSLContext& context,
                                                           StartTlsOptions options) {
  if (!context) {
    throw TypeError("sslcontext is expected to be an instance of ssl.SSLContext, got " +
                    to_string(context));
  }
  return detail::start_tls(
      core(), std::move(transport), std::move(protocol),
      detail::TlsRequest(context, options.server_side, options.server_hostname,
                         options.ssl_handshake_timeout, options.ssl_shutdown_timeout));
}

}  // namespace asyncio::inline v1
