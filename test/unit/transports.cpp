// SPDX-License-Identifier: BSL-1.0
//
// How a stream transport begins, and what it tells about itself (surface B15).
#include <asyncio/transports.hpp>

#include <any>
#include <memory>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>

#include "transport_fixture.hpp"

using namespace transport_tests;

BOOST_AUTO_TEST_SUITE(transports_tests)

// -- beginning

BOOST_AUTO_TEST_CASE(rule_129_connection_made_then_the_waiter_then_data_one_pass_later) {
  Connection c;
  Future<void> waiter(c.loop);
  c.transport = c.open(c.protocol, detail::Ref(&waiter.typed_state()));
  c.peer.send("hello");
  BOOST_TEST(c.protocol->events.empty());
  bool made_before_waiter = false;
  waiter.add_done_callback([&] { made_before_waiter = !c.protocol->events.empty(); });
  c.pass();
  BOOST_TEST(c.protocol->events == Events{"made"});
  BOOST_TEST(waiter.done());
  c.pass();
  BOOST_TEST(made_before_waiter);
  BOOST_TEST(c.protocol->events == (Events{"made", "data 5"}));
}

BOOST_AUTO_TEST_CASE(a_waiter_that_was_cancelled_is_left_alone) {
  Connection c;
  Future<void> waiter(c.loop);
  c.transport = c.open(c.protocol, detail::Ref(&waiter.typed_state()));
  waiter.cancel();
  c.pass(2);
  BOOST_TEST(waiter.cancelled());
  BOOST_TEST(c.reports.empty());
}

