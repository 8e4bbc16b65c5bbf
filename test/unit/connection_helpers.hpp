// SPDX-License-Identifier: BSL-1.0
// For tests of connections and servers: a protocol, and what getaddrinfo gives.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>

#include <asyncio/connections.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/protocols.hpp>

#include "error_of.hpp"

namespace connection_tests {

using namespace asyncio;
using unit_tests::error_of;

/// A protocol that notes what it is told.
struct Recorder : Protocol {
  void connection_made(std::shared_ptr<Transport> transport) override {
    log += "made ";
    transport_ = std::move(transport);
  }
  void data_received(BytesView data) override { log += data.str() + " "; }
  void connection_lost(std::exception_ptr error) override {
    log += error ? "lost " + repr(error) : "lost";
    transport_.reset();
  }
  std::string log;
  std::shared_ptr<Transport> transport_;
};

inline std::shared_ptr<Protocol> make_protocol() { return std::make_shared<Recorder>(); }

/// Of a stream socket, as getaddrinfo gives it.
inline AddressInfo info(const char* host, int port) {
  const Address address(host, port);
  return {address.family(), SOCK_STREAM, IPPROTO_TCP, "", address};
}

}  // namespace connection_tests
