// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <asyncio/detail/wait_list.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/streams.hpp>
#include <span>

namespace asyncio::inline v1 {

namespace detail {

// -- waiting

/// One wait for data. It ends what it began also when the task is destroyed meanwhile.
class [[nodiscard]] DataAwaiter : public Sleeper {
 public:
  explicit DataAwaiter(StreamReaderState& reader) noexcept : reader_(reader) {}
  DataAwaiter(DataAwaiter&&) noexcept = default;
  // Whoever is registered by now. It may be another task, one that took the data for which we were
  // woken and waits for more: as in Python, that one is forgotten.
  ~DataAwaiter() {
    if (waited()) reader_.waiter_ = nullptr;
  }

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Frame> P>
  void await_suspend(std::coroutine_handle<P> frame) {
    TaskBase& task = frame.promise().task();
    reader_.waiter_ = this;
    if (&task.scheduler() == reader_.loop_.get()) [[likely]]
      wait(task);
    else
      refuse(task);
  }
  void await_resume() const { resumed(); }

 private:
  StreamReaderState& reader_;
};

DataAwaiter StreamReaderState::wait_for_data(const char* function) {
  if (waiter_) {
    throw RuntimeError(std::string(function) +
                       "() called while another coroutine is already waiting for incoming data");
  }
  // More than the limit is wanted: waiting while paused would last for ever.
  if (paused_) resume();
  return DataAwaiter(*this);
}

void StreamReaderState::wake() {
  if (Sleeper* const waiter = std::exchange(waiter_, nullptr)) waiter->wake();
}

// -- feeding

StreamReaderState::StreamReaderState(Scheduler& loop, std::ptrdiff_t limit)
    : limit_(static_cast<std::size_t>(limit)), loop_(&loop) {
  if (limit <= 0) throw ValueError("Limit cannot be <= 0");
}

/// The last handle is gone. What remains is enough for a WeakReader to know.
void StreamReaderState::expire() noexcept {
  buffer_.clear();
  exception_ = nullptr;
  transport_ = nullptr;
  release_weak();
}

void StreamReaderState::feed_data(BytesView data) {
  if (eof_) throw AssertionError("feed_data after feed_eof");
  if (data.empty()) return;
  buffer_.append(data);
  wake();
  pause_if_full();
}

bool StreamReaderState::leave_data(ByteSource& source) {
  if (!waiter_ || eof_ || !buffer_.empty()) return false;
  const std::size_t count = source.available();
  if (count == 0) return false;
  buffer_.leave(source, count);
  wake();
  pause_if_full();
  return true;
}

void StreamReaderState::pause_if_full() {
  if (!transport_ || paused_ || buffer_.size() <= constants::stream_pause_factor * limit_) return;
  try {
    transport_->pause_reading();
    paused_ = true;
  } catch (const NotImplementedError&) {
    transport_ = nullptr;
  }
}

void StreamReaderState::feed_eof() {
  eof_ = true;
  wake();
}

void StreamReaderState::set_exception(std::exception_ptr error) {
  exception_ = error;
  if (Sleeper* const waiter = std::exchange(waiter_, nullptr)) waiter->wake_with(std::move(error));
}

void StreamReaderState::set_transport(std::shared_ptr<ReadTransport> transport) {
  if (transport_) throw AssertionError("Transport already set");
  transport_ = std::move(transport);
}

/// The new one may have brought so much already that the former was paused.
void StreamReaderState::replace_transport(std::shared_ptr<ReadTransport> transport) {
  const std::shared_ptr<ReadTransport> former = std::exchange(transport_, std::move(transport));
  if (!paused_) return;
  transport_->pause_reading();
  former->resume_reading();
}

void StreamReaderState::resume_if_drained() {
  if (paused_ && buffer_.size() <= limit_) resume();
}

void StreamReaderState::resume() {
  paused_ = false;
  transport_->resume_reading();
}

// -- taking out

Bytes StreamReaderState::take(std::size_t count) {
  Bytes taken = buffer_.take(count);
  resume_if_drained();
  return taken;
}

std::size_t StreamReaderState::find_end(SeparatorSearch& search,
                                        std::span<const Bytes> separators) {
  buffer_.fetch();
  const std::optional<SeparatorSearch::Match> match = search.find(buffer_.view(), separators);
  if (match) {
    if (match->start <= limit_) return match->end;
    throw LimitOverrunError("Separator is found, but chunk is longer than limit", match->start);
  }
  if (search.scanned() <= limit_) return 0;
  throw LimitOverrunError("Separator is not found, and chunk exceed the limit", search.scanned());
}

std::size_t StreamReaderState::find_end_of_line(SeparatorSearch& search) {
  static const Bytes newline("\n");
  try {
    return find_end(search, {&newline, 1});
  } catch (const LimitOverrunError& overrun) {
    // The newline is behind what can be skipped, if it is there.
    buffer_.drop(std::min(overrun.consumed() + 1, buffer_.size()));
    resume_if_drained();
    throw ValueError(overrun.what());
  }
}

std::string StreamReaderState::repr() const {
  std::string text = "<StreamReader";
  if (!buffer_.empty()) text += ' ' + std::to_string(buffer_.size()) + " bytes";
  if (eof_) text += " eof";
  if (limit_ != constants::stream_limit) text += " limit=" + std::to_string(limit_);
  if (waiter_) text += " waiter=" + waiter_->repr();
  if (exception_) text += " exception=" + asyncio::repr(exception_);
  if (transport_) text += " transport=" + transport_->repr();
  if (paused_) text += " paused";
  return text + '>';
}

// -- reading. The reference keeps the reader for as long as the coroutine lives.

namespace {

using Reader = Ref<StreamReaderState>;

Coroutine<Bytes> read_some(Reader reader, std::size_t n) {
  reader->check();
  if (n == 0) co_return Bytes();
  if (reader->buffer().empty() && !reader->eof()) co_await reader->wait_for_data("read");
  co_return reader->take(n);
}

// What arrives goes out of the buffer at once, lest the transport be paused. In blocks, as
// Python's: an exception that came behind more than one of them leaves the others where they are.
Coroutine<Bytes> read_all(Reader reader) {
  Bytes all;
  for (;;) {
    reader->check();
    if (reader->buffer().empty() && !reader->eof()) co_await reader->wait_for_data("read");
    const Bytes block = reader->take(reader->limit());
    if (block.empty()) co_return all;
    all += block;
  }
}

Coroutine<Bytes> read_exactly(Reader reader, std::ptrdiff_t n) {
  if (n < 0) throw ValueError("readexactly size can not be less than zero");
  reader->check();
  const auto wanted = static_cast<std::size_t>(n);
  while (reader->buffer().size() < wanted) {
    if (reader->eof()) throw IncompleteReadError(reader->buffer().take_all(), wanted);
    co_await reader->wait_for_data("readexactly");
  }
  co_return reader->take(wanted);
}

std::span<const Bytes> each_of(const Bytes& separator) { return {&separator, 1}; }
std::span<const Bytes> each_of(const std::vector<Bytes>& separators) { return separators; }

template <class Separators>
Coroutine<Bytes> read_until(Reader reader, Separators separators) {
  SeparatorSearch search;
  SeparatorSearch::check(each_of(separators));
  reader->check();
  for (;;) {
    if (const std::size_t end = reader->find_end(search, each_of(separators)); end != 0)
      co_return reader->take(end);
    if (reader->eof()) throw IncompleteReadError(reader->buffer().take_all(), std::nullopt);
    co_await reader->wait_for_data("readuntil");
  }
}

/// Gives a Line() at the end of the stream.
template <class Line>
Coroutine<Line> read_line(Reader reader) {
  SeparatorSearch search;
  reader->check();
  for (;;) {
    if (const std::size_t end = reader->find_end_of_line(search); end != 0)
      co_return reader->take(end);
    if (reader->at_eof()) co_return Line();
    if (reader->eof()) co_return reader->buffer().take_all();
    co_await reader->wait_for_data("readuntil");
  }
}

}  // namespace

}  // namespace detail

StreamReader::StreamReader(std::ptrdiff_t limit)
    : state_(detail::adopt_ref, new detail::StreamReaderState(detail::default_scheduler(), limit)) {
}

StreamReader::StreamReader(EventLoop& loop, std::ptrdiff_t limit)
    : state_(detail::adopt_ref, new detail::StreamReaderState(loop.scheduler(), limit)) {}

Coroutine<Bytes> StreamReader::read(std::ptrdiff_t n) const {
  return n < 0 ? detail::read_all(state_) : detail::read_some(state_, static_cast<std::size_t>(n));
}

Coroutine<Bytes> StreamReader::readexactly(std::ptrdiff_t n) const {
  return detail::read_exactly(state_, n);
}

Coroutine<Bytes> StreamReader::readuntil(BytesView separator) const {
  return detail::read_until(state_, separator.str());
}

Coroutine<Bytes> StreamReader::readuntil(std::vector<Bytes> separators) const {
  return detail::read_until(state_, std::move(separators));
}

Coroutine<Bytes> StreamReader::readline() const { return detail::read_line<Bytes>(state_); }

Coroutine<std::optional<Bytes>> StreamReader::next_line() const {
  return detail::read_line<std::optional<Bytes>>(state_);
}

}  // namespace asyncio::inline v1
