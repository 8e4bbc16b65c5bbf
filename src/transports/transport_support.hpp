// SPDX-License-Identifier: BSL-1.0
// What the transports have in common. Private to the library.
#pragma once

#include <asyncio/detail/pool_allocator.hpp>
#include <asyncio/detail/prefetch.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/handles.hpp>
#include <asyncio/logging.hpp>
#include <asyncio/protocols.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <exception>
#include <typeinfo>

namespace asyncio::inline v1::detail {

inline const Logger& transport_logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

inline bool would_block(const boost::system::error_code& error) {
  return error == boost::asio::error::would_block || error == boost::asio::error::try_again ||
         error == boost::asio::error::interrupted;
}

/// What f() throws; null if nothing. SystemExit and KeyboardInterrupt pass.
template <class F>
std::exception_ptr caught(F&& f) {
  try {
    f();
    return nullptr;
  } catch (...) {
    return caught_error();
  }
}

/// For what a request needs of a transport, whose entry in a queue this is.
inline void prefetch_around(const ReadyNode* entry) noexcept {
  if (!entry) return;
  const auto* const place = reinterpret_cast<const char*>(entry);
  for (int offset = -32; offset < 256; offset += 64) prefetch(place + offset);
}

/// A protocol's class, for an error text.
inline const char* name_of(const BaseProtocol* protocol) {
  if (!protocol) return "None";
  const BaseProtocol& object = *protocol;
  return class_name(typeid(object));
}

/// Asio's handler of a wait: says that the kernel has reported readiness, or that the descriptor
/// was closed. The transport lives until then.
template <class T, void (T::*ready)()>
class WaitHandler {
 public:
  using allocator_type = PoolAllocator<void>;

  explicit WaitHandler(T& transport) : transport_(&transport) {}
  allocator_type get_allocator() const noexcept { return {}; }
  void operator()(const boost::system::error_code&) const { (transport_.get()->*ready)(); }

 private:
  Ref<T> transport_;
};

}  // namespace asyncio::inline v1::detail
