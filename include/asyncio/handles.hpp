// SPDX-License-Identifier: BSL-1.0
// Handle and TimerHandle: what call_soon, call_later and call_at give back (surface A3).
#pragma once

#include <atomic>
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

  ReadyNode* next = nullptr;

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
  /// throws stays at the front.
  template <class Consume>
  void consume(Consume consume) {
    if (empty()) return;
    ReadyNode** const end = tail_;
    for (;;) {
      ReadyNode& node = pop_front();
      const bool last = &node.next == end;
      consume(node);
      if (last) return;
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
  [[gnu::always_inline]] void release() noexcept { release_as<HandleNode>(); }

  void drop() noexcept final {
    discard();
    release();
  }

  /// The callback will not run; it and its arguments are destroyed now. Idempotent.
  void cancel() noexcept;
  bool cancelled() const noexcept { return cancelled_; }
  std::string repr() const;
  std::string callback_name() const final;
  void keep_subject(Subject& subject) final;

  Ref<ContextState> context;

 protected:
  explicit HandleNode(Scheduler& scheduler) noexcept : scheduler_(scheduler) {}
  [[gnu::always_inline]] virtual ~HandleNode() {
    if (noted_) [[unlikely]]
      forget_origin();
  }
  /// What run() does: calls the callback in its context, unless it was cancelled, and consumes the
  /// queue's reference. `Node` is the most derived class, so that all of it becomes one function.
  template <class Node, class Callback>
  static void run_as(Node& node, Callback callback) {
    const struct Entry {
      ~Entry() { node.HandleNode::template release_as<Node>(); }
      Node& node;
    } entry{node};
    if (node.cancelled_) return;
    const ContextScope scope(node.context);
    const struct Running {
      explicit Running(Node& node) noexcept : node(node) { node.running_ = true; }
      ~Running() {
        node.running_ = false;
        if (node.cancelled_) [[unlikely]]
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
  friend class asyncio::v1::TimerHandle;

  template <class Node>
  [[gnu::always_inline]] void release_as() noexcept {
    if (shared_) [[unlikely]] {
      if (std::atomic_ref(references_).fetch_sub(1, std::memory_order_acq_rel) == 1)
        delete static_cast<Node*>(this);
    } else if (--references_ == 0) {
      delete static_cast<Node*>(this);
    }
  }
  /// Inside a catch clause: SystemExit and KeyboardInterrupt go on, all else is reported.
  void callback_raised();
  void forget_origin() noexcept;

  Scheduler& scheduler_;
  TimePoint when_;  // the deadline
  std::uint32_t references_ = 1;
  bool cancelled_ = false;
  bool running_ = false;       // a callback that cancels itself is not destroyed under its feet
  bool shared_ = false;        // counted from several threads
  bool is_timer_ : 1 = false;  // made by call_later or call_at
  bool in_heap_ : 1 = false;   // still waiting for its deadline
  bool noted_ : 1 = false;     // stands in the scheduler's notes

 protected:
  bool discarded_ : 1 = false;

 private:
  // A byte that is written as a whole need not be read first.
  [[maybe_unused]] std::uint8_t unused_ : 4 = 0;
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
template <class F>
class CallbackNode final : public HandleNode {
 public:
  template <class... Args>
  explicit CallbackNode(Scheduler& scheduler, Args&&... args)
      : HandleNode(scheduler), callback_(std::forward<Args>(args)...) {}

  void run() override {
    run_as(*this, [this] { callback_(); });
  }

 private:
  friend HandleNode;
  ~CallbackNode() override { CallbackNode::discard(); }
  void discard() noexcept override {
    if (discarded_) return;
    discarded_ = true;
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
  using Handle::Handle;
  /// The deadline, in the loop's time.
  TimePoint when() const noexcept { return node_ ? node_->when_ : TimePoint(); }
};

std::string to_string(const Handle& handle);

}  // namespace asyncio::inline v1
