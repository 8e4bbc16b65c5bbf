// SPDX-License-Identifier: BSL-1.0
#include "descriptors.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include <asyncio/detail/pool_allocator.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/pipes.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "loop_core.hpp"

namespace asyncio::inline v1 {

namespace detail {

namespace {

using Lent = boost::asio::posix::basic_stream_descriptor<LoopCore::Executor>;

/// Asio makes what it waits for non-blocking, once; but whether it blocks is the program's affair,
/// and that of every process that shares the terminal.
void keep_blocking(Lent& lent) {
  const int flags = ::fcntl(lent.native_handle(), F_GETFL);
  if (flags == -1 || (flags & O_NONBLOCK)) return;
  boost::system::error_code ignored;
  lent.native_non_blocking(true, ignored);
  ::fcntl(lent.native_handle(), F_SETFL, flags);
}

/// EPERM for what the system cannot wait for, such as files and, with epoll, /dev/null: for Asio
/// that is always ready.
void check_watchable(int descriptor) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) throw_os_error(errno);
  if (S_ISSOCK(info.st_mode) || S_ISFIFO(info.st_mode)) return;
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) throw_os_error(EPERM);
#ifdef __linux__
  const FileDescriptor probe(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event nothing{};
  if (!probe || ::epoll_ctl(probe.fileno(), EPOLL_CTL_ADD, descriptor, &nothing) != 0)
    throw_os_error(errno);
#endif
}

}  // namespace

/// One descriptor with its reader and its writer. Held by the table, by Asio's handlers and by the
/// I/O queue, where it is one entry for both: when both are due, reading goes first (rule 6).
class Descriptors::Watch final : public Pooled, private ReadyNode {
 public:
  Watch(LoopCore& core, NativeSocket descriptor) : core_(core) {
    lent_.emplace(core.io_executor());
    boost::system::error_code error;
    lent_->assign(descriptor, error);
    if (error == boost::system::errc::file_exists) {
      // Asio knows it on behalf of somebody else, and watches no number twice.
      core.refuse_if_used(descriptor);
      duplicate_ = Socket(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0), 0, 0, 0);
      if (!duplicate_) throw_os_error(errno);
      error.clear();
      lent_->assign(duplicate_.fileno(), error);
    }
    if (error) throw_os_error(error);
    keep_blocking(*lent_);
  }

  void add_ref() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  const HandleNode* callback(Readiness readiness) noexcept {
    return side(readiness).callback.get();
  }
  void set(Readiness readiness, Ref<HandleNode> callback) {
    Side& changed = side(readiness);
    const Ref<HandleNode> former = std::exchange(changed.callback, std::move(callback));
    changed.set_in = core_.open_batch();
    wait(changed);
    if (former) former->cancel();
  }
  /// Null if there was none.
  Ref<HandleNode> take(Readiness readiness) noexcept {
    return std::exchange(side(readiness).callback, nullptr);
  }
  bool idle() const noexcept { return !reader_.callback && !writer_.callback; }

  /// Gives the descriptor back. Idempotent.
  void stop() noexcept {
    if (!lent_) return;
    lent_->release();
    lent_.reset();
    duplicate_.close();
  }

 private:
  struct Side {
    const Lent::wait_type type;
    Ref<HandleNode> callback{};
    Ref<HandleNode> due{};  // in the I/O queue
    bool waits = false;     // in Asio's
    std::uint64_t set_in = 0;  // see LoopCore::open_batch
  };

  class Handler {
   public:
    using allocator_type = PoolAllocator<void>;

    Handler(Watch& watch, Side& side) noexcept : watch_(&watch), side_(side) {}
    allocator_type get_allocator() const noexcept { return {}; }
    void operator()(const boost::system::error_code&) const { watch_->ready(side_); }

   private:
    Ref<Watch> watch_;
    Side& side_;
  };

  ~Watch() { stop(); }

  Side& side(Readiness readiness) noexcept {
    return readiness == Readiness::readable ? reader_ : writer_;
  }

  /// Asio is asked for one readiness at a time, and again when the callback has run: that makes it
  /// level-triggered.
  void wait(Side& side) {
    if (!side.callback || side.callback->cancelled() || side.due || !lent_) return;
    if (std::exchange(side.waits, true)) return;
    core_.async_wait(*lent_, side.type, Handler(*this, side));
  }
  void ready(Side& side) {
    side.waits = false;
    if (!side.callback) return;
    if (core_.is_open_batch(side.set_in)) return wait(side);
    side.due = side.callback;
    if (std::exchange(queued_, true)) return;
    add_ref();
    core_.push_event(*this, &side == &writer_ && reader_.waits);
  }

  void run() override {
    const Ref<Watch> entry(adopt_ref, this);
    struct Again {
      ~Again() {
        watch.wait(watch.reader_);
        watch.wait(watch.writer_);
      }
      Watch& watch;
    } const again{*this};
    queued_ = false;
    const Ref<HandleNode> reader = std::exchange(reader_.due, nullptr);
    const Ref<HandleNode> writer = std::exchange(writer_.due, nullptr);
    // What was removed or replaced since is cancelled, and does not run (rule 123).
    for (HandleNode* const due : {reader.get(), writer.get()}) {
      if (!due) continue;
      due->add_ref();
      due->run();
    }
  }
  void drop() noexcept override {
    const Ref<Watch> entry(adopt_ref, this);
    reader_.due = nullptr;
    writer_.due = nullptr;
  }
  void keep_subject(Subject& subject) override {
    (reader_.due ? reader_ : writer_).due->keep_subject(subject);
  }

  std::uint32_t references_ = 0;
  LoopCore& core_;
  Socket duplicate_;  // closed, unless it is that what Asio watches
  std::optional<Lent> lent_;
  Side reader_{Lent::wait_read};
  Side writer_{Lent::wait_write};
  bool queued_ = false;
};

