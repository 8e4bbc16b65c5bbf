// SPDX-License-Identifier: BSL-1.0
// For test/interop/tls.py and tls_bad_peers.py: an echo server and its client over TLS, by streams or
// by protocols. Both print the same lines:
//
//   made TLSv1.3 TLS_AES_256_GCM_SHA384 alpn=NAME peer=NAME reused=BOOL
//   eof                   the peer has ended its direction
//   lost ERROR            the connection is gone; ERROR is null, or a type and its text
//   failed ERROR          it was never made
//
//   interop_tls streams|protocol server|client PORT [OPTION=VALUE...]
//
// Both: cert, key (ours), ca (whom we trust), min, max (1.2 or 1.3), alpn (a,b), starttls (yes: begin
// in plain text), handshake_timeout, shutdown_timeout (seconds), debug (yes).
// Server (what it is sent comes back, but `close` makes it close): client_cert (optional, required),
// tickets (no), named (NAME,CERT,KEY: for clients that ask for NAME).
// Client: name (the server's), send (so many bytes are sent and read back; `end`: only read, to the
// end).
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asyncio/asyncio.hpp>
#include <asyncio/ssl.hpp>
#include <boost/crc.hpp>

namespace {

namespace ssl = asyncio::ssl;

constexpr const char* host = "127.0.0.1";
constexpr asyncio::BytesView farewell = "close";

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

std::string describe(const std::exception_ptr& error) {
  if (!error) return "null";
  return asyncio::type_name(error) + ": " + asyncio::to_string(error);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ',')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

std::string common_name(const ssl::Certificate& certificate) {
  for (const auto& names : certificate.subject) {
    for (const auto& [field, value] : names) {
      if (field == "commonName") return value;
    }
  }
  return "none";
}

void say_made(const asyncio::BaseTransport& transport) {
  const ssl::SSLObject object = transport.get_extra_info(asyncio::ssl_object);
  say("made " + object.version().value_or("none") + " " +
      transport.get_extra_info(asyncio::cipher).name +
      " alpn=" + object.selected_alpn_protocol().value_or("none") +
      " peer=" + common_name(transport.get_extra_info(asyncio::peercert)) +
      " reused=" + (object.session_reused() ? "yes" : "no"));
}

// ---- options

class Settings {
 public:
  Settings(bool server, int argc, char** argv) : server_(server) {
    for (int i = 0; i < argc; ++i) {
      const std::string option = argv[i];
      const std::size_t equal = option.find('=');
      if (equal == option.npos) throw asyncio::ValueError("OPTION=VALUE, not " + option);
      values_[option.substr(0, equal)] = option.substr(equal + 1);
    }
    context = make_context(get("cert"), get("key"));
    const std::vector<std::string> named = split(get("named"));
    if (named.size() != 3) return;
    const ssl::SSLContext other = make_context(named[1], named[2]);
    context.set_sni_callback([name = named[0], other](const ssl::SSLObject& connection,
                                                      std::optional<std::string_view> asked,
                                                      const ssl::SSLContext&) {
      if (asked == name) connection.set_context(other);
      return std::optional<ssl::AlertDescription>();
    });
  }

  std::string get(const std::string& option) const {
    const auto found = values_.find(option);
    return found == values_.end() ? std::string() : found->second;
  }
  std::optional<asyncio::Duration> seconds(const std::string& option) const {
    const std::string value = get(option);
    if (value.empty()) return std::nullopt;
    return asyncio::Duration(std::atof(value.c_str()));
  }
  bool starts_plain() const { return get("starttls") == "yes"; }

  ssl::SSLContext context;
  int port = 0;

