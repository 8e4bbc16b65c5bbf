// SPDX-License-Identifier: BSL-1.0
// The program: reads a scenario, plays its role, and obeys the commands that come on standard
// input.
//
//   protocol_trace --scenario FILE --port PORT [--path SOCKET] [--tls CERTIFICATES]
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include <unistd.h>

#include <asyncio/asyncio.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "protocol_trace.hpp"

namespace {

/// Standard input: one command a line, `quit` ends the loop.
class Commands {
 public:
  Commands(asyncio::EventLoop& loop, protocol_trace::Program& program)
      : loop_(loop), program_(program), input_(loop.get_io_context(), ::dup(STDIN_FILENO)) {
    read();
  }

 private:
  void read() {
    input_.async_read_some(boost::asio::buffer(buffer_),
                           [this](const boost::system::error_code& error, std::size_t n) {
                             if (error) return;
                             text_.append(buffer_.data(), n);
                             loop_.call_soon([this] { obey(); });
                             read();
                           });
  }

  void obey() {
    for (std::size_t end; (end = text_.find('\n')) != text_.npos;) {
      const std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      if (line == "quit") {
        protocol_trace::fall_silent();
        loop_.stop();
      } else {
        program_.command(line);
      }
    }
  }

  asyncio::EventLoop& loop_;
  protocol_trace::Program& program_;
  boost::asio::posix::stream_descriptor input_;
  std::array<char, 4096> buffer_{};
  std::string text_;  // not obeyed yet
};

struct Arguments {
  std::string scenario;
  int port = 0;
  std::string path;
  std::string tls;  // the folder of certificates
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--scenario") arguments.scenario = argv[i + 1];
    if (name == "--port") arguments.port = std::atoi(argv[i + 1]);
    if (name == "--path") arguments.path = argv[i + 1];
    if (name == "--tls") arguments.tls = argv[i + 1];
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  std::ifstream file(arguments.scenario);
  if (!file) {
    std::cerr << "usage: protocol_trace --scenario FILE --port PORT [--path SOCKET] "
                 "[--tls FOLDER]\n";
    return 2;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const boost::json::value scenario = boost::json::parse(text);

  asyncio::EventLoop loop;
  protocol_trace::Program program(loop, scenario.at("program").as_object(), arguments.port,
                                  arguments.path, arguments.tls);
  if (!program.has_role()) {
    std::cerr << "unsupported role\n";
    return 2;
  }
  loop.set_exception_handler([](asyncio::EventLoop&, const asyncio::ExceptionContext& context) {
    protocol_trace::say({"loop error", protocol_trace::show_error(context.exception)});
  });
  loop.create_task(program.open());
  Commands commands(loop, program);
  loop.run_forever();
  loop.close();
}
