// SPDX-License-Identifier: BSL-1.0
// What the protocol tracer's protocols print, and what a scenario can make them do.
#include "protocol_trace.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>

#include <sys/socket.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

namespace protocol_trace {

namespace json = boost::json;

namespace {

constexpr std::string_view host = "127.0.0.1";
bool silent = false;

std::string_view text(const json::value& value) {
  const json::string& string = value.as_string();
  return {string.data(), string.size()};
}

std::size_t size(const json::value& value) { return value.to_number<std::size_t>(); }

/// Python's truth of what a callback returns.
bool truth(const json::value& value) {
  if (const bool* const flag = value.if_bool()) return *flag;
  return !value.is_null();
}

/// std::bad_cast if the scenario asks of a transport what its kind cannot do.
template <class T>
T& as(asyncio::BaseTransport& transport) {
  return dynamic_cast<T&>(transport);
}

std::string show(bool value) { return value ? "true" : "false"; }

std::string hexadecimal(unsigned value, int digits) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%0*x", digits, value);
  return text.data();
}

// (Not prefix + to_string(number): g++ 12 has a false warning for that.)
std::string numbered(std::string prefix, std::uint64_t number) {
  return prefix.append(std::to_string(number));
}

/// The scenarios are UTF-8 and mean Latin-1: one character is one byte.
asyncio::Bytes latin1(std::string_view utf8) {
  asyncio::Bytes bytes;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(utf8[i]);
    if (c < 0x80 || i + 1 == utf8.size()) {
      bytes += utf8[i];
    } else {
      const unsigned char next = static_cast<unsigned char>(utf8[++i]);
      bytes += static_cast<char>((c & 0x03) << 6 | (next & 0x3f));
    }
  }
  return bytes;
}

// ---- protocols

class Stream final : public asyncio::Protocol, public Endpoint {
 public:
  using Endpoint::Endpoint;

  void connection_made(std::shared_ptr<asyncio::Transport> made) override {
    Endpoint::made(std::move(made));
  }
  void data_received(asyncio::BytesView data) override { arrived("data_received", data); }
  bool eof_received() override { return event("eof_received"); }
  void pause_writing() override { event("pause_writing"); }
  void resume_writing() override { event("resume_writing"); }
  void connection_lost(std::exception_ptr error) override { lost(error); }
};

class Buffered final : public asyncio::BufferedProtocol, public Endpoint {
 public:
  using Endpoint::Endpoint;

  void connection_made(std::shared_ptr<asyncio::Transport> made) override {
    Endpoint::made(std::move(made));
  }
  asyncio::MutableBytes get_buffer(std::ptrdiff_t) override {
    buffer_ = std::vector<char>(size(program_.script().at("buffer")));
    return asyncio::MutableBytes(buffer_);
  }
  void buffer_updated(std::size_t size) override {
    arrived("buffer_updated", asyncio::BytesView(buffer_).subview(0, size));
  }
  bool eof_received() override { return event("eof_received"); }
  void pause_writing() override { event("pause_writing"); }
  void resume_writing() override { event("resume_writing"); }
  void connection_lost(std::exception_ptr error) override { lost(error); }

 private:
  std::vector<char> buffer_;
};

class Datagram final : public asyncio::DatagramProtocol, public Endpoint {
 public:
  using Endpoint::Endpoint;

  void connection_made(std::shared_ptr<asyncio::DatagramTransport> made) override {
    Endpoint::made(std::move(made));
  }
  void datagram_received(asyncio::BytesView data, const asyncio::Address& addr) override {
    sender = addr;
    arrived("datagram_received", data);
  }
  void error_received(std::exception_ptr error) override {
    event("error_received", show_error(error));
  }
  void pause_writing() override { event("pause_writing"); }
  void resume_writing() override { event("resume_writing"); }
  void connection_lost(std::exception_ptr error) override { lost(error); }
};

}  // namespace

// ---- lines

