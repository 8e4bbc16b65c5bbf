// SPDX-License-Identifier: BSL-1.0
// Streams over pipes: the glue of streams, by hand, on connect_read_pipe and connect_write_pipe
// (surface ST23).
#include <asyncio/streams.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/pipes.hpp>
#include <asyncio/subprocess.hpp>
#include <asyncio/tasks.hpp>

#include "stream_sockets.hpp"

using namespace stream_socket_tests;
using asyncio::subprocess::Process;

namespace {

Coroutine<StreamReader> open_reader(FileDescriptor pipe, std::ptrdiff_t limit) {
  const StreamReader reader(limit);
  const auto protocol = std::make_shared<StreamReaderProtocol>(reader);
  const auto factory = [&] { return protocol; };
  co_await get_running_loop().connect_read_pipe(factory, std::move(pipe));
  co_return reader;
}

Coroutine<StreamWriter> open_writer(FileDescriptor pipe) {
  EventLoop& loop = get_running_loop();
  const StreamReader unused;
  const auto protocol = std::make_shared<StreamReaderProtocol>(unused);
  const auto factory = [&] { return protocol; };
  auto [transport, same] = co_await loop.connect_write_pipe(factory, std::move(pipe));
  co_return StreamWriter(transport, protocol, unused, loop);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_pipes_tests)

BOOST_AUTO_TEST_CASE(r207_what_a_child_wrote_is_read_to_the_end_whatever_the_limit) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [in, out] = FileDescriptor::pipe();
    const StreamReader reader = co_await open_reader(std::move(in), 1);
    const std::vector<int> passed{out.fileno()};
    const SubprocessOptions options{.pass_fds = passed};
    const std::string script = "printf data >/proc/self/fd/" + std::to_string(out.fileno());
    const Process process = co_await create_subprocess_shell(script, options);
    const int code = co_await process.wait();
    BOOST_TEST(code == 0);
    out.close();
    const Bytes all = co_await reader.read();
    BOOST_TEST(all == "data");
    BOOST_TEST(reader.at_eof());
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(r203_r211_a_reader_that_is_not_read_holds_the_writer_back) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [in, out] = FileDescriptor::pipe();
    const StreamReader reader = co_await open_reader(std::move(in), 1000);
    const StreamWriter writer = co_await open_writer(std::move(out));
    writer.write(std::string(much, 'x'));
    const Task<> drained = create_task(writer.drain());
    co_await pass(100);
    BOOST_TEST(!drained.done());
    BOOST_TEST(to_string(reader).ends_with(" paused>"));
    const Bytes all = co_await reader.readexactly(much);
    BOOST_TEST((all == std::string(much, 'x')));
    co_await drained;
    writer.close();
    co_await writer.wait_closed();
    const Bytes rest = co_await reader.read();
    BOOST_TEST(rest == "");
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_CASE(r211_r213_a_writer_whose_reader_goes_is_told) {
  Loop loop;
  loop.run([]() -> Coroutine<> {
    auto [in, out] = FileDescriptor::pipe();
    const StreamWriter writer = co_await open_writer(std::move(out));
    writer.write(std::string(much, 'x'));
    const Task<std::string> drained = create_task(error_of(writer.drain()));
    co_await pass(1);
    in.close();
    const std::string error = co_await drained;
    const std::string later = co_await error_of(writer.drain());
    const std::string closed = co_await error_of(writer.wait_closed());
    BOOST_TEST(error == "BrokenPipeError()");
    BOOST_TEST(later == "BrokenPipeError()");
    BOOST_TEST(closed == "BrokenPipeError()");
  });
  BOOST_TEST(loop.reports.empty());
}

BOOST_AUTO_TEST_SUITE_END()
