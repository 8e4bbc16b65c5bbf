// SPDX-License-Identifier: BSL-1.0
// What stands in for TLS where the library is built without it (ASYNCIO_TLS=OFF): whoever asks for
// it is told so.
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>

#include "../../connect.hpp"
#include "../../tls_settings.hpp"

namespace asyncio::inline v1 {

namespace {

[[noreturn]] void refuse() {
  throw RuntimeError("asyncio was built without TLS: configure it with -DASYNCIO_TLS=ON");
}

}  // namespace

namespace detail {

std::optional<TlsRequest> TlsSettings::for_client(const std::string&) const {
  if (wanted_) refuse();
  return std::nullopt;
}

std::optional<TlsRequest> TlsSettings::for_server() const {
  if (wanted_) refuse();
  return std::nullopt;
}

OverTls make_tls_transport(LoopCore&, TlsRequest, std::shared_ptr<BaseProtocol>,
                           Ref<FutureState<void>>) {
  refuse();
}

}  // namespace detail

namespace ssl {

// What a program calls to prepare a context that it was asked for at run time, so that it links.

SSLContext::SSLContext(Protocol) { refuse(); }
void SSLContext::load_cert_chain(std::string_view, CertChainOptions) const { refuse(); }
void SSLContext::load_verify_locations(VerifyLocations) const { refuse(); }

SSLContext create_default_context(Purpose, VerifyLocations) { refuse(); }

}  // namespace ssl

Coroutine<std::shared_ptr<Transport>> EventLoop::start_tls(std::shared_ptr<Transport>,
                                                           std::shared_ptr<BaseProtocol>,
                                                           const ssl::SSLContext&,
                                                           StartTlsOptions) {
  refuse();
}

}  // namespace asyncio::inline v1