void say(std::initializer_list<std::string_view> words) {
  if (silent) return;
  std::string line;
  for (const std::string_view word : words) {
    if (word.empty()) continue;
    if (!line.empty()) line += ' ';
    line += word;
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

void fall_silent() noexcept { silent = true; }

asyncio::Bytes payload(const json::object& action) {
  const json::value* const data = action.if_contains("data");
  const json::value* const times = action.if_contains("times");
  const asyncio::Bytes piece = data ? latin1(text(*data)) : "x";
  asyncio::Bytes bytes;
  for (std::size_t left = times ? size(*times) : 1; left > 0; --left) bytes += piece;
  return bytes;
}

std::string show_data(asyncio::BytesView data) {
  constexpr std::string_view plain_names = "\"\\\b\f\n\r\t";
  constexpr std::string_view short_names = "\"\\bfnrt";
  std::string shown = "\"";
  for (const char c : data) {
    if (const auto found = plain_names.find(c); found != plain_names.npos) {
      shown += '\\';
      shown += short_names[found];
    } else if (c >= ' ' && c <= '~') {
      shown += c;
    } else {
      shown += "\\u" + hexadecimal(static_cast<unsigned char>(c), 4);
    }
  }
  return shown + '"';
}

std::string show_error(const std::exception_ptr& error) {
  if (!error) return "null";
  const std::string name = asyncio::type_name(error);
  if (name != "OSError") return name;
  const int number = asyncio::exception_cast<asyncio::OSError>(error)->errno_value();
  const char* const symbol = strerrorname_np(number);
  return name + "(" + (symbol ? symbol : std::to_string(number)) + ")";
}

// ---- Endpoint

void Endpoint::made(std::shared_ptr<asyncio::BaseTransport> made) {
  transport = std::move(made);
  program_.add(*this);
  event("connection_made");
}

bool Endpoint::event(std::string_view name, std::string_view argument) {
  say({label, name, argument});
  bool result = false;
  for (const json::value& entry : program_.reactions(name)) {
    const json::object& action = entry.as_object();
    const std::string_view what = text(action.at("do"));
    if (what == "return") {
      result = truth(action.at("value"));
    } else if (what == "raise") {
      throw ScenarioError();
    } else {
      program_.perform(action, this);
    }
  }
  return result;
}

void Endpoint::arrived(std::string_view name, asyncio::BytesView data) {
  latest = data.str();
  received_ += data.size();
  checksum_.process_bytes(data.data(), data.size());
  event(name, program_.digest() ? numbered("#", data.size()) : show_data(data));
}

void Endpoint::lost(const std::exception_ptr& error) {
  if (program_.digest())
    say({label, "received", numbered("#", received_),
         "crc32=" + hexadecimal(checksum_.checksum(), 8)});
  event("connection_lost", show_error(error));
}

// ---- Program

struct Program::Role {
  std::string_view name;
  asyncio::Coroutine<> (Program::*open)();
};

const Program::Role Program::roles[] = {
    {"tcp_server", &Program::open_tcp_server},
    {"tcp_client", &Program::open_tcp_client},
    {"udp_server", &Program::open_udp_server},
    {"udp_client", &Program::open_udp_client},
    {"unix_server", &Program::open_unix_server},
    {"unix_client", &Program::open_unix_client},
    {"subprocess", &Program::open_subprocess},
};

Program::Program(asyncio::EventLoop& loop, json::object script, int port, std::string path,
                 const std::string& certificates)
    : loop_(loop), script_(std::move(script)), port_(port), path_(std::move(path)) {
  const json::value* const digest = script_.if_contains("digest");
  digest_ = digest && truth(*digest);
  const auto* const role = std::ranges::find(roles, text(script_.at("role")), &Role::name);
  role_ = role == std::end(roles) ? nullptr : role;
  if (!certificates.empty()) use_tls(certificates);
}

void Program::use_tls(const std::string& certificates) {
  if (text(script_.at("role")) == "tcp_server") {
    tls_ = asyncio::SSLContext(asyncio::ssl::PROTOCOL_TLS_SERVER);
    tls_.load_cert_chain(certificates + "/server.pem", {.keyfile = certificates + "/server.key"});
  } else {
    tls_ = asyncio::ssl::create_default_context();
    tls_.load_verify_locations({.cafile = certificates + "/ca.pem"});
  }
}

asyncio::Coroutine<> Program::open() {
  std::exception_ptr failure;
  try {
    co_await (this->*role_->open)();
  } catch (const asyncio::OSError&) {
    failure = std::current_exception();
  }
  if (failure)
    say({"program ready !", show_error(failure)});
  else
    say({"program ready"});
}

asyncio::Coroutine<> Program::open_tcp_server() {
  const asyncio::SSLContext* const tls = tls_ ? &tls_ : nullptr;
  server_ = co_await loop_.create_server([this] { return make(); }, host, port_, {.ssl = tls});
}

asyncio::Coroutine<> Program::open_tcp_client() {
  const asyncio::SSLContext* const tls = tls_ ? &tls_ : nullptr;
  co_await loop_.create_connection([this] { return make(); }, host, port_, {.ssl = tls});
}

asyncio::Coroutine<> Program::open_udp_server() {
  co_await loop_.create_datagram_endpoint(
      [this] { return keep(std::make_shared<Datagram>(*this)); }, {.local_addr = {host, port_}});
}

asyncio::Coroutine<> Program::open_udp_client() {
  co_await loop_.create_datagram_endpoint(
      [this] { return keep(std::make_shared<Datagram>(*this)); }, {.remote_addr = {host, port_}});
}

asyncio::Coroutine<> Program::open_unix_server() {
  server_ = co_await loop_.create_unix_server([this] { return make(); }, path_);
}

asyncio::Coroutine<> Program::open_unix_client() {
  co_await loop_.create_unix_connection([this] { return make(); }, path_);
}

asyncio::Coroutine<> Program::wait_closed() {
  co_await server_.wait_closed();
  say({"program server.closed"});
}

std::shared_ptr<asyncio::BaseProtocol> Program::make() {
  const json::value* const kind = script_.if_contains("protocol");
  if (kind && text(*kind) == "buffered") return keep(std::make_shared<Buffered>(*this));
  return keep(std::make_shared<Stream>(*this));
}

template <class P>
std::shared_ptr<asyncio::BaseProtocol> Program::keep(std::shared_ptr<P> protocol) {
  made_last_ = protocol.get();
  protocols_.push_back(protocol);
  return protocol;
}

std::span<const json::value> Program::entries(std::string_view member,
                                              std::string_view name) const {
  const json::value* const table = script_.if_contains(member);
  const json::value* const actions = table ? table->as_object().if_contains(name) : nullptr;
  if (!actions) return {};
  return {actions->as_array().data(), actions->as_array().size()};
}

void Program::add(Endpoint& endpoint) {
  endpoints_.push_back(&endpoint);
  endpoint.label = numbered("c", endpoints_.size());
}

Endpoint* Program::find(std::string_view label) const noexcept {
  if (label.empty()) return endpoints_.empty() ? nullptr : endpoints_.back();
  const auto found = std::ranges::find(endpoints_, label, &Endpoint::label);
  return found == endpoints_.end() ? nullptr : *found;
}

void Program::command(std::string_view name) {
  for (const json::value& entry : entries("commands", name)) {
    const json::object& action = entry.as_object();
    const json::value* const label = action.if_contains("on");
    perform(action, find(label ? text(*label) : ""));
  }
}

void Program::perform(const json::object& action, Endpoint* endpoint) {
  const std::string_view name = text(action.at("do"));
  const bool of_server = name.starts_with("server.");
  const std::string who = endpoint && !of_server ? endpoint->label : "program";
  try {
    const std::string value = of_server ? act_on_server(name) : act(name, action, endpoint);
    say({who, name, value});
  } catch (const std::exception&) {
    say({who, name, "!", show_error(std::current_exception())});
  }
}

std::string Program::act(std::string_view name, const json::object& action, Endpoint* endpoint) {
  if (!endpoint) throw asyncio::ValueError("no connection to " + std::string(name));
  if (endpoint->child) return act_on_child(name, action, *endpoint->child);
  asyncio::BaseTransport& transport = *endpoint->transport;
  const auto stream = [&]() -> asyncio::Transport& { return as<asyncio::Transport>(transport); };
  const auto reading = [&]() -> asyncio::ReadTransport& {
    return as<asyncio::ReadTransport>(transport);
  };
  const auto sending = [&]() -> asyncio::SendingTransport& {
    return as<asyncio::SendingTransport>(transport);
  };
  if (name == "write") {
    stream().write(payload(action));
  } else if (name == "writelines") {
    std::vector<asyncio::Bytes> lines;
    for (const json::value& line : action.at("lines").as_array())
      lines.push_back(latin1(text(line)));
    stream().writelines(lines);
  } else if (name == "echo") {
    stream().write(endpoint->latest);
  } else if (name == "sendto") {
    const json::value* const connected = action.if_contains("connected");
    const bool to_sender = !connected || !truth(*connected);
    as<asyncio::DatagramTransport>(transport).sendto(
        payload(action), to_sender ? endpoint->sender : asyncio::Address());
  } else if (name == "write_eof") {
    stream().write_eof();
  } else if (name == "close") {
    transport.close();
  } else if (name == "abort") {
    sending().abort();
  } else if (name == "pause_reading") {
    reading().pause_reading();
  } else if (name == "resume_reading") {
    reading().resume_reading();
  } else if (name == "is_closing") {
    return show(transport.is_closing());
  } else if (name == "is_reading") {
    return show(reading().is_reading());
  } else if (name == "can_write_eof") {
    return show(stream().can_write_eof());
  } else if (name == "buffered") {
    return show(sending().get_write_buffer_size() > 0);
  } else if (name == "set_write_buffer_limits") {
    asyncio::WriteBufferLimits limits;
    if (const json::value* const high = action.if_contains("high")) limits.high = size(*high);
    if (const json::value* const low = action.if_contains("low")) limits.low = size(*low);
    sending().set_write_buffer_limits(limits);
  } else if (name == "get_write_buffer_limits") {
    const auto [low, high] = sending().get_write_buffer_limits();
    return show_data(std::to_string(low) + ".." + std::to_string(high));
  } else if (name == "send_buffer") {
    const int bytes = action.at("size").to_number<int>();
    transport.get_extra_info(asyncio::socket).setsockopt(SOL_SOCKET, SO_SNDBUF, bytes);
  } else if (name == "switch_protocol") {
    switch_protocol(*endpoint);
  } else {
    throw asyncio::ValueError("unknown action " + std::string(name));
  }
  return {};
}

std::string Program::act_on_server(std::string_view name) {
  if (name == "server.close") {
    server_.close();
  } else if (name == "server.close_clients") {
    server_.close_clients();
  } else if (name == "server.abort_clients") {
    server_.abort_clients();
  } else if (name == "server.is_serving") {
    return show(server_.is_serving());
  } else if (name == "server.wait_closed") {
    loop_.create_task(wait_closed());
  } else {
    throw asyncio::ValueError("unknown action " + std::string(name));
  }
  return {};
}

void Program::switch_protocol(Endpoint& endpoint) {
  std::shared_ptr<asyncio::BaseProtocol> protocol = make();
  Endpoint& replacement = *made_last_;
  replacement.transport = endpoint.transport;
  replacement.label = endpoint.label + "'";
  endpoints_.push_back(&replacement);
  endpoint.transport->set_protocol(std::move(protocol));
}

}  // namespace protocol_trace