 private:
  ssl::SSLContext make_context(const std::string& cert, const std::string& key) const {
    const ssl::SSLContext made(server_ ? ssl::PROTOCOL_TLS_SERVER : ssl::PROTOCOL_TLS_CLIENT);
    if (!cert.empty()) made.load_cert_chain(cert, {.keyfile = key});
    const std::string ca = get("ca");
    if (!ca.empty()) made.load_verify_locations({.cafile = ca});
    if (get("min") == "1.3") made.set_minimum_version(ssl::TLSVersion::TLSv1_3);
    if (get("max") == "1.2") made.set_maximum_version(ssl::TLSVersion::TLSv1_2);
    const std::string alpn = get("alpn");
    if (!alpn.empty()) {
      const std::vector<std::string> names = split(alpn);
      const std::vector<std::string_view> views(names.begin(), names.end());
      made.set_alpn_protocols(views);
    }
    if (get("client_cert") == "optional") made.set_verify_mode(ssl::CERT_OPTIONAL);
    if (get("client_cert") == "required") made.set_verify_mode(ssl::CERT_REQUIRED);
    if (get("tickets") == "no") made.set_options(made.options() | ssl::OP_NO_TICKET);
    return made;
  }

  bool server_;
  std::map<std::string, std::string> values_;
};

// ---- what a client sends, and has to get back

class Load {
 public:
  explicit Load(const std::string& size)
      : to_end_(size == "end"), size_(to_end_ ? 0 : std::strtoull(size.c_str(), nullptr, 10)) {}

