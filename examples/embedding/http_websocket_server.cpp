// SPDX-License-Identifier: BSL-1.0
// An HTTP and WebSocket server of Boost.Beast, whose sessions are asyncio tasks: each is one
// coroutine with a time limit on every wait, all of them belong to a TaskGroup, and Ctrl-C, which
// cancels the main task, ends them in good order.
//
//   http_websocket_server [HOST [PORT]]
//
//   curl http://127.0.0.1:8080/          a page
//   ws://127.0.0.1:8080/                 sends back what it is sent
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <asyncio/asio.hpp>
#include <asyncio/asyncio.hpp>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
using namespace std::chrono_literals;

constexpr auto request_limit = 30s;
constexpr auto message_limit = 300s;
constexpr auto silence_limit = 4s;

Response answer(const Request& request) {
  Response response(http::status::ok, request.version());
  response.set(http::field::server, "asyncio and Boost.Beast");
  response.keep_alive(request.keep_alive());
  if (request.method() != http::verb::get) {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET");
  } else if (request.target() != "/") {
    response.result(http::status::not_found);
    response.body() = "There is nothing at " + std::string(request.target()) + ".\n";
  } else {
    response.body() = "Hello from a task of asyncio.\n";
  }
  response.set(http::field::content_type, "text/plain");
  response.prepare_payload();
  return response;
}

asyncio::Coroutine<> talk_websocket(tcp::socket& socket, Request& request) {
  websocket::stream<tcp::socket&> peer(socket);
  // Pings find out who is gone. Beast cannot be cancelled while it waits for a client to close its
  // side of the connection: then these limits end it.
  peer.set_option(websocket::stream_base::timeout{
      .handshake_timeout = request_limit, .idle_timeout = silence_limit, .keep_alive_pings = true});
  co_await peer.async_accept(request, asyncio::use_awaitable);
  for (;;) {
    beast::flat_buffer message;
    co_await asyncio::timeout(message_limit, [&]() -> asyncio::Coroutine<> {
      co_await peer.async_read(message, asyncio::use_awaitable);
    });
    peer.text(peer.got_text());
    co_await peer.async_write(message.data(), asyncio::use_awaitable);
  }
}

asyncio::Coroutine<> talk_http(tcp::socket& socket) {
  beast::flat_buffer buffer;
  for (bool keep_alive = true; keep_alive;) {
    Request request;
    co_await asyncio::timeout(request_limit, [&]() -> asyncio::Coroutine<> {
      co_await http::async_read(socket, buffer, request, asyncio::use_awaitable);
    });
    if (websocket::is_upgrade(request)) co_return co_await talk_websocket(socket, request);
    Response response = answer(request);
    co_await asyncio::timeout(request_limit, [&]() -> asyncio::Coroutine<> {
      co_await http::async_write(socket, response, asyncio::use_awaitable);
    });
    keep_alive = response.keep_alive();
  }
  socket.shutdown(tcp::socket::shutdown_send);
}

/// What goes wrong with one client is no matter for the others.
asyncio::Coroutine<> session(tcp::socket& socket) {
  try {
    co_await talk_http(socket);
  } catch (const asyncio::TimeoutError&) {
    std::puts("a client was silent for too long");
  } catch (const boost::system::system_error& error) {
    if (error.code() != http::error::end_of_stream && error.code() != websocket::error::closed)
      std::printf("a client is gone: %s\n", error.what());
  }
  std::fflush(stdout);
}

asyncio::Coroutine<> serve(std::string host, int port) {
  asio::io_context& io = asyncio::get_running_loop().get_io_context();
  tcp::acceptor acceptor(io, {asio::ip::make_address(host), static_cast<unsigned short>(port)});
  std::printf("http://%s:%d/\n", host.c_str(), port);
  std::fflush(stdout);
  co_await asyncio::task_group([&](asyncio::TaskGroup& sessions) -> asyncio::Coroutine<> {
    for (;;) {
      auto [error, socket] =
          co_await acceptor.async_accept(asio::as_tuple(asyncio::use_awaitable));
      if (error)  // out of descriptors, for instance: some session will end
        co_await asyncio::sleep(1s);
      else
        sessions.create_task(session, std::move(socket));
    }
  });
}

int main(int argc, char** argv) try {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 8080;
  asyncio::run(serve(host, port));
} catch (const asyncio::KeyboardInterrupt&) {
  std::puts("bye");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return EXIT_FAILURE;
}
