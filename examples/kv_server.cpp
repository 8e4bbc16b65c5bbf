// SPDX-License-Identifier: BSL-1.0
// A small database in memory that redis-cli and redis-benchmark can talk to (RESP2): PING, SET,
// GET, DEL, INCR, EXPIRE, TTL, QUIT; and of CONFIG as much as redis-benchmark asks for.
//
//   kv_server [HOST [PORT]]
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asyncio/asyncio.hpp>

using Command = std::vector<std::string>;

/// What was received is not RESP. The connection cannot go on.
class ProtocolError : public asyncio::ValueError {
 public:
  using ValueError::ValueError;
};

/// As Redis reads numbers: nothing before or behind, no plus sign, no leading zeros.
std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  const std::string_view digits = text.substr(text.starts_with('-'));
  if (digits.starts_with('0') && text != "0") return std::nullopt;
  return number;
}

/// Cuts what arrives into commands. Knows no connection. Of a command of which a part has arrived,
/// it keeps the arguments that are complete, so that none is looked at twice.
class Parser {
 public:
  void feed(std::string_view data) {
    buffer_.erase(0, position_);
    position_ = 0;
    buffer_ += data;
  }
  /// The next command if all of it has arrived: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", or "GET k\r\n".
  /// It has at least a name, in small letters.
  std::optional<Command> next() {
    if (!begin()) return std::nullopt;
    for (; missing_ != 0; --missing_) {
      auto next = argument();
      if (!next) return std::nullopt;
      command_.push_back(std::move(*next));
    }
    for (char& c : command_.front())
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return std::exchange(command_, {});
  }

 private:
  static constexpr std::size_t longest_line = 64 * 1024;
  static constexpr std::int64_t most_arguments = std::numeric_limits<std::int32_t>::max();
  static constexpr std::int64_t longest_argument = 512 * 1024 * 1024;

  /// Has a command begun? Its first line is all of it, or says how many arguments follow.
  bool begin() {
    while (missing_ == 0 && command_.empty()) {
      const bool counted = buffer_.compare(position_, 1, "*") == 0;
      const auto first = line(counted ? "too big mbulk count string" : "too big inline request");
      if (!first) return false;
      if (counted)
        missing_ = std::max<std::int64_t>(
            number(first->substr(1), most_arguments, "invalid multibulk length"), 0);
      else
        command_ = words(*first);
    }
    return true;
  }
  std::optional<std::string> argument() {
    if (!length_) {
      const auto header = line("too big bulk count string");
      if (!header) return std::nullopt;
      if (!header->starts_with('$'))
        throw ProtocolError("expected '$', got '" + std::string(header->substr(0, 1)) + "'");
      const std::int64_t length =
          number(header->substr(1), longest_argument, "invalid bulk length");
      if (length < 0) throw ProtocolError("invalid bulk length");
      length_ = static_cast<std::size_t>(length);
    }
    if (buffer_.size() - position_ < *length_ + 2) return std::nullopt;
    std::string argument(buffer_, position_, *length_);
    position_ += *length_ + 2;
    length_.reset();
    return argument;
  }
  /// Without its end, which is "\r\n", or "\n" where a person types.
  std::optional<std::string_view> line(const char* too_long) {
    const std::size_t end = buffer_.find('\n', position_);
    if (std::min(end, buffer_.size()) - position_ > longest_line) throw ProtocolError(too_long);
    if (end == buffer_.npos) return std::nullopt;
    const std::size_t start = std::exchange(position_, end + 1);
    std::string_view line = std::string_view(buffer_).substr(start, end - start);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
  static std::int64_t number(std::string_view text, std::int64_t most, const char* problem) {
    const auto number = to_number(text);
    if (!number || *number > most) throw ProtocolError(problem);
    return *number;
  }
  static Command words(std::string_view line) {
    Command command;
    for (std::size_t start = 0; start < line.size();) {
      const std::size_t end = std::min(line.find(' ', start), line.size());
      if (end != start) command.emplace_back(line.substr(start, end - start));
      start = end + 1;
    }
    return command;
  }

  std::string buffer_;
  std::size_t position_ = 0;           // what stands before it was handed out
  Command command_;                    // what there is of the one that is arriving,
  std::int64_t missing_ = 0;           // how many arguments it lacks,
  std::optional<std::size_t> length_;  // and how long the next one is, if that is known
};

// -- replies

std::string integer(std::int64_t number) { return ":" + std::to_string(number) + "\r\n"; }
std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
/// In one line, whatever of the client's is in it.
std::string error(std::string text) {
  for (char& c : text)
    if (c == '\r' || c == '\n') c = ' ';
  return "-ERR " + text + "\r\n";
}
const std::string ok = "+OK\r\n";
const std::string none = "$-1\r\n";

/// The data, and what the commands do with it.
class Database {
 public:
  std::string execute(Command command) {
    const std::string& name = command[0];
    const std::size_t arguments = command.size() - 1;
    if (name == "ping" && arguments <= 1) return arguments ? bulk(command[1]) : "+PONG\r\n";
    if (name == "set" && arguments == 2) return set(command[1], std::move(command[2]));
    if (name == "set" && arguments > 2) return error("syntax error");
    if (name == "get" && arguments == 1) return get(command[1]);
    if (name == "del" && arguments >= 1) return del(command);
    if (name == "incr" && arguments == 1) return incr(command[1]);
    if (name == "expire" && arguments == 2) return expire(command[1], to_number(command[2]));
    if (name == "ttl" && arguments == 1) return ttl(command[1]);
    if (name == "config" && arguments == 2) return config(command[2]);
    for (const char* known : {"ping", "set", "get", "del", "incr", "expire", "ttl", "config"})
      if (name == known) return error("wrong number of arguments for '" + name + "' command");
    return error("unknown command '" + name.substr(0, 128) + "'");
  }

