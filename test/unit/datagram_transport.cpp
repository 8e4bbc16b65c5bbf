// SPDX-License-Identifier: BSL-1.0
// The transport of datagram sockets, over UDP on loopback and over Unix pairs (surface B17).
#include <asyncio/transports.hpp>

#include <cstring>
#include <memory>
#include <string>

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include <asyncio/contextvars.hpp>

#include "datagram_fixture.hpp"
#include "transports/datagram_transport.hpp"

using namespace datagram_fixture;

BOOST_AUTO_TEST_SUITE(datagram_transport_tests)

// -- beginning

BOOST_AUTO_TEST_CASE(r129_connection_made_then_the_waiter_then_data_one_pass_later) {
  Fixture f;
  auto [ours, theirs] = datagram_pair();
  theirs.send("early");
  Future<void> waiter(f.loop);
  f.transport = detail::make_datagram_transport(f.loop.core(), std::move(ours), f.protocol,
                                                detail::Ref(&waiter.typed_state()), {});
  BOOST_TEST(f.protocol->events.empty());
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"made"});
  BOOST_TEST(waiter.done());
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"got early"});
}

BOOST_AUTO_TEST_CASE(r129_pausing_and_closing_in_connection_made_are_honoured) {
  for (const bool close : {false, true}) {
    Fixture f;
    auto [ours, theirs] = datagram_pair();
    theirs.send("x");
    f.protocol->on_made = [&] {
      if (close)
        f.protocol->transport->close();
      else
        f.protocol->transport->pause_reading();
    };
    f.transport =
        detail::make_datagram_transport(f.loop.core(), std::move(ours), f.protocol, nullptr, {});
    f.pass(5);
    BOOST_TEST(f.protocol->news() == (close ? Lines{"made", "lost None"} : Lines{"made"}));
  }
}

BOOST_AUTO_TEST_CASE(r103_a_failing_connection_made_is_reported_and_the_endpoint_goes_on) {
  Fixture f;
  f.protocol->on_made = [] { throw ValueError("no"); };
  f.open_pair();
  f.peer.send("x");
  f.pass(2);
  BOOST_TEST_REQUIRE(f.reports.size() == 1u);
  BOOST_TEST(f.reports[0].starts_with("Exception in callback"));
  BOOST_TEST(f.protocol->news() == Lines{"got x"});
}

// -- receiving

BOOST_AUTO_TEST_CASE(r173_one_datagram_a_pass_in_order) {
  Fixture f;
  f.open_pair();
  for (const char* text : {"a", "b", "c", "d"}) f.peer.send(text);
  f.run_until_event("got a");
  for (const char* text : {"got b", "got c", "got d"}) {
    f.pass();
    BOOST_TEST(f.protocol->events.back() == text);
  }
}

BOOST_AUTO_TEST_CASE(r173_passes_between_datagrams_lose_none) {
  // Long enough for reading ahead of the kernel's word to stop paying, and to be tried again.
  Fixture f;
  f.open_pair();
  for (int i = 0; i < 300; ++i) {
    f.peer.send(std::to_string(i));
    f.run_until_event("got " + std::to_string(i));
    f.pass(i % 3);
  }
  BOOST_TEST(f.protocol->events.size() == 300u);
}

BOOST_AUTO_TEST_CASE(empty_datagrams_are_received_and_sent_like_others) {
  Fixture f;
  f.open_client();
  f.peer.send("");
  f.peer.send("x");
  f.run_until_event("got x");
  BOOST_TEST(f.protocol->news() == (Lines{"got ", "got x"}));
  f.transport->sendto("");
  f.transport->sendto("y");
  BOOST_TEST(received(f.peer) == (Lines{"", "y"}));
}

BOOST_AUTO_TEST_CASE(the_largest_datagram_arrives_whole) {
  Fixture f;
  f.open_client();
  f.peer.send(std::string(65507, 'x'));
  f.run_until_event("got 65507");
  f.transport->sendto(std::string(65507, 'y'));
  BOOST_TEST(received(f.peer).at(0).size() == 65507u);
}

BOOST_AUTO_TEST_CASE(each_datagram_comes_with_its_sender) {
  Fixture f;
  f.open_server();
  Socket other = udp_socket();
  other.connect(f.transport->get_extra_info(sockname));
  int count = 0;
  for (Socket* const sender : {&f.peer, &other, &other, &f.peer}) {
    sender->send(std::to_string(count));
    f.run_until_event("got " + std::to_string(count++));
    BOOST_TEST((f.protocol->senders.back() == sender->getsockname()));
  }
}