  bool all_sent() const { return sent_.size == size_; }
  bool all_received() const { return !to_end_ && received_.size >= size_; }
  asyncio::Bytes next() {
    asyncio::Bytes piece(std::min<std::uint64_t>(100'000, size_ - sent_.size), '\0');
    for (char& byte : piece) {
      random_ = random_ * 1664525 + 1013904223;
      byte = static_cast<char>(random_ >> 24);
    }
    sent_.add(piece);
    return piece;
  }
  void receive(asyncio::BytesView data) { received_.add(data); }
  void print() const {
    sent_.print("sent");
    received_.print("received");
  }

 private:
  struct Count {
    std::uint64_t size = 0;
    boost::crc_32_type crc;

    void add(asyncio::BytesView data) {
      size += data.size();
      crc.process_bytes(data.data(), data.size());
    }
    void print(const char* what) const {
      std::printf("%s %llu crc32=%08x\n", what, static_cast<unsigned long long>(size),
                  static_cast<unsigned>(crc.checksum()));
    }
  };

  bool to_end_;
  std::uint64_t size_;
  std::uint32_t random_ = 1;
  Count sent_;
  Count received_;
};

// ---- by streams

asyncio::Coroutine<> close(asyncio::StreamWriter writer) {
  writer.close();
  std::exception_ptr error;
  try {
    co_await writer.wait_closed();
  } catch (const std::exception&) {
    error = std::current_exception();
  }
  say("lost " + describe(error));
}

asyncio::StreamTlsOptions tls_options(const Settings& settings, std::string_view name) {
  return {.server_hostname = name,
          .ssl_handshake_timeout = settings.seconds("handshake_timeout"),
          .ssl_shutdown_timeout = settings.seconds("shutdown_timeout")};
}

asyncio::Coroutine<> echo(const Settings& settings, asyncio::StreamReader reader,
                          asyncio::StreamWriter writer) {
  try {
    if (settings.starts_plain()) {
      co_await reader.readline();
      writer.write("GO\n");
      const asyncio::StreamTlsOptions options = tls_options(settings, {});
      co_await writer.start_tls(settings.context, options);
    }
    say_made(*writer.transport());
    for (;;) {
      const asyncio::Bytes data = co_await reader.read(100'000);
      if (data.empty()) say("eof");
      if (data.empty() || data == farewell) break;
      writer.write(data);
      co_await writer.drain();
    }
  } catch (const std::exception&) {
    say("failed " + describe(std::current_exception()));
  }
  co_await close(writer);
}

asyncio::Coroutine<> send(asyncio::StreamWriter writer, Load& load) {
  while (!load.all_sent()) {
    writer.write(load.next());
    co_await writer.drain();
  }
}

asyncio::Coroutine<> receive(asyncio::StreamReader reader, Load& load) {
  while (!load.all_received()) {
    const asyncio::Bytes data = co_await reader.read(1'000'000);
    if (data.empty()) {
      say("eof");
      break;
    }
    load.receive(data);
  }
}

using Streams = std::pair<asyncio::StreamReader, asyncio::StreamWriter>;

asyncio::Coroutine<Streams> connect(const Settings& settings) {
  const std::string name = settings.get("name");
  if (!settings.starts_plain()) {
    const auto handshake = settings.seconds("handshake_timeout");
    const auto shutdown = settings.seconds("shutdown_timeout");
    auto streams = co_await asyncio::open_connection(host, settings.port,
                                                     {.ssl = &settings.context,
                                                      .server_hostname = name,
                                                      .ssl_handshake_timeout = handshake,
                                                      .ssl_shutdown_timeout = shutdown});
    co_return streams;
  }
  auto streams = co_await asyncio::open_connection(host, settings.port);
  streams.second.write("STARTTLS\n");
  co_await streams.first.readline();
  const asyncio::StreamTlsOptions options = tls_options(settings, name);
  co_await streams.second.start_tls(settings.context, options);
  co_return streams;
}

asyncio::Coroutine<> client_by_streams(const Settings& settings) {
  Load load(settings.get("send"));
  std::optional<Streams> streams;
  try {
    streams = co_await connect(settings);
    say_made(*streams->second.transport());
    auto both = asyncio::gather(send(streams->second, load), receive(streams->first, load));
    co_await std::move(both);
  } catch (const std::exception&) {
    say("failed " + describe(std::current_exception()));
  }
  if (!streams) co_return;
  load.print();
  co_await close(streams->second);
}

// ---- by protocols

/// An echo server's: reads no more while the peer does not take what it is sent.
class Echo : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    say_made(*transport_);
  }
  void data_received(asyncio::BytesView data) override {
    if (data == farewell)
      transport_->close();
    else
      transport_->write(data);
  }
  bool eof_received() override {
    say("eof");
    return false;
  }
  void pause_writing() override { transport_->pause_reading(); }
  void resume_writing() override { transport_->resume_reading(); }
  void connection_lost(std::exception_ptr error) override {
    if (transport_) say("lost " + describe(error));
  }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

/// A client's: writes as long as it may, and closes when all has come back.
class Source : public asyncio::Protocol {
 public:
  Source(std::string size, asyncio::Future<> lost)
      : load_(std::move(size)), lost_(std::move(lost)) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    say_made(*transport_);
    write();
    close_when_through();
  }
  void pause_writing() override { paused_ = true; }
  void resume_writing() override {
    paused_ = false;
    write();
  }
  void data_received(asyncio::BytesView data) override {
    load_.receive(data);
    close_when_through();
  }
  bool eof_received() override {
    say("eof");
    return false;
  }
  void connection_lost(std::exception_ptr error) override {
    if (transport_) {
      load_.print();
      say("lost " + describe(error));
    }
    lost_.set_result();
  }

 private:
  void write() {
    while (!paused_ && !load_.all_sent()) transport_->write(load_.next());
  }
  void close_when_through() {
    if (load_.all_received()) transport_->close();
  }

  std::shared_ptr<asyncio::Transport> transport_;
  Load load_;
  asyncio::Future<> lost_;
  bool paused_ = false;
};

/// Says one line of plain text, or answers one, and then goes on with TLS and another protocol.
class Plain : public asyncio::Protocol {
 public:
  Plain(const Settings& settings, std::shared_ptr<asyncio::Protocol> next, bool server)
      : settings_(settings), next_(std::move(next)), server_(server) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    if (!server_) transport_->write("STARTTLS\n");
  }
  void data_received(asyncio::BytesView) override {
    if (server_) transport_->write("GO\n");
    asyncio::get_running_loop().create_task(
        upgrade(settings_, std::move(transport_), next_, server_));
  }

