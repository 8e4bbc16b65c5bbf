// SPDX-License-Identifier: BSL-1.0
// The transports of one end of a pipe, a socket or a character device (surface B18). POSIX.
#pragma once

#include <asyncio/pipes.hpp>
#include <asyncio/protocols.hpp>
#include <asyncio/transports.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "../loop_core.hpp"
#include "self_holding.hpp"
#include "write_buffer.hpp"

namespace asyncio::inline v1::detail {

/// Make the transport of one end of a pipe and queue, in this order: connection_made, the start of
/// reading (of watching for the reader's end), and the waiter's result. ValueError if the
/// descriptor is none of a pipe, a socket or a character device, TypeError for a protocol of the
/// wrong kind, RuntimeError if the loop is closed; it is then closed.
std::shared_ptr<Transport> make_read_pipe_transport(LoopCore& core, FileDescriptor pipe,
                                                    std::shared_ptr<BaseProtocol> protocol,
                                                    Ref<FutureState<void>> waiter);
std::shared_ptr<Transport> make_write_pipe_transport(LoopCore& core, FileDescriptor pipe,
                                                     std::shared_ptr<BaseProtocol> protocol,
                                                     Ref<FutureState<void>> waiter);

using MakePipeTransport = decltype(make_read_pipe_transport);

/// One of these, after connection_made. The transport is closed if waiting for that is cancelled.
Coroutine<std::shared_ptr<Transport>> connect_pipe(LoopCore& core, MakePipeTransport* make,
                                                   FileDescriptor pipe,
                                                   std::shared_ptr<BaseProtocol> protocol);

/// What both ends have in common. A protocol is given a Transport, whatever it is connected to; so
/// each end is one, whose calls for the other direction throw NotImplementedError.
///
/// It ends in three steps: it is closing (closing_), connection_lost is queued or being called
/// (lost_), all is released (loop_ is null). It is its own entry in the I/O queue.
class PipeTransport : public Transport,
                      public Resource,
                      public SelfHolding<PipeTransport>,
                      private ReadyNode {
 public:
  bool is_closing() const final { return closing_; }
  std::any get_extra_info(std::string_view name) const final;
  std::shared_ptr<BaseProtocol> get_protocol() const final { return protocol_; }
  void loop_closing() noexcept final;

  /// Queues the first three steps.
  void start(Ref<FutureState<void>> waiter);

 protected:
  PipeTransport(LoopCore& core, FileDescriptor pipe, const char* not_a_pipe);

  /// connection_made has been called, or is being called: look at the kernel from now on.
  virtual void begin() = 0;
  /// The kernel has reported something; called from the I/O queue.
  virtual void ready() = 0;
  /// ready() was left by SystemExit or KeyboardInterrupt: nothing may be lost by that.
  virtual void interrupted() = 0;

  void queue();
  void arrived(bool more = false);
  /// Queues connection_lost, once.
  void lose(std::exception_ptr error);
  void connection_lost(const std::exception_ptr& error);
  void report(std::string message, std::exception_ptr error);
  void log_debug(const char* event) const;
  /// "<name closing fd=7", to be gone on with.
  std::string repr_begin(const char* name) const;
  /// For the destructor: neither closed nor lost. What is closing is held by what is to be done.
  void warn_if_unclosed() noexcept;
  [[noreturn]] static void not_implemented();

  LoopCore* loop_;  // null: the connection or the loop is gone
  std::optional<boost::asio::posix::basic_stream_descriptor<LoopCore::Executor>> descriptor_;
  std::shared_ptr<StreamProtocol> protocol_;
  const int number_;
  unsigned kind_ = 0;  // S_IF...
  bool closing_ = false;
  bool lost_ = false;

 private:
  void run() override;
  void drop() noexcept override { release(); }
  void release_all() noexcept;

  Ref<ContextState> context_;  // in which events are handled
  bool queued_ = false;
};

class ReadPipeTransport final : public PipeTransport {
 public:
  ReadPipeTransport(LoopCore& core, FileDescriptor pipe, std::shared_ptr<BaseProtocol> protocol);
  ~ReadPipeTransport() override { warn_if_unclosed(); }

  void close() override { lose(nullptr); }
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::string repr() const override;

  bool is_reading() const override { return !closing_ && !paused_; }
  void pause_reading() override;
  void resume_reading() override;

  void write(BytesView) override { not_implemented(); }
  void writelines(std::span<const BytesView>) override { not_implemented(); }
  void write_eof() override { not_implemented(); }
  bool can_write_eof() const override { return false; }
  void abort() override { close(); }
  std::size_t get_write_buffer_size() const override { return 0; }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override {
    not_implemented();
  }
  void set_write_buffer_limits(WriteBufferLimits) override { not_implemented(); }

 private:
  void begin() override { wait_readable(); }
  void ready() override;
  void interrupted() override { wait_readable(); }

  void wait_readable();
  void readable();
  void read_failed(int error);
  void on_eof();

  Protocol* plain_ = nullptr;  // protocol_
  bool paused_ = false;
  bool due_ = false;
  bool waits_ = false;
  std::uint64_t resumed_in_ = 0;  // see LoopCore::open_batch
};

class WritePipeTransport final : public PipeTransport {
 public:
  WritePipeTransport(LoopCore& core, FileDescriptor pipe, std::shared_ptr<BaseProtocol> protocol);
  ~WritePipeTransport() override { warn_if_unclosed(); }

  void close() override { write_eof(); }
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::string repr() const override;

  bool is_reading() const override { return false; }
  void pause_reading() override { not_implemented(); }
  void resume_reading() override { not_implemented(); }

  void write(BytesView data) override { write_pieces({&data, 1}); }
  void writelines(std::span<const BytesView> lines) override { write_pieces(lines); }
  void write_eof() override;
  bool can_write_eof() const override { return true; }
  void abort() override { force_close(nullptr); }
  std::size_t get_write_buffer_size() const override { return buffer_.size(); }
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const override {
    return {buffer_.low(), buffer_.high()};
  }
  void set_write_buffer_limits(WriteBufferLimits limits) override;

 private:
  void begin() override;
  void ready() override;
  void interrupted() override;

  void write_pieces(std::span<const BytesView> pieces);
  bool drop_write();
  void maybe_pause();
  void wait_writable();
  void writable();
  void write_ready();
  void wait_for_hang_up();
  void hung_up();
  void closed_by_peer();
  void write_failed(int error);
  void force_close(std::exception_ptr error);

  WriteBuffer buffer_;
  int dropped_ = 0;  // a write failed, or so many were dropped
  bool write_due_ = false;
  bool hang_up_due_ = false;
  bool waits_writable_ = false;
  bool waits_for_hang_up_ = false;
};

}  // namespace asyncio::inline v1::detail
