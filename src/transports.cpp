// SPDX-License-Identifier: BSL-1.0
#include <asyncio/transports.hpp>

#include <asyncio/exceptions.hpp>

namespace asyncio::inline v1 {

void WriteTransport::writelines(std::initializer_list<BytesView> lines) {
  writelines(std::span(lines.begin(), lines.size()));
}
void WriteTransport::write_views(const std::vector<BytesView>& lines) {
  writelines(std::span(lines));
}
Socket WriteTransport::release_socket() {
  throw NotImplementedError("release_socket is not supported for transport " + to_string(*this));
}

}  // namespace asyncio::inline v1
