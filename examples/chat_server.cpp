// SPDX-License-Identifier: BSL-1.0
// A chat room: what one says goes to all others. Whoever reads too slowly is shown out, so that he
// holds up nobody and his lines do not pile up here. Try it with `nc localhost 8888`.
//
//   chat_server [HOST [PORT]]
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <asyncio/asyncio.hpp>

/// Somebody in the room. What he is to be told waits in a queue, from which a task of his own
/// sends.
struct Member {
  std::string name;
  asyncio::StreamWriter writer;
  asyncio::Queue<std::string> lines{1000};
};

class Room {
 public:
  void enter(const std::shared_ptr<Member>& member) {
    tell_all("* " + member->name + " has come\n");
    members_.insert(member);
  }
  void leave(const std::shared_ptr<Member>& member) {
    members_.erase(member);
    tell_all("* " + member->name + " has gone\n");
  }
  void say(const std::shared_ptr<Member>& speaker, const std::string& line) const {
    tell_all(speaker->name + ": " + line + '\n', speaker.get());
  }

 private:
  void tell_all(const std::string& line, const Member* except = nullptr) const {
    for (const auto& member : members_) {
      if (member.get() == except || member->writer.is_closing()) continue;
      try {
        member->lines.put_nowait(line);
      } catch (const asyncio::QueueFull&) {
        std::cout << member->name << " is too slow" << std::endl;
        member->writer.transport()->abort();
      }
    }
  }

  std::set<std::shared_ptr<Member>> members_;
};

/// Sends what is in the member's queue, at his pace; until the queue is shut down and empty.
asyncio::Coroutine<> send_lines(std::shared_ptr<Member> member) {
  try {
    for (;;) {
      const std::string line = co_await member->lines.get();
      member->writer.write(line);
      co_await member->writer.drain();
    }
  } catch (const asyncio::QueueShutDown&) {  // he has gone
  } catch (const asyncio::OSError&) {
  }
  member->writer.close();
}

/// A line without its end; nothing if he has gone, or says more than a line can hold.
asyncio::Coroutine<std::optional<std::string>> hear(asyncio::StreamReader reader) {
  try {
    std::optional<std::string> line = co_await reader.next_line();
    while (line && (line->ends_with('\n') || line->ends_with('\r'))) line->pop_back();
    co_return line;
  } catch (const asyncio::OSError&) {     // he has gone without saying so
  } catch (const asyncio::ValueError&) {  // a line beyond the limit
  }
  co_return std::nullopt;
}

asyncio::Coroutine<> chat(Room& room, asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  writer.write("Your name? ");
  const std::optional<std::string> name = co_await hear(reader);
  if (!name || name->empty()) {
    writer.close();
    co_return;
  }
  auto member = std::make_shared<Member>(*name, writer);
  auto sender = asyncio::create_task(send_lines(member));
  room.enter(member);
  while (auto line = co_await hear(reader)) room.say(member, *line);
  room.leave(member);
  member->lines.shutdown();
  co_await sender;
}

asyncio::Coroutine<> serve(Room& room, std::string host, int port) {
  const auto handle = [&room](asyncio::StreamReader reader, asyncio::StreamWriter writer) {
    return chat(room, std::move(reader), std::move(writer));
  };
  const asyncio::Server server = co_await asyncio::start_server(handle, host, port);
  std::cout << "Serving on " << to_string(server.sockets().front().getsockname()) << std::endl;

  // Until Ctrl-C. Then everybody is shown out.
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
  const int port = argc > 2 ? std::atoi(argv[2]) : 8888;
  Room room;  // outlives the tasks, which run() cancels at its end
  try {
    asyncio::run(serve(room, host, port));
  } catch (const asyncio::OSError& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
