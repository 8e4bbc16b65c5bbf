// SPDX-License-Identifier: BSL-1.0
// The protocol tracer: a program whose protocols print what they are told, and react as a scenario
// file says. The traces it must print are those of the same program in CPython.
#pragma once

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <asyncio/asyncio.hpp>
#include <asyncio/ssl.hpp>
#include <boost/crc.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace protocol_trace {

/// Raised in a protocol's callback when the scenario wants that.
class ScenarioError : public asyncio::Exception {
 public:
  using Exception::Exception;
};

/// Prints one line of the trace, words with a space between them, and flushes it. Empty words are
/// left out.
void say(std::initializer_list<std::string_view> words);
/// Nothing is printed any more.
void fall_silent() noexcept;
/// Bytes as a JSON string of Latin-1 characters, escaped as Python's json.dumps does.
std::string show_data(asyncio::BytesView data);
/// What an action writes: its `data`, so many `times`.
asyncio::Bytes payload(const boost::json::object& action);
/// The name of an exception's class, with errno's name for a plain OSError; "null" for none.
std::string show_error(const std::exception_ptr& error);

class Program;

/// What all protocols share: a label, a transport, and the reactions that the scenario asks for.
class Endpoint {
 public:
  explicit Endpoint(Program& program) noexcept : program_(program) {}

  void made(std::shared_ptr<asyncio::BaseTransport> transport);
  /// Prints the line of an event and performs its actions; true if they return something true.
  bool event(std::string_view name, std::string_view argument = {});
  void arrived(std::string_view name, asyncio::BytesView data);
  void lost(const std::exception_ptr& error);

  std::string label;
  std::shared_ptr<asyncio::BaseTransport> transport;
  std::shared_ptr<asyncio::SubprocessTransport> child;  // in place of `transport`
  asyncio::Bytes latest;    // the data just received
  asyncio::Address sender;  // of the datagram just received

 protected:
  ~Endpoint() = default;
  Program& program_;

 private:
  std::uint64_t received_ = 0;
  boost::crc_32_type checksum_;
};

class Program {
 public:
  /// `script` is the scenario's member "program"; port and path are where its endpoint is.
  /// `certificates` is the folder of what the TCP roles need to speak TLS; empty: they do not.
  Program(asyncio::EventLoop& loop, boost::json::object script, int port, std::string path,
          const std::string& certificates);

  /// False if the scenario's role is not one that this program can play; nothing else then works.
  bool has_role() const noexcept { return role_ != nullptr; }
  /// Plays the scenario's role, and says when the endpoint is open or has failed.
  asyncio::Coroutine<> open();
  /// Performs what the scenario has under this name.
  void command(std::string_view name);

  // For endpoints.

  const boost::json::object& script() const noexcept { return script_; }
  bool digest() const noexcept { return digest_; }
  /// What the scenario wants done in the protocol's callback of this name.
  std::span<const boost::json::value> reactions(std::string_view name) const {
    return entries("on", name);
  }
  /// Gives it its label; commands are for the one that came last.
  void add(Endpoint& endpoint);
  /// Prints the action's line, with its value or what it threw.
  void perform(const boost::json::object& action, Endpoint* endpoint);

 private:
  struct Role;
  static const Role roles[];

  std::shared_ptr<asyncio::BaseProtocol> make();
  template <class P>
  std::shared_ptr<asyncio::BaseProtocol> keep(std::shared_ptr<P> protocol);
  std::span<const boost::json::value> entries(std::string_view member, std::string_view name) const;
  void use_tls(const std::string& certificates);
  asyncio::Coroutine<> open_tcp_server();
  asyncio::Coroutine<> open_tcp_client();
  asyncio::Coroutine<> open_udp_server();
  asyncio::Coroutine<> open_udp_client();
  asyncio::Coroutine<> open_unix_server();
  asyncio::Coroutine<> open_unix_client();
  asyncio::Coroutine<> open_subprocess();
  asyncio::Coroutine<> wait_closed();

  /// The value of the action as JSON; empty if it has none.
  std::string act(std::string_view name, const boost::json::object& action, Endpoint* endpoint);
  std::string act_on_server(std::string_view name);
  std::string act_on_child(std::string_view name, const boost::json::object& action,
                           asyncio::SubprocessTransport& child);
  void switch_protocol(Endpoint& endpoint);
  /// The endpoint with this label, the one that came last if it is empty; null if there is none.
  Endpoint* find(std::string_view label) const noexcept;

  asyncio::EventLoop& loop_;
  boost::json::object script_;
  int port_;
  std::string path_;
  asyncio::SSLContext tls_;  // none: plain text
  bool digest_;
  const Role* role_;
  // Kept for ever: a command may name an endpoint that is gone.
  std::vector<std::shared_ptr<asyncio::BaseProtocol>> protocols_;
  std::vector<Endpoint*> endpoints_;  // that have a label; parts of `protocols_`
  Endpoint* made_last_ = nullptr;
  asyncio::Server server_;
};

}  // namespace protocol_trace
