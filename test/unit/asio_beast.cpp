// SPDX-License-Identifier: BSL-1.0
//
// Boost.Beast on streams: HTTP and WebSockets, with Beast on a plain socket at the other end.
#include <asyncio/asio/stream.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <asyncio/event_loop.hpp>
#include <asyncio/streams.hpp>

#include "loop_fixture.hpp"

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::use_awaitable;
using asio::ip::tcp;
using beast::error_code;

namespace {

using namespace asyncio;

/// A connection: a stream of ours serves, a plain socket is the client. Both live in the loop.
struct Fixture : unit_tests::LoopFixture {
  Fixture() {
    auto accept = [this](StreamReader reader, StreamWriter writer) {
      accepted.emplace(reader, writer);
    };
    server = loop.run_until_complete(start_server(accept, "127.0.0.1", 0));
    const auto port = static_cast<unsigned short>(server.sockets()[0].getsockname().port());
    client.async_connect({asio::ip::address_v4::loopback(), port}, [this](const error_code& error) {
      BOOST_TEST(!error);
      connected = true;
    });
    run_until([&] { return connected && accepted; });
  }
  ~Fixture() {
    accepted->writer().close();
    server.close();
  }

  /// Both to their ends.
  template <class ServerSide, class ClientSide>
  void run(ServerSide serving, ClientSide asking) {
    int ended = 0;
    const auto count = [&](std::exception_ptr error) {
      ++ended;
      BOOST_TEST(!error);
    };
    asio::co_spawn(accepted->get_executor(), serving(), count);
    asio::co_spawn(client.get_executor(), asking(), count);
    run_until([&] { return ended == 2; });
  }

  Server server;
  std::optional<AsioStream> accepted;
  bool connected = false;
  tcp::socket client{loop.get_io_context()};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(asio_beast_tests, Fixture)

BOOST_AUTO_TEST_CASE(http_requests_are_read_and_answered) {
  const auto serve = [&]() -> asio::awaitable<void> {
    beast::flat_buffer buffer;
    for (int i = 0; i != 2; ++i) {
      http::request<http::string_body> request;
      co_await http::async_read(*accepted, buffer, request, use_awaitable);
      http::response<http::string_body> response(http::status::ok, request.version());
      response.body() = std::string(request.target()) + ": " + request.body();
      response.prepare_payload();
      co_await http::async_write(*accepted, response, use_awaitable);
    }
    http::request<http::string_body> none;
    error_code error;
    co_await http::async_read(*accepted, buffer, none, asio::redirect_error(use_awaitable, error));
    BOOST_TEST((error == http::error::end_of_stream));
  };
  const auto ask = [&]() -> asio::awaitable<void> {
    beast::flat_buffer buffer;
    for (const std::string target : {"/first", "/second"}) {
      http::request<http::string_body> request(http::verb::post, target, 11);
      request.body() = std::string(100'000, 'x');
      request.prepare_payload();
      co_await http::async_write(client, request, use_awaitable);
      http::response<http::string_body> response;
      co_await http::async_read(client, buffer, response, use_awaitable);
      BOOST_TEST((response.body() == target + ": " + request.body()));
    }
    client.shutdown(tcp::socket::shutdown_send);
  };
  run(serve, ask);
}

BOOST_AUTO_TEST_CASE(websockets_are_accepted_echo_and_are_closed_by_the_client) {
  const auto serve = [&]() -> asio::awaitable<void> {
    websocket::stream<AsioStream> ws(std::move(*accepted));
    co_await ws.async_accept(use_awaitable);
    error_code error;
    for (;;) {
      beast::flat_buffer message;
      co_await ws.async_read(message, asio::redirect_error(use_awaitable, error));
      if (error) break;
      ws.text(ws.got_text());
      co_await ws.async_write(message.data(), use_awaitable);
    }
    BOOST_TEST((error == websocket::error::closed));
    BOOST_TEST(ws.next_layer().writer().is_closing());
    accepted.emplace(std::move(ws.next_layer()));
  };
  const auto ask = [&]() -> asio::awaitable<void> {
    websocket::stream<tcp::socket&> ws(client);
    co_await ws.async_handshake("localhost", "/", use_awaitable);
    const std::string large(300'000, 'x');
    for (const std::string& text : {std::string("spam"), large}) {
      co_await ws.async_write(asio::buffer(text), use_awaitable);
      beast::flat_buffer answer;
      co_await ws.async_read(answer, use_awaitable);
      BOOST_TEST((beast::buffers_to_string(answer.data()) == text));
    }
    co_await ws.async_close(websocket::close_code::normal, use_awaitable);
  };
  run(serve, ask);
}

BOOST_AUTO_TEST_CASE(websockets_may_be_closed_by_the_server) {
  const auto serve = [&]() -> asio::awaitable<void> {
    websocket::stream<AsioStream> ws(std::move(*accepted));
    co_await ws.async_accept(use_awaitable);
    co_await ws.async_close(websocket::close_code::going_away, use_awaitable);
    accepted.emplace(std::move(ws.next_layer()));
  };
  const auto ask = [&]() -> asio::awaitable<void> {
    websocket::stream<tcp::socket&> ws(client);
    co_await ws.async_handshake("localhost", "/", use_awaitable);
    beast::flat_buffer message;
    error_code error;
    co_await ws.async_read(message, asio::redirect_error(use_awaitable, error));
    BOOST_TEST((error == websocket::error::closed));
    BOOST_TEST(ws.reason().code == websocket::close_code::going_away);
  };
  run(serve, ask);
}

BOOST_AUTO_TEST_CASE(a_client_may_be_the_stream_as_well) {
  const auto serve = [&]() -> asio::awaitable<void> {
    websocket::stream<tcp::socket&> ws(client);
    co_await ws.async_accept(use_awaitable);
    beast::flat_buffer message;
    co_await ws.async_read(message, use_awaitable);
    BOOST_TEST(beast::buffers_to_string(message.data()) == "spam");
    error_code error;
    co_await ws.async_read(message, asio::redirect_error(use_awaitable, error));
    BOOST_TEST((error == websocket::error::closed));
  };
  const auto ask = [&]() -> asio::awaitable<void> {
    websocket::stream<AsioStream> ws(std::move(*accepted));
    co_await ws.async_handshake("localhost", "/", use_awaitable);
    co_await ws.async_write(asio::buffer("spam", 4), use_awaitable);
    co_await ws.async_close(websocket::close_code::normal, use_awaitable);
    accepted.emplace(std::move(ws.next_layer()));
  };
  run(serve, ask);
}

BOOST_AUTO_TEST_CASE(beast_closes_a_stream_whose_time_is_over) {
  beast::close_socket(beast::get_lowest_layer(*accepted));
  BOOST_TEST(accepted->writer().is_closing());
}

BOOST_AUTO_TEST_SUITE_END()
