// SPDX-License-Identifier: BSL-1.0
// create_unix_connection and create_unix_server (surface CN23, CN24, rule 170).
#include <asyncio/connections.hpp>
#include <asyncio/event_loop.hpp>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "captured_log.hpp"
#include "error_of.hpp"
#include "on_virtual_time.hpp"
#include "socket_helpers.hpp"

using namespace on_virtual_time;
using namespace socket_tests;
using unit_tests::CapturedLog;
using unit_tests::error_of;
using namespace std::string_literals;

namespace {

/// Sends back what it gets.
struct Echo : Protocol {
  void connection_made(std::shared_ptr<Transport> made) override {
    transport = std::move(made);
    peer = to_string(transport->get_extra_info(peername));
    here = to_string(transport->get_extra_info(sockname));
  }
  void data_received(BytesView data) override { transport->write(data); }
  void connection_lost(std::exception_ptr) override { transport.reset(); }

  std::shared_ptr<Transport> transport;
  std::string peer, here;
};

/// Keeps what it gets, up to an end that one can wait for.
struct Collector : Protocol {
  explicit Collector(Future<> end) : end(std::move(end)) {}
  void connection_made(std::shared_ptr<Transport> made) override { transport = std::move(made); }
  void data_received(BytesView data) override {
    received += data.str();
    if (received.ends_with('!')) transport->close();
  }
  void connection_lost(std::exception_ptr error) override {
    transport.reset();
    if (error)
      end.set_exception(error);
    else
      end.set_result();
  }

  Future<> end;
  std::shared_ptr<Transport> transport;
  Bytes received;
};

/// What comes back from a server at this path.
Coroutine<Bytes> echo(Loop& loop, UnixPath path, Bytes text) {
  const Future<> end(loop);
  const auto factory = make<Collector>(end);
  auto [transport, protocol] = co_await loop.create_unix_connection(factory, path);
  transport->write(text);
  co_await end;
  co_return protocol->received;
}

void touch(const std::string& path) { std::ofstream(path) << "text"; }

}  // namespace

BOOST_AUTO_TEST_SUITE(unix_sockets_tests)

BOOST_AUTO_TEST_CASE(a_path_is_text_a_filesystem_path_or_an_abstract_literal) {
  const auto text = [](const UnixPath& path) { return path.text(); };
  BOOST_TEST(text("/run/x") == "/run/x");
  BOOST_TEST(text("/run/x"s) == "/run/x");
  BOOST_TEST(text(std::string_view("/run/x")) == "/run/x");
  BOOST_TEST(text(std::filesystem::path("/run") / "x") == "/run/x");
  BOOST_TEST(text("\0name") == "\0name"s);
  BOOST_TEST(text("\0name"s) == "\0name"s);
  BOOST_TEST(text("") == "");
  char array[16] = "/run/x";
  BOOST_TEST(text(array) == "/run/x");
}

BOOST_AUTO_TEST_CASE(a_server_and_a_client_meet_at_a_path) {
  const Folder folder;
  const NoDescriptorLeft check;
  Loop loop;
  const Server server =
      loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s", {.backlog = 1}));
  BOOST_TEST(server.is_serving());
  BOOST_TEST(loop.run_until_complete(echo(loop, folder / "s", "hello!")) == "hello!");
  BOOST_TEST(loop.run_until_complete(echo(loop, std::filesystem::path(folder / "s"), "again!")) ==
             "again!");
  server.close();
  loop.run_until_complete(server.wait_closed());
}

