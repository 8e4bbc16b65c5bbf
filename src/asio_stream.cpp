// SPDX-License-Identifier: BSL-1.0
#include <asyncio/asio/stream.hpp>
#include <asyncio/constants.hpp>
#include <boost/system/errc.hpp>

#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace detail {

boost::asio::any_io_executor executor_of(Scheduler& loop) { return core_of(loop).executor(); }

boost::system::error_code error_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const OSError& os_error) {
    if (os_error.code()) return os_error.code();
  } catch (const CancelledError&) {
    return boost::asio::error::operation_aborted;
  } catch (...) {
  }
  return make_error_code(boost::system::errc::io_error);
}

boost::system::error_code error_of(const AnyFuture& done) {
  if (done.cancelled()) return boost::asio::error::operation_aborted;
  const std::exception_ptr error = done.exception();
  return error ? error_of(error) : boost::system::error_code();
}

Coroutine<> tear_down(StreamReader reader, StreamWriter writer, bool server) {
  if (server && writer.can_write_eof()) writer.write_eof();
  for (Bytes rest = co_await reader.read(constants::stream_limit); !rest.empty();)
    rest = co_await reader.read(constants::stream_limit);
  writer.close();
  co_await writer.wait_closed();
}

}  // namespace detail

AsioStream::AsioStream(StreamReader reader, StreamWriter writer)
    : reader_(std::move(reader)), writer_(std::move(writer)) {}

}  // namespace asyncio::inline v1
