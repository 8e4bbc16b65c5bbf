// SPDX-License-Identifier: BSL-1.0
// Queue, PriorityQueue, LifoQueue (surface A20, rules 95-100).
//
// Between tasks of one loop, not between threads: every call belongs to the loop's thread. A queue
// is a handle; copies are the same queue. It belongs to the first loop in which a task had to wait
// for it; waiting in another one is RuntimeError "... is bound to a different event loop".
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asyncio/detail/heapq.hpp>
#include <asyncio/detail/ranges.hpp>
#include <asyncio/detail/repr.hpp>
#include <asyncio/locks.hpp>

namespace asyncio::inline v1 {

namespace detail {

template <class Store>
using item_shown = std::ranges::range_reference_t<decltype(std::declval<const Store&>().items())>;
template <class Store, class T>
concept shows_items = std::convertible_to<item_shown<Store>, const T&>;

/// A queue, as far as it does not depend on the type of the items.
class QueueBase : public LoopBound {
 public:
  QueueBase(const char* name, int maxsize) : name_(name), maxsize_(maxsize) { finished_->set(); }

  int maxsize() const noexcept { return maxsize_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool is_shut_down() const noexcept { return shut_down_; }
  bool full() const noexcept { return maxsize_ > 0 && size_ >= static_cast<std::size_t>(maxsize_); }
  void task_done();
  void shutdown(bool immediate);
  const Ref<EventState>& finished() const noexcept { return finished_; }
  std::string repr() const override;

  WaitList& getters() noexcept { return getters_; }
  WaitList& putters() noexcept { return putters_; }

 protected:
  /// QueueShutDown, QueueFull.
  void check_put() const {
    if (shut_down_ || full()) [[unlikely]]
      throw_cannot_put();
  }
  void item_put() {
    ++size_;
    if (unfinished_++ == 0) finished_->clear();
    getters_.dismiss_next();
  }
  /// QueueShutDown, QueueEmpty.
  void check_get() const {
    if (empty()) [[unlikely]]
      throw_cannot_get();
  }
  void item_got() {
    --size_;
    putters_.dismiss_next();
  }

 private:
  virtual void drop_item() = 0;
  /// "[1, 2]", or nothing if the store does not show its items.
  virtual std::string repr_items() const = 0;
  [[noreturn]] void throw_cannot_put() const;
  [[noreturn]] void throw_cannot_get() const;

  const char* const name_;
  const int maxsize_;
  bool shut_down_ = false;
  std::size_t size_ = 0;
  std::size_t unfinished_ = 0;  // items that were put, and for which nobody said task_done()
  const Ref<EventState> finished_{adopt_ref, new EventState};  // set if there are none
  WaitList getters_{*this};
  WaitList putters_{*this};
};

template <class T>
class QueueState : public QueueBase {
 public:
  using QueueBase::QueueBase;

  void put_nowait(T&& item) {
    check_put();
    store(std::move(item));
    item_put();
  }
  T get_nowait() {
    check_get();
    T item = take();
    item_got();
    return item;
  }

 private:
  virtual void store(T&& item) = 0;
  virtual T take() = 0;
  void drop_item() final { (void)take(); }
};

template <class T, class Store>
class StoredQueue final : public QueueState<T> {
 public:
  StoredQueue(const char* name, int maxsize, Store store)
      : QueueState<T>(name, maxsize), store_(std::move(store)) {}

 private:
  void store(T&& item) override { store_.put(std::move(item)); }
  T take() override { return store_.get(); }
  std::string repr_items() const override {
    std::string text;
    if constexpr (shows_items<Store, T>) {
      for (const T& item : store_.items()) text += (text.empty() ? "[" : ", ") + repr_value(item);
      text += ']';
    }
    return text;
  }