BOOST_AUTO_TEST_CASE(rule_129_pausing_in_connection_made_is_honoured) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->pause_reading(); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(5);
  BOOST_TEST(c.protocol->events == Events{"made"});
  c.transport->resume_reading();
  c.pass();
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_129_closing_in_connection_made_is_honoured) {
  Connection c;
  c.protocol->on_made = [&] { c.protocol->transport->close(); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(5);
  BOOST_TEST(c.protocol->events == (Events{"made", "lost None"}));
}

BOOST_AUTO_TEST_CASE(rule_103_a_failing_connection_made_is_reported_and_the_connection_goes_on) {
  Connection c;
  c.protocol->on_made = [] { throw ValueError("no"); };
  c.transport = c.open(c.protocol);
  c.peer.send("x");
  c.pass(3);
  BOOST_REQUIRE(c.reports.size() == 1);
  BOOST_TEST(c.reports[0].find("Exception in callback") == 0u);
  BOOST_TEST(c.protocol->data == "x");
}

BOOST_AUTO_TEST_CASE(rule_130_nagle_is_off_for_tcp) {
  Connection c;
  c.established_tcp();
  const TransportSocket view = c.transport->get_extra_info(asyncio::socket);
  BOOST_TEST(view.getsockopt(IPPROTO_TCP, TCP_NODELAY) != 0);
}

BOOST_AUTO_TEST_CASE(no_protocol_or_one_of_another_kind_is_a_type_error_and_closes_the_socket) {
  class Other : public BaseProtocol {};
  Connection c;
  BOOST_TEST(thrown_by([&] { c.open(nullptr); }) ==
             "TypeError('a Protocol or BufferedProtocol was expected, got None')");
  BOOST_TEST(c.received() == "<EOF>");
  BOOST_TEST(thrown_by([&] { c.open(std::make_shared<Other>()); }) ==
             "TypeError('a Protocol or BufferedProtocol was expected, got Other')");
}

BOOST_AUTO_TEST_CASE(a_closed_loop_makes_no_transport) {
  Connection c;
  c.loop.close();
  BOOST_TEST(thrown_by([&] { c.open(c.protocol); }) == "RuntimeError('Event loop is closed')");
}

BOOST_AUTO_TEST_CASE(events_are_handled_in_the_context_that_made_the_transport) {
  Connection c;
  const ContextVar<int> variable("variable", 0);
  int seen = 0;
  c.protocol->on_data = [&] { seen += variable.get(); };
  Context context;
  context.run([&] {
    const auto token = variable.set(7);
    c.transport = c.open(c.protocol);
  });
  c.peer.send("x");
  c.pass(2);
  BOOST_TEST(seen == 7);
}

// -- its protocol, what it tells, what it logs

BOOST_AUTO_TEST_CASE(rule_149_set_protocol_counts_from_the_next_event_for_both_kinds) {
  Connection c;
  c.established();
  const auto buffered = std::make_shared<BufferedRecorder>(100);
  const auto plain = std::make_shared<Recorder>();
  c.transport->set_protocol(buffered);
  BOOST_TEST(c.transport->get_protocol() == buffered);
  c.peer.send("one");
  c.pass();
  c.transport->set_protocol(plain);
  c.peer.send("two");
  c.pass();
  BOOST_TEST(c.protocol->events.empty());
  BOOST_TEST(buffered->data == "one");
  BOOST_TEST(plain->events == Events{"data 3"});  // no connection_made
  c.transport->close();
  c.pass();
  BOOST_TEST(plain->events.back() == "lost None");
  BOOST_TEST(c.protocol->events.empty());
}

BOOST_AUTO_TEST_CASE(a_protocol_that_replaces_itself_while_called_lives_until_it_returns) {
  struct Fragile : Protocol {
    std::shared_ptr<Transport> transport;
    std::shared_ptr<BaseProtocol> successor;
    std::string memory = "a string long enough to be on the heap";
    bool* intact = nullptr;
    void data_received(BytesView) override {
      const auto held = transport;
      held->set_protocol(successor);
      held->set_protocol(successor);
      *intact = memory == "a string long enough to be on the heap";
    }
  };
  Connection c;
  bool intact = false;
  auto fragile = std::make_shared<Fragile>();
  fragile->successor = c.protocol;
  fragile->intact = &intact;
  c.transport = c.open(fragile);
  fragile->transport = c.transport;
  const std::weak_ptr<Fragile> watched = fragile;
  fragile.reset();
  c.pass(2);
  c.peer.send("x");
  c.pass();
  BOOST_TEST(intact);
  BOOST_TEST(watched.expired());
  c.peer.send("y");
  c.pass();
  BOOST_TEST(c.protocol->data == "y");
}

BOOST_AUTO_TEST_CASE(a_protocol_that_replaces_itself_in_connection_lost_lives_until_it_returns) {
  struct Leaving : Protocol {
    std::shared_ptr<Transport> transport;
    std::shared_ptr<BaseProtocol> successor;
    bool* destroyed = nullptr;
    bool* destroyed_too_early = nullptr;
    ~Leaving() override { *destroyed = true; }
    void connection_lost(std::exception_ptr) override {
      const auto held = transport;
      bool* const early = destroyed_too_early;
      bool* const gone = destroyed;
      held->set_protocol(successor);
      *early = *gone;
    }
  };
  Connection c;
  bool destroyed = false, destroyed_too_early = true;
  auto leaving = std::make_shared<Leaving>();
  leaving->successor = c.protocol;
  leaving->destroyed = &destroyed;
  leaving->destroyed_too_early = &destroyed_too_early;
  c.transport = c.open(leaving);
  leaving->transport = c.transport;
  leaving.reset();
  c.pass(2);
  c.transport->close();
  c.pass();
  BOOST_TEST(!destroyed_too_early);
  BOOST_TEST(destroyed);
  BOOST_TEST(c.protocol.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(set_protocol_of_another_kind_is_a_type_error_and_changes_nothing) {
  class Other : public BaseProtocol {};
  Connection c;
  c.established();
  BOOST_TEST(thrown_by([&] { c.transport->set_protocol(std::make_shared<Other>()); }) ==
             "TypeError('a Protocol or BufferedProtocol was expected, got Other')");
  BOOST_TEST(c.transport->get_protocol() == c.protocol);
}

BOOST_AUTO_TEST_CASE(extra_information_by_typed_key_and_by_name) {
  Connection c;
  c.established_tcp();
  const Address there = c.transport->get_extra_info(peername);
  BOOST_TEST(to_string(there) == to_string(c.peer.getsockname()));
  BOOST_TEST(to_string(c.transport->get_extra_info(asyncio::peername), "_") ==
             "127.0.0.1_" + std::to_string(there.port()));
  BOOST_TEST(to_string(c.transport->get_extra_info(sockname)) == to_string(c.peer.getpeername()));
  BOOST_TEST((std::any_cast<Address>(c.transport->get_extra_info("peername")) == there));
  BOOST_TEST(!c.transport->get_extra_info("cipher").has_value());
  BOOST_TEST((c.transport->get_extra_info(ExtraInfoKey<int>{"cipher"}, 5) == 5));
  BOOST_TEST(c.transport->get_extra_info(asyncio::socket).fileno() >= 0);
  c.transport->close();
  c.pass();
  BOOST_TEST((c.transport->get_extra_info(peername) == there));
  BOOST_TEST(c.transport->get_extra_info(asyncio::socket).fileno() == -1);
}

BOOST_AUTO_TEST_CASE(the_repr_tells_the_state) {
  Connection c;
  c.established();
  const std::string fd = std::to_string(c.transport->get_extra_info(asyncio::socket).fileno());
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport fd=" + fd + " read=polling write=<idle, bufsize=0>>");
  c.transport->pause_reading();
  c.write_until_buffered();
  const std::string size = std::to_string(c.transport->get_write_buffer_size());
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport fd=" + fd + " read=idle write=<polling, bufsize=" + size + ">>");
  c.transport->abort();
  BOOST_TEST(to_string(*c.transport) ==
             "<StreamTransport closing fd=" + fd + " read=idle write=<idle, bufsize=0>>");
  c.pass();
  BOOST_TEST(to_string(*c.transport) == "<StreamTransport closed fd=" + fd + ">");
}

BOOST_AUTO_TEST_CASE(debug_mode_logs_what_happens) {
  const CapturedLog log(LogLevel::debug);
  Connection c;
  c.loop.set_debug(true);
  c.established_tcp();
  c.transport->pause_reading();
  c.transport->resume_reading();
  c.peer.close();
  c.run_until([&] { return c.protocol->lost(); });
  const auto logged = [&](const std::string& what) {
    for (const std::string& message : log.messages())
      if (message.find(what) != std::string::npos) return true;
    return false;
  };
  BOOST_TEST(logged("pauses reading"));
  BOOST_TEST(logged("resumes reading"));
  BOOST_TEST(logged("received EOF"));
}

BOOST_AUTO_TEST_SUITE_END()
