// SPDX-License-Identifier: BSL-1.0
// Handle and TimerHandle: what call_soon, call_later and call_at give back (surface A3).
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <typeinfo>
#include <utility>

#include <asyncio/contextvars.hpp>
#include <asyncio/detail/ref.hpp>
#include <asyncio/detail/thread_state.hpp>
#include <asyncio/duration.hpp>

namespace asyncio::inline v1 {

class Handle;
class TimerHandle;

namespace detail {

class FutureBase;
class Scheduler;
struct Subject;

/// An entry of the ready queue. While it stands there, the queue owns one reference to whatever
/// the entry belongs to; run() and drop() each consume it.
class ReadyNode {
 public:
  /// The entry's turn has come. SystemExit and KeyboardInterrupt leave it; nothing else does.
  virtual void run() = 0;
  /// The queue is emptied without running (the loop is being closed).
  virtual void drop() noexcept = 0;
  /// A future completed, and its callbacks are queued: those that want it as argument keep it.
  virtual void completed_by(FutureBase&) noexcept {}

  // -- for debug mode and introspection

  /// What a future's repr shows for it: "cb()".
  virtual std::string callback_name() const { return "asyncio"; }
  /// What waits for the future in whose list of callbacks this stands; null if nothing is known to.
  virtual FutureBase* awaiter() noexcept { return nullptr; }
  /// Keeps what is to be named if this turns out to be slow.
  virtual void keep_subject(Subject&) {}

  ReadyNode* next;  // of the list in which it stands

 protected:
  ReadyNode() = default;
  ReadyNode(const ReadyNode&) = delete;
  ReadyNode& operator=(const ReadyNode&) = delete;
  ~ReadyNode() = default;
};

/// A FIFO of entries, linked through the entries themselves.
class ReadyList {
 public:
  ReadyList() = default;
  ReadyList(const ReadyList&) = delete;
  ReadyList& operator=(const ReadyList&) = delete;

  bool empty() const noexcept { return head_ == nullptr; }
  void push_back(ReadyNode& node) noexcept {
    node.next = nullptr;
    *tail_ = &node;
    tail_ = &node.next;
  }
  ReadyNode& pop_front() noexcept {
    ReadyNode& node = *head_;
    head_ = node.next;
    if (!head_) tail_ = &head_;
    return node;
  }
  /// Takes out what is here now, and nothing that `consume(node)` adds. What is left when that
  /// throws goes back to the front.
  template <class Consume>
  void consume(Consume consume) {
    struct Rest {
      ~Rest() {
        if (first) [[unlikely]]
          list.put_back(*first);
      }
      ReadyList& list;
      ReadyNode* first;
    } rest{*this, head_};
    clear();
    while (rest.first) {
      ReadyNode& node = *rest.first;
      rest.first = node.next;
      consume(node);
    }
  }
  /// Moves all of `other` behind what is here; constant time.
  void splice_back(ReadyList& other) noexcept {
    if (other.empty()) return;
    *tail_ = other.head_;
    tail_ = other.tail_;
    other.clear();
  }
  /// Moves all of `other` ahead of what is here; constant time.
  void splice_front(ReadyList& other) noexcept {
    if (other.empty()) return;
    other.splice_back(*this);
    splice_back(other);
  }

 private:
  void clear() noexcept {
    head_ = nullptr;
    tail_ = &head_;
  }
  void put_back(ReadyNode& first) noexcept;

  ReadyNode* head_ = nullptr;
  ReadyNode** tail_ = &head_;
};

/// Entries that are given up: dropped when it goes. By then the list from which they come must be
/// in order, for the destructor of a callback may change that.
class DropList : public ReadyList {
 public:
  DropList() = default;
  ~DropList() {
    while (!empty()) pop_front().drop();
  }
};

/// A callback with its context. Counted without atomics, except for those that
/// call_soon_threadsafe gave to another thread.
class HandleNode : public ReadyNode, public Pooled {
 public:
  void add_ref() noexcept {
    if (shared_) [[unlikely]]
      std::atomic_ref(references_).fetch_add(1, std::memory_order_relaxed);
    else
      ++references_;
  }
  [[gnu::always_inline]] void release() noexcept {
    if (last_reference() || shared_) [[unlikely]]
      release_last();
    else
      --references_;
  }

  void drop() noexcept final {
    discard();
    release();
  }

  /// The callback will not run; it and its arguments are destroyed now. Idempotent.
  void cancel() noexcept;
  bool cancelled() const noexcept { return flags_ & Is::cancelled; }
  std::string repr() const;
  std::string callback_name() const final;
  void keep_subject(Subject& subject) final;

  Ref<ContextState> context;

 protected:
  explicit HandleNode(Scheduler& scheduler, Ref<ContextState> context = {}) noexcept
      : context(std::move(context)), scheduler_(scheduler) {}
  [[gnu::always_inline]] virtual ~HandleNode() {
    if (flags_ & Is::noted) [[unlikely]]
      forget_origin();
  }
  /// What run() does: calls the callback in its context, unless it was cancelled, and consumes the
  /// queue's reference. `Node` is the most derived class, so that all of it becomes one function.
  template <class Node, class Callback>
  static void run_as(Node& node, Callback callback) {
    const struct Entry {
      ~Entry() {
        if (node.flags_ == Is::running && node.last_reference()) [[likely]]
          delete &node;
        else
          node.leave_queue();
      }
      Node& node;
    } entry{node};
    if (node.cancelled()) return;
    const ContextScope scope(node.context);
    const struct Running {
      explicit Running(Node& node) noexcept : node(node) { node.flags_ |= Is::running; }
      ~Running() {
        if (node.flags_ != Is::running && node.cancelled()) [[unlikely]]
          node.discard();
      }
      Node& node;
    } running(node);
    try {
      callback();
    } catch (...) {
      node.callback_raised();
    }
  }
  /// Destroys callback and arguments, unless that was done before.
  virtual void discard() noexcept = 0;
  /// The type of the user's callable.
  virtual const std::type_info& callable() const noexcept = 0;

