// SPDX-License-Identifier: BSL-1.0
// Watcher: what gather, wait, shield and as_completed have in common.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <asyncio/futures.hpp>

namespace asyncio::inline v1::detail {

/// A future that watches others. It refers to them, they do not keep it alive: when its last handle
/// is dropped, it goes, and leaves in the place of each callback one that does nothing. Python's
/// stays for the callbacks' sake; the passes are the same. If it has a say in what becomes of an
/// exception, it stays here, too, until it is done, at most until the loop is closed.
class Watcher : private Links {
 public:
  /// The loop is being closed.
  static void let_all_go(Scheduler& loop) noexcept;

 protected:
  explicit Watcher(FutureBase& self) noexcept : self_(self) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  /// One of the watched is done; called through the loop, as a done-callback. What it throws
  /// becomes the outcome of this future: copying a value may fail.
  virtual void child_done(Ref<FutureBase> child) = 0;
  /// The name of that callback.
  virtual const char* callback_name() const noexcept = 0;
  /// On whose behalf it waits; null if that is not known.
  virtual FutureBase* awaiter() noexcept { return &self_; }

  /// Puts a callback on each of them. Nobody may stand twice in `children`.
  void watch(const std::vector<FutureBase*>& children);
  /// The same, one after another: at most so many.
  void expect(std::size_t count);
  void watch(FutureBase& child);
  /// Takes the callbacks back.
  void unwatch() noexcept;
  /// The last handle is dropped: it stays, unless it is done. `own` is a callback that it has put
  /// on itself.
  bool stays(const ReadyNode* own = nullptr) noexcept;
  /// It stays, and nobody will ask for a result.
  bool orphaned() const noexcept { return orphaned_; }

  FutureBase& self_;
  /// There is a callback of its own on it, which comes in the pass after a child's.
  bool calls_itself_ = false;
  /// The exceptions of the watched are its own, also when it is no more.
  bool retrieves_ = false;

 private:
  class Node final : public ReadyNode {
   public:
    void run() override;
    void drop() noexcept override;
    void completed_by(FutureBase&) noexcept override;
    std::string callback_name() const override { return watcher->callback_name(); }
    FutureBase* awaiter() noexcept override { return watcher->awaiter(); }

    Watcher* watcher = nullptr;
    Ref<FutureBase> child;
    bool queued = false;  // then it keeps the watcher alive
  };
  class Remnant;

  void let_go() noexcept;

  Node* nodes_ = nullptr;  // an array
  std::size_t count_ = 0;
  bool kept_ = false;      // by itself
  bool orphaned_ = false;  // there is no done-callback on it
};

}  // namespace asyncio::inline v1::detail
