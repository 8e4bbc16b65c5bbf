// SPDX-License-Identifier: BSL-1.0
// Streams: connections read by coroutines (surface A18, rules 203-210, 217).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/bytes.hpp>
#include <asyncio/constants.hpp>
#include <asyncio/coroutine.hpp>
#include <asyncio/detail/stream_buffer.hpp>
#include <asyncio/scheduler.hpp>

namespace asyncio::inline v1 {

class EventLoop;
class ReadTransport;

namespace detail {

class DataAwaiter;
class Waiter;

/// What the handles of a reader share.
class StreamReaderState final : public Pooled {
 public:
  StreamReaderState(Scheduler& loop, std::ptrdiff_t limit);
  StreamReaderState(const StreamReaderState&) = delete;
  StreamReaderState& operator=(const StreamReaderState&) = delete;

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  void feed_data(BytesView data);
  void feed_eof();
  void set_exception(std::exception_ptr error);
  const std::exception_ptr& exception() const noexcept { return exception_; }
  void set_transport(std::shared_ptr<ReadTransport> transport);
  std::string repr() const;

  // -- for the coroutines that read

  std::size_t limit() const noexcept { return limit_; }
  StreamBuffer& buffer() noexcept { return buffer_; }
  bool eof() const noexcept { return eof_; }
  bool at_eof() const noexcept { return eof_ && buffer_.empty(); }
  /// Throws what set_exception() was given.
  void check() const {
    if (exception_) std::rethrow_exception(exception_);
  }
  /// Takes out the first `count` bytes, or what there is.
  Bytes take(std::size_t count);
  /// Where the first separator ends; nothing if it is not there yet. LimitOverrunError.
  std::optional<std::size_t> find_end(SeparatorSearch& search) const;
  /// The same for a line. ValueError, and what is too long is dropped.
  std::optional<std::size_t> find_end_of_line(SeparatorSearch& search);
  /// Waits for data, the end or an exception. RuntimeError if somebody does already.
  DataAwaiter wait_for_data(const char* function);

 private:
  friend class DataAwaiter;
  ~StreamReaderState() = default;
  void wake();
  void resume_if_drained();
  void resume();

  std::uint32_t references_ = 1;
  bool eof_ = false;
  bool paused_ = false;
  const std::size_t limit_;
  const Ref<Scheduler> loop_;
  StreamBuffer buffer_;
  Waiter* waiter_ = nullptr;  // of the task that waits; owned by its DataAwaiter
  std::exception_ptr exception_;
  std::shared_ptr<ReadTransport> transport_;
};

}  // namespace detail

/// The receiving end of a connection: a buffer that the connection's protocol, or the program
/// itself, feeds, and from which one task at a time reads. A handle: copies are the same reader.
/// The loop's thread only. Python: asyncio.StreamReader.
///
/// What is said here holds for read(), readexactly(), readuntil(), readline() and next_line():
/// - They do nothing until they are awaited. They keep the reader alive, and own their arguments.
/// - They complete without yielding if the bytes are there, else one pass after these are fed.
/// - On cancel nothing is taken out: the next one gets every byte, also those fed in the same pass.
///   Only read(-1) drops what it has collected, as in Python.
/// - An exception from set_exception() is thrown by the one that waits and by every later one,
///   before any byte that may still be buffered is looked at.
/// - Only one task may wait: RuntimeError "read() called while another coroutine is already waiting
///   for incoming data", with the name of the function, which is readuntil for lines.
/// - Sizes are in bytes.
class StreamReader {
 public:
  /// Of the running loop, else of the thread's current one. A line may have `limit` bytes before
  /// its newline; when more than twice as many are buffered, the transport is paused. ValueError
  /// "Limit cannot be <= 0".
  explicit StreamReader(std::ptrdiff_t limit = constants::stream_limit);
  explicit StreamReader(EventLoop& loop, std::ptrdiff_t limit = constants::stream_limit);

  // -- reading

  /// Up to `n` bytes: what there is, waiting only if there is nothing. Empty at the end of the
  /// stream, and at once for n = 0. Negative: all bytes up to the end.
  Coroutine<Bytes> read(std::ptrdiff_t n = -1) const;
  /// So many bytes, also more than the limit. IncompleteReadError if the stream ends before: it has
  /// the bytes there were, which are taken out. ValueError "readexactly size can not be less than
  /// zero".
  Coroutine<Bytes> readexactly(std::ptrdiff_t n) const;
  /// All bytes through the separator. IncompleteReadError if the stream ends before: it has the
  /// bytes there were, which are taken out. LimitOverrunError if more than `limit` bytes stand
  /// before the separator, or do not have it: nothing is taken out, consumed() of them can be
  /// skipped. ValueError for an empty separator.
  Coroutine<Bytes> readuntil(BytesView separator = "\n") const;
  /// Through the one of several separators that ends first. ValueError if there is none. On g++ 12
  /// the list needs a name: `const std::vector<Bytes> ends{"\r", "\n"};`.
  Coroutine<Bytes> readuntil(std::vector<Bytes> separators) const;
  /// A line with its newline. The last one has none if the stream does not end with it; empty at
  /// the end of the stream. ValueError, with the text of readuntil()'s LimitOverrunError, if it is
  /// longer than the limit: the line is dropped if its end is there, else all that is buffered.
  Coroutine<Bytes> readline() const;
  /// readline(), but nothing at the end of the stream; for loops:
  /// `while (auto line = co_await reader.next_line())`. Python: async for line in reader.
  Coroutine<std::optional<Bytes>> next_line() const;
  /// Was the end fed, and everything read?
  bool at_eof() const noexcept { return state_->at_eof(); }
  /// What set_exception() was given; null if nothing.
  const std::exception_ptr& exception() const noexcept { return state_->exception(); }

  // -- feeding

  /// Adds a copy of the bytes, and wakes the one that waits. AssertionError "feed_data after
  /// feed_eof".
  void feed_data(BytesView data) const { state_->feed_data(data); }
  /// No more bytes will come. Wakes the one that waits.
  void feed_eof() const { state_->feed_eof(); }
  /// Ends reading with an exception, for good.
  void set_exception(std::exception_ptr error) const { state_->set_exception(std::move(error)); }
  /// set_exception(ConnectionResetError("...")), as in Python.
  template <class E>
  requires(!std::convertible_to<E, std::exception_ptr>) void set_exception(E error) const {
    set_exception(std::make_exception_ptr(std::move(error)));
  }
  /// Whose reading is paused while more than twice the limit is buffered; it goes on when no more
  /// than the limit is, or a task has to wait. One that cannot pause (NotImplementedError) is let
  /// go, and everything is buffered. The reader keeps it. AssertionError "Transport already set".
  void set_transport(std::shared_ptr<ReadTransport> transport) const {
    state_->set_transport(std::move(transport));
  }

  const detail::Ref<detail::StreamReaderState>& state() const noexcept { return state_; }
  friend bool operator==(const StreamReader&, const StreamReader&) = default;
  /// Python's repr: "<StreamReader 4 bytes eof limit=123 paused>".
  friend std::string to_string(const StreamReader& reader) { return reader.state_->repr(); }

 private:
  detail::Ref<detail::StreamReaderState> state_;
};

}  // namespace asyncio::inline v1
