// SPDX-License-Identifier: BSL-1.0
// create_datagram_endpoint (surface B17).
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <asyncio/connections.hpp>
#include <asyncio/logging.hpp>
#include <cerrno>
#include <typeinfo>

#include "connect.hpp"
#include "loop_core.hpp"
#include "resolver.hpp"
#include "sock_connect.hpp"
#include "transports/datagram_transport.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

using DatagramConnection =
    std::pair<std::shared_ptr<DatagramTransport>, std::shared_ptr<BaseProtocol>>;

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

/// A DatagramAddress, owned.
struct GivenAddress {
  explicit GivenAddress(DatagramAddress address)
      : given(address),
        is_path(address.is_path()),
        text(address.text()),
        port(address.port()),
        ipv6(address.ipv6()) {}

  /// As Python's user has written it.
  std::string repr() const {
    if (!given) return "None";
    if (is_path) return repr_str(text);
    std::string tuple = "(" + repr_str(text) + ", " + std::to_string(port);
    if (ipv6.flowinfo != 0 || ipv6.scope_id != 0)
      tuple += ", " + std::to_string(ipv6.flowinfo) + ", " + std::to_string(ipv6.scope_id);
    return tuple + ")";
  }

  bool given;
  bool is_path;
  std::string text;
  int port;
  Ipv6Part ipv6;
};

/// What create_datagram_endpoint was asked for, owned.
struct DatagramRequest {
  explicit DatagramRequest(const DatagramOptions& options)
      : local(options.local_addr),
        remote(options.remote_addr),
        resolving{options.family, SOCK_DGRAM, options.proto, options.flags},
        reuse_port(options.reuse_port.value_or(false)),
        allow_broadcast(options.allow_broadcast.value_or(false)),
        adopts(options.sock != nullptr) {
    if (adopts) sock = std::move(*options.sock);
  }

  GivenAddress local;
  GivenAddress remote;
  ResolveOptions resolving;
  bool reuse_port;
  bool allow_broadcast;
  bool adopts;
  Socket sock;
};

/// A socket and whom it sends to, if that is settled.
struct Opened {
  Socket sock;
  Address remote;
};

/// Where an endpoint may be: addresses of one family and protocol.
struct Place {
  int family;
  int proto;
  Address local;
  Address remote;
};

/// Rule 172: an existing socket takes no options.
void check_adopted(const DatagramRequest& request) {
  if (request.sock.type() == SOCK_STREAM)
    throw ValueError("A datagram socket was expected, got " + to_string(request.sock));
  std::string problems;
  const auto add = [&](bool given, const char* name, const std::string& value) {
    if (!given) return;
    if (!problems.empty()) problems += ", ";
    problems.append(name).append("=").append(value);
  };
  const auto add_address = [&](const char* name, const GivenAddress& address) {
    add(address.given, name, address.is_path ? address.text : address.repr());
  };
  const auto add_number = [&](const char* name, int value) {
    add(value != 0, name, std::to_string(value));
  };
  add_address("local_addr", request.local);
  add_address("remote_addr", request.remote);
  add_number("family", request.resolving.family);
  add_number("proto", request.resolving.proto);
  add_number("flags", request.resolving.flags);
  add(request.reuse_port, "reuse_port", "True");
  add(request.allow_broadcast, "allow_broadcast", "True");
  if (!problems.empty()) {
    throw ValueError("socket modifier keyword arguments can not be used when sock is specified. (" +
                     problems + ")");
  }
}

Place unix_place(const DatagramRequest& request) {
  Place place{request.resolving.family, request.resolving.proto, {}, {}};
  for (const GivenAddress* const address : {&request.local, &request.remote})
    if (address->given && !address->is_path) throw TypeError("string is expected");
  if (request.local.given) {
    remove_stale_socket(request.local.text);
    place.local = Address::from_path(request.local.text);
  }
  if (request.remote.given) place.remote = Address::from_path(request.remote.text);
  return place;
}

Coroutine<std::vector<AddressInfo>> resolve_one(LoopCore& core, const GivenAddress& address,
                                                ResolveOptions options) {
  if (address.is_path) throw TypeError("2-tuple is expected");
  std::vector<AddressInfo> answers =
      co_await ensure_resolved(core, address.text, Port(address.port), options, address.ipv6);
  if (answers.empty()) throw OSError("getaddrinfo() returned empty list");
  co_return answers;
}