 private:
  struct Entry {
    std::string value;
    asyncio::TimerHandle expiry;  // of an entry that expires
  };
  using Entries = std::unordered_map<std::string, Entry>;

  std::string set(const std::string& key, std::string value) {
    Entry& entry = entries_[key];
    entry.expiry.cancel();
    entry = Entry{std::move(value), {}};
    return ok;
  }
  std::string get(const std::string& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? none : bulk(found->second.value);
  }
  std::string del(const Command& command) {
    int count = 0;
    for (std::size_t i = 1; i != command.size(); ++i) count += remove(command[i]);
    return integer(count);
  }
  std::string incr(const std::string& key) {
    Entry& entry = entries_.try_emplace(key, Entry{"0", {}}).first->second;
    const auto number = to_number(entry.value);
    if (!number) return error("value is not an integer or out of range");
    if (*number == std::numeric_limits<std::int64_t>::max())
      return error("increment or decrement would overflow");
    entry.value = std::to_string(*number + 1);
    return integer(*number + 1);
  }
  std::string expire(const std::string& key, std::optional<std::int64_t> seconds) {
    constexpr std::int64_t longest = 100LL * 365 * 24 * 3600;
    if (!seconds) return error("value is not an integer or out of range");
    if (*seconds > longest) return error("invalid expire time in 'expire' command");
    const auto found = entries_.find(key);
    if (found == entries_.end()) return integer(0);
    if (*seconds <= 0) return integer(remove(key));
    found->second.expiry.cancel();
    found->second.expiry = asyncio::get_running_loop().call_later(
        std::chrono::seconds(*seconds), [this, key] { entries_.erase(key); });
    return integer(1);
  }
  std::string ttl(const std::string& key) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return integer(-2);
    const asyncio::TimerHandle& expiry = found->second.expiry;
    if (!expiry) return integer(-1);
    const asyncio::Duration left = expiry.when() - asyncio::get_running_loop().time();
    return integer(std::llround(left.seconds()));
  }
  /// redis-benchmark wants to know how the data is kept: it is not.
  static std::string config(const std::string& name) {
    return "*2\r\n" + bulk(name) + bulk(name == "appendonly" ? "no" : "");
  }
  bool remove(const std::string& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    found->second.expiry.cancel();
    entries_.erase(found);
    return true;
  }

  Entries entries_;
};

/// Answers whatever commands have arrived with one write, or with several if there is much to say:
/// a client that does not read must not fill the memory.
asyncio::Coroutine<> talk(Database& database, asyncio::StreamReader reader,
                          asyncio::StreamWriter writer) {
  constexpr std::size_t much = 64 * 1024;
  Parser parser;
  bool ends = false;
  while (!ends) {
    const asyncio::Bytes data = co_await reader.read(64 * 1024);
    if (data.empty()) break;
    std::string replies;
    try {
      parser.feed(data);
      while (auto command = parser.next()) {
        ends = command->front() == "quit";
        replies += ends ? ok : database.execute(*std::move(command));
        if (ends) break;
        if (replies.size() < much) continue;
        writer.write(replies);
        replies.clear();
        co_await writer.drain();
      }
    } catch (const ProtocolError& problem) {
      replies += error("Protocol error: " + std::string(problem.what()));
      ends = true;
    }
    writer.write(replies);
    co_await writer.drain();
  }
  writer.close();
}

asyncio::Coroutine<> handle(Database& database, asyncio::StreamReader reader,
                            asyncio::StreamWriter writer) {
  try {
    co_await talk(database, reader, writer);
  } catch (const asyncio::OSError&) {  // the client has gone without saying so
    writer.close();
  }
}

asyncio::Coroutine<> serve(Database& database, std::string host, int port) {
  const auto connected = [&database](asyncio::StreamReader reader, asyncio::StreamWriter writer) {
    return handle(database, std::move(reader), std::move(writer));
  };
  const asyncio::Server server =
      co_await asyncio::start_server(connected, host, port, {.backlog = 512});
  std::cout << "Serving on " << to_string(server.sockets().front().getsockname()) << std::endl;

  // Until Ctrl-C. Then all connections are closed.
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  asyncio::Event interrupted;
  loop.add_signal_handler(SIGINT, [&] { interrupted.set(); });
  co_await interrupted.wait();
  loop.remove_signal_handler(SIGINT);
  server.close();
  server.close_clients();
  try {
    co_await asyncio::wait_for(server.wait_closed(), 5);
  } catch (const asyncio::TimeoutError&) {
    server.abort_clients();  // those that do not read what is left for them
  }
}

int main(int argc, char** argv) {
  const std::string host = argc > 1 ? argv[1] : "127.0.0.1";
  const int port = argc > 2 ? std::atoi(argv[2]) : 6379;
  Database database;  // outlives the tasks, which run() cancels at its end
  try {
    asyncio::run(serve(database, host, port));
  } catch (const asyncio::OSError& problem) {
    std::cerr << problem.what() << std::endl;
    return EXIT_FAILURE;
  }
}
