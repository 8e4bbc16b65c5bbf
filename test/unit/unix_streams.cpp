// SPDX-License-Identifier: BSL-1.0
// open_unix_connection and start_unix_server (surface ST3, ST4, rules 170, 203).
#include <asyncio/event_loop.hpp>
#include <asyncio/streams.hpp>

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <sys/socket.h>

#include "socket_helpers.hpp"
#include "stream_sockets.hpp"
#include "thrown_by.hpp"

using namespace stream_socket_tests;
using socket_tests::Folder;
using socket_tests::NoDescriptorLeft;
using unit_tests::thrown_by;

BOOST_AUTO_TEST_SUITE(unix_streams_tests)

BOOST_AUTO_TEST_CASE(st4_a_coroutine_function_serves_clients) {
  const NoDescriptorLeft checked;
  const Folder folder;
  const std::string path = folder / "socket";
  Loop loop;
  const Server server = loop.run_until_complete(start_unix_server(answer_one_line, path));
  BOOST_TEST(loop.run_until_complete(ask(open_unix_connection(path), "hello world!\n")) ==
             "hello world!\n");
  BOOST_TEST(loop.run_until_complete(ask(open_unix_connection(path), "again\n")) == "again\n");
  server.close();
  loop.run_until_complete(server.wait_closed());
  BOOST_TEST(!std::filesystem::exists(path));
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st4_a_plain_function_serves_clients) {
  const Folder folder;
  const std::string path = folder / "socket";
  Loop loop;
  const auto callback = [](StreamReader reader, StreamWriter writer) {
    create_task(answer_one_line(reader, writer));
  };
  const Server server = loop.run_until_complete(start_unix_server(callback, path));
  BOOST_TEST(loop.run_until_complete(ask(open_unix_connection(path), "hello world!\n")) ==
             "hello world!\n");
  server.close();
  loop.run_until_complete(server.wait_closed());
}

BOOST_AUTO_TEST_CASE(st4_a_bound_socket_is_served_on) {
  const Folder folder;
  const std::string path = folder / "socket";
  Socket listener(AF_UNIX, SOCK_STREAM);
  listener.bind(Address::from_path(path));
  Loop loop;
  const Server server =
      loop.run_until_complete(start_unix_server(answer_one_line, {.sock = &listener}));
  BOOST_TEST(!listener);
  BOOST_TEST(loop.run_until_complete(ask(open_unix_connection(path), "hello\n")) == "hello\n");
}

BOOST_AUTO_TEST_CASE(st4_the_options_are_create_unix_servers) {
  const Folder folder;
  const std::string path = folder / "socket";
  Loop loop;
  BOOST_TEST(loop.run_until_complete(
                 error_of(start_unix_server(answer_one_line, UnixServerOptions{}))) ==
             "ValueError('path was not specified, and no sock specified')");
  const UnixServerOptions waiting{.start_serving = false, .cleanup_socket = false};
  {
    const Server server =
        loop.run_until_complete(start_unix_server(answer_one_line, path, waiting));
    BOOST_TEST(!server.is_serving());
    server.close();
  }
  BOOST_TEST(std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(st3_a_connected_socket_is_adopted) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    auto [reader, writer] = co_await open_unix_connection({.sock = &mine});
    theirs.send("hello");
    const Bytes data = co_await reader.read(100);
    BOOST_TEST(data == "hello");
    writer.write("you");
    BOOST_TEST(theirs.recv(10) == "you");
    writer.close();
  });
}

BOOST_AUTO_TEST_CASE(st3_what_the_connection_is_lost_by_is_thrown_to_the_reader) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [mine, theirs] = Socket::pair();
    const StreamReader reader;
    const auto protocol = std::make_shared<StreamReaderProtocol>(reader);
    const auto factory = [&] { return protocol; };
    auto [transport, same] = co_await get_running_loop().create_unix_connection(
        factory, {.sock = &mine});
    protocol->connection_lost(std::make_exception_ptr(ValueError("lost")));
    const std::string error = co_await error_of(reader.read());
    BOOST_TEST(error == "ValueError('lost')");
    transport->close();
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(st3_errors_of_connecting) {
  const NoDescriptorLeft checked;
  const Folder folder;
  Loop loop;
  BOOST_TEST(loop.run_until_complete(error_of(open_unix_connection(folder / "nobody"))) ==
             "FileNotFoundError(2, 'No such file or directory')");
  BOOST_TEST(loop.run_until_complete(error_of(open_unix_connection(UnixConnectionOptions{}))) ==
             "ValueError('no path and sock were specified')");
}

BOOST_AUTO_TEST_CASE(r203_the_limit_is_the_readers) {
  const Folder folder;
  const std::string path = folder / "socket";
  std::string servers, clients;
  Loop loop;
  loop.run([&]() -> Coroutine<> {
    const auto handle = [&](StreamReader reader, StreamWriter writer) -> Coroutine<> {
      servers = co_await error_of(reader.readline());
      writer.write("1234567\n");
      writer.close();
    };
    const Server server = co_await start_unix_server(handle, path, {.limit = 3});
    auto [reader, writer] = co_await open_unix_connection(path, {.limit = 5});
    writer.write("1234\n");
    clients = co_await error_of(reader.readline());
    writer.close();
  });
  const std::string overrun = "ValueError('Separator is found, but chunk is longer than limit')";
  BOOST_TEST(servers == overrun);
  BOOST_TEST(clients == overrun);
}

BOOST_AUTO_TEST_CASE(a_limit_is_for_streams_only) {
  Loop loop;
  const auto factory = [] { return std::make_shared<StreamReaderProtocol>(StreamReader()); };
  const UnixConnectionOptions connecting{.limit = 5};
  const UnixServerOptions serving{.limit = 5};
  BOOST_TEST(thrown_by([&] { (void)loop.create_unix_connection(factory, "x", connecting); }) ==
             "TypeError(\"create_unix_connection() got an unexpected keyword argument 'limit'\")");
  BOOST_TEST(thrown_by([&] { (void)loop.create_unix_server(factory, "x", serving); }) ==
             "TypeError(\"create_unix_server() got an unexpected keyword argument 'limit'\")");
}

BOOST_AUTO_TEST_SUITE_END()