 private:
  friend class Scheduler;
  friend class Notes;
  friend class asyncio::v1::Handle;

  bool last_reference() const noexcept { return !shared_ && references_ == 1; }
  void release_last() noexcept;
  void leave_queue() noexcept {
    flags_ &= ~Is::running;
    if (shared_) [[unlikely]]
      forget_callback();
    release();
  }
  /// The last reference may be another thread's, which has no business with what the callback holds.
  void forget_callback() noexcept;
  /// Inside a catch clause: SystemExit and KeyboardInterrupt go on, all else is reported.
  void callback_raised();
  void forget_origin() noexcept;

  Scheduler& scheduler_;
  std::uint32_t references_ = 1;

 protected:
  struct Is {
    static constexpr std::uint16_t cancelled = 1;
    static constexpr std::uint16_t running = 2;    // if it cancels itself, it is destroyed later
    static constexpr std::uint16_t discarded = 4;  // the callback is destroyed
    static constexpr std::uint16_t in_heap = 8;    // a timer that waits for its deadline
    static constexpr std::uint16_t noted = 16;     // stands in the scheduler's notes
  };
  std::uint16_t flags_ = 0;

 private:
  bool shared_ = false;  // counted from several threads
};

/// A callback with a deadline.
class TimerNode : public HandleNode {
 public:
  TimePoint when() const noexcept { return when_; }

 protected:
  TimerNode(Scheduler& scheduler, Ref<ContextState> context, TimePoint when) noexcept
      : HandleNode(scheduler, std::move(context)), when_(when) {}

 private:
  const TimePoint when_;
};

/// A callable with its arguments, which it is called with as lvalues.
template <class F, class... Args>
class Bound {
 public:
  using Callable = F;
  template <class G, class... A>
  explicit Bound(G&& function, A&&... args)
      : function_(std::forward<G>(function)), args_(std::forward<A>(args)...) {}
  void operator()() {
    std::apply([this](Args&... args) { std::invoke(function_, args...); }, args_);
  }

 private:
  F function_;
  std::tuple<Args...> args_;
};

/// The type of what the user gave.
template <class F>
const std::type_info& callable_type() noexcept {
  if constexpr (requires { typename F::Callable; })
    return typeid(typename F::Callable);
  else
    return typeid(F);
}

/// A handle's node with its callable in place.
template <class F, std::derived_from<HandleNode> Node = HandleNode>
class CallbackNode final : public Node {
 public:
  template <class G, class... Args>
  explicit CallbackNode(G&& callback, Args&&... args)
      : Node(std::forward<Args>(args)...), callback_(std::forward<G>(callback)) {}

  void run() override {
    HandleNode::run_as(*this, [this] { callback_(); });
  }

 private:
  friend HandleNode;
  using Is = HandleNode::Is;
  ~CallbackNode() override {
    if (!(this->flags_ & Is::discarded)) callback_.~F();
  }
  void discard() noexcept override {
    if (this->flags_ & Is::discarded) return;
    this->flags_ |= Is::discarded;
    callback_.~F();
  }
  const std::type_info& callable() const noexcept override { return callable_type<F>(); }

  union {
    F callback_;
  };
};

}  // namespace detail

/// A scheduled callback. Copies of the handle stand for the same callback. The loop's thread only.
/// Python: asyncio.Handle.
class Handle {
 public:
  /// Stands for no callback: cancel() does nothing, cancelled() is true.
  Handle() noexcept = default;
  explicit Handle(detail::Ref<detail::HandleNode> node) noexcept : node_(std::move(node)) {}
  Handle(const Handle&) noexcept = default;
  Handle(Handle&&) noexcept = default;
  Handle& operator=(const Handle&) noexcept = default;
  Handle& operator=(Handle&&) noexcept = default;
  [[gnu::always_inline]] ~Handle() = default;

  /// The callback will not run, also when its turn in the running pass was near (rule 11).
  /// It and its arguments are destroyed at once. Harmless when it ran or was cancelled already.
  void cancel() noexcept {
    if (node_) node_->cancel();
  }
  bool cancelled() const noexcept { return !node_ || node_->cancelled(); }
  /// The context in which the callback runs.
  Context get_context() const;
  explicit operator bool() const noexcept { return bool(node_); }
  const detail::Ref<detail::HandleNode>& node() const noexcept { return node_; }

  friend bool operator==(const Handle&, const Handle&) = default;

 protected:
  detail::Ref<detail::HandleNode> node_;
};

/// A callback with a deadline. Python: asyncio.TimerHandle.
class TimerHandle : public Handle {
 public:
  TimerHandle() noexcept = default;
  explicit TimerHandle(detail::Ref<detail::TimerNode> node) noexcept : Handle(std::move(node)) {}
  /// The deadline, in the loop's time.
  TimePoint when() const noexcept {
    return node_ ? static_cast<const detail::TimerNode&>(*node_).when() : TimePoint();
  }
};

std::string to_string(const Handle& handle);

}  // namespace asyncio::inline v1
