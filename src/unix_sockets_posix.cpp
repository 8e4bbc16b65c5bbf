// SPDX-License-Identifier: BSL-1.0
// create_unix_connection, create_unix_server (surface A10, rule 170).
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asyncio/connections.hpp>
#include <asyncio/logging.hpp>
#include <cerrno>
#include <optional>

#include "connect.hpp"
#include "connection_requests.hpp"
#include "loop_core.hpp"
#include "sock_connect.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

const Logger& logger() {
  static const Logger asyncio = get_logger("asyncio");
  return asyncio;
}

/// Is the request for a path? ValueError unless it is for that or for a fitting socket.
bool has_path(const UnixRequest& request, const char* neither) {
  if (request.path && request.adopts)
    throw ValueError("path and sock can not be specified at the same time");
  if (request.path) return true;
  if (!request.adopts) throw ValueError(neither);
  if (request.sock.family() != AF_UNIX || request.sock.type() != SOCK_STREAM)
    throw ValueError("A UNIX Domain Stream Socket was expected, got " + to_string(request.sock));
  return false;
}

/// Abstract names, and the sockets that have no name, are no files.
bool is_file(const std::string& path) { return !path.empty() && path[0] != '\0'; }

/// The errno of a failed look at the file, 0 if `info` has been filled.
int look_at(const std::string& path, struct stat& info) {
  return ::stat(path.c_str(), &info) == 0 ? 0 : errno;
}

Socket bind_to_path(const std::string& path) {
  Socket sock(AF_UNIX, SOCK_STREAM);
  remove_stale_socket(path);
  try {
    sock.bind(Address::from_path(path));
  } catch (const OSError& error) {
    if (error.errno_value() != EADDRINUSE) throw;
    throw_os_error(EADDRINUSE, "Address " + repr_str(path) + " is already in use");
  }
  return sock;
}

/// The file of a listening socket, removed with this object if nobody has put another in its place.
class SocketFile {
 public:
  SocketFile(std::string path, const struct stat& info)
      : path_(std::move(path)), device_(info.st_dev), inode_(info.st_ino) {}
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() {
    struct stat info {};
    int error = look_at(path_, info);
    if (error == 0 && (info.st_dev != device_ || info.st_ino != inode_)) return;
    if (error == 0 && ::unlink(path_.c_str()) != 0) error = errno;
    if (error != 0 && error != ENOENT) {
      logger().error("Unable to clean up listening UNIX socket {}: {}", repr_str(path_),
                     repr(make_os_error(error)));
    }
  }

 private:
  const std::string path_;
  const dev_t device_;
  const ino_t inode_;
};

/// Null if the socket is no file.
std::shared_ptr<SocketFile> file_of(const Socket& sock) {
  std::string path = sock.getsockname().path();
  struct stat info {};
  if (!is_file(path)) return nullptr;
  const int error = look_at(path, info);
  if (error == ENOENT) return nullptr;
  if (error != 0) throw_os_error(error);
  return std::make_shared<SocketFile>(std::move(path), info);
}

}  // namespace

// The directory may let sockets be made, but not removed: binding will tell.
void remove_stale_socket(const std::string& path) {
  if (!is_file(path)) return;
  // The system would take it for a shorter one, of somebody else's file.
  if (path.find('\0') != std::string::npos)
    throw ValueError("stat: embedded null character in path");
  struct stat info {};
  int error = look_at(path, info);
  if (error == 0 && S_ISSOCK(info.st_mode) && ::unlink(path.c_str()) != 0) error = errno;
  if (error != 0 && error != ENOENT) {
    logger().error("Unable to check or remove stale UNIX socket {}: {}", repr_str(path),
                   asyncio::repr(make_os_error(error)));
  }
}

Coroutine<Connection> open_connection(LoopCore& core, ProtocolFactory factory,
                                      UnixConnectionRequest request) {
  if (request.tls.wanted() && !request.tls.server_hostname())
    throw ValueError("you have to pass server_hostname when using ssl");
  std::optional<TlsRequest> tls =
      request.tls.for_client(request.tls.server_hostname().value_or(std::string()));
  if (has_path(request, "no path and sock were specified")) {
    request.sock = Socket(AF_UNIX, SOCK_STREAM);
    co_await sock_connect(core, request.sock, Address::from_path(*request.path));
  }
  co_return co_await make_connection(core, std::move(factory), std::move(request.sock),
                                     std::move(tls));
}

Coroutine<Server> serve(LoopCore& core, ProtocolFactory factory, UnixServerRequest request) {
  std::optional<TlsRequest> tls = request.tls.for_server();
  if (has_path(request, "path was not specified, and no sock specified"))
    request.sock = bind_to_path(*request.path);
  const UnixServerOptions& options = request.options;
  std::shared_ptr<void> file;
  if (options.cleanup_socket) file = file_of(request.sock);
  std::vector<Socket> sockets;
  sockets.push_back(std::move(request.sock));
  co_return co_await make_server(core, std::move(factory), std::move(sockets), options.backlog,
                                 options.start_serving, std::move(tls), std::move(file));
}

}  // namespace detail

Coroutine<EventLoop::AnyConnection> EventLoop::connect_unix(ProtocolFactory factory,
                                                            const UnixPath* path,
                                                            UnixConnectionOptions options) {
  if (options.limit)
    throw TypeError("create_unix_connection() got an unexpected keyword argument 'limit'");
  return detail::open_connection(core(), std::move(factory),
                                 detail::UnixConnectionRequest(path, options));
}

Coroutine<Server> EventLoop::listen_unix(ProtocolFactory factory, const UnixPath* path,
                                         UnixServerOptions options) {
  if (options.limit)
    throw TypeError("create_unix_server() got an unexpected keyword argument 'limit'");
  return detail::serve(core(), std::move(factory), detail::UnixServerRequest(path, options));
}

}  // namespace asyncio::inline v1
