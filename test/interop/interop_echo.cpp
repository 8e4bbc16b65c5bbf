// SPDX-License-Identifier: BSL-1.0
// For test/interop/bulk.py: an echo server and its client, both with flow control and both silent
// while they work.
//
//   interop_echo server PORT
//   interop_echo client PORT SIZE      sends SIZE bytes, reads to the end, prints two checksums
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <asyncio/asyncio.hpp>
#include <boost/crc.hpp>

namespace {

constexpr std::string_view host = "127.0.0.1";

/// Reads no more while the peer does not take what it is sent.
class Echo : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override { transport_->write(data); }
  void pause_writing() override { transport_->pause_reading(); }
  void resume_writing() override { transport_->resume_reading(); }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};

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

/// Writes as long as it may, closes its direction, and reads on.
class Source : public asyncio::Protocol {
 public:
  Source(std::uint64_t size, asyncio::Future<> lost) : size_(size), lost_(std::move(lost)) {}

  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
    write();
  }
  void pause_writing() override { paused_ = true; }
  void resume_writing() override {
    paused_ = false;
    write();
  }
  void data_received(asyncio::BytesView data) override { received_.add(data); }
  void connection_lost(std::exception_ptr error) override {
    sent_.print("sent");
    received_.print("received");
    if (error)
      lost_.set_exception(error);
    else
      lost_.set_result();
  }

 private:
  void write() {
    while (!paused_ && sent_.size < size_) {
      std::string piece(std::min<std::uint64_t>(100'000, size_ - sent_.size), '\0');
      for (char& byte : piece) {
        random_ = random_ * 1664525 + 1013904223;
        byte = static_cast<char>(random_ >> 24);
      }
      sent_.add(piece);
      transport_->write(piece);
    }
    if (sent_.size == size_) transport_->write_eof();
  }

  std::shared_ptr<asyncio::Transport> transport_;
  const std::uint64_t size_;
  asyncio::Future<> lost_;
  bool paused_ = false;
  std::uint32_t random_ = 1;
  Count sent_;
  Count received_;
};

int serve(int port) {
  asyncio::EventLoop loop;
  asyncio::Server server =
      loop.run_until_complete(loop.create_server<Echo>(host, port, {.backlog = 1000}));
  loop.add_signal_handler(SIGINT, [&] { loop.stop(); });
  std::puts("listening");
  std::fflush(stdout);
  loop.run_forever();
  server.close();
  server.close_clients();
  loop.run_until_complete(server.wait_closed());
  return 0;
}

int send(int port, std::uint64_t size) {
  asyncio::EventLoop loop;
  const asyncio::Future<> lost(loop);
  loop.run_until_complete(loop.create_connection(asyncio::make<Source>(size, lost), host, port));
  loop.run_until_complete(lost);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view part = argc > 2 ? argv[1] : "";
  if (part == "server") return serve(std::atoi(argv[2]));
  if (part == "client" && argc > 3)
    return send(std::atoi(argv[2]), std::strtoull(argv[3], nullptr, 10));
  std::fputs("usage: interop_echo server PORT | client PORT SIZE\n", stderr);
  return 2;
}