Descriptors::Descriptors(LoopCore& core) noexcept : core_(core) {}

Descriptors::~Descriptors() { clear(); }

void Descriptors::add(NativeSocket descriptor, Readiness readiness, Ref<HandleNode> callback) {
  core_.check_usable();
  auto place = watches_.find(descriptor);
  if (place == watches_.end()) {
    const Ref<Watch> watch(new Watch(core_, descriptor));
    place = watches_.emplace(descriptor, watch).first;
  }
  place->second->set(readiness, std::move(callback));
}

bool Descriptors::remove(NativeSocket descriptor, Readiness readiness) {
  const auto place = watches_.find(descriptor);
  if (place == watches_.end()) {
    core_.refuse_if_used(descriptor);
    return false;
  }
  if (!place->second->callback(readiness)) return false;
  remove(place, readiness);
  return true;
}

void Descriptors::remove(NativeSocket descriptor, Readiness readiness,
                         const HandleNode& callback) noexcept {
  const auto place = watches_.find(descriptor);
  if (place != watches_.end() && place->second->callback(readiness) == &callback)
    remove(place, readiness);
}

// Callbacks go last: their destructors may come back here.

void Descriptors::remove(Watches::iterator place, Readiness readiness) noexcept {
  const Ref<Watch> watch = place->second;
  const Ref<HandleNode> callback = watch->take(readiness);
  if (watch->idle()) {
    watches_.erase(place);
    watch->stop();
  }
  callback->cancel();
}

void Descriptors::forget(NativeSocket descriptor) noexcept {
  const auto place = watches_.find(descriptor);
  if (place == watches_.end()) return;
  const Ref<Watch> watch = place->second;
  watches_.erase(place);
  watch->stop();
  for (const Readiness readiness : {Readiness::readable, Readiness::writable})
    if (const Ref<HandleNode> callback = watch->take(readiness)) callback->cancel();
}

void Descriptors::clear() noexcept {
  while (!watches_.empty()) forget(watches_.begin()->first);
}

// -- SocketWait

SocketWait::SocketWait(LoopCore& core, NativeSocket socket, Readiness readiness, Attempt attempt)
    : core_(core),
      socket_(socket),
      readiness_(readiness),
      attempt_(std::move(attempt)),
      done_(core),
      callback_(core.make_callback([this] { ready(); }, capture_context())) {
  core.descriptors().add(socket, readiness, callback_);
}

SocketWait::~SocketWait() { core_.descriptors().remove(socket_, readiness_, *callback_); }

void SocketWait::ready() {
  if (done_.done()) return;
  try {
    if (attempt_ && !attempt_()) return;
    done_.set_result();
  } catch (...) {
    done_.set_exception(std::current_exception());
  }
  callback_->cancel();  // it stays until the task goes on, but nobody asks the kernel for it
}

}  // namespace detail

void EventLoop::add_watch(Descriptor descriptor, detail::Readiness readiness,
                          detail::Ref<detail::HandleNode> callback) {
  detail::check_watchable(descriptor.number());
  core().descriptors().add(descriptor.number(), readiness, std::move(callback));
}

bool EventLoop::remove_watch(Descriptor descriptor, detail::Readiness readiness) {
  return core().descriptors().remove(descriptor.number(), readiness);
}

}  // namespace asyncio::inline v1