  Store store_;
};

/// A ring, which grows when it is full; a large one is given back when it is empty.
template <class T>
class FifoStore {
 public:
  void put(T&& item) {
    if (size_ == slots_.size()) grow();
    slot(size_).emplace(std::move(item));
    ++size_;
  }
  T get() {
    T item = std::move(*slot(0));
    slot(0).reset();
    ++first_;
    if (--size_ == 0 && slots_.size() > kept_slots) slots_ = Slots();
    return item;
  }
  std::vector<std::reference_wrapper<const T>> items() const {
    std::vector<std::reference_wrapper<const T>> items;
    for (std::size_t i = 0; i != size_; ++i) items.push_back(*slot(i));
    return items;
  }

 private:
  using Slots = std::vector<std::optional<T>>;
  static constexpr std::size_t kept_slots = 64;

  /// Their number is a power of two.
  static std::size_t place(const Slots& slots, std::size_t i) noexcept {
    return i & (slots.size() - 1);
  }
  std::optional<T>& slot(std::size_t i) noexcept { return slots_[place(slots_, first_ + i)]; }
  const std::optional<T>& slot(std::size_t i) const noexcept {
    return slots_[place(slots_, first_ + i)];
  }
  void grow() {
    Slots larger(slots_.empty() ? 4 : 2 * slots_.size());
    for (std::size_t i = 0; i != size_; ++i)
      larger[place(larger, first_ + i)].emplace(std::move_if_noexcept(*slot(i)));
    slots_ = std::move(larger);
  }

  Slots slots_;
  std::size_t first_ = 0;  // counts on
  std::size_t size_ = 0;
};

template <class T>
class LifoStore {
 public:
  void put(T&& item) { items_.push_back(std::move(item)); }
  T get() {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  const std::vector<T>& items() const noexcept { return items_; }

 private:
  std::vector<T> items_;
};

template <class T, class Compare>
class PriorityStore {
 public:
  explicit PriorityStore(Compare compare) : items_(std::move(compare)) {}
  void put(T&& item) { items_.push(std::move(item)); }
  T get() { return items_.pop(); }
  const std::vector<T>& items() const noexcept { return items_.elements(); }

 private:
  HeapQ<T, Compare> items_;
};

/// What put and get have in common: they wait while the queue is full, or empty.
template <bool (QueueBase::*blocked)() const noexcept>
class QueueTurn : public Turn {
 public:
  using Turn::Turn;
  QueueTurn(QueueTurn&&) noexcept = default;
  [[gnu::always_inline]] ~QueueTurn() = default;

  bool await_ready() {
    use();
    return !has_to_wait();
  }
  bool wait_again() noexcept final {
    if (cancelled() || !has_to_wait()) return false;
    stand_again();
    return true;
  }

 protected:
  /// Waits no more, and calls take().
  template <class Take>
  decltype(auto) finish(Take take) {
    if (!waited()) return take();
    try {
      Turn::finish();
      return take();
    } catch (...) {
      // It was our turn, and we cannot take it: the next one's (rule 97).
      if (woken() && !(queue().*blocked)()) line().dismiss_next();
      throw;
    }
  }
  QueueBase& queue() const noexcept { return static_cast<QueueBase&>(line().owner()); }

 private:
  bool has_to_wait() const noexcept { return (queue().*blocked)() && !queue().is_shut_down(); }
};

template <class T>
class [[nodiscard("get() does nothing until it is awaited")]] QueueGet final
    : public QueueTurn<&QueueBase::empty> {
 public:
  explicit QueueGet(QueueState<T>& queue) noexcept : QueueTurn(queue.getters()) {}

  T await_resume() {
    return finish([this] { return static_cast<QueueState<T>&>(queue()).get_nowait(); });
  }
};

template <class T>
class [[nodiscard("put() does nothing until it is awaited")]] QueuePut final
    : public QueueTurn<&QueueBase::full> {
 public:
  QueuePut(QueueState<T>& queue, T&& item)
      : QueueTurn(queue.putters()), item_(std::move(item)) {}

  void await_resume() {
    finish([this] { static_cast<QueueState<T>&>(queue()).put_nowait(std::move(item_)); });
  }

 private:
  T item_;
};

class [[nodiscard("join() does nothing until it is awaited")]] QueueJoin final : public EventWait {
 public:
  using EventWait::EventWait;
  void await_resume() { EventWait::await_resume(); }
};

}  // namespace detail

/// What the items are kept in. Queue<T>(maxsize, store) takes any class with these two members;
/// get() is called only if there is something to get. A store that also has items(), a range of T,
/// shows them in the queue's repr. Python: overriding _put() and _get().
template <class S, class T>
concept QueueStore = std::movable<S> && requires(S& store, T item) {
  store.put(std::move(item));
  { store.get() } -> std::same_as<T>;
};

/// First in, first out. T may be move-only. Python: asyncio.Queue.
template <class T>
class Queue {
 public:
  using value_type = T;