BOOST_AUTO_TEST_CASE(the_senders_address_holds_while_others_are_sent_to) {
  Fixture f;
  f.open_server();
  Socket other = udp_socket();
  f.protocol->on_datagram = [&] {
    f.transport->sendto("for the other", other.getsockname());
    f.transport->sendto("for you", f.protocol->senders.back());
  };
  f.peer.send("x");
  f.run_until_event("got x");  // the Recorder compares
  BOOST_TEST(received(f.peer) == Lines{"for you"});
  BOOST_TEST(received(other) == Lines{"for the other"});
}

BOOST_AUTO_TEST_CASE(what_datagram_received_throws_is_reported_and_the_endpoint_goes_on) {
  Fixture f;
  f.open_pair();
  f.protocol->on_datagram = [] { throw ValueError("no"); };
  f.peer.send("a");
  f.peer.send("b");
  f.run_until_event("got b");
  const std::string report =
      "Exception in callback DatagramTransport::read_ready(): ValueError('no')";
  BOOST_TEST(f.reports == (Lines{report, report}));
  BOOST_TEST(!f.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(system_exit_leaves_the_loop_and_the_endpoint_goes_on_with_it) {
  Fixture f;
  f.open_pair();
  f.protocol->on_datagram = [&] {
    f.protocol->on_datagram = nullptr;
    throw SystemExit(3);
  };
  f.peer.send("a");
  f.peer.send("b");
  BOOST_CHECK_THROW(f.loop.run_forever(), SystemExit);
  f.run_until_event("got b");
  BOOST_TEST(f.protocol->news() == (Lines{"got a", "got b"}));
}

BOOST_AUTO_TEST_CASE(r174_nobody_listens_is_error_received_and_the_endpoint_goes_on) {
  Fixture f;
  const Address nobody = unused_address();
  f.open({.remote_addr = nobody});
  f.transport->sendto("x");
  f.run_until_event("error ConnectionRefusedError");
  f.peer = Socket(AF_INET, SOCK_DGRAM);
  f.peer.bind(nobody);
  f.transport->sendto("y");
  BOOST_TEST(received(f.peer) == Lines{"y"});
  BOOST_TEST(f.protocol->events.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_error_received_throws_on_receiving_is_reported) {
  Fixture f;
  f.open({.remote_addr = unused_address()});
  f.protocol->on_error = [] { throw ValueError("no"); };
  f.transport->sendto("x");
  f.run_until([&] { return !f.reports.empty(); });
  BOOST_TEST(f.reports ==
             Lines{"Exception in callback DatagramTransport::read_ready(): ValueError('no')"});
  BOOST_TEST(!f.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(r146_what_comes_while_paused_waits_in_the_kernel) {
  Fixture f;
  f.open_pair();
  f.transport->pause_reading();
  BOOST_TEST(!f.transport->is_reading());
  f.peer.send("a");
  f.pass(5);
  BOOST_TEST(f.protocol->events.empty());
  f.transport->resume_reading();
  f.transport->resume_reading();
  BOOST_TEST(f.transport->is_reading());
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"got a"});
}

BOOST_AUTO_TEST_CASE(r146_pausing_skips_a_datagram_that_is_about_to_be_delivered) {
  Fixture f;
  f.open_pair();
  f.protocol->on_datagram = [&] { f.transport->pause_reading(); };
  f.peer.send("a");
  f.peer.send("b");
  f.run_until_event("got a");
  f.pass(5);
  BOOST_TEST(f.protocol->news() == Lines{"got a"});
}

BOOST_AUTO_TEST_CASE(callbacks_run_in_the_context_of_the_creation) {
  Fixture f;
  const ContextVar<int> variable("variable", 0);
  auto token = variable.set(7);
  f.open_pair();
  variable.reset(token);
  int seen = 0;
  f.protocol->on_datagram = [&] { seen = variable.get(); };
  f.peer.send("x");
  f.run_until_event("got x");
  BOOST_TEST(seen == 7);
}

// -- sending

BOOST_AUTO_TEST_CASE(r174_the_remote_address_may_be_named_but_no_other) {
  Fixture f;
  f.open_client();
  const Address remote = f.peer.getsockname();
  f.transport->sendto("a", remote);
  BOOST_TEST(thrown_by([&] { f.transport->sendto("b", unused_address()); }) ==
             "ValueError(\"Invalid address: must be None or " + to_string(remote) + "\")");
  BOOST_TEST(received(f.peer) == Lines{"a"});
}

BOOST_AUTO_TEST_CASE(a_name_is_a_value_error_and_the_endpoint_goes_on) {
  Fixture f;
  f.open_server();
  BOOST_TEST(thrown_by([&] { f.transport->sendto("x", Address("localhost", 9)); }) ==
             "ValueError(\"address ('localhost', 9) is not resolved to an IP address\")");
  f.transport->sendto("y", f.peer.getsockname());
  BOOST_TEST(received(f.peer) == Lines{"y"});
}

BOOST_AUTO_TEST_CASE(an_address_that_the_socket_cannot_use_ends_the_endpoint) {
  struct Case {
    int family;
    Address addr;
    std::string text;
  };
  const Case cases[] = {
      {AF_INET, {}, "sendto(): AF_INET address must be tuple, not NoneType"},
      {AF_INET, Address::from_path("/x"), "sendto(): AF_INET address must be tuple, not str"},
      {AF_UNIX, {}, "a bytes-like object is required, not 'NoneType'"},
      {AF_UNIX, Address("::1", 9), "a bytes-like object is required, not 'tuple'"},
  };
  for (const Case& one : cases) {
    Fixture f;
    f.open({.family = one.family});
    f.transport->sendto("x", one.addr);
    BOOST_TEST(f.transport->is_closing());
    BOOST_TEST(f.protocol->events.empty());
    f.pass();
    BOOST_TEST(f.protocol->news() == Lines{"lost TypeError"});
    BOOST_TEST(f.reports == Lines{"Fatal write error on datagram transport: TypeError(" +
                                  repr_str(one.text) + ")"});
  }
}

BOOST_AUTO_TEST_CASE(r174_a_failed_send_is_error_received_and_no_exception) {
  Fixture f;
  f.open_client();
  f.transport->sendto(std::string(70'000, 'x'));
  BOOST_TEST(f.protocol->news() == Lines{"error OSError"});
  BOOST_TEST(f.transport->get_write_buffer_size() == 0u);
  f.transport->sendto("y");
  BOOST_TEST(received(f.peer) == Lines{"y"});
}

BOOST_AUTO_TEST_CASE(a_path_that_is_too_long_is_error_received) {
  Fixture f;
  f.open({.family = AF_UNIX});
  f.transport->sendto("x", Address::from_path(std::string(200, 'p')));
  BOOST_TEST(f.protocol->news() == Lines{"error OSError"});
  BOOST_TEST(!f.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(what_error_received_throws_inside_sendto_comes_out_of_it) {
  Fixture f;
  f.open_client();
  f.protocol->on_error = [] { throw ValueError("mine"); };
  BOOST_CHECK_THROW(f.transport->sendto(std::string(70'000, 'x')), ValueError);
  BOOST_TEST(f.reports.empty());
  BOOST_TEST(!f.transport->is_closing());
}

BOOST_AUTO_TEST_CASE(a_pair_that_others_connected_needs_no_address) {
  Fixture f;
  f.open_pair();
  f.transport->sendto("x");
  BOOST_TEST(received(f.peer) == Lines{"x"});
  f.peer.send("y");
  f.run_until_event("got y");
  BOOST_TEST(f.protocol->senders.back().empty());
}

// -- the end

BOOST_AUTO_TEST_CASE(r140_close_is_idempotent_and_connection_lost_comes_with_the_next_pass) {
  Fixture f;
  f.open_pair();
  f.transport->close();
  f.transport->close();
  BOOST_TEST(f.transport->is_closing());
  BOOST_TEST(f.protocol->events.empty());
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"lost None"});
  BOOST_TEST(!f.transport->get_protocol());
  f.pass(3);
  BOOST_TEST(f.protocol->events.empty());
}

BOOST_AUTO_TEST_CASE(r140_close_sends_what_waits_and_r141_what_still_comes) {
  Fixture f;
  f.open_pair();
  f.send_until_buffered();
  f.transport->close();
  f.transport->sendto("the last");
  f.pass(5);
  BOOST_TEST(f.protocol->events.empty());
  received(f.peer);
  f.run_until_event("lost None");
  BOOST_TEST(received(f.peer).back() == "the last");
}

BOOST_AUTO_TEST_CASE(r143_abort_drops_what_waits) {
  Fixture f;
  f.open_pair();
  const int count = f.send_until_buffered();
  f.transport->abort();
  f.transport->abort();
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"lost None"});
  BOOST_TEST(received(f.peer).size() == static_cast<std::size_t>(count) - 1);
}

BOOST_AUTO_TEST_CASE(closing_in_datagram_received_leaves_the_rest_unread) {
  Fixture f;
  f.open_pair();
  f.protocol->on_datagram = [&] { f.transport->close(); };
  f.peer.send("a");
  f.peer.send("b");
  f.run_until_event("lost None");
  BOOST_TEST(f.protocol->news() == (Lines{"got a", "lost None"}));
}

BOOST_AUTO_TEST_CASE(r176_after_a_loss_datagrams_to_the_remote_address_are_dropped_and_counted) {
  const CapturedLog log;
  Fixture f;
  f.open_client();
  f.transport->abort();
  for (int i = 0; i < 4; ++i) f.transport->sendto("x");
  f.pass();
  BOOST_TEST(log.records.empty());
  f.transport->sendto("x");
  BOOST_TEST(log.lines() == Lines{"WARNING:asyncio:socket.send() raised exception."});
  BOOST_TEST(received(f.peer).empty());
}

BOOST_AUTO_TEST_CASE(r176_without_a_remote_address_they_are_sent_until_the_socket_is_closed) {
  Fixture f;
  f.open_server();
  f.transport->abort();
  f.transport->sendto("a", f.peer.getsockname());
  BOOST_TEST(received(f.peer) == Lines{"a"});
  f.pass();
  f.transport->sendto("b", f.peer.getsockname());
  BOOST_TEST(received(f.peer).empty());
}

BOOST_AUTO_TEST_CASE(r176_what_the_kernel_does_not_take_after_a_loss_is_not_kept) {
  Fixture f;
  f.open_pair();
  f.send_until_buffered();
  f.transport->abort();
  f.transport->sendto("x");
  BOOST_TEST(f.transport->get_write_buffer_size() == 0u);
}

BOOST_AUTO_TEST_CASE(every_call_on_a_closed_transport_is_harmless) {
  Fixture f;
  f.open_pair();
  f.transport->close();
  f.pass();
  f.transport->close();
  f.transport->abort();
  f.transport->pause_reading();
  f.transport->resume_reading();
  f.transport->sendto("x");
  f.transport->set_write_buffer_limits();
  f.transport->set_protocol(std::make_shared<Recorder>());
  BOOST_TEST(!f.transport->get_protocol());
  BOOST_TEST(f.transport->get_write_buffer_size() == 0u);
}

BOOST_AUTO_TEST_CASE(closing_the_loop_releases_the_socket_without_a_word) {
  const NoDescriptorLeft checked;
  Fixture f;
  f.open_pair();
  f.send_until_buffered();
  f.loop.close();
  BOOST_TEST(f.protocol->events.empty());
  f.transport->sendto("x");
  BOOST_TEST(f.transport->repr().starts_with("<DatagramTransport closed fd="));
}

BOOST_AUTO_TEST_CASE(a_transport_that_nobody_closed_says_so) {
  const CapturedLog log;
  Fixture f;
  f.open_pair();
  f.transport->pause_reading();  // nor does the loop hold it then, waiting
  f.protocol->transport.reset();
  f.peer.send("x");
  f.pass(2);
  f.transport.reset();
  f.loop.close();
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(
      log.lines()[0].starts_with("WARNING:asyncio:unclosed transport <DatagramTransport fd="));
}

// -- what it says about itself

BOOST_AUTO_TEST_CASE(get_extra_info_knows_both_ends_and_the_socket) {
  Fixture f;
  f.open_client();
  BOOST_TEST((f.transport->get_extra_info(peername) == f.peer.getsockname()));
  BOOST_TEST(f.transport->get_extra_info(sockname).host() == "127.0.0.1");
  BOOST_TEST(f.transport->get_extra_info(asyncio::socket).type() == SOCK_DGRAM);
  BOOST_TEST(!f.transport->get_extra_info("nothing").has_value());
  Fixture server;
  server.open_server();
  BOOST_TEST(server.transport->get_extra_info(peername).empty());
}

BOOST_AUTO_TEST_CASE(the_repr_tells_the_state) {
  Fixture f;
  f.open_pair();
  const std::string fd =
      " fd=" + std::to_string(f.transport->get_extra_info(asyncio::socket).fileno());
  f.pass(2);
  BOOST_TEST(to_string(*f.transport) ==
             "<DatagramTransport" + fd + " read=polling write=<idle, bufsize=0>>");
  f.send_until_buffered();
  const std::string size = std::to_string(f.transport->get_write_buffer_size());
  f.transport->close();
  BOOST_TEST(to_string(*f.transport) == "<DatagramTransport closing" + fd +
                                            " read=idle write=<polling, bufsize=" + size + ">>");
  f.transport->abort();
  f.pass();
  BOOST_TEST(to_string(*f.transport) == "<DatagramTransport closed" + fd + ">");
}

BOOST_AUTO_TEST_CASE(r149_another_protocol_takes_over_with_the_next_event) {
  Fixture f;
  f.open_pair();
  const auto second = std::make_shared<Recorder>();
  f.protocol->on_datagram = [&] {
    f.transport->set_protocol(second);
    f.protocol->on_datagram = nullptr;
  };
  f.peer.send("a");
  f.run_until_event("got a");
  f.peer.send("b");
  f.run_until([&] { return !second->events.empty(); });
  BOOST_TEST((f.transport->get_protocol() == second));
  f.transport->close();
  f.pass();
  BOOST_TEST(f.protocol->news() == Lines{"got a"});
  BOOST_TEST(second->news() == (Lines{"got b", "lost None"}));
}

BOOST_AUTO_TEST_CASE(a_protocol_that_is_replaced_in_its_own_call_lives_until_its_end) {
  Fixture f;
  f.open_pair();
  struct Fleeting : DatagramProtocol {
    void datagram_received(BytesView data, const Address&) override {
      transport->set_protocol(next);
      *seen += data.str();
    }
    std::shared_ptr<DatagramTransport> transport;
    std::shared_ptr<DatagramProtocol> next;
    std::string* seen = nullptr;
  };
  std::string seen;
  auto fleeting = std::make_shared<Fleeting>();
  fleeting->transport = f.transport;
  fleeting->next = f.protocol;
  fleeting->seen = &seen;
  f.transport->set_protocol(std::move(fleeting));
  f.peer.send("x");
  f.run_until([&] { return !seen.empty(); });
  BOOST_TEST((f.transport->get_protocol() == f.protocol));
}

BOOST_AUTO_TEST_CASE(a_protocol_of_another_kind_is_a_type_error) {
  struct Stream : Protocol {};
  Fixture f;
  f.open_pair();
  BOOST_TEST(thrown_by([&] { f.transport->set_protocol(nullptr); }) ==
             "TypeError('a DatagramProtocol was expected, got None')");
  const auto stream = std::make_shared<Stream>();
  const std::string error = thrown_by([&] { f.transport->set_protocol(stream); });
  BOOST_TEST(error.starts_with("TypeError('a DatagramProtocol was expected, got "));
  BOOST_TEST(error.ends_with("Stream')"));
  BOOST_TEST((f.transport->get_protocol() == f.protocol));
}

BOOST_AUTO_TEST_CASE(debug_mode_logs_pausing) {
  const CapturedLog log(LogLevel::debug);
  Fixture f;
  f.open_pair();
  f.loop.set_debug(true);
  f.transport->pause_reading();
  f.transport->resume_reading();
  const Lines lines = log.lines();
  BOOST_TEST_REQUIRE(lines.size() == 3u);  // the first of the loop
  BOOST_TEST(lines[1].starts_with("DEBUG:asyncio:<DatagramTransport fd="));
  BOOST_TEST(lines[1].ends_with("> pauses reading"));
  BOOST_TEST(lines[2].ends_with("> resumes reading"));
}

BOOST_FIXTURE_TEST_CASE(a_protocol_that_sends_when_it_is_destroyed_sends_nothing, Fixture) {
  struct Farewell : DatagramProtocol {
    explicit Farewell(bool& gone) : gone(gone) {}
    ~Farewell() override {
      transport->sendto("bye", Address());
      gone = true;
    }
    void connection_made(std::shared_ptr<DatagramTransport> made) override {
      transport = std::move(made);
    }
    bool& gone;
    std::shared_ptr<DatagramTransport> transport;
  };
  bool gone = false;
  loop.run_until_complete(loop.create_datagram_endpoint(
          [&] { return std::make_shared<Farewell>(gone); }, {.local_addr = {"127.0.0.1", 0}}))
      .first->close();
  pass();
  BOOST_TEST(gone);
}

BOOST_AUTO_TEST_SUITE_END()
