// SPDX-License-Identifier: BSL-1.0
//
// start_server over sockets (surface A18, rules 203, 215, 216).
#include <asyncio/streams.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/locks.hpp>

#include "stream_sockets.hpp"

using namespace stream_socket_tests;

namespace {

/// For a handler that fails if it reads "fail", and else sends the line back.
template <class Handler>
void check_that_a_failure_closes_its_connection_only(const Handler& handle) {
  Loop loop;
  const CapturedLog log;
  loop.run([&]() -> Coroutine<> {
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Address address = server.sockets()[0].getsockname();
    const Bytes nothing = co_await ask(connect_to(address), "fail\n");
    const Bytes answer = co_await ask(connect_to(address), "work\n");
    BOOST_TEST(nothing == "");
    BOOST_TEST(answer == "work\n");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(
      loop.reports == Lines{"Unhandled exception in client_connected_cb: ValueError('test')"},
      boost::test_tools::per_element());
  BOOST_TEST(log.records.empty());  // it was not forgotten
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_servers_tests)

// -- start_server

BOOST_AUTO_TEST_CASE(st2_a_coroutine_function_serves_clients) {
  Loop loop;
  Socket listener = bound_socket();
  const Address address = listener.getsockname();
  const Server server = loop.run_until_complete(start_server(answer_one_line, {.sock = &listener}));
  BOOST_TEST(!listener);
  BOOST_TEST(loop.run_until_complete(ask(connect_to(address), "hello world!\n")) ==
             "hello world!\n");
  BOOST_TEST(loop.run_until_complete(ask(connect_to(address), "again\n")) == "again\n");
  server.close();
  loop.run_until_complete(server.wait_closed());
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st2_a_plain_function_serves_clients) {
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto callback = [](StreamReader reader, StreamWriter writer) {
      create_task(answer_one_line(reader, writer));
    };
    const Server server = co_await start_server(callback, "127.0.0.1", 0);
    const Address address = server.sockets()[0].getsockname();
    const Bytes answer = co_await ask(connect_to(address), "hello world!\n");
    BOOST_TEST(answer == "hello world!\n");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st2_several_hosts) {
  Loop loop;
  const std::vector<std::string> hosts{"127.0.0.1", "127.0.0.2"};
  const Server server = loop.run_until_complete(start_server(answer_one_line, hosts, 0));
  BOOST_TEST(server.sockets().size() == 2u);
  const Server listed =
      loop.run_until_complete(start_server(answer_one_line, {"127.0.0.1", "127.0.0.2"}, 0));
  BOOST_TEST(listed.sockets().size() == 2u);
}

BOOST_AUTO_TEST_CASE(st2_the_options_are_create_servers) {
  Loop loop;
  BOOST_TEST(loop.run_until_complete(error_of(start_server(answer_one_line, ServerOptions{}))) ==
             "ValueError('Neither host/port nor sock were specified')");
  const Server server = loop.run_until_complete(
      start_server(answer_one_line, "127.0.0.1", 0, {.start_serving = false}));
  BOOST_TEST(!server.is_serving());
}

BOOST_AUTO_TEST_CASE(r203_the_servers_limit_is_its_readers) {
  Loop loop;
  std::string error;
  loop.run([&]() -> Coroutine<> {
    Event done;
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      error = co_await error_of(reader.readline());
      writer.close();
      done.set();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0, {.limit = 3});
    const Address address = server.sockets()[0].getsockname();
    const Bytes answer = co_await ask(connect_to(address), "1234\n");
    BOOST_TEST(answer == "");
    co_await done.wait();
  });
  BOOST_TEST(error == "ValueError('Separator is found, but chunk is longer than limit')");
}

BOOST_AUTO_TEST_CASE(r215_the_handler_starts_one_pass_after_the_callback) {
  Loop loop;
  Lines events;
  loop.run([&]() -> Coroutine<> {
    const auto note = [&, start = get_running_loop().passes()](const char* what) {
      events.push_back(what + std::string(" ") +
                       std::to_string(get_running_loop().passes() - start));
    };
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      note("task");
      const Bytes data = co_await reader.read(10);
      note("end");
      writer.close();
    };
    const auto callback = [&](StreamReader reader, StreamWriter writer) {
      note("callback");
      return handle(reader, writer);
    };
    Socket listener = bound_socket();
    const Address address = listener.getsockname();
    const Server server = co_await start_server(callback, {.sock = &listener});
    auto [reader, writer] = co_await connect_to(address);
    writer.write("hi");
    while (events.size() != 3) co_await asyncio::sleep(0);
    writer.close();
  });
  const auto number = [&](std::size_t i) {
    return std::stoi(events[i].substr(events[i].find(' ')));
  };
  BOOST_TEST(events[0].starts_with("callback"));
  BOOST_TEST(events[1].starts_with("task"));
  BOOST_TEST(events[2].starts_with("end"));
  BOOST_TEST(number(1) == number(0) + 1);
}

BOOST_AUTO_TEST_CASE(r215_a_handler_that_fails_closes_its_connection_only) {
  const auto handle = [](StreamReader reader, StreamWriter writer) -> Coroutine<> {
    const Bytes line = co_await reader.readline();
    if (line == "fail\n") throw ValueError("test");
    writer.write(line);
    writer.close();
  };
  check_that_a_failure_closes_its_connection_only(handle);
}

BOOST_AUTO_TEST_CASE(r215_a_handler_that_fails_as_soon_as_its_eager_task_is_made) {
  Loop loop;
  loop.set_task_factory(asyncio::eager_task_factory);
  const CapturedLog log;
  loop.run([]() -> Coroutine<> {
    const auto handle = [](StreamReader, StreamWriter) -> Coroutine<> {
      throw ValueError("test");
      co_return;
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(
      loop.reports == Lines{"Unhandled exception in client_connected_cb: ValueError('test')"},
      boost::test_tools::per_element());
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(r215_a_handler_may_take_its_arguments_by_reference_and_give_a_result) {
  const auto handle = [](StreamReader& reader, StreamWriter& writer) -> Coroutine<int> {
    const Bytes line = co_await reader.readline();
    if (line == "fail\n") throw ValueError("test");
    writer.write(line);
    writer.close();
    co_return 1;
  };
  check_that_a_failure_closes_its_connection_only(handle);
}

BOOST_AUTO_TEST_CASE(r215_a_handler_that_is_cancelled_closes_its_connection) {
  Loop loop;
  const CapturedLog log;
  loop.run([]() -> Coroutine<> {
    const auto handle = [](StreamReader reader, StreamWriter) -> Coroutine<> {
      current_task().cancel();
      co_await reader.read();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST(loop.reports.empty());
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(r215_a_plain_callback_that_throws_is_reported) {
  Loop loop;
  const CapturedLog log;
  loop.run([]() -> Coroutine<> {
    const auto callback = [](StreamReader, StreamWriter) { throw ValueError("x"); };
    const Server server = co_await start_server(callback, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
  });
  BOOST_TEST_REQUIRE(loop.reports.size() == 1u);
  BOOST_TEST(loop.reports[0].starts_with("Exception in callback"));
  BOOST_TEST(loop.reports[0].ends_with("ValueError('x')"));
}

BOOST_AUTO_TEST_CASE(closing_the_loop_ends_handlers_and_connections) {
  const CapturedLog log;
  Loop loop;
  bool frame_gone = false;
  std::optional<Streams> client;
  loop.run([&]() -> Coroutine<> {
    struct Mark {
      explicit Mark(bool& gone) : gone(gone) {}
      ~Mark() { gone = true; }
      bool& gone;
    };
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      const Mark mark(frame_gone);
      writer.write("ready\n");
      co_await reader.read();
    };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Address address = server.sockets()[0].getsockname();
    Streams streams = co_await connect_to(address);
    const Bytes ready = co_await streams.first.readline();
    BOOST_TEST(ready == "ready\n");
    client.emplace(std::move(streams));
  });
  loop.close();
  BOOST_TEST(frame_gone);
  BOOST_TEST(client->second.is_closing());
  client.reset();
  for (const std::string& line : log.messages()) BOOST_TEST(!line.starts_with("unclosed"), line);
  BOOST_TEST(loop.reports == Lines{"Task was destroyed but it is pending!"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(r216_a_handler_that_ends_without_closing_closes_by_dropping) {
  Loop loop;
  const CapturedLog log;
  loop.run([&]() -> Coroutine<> {
    const auto handle = [](StreamReader, StreamWriter) -> Coroutine<> { co_return; };
    const Server server = co_await start_server(handle, "127.0.0.1", 0);
    const Bytes nothing = co_await listen_to(server.sockets()[0].getsockname());
    BOOST_TEST(nothing == "");
    server.close();
    co_await server.wait_closed();
  });
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.messages()[0].starts_with("unclosed <StreamWriter"));
}

BOOST_AUTO_TEST_SUITE_END()
