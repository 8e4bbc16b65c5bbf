// SPDX-License-Identifier: BSL-1.0
// For tests of StreamWriter and StreamReaderProtocol: both ends of a stream without a socket.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/streams.hpp>

#include <any>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "captured_log.hpp"
#include "on_virtual_time.hpp"

namespace stream_end_tests {

using namespace on_virtual_time;
using unit_tests::CapturedLog;

/// Writes down what it is asked for.
class Wire : public Transport {
 public:
  Lines calls;
  bool tls = false;
  bool closing = false;

  void close() override {
    calls.push_back("close");
    closing = true;
  }
  bool is_closing() const override { return closing; }
  std::any get_extra_info(std::string_view name) const override {
    if (name == "sslcontext" && tls) return 1;
    if (name == peername.name) return Address("10.0.0.1", 7);
    return {};
  }
  void set_protocol(std::shared_ptr<BaseProtocol>) override {}
  std::shared_ptr<BaseProtocol> get_protocol() const override { return nullptr; }
  std::string repr() const override { return "<Wire>"; }
  bool is_reading() const override { return true; }
  void pause_reading() override { calls.push_back("pause"); }
  void resume_reading() override { calls.push_back("resume"); }
  void write(BytesView data) override { calls.push_back("write " + data.str()); }
  void writelines(std::span<const BytesView> lines) override {
    std::string call = "writelines";
    for (const BytesView line : lines) call += " " + line.str();
    calls.push_back(call);
  }
  void write_eof() override { calls.push_back("write_eof"); }
  bool can_write_eof() const override { return true; }
  void abort() override { calls.push_back("abort"); }
  std::size_t get_write_buffer_size() const override { return 0; }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override { return {}; }
  void set_write_buffer_limits(WriteBufferLimits) override {}
};

/// Both ends of a stream whose transport is a Wire.
struct Stream {
  Stream() { protocol->connection_made(wire); }
  ~Stream() { wire->closing = true; }  // nothing to warn of

  /// How an awaitable ends, and after how many passes.
  Ending end(Coroutine<> awaitable) {
    return loop.run_until_complete(ending(std::move(awaitable)));
  }
  Task<Ending> start(Coroutine<> awaitable) {
    const Task<Ending> task = loop.create_task(ending(std::move(awaitable)));
    loop.pass();
    return task;
  }
  std::string finish(const Task<Ending>& task) { return loop.run_until_complete(task).what(); }

  Loop loop;
  const std::shared_ptr<Wire> wire = std::make_shared<Wire>();
  std::optional<StreamReader> reader{std::in_place, loop};
  std::shared_ptr<StreamReaderProtocol> protocol =
      std::make_shared<StreamReaderProtocol>(loop, *reader);
  std::optional<StreamWriter> writer{std::in_place, wire, protocol, reader, loop};
};

inline const std::exception_ptr reset =
    std::make_exception_ptr(ConnectionResetError(104, "Connection reset by peer"));

}  // namespace stream_end_tests
