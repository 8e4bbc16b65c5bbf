// SPDX-License-Identifier: BSL-1.0
// as_completed: the results of several awaitables, in the order in which they come (surface CO7,
// rule 73).
//
//   for (auto next : asyncio::as_completed(std::move(coroutines))) {
//     auto value = co_await next;
//   }
//
//   auto done = asyncio::as_completed(tasks);
//   while (auto task = co_await done.next()) {
//     ...  // which one it is, and task.result()
//   }
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <asyncio/detail/ranges.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/wait.hpp>

namespace asyncio::inline v1 {

struct AsCompletedOptions {
  std::optional<Duration> timeout{};
};
static_assert(detail::require_inline_options<AsCompletedOptions>());

namespace detail {

/// What as_completed waits for: puts the futures into a queue as they are done.
class Completions final : public FutureBase, private Watcher {
 public:
  /// `futures` are different from each other.
  Completions(Scheduler& loop, const std::vector<Ref<FutureBase>>& futures);
  /// Sets the timer, which keeps this object alive until it is cancelled or was due.
  void set_timeout(Duration timeout);

  /// Is there one for whom nobody has waited yet? If so, counts him as waited for.
  bool take_turn() noexcept {
    if (turns_ == 0) return false;
    --turns_;
    return true;
  }
  bool exhausted() const noexcept { return turns_ == 0; }
  /// The next that is done; TimeoutError if the time is over. To be awaited once for each turn.
  Coroutine<Ref<FutureBase>> wait_for_one();

 private:
  void child_done(Ref<FutureBase> child) override;
  const char* callback_name() const noexcept override {
    return "as_completed._handle_completion()";
  }
  FutureBase* awaiter() noexcept override { return nullptr; }  // whoever asks for the next one
  void on_timeout();

  Queue<Ref<FutureBase>> done_;  // null: one for whom the time was over
  std::size_t pending_;
  std::size_t turns_;
  Ref<HandleNode> timer_;
};

template <class T>
Coroutine<T> next_result(Ref<Completions> completions) {
  const Ref<FutureBase> future = co_await completions->wait_for_one();
  if constexpr (std::is_void_v<T>)
    future->check_result();
  else
    co_return take_result(typed<T>(*future));
}

template <class F>
Coroutine<F> next_future(Ref<Completions> completions) {
  if (!completions->take_turn()) co_return F(Ref<FutureBase>());
  Ref<FutureBase> future = co_await completions->wait_for_one();
  co_return F(std::move(future));
}

}  // namespace detail

/// What as_completed() gives; F is the type of the futures. A handle: copies share the progress,
/// and each item is given once, by iterating or by next(). The loop's thread only.
template <class F>
class AsCompleted {
 public:
  using value_type = Coroutine<await_result<F>>;

  class Iterator {
   public:
    using value_type = AsCompleted::value_type;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(const AsCompleted& items) noexcept : completions_(items.completions_) {}
    /// Takes an item: as Python's __next__, it gives another one each time.
    value_type operator*() const {
      completions_->take_turn();
      return detail::next_result<await_result<F>>(completions_);
    }
    Iterator& operator++() noexcept { return *this; }
    void operator++(int) noexcept {}
    bool operator==(std::default_sentinel_t) const noexcept { return completions_->exhausted(); }

   private:
    detail::Ref<detail::Completions> completions_;
  };

  explicit AsCompleted(detail::Ref<detail::Completions> completions) noexcept
      : completions_(std::move(completions)) {}

  /// One item for each future: a coroutine that waits for the next one that is done and has not
  /// been waited for, and gives its result or throws what it threw. TimeoutError when the time is
  /// over. On cancel it only stops waiting; the item is used up. Python: iteration with `for`.
  Iterator begin() const noexcept { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

  /// Waits for the next one that is done and gives that very future, or the task that was made of
  /// the coroutine; an empty handle when there are no more. TimeoutError when the time is over,
  /// once for each that is left. On cancel it only stops waiting; the item is used up.
  /// Python: iteration with `async for`.
  Coroutine<F> next() const { return detail::next_future<F>(completions_); }

 private:
  detail::Ref<detail::Completions> completions_;
};

namespace detail {

template <class A>
auto completed_child(Scheduler& loop, A&& awaitable) {
  if constexpr (std::derived_from<std::remove_cvref_t<A>, AnyFuture>) {
    check_same_loop(loop, *awaitable.state());
    return std::remove_cvref_t<A>(std::forward<A>(awaitable));
  } else {
    return ensure_future(loop, std::forward<A>(awaitable));
  }
}
template <class A>
using completed_future = decltype(completed_child(std::declval<Scheduler&>(), std::declval<A>()));

template <class F>
AsCompleted<F> as_completed(Scheduler& loop, std::vector<Ref<FutureBase>> futures,
                            const AsCompletedOptions& options) {
  const Ref<Completions> completions(adopt_ref, new Completions(loop, futures));
  if (options.timeout && !completions->exhausted()) completions->set_timeout(*options.timeout);
  return AsCompleted<F>(completions);
}

}  // namespace detail

/// Runs the awaitables of a range side by side and hands them out as they are done. Coroutines
/// become tasks at once, in the order of the range (Python: in no order); a future that stands
/// there twice counts once. When `timeout` is over, each that is left is TimeoutError in its turn.
/// Nothing is cancelled, neither then nor when the iteration is given up. ValueError if a future
/// belongs to another loop. Python: asyncio.as_completed.
template <detail::awaitable_range Range>
auto as_completed(Range&& awaitables, AsCompletedOptions options = {}) {
  using A = std::ranges::range_value_t<Range>;
  detail::Scheduler& loop = detail::default_scheduler();
  std::vector<detail::Ref<detail::FutureBase>> futures;
  for (auto&& awaitable : awaitables) {
    if constexpr (std::is_lvalue_reference_v<Range> && std::derived_from<A, AnyFuture>)
      futures.push_back(detail::completed_child<const A&>(loop, awaitable).state());
    else
      futures.push_back(detail::completed_child<A>(loop, std::move(awaitable)).state());
  }
  return detail::as_completed<detail::completed_future<A>>(loop, std::move(futures), options);
}
/// The same of arguments, all of one type; without timeout.
template <Awaitable A, Awaitable... More>
  requires(std::same_as<std::remove_cvref_t<A>, std::remove_cvref_t<More>> && ...)
auto as_completed(A&& first, More&&... more) {
  detail::Scheduler& loop = detail::default_scheduler();
  std::vector<detail::Ref<detail::FutureBase>> futures;
  futures.push_back(detail::completed_child<A>(loop, std::forward<A>(first)).state());
  (futures.push_back(detail::completed_child<More>(loop, std::forward<More>(more)).state()), ...);
  return detail::as_completed<detail::completed_future<A>>(loop, std::move(futures), {});
}

}  // namespace asyncio::inline v1
