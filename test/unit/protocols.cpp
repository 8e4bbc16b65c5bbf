// SPDX-License-Identifier: BSL-1.0
//
// Protocols: their defaults, and make<P>().
#include <asyncio/protocols.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <asyncio/transports.hpp>

namespace {

using namespace asyncio;

class Silent : public Protocol {};

class SilentBuffered : public BufferedProtocol {
 public:
  MutableBytes get_buffer(std::ptrdiff_t) override { return MutableBytes(memory_); }

 private:
  std::string memory_ = "x";
};

class SilentParent : public SubprocessProtocol {};

class Named : public Protocol {
 public:
  Named(std::string name, int& counter) : name(std::move(name)) { ++counter; }
  const std::string name;
};

template <class Base, class... Derived>
constexpr bool is_base_of_all = (std::is_base_of_v<Base, Derived> && ...);
/// Nobody makes one but the library.
template <class... Classes>
constexpr bool are_abstract = (std::is_abstract_v<Classes> && ...);

}  // namespace

BOOST_AUTO_TEST_SUITE(protocols_tests)

BOOST_AUTO_TEST_CASE(every_method_has_an_empty_default_and_eof_closes) {
  Silent plain;
  plain.connection_made(nullptr);
  plain.data_received("x");
  plain.pause_writing();
  plain.resume_writing();
  BOOST_TEST(!plain.eof_received());
  plain.connection_lost(nullptr);

  SilentBuffered buffered;
  buffered.connection_made(nullptr);
  buffered.buffer_updated(1);
  BOOST_TEST(!buffered.eof_received());
  buffered.connection_lost(nullptr);

  SilentParent parent;
  parent.connection_made(nullptr);
  parent.pipe_data_received(1, "x");
  parent.pipe_connection_lost(1, nullptr);
  parent.process_exited();
  parent.pause_writing();
  parent.resume_writing();
  parent.connection_lost(nullptr);
}

BOOST_AUTO_TEST_CASE(transports_and_protocols_derive_as_in_python) {
  BOOST_TEST((is_base_of_all<BaseTransport, ReadTransport, WriteTransport, Transport,
                             DatagramTransport, SubprocessTransport>));
  BOOST_TEST((std::is_base_of_v<ReadTransport, Transport>));
  BOOST_TEST((std::is_base_of_v<WriteTransport, Transport>));
  BOOST_TEST((!std::is_base_of_v<Transport, DatagramTransport>));
  BOOST_TEST((are_abstract<BaseTransport, ReadTransport, WriteTransport, Transport,
                           DatagramTransport, SubprocessTransport>));

  BOOST_TEST((is_base_of_all<BaseProtocol, Protocol, BufferedProtocol, DatagramProtocol,
                             SubprocessProtocol>));
  BOOST_TEST((!std::is_base_of_v<Protocol, BufferedProtocol>));
}

BOOST_AUTO_TEST_CASE(a_protocol_cannot_be_plain_and_buffered) {
  // Both bring a StreamProtocol, so every call of it would be ambiguous: no factory returns one.
  class Both : public Protocol, public BufferedProtocol {
   public:
    MutableBytes get_buffer(std::ptrdiff_t) override { return {}; }
  };
  BOOST_TEST((!std::is_convertible_v<Both*, BaseProtocol*>));
}

BOOST_AUTO_TEST_CASE(make_constructs_a_new_protocol_from_the_same_arguments_each_time) {
  int counter = 0;
  const auto factory = make<Named>("echo", std::ref(counter));
  const std::shared_ptr<Named> first = factory();
  const std::shared_ptr<Named> second = factory();
  BOOST_TEST(first->name == "echo");
  BOOST_TEST(second->name == "echo");
  BOOST_TEST(first != second);
  BOOST_TEST(counter == 2);
}

BOOST_AUTO_TEST_CASE(make_copies_its_arguments) {
  int counter = 0;
  std::string name = "before";
  const auto factory = make<Named>(name, std::ref(counter));
  name = "after";
  BOOST_TEST(factory()->name == "before");
}

BOOST_AUTO_TEST_CASE(what_make_gives_is_a_protocol_factory_and_may_stand_in_an_awaiting_statement) {
  int counter = 0;
  const ProtocolFactory factory = make<Named>("x", std::ref(counter));
  BOOST_TEST(factory() != nullptr);
  using Made = decltype(make<Named>(std::string(), std::ref(counter)));
  BOOST_TEST(detail::inline_callable<Made>);
}

BOOST_AUTO_TEST_SUITE_END()
