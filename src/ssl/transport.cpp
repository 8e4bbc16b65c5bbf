// SPDX-License-Identifier: BSL-1.0
#include "../connect.hpp"
#include "../transports/tls_transport.hpp"

namespace asyncio::inline v1::detail {

OverTls make_tls_transport(LoopCore& core, TlsRequest request,
                           std::shared_ptr<BaseProtocol> protocol,
                           Ref<FutureState<void>> waiter) {
  const auto both = std::make_shared<TlsTransport>(core, std::move(request), std::move(protocol),
                                                   std::move(waiter), true);
  return {both, both};
}

}  // namespace asyncio::inline v1::detail