  /// Not positive: without limit.
  explicit Queue(int maxsize = 0) : Queue(maxsize, detail::FifoStore<T>()) {}
  template <QueueStore<T> Store>
  Queue(int maxsize, Store store) : Queue("Queue", maxsize, std::move(store)) {}

  int maxsize() const noexcept { return state_->maxsize(); }
  std::size_t qsize() const noexcept { return state_->size(); }
  bool empty() const noexcept { return state_->empty(); }
  /// Never of a queue without limit.
  bool full() const noexcept { return state_->full(); }

  /// Puts the item in; waits while the queue is full, without yielding if it is not. A task that
  /// was woken and finds it full again goes to the end of the line. On cancel nothing is put in,
  /// and another one who waits is woken if there is room. QueueShutDown, also for those who wait.
  /// On g++ 12 an aggregate that owns something gets a name first: `co_await
  /// q.put(std::move(job))`.
  detail::QueuePut<T> put(T item) const { return detail::QueuePut<T>(*state_, std::move(item)); }
  /// QueueFull, QueueShutDown.
  void put_nowait(T item) const { state_->put_nowait(std::move(item)); }

  /// Takes an item out; waits while there is none, without yielding if there is. A task that was
  /// woken and finds that somebody else took it goes to the end of the line. On cancel nothing is
  /// taken, and another one who waits is woken if there is an item. QueueShutDown if there is none
  /// and will be none.
  detail::QueueGet<T> get() const noexcept { return detail::QueueGet<T>(*state_); }
  /// QueueEmpty, QueueShutDown.
  T get_nowait() const { return state_->get_nowait(); }

  /// Says that the work on one item is done. ValueError "task_done() called too many times".
  void task_done() const { state_->task_done(); }
  /// Completes when task_done() was called for every item that was put in; without yielding if
  /// there is none to wait for.
  detail::QueueJoin join() const noexcept { return detail::QueueJoin(*state_->finished()); }
  /// From now on put() is QueueShutDown, and so is get() when the queue is empty. `immediate`: the
  /// items are dropped, and count as done.
  void shutdown(bool immediate = false) const { state_->shutdown(immediate); }

  /// Python's repr: `<Queue at 0x7f... maxsize=2 _queue=[1, 2] _putters[1] tasks=2>`. Items that
  /// are neither numbers nor strings are shown by their to_string(), or else by their address, as
  /// `<Job object at 0x7f...>`.
  friend std::string to_string(const Queue& queue) { return queue.state_->repr(); }

 protected:
  template <class Store>
  Queue(const char* name, int maxsize, Store store)
      : state_(detail::adopt_ref,
               new detail::StoredQueue<T, Store>(name, maxsize, std::move(store))) {}

 private:
  detail::Ref<detail::QueueState<T>> state_;
};

/// The smallest item first, by `Compare`; items that are equal come in no particular order, which
/// is that of Python's heapq. Python: asyncio.PriorityQueue.
template <class T, class Compare = std::less<T>>
class PriorityQueue : public Queue<T> {
 public:
  explicit PriorityQueue(int maxsize = 0, Compare compare = Compare())
      : Queue<T>("PriorityQueue", maxsize, detail::PriorityStore<T, Compare>(std::move(compare))) {}
};

/// Last in, first out. Python: asyncio.LifoQueue.
template <class T>
class LifoQueue : public Queue<T> {
 public:
  explicit LifoQueue(int maxsize = 0) : Queue<T>("LifoQueue", maxsize, detail::LifoStore<T>()) {}
};

}  // namespace asyncio::inline v1
