// SPDX-License-Identifier: BSL-1.0
// For tests of StreamReader: one on a loop on virtual time, and a transport that it may pause.
#pragma once

#include <asyncio/streams.hpp>
#include <asyncio/transports.hpp>

#include <any>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "on_virtual_time.hpp"

namespace stream_tests {

using namespace on_virtual_time;

/// Writes down how it is paused and resumed.
class Tap : public ReadTransport {
 public:
  Lines calls;
  bool can_pause = true;

  bool is_reading() const override { return calls.empty() || calls.back() == "resume"; }
  void pause_reading() override {
    if (!can_pause) throw NotImplementedError();
    calls.push_back("pause");
  }
  void resume_reading() override { calls.push_back("resume"); }
  void close() override {}
  bool is_closing() const override { return false; }
  std::any get_extra_info(std::string_view) const override { return {}; }
  void set_protocol(std::shared_ptr<BaseProtocol>) override {}
  std::shared_ptr<BaseProtocol> get_protocol() const override { return nullptr; }
  std::string repr() const override { return "<Tap>"; }
};

/// A reader on a loop.
struct Stream {
  explicit Stream(std::ptrdiff_t limit = constants::stream_limit) : reader(loop, limit) {}

  void feed(std::initializer_list<std::string> pieces) {
    for (const std::string& piece : pieces) reader.feed_data(piece);
  }
  /// Feeds the pieces when the loop runs, then maybe the end.
  void feed_soon(std::vector<std::string> pieces, bool eof = false) {
    loop.call_soon([reader = reader, pieces = std::move(pieces), eof] {
      for (const std::string& piece : pieces) reader.feed_data(piece);
      if (eof) reader.feed_eof();
    });
  }
  template <class T>
  T get(Coroutine<T> reading) {
    return loop.run_until_complete(std::move(reading));
  }
  template <class T>
  std::string error(Coroutine<T> reading) {
    return thrown_by([&] { loop.run_until_complete(std::move(reading)); });
  }
  template <class T>
  std::uint64_t passes(Coroutine<T> reading) {
    return loop.run_until_complete(ending(std::move(reading))).passes;
  }
  template <class T>
  Task<T> start(Coroutine<T> reading) {
    const Task<T> task = loop.create_task(std::move(reading));
    loop.pass();
    return task;
  }
  /// What is buffered.
  std::string rest() const { return reader.state()->buffer().view().str(); }

  std::shared_ptr<Tap> connect() {
    const auto tap = std::make_shared<Tap>();
    reader.set_transport(tap);
    return tap;
  }

  Loop loop;
  const StreamReader reader;
};

/// The exception that a read throws.
template <class E, class T>
E caught(Stream& s, Coroutine<T> reading) {
  try {
    s.get(std::move(reading));
  } catch (const E& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

}  // namespace stream_tests