BOOST_AUTO_TEST_CASE(addresses_are_paths_and_a_client_has_none) {
  const Folder folder;
  Loop loop;
  std::shared_ptr<Echo> accepted;
  const auto factory = [&accepted] { return accepted = std::make_shared<Echo>(); };
  const Server server = loop.run_until_complete(loop.create_unix_server(factory, folder / "s"));
  auto connection = loop.run_until_complete(loop.create_unix_connection<Echo>(folder / "s"));
  loop.pass();
  BOOST_TEST(connection.second->peer == "'" + folder / "s" + "'");
  BOOST_TEST(connection.second->here == "''");
  BOOST_TEST_REQUIRE(accepted);
  BOOST_TEST(accepted->peer == "''");
  BOOST_TEST(accepted->here == "'" + folder / "s" + "'");
  BOOST_TEST(server.sockets().at(0).getsockname().path() == folder / "s");
}

BOOST_AUTO_TEST_CASE(create_unix_connection_completes_one_pass_after_connection_made) {
  const Folder folder;
  Loop loop;
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  const Ending end =
      loop.run_until_complete(ending(loop.create_unix_connection<Echo>(folder / "s")));
  BOOST_TEST(end.what() == "None");
  BOOST_TEST(end.passes == 2);  // connection_made, and the waiter in the same; then the task
}

BOOST_AUTO_TEST_CASE(abstract_names_make_no_file) {
  const std::string name = "\0asyncio-test-"s + std::to_string(::getpid());
  const NoDescriptorLeft check;
  Loop loop;
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(name));
  BOOST_TEST(loop.run_until_complete(echo(loop, name, "hello!")) == "hello!");
  BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(name)) ==
             "OSError(98, \"Address '\\\\x00" + name.substr(1) + "' is already in use\")");
  server.close();
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(name)) ==
             "ConnectionRefusedError(111, 'Connection refused')");
}

BOOST_AUTO_TEST_CASE(sockets_made_elsewhere_are_taken_over) {
  const Folder folder;
  const NoDescriptorLeft check;
  Loop loop;
  Socket listener(AF_UNIX, SOCK_STREAM);
  listener.bind(Address::from_path(folder / "s"));
  const Server server = loop.run_until_complete(
      loop.create_unix_server([] { return std::make_shared<Echo>(); }, {.sock = &listener}));
  BOOST_TEST(!listener);

  boost::asio::local::stream_protocol::socket theirs(loop.get_io_context());
  theirs.connect(boost::asio::local::stream_protocol::endpoint(folder / "s"));
  Socket connected(std::move(theirs));
  const Future<> end(loop);
  auto connection = loop.run_until_complete(
      loop.create_unix_connection(make<Collector>(end), {.sock = &connected}));
  BOOST_TEST(!connected);
  connection.first->write("x!");
  loop.run_until_complete(end);
  BOOST_TEST(connection.second->received == "x!");
  server.close();
  BOOST_TEST(folder.files() == 0);  // also of a socket that was given
}

// -- wrong use

BOOST_AUTO_TEST_CASE(a_path_and_a_socket_exclude_each_other) {
  Loop loop;
  Socket sock(AF_UNIX, SOCK_STREAM);
  const auto factory = [] { return std::make_shared<Echo>(); };
  BOOST_TEST(error_of(loop, loop.create_unix_connection(factory, "/x", {.sock = &sock})) ==
             "ValueError('path and sock can not be specified at the same time')");
  sock = Socket(AF_UNIX, SOCK_STREAM);
  BOOST_TEST(error_of(loop, loop.create_unix_server(factory, "/x", {.sock = &sock})) ==
             "ValueError('path and sock can not be specified at the same time')");
  BOOST_TEST(error_of(loop, loop.create_unix_connection(factory, UnixConnectionOptions{})) ==
             "ValueError('no path and sock were specified')");
  BOOST_TEST(error_of(loop, loop.create_unix_server(factory, UnixServerOptions{})) ==
             "ValueError('path was not specified, and no sock specified')");
}