 private:
  static asyncio::Coroutine<> upgrade(const Settings& settings,
                                      std::shared_ptr<asyncio::Transport> transport,
                                      std::shared_ptr<asyncio::Protocol> next, bool server) {
    const std::string name = settings.get("name");
    const asyncio::StartTlsOptions options{
        .server_side = server,
        .server_hostname = name,
        .ssl_handshake_timeout = settings.seconds("handshake_timeout"),
        .ssl_shutdown_timeout = settings.seconds("shutdown_timeout")};
    try {
      auto over_tls = co_await asyncio::get_running_loop().start_tls(std::move(transport), next,
                                                                     settings.context, options);
      next->connection_made(std::move(over_tls));
    } catch (const std::exception&) {
      say("failed " + describe(std::current_exception()));
    }
  }

  const Settings& settings_;
  std::shared_ptr<asyncio::Transport> transport_;
  std::shared_ptr<asyncio::Protocol> next_;
  bool server_;
};

asyncio::Coroutine<> client_by_protocol(const Settings& settings) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  const asyncio::Future<> lost(loop);
  const auto source = std::make_shared<Source>(settings.get("send"), lost);
  const std::string name = settings.get("name");
  const auto handshake = settings.seconds("handshake_timeout");
  const auto shutdown = settings.seconds("shutdown_timeout");
  const auto plain = [&] { return std::make_shared<Plain>(settings, source, false); };
  const auto secure = [&] { return source; };
  try {
    if (settings.starts_plain()) {
      co_await loop.create_connection(plain, host, settings.port);
    } else {
      co_await loop.create_connection(secure, host, settings.port,
                                      {.ssl = &settings.context,
                                       .server_hostname = name,
                                       .ssl_handshake_timeout = handshake,
                                       .ssl_shutdown_timeout = shutdown});
    }
    co_await lost;
  } catch (const std::exception&) {
    say("failed " + describe(std::current_exception()));
  }
}

// ---- the program

asyncio::Coroutine<asyncio::Server> listen(const Settings& settings, bool by_streams) {
  asyncio::ServerOptions options{.backlog = 1000};
  if (!settings.starts_plain()) {
    options.ssl = &settings.context;
    options.ssl_handshake_timeout = settings.seconds("handshake_timeout");
    options.ssl_shutdown_timeout = settings.seconds("shutdown_timeout");
  }
  if (by_streams) {
    const auto handler = [&settings](asyncio::StreamReader reader, asyncio::StreamWriter writer) {
      return echo(settings, std::move(reader), std::move(writer));
    };
    return asyncio::start_server(handler, host, settings.port, options);
  }
  const auto factory = [&settings]() -> std::shared_ptr<asyncio::Protocol> {
    const auto protocol = std::make_shared<Echo>();
    if (settings.starts_plain()) return std::make_shared<Plain>(settings, protocol, true);
    return protocol;
  };
  return asyncio::get_running_loop().create_server(factory, host, settings.port, options);
}

asyncio::Coroutine<> serve(const Settings& settings, bool by_streams) {
  const asyncio::Server server = co_await listen(settings, by_streams);
  const asyncio::Future<> interrupted(asyncio::get_running_loop());
  asyncio::get_running_loop().add_signal_handler(SIGINT, [&] { interrupted.set_result(); });
  say("listening");
  co_await interrupted;
  server.close();
  server.close_clients();
  co_await server.wait_closed();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view kind = argc > 3 ? argv[1] : "";
  const std::string_view role = argc > 3 ? argv[2] : "";
  const bool by_streams = kind == "streams";
  const bool server = role == "server";
  if ((!by_streams && kind != "protocol") || (!server && role != "client")) {
    std::fputs("usage: interop_tls streams|protocol server|client PORT [OPTION=VALUE...]\n",
               stderr);
    return 2;
  }
  Settings settings(server, argc - 4, argv + 4);
  settings.port = std::atoi(argv[3]);
  const bool debug = settings.get("debug") == "yes";
  if (debug) asyncio::basic_config({.level = asyncio::LogLevel::debug});
  auto program = server       ? serve(settings, by_streams)
                 : by_streams ? client_by_streams(settings)
                              : client_by_protocol(settings);
  asyncio::run(std::move(program), {.debug = debug});
}