/// Joins the addresses by family and protocol.
Coroutine<std::vector<Place>> resolve_places(LoopCore& core, const DatagramRequest& request) {
  std::vector<Place> places;
  const auto add = [&](const std::vector<AddressInfo>& answers, Address Place::*which) {
    for (const AddressInfo& answer : answers) {
      auto place = std::find_if(places.begin(), places.end(), [&](const Place& other) {
        return other.family == answer.family && other.proto == answer.proto;
      });
      if (place == places.end())
        place = places.insert(place, Place{answer.family, answer.proto, {}, {}});
      (*place).*which = answer.address;
    }
  };
  if (request.local.given) {
    const std::vector<AddressInfo> answers =
        co_await resolve_one(core, request.local, request.resolving);
    add(answers, &Place::local);
  }
  if (request.remote.given) {
    const std::vector<AddressInfo> answers =
        co_await resolve_one(core, request.remote, request.resolving);
    add(answers, &Place::remote);
  }
  std::erase_if(places, [&](const Place& place) {
    return (request.local.given && place.local.empty()) ||
           (request.remote.given && place.remote.empty());
  });
  if (places.empty()) throw ValueError("can not get address information");
  co_return places;
}

Coroutine<std::vector<Place>> places_of(LoopCore& core, const DatagramRequest& request) {
  std::vector<Place> places;
  if (!request.local.given && !request.remote.given) {
    if (request.resolving.family == AF_UNSPEC) throw ValueError("unexpected address family");
    places.push_back(Place{request.resolving.family, request.resolving.proto, {}, {}});
  } else if (request.resolving.family == AF_UNIX) {
    places.push_back(unix_place(request));
  } else {
    places = co_await resolve_places(core, request);
  }
  co_return places;
}

Coroutine<Socket> open_at(LoopCore& core, const DatagramRequest& request, const Place& place) {
  Socket sock(place.family, SOCK_DGRAM, place.proto);
  if (request.reuse_port) set_reuse_port(sock);
  if (request.allow_broadcast) sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  if (request.local.given) sock.bind(place.local);
  if (request.remote.given && !request.allow_broadcast)
    co_await sock_connect(core, sock, place.remote);
  co_return std::move(sock);
}

/// Rule 171: the first place that works, else the first failure.
Coroutine<Opened> open_first(LoopCore& core, const DatagramRequest& request) {
  std::vector<Place> places = co_await places_of(core, request);
  std::exception_ptr first_failure;
  for (Place& place : places) {
    Opened opened;
    try {
      opened.sock = co_await open_at(core, request, place);
      opened.remote = std::move(place.remote);
      co_return opened;
    } catch (const OSError&) {
      if (!first_failure) first_failure = std::current_exception();
    }
  }
  std::rethrow_exception(first_failure);
}

void log_created(const DatagramRequest& request, const DatagramTransport& transport,
                 const BaseProtocol& protocol) {
  const std::string pair = "(" + to_string(transport) + ", " + class_name(typeid(protocol)) + ")";
  if (request.local.given) {
    logger().info("Datagram endpoint local_addr={} remote_addr={} created: {}",
                  request.local.repr(), request.remote.repr(), pair);
  } else {
    logger().debug("Datagram endpoint remote_addr={} created: {}", request.remote.repr(), pair);
  }
}

Coroutine<DatagramConnection> open_endpoint(LoopCore& core, ProtocolFactory factory,
                                            DatagramRequest request) {
  Opened opened;
  if (request.adopts) {
    check_adopted(request);
    opened.sock = std::move(request.sock);
  } else {
    opened = co_await open_first(core, request);
  }
  std::shared_ptr<BaseProtocol> protocol = call_factory(factory);
  const Ref<FutureState<void>> waiter(adopt_ref, new FutureState<void>(core));
  std::shared_ptr<DatagramTransport> transport = make_datagram_transport(
      core, std::move(opened.sock), protocol, waiter, std::move(opened.remote));
  if (core.debug()) log_created(request, *transport, *protocol);
  co_await connection_made(waiter, transport);
  co_return DatagramConnection(std::move(transport), std::move(protocol));
}

}  // namespace

}  // namespace detail

Coroutine<EventLoop::AnyDatagramEndpoint> EventLoop::open_datagram_endpoint(
    ProtocolFactory factory, DatagramOptions options) {
  return detail::open_endpoint(core(), std::move(factory), detail::DatagramRequest(options));
}

}  // namespace asyncio::inline v1