BOOST_AUTO_TEST_CASE(only_unix_stream_sockets_are_adopted) {
  Loop loop;
  const auto factory = [] { return std::make_shared<Echo>(); };
  const auto refusal = [](const Socket& sock) {
    return "ValueError(" +
           repr_str("A UNIX Domain Stream Socket was expected, got " + to_string(sock)) + ")";
  };
  for (const int kind : {0, 1, 2, 3}) {
    Socket sock = kind % 2 ? Socket(AF_UNIX, SOCK_DGRAM) : Socket(AF_INET, SOCK_STREAM);
    const std::string expected = refusal(sock);
    BOOST_TEST(expected ==
               (kind < 2 ? error_of(loop, loop.create_unix_connection(factory, {.sock = &sock}))
                         : error_of(loop, loop.create_unix_server(factory, {.sock = &sock}))));
  }
}

BOOST_AUTO_TEST_CASE(errors_of_the_system_are_its_own) {
  const Folder folder;
  const NoDescriptorLeft check;
  Loop loop;
  touch(folder / "file");
  const std::string longest = folder / std::string(200, 'x');
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(folder / "none")) ==
             "FileNotFoundError(2, 'No such file or directory')");
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(folder / "file")) ==
             "ConnectionRefusedError(111, 'Connection refused')");
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(longest)) ==
             "OSError('AF_UNIX path too long')");
  BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(folder / "none/s")) ==
             "FileNotFoundError(2, 'No such file or directory')");
  BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(longest)) ==
             "OSError('AF_UNIX path too long')");
}

// -- rule 170: the file

BOOST_AUTO_TEST_CASE(r170_a_socket_left_behind_is_replaced) {
  const Folder folder;
  Loop loop;
  {
    Socket crashed(AF_UNIX, SOCK_STREAM);
    crashed.bind(Address::from_path(folder / "s"));
  }
  BOOST_TEST(folder.files() == 1);
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  BOOST_TEST(loop.run_until_complete(echo(loop, folder / "s", "hello!")) == "hello!");
}

BOOST_AUTO_TEST_CASE(r170_what_is_no_socket_stays) {
  const Folder folder;
  Loop loop;
  touch(folder / "file");
  std::filesystem::create_directory(folder / "folder");
  for (const char* name : {"file", "folder"}) {
    BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(folder / name)) ==
               "OSError(98, \"Address '" + folder / name + "' is already in use\")");
    BOOST_TEST(std::filesystem::exists(folder / name));
  }
}

BOOST_AUTO_TEST_CASE(r170_a_path_with_a_null_is_not_taken_for_a_shorter_one) {
  const Folder folder;
  Loop loop;
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(folder / "s\0t"s)) ==
             "ValueError('stat: embedded null character in path')");
  BOOST_TEST(loop.run_until_complete(echo(loop, folder / "s", "hello!")) == "hello!");
}

BOOST_AUTO_TEST_CASE(r170_a_stale_socket_that_cannot_be_looked_at_is_logged) {
  const Folder folder;
  Loop loop;
  touch(folder / "file");
  const CapturedLog log;
  const std::string path = folder / "file/s";
  BOOST_TEST(error_of(loop, loop.create_unix_server<Echo>(path)) ==
             "NotADirectoryError(20, 'Not a directory')");
  BOOST_TEST_REQUIRE(log.records.size() == 1);
  BOOST_TEST(log.messages()[0] == "Unable to check or remove stale UNIX socket '" + path +
                                      "': NotADirectoryError(20, 'Not a directory')");
}

BOOST_AUTO_TEST_CASE(r170_closing_removes_the_file) {
  const Folder folder;
  Loop loop;
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  BOOST_TEST(std::filesystem::is_socket(folder / "s"));
  server.close();
  BOOST_TEST(folder.files() == 0);
  server.close();
}

BOOST_AUTO_TEST_CASE(r170_closing_leaves_the_file_if_asked_to) {
  const Folder folder;
  Loop loop;
  const Server server = loop.run_until_complete(
      loop.create_unix_server<Echo>(folder / "s", {.cleanup_socket = false}));
  server.close();
  BOOST_TEST(std::filesystem::is_socket(folder / "s"));
}

