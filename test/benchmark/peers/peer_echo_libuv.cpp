// SPDX-License-Identifier: BSL-1.0
// Echo server, libuv: what was read is sent at once, and only what the kernel does not take is
// copied and queued.
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

#include <uv.h>

#include "peer.hpp"

namespace {

std::array<char, 64 * 1024> buffer;  // one for all, and of the size that libuv suggests

struct Write {
  uv_write_t request;
  std::string data;
};

void check(int result) {
  if (result >= 0) return;
  std::fprintf(stderr, "%s\n", uv_strerror(result));
  std::exit(1);
}

void close_connection(uv_stream_t* stream) {
  auto* const handle = reinterpret_cast<uv_handle_t*>(stream);
  if (uv_is_closing(handle)) return;
  uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
}

void send(uv_stream_t* stream, char* data, std::size_t size) {
  const uv_buf_t all = uv_buf_init(data, static_cast<unsigned>(size));
  const int sent = uv_try_write(stream, &all, 1);
  if (sent < 0 && sent != UV_EAGAIN) return close_connection(stream);
  const std::size_t done = sent < 0 ? 0 : sent;
  if (done == size) return;
  auto* const write = new Write{{}, std::string(data + done, size - done)};
  write->request.data = write;
  const uv_buf_t rest = uv_buf_init(write->data.data(), static_cast<unsigned>(write->data.size()));
  check(uv_write(&write->request, stream, &rest, 1, [](uv_write_t* request, int status) {
    const std::unique_ptr<Write> finished(static_cast<Write*>(request->data));
    if (status < 0) close_connection(request->handle);
  }));
}

void accept(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* const connection = new uv_tcp_t;
  auto* const stream = reinterpret_cast<uv_stream_t*>(connection);
  check(uv_tcp_init(listener->loop, connection));
  if (uv_accept(listener, stream) != 0) return close_connection(stream);
  check(uv_tcp_nodelay(connection, 1));
  check(uv_read_start(
      stream,
      [](uv_handle_t*, std::size_t, uv_buf_t* free) {
        *free = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
      },
      [](uv_stream_t* reader, ssize_t size, const uv_buf_t* data) {
        if (size > 0)
          send(reader, data->base, size);
        else if (size < 0)
          close_connection(reader);
      }));
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint16_t port = port_argument(argc, argv);
  uv_loop_t* const loop = uv_default_loop();
  uv_tcp_t listener;
  check(uv_tcp_init(loop, &listener));
  sockaddr_in address;
  check(uv_ip4_addr("127.0.0.1", port, &address));
  check(uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0));
  check(uv_listen(reinterpret_cast<uv_stream_t*>(&listener), backlog, accept));
  announce();
  return uv_run(loop, UV_RUN_DEFAULT);
}