BOOST_AUTO_TEST_CASE(r170_closing_leaves_another_servers_file) {
  const Folder folder;
  Loop loop;
  const Server first = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  // The first one's file is kept, so that its inode is not given away again.
  std::filesystem::rename(folder / "s", folder / "old");
  const Server second = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  first.close();
  BOOST_TEST(loop.run_until_complete(echo(loop, folder / "s", "hello!")) == "hello!");
  second.close();
  BOOST_TEST(!std::filesystem::exists(folder / "s"));
}

BOOST_AUTO_TEST_CASE(r170_a_file_that_is_gone_already_is_no_error) {
  const Folder folder;
  const CapturedLog log;
  Loop loop;
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "s"));
  std::filesystem::remove(folder / "s");
  server.close();
  BOOST_TEST(log.records.empty());
}

BOOST_AUTO_TEST_CASE(r170_a_file_that_cannot_be_looked_at_any_more_is_logged) {
  const Folder folder;
  Loop loop;
  std::filesystem::create_directory(folder / "d");
  const Server server = loop.run_until_complete(loop.create_unix_server<Echo>(folder / "d/s"));
  std::filesystem::remove_all(folder / "d");
  touch(folder / "d");
  const CapturedLog log;
  server.close();
  BOOST_TEST_REQUIRE(log.records.size() == 1);
  BOOST_TEST(log.messages()[0] == "Unable to clean up listening UNIX socket '" + folder / "d/s" +
                                      "': NotADirectoryError(20, 'Not a directory')");
}

BOOST_AUTO_TEST_CASE(the_file_goes_with_a_server_that_nobody_closed) {
  const Folder folder;
  const NoDescriptorLeft check;
  {
    Loop loop;
    loop.run_until_complete(loop.create_unix_server<Echo>(folder / "serving"));
    BOOST_TEST(folder.files() == 1);
    loop.run_until_complete(
        loop.create_unix_server<Echo>(folder / "bound", {.start_serving = false}));
    BOOST_TEST(folder.files() == 1);  // nobody holds that one
  }
  BOOST_TEST(folder.files() == 0);
}

// -- serving

BOOST_AUTO_TEST_CASE(start_serving_false_refuses_until_it_is_started) {
  const Folder folder;
  Loop loop;
  const Server server = loop.run_until_complete(
      loop.create_unix_server<Echo>(folder / "s", {.start_serving = false}));
  BOOST_TEST(!server.is_serving());
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(folder / "s")) ==
             "ConnectionRefusedError(111, 'Connection refused')");
  loop.run_until_complete(server.start_serving());
  BOOST_TEST(loop.run_until_complete(echo(loop, folder / "s", "hello!")) == "hello!");
}

BOOST_AUTO_TEST_CASE(a_full_backlog_is_an_error_and_no_false_connection) {
  const Folder folder;
  Loop loop;
  Socket listener(AF_UNIX, SOCK_STREAM);
  listener.bind(Address::from_path(folder / "s"));
  listener.listen(0);
  Socket first(AF_UNIX, SOCK_STREAM);
  first.connect(Address::from_path(folder / "s"));
  BOOST_TEST(error_of(loop, loop.create_unix_connection<Echo>(folder / "s")) ==
             "BlockingIOError(11, 'Resource temporarily unavailable')");
}

BOOST_AUTO_TEST_CASE(cancelled_anywhere_nothing_is_left_open) {
  const Folder folder;
  const auto body = [&folder](Loop& loop) -> Coroutine<> {
    const Server server = co_await loop.create_unix_server<Echo>(folder / "s");
    struct Closing {
      explicit Closing(const Server& server) : server(server) {}
      ~Closing() { server.close(); }
      const Server& server;
    } const closing(server);
    auto [transport, protocol] = co_await loop.create_unix_connection<Echo>(folder / "s");
    transport->close();
  };
  const NoDescriptorLeft check;
  BOOST_TEST(cancel_everywhere(body) >= 2);
  BOOST_TEST(folder.files() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
